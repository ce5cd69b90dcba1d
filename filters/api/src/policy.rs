//! The stages of `api`.

use crate::cors::{Cors, Origin, is_preflight};
use crate::version::Version;
use crate::{ENDED, PLACE, PREFLIGHT};
use sluice_core::decision::compile::Stage;
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::follow_up::{Aftermath, FollowUp, Phase, Phases};
use sluice_core::decision::place::Place;
use sluice_core::decision::response::Response;
use sluice_core::decision::verdict::{LocalReply, Mutations, Verdict};
use std::rc::Rc;

/// The compiled section.
#[derive(Debug, Default)]
pub(crate) struct Api {
    pub(crate) versions: Vec<Rc<Version>>,
    pub(crate) cors: Vec<Rc<Cors>>,
}

/// Finds out which version is called and from which origin, and leaves behind what the response says of it.
pub(crate) struct Look(pub(crate) Rc<Api>);

/// Answers preflights.
pub(crate) struct Preflights(pub(crate) Rc<Api>);

/// Answers requests for versions that have ended.
pub(crate) struct Ended(pub(crate) Rc<Api>);

/// What the response is to say.
#[derive(Debug)]
struct Marks {
    version: Option<Rc<Version>>,
    cors: Option<(Rc<Cors>, Origin)>,
}

// === impl Api ===

impl Api {
    fn version(&self, exchange: &Exchange<'_>) -> Option<&Rc<Version>> {
        self.versions.iter().find(|version| version.head.applies(exchange))
    }

    fn cors(&self, exchange: &Exchange<'_>) -> Option<&Rc<Cors>> {
        self.cors.iter().find(|rule| exchange.matches(rule.head.selector))
    }
}

// === impl Look ===

impl Stage for Look {
    fn place(&self) -> Place {
        PLACE
    }

    fn decide(&self, exchange: &mut Exchange<'_>, _: &mut Mutations) -> Verdict {
        let version = self.0.version(exchange);
        if let Some(version) = version {
            exchange.note(|| format!("the request calls the version `{}`", version.name));
            exchange.set_api_version(Rc::clone(&version.name));
            version.deprecated.into_iter().for_each(|reason| exchange.record(reason));
        }
        let cors = self.0.cors(exchange).map(|rule| (rule, rule.origin(exchange.request().headers())));
        if let Some((rule, origin)) = &cors {
            exchange.note(|| match origin {
                Origin::None => format!("rule `{}`: the request says no origin", rule.head.name),
                Origin::Allowed(_) => format!("rule `{}`: pages of this origin may call", rule.head.name),
                Origin::Other => {
                    format!("rule `{}`: pages of this origin may not read answers", rule.head.name)
                }
            });
        }
        // The answer to a preflight says all itself.
        if cors.is_some() && is_preflight(exchange.request()) {
            return Verdict::Continue;
        }
        let version = version.filter(|version| version.is_marked()).cloned();
        let cors = cors.filter(|(rule, _)| !rule.shadow).map(|(rule, origin)| (Rc::clone(rule), origin));
        if version.is_some() || cors.is_some() {
            exchange.follow_up(Box::new(Marks { version, cors }));
        }
        Verdict::Continue
    }
}

// === impl Marks ===

impl FollowUp for Marks {
    fn phases(&self) -> Phases {
        Phases::of(&[Phase::Response])
    }

    fn on_response(&mut self, response: &mut Response<'_>, _: &mut Aftermath<'_>) {
        if let Some(version) = &self.version {
            version.mark(response);
        }
        if let Some((rule, origin)) = &self.cors {
            rule.mark(origin, response);
        }
    }
}

// === impl Preflights ===

impl Stage for Preflights {
    fn place(&self) -> Place {
        PREFLIGHT
    }

    fn decide(&self, exchange: &mut Exchange<'_>, _: &mut Mutations) -> Verdict {
        let Some(rule) = self.0.cors(exchange) else { return Verdict::Continue };
        let request = exchange.request();
        let headers = request.headers();
        let reply = if is_preflight(request) {
            exchange.note(|| format!("rule `{}`: a preflight, which is answered here", rule.head.name));
            rule.answer(headers)
        } else if rule.refuses(headers) {
            let detail = "Pages of this origin may not call this.";
            LocalReply::new(403, rule.reasons.origin_denied, detail)
        } else {
            if rule.origin(headers) == Origin::Other {
                exchange.record(rule.reasons.other_origin);
            }
            return Verdict::Continue;
        };
        if rule.shadow {
            exchange.record(reply.reason);
            return Verdict::Continue;
        }
        Verdict::Respond(reply)
    }
}

// === impl Ended ===

impl Stage for Ended {
    fn place(&self) -> Place {
        ENDED
    }

    fn decide(&self, exchange: &mut Exchange<'_>, _: &mut Mutations) -> Verdict {
        let Some(version) = self.0.version(exchange) else { return Verdict::Continue };
        let Some((end, reply)) = &version.end else { return Verdict::Continue };
        if exchange.environment().now() < *end {
            exchange.note(|| format!("the version `{}` has not ended yet", version.name));
            return Verdict::Continue;
        }
        exchange.note(|| format!("the version `{}` has ended", version.name));
        if version.shadow {
            exchange.record(reply.reason);
            return Verdict::Continue;
        }
        Verdict::Respond(reply.clone())
    }
}
