//! All rules of a stage together, and how a client is told.

use crate::fields::{Fields, LimitState, seconds};
use crate::fleet::Question;
use crate::key::Missing;
use crate::rule::{Left, Look, Refusal, Rule, Why};
use crate::table::Table;
use sluice_core::decision::compile::Stage;
use sluice_core::decision::environment::{Environment, UnixTime};
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::place::Place;
use sluice_core::decision::reason::ReasonId;
use sluice_core::decision::verdict::{LocalReply, Mutations, Verdict};
use sluice_core::decision::wait::Wait;
use sluice_core::rule::attribute::Attribute;
use std::cell::RefCell;
use std::rc::Rc;

/// The rules of `rateLimit` that are asked at the same time: before authentication those that need no identity, after authorization
/// the others.
#[derive(Debug)]
pub struct RateLimitPolicy {
    pub(crate) place: Place,
    pub(crate) rules: Vec<Rule>,
    pub(crate) fields: Fields,
    pub(crate) work: RefCell<Work>,
}

/// Memory for one request, kept so that none allocates any.
#[derive(Debug, Default)]
pub(crate) struct Work {
    looks: Vec<Look>,
    questions: Vec<Question>,
}

/// One request, asked of all rules.
pub(crate) struct Round<'p, 'r> {
    pub(crate) exchange: &'r Exchange<'r>,
    pub(crate) now: UnixTime,
    /// What was found before anything is taken.
    pub(crate) looks: &'r mut Vec<Look>,
    /// Of the rules that refuse, the one with the longest wait.
    pub(crate) refusal: Option<Refusal>,
    /// Of the rules that let it pass, the one with the least left.
    tightest: Option<Passed<'p>>,
}

/// A rule that has room for a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed<'p> {
    pub(crate) rule: &'p Rule,
    /// The item of `RateLimit-Policy`.
    pub(crate) policy: &'p str,
    pub(crate) left: Left,
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

    fn waits(&self) -> bool {
        self.rules.iter().any(|rule| rule.fleet.is_some())
    }

    fn clusters(&self) -> Vec<Rc<str>> {
        let fleets = self.rules.iter().filter_map(|rule| rule.fleet.as_ref());
        fleets.map(|fleet| Rc::clone(&fleet.service.cluster)).collect()
    }

    fn decide(&self, exchange: &mut Exchange<'_>, mutations: &mut Mutations) -> Verdict {
        let mut work = self.work.borrow_mut();
        let Work { looks, questions } = &mut *work;
        looks.clear();
        questions.clear();
        let mut round = Round { exchange, now: UnixTime::default(), looks, refusal: None, tightest: None };
        let verdict = self.look(questions, &mut round).map(|()| {
            self.commit(&mut round);
            match round.refusal {
                Some(refusal) => self.answer(refusal),
                None => {
                    self.tell(&round, mutations);
                    Verdict::Continue
                }
            }
        });
        Verdict::from(verdict)
    }
}

