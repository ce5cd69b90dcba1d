//! Calls of clusters: bounded in number, with a circuit for each cluster, and accounted for until the host has answered or can't any more.
//!
//! A call belongs to the root context while it is under way, also one that a stream asked for: the host would cancel a stream's calls when
//! it ends, and the SDK's table of them would then never be cleaned. Whoever has left is not found any more when the answer comes.

use crate::calls::{self, HostResult};
use sluice_core::decision::wait::{Answer, Call, CallFailure};
use std::collections::HashMap;
use std::rc::Rc;

/// How many calls of one cluster may be under way at once in one worker.
pub const MOST_IN_FLIGHT: u32 = 1_024;

/// How many failures in a row open a cluster's circuit.
const FAILURES: u32 = 5;

/// How long a circuit is open at first, in nanoseconds; twice as long after each try that fails again.
const FIRST_BREAK: u64 = 500_000_000;

/// The longest time for which a circuit is open, in nanoseconds.
const LONGEST_BREAK: u64 = 30_000_000_000;

/// How long after its time a call is still waited for, in nanoseconds: the host tells of the timeout by itself.
pub const GRACE: u64 = 1_000_000_000;

/// The calls of one root context.
#[derive(Debug, Default)]
pub struct Callouts {
    clusters: HashMap<Rc<str>, Cluster>,
    /// By the host's number, apart for HTTP and gRPC: the host numbers all calls in one row, but promises nothing.
    under_way: HashMap<(Protocol, u32), UnderWay>,
}

/// How a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// An HTTP request.
    Http,
    /// A unary gRPC call.
    Grpc,
}

#[derive(Debug, Default)]
struct Cluster {
    in_flight: u32,
    failures: u32,
    /// While the circuit is open: since when and until when.
    open: Option<Break>,
    /// How long it is open the next time.
    next_break: u64,
}

/// A time in which no call is made.
#[derive(Clone, Copy, Debug)]
struct Break {
    since: u64,
    until: u64,
}

#[derive(Debug)]
struct UnderWay {
    cluster: Rc<str>,
    asker: Asker,
    started: u64,
    timeout: u64,
}

/// For whom a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The request of this context.
    Stream(u32),
    /// A shared resource: the number that its keeper gave the call.
    Resource(u64),
}

/// A call that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Who asked for it.
    pub asker: Asker,
    /// What came of it.
    pub answer: Answer,
    /// The counters of its cluster, and by how much they grow.
    pub counters: [(String, u64); 2],
}

// === impl Callouts ===

impl Callouts {
    /// Begins a call; `root` is the root context's number, `effective` that of the context that calls speak of now.
    ///
    /// # Errors
    /// [`CallFailure::NotTried`] and [`CallFailure::Refused`].
    pub fn start(
        &mut self,
        call: &Call,
        asker: Asker,
        now: u64,
        root: u32,
        effective: u32,
    ) -> Result<u32, CallFailure> {
        let name: Rc<str> = call.cluster().into();
        let cluster = self.clusters.entry(Rc::clone(&name)).or_default();
        if !cluster.admits(asker, now) {
            return Err(CallFailure::NotTried);
        }
        let begun = in_the_name_of(root, effective, || match call {
            Call::Http(call) => calls::http_call(call).map(|token| (Protocol::Http, token)),
            Call::Grpc(call) => calls::grpc_call(call).map(|token| (Protocol::Grpc, token)),
        });
        let Ok((protocol, token)) = begun else {
            cluster.failed(now, now);
            return Err(CallFailure::Refused);
        };
        cluster.in_flight = cluster.in_flight.saturating_add(1);
        let timeout = u64::try_from(call.timeout().as_nanos()).unwrap_or(u64::MAX);
        self.under_way.insert((protocol, token), UnderWay { cluster: name, asker, started: now, timeout });
        Ok(token)
    }

    /// A call has ended. `None` for one that is not known: it was given up.
    pub fn end(&mut self, protocol: Protocol, token: u32, answer: Answer, now: u64) -> Option<Ended> {
        let UnderWay { cluster: name, asker, started, timeout } =
            self.under_way.remove(&(protocol, token))?;
        let took = now.saturating_sub(started);
        let answer = match answer {
            // The host tells of a timeout as of any failure. Its timers count from when its event loop last looked at the clock, so under
            // load they end some milliseconds early.
            Answer::Failed(CallFailure::Unreachable) if took >= timeout.saturating_sub(timeout / 8) => {
                Answer::Failed(CallFailure::TimedOut)
            }
            answer => answer,
        };
        let outcome = match &answer {
            Answer::Http(answer) if answer.status >= 500 => "error",
            Answer::Http(_) | Answer::Grpc(_) => "answered",
            Answer::Failed(failure) => failure.name(),
        };
        if let Some(cluster) = self.clusters.get_mut(&name) {
            cluster.in_flight = cluster.in_flight.saturating_sub(1);
            match &answer {
                Answer::Failed(CallFailure::GrpcStatus(_)) | Answer::Http(_) | Answer::Grpc(_) => {
                    cluster.succeeded();
                }
                Answer::Failed(_) => cluster.failed(started, now),
            }
        }
        let counters = [
            (format!("sluice_callouts.cluster.{}.outcome.{outcome}", calls::plain(&name)), 1),
            (format!("sluice_callouts_microseconds.cluster.{}", calls::plain(&name)), took / 1_000),
        ];
        Some(Ended { asker, answer, counters })
    }

