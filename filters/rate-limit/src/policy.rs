//! All rules of a stage together, and how a client is told.

use crate::fields::{Fields, Standing, seconds};
use crate::rule::{Left, Look, Refusal, Rule, Why};
use crate::table::Table;
use sluice_core::decision::compile::Stage;
use sluice_core::decision::environment::{Environment, UnixTime};
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::place::Place;
use sluice_core::decision::reason::ReasonId;
use sluice_core::decision::verdict::{LocalReply, Mutations, Verdict};
use sluice_core::rule::attribute::Attribute;
use std::cell::RefCell;

/// The rules of `rateLimit` that are asked at the same time: before authentication those that need no identity, after authorization
/// the others.
#[derive(Debug)]
pub struct RateLimitPolicy {
    pub(crate) place: Place,
    pub(crate) rules: Vec<Rule>,
    pub(crate) fields: Fields,
    /// What was found before anything is taken; kept so that a request allocates none.
    pub(crate) looks: RefCell<Vec<Look>>,
}

// === impl RateLimitPolicy ===

impl Stage for RateLimitPolicy {
    fn is_told_of_its_life(&self) -> bool {
        true
    }

    fn start(&self, environment: &dyn Environment) {
        Table::start(self.rules.iter().map(|rule| &rule.table), environment, environment.now());
    }

    fn end(&self, environment: &dyn Environment) {
        Table::end(self.rules.iter().map(|rule| &rule.table), environment, environment.now());
    }

    fn place(&self) -> Place {
        self.place
    }

    fn asks_client_address(&self) -> bool {
        self.rules.iter().any(|rule| rule.key.attributes.contains(&Attribute::ClientAddress))
    }

    fn decide(&self, exchange: &mut Exchange<'_>, mutations: &mut Mutations) -> Verdict {
        let exchange = &*exchange;
        let mut looks = self.looks.borrow_mut();
        looks.clear();
        let mut refusal: Option<Refusal> = None;
        // Read once, and only where a rule applies.
        let mut clock: Option<UnixTime> = None;
        for (position, rule) in self.rules.iter().enumerate() {
            if !rule.applies(exchange) {
                continue;
            }
            let now = *clock.get_or_insert_with(|| exchange.environment().now());
            match rule.look(position, exchange, now) {
                None => {}
                Some(Ok(look)) => looks.push(look),
                Some(Err(refused)) => self.refused(refused, &mut refusal, exchange),
            }
        }
        let now = clock.unwrap_or_default();
        let mut tightest: Option<(&Rule, Left)> = None;
        if refusal.is_none() {
            for look in looks.iter() {
                let Some(rule) = self.rules.get(look.rule) else { continue };
                match rule.commit(look, exchange.environment(), now) {
                    Ok(left) => {
                        exchange.note(|| {
                            let shadow = if rule.shadow { " (in shadow)" } else { "" };
                            format!("rule `{}`{shadow}: passes, {} left", rule.name, left.remaining)
                        });
                        if !rule.shadow && tightest.is_none_or(|(_, known)| left.is_tighter_than(&known)) {
                            tightest = Some((rule, left));
                        }
                    }
                    Err(refused) => {
                        self.refused(refused, &mut refusal, exchange);
                        if refusal.is_some() {
                            break;
                        }
                    }
                }
            }
        }
        if let Some(refusal) = refusal {
            return self.answer(refusal);
        }
        if let Some((rule, left)) = tightest
            && let Some(limit) = rule.limit(left.limit)
            && self.fields.shown
        {
            let standing = Standing {
                rule: &rule.name,
                policy: &limit.policy,
                remaining: left.remaining,
                wait: left.next_unit_in,
            };
            self.fields.tell(&standing, mutations);
        }
        Verdict::Continue
    }
}

impl RateLimitPolicy {
    /// A rule has refused: in shadow it is only recorded, else the client is told of the one with the longest wait.
    fn refused(&self, refused: Refusal, refusal: &mut Option<Refusal>, exchange: &Exchange<'_>) {
        let Some(rule) = self.rules.get(refused.rule) else { return };
        exchange.note(|| {
            let shadow = if rule.shadow { " (in shadow)" } else { "" };
            let why = match refused.why {
                Why::Exceeded => format!("exceeded, {} s to wait", seconds(refused.wait)),
                Why::Crowded => format!("its slot is crowded, {} s to wait", seconds(refused.wait)),
                Why::Contended => "other workers always came first".to_owned(),
                Why::MissingKey => "a value of its `key` is missing".to_owned(),
            };
            format!("rule `{}`{shadow}: {why}", rule.name)
        });
        if rule.shadow {
            exchange.record(rule.reason(refused.why));
        } else if refusal.is_none_or(|known| refused.wait > known.wait) {
            *refusal = Some(refused);
        }
    }

    fn answer(&self, refusal: Refusal) -> Verdict {
        let Some(rule) = self.rules.get(refusal.rule) else { return Verdict::Continue };
        let reason = rule.reason(refusal.why);
        if refusal.why == Why::MissingKey {
            // To come back later would not help.
            let detail = "The request lacks what it would be counted by.";
            return Verdict::Respond(LocalReply::new(403, reason, detail));
        }
        let reply = LocalReply::new(429, reason, "Too many requests; try again later.");
        let policy = rule.limit(refusal.limit).map_or("", |limit| &limit.policy);
        let standing = Standing { rule: &rule.name, policy, remaining: 0, wait: refusal.wait };
        Verdict::Respond(self.fields.refuse(reply, &standing))
    }
}

// === impl Rule ===

impl Rule {
    fn reason(&self, why: Why) -> ReasonId {
        match why {
            Why::Exceeded => self.reasons.exceeded,
            Why::Crowded => self.reasons.crowded,
            Why::Contended => self.reasons.contended,
            Why::MissingKey => self.reasons.missing_key,
        }
    }
}

// === impl Left ===

impl Left {
    fn is_tighter_than(&self, other: &Self) -> bool {
        (self.remaining, std::cmp::Reverse(self.next_unit_in))
            < (other.remaining, std::cmp::Reverse(other.next_unit_in))
    }
}
