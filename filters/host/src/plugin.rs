//! One configuration in one worker: what a root context does.

use crate::callouts::{Asker, Callouts, Ended, GRACE, Protocol};
use crate::calls::{self, HeaderMapType, HostError, HostResult};
use crate::carry_out::{self, Carried};
use crate::counters::{Counters, FLUSH_AFTER, decision_counter};
use crate::environment::HostEnvironment;
use crate::faults::Faults;
use crate::loading::{Loading, SHORT};
use crate::logger;
use crate::proven::Proof;
use crate::resources::Resources;
use crate::stream::Kept;
use crate::succession::Succession;
use crate::timer::Timer;
use crate::waits::{Awaits, MOST_RELEASED, Waiting, Waits};
use siphasher::sip::SipHasher13;
use sluice_core::decision::environment::Environment;
use sluice_core::decision::reason::ReasonId;
use sluice_core::decision::wait::{Answer, Call, CallFailure, HttpAnswer, Wait};
use sluice_core::document::pace::{self, Pace};
use sluice_core::document::problem::Problems;
use sluice_core::http::header_map::HeaderMap;
use sluice_pipeline::{FollowUps, Followed, Pipeline, Scratch, Seeds, Step, Suspended};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// Where in shared data the seed stands that all workers use.
const SHARED_SEED: &str = "sluice/seed";

/// The largest answer of a call that is read, in bytes.
const LARGEST_ANSWER: usize = 4 << 20;

/// How long until a waiting request is tried again that the host did not let us speak of, in nanoseconds.
const TRY_AGAIN_AFTER: u64 = 100_000_000;

/// A root context's state. Streams hold it with an `Rc`: on an update their old policy serves them to the end.
#[derive(Default)]
pub struct Plugin {
    /// The root context's number.
    context: u32,
    pipeline: RefCell<Option<Rc<Pipeline>>>,
    /// The host, as policies see it.
    pub environment: HostEnvironment,
    /// Reports what the host fails at.
    pub faults: Faults,
    work: Cell<Work>,
    counters: RefCell<Counters>,
    pub(crate) waits: RefCell<Waits>,
    pub(crate) resources: RefCell<Resources>,
    callouts: RefCell<Callouts>,
    pub(crate) loading: Loading,
    pub(crate) succession: Succession,
    /// Whether the policy is another's to end.
    borrowed: Cell<bool>,
    timer: Timer,
    /// When the policy is to begin; `None` once it has.
    begins: Cell<Option<u64>>,
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
    /// The state of the root context of this number.
    pub fn new(context: u32) -> Self {
        Self { context, ..Self::default() }
    }

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

    /// The root context's number.
    pub(crate) const fn context(&self) -> u32 {
        self.context
    }

    /// The policy; `None` before a configuration was accepted.
    pub fn pipeline(&self) -> Option<Rc<Pipeline>> {
        self.pipeline.borrow().clone()
    }

    /// The policy by which a request is served that has just come. The document's own, where it must not be another's.
    pub fn pipeline_for_request(&self) -> Option<Rc<Pipeline>> {
        if !self.is_idle() && !self.succession.admits() {
            self.load_all();
            if self.succession.is_adopted() {
                return None;
            }
        }
        self.pipeline()
    }