    /// Gives up the calls that the host should have ended long ago: their askers have left, or the host has lost them.
    pub fn give_up(&mut self, now: u64) -> Vec<Ended> {
        let late = |call: &UnderWay| now >= call.started.saturating_add(call.timeout).saturating_add(GRACE);
        let lost: Vec<(Protocol, u32)> =
            self.under_way.iter().filter(|(_, call)| late(call)).map(|(key, _)| *key).collect();
        let ended = |(protocol, token): (Protocol, u32)| {
            self.end(protocol, token, Answer::Failed(CallFailure::TimedOut), now)
        };
        lost.into_iter().filter_map(ended).collect()
    }

    /// When the next call is to be given up.
    pub fn next(&self) -> Option<u64> {
        let end = |call: &UnderWay| call.started.saturating_add(call.timeout).saturating_add(GRACE);
        self.under_way.values().map(end).min()
    }

    /// How many calls are under way.
    pub fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }
}

/// Makes a host call that is accounted to the root context, and turns back to the context that was effective before.
fn in_the_name_of<T>(root: u32, effective: u32, call: impl FnOnce() -> HostResult<T>) -> HostResult<T> {
    calls::set_effective_context(root)?;
    let result = call();
    calls::set_effective_context(effective)?;
    result
}

// === impl Cluster ===

impl Cluster {
    /// Whether one more call may be made. While the circuit is open, one at a time is let through once the break is over. A shared resource has
    /// pauses of its own, and one call at a time in the whole proxy: it is not to wait for two kinds of pauses.
    fn admits(&mut self, asker: Asker, now: u64) -> bool {
        if self.in_flight >= MOST_IN_FLIGHT {
            return false;
        }
        let waits = self.open.is_some_and(|open| now < open.until || self.in_flight > 0);
        !waits || matches!(asker, Asker::Resource(_))
    }

    fn succeeded(&mut self) {
        self.failures = 0;
        self.open = None;
        self.next_break = FIRST_BREAK;
    }

