//! The decision of `guard`.

use crate::PLACE;
use crate::body::{BodyCount, Watched};
use crate::checks::{self, Checks, Mode};
use sluice_core::decision::compile::Stage;
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::place::Place;
use sluice_core::decision::verdict::{LocalReply, Mutations, Verdict};
use sluice_core::rule::head::Head;

/// The compiled section.
pub(crate) struct GuardPolicy {
    /// In the order of the document.
    pub(crate) rules: Vec<Rule>,
    /// For requests that no rule decides.
    pub(crate) rest: Checks,
    /// Whether the section is enforced.
    pub(crate) mode: Mode,
}

/// A compiled rule.
pub(crate) struct Rule {
    pub(crate) head: Head,
    /// What it asks; unless it is in shadow, together with what the section asks besides.
    pub(crate) checks: Checks,
}

impl Stage for GuardPolicy {
    fn place(&self) -> Place {
        PLACE
    }

    fn decide(&self, exchange: &mut Exchange<'_>, _: &mut Mutations) -> Verdict {
        let mut watched = Vec::new();
        exchange.note(|| checks::describe(exchange.request()));
        if let Some(refusal) = self.judge(exchange, &mut watched) {
            return Verdict::Respond(refusal.clone());
        }
        if !watched.is_empty() {
            for Watched { limit, mode } in &watched {
                let in_shadow = if *mode == Mode::Shadow { " (shadow)" } else { "" };
                exchange.note(|| {
                    format!("its body may have {} bytes and is counted as it comes{in_shadow}", limit.most)
                });
            }
            let request = exchange.request();
            let asks_upgrade = request.headers().first("upgrade").is_some();
            exchange.follow_up(Box::new(BodyCount::new(watched, request.method(), asks_upgrade)));
        }
        Verdict::Continue
    }
}

// === impl GuardPolicy ===

impl GuardPolicy {
    fn judge(&self, exchange: &Exchange<'_>, watched: &mut Vec<Watched>) -> Option<&LocalReply> {
        for rule in &self.rules {
            if !rule.head.applies(exchange) {
                continue;
            }
            let in_shadow = if rule.head.shadow { " (shadow)" } else { "" };
            exchange.note(|| format!("rule `{}` matches{in_shadow}", rule.head.name));
            if rule.head.shadow {
                rule.checks.judge(exchange, Mode::Shadow, watched);
                continue;
            }
            return rule.checks.judge(exchange, self.mode, watched);
        }
        self.rest.judge(exchange, self.mode, watched)
    }
}
