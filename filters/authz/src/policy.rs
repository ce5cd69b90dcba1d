//! The decision: `deny` before `allow` before `default`.

use crate::PLACE;
use crate::config::Effect;
use sluice_core::decision::compile::Stage;
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::place::Place;
use sluice_core::decision::reason::ReasonId;
use sluice_core::decision::verdict::{LocalReply, Mutations, Verdict};
use sluice_core::document::name::Name;
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::rule::selector::SelectorId;
use sluice_core::rule::when::CompiledWhen;

/// The compiled section `authz`.
#[derive(Debug)]
pub struct AuthzPolicy {
    pub(crate) deny: Vec<Rule>,
    pub(crate) allow: Vec<Rule>,
    pub(crate) default_effect: Effect,
    pub(crate) default_reason: ReasonId,
    /// What a caller is told who has shown no credential where one could help.
    pub(crate) challenges: Vec<HeaderValue>,
    pub(crate) challenge_header: HeaderName,
    /// The section as a whole only watches.
    pub(crate) shadow: bool,
}

/// A compiled rule; what it does follows from the list in which it stands.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: Name,
    pub(crate) selector: SelectorId,
    pub(crate) when: CompiledWhen,
    /// Whether `when` asks for more than a peer's certificate, so that a credential could change its answer.
    pub(crate) asks_identity: bool,
    /// What a caller is told whose token lacks only the scopes that `when` asks for.
    pub(crate) scope_challenge: Option<HeaderValue>,
    pub(crate) shadow: bool,
    pub(crate) reason: ReasonId,
}

// === impl Rule ===

impl Rule {
    fn matches(&self, kind: &'static str, exchange: &Exchange<'_>) -> bool {
        let name = &self.name;
        if !exchange.matches(self.selector) {
            exchange.note(|| format!("{kind} rule `{name}`: {}", exchange.unmatched(self.selector)));
            return false;
        }
        if let Some(key) = self.when.unmet(exchange) {
            exchange.note(|| format!("{kind} rule `{name}`: the caller does not meet `when.{key}`"));
            return false;
        }
        exchange.note(|| {
            let shadow = if self.shadow { ", but is in shadow: as if it were not there" } else { "" };
            format!("{kind} rule `{name}`: matches{shadow}")
        });
        true
    }

    /// Whether a caller without an identity might match it by proving one.
    fn might_match_somebody(&self, exchange: &Exchange<'_>) -> bool {
        self.asks_identity && !self.shadow && exchange.matches(self.selector)
    }
}

// === impl AuthzPolicy ===

impl Stage for AuthzPolicy {
    fn drop_part(&mut self) -> bool {
        self.allow.pop().or_else(|| self.deny.pop()).is_some()
    }

    fn place(&self) -> Place {
        PLACE
    }

    fn decide(&self, exchange: &mut Exchange<'_>, _: &mut Mutations) -> Verdict {
        let exchange = &*exchange;
        for rule in &self.deny {
            if rule.matches("deny", exchange) {
                if rule.shadow {
                    exchange.record(rule.reason);
                } else {
                    return self.deny_by_rule(rule, exchange);
                }
            }
        }
        // An `allow` rule in shadow has a say only where the request is denied for want of an `allow` rule.
        let mut would_allow = None;
        for rule in &self.allow {
            if rule.matches("allow", exchange) {
                if !rule.shadow {
                    exchange.record(rule.reason);
                    return Verdict::Continue;
                }
                would_allow = would_allow.or(Some(rule.reason));
            }
        }
        match self.default_effect {
            Effect::Allow => {
                exchange.note(|| "no rule matches: allowed, since `default` is `allow`".to_owned());
                exchange.record(self.default_reason);
                Verdict::Continue
            }
            Effect::Deny => {
                exchange.note(|| "no rule allows it: denied, since `default` is `deny`".to_owned());
                if let Some(reason) = would_allow {
                    exchange.record(reason);
                }
                self.deny_by_default(exchange)
            }
        }
    }
}

impl AuthzPolicy {
    fn deny_by_rule(&self, rule: &Rule, exchange: &Exchange<'_>) -> Verdict {
        // `deny` with `not: { roles: [admin] }`: who proves to be an admin gets through.
        let might_help = rule.asks_identity;
        self.answer(rule.reason, might_help, exchange, || None)
    }

    fn deny_by_default(&self, exchange: &Exchange<'_>) -> Verdict {
        let might_help = self.allow.iter().any(|rule| rule.might_match_somebody(exchange));
        self.answer(self.default_reason, might_help, exchange, || {
            // RFC 6750 is about bearer tokens: only they have claims.
            if exchange.identity()?.claims.is_null() {
                return None;
            }
            let lacking = self.allow.iter().filter(|rule| !rule.shadow && exchange.matches(rule.selector));
            lacking
                .filter(|rule| rule.when.missing_scopes(exchange).is_some())
                .find_map(|rule| rule.scope_challenge.as_ref())
        })
    }

    /// RFC 9110 §15.5.2: 401 is for a request that *lacks* credentials and could succeed with some; whoever has shown valid ones gets
    /// 403 (§15.5.4), as does whom none would help.
    fn answer<'p>(
        &'p self,
        reason: ReasonId,
        credentials_might_help: bool,
        exchange: &Exchange<'_>,
        scope_challenge: impl FnOnce() -> Option<&'p HeaderValue>,
    ) -> Verdict {
        if self.shadow {
            exchange.note(|| "the section is in shadow: the request goes on".to_owned());
            exchange.record(reason);
            return Verdict::Continue;
        }
        if exchange.identity().is_none() && credentials_might_help && !self.challenges.is_empty() {
            exchange.note(|| "nobody has proven to call, and a credential might help: 401".to_owned());
            let reply = LocalReply::new(401, reason, "This needs a credential, and the request shows none.");
            return Verdict::Respond(self.challenges.iter().fold(reply, |reply, challenge| {
                reply.with_header(self.challenge_header.clone(), challenge.clone())
            }));
        }
        match scope_challenge() {
            Some(challenge) => {
                exchange.note(|| "the token lacks nothing but scopes".to_owned());
                let reply = LocalReply::new(403, reason, "The token lacks a scope that this needs.");
                Verdict::Respond(reply.with_header(self.challenge_header.clone(), challenge.clone()))
            }
            None => Verdict::Respond(LocalReply::new(403, reason, "The caller is not permitted to do this.")),
        }
    }
}
