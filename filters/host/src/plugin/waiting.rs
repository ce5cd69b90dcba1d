//! Requests that wait, the calls that they wait for, and how they go on.

use super::Plugin;
use crate::callouts::{Asker, Ended, GRACE, Protocol};
use crate::calls::{self, HeaderMapType, HostError};
use crate::carry_out::{self, Carried};
use crate::stream::Kept;
use crate::waits::{Awaits, Waiting};
use sluice_core::decision::wait::{Answer, Call, CallFailure, HttpAnswer, Wait};
use sluice_core::http::header_map::HeaderMap;
use sluice_pipeline::{FollowUps, Pipeline, Step, Suspended};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// The largest answer of a call that is read, in bytes.
const LARGEST_ANSWER: usize = 4 << 20;

/// How long until a waiting request is tried again that the host did not let us speak of, in nanoseconds.
const TRY_AGAIN_AFTER: u64 = 100_000_000;

impl Plugin {
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
    pub(super) fn go_on(&self, context: u32, waiting: Waiting, now: u64) {
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
