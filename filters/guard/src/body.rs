//! The count of a body while it passes. Nothing of it is kept.

use crate::checks::{Limit, Mode};
use sluice_core::decision::follow_up::{Aftermath, BodyPart, BodyVerdict, FollowUp, Phase, Phases};
use sluice_core::decision::response::Response;
use std::rc::Rc;

/// A limit that a body must keep to.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) limit: Rc<Limit>,
    pub(crate) mode: Mode,
}

/// What has passed of a body.
#[derive(Debug)]
pub(crate) struct BodyCount {
    passed: u64,
    watched: Vec<Watched>,
    /// Whether the response may turn the request into a tunnel.
    may_become_tunnel: bool,
    /// Whether the request is CONNECT.
    is_connect: bool,
}

// === impl BodyCount ===

impl BodyCount {
    /// For a request of this method.
    pub(crate) fn new(watched: Vec<Watched>, method: &str, asks_upgrade: bool) -> Self {
        let is_connect = method == "CONNECT";
        Self { passed: 0, watched, may_become_tunnel: is_connect || asks_upgrade, is_connect }
    }
}

impl FollowUp for BodyCount {
    fn phases(&self) -> Phases {
        if self.may_become_tunnel {
            Phases::of(&[Phase::RequestBody, Phase::Response])
        } else {
            Phases::of(&[Phase::RequestBody])
        }
    }

    /// The part is counted before it goes on: no more than the limit ever reaches the service.
    fn on_request_body(&mut self, part: BodyPart, aftermath: &mut Aftermath<'_>) -> BodyVerdict {
        self.passed = self.passed.saturating_add(part.size as u64);
        let passed = self.passed;
        let is_broken = |watched: &Watched| passed > watched.limit.most;
        let enforced = |watched: &&Watched| watched.mode == Mode::Enforce && is_broken(watched);
        let refusal = self.watched.iter().find(enforced).map(|watched| watched.limit.refusal.clone());
        // What is in shadow is counted once.
        self.watched.retain(|watched| {
            let counts = watched.mode == Mode::Shadow && is_broken(watched);
            if counts {
                aftermath.record(watched.limit.refusal.reason);
            }
            !counts
        });
        refusal.map_or(BodyVerdict::Continue, BodyVerdict::Respond)
    }

    /// Once the service has agreed to a tunnel (101, or 2xx to CONNECT: RFC 9110 §9.3.6 and §15.2.2), what passes is no body any more. It is
    /// the service that says so: what a client asks for lifts no limit.
    fn on_response(&mut self, response: &mut Response<'_>, _: &mut Aftermath<'_>) {
        let status = response.status();
        if status == 101 || (self.is_connect && matches!(status, 200..=299)) {
            self.watched.clear();
        }
    }
}
