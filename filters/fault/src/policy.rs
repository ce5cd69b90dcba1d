//! The decision of `fault`.

use crate::PLACE;
use sluice_core::decision::compile::Stage;
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::place::Place;
use sluice_core::decision::reason::ReasonId;
use sluice_core::decision::verdict::{LocalReply, Mutations, Verdict};
use sluice_core::decision::wait::Wait;
use sluice_core::document::scalar::Percentage;
use sluice_core::rule::head::Head;
use std::time::Duration;

/// The compiled section.
pub(crate) struct FaultPolicy {
    pub(crate) rules: Vec<Rule>,
}

/// A compiled rule.
pub(crate) struct Rule {
    pub(crate) head: Head,
    pub(crate) delay: Option<Delay>,
    pub(crate) abort: Option<Abort>,
    pub(crate) shadow: bool,
}

/// A delay, and for which share of the requests.
pub(crate) struct Delay {
    pub(crate) duration: Duration,
    pub(crate) percent: Percentage,
    pub(crate) reason: ReasonId,
}

/// An answer, and for which share of the requests.
pub(crate) struct Abort {
    pub(crate) percent: Percentage,
    pub(crate) reply: LocalReply,
}

impl Stage for FaultPolicy {
    fn place(&self) -> Place {
        PLACE
    }

    fn waits(&self) -> bool {
        self.rules.iter().any(|rule| rule.delay.is_some() && !rule.shadow)
    }

    fn decide(&self, exchange: &mut Exchange<'_>, _: &mut Mutations) -> Verdict {
        for rule in &self.rules {
            if !rule.head.applies(exchange) {
                continue;
            }
            let verdict = rule.draw(exchange);
            if !rule.shadow {
                return Verdict::from(verdict);
            }
        }
        Verdict::Continue
    }
}

impl Rule {
    /// Draws for the delay and, apart from it, for the abort, as Envoy's own fault filter does: a request may be delayed, aborted, or
    /// delayed and then aborted. Records what the pipeline does not record itself.
    fn draw(&self, exchange: &Exchange<'_>) -> Result<Verdict, Wait> {
        let delay = self.delay.as_ref().filter(|delay| takes(delay.percent, exchange));
        let abort = self.abort.as_ref().filter(|abort| takes(abort.percent, exchange));
        exchange.note(|| {
            let what = match (delay, abort) {
                (None, None) => "drawn for nothing".to_owned(),
                (Some(delay), None) => format!("delayed by {:?}", delay.duration),
                (None, Some(abort)) => format!("answered {}", abort.reply.status),
                (Some(delay), Some(abort)) => {
                    format!("delayed by {:?}, then answered {}", delay.duration, abort.reply.status)
                }
            };
            format!("rule `{}` matches{}: {what}", self.head.name, if self.shadow { " (shadow)" } else { "" })
        });
        if let Some(delay) = delay {
            exchange.record(delay.reason);
            if !self.shadow {
                exchange.pause(delay.duration)?;
            }
        }
        Ok(match abort {
            None => Verdict::Continue,
            Some(abort) => {
                // The pipeline records the reason of an answer; of one that is not given, nobody else.
                if self.shadow {
                    exchange.record(abort.reply.reason);
                }
                Verdict::Respond(abort.reply.clone())
            }
        })
    }
}

/// Whether a request falls within a share. All and nothing need no draw.
fn takes(share: Percentage, exchange: &Exchange<'_>) -> bool {
    match share.millionths() {
        0 => false,
        _ if share == Percentage::ALL => true,
        _ => share.takes(exchange.draw()),
    }
}