    /// Whether requests need not be looked at.
    pub fn is_idle(&self) -> bool {
        !self.succession.is_adopted()
            && self.pipeline.borrow().as_ref().is_some_and(|pipeline| pipeline.is_empty())
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

    /// Counts decisions of `pipeline`.
    pub fn count(&self, pipeline: &Rc<Pipeline>, decisions: &[ReasonId]) {
        if decisions.is_empty() {
            return;
        }
        let current = self.pipeline.borrow().as_ref().is_some_and(|current| Rc::ptr_eq(current, pipeline));
        let mut counters = self.counters.borrow_mut();
        for reason in decisions {
            if current {
                counters.count(*reason);
            } else if let Some(reason) = pipeline.reasons().get(*reason) {
                // A request that has waited is decided by the policy that it began with, whose ids mean nothing to the new one.
                counters.count_named(decision_counter(reason));
            }
        }
        self.schedule_flush(&mut counters);
    }

    /// Counts under a name.
    pub fn count_named(&self, name: String) {
        self.count_named_by(name, 1);
    }

    /// Counts what follow-ups of `pipeline` have decided.
    pub fn count_followed(&self, pipeline: &Rc<Pipeline>, followed: &Followed) {
        self.count(pipeline, &followed.decisions);
        followed.counters.iter().for_each(|counter| self.count_named(counter.clone()));
    }

    fn count_named_by(&self, name: String, by: u64) {
        let mut counters = self.counters.borrow_mut();
        counters.count_named_by(name, by);
        self.schedule_flush(&mut counters);
    }

    /// Counts something that only the host layer knows of.
    pub fn count_event(&self, event: &str) {
        self.count_named(format!("sluice_host_events.event.{event}"));
    }

    /// Has the request of `context` wait. What it asked for that has failed already is in `suspended`, which comes back where there is
    /// nothing to wait for.
    pub fn wait(
        &self,
        context: u32,
        wait: Wait,
        mut suspended: Box<Suspended>,
        pipeline: &Rc<Pipeline>,
        kept: &Rc<RefCell<Kept>>,
    ) -> Option<Box<Suspended>> {
        let now = calls::monotonic_nanoseconds();
        let waits = self.waits.borrow().has_room() && now.is_ok();
        let now = now.unwrap_or_default();
        if !waits {
            self.count_event("wait_over_bound");
        }
        let later =
            |duration: Duration| now.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        let mut until = now;
        let awaits = match wait {
            Wait::Pause(duration) => {
                until = later(duration);
                if !waits || !self.arm(now, until) {
                    suspended.add_pause();
                    return Some(suspended);
                }
                Awaits::Pause
            }
            Wait::Resource(awaited) => {
                until = later(awaited.within);
                let room = awaited.newer_than.is_none() || self.waits.borrow().has_room_for_newer();
                let kept = self.resources.borrow_mut().hasten(&awaited.key, now);
                if !waits || !room || !kept || !self.arm(now, now) {
                    suspended.add_waited(awaited);
                    return Some(suspended);
                }
                Awaits::Resource(awaited)
            }
            Wait::Calls(calls) => {
                let mut under_way = Vec::new();
                for call in calls {
                    match self.start_call(&call, Asker::Stream(context), context, now, waits) {
                        Ok(token) => {
                            until = until.max(later(call.timeout()).saturating_add(GRACE));
                            under_way.push((token, call));
                        }
                        Err(failure) => suspended.add_answer(call, Answer::Failed(failure)),
                    }
                }
                if under_way.is_empty() {
                    return Some(suspended);
                }
                // Where even this fails the host's own timeout still ends the calls.
                self.arm(now, until);
                Awaits::Calls(under_way)
            }
        };
        let (pipeline, kept) = (Rc::clone(pipeline), Rc::clone(kept));
        let waiting = Waiting { until, suspended, pipeline, kept, ready: false, awaits };
        self.waits.borrow_mut().add(context, waiting);
        None
    }

    /// The stream of `context` ends. If its request still waits, nobody waits for it any more; gives what is to happen at its end.
    pub fn leave(&self, context: u32) -> Option<(Rc<Pipeline>, FollowUps)> {
        let left = self.waits.borrow_mut().remove(context);
        left.map(|Waiting { pipeline, suspended, .. }| {
            self.count(&pipeline, &suspended.decisions_so_far());
            (pipeline, suspended.leave())
        })
    }

    /// Whether the request of `context` waits.
    pub fn is_waiting(&self, context: u32) -> bool {
        self.waits.borrow().has(context)
    }

    /// How many requests wait, and how many calls are under way.
    pub fn waiting(&self) -> (usize, usize) {
        (self.waits.borrow().len(), self.callouts.borrow().len())
    }

    /// How many sources are kept, and how many of them are being fetched.
    pub fn fetching(&self) -> (usize, usize) {
        self.resources.borrow().len()
    }

    /// An HTTP call has ended; without headers, it has failed.
    pub fn on_http_answer(&self, token: u32, headers: usize, body_size: usize) {
        let answer = match headers {
            0 => Answer::Failed(CallFailure::Unreachable),
            _ if body_size > LARGEST_ANSWER => Answer::Failed(CallFailure::TooLarge),
            _ => read_http_answer(),
        };
        self.on_answer(Protocol::Http, token, answer);
    }

    /// A gRPC call has ended with this status; where that is OK, with a message.
    pub fn on_grpc_answer(&self, token: u32, status: u32, message_size: usize) {
        let answer = match status {
            0 if message_size > LARGEST_ANSWER => Answer::Failed(CallFailure::TooLarge),
            0 => calls::grpc_message(message_size)
                .map_or(Answer::Failed(CallFailure::Unreachable), Answer::Grpc),
            // UNAVAILABLE and DEADLINE_EXCEEDED are what Envoy itself says where it can't reach a service in time.
            14 => Answer::Failed(CallFailure::Unreachable),
            4 => Answer::Failed(CallFailure::TimedOut),
            status => Answer::Failed(CallFailure::GrpcStatus(status)),
        };
        self.on_answer(Protocol::Grpc, token, answer);
    }

    fn on_answer(&self, protocol: Protocol, token: u32, answer: Answer) {
        self.environment.begin_phase();
        let now = calls::monotonic_nanoseconds().unwrap_or_default();
        let ended = self.callouts.borrow_mut().end(protocol, token, answer, now);
        if let Some(ended) = ended {
            self.ended(token, ended, now);
        }
    }

    /// Tells the asker of a call that has ended.
    fn ended(&self, token: u32, ended: Ended, now: u64) {
        let Ended { asker, answer, counters } = ended;
        for (name, by) in counters {
            self.count_named_by(name, by);
        }
        match asker {
            Asker::Stream(context) => {
                let ready = self.waits.borrow_mut().answer(context, token, answer);
                if let Some(waiting) = ready {
                    self.go_on(context, waiting, now);
                }
            }
            Asker::Resource(ticket) => self.on_resource_answer(ticket, &answer, now),
        }
    }

    pub(crate) fn start_call(
        &self,
        call: &Call,
        asker: Asker,
        effective: u32,
        now: u64,
        admitted: bool,
    ) -> Result<u32, CallFailure> {
        if !admitted {
            return Err(CallFailure::NotTried);
        }
        self.callouts.borrow_mut().start(call, asker, now, self.context, effective)
    }

    /// Goes on with a request that has got what it waited for.
    fn go_on(&self, context: u32, waiting: Waiting, now: u64) {
        match calls::set_effective_context(context) {
            Ok(()) => {}
            // Streams that ended have taken their entries with them; this is for one that the host dropped without telling.
            Err(HostError::BadArgument | HostError::NotFound) => return,
            Err(error) => {
                self.faults.report("turning to a waiting request", error);
                let until = now.saturating_add(TRY_AGAIN_AFTER);
                self.waits.borrow_mut().add(context, Waiting { until, ..waiting });
                self.arm(now, until);
                return;
            }
        }
        let Waiting { suspended, pipeline, kept, .. } = waiting;
        let mut work = self.take_work();
        let mut step = pipeline.resume(suspended, &self.environment, &mut work.scratch);
        let decided = loop {
            match step {
                Step::Decided(decided) => break Some(decided),
                Step::Waiting(wait, suspended) => {
                    match self.wait(context, wait, suspended, &pipeline, &kept) {
                        None => break None,
                        Some(suspended) => {
                            step = pipeline.resume(suspended, &self.environment, &mut work.scratch);
                        }
                    }
                }
            }
        };
        self.give_back(work);
        let Some(mut decided) = decided else { return };
        let headers = decided.headers.take().unwrap_or_default();
        let (mut carried, mut outlives) = carry_out::decided(self, &pipeline, &headers, decided);
        let held = kept.borrow_mut().held.take();
        if let (Carried::GoesOn, Some(part), Some((_, follow_ups))) =
            (carried, held, &mut outlives.follow_ups)
        {
            carried = carry_out::request_body(self, &pipeline, follow_ups, part);
        }
        *kept.borrow_mut() = outlives;
        if carried == Carried::GoesOn
            && let Err(error) = calls::continue_request()
        {
            carry_out::refuse(self, "not_resumable", 500, error);
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
            logger::follow_level();
        }
        if self.begins.get().is_some_and(|due| due <= now) {
            self.begins.set(None);
            if let Some(pipeline) = self.pipeline() {
                pipeline.start(&self.environment);
            }
        }
        let given_up = self.callouts.borrow_mut().give_up(now);
        self.timer.fired();
        if self.loading.due().is_some_and(|due| due <= now) {
            self.load_slice();
        }
        for Ended { asker, answer, counters } in given_up {
            for (name, by) in counters {
                self.count_named_by(name, by);
            }
            // A request's wait ends by itself.
            if let Asker::Resource(ticket) = asker {
                self.on_resource_answer(ticket, &answer, now);
            }
        }
        self.tend_resources(now);
        // One at a time: nothing here is borrowed while the host is called.
        for _ in 0..MOST_RELEASED {
            let Some((context, mut waiting)) = self.waits.borrow_mut().take_due(now) else { break };
            waiting.end();
            self.go_on(context, waiting, now);
        }
        // To go on with a request has made its context the effective one.
        let _ = calls::set_effective_context(self.context);
        let next = [
            self.waits.borrow().next(),
            self.callouts.borrow().next(),
            self.resources.borrow().next(),
            self.counters.borrow().due(),
            self.begins.get(),
            self.loading.due(),
        ];
        self.faults.note("setting the timer", self.timer.rearm(now, next.into_iter().flatten().min()));
    }

    /// The root context goes: Envoy has drained its streams.
    pub fn retire(&self) {
        self.flush();
        self.stop_loading();
        if let Some(pipeline) = self.pipeline.take() {
            self.let_go(pipeline, !self.borrowed.get());
        }
        self.leave_resources();
        self.timer.stop();
    }

    /// Has the timer fire at `until` at the latest. Says whether it will.
    pub(crate) fn arm(&self, now: u64, until: u64) -> bool {
        let armed = self.timer.arm(now, until);
        self.faults.note("setting the timer", armed);
        armed.is_ok()
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

/// What the host tells of an HTTP call's answer. Envoy answers calls that it could not make by itself, as it answers a client: such an answer
/// is none of the service's.
fn read_http_answer() -> Answer {
    let mut headers = HeaderMap::default();
    let read = calls::header_pairs(HeaderMapType::HttpCallResponse)
        .and_then(|buffer| headers.read(buffer).map_err(|_| HostError::BadArgument))
        .and_then(|()| calls::http_call_body(LARGEST_ANSWER));
    let Ok(body) = read else { return Answer::Failed(CallFailure::Unreachable) };
    let status = headers.first(":status").and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
    match status {
        None => Answer::Failed(CallFailure::Unreachable),
        Some(503) if envoys_own(&body) => Answer::Failed(CallFailure::Unreachable),
        Some(504) if body == b"upstream request timeout" => Answer::Failed(CallFailure::TimedOut),
        Some(status) => Answer::Http(HttpAnswer { status, headers, body }),
    }
}

/// Whether Envoy's router says that it did not get through (`source/common/router/router.cc`).
fn envoys_own(body: &[u8]) -> bool {
    body == b"no healthy upstream"
        || body.starts_with(b"upstream connect error or disconnect/reset before headers")
}
