//! One configuration in one worker: what a root context does.

use crate::apply;
use crate::calls::{self, HostError, HostResult, LogLevel};
use crate::counters::{Counters, FLUSH_AFTER};
use crate::delays::{Delays, Full, Waiting};
use crate::environment::HostEnvironment;
use crate::faults::Faults;
use crate::timer::Timer;
use siphasher::sip::SipHasher13;
use sluice_core::environment::Environment;
use sluice_core::header_map::HeaderMap;
use sluice_core::reason::ReasonId;
use sluice_pipeline::{Pipeline, Reply, Scratch, Seeds};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// Where in shared data the seed stands that all workers use.
const SHARED_SEED: &str = "sluice/seed";

/// A root context's state. Streams hold it with an `Rc`: on an update their old policy serves them to the end.
#[derive(Default)]
pub struct Plugin {
    pipeline: RefCell<Option<Rc<Pipeline>>>,
    /// The host, as policies see it.
    pub environment: HostEnvironment,
    /// Reports what the host fails at.
    pub faults: Faults,
    work: Cell<Work>,
    counters: RefCell<Counters>,
    delays: RefCell<Delays>,
    timer: Timer,
    /// When the policy is to begin; `None` once it has.
    begins: Cell<Option<u64>>,
    warned_unlogged: Cell<bool>,
}

/// How soon after a configuration was accepted its policy begins, in nanoseconds. Not at once: Envoy's main thread tries each configuration
/// in a VM that it throws away without a word, and no timer of which fires.
const BEGIN_AFTER: u64 = 1_000_000;

/// Memory that requests use one after another.
#[derive(Debug, Default)]
pub struct Work {
    /// The request's headers.
    pub headers: HeaderMap,
    /// The pipeline's own.
    pub scratch: Scratch,
}

impl Plugin {
    /// The configuration has arrived. Says whether it is accepted; what is wrong with it goes into the log, for Envoy tells nobody more
    /// than that it was refused.
    pub fn on_configure(&self) -> bool {
        let configuration = match calls::plugin_configuration() {
            Ok(configuration) => configuration,
            Err(error) => {
                refuse_configuration(&format!("the host does not hand it over: {error}"));
                return false;
            }
        };
        let seeds = Seeds { local: self.environment.random(), shared: self.shared_seed(&configuration) };
        let pipeline = match Pipeline::from_json(&configuration, seeds) {
            Ok(pipeline) => pipeline,
            Err(problems) => {
                for problem in problems.iter() {
                    refuse_configuration(&problem.to_string());
                }
                return false;
            }
        };
        for warning in pipeline.warnings() {
            // Served all the same: whether this can be said changes nothing.
            let _ = calls::log(LogLevel::Warn, &format!("sluice: configuration: {warning}"));
        }
        self.flush();
        self.counters.replace(Counters::new(pipeline.reasons()));
        let begins = pipeline.is_told_of_its_life();
        let former = self.pipeline.replace(Some(Rc::new(pipeline)));
        if begins {
            self.begin_soon();
        }
        if let Some(former) = former {
            self.environment.begin_phase();
            former.end(&self.environment);
        }
        true
    }

    fn begin_soon(&self) {
        let armed = calls::monotonic_nanoseconds().and_then(|now| {
            let due = now.saturating_add(BEGIN_AFTER);
            self.timer.arm(now, due).map(|()| self.begins.set(Some(due)))
        });
        self.faults.note("setting the timer", armed);
    }

    /// The policy; `None` before a configuration was accepted.
    pub fn pipeline(&self) -> Option<Rc<Pipeline>> {
        self.pipeline.borrow().clone()
    }

    /// Whether requests need not be looked at.
    pub fn is_idle(&self) -> bool {
        self.pipeline.borrow().as_ref().is_some_and(|pipeline| pipeline.is_empty())
    }

    /// Memory for a request, to be [given back](Self::give_back).
    pub fn take_work(&self) -> Work {
        self.work.take()
    }

    /// Takes a request's memory back; its headers, credentials among them, go.
    pub fn give_back(&self, mut work: Work) {
        drop(work.headers.take_buffer());
        self.work.set(work);
    }