    /// A call that began at `started` has failed. One that was under way already when the circuit opened says nothing new: else a hundred
    /// that fail together would make a short trouble a long one.
    fn failed(&mut self, started: u64, now: u64) {
        if self.open.is_some_and(|open| started <= open.since) {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            let length = self.next_break.clamp(FIRST_BREAK, LONGEST_BREAK);
            self.open = Some(Break { since: now, until: now.saturating_add(length) });
            self.next_break = length.saturating_mul(2).min(LONGEST_BREAK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::stand_in::{self, StandIn};
    use sluice_core::decision::wait::{GrpcCall, HttpAnswer};
    use std::time::Duration;

    const SECOND: u64 = 1_000_000_000;

    fn call() -> Call {
        Call::Grpc(GrpcCall {
            cluster: "limits".into(),
            service: "s".into(),
            method: "m".into(),
            message: Rc::from([].as_slice()),
            timeout: Duration::from_secs(1),
        })
    }

    fn start(callouts: &mut Callouts, now: u64) -> Result<u32, CallFailure> {
        callouts.start(&call(), Asker::Stream(7), now, 1, 7)
    }

    fn failed() -> Answer {
        Answer::Failed(CallFailure::Unreachable)
    }

    #[test]
    fn a_call_is_the_root_contexts_and_the_stream_is_effective_again() {
        stand_in::install(StandIn { effective: 7, ..StandIn::default() });
        let mut callouts = Callouts::default();
        start(&mut callouts, 0).unwrap();
        stand_in::with(|host| {
            assert_eq!(host.called, ["set_effective_context", "grpc_call", "set_effective_context"]);
            assert_eq!(host.effective, 7);
            assert_eq!(host.sent.len(), 1);
        });
    }

    #[test]
    fn a_circuit_opens_after_failures_in_a_row_and_lets_one_try() {
        stand_in::install(StandIn::default());
        let mut callouts = Callouts::default();
        for _ in 0..FAILURES {
            let token = start(&mut callouts, 0).unwrap();
            callouts.end(Protocol::Grpc, token, failed(), 1).unwrap();
        }
        assert_eq!(start(&mut callouts, 2), Err(CallFailure::NotTried));
        let again = 1 + FIRST_BREAK;
        let token = start(&mut callouts, again).unwrap();
        assert_eq!(start(&mut callouts, again), Err(CallFailure::NotTried), "one at a time");
        callouts.end(Protocol::Grpc, token, failed(), again).unwrap();
        assert_eq!(start(&mut callouts, again + FIRST_BREAK), Err(CallFailure::NotTried), "twice as long");
        let token = start(&mut callouts, again + 2 * FIRST_BREAK).unwrap();
        callouts.end(Protocol::Grpc, token, Answer::Grpc(Vec::new()), again + 2 * FIRST_BREAK).unwrap();
        assert!(start(&mut callouts, again + 2 * FIRST_BREAK).is_ok());
    }

    #[test]
    fn calls_that_fail_together_open_a_circuit_once() {
        stand_in::install(StandIn::default());
        let mut callouts = Callouts::default();
        let tokens: Vec<u32> = (0..100).map(|_| start(&mut callouts, 0).unwrap()).collect();
        for (position, token) in (0..).zip(tokens) {
            // The fifth opens it, at 104.
            callouts.end(Protocol::Grpc, token, failed(), 100 + position).unwrap();
        }
        assert_eq!(start(&mut callouts, 104 + FIRST_BREAK - 1), Err(CallFailure::NotTried));
        let token = start(&mut callouts, 104 + FIRST_BREAK).unwrap();
        callouts.end(Protocol::Grpc, token, failed(), 200 + FIRST_BREAK).unwrap();
        assert_eq!(start(&mut callouts, 199 + 3 * FIRST_BREAK), Err(CallFailure::NotTried), "twice as long");
        assert!(start(&mut callouts, 200 + 3 * FIRST_BREAK).is_ok());
    }

    #[test]
    fn a_shared_resource_is_fetched_through_an_open_circuit_and_closes_it() {
        stand_in::install(StandIn::default());
        let mut callouts = Callouts::default();
        for _ in 0..FAILURES {
            let token = start(&mut callouts, 0).unwrap();
            callouts.end(Protocol::Grpc, token, failed(), 1).unwrap();
        }
        assert_eq!(start(&mut callouts, 2), Err(CallFailure::NotTried));
        let token = callouts.start(&call(), Asker::Resource(1), 2, 1, 1).unwrap();
        callouts.end(Protocol::Grpc, token, Answer::Grpc(Vec::new()), 3).unwrap();
        assert!(start(&mut callouts, 4).is_ok());
    }

    #[test]
    fn the_number_under_way_is_bounded_and_nothing_is_left_in_the_end() {
        stand_in::install(StandIn::default());
        let mut callouts = Callouts::default();
        let tokens: Vec<u32> = (0..MOST_IN_FLIGHT).map(|_| start(&mut callouts, 0).unwrap()).collect();
        assert_eq!(start(&mut callouts, 0), Err(CallFailure::NotTried));
        for token in &tokens[1..] {
            assert!(callouts.end(Protocol::Grpc, *token, Answer::Grpc(Vec::new()), 1).is_some());
            assert!(callouts.end(Protocol::Grpc, *token, Answer::Grpc(Vec::new()), 1).is_none(), "once");
        }
        assert_eq!(callouts.next(), Some(2 * SECOND));
        assert!(callouts.give_up(2 * SECOND - 1).is_empty());
        let given_up = callouts.give_up(2 * SECOND);
        assert!(matches!(given_up.as_slice(), [Ended { answer: Answer::Failed(CallFailure::TimedOut), .. }]));
        assert!(callouts.is_empty());
        assert!(start(&mut callouts, 2 * SECOND).is_ok());
    }

    #[test]
    fn an_answer_a_timeout_and_a_failure_are_told_apart_and_counted() {
        stand_in::install(StandIn::default());
        let mut callouts = Callouts::default();
        let http =
            |status| Answer::Http(HttpAnswer { status, headers: Default::default(), body: Vec::new() });
        for (answer, took, outcome) in [
            (Answer::Grpc(Vec::new()), 5_000, "answered"),
            (http(404), 0, "answered"),
            (http(500), 0, "error"),
            (failed(), SECOND / 8 * 7 - 1, "unreachable"),
            (failed(), SECOND / 8 * 7, "timed_out"),
            (failed(), SECOND, "timed_out"),
            (Answer::Failed(CallFailure::GrpcStatus(5)), 0, "grpc_error"),
        ] {
            let token = start(&mut callouts, 0).unwrap();
            let ended = callouts.end(Protocol::Grpc, token, answer, took).unwrap();
            assert_eq!(ended.asker, Asker::Stream(7));
            assert_eq!(ended.counters[0], (format!("sluice_callouts.cluster.limits.outcome.{outcome}"), 1));
            assert_eq!(ended.counters[1].1, took / 1_000);
        }
    }

    #[test]
    fn a_call_that_the_host_refuses_has_failed() {
        stand_in::install(StandIn::default());
        let mut callouts = Callouts::default();
        stand_in::with(|host| host.failing.insert("grpc_call"));
        assert_eq!(start(&mut callouts, 0), Err(CallFailure::Refused));
        assert!(callouts.is_empty());
    }
}
