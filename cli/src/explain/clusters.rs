//! What stands in for the clusters that policies call: the command calls nobody.

use sluice_core::decision::environment::UnixTime;
use sluice_core::decision::wait::{Answer, Call, CallFailure};
use sluice_pipeline::SimulatedService;
use std::collections::BTreeMap;

/// The clusters.
pub(super) struct StandIns<'a> {
    failing: &'a [String],
    now: UnixTime,
    rate_limit_services: BTreeMap<String, SimulatedService>,
}

// === impl StandIns ===

impl<'a> StandIns<'a> {
    /// With these clusters failing, at this time.
    pub(super) fn new(failing: &'a [String], now: UnixTime) -> Self {
        Self { failing, now, rate_limit_services: BTreeMap::new() }
    }

    /// A rate-limit service counts; every other cluster is as if it could not be reached.
    pub(super) fn answer(&mut self, call: &Call) -> Answer {
        match call {
            Call::Grpc(call)
                if SimulatedService::serves(call)
                    && !self.failing.iter().any(|failing| **failing == *call.cluster) =>
            {
                let service = self.rate_limit_services.entry(call.cluster.to_string()).or_default();
                service.answer(call, self.now)
            }
            Call::Grpc(_) | Call::Http(_) => Answer::Failed(CallFailure::Unreachable),
        }
    }

    /// The clusters that were stood in for.
    pub(super) fn used(&self) -> Vec<String> {
        self.rate_limit_services.keys().cloned().collect()
    }
}