    /// Counts decisions.
    pub fn count(&self, decisions: &[ReasonId]) {
        if decisions.is_empty() {
            return;
        }
        let mut counters = self.counters.borrow_mut();
        for reason in decisions {
            counters.count(*reason);
        }
        self.schedule_flush(&mut counters);
    }

    /// Counts under a name.
    pub fn count_named(&self, name: String) {
        let mut counters = self.counters.borrow_mut();
        counters.count_named(name);
        self.schedule_flush(&mut counters);
    }

    /// Counts something that only the host layer knows of.
    pub fn count_event(&self, event: &str) {
        self.count_named(format!("sluice_host_events.event.{event}"));
    }

    /// Has the request of `context` wait, and answers or releases it then.
    ///
    /// # Errors
    /// [`Full`] where it must not wait: too many do, or there is no timer.
    pub fn delay(&self, context: u32, duration: Duration, then: Option<Reply>) -> Result<Waiting, Full> {
        let Ok(now) = calls::monotonic_nanoseconds() else { return Err(Full(then)) };
        let until = now.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        let waiting = Waiting { until, context };
        if let Err(error) = self.timer.arm(now, until) {
            self.faults.report("setting the timer", error);
            return Err(Full(then));
        }
        self.delays.borrow_mut().add(waiting, then).map(|()| waiting)
    }

    /// A stream that waited has ended.
    pub fn forget(&self, waiting: &Waiting) {
        self.delays.borrow_mut().remove(waiting);
    }

    /// A request that was to be counted has ended without its end being told. Said once: the module can't change its edition.
    pub fn warn_unlogged(&self) {
        if !self.warned_unlogged.replace(true) {
            let warning = "sluice: telemetry.labels: responses are not counted: this edition of the module is not told of their end";
            let _ = calls::log(LogLevel::Warn, warning);
        }
    }

    /// The timer has fired.
    pub fn on_tick(&self) {
        self.environment.begin_phase();
        let now = match calls::monotonic_nanoseconds() {
            Ok(now) => now,
            // The timer stays as it is, and fires again.
            Err(error) => return self.faults.report("reading the clock", error),
        };
        if self.counters.borrow().due().is_some_and(|due| due <= now) {
            self.flush();
        }
        // Taken out before any is released: nothing here is borrowed while the host is called.
        let due = self.delays.borrow_mut().take_due(now);
        if self.begins.get().is_some_and(|due| due <= now) {
            self.begins.set(None);
            if let Some(pipeline) = self.pipeline() {
                pipeline.start(&self.environment);
            }
        }
        let next = [self.delays.borrow().next(), self.counters.borrow().due(), self.begins.get()];
        let next = next.into_iter().flatten().min();
        // Before releasing, which has the calls that follow speak of the streams.
        self.faults.note("setting the timer", self.timer.rearm(now, next));
        for (context, then) in due {
            self.release(context, then.as_ref());
        }
    }

    /// The root context goes: Envoy has drained its streams.
    pub fn retire(&self) {
        self.flush();
        if let Some(pipeline) = self.pipeline() {
            self.environment.begin_phase();
            pipeline.end(&self.environment);
        }
        self.timer.stop();
    }

    fn release(&self, context: u32, then: Option<&Reply>) {
        // Streams that ended have taken their entries with them; this is for one that the host dropped without telling.
        if calls::set_effective_context(context).is_err() {
            return;
        }
        let released = match then {
            Some(reply) => apply::answer(reply),
            None => calls::continue_request(),
        };
        self.faults.note("releasing a delayed request", released);
    }

    fn schedule_flush(&self, counters: &mut Counters) {
        if counters.due().is_some() {
            return;
        }
        let armed = calls::monotonic_nanoseconds().and_then(|now| {
            let due = now.saturating_add(FLUSH_AFTER);
            self.timer.arm(now, due).map(|()| counters.set_due(due))
        });
        self.faults.note("setting the timer", armed);
    }

    fn flush(&self) {
        let pipeline = self.pipeline.borrow();
        if let Some(pipeline) = pipeline.as_ref() {
            let flushed = self.counters.borrow_mut().flush(pipeline.reasons());
            self.faults.note("counting", flushed);
        }
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
    // Where logging fails, that it is refused shows nevertheless.
    let _ = calls::log(LogLevel::Error, &format!("sluice: configuration refused: {problem}"));
}