impl RateLimitPolicy {
    /// Looks whether all rules have room, without taking any but what a service takes.
    fn look<'p>(&'p self, questions: &mut Vec<Question>, round: &mut Round<'p, '_>) -> Result<(), Wait> {
        // Read once, and only where a rule applies.
        let mut clock: Option<UnixTime> = None;
        for (position, rule) in self.rules.iter().enumerate() {
            if !rule.head.applies(round.exchange) {
                continue;
            }
            round.now = *clock.get_or_insert_with(|| round.exchange.environment().now());
            let counted = match rule.count(round.exchange) {
                None => continue,
                Some(Ok(counted)) => counted,
                Some(Err(Missing)) => {
                    let refusal = Refusal { rule: position, limit: 0, why: Why::MissingKey, wait: 0 };
                    self.refused(refusal, round);
                    continue;
                }
            };
            if rule.fleet.is_some() {
                questions.push(Question { rule: position, counted });
                continue;
            }
            match rule.look(position, counted, round.exchange.environment(), round.now) {
                None => {}
                Some(Ok(look)) => round.looks.push(look),
                Some(Err(refused)) => self.refused(refused, round),
            }
        }
        if round.refusal.is_some() || questions.is_empty() { Ok(()) } else { self.ask(questions, round) }
    }

    /// Takes what was found.
    fn commit<'p>(&'p self, round: &mut Round<'p, '_>) {
        if round.refusal.is_some() {
            return;
        }
        let looks = std::mem::take(round.looks);
        for look in &looks {
            let Some(rule) = self.rules.get(look.rule) else { continue };
            match rule.commit(look, round.exchange.environment(), round.now) {
                Ok(left) => {
                    let policy = rule.limit(left.limit).map_or("", |limit| &limit.policy);
                    round.passed(Passed { rule, policy, left });
                }
                Err(refused) => {
                    self.refused(refused, round);
                    if round.refusal.is_some() {
                        break;
                    }
                }
            }
        }
        *round.looks = looks;
    }

    fn tell(&self, round: &Round<'_, '_>, mutations: &mut Mutations) {
        let Some(Passed { rule, policy, left }) = round.tightest.filter(|_| self.fields.shown) else {
            return;
        };
        let state =
            LimitState { rule: &rule.head.name, policy, remaining: left.remaining, wait: left.next_unit_in };
        self.fields.tell(&state, mutations);
    }

    /// A rule has refused: in shadow it is only recorded, else the client is told of the one with the longest wait.
    pub(crate) fn refused(&self, refused: Refusal, round: &mut Round<'_, '_>) {
        let Some(rule) = self.rules.get(refused.rule) else { return };
        round.exchange.note(|| {
            let shadow = if rule.shadow { " (in shadow)" } else { "" };
            let why = match refused.why {
                Why::Exceeded | Why::OverLimit => format!("exceeded, {} s to wait", seconds(refused.wait)),
                Why::Crowded => format!("its slot is crowded, {} s to wait", seconds(refused.wait)),
                Why::Contended => "other workers always came first".to_owned(),
                Why::MissingKey => "a value of its `key` is missing".to_owned(),
                Why::Unavailable => "nobody has decided".to_owned(),
            };
            format!("rule `{}`{shadow}: {why}", rule.head.name)
        });
        if rule.shadow {
            round.exchange.record(rule.reason(refused.why));
        } else if round.refusal.is_none_or(|known| refused.wait > known.wait) {
            round.refusal = Some(refused);
        }
    }

    fn answer(&self, refusal: Refusal) -> Verdict {
        let Some(rule) = self.rules.get(refusal.rule) else { return Verdict::Continue };
        let reason = rule.reason(refusal.why);
        match refusal.why {
            // To come back later would not help.
            Why::MissingKey => {
                let detail = "The request lacks what it would be counted by.";
                Verdict::Respond(LocalReply::new(403, reason, detail))
            }
            Why::Unavailable => {
                let reply = LocalReply::new(503, reason, "The limit can't be checked; try again later.");
                Verdict::Respond(self.fields.come_back(reply, refusal.wait))
            }
            Why::Exceeded | Why::Crowded | Why::Contended | Why::OverLimit => {
                let reply = LocalReply::new(429, reason, "Too many requests; try again later.");
                let policy = rule.policy(refusal.limit, refusal.why);
                let state = LimitState { rule: &rule.head.name, policy, remaining: 0, wait: refusal.wait };
                Verdict::Respond(self.fields.refuse(reply, &state))
            }
        }
    }
}

// === impl Round ===

impl<'p> Round<'p, '_> {
    /// A rule has room.
    pub(crate) fn passed(&mut self, passed: Passed<'p>) {
        let Passed { rule, left, .. } = passed;
        self.exchange.note(|| {
            let shadow = if rule.shadow { " (in shadow)" } else { "" };
            format!("rule `{}`{shadow}: passes, {} left", rule.head.name, left.remaining)
        });
        if !rule.shadow && self.tightest.is_none_or(|known| left.is_tighter_than(&known.left)) {
            self.tightest = Some(passed);
        }
    }
}

// === impl Rule ===

impl Rule {
    fn reason(&self, why: Why) -> ReasonId {
        match (why, &self.fleet) {
            (Why::OverLimit, Some(fleet)) => fleet.reasons.exceeded,
            (Why::Unavailable, Some(fleet)) => fleet.reasons.unavailable,
            (Why::Exceeded | Why::OverLimit | Why::Unavailable, _) => self.reasons.exceeded,
            (Why::Crowded, _) => self.reasons.crowded,
            (Why::Contended, _) => self.reasons.contended,
            (Why::MissingKey, _) => self.reasons.missing_key,
        }
    }

    /// The item of `RateLimit-Policy` of the limit that has refused.
    fn policy(&self, limit: u32, why: Why) -> &str {
        match &self.fleet {
            Some(fleet) if why == Why::OverLimit => {
                fleet.limits.get(limit as usize).map_or("", |limit| &limit.policy)
            }
            _ => self.limit(limit).map_or("", |limit| &limit.policy),
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
