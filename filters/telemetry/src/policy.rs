//! What the section decides besides its stage, which is that of `trace`.

use crate::labels::{CountedResponse, LabelSet};
use crate::trace::Tracer;
use sluice_core::decision::environment::Environment;
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::follow_up::FollowUp;
use sluice_core::decision::reason::ReasonId;
use sluice_core::decision::verdict::Mutations;
use sluice_core::http::header_map::HeaderMap;
use std::rc::Rc;

/// What the section decides besides its stage: the pipeline asks, since it concerns all other sections.
pub struct TelemetryPolicy {
    pub(crate) decision: bool,
    pub(crate) labels: Option<Rc<LabelSet>>,
    pub(crate) tracer: Option<Tracer>,
}

// === impl TelemetryPolicy ===

impl TelemetryPolicy {
    /// Whether the host shall publish each request's decision for the access log.
    pub fn publishes_decision(&self) -> bool {
        self.decision
    }

    /// Gives a request its trace context that is answered before any stage is asked, since it has no single reading.
    pub fn trace_unreadable(
        &self,
        headers: &HeaderMap,
        environment: &dyn Environment,
        mutations: &mut Mutations,
        decisions: &mut Vec<ReasonId>,
    ) {
        if let Some(tracer) = &self.tracer {
            let traced = tracer.trace(headers, environment);
            decisions.extend(traced.reasons());
            tracer.apply(&traced, headers, mutations);
        }
    }

    /// Counts the response to a request when that is over; `None` where responses are not counted.
    pub fn follow_up(&self, exchange: &Exchange<'_>) -> Option<Box<dyn FollowUp>> {
        self.labels.as_ref().map(|set| Box::new(CountedResponse::new(set, exchange)) as Box<dyn FollowUp>)
    }
}
