//! A configuration arrives: it is refused, compiled, or taken over.

use super::Plugin;
use crate::calls::{self, HostError, HostResult};
use crate::counters::Counters;
use crate::loading::SHORT;
use crate::logger;
use crate::proven::Proof;
use siphasher::sip::SipHasher13;
use sluice_core::decision::environment::Environment;
use sluice_core::document::pace::{self, Pace};
use sluice_core::document::problem::Problems;
use sluice_pipeline::{Pipeline, Seeds};
use std::rc::Rc;

/// Where in shared data the seed stands that all workers use.
const SHARED_SEED: &str = "sluice/seed";

/// How soon after a configuration was accepted its policy begins, in nanoseconds. Not at once: Envoy's main thread tries each configuration
/// in a VM that it throws away without a word, and no timer of which fires.
const BEGIN_AFTER: u64 = 1_000_000;

impl Plugin {
    /// The configuration has arrived. Says whether it is accepted; what is wrong with it goes into the log, for Envoy tells nobody more
    /// than that it was refused.
    pub fn on_configure(&self) -> bool {
        let began = calls::monotonic_nanoseconds().ok();
        logger::follow_level();
        let configuration = match calls::plugin_configuration() {
            Ok(configuration) => configuration,
            Err(error) => {
                refuse_configuration(&format!("the host does not hand it over: {error}"));
                return false;
            }
        };
        let seeds = Seeds { local: self.environment.random(), shared: self.shared_seed(&configuration) };
        let proof = Proof::of(&configuration);
        self.succession.learn_name();
        if configuration.len() > SHORT
            && self.pipeline().is_none()
            && proof.is_known()
            && let Some(former) = self.succession.former()
        {
            self.load(&former, configuration, seeds, began);
            return true;
        }
        let pipeline = match compile(&configuration, seeds, proof) {
            Ok(pipeline) => pipeline,
            Err(problems) => {
                for problem in problems.iter() {
                    refuse_configuration(&problem.to_string());
                }
                return false;
            }
        };
        let missing: Vec<_> =
            pipeline.needs().iter().filter(|(phase, _)| !calls::told_of().has(*phase)).collect();
        for (phase, path) in &missing {
            refuse_configuration(&format!(
                "{path}: needs a module that is told of {}; this one does not export {}. `sluice check` says which does",
                phase.title(),
                phase.export()
            ));
        }
        if !missing.is_empty() {
            return false;
        }
        self.environment.begin_phase();
        if let Some(lacking) = pipeline.lacks(&self.environment) {
            refuse_configuration(&lacking);
            return false;
        }
        for warning in pipeline.warnings() {
            log::warn!("configuration: {warning}");
        }
        proof.write();
        log::debug!("configuration compiled at once");
        self.install(pipeline);
        true
    }

    /// Serves by `pipeline` from now on.
    pub(crate) fn install(&self, pipeline: Pipeline) {
        self.flush();
        self.counters.replace(Counters::new(pipeline.reasons()));
        let begins = pipeline.is_told_of_its_life();
        self.adopt_resources(&pipeline);
        let former = self.pipeline.replace(Some(Rc::new(pipeline)));
        let owned = !self.borrowed.replace(false);
        self.succession.stand_alone();
        if let Some(former) = former {
            self.let_go(former, owned);
        }
        self.begins.set(None);
        if begins {
            self.begin_soon();
        }
    }

    /// Serves by the policy of `former` until there is one of its own. `former` still has to end it.
    pub(crate) fn adopt(&self, former: &Self) {
        let Some(pipeline) = former.pipeline() else { return };
        self.counters.replace(Counters::new(pipeline.reasons()));
        self.adopt_resources(&pipeline);
        self.pipeline.replace(Some(pipeline));
        self.borrowed.set(true);
        self.succession.adopt(&former.succession);
    }

    /// The plugin whose policy this one serves by goes: it is this one's to end.
    pub(crate) fn inherit(&self, has_begun: bool) {
        self.borrowed.set(false);
        if !has_begun {
            self.begin_soon();
        }
    }

    /// Whether the policy has begun, or has no need to.
    pub(crate) fn has_begun(&self) -> bool {
        self.begins.get().is_none()
    }

    fn begin_soon(&self) {
        let armed = calls::monotonic_nanoseconds().and_then(|now| {
            let due = now.saturating_add(BEGIN_AFTER);
            self.timer.arm(now, due).map(|()| self.begins.set(Some(due)))
        });
        self.faults.note("setting the timer", armed);
    }

    /// Keeps what the document has fetched. Not at once: see [`BEGIN_AFTER`]; and a cluster of a new configuration may not be there yet.
    fn adopt_resources(&self, pipeline: &Pipeline) {
        if pipeline.resources().is_empty() {
            return;
        }
        self.environment.begin_phase();
        let now = calls::monotonic_nanoseconds().unwrap_or_default();
        let next = now.saturating_add(BEGIN_AFTER);
        self.resources.borrow_mut().adopt(pipeline.resources(), next, &self.environment);
        self.arm(now, next);
    }

    /// A seed that all workers of the proxy have, and that outlives updates, so that limits kept in shared data do too. The main thread
    /// tries every configuration before any worker gets it, so workers never race for it. Other plugins can read it; they could
    /// overwrite the limits as well.
    fn shared_seed(&self, configuration: &[u8]) -> u64 {
        read_or_make_seed(self.environment.random()).unwrap_or_else(|_| {
            // No shared data, so nothing to agree on with other workers but the document.
            SipHasher13::new().hash(configuration)
        })
    }
}

/// Compiles a document at once; what looks for problems is left out where it has been done before.
fn compile(configuration: &[u8], seeds: Seeds, proof: Proof) -> Result<Pipeline, Problems> {
    let proven = proof
        .is_known()
        .then(|| pace::at_once(Pipeline::from_proven_json(configuration.to_vec(), seeds, Pace::unbroken())));
    match proven {
        Some(Ok(pipeline)) => Ok(pipeline),
        _ => Pipeline::from_json(configuration, seeds),
    }
}

fn read_or_make_seed(fresh: u64) -> HostResult<u64> {
    let read = || {
        let seed = calls::shared_data(SHARED_SEED)?.and_then(|(seed, _)| seed.try_into().ok());
        Ok(seed.map(u64::from_le_bytes))
    };
    if let Some(seed) = read()? {
        return Ok(seed);
    }
    calls::set_shared_data(SHARED_SEED, &fresh.to_le_bytes(), 0)?;
    // Whoever came last has won.
    read()?.ok_or(HostError::NotFound)
}

fn refuse_configuration(problem: &str) {
    log::error!("configuration refused: {problem}");
}
