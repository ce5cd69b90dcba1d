//! Continues or starts traces.

use crate::traceparent::TraceParent;
use crate::tracestate;
use crate::{PLACE, SECTION};
use sluice_core::decision::compile::{Compiler, Stage};
use sluice_core::decision::environment::Environment;
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::place::Place;
use sluice_core::decision::reason::{Outcome, ReasonId};
use sluice_core::decision::verdict::{Mutations, Verdict};
use sluice_core::document::scalar::Percentage;
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::http::header_map::{HeaderMap, Single};

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// What becomes of requests' trace contexts.
pub(crate) struct Tracer {
    restart: bool,
    sampling: Percentage,
    traceparent: HeaderName,
    tracestate: HeaderName,
    continued: ReasonId,
    started: ReasonId,
    restarted: ReasonId,
    state_dropped: ReasonId,
}

/// The stage. Never keeps a request from going on.
pub(crate) struct TraceStage(pub(crate) Tracer);

/// What becomes of one request's trace context.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traced {
    reason: ReasonId,
    /// Of a valid trace whose `tracestate` is malformed.
    state_dropped: Option<ReasonId>,
    /// The new trace; `None`: the one that was sent goes on.
    new: Option<TraceParent>,
    why: &'static str,
}

/// Whether a header belongs to the trace context.
pub fn is_trace_context(name: &HeaderName) -> bool {
    matches!(name.as_str(), TRACEPARENT | TRACESTATE)
}

/// The header that tells a client of the trace that was started for its request, for an answer that is given here: the metric `trace` of
/// `server-timing` (W3C Trace Context, draft of June 2026, §4). A client that sent a trace which goes on knows it already.
pub fn trace_of_answer(mutations: &Mutations) -> Option<(HeaderName, HeaderValue)> {
    let (_, new) = mutations.request_headers().iter().find(|(name, _)| name.as_str() == TRACEPARENT)?;
    let metric = [b"trace;desc=", new.as_ref()?.as_bytes()].concat();
    Some((HeaderName::from_static("server-timing"), HeaderValue::new(&metric).ok()?))
}

// === impl Tracer ===

impl Tracer {
    pub(crate) fn new(restart: bool, sampling: Percentage, compiler: &mut Compiler) -> Self {
        // Allowed, not changed: that a trace begins is no news for the access log.
        let mut reason = |text| compiler.reason(SECTION, Outcome::Allowed, text);
        Self {
            restart,
            sampling,
            traceparent: HeaderName::from_static(TRACEPARENT),
            tracestate: HeaderName::from_static(TRACESTATE),
            continued: reason("trace_continued"),
            started: reason("trace_started"),
            restarted: reason("trace_restarted"),
            state_dropped: reason("tracestate_dropped"),
        }
    }

    /// What becomes of the trace context of a request with these headers.
    pub(crate) fn trace(&self, headers: &HeaderMap, environment: &dyn Environment) -> Traced {
        let sent = headers.single(TRACEPARENT);
        let valid = matches!(sent, Single::Once(value) if TraceParent::parse(value).is_some());
        if valid && !self.restart {
            let state_dropped = (!tracestate::is_valid(headers)).then_some(self.state_dropped);
            return Traced {
                reason: self.continued,
                state_dropped,
                new: None,
                why: "is valid: the trace goes on",
            };
        }
        let new = Some(self.start(environment));
        let (reason, why) = match sent {
            Single::Absent => (self.started, "is absent"),
            _ if valid => (self.restarted, "is not believed here (`context: restart`)"),
            _ => (self.restarted, "is malformed or repeated"),
        };
        Traced { reason, state_dropped: None, new, why }
    }

    /// Asks for what has become of it.
    pub(crate) fn apply(&self, traced: &Traced, headers: &HeaderMap, mutations: &mut Mutations) {
        if let Some(value) = traced.new.and_then(|parent| HeaderValue::new(&parent.to_text()).ok()) {
            mutations.set_request_header(self.traceparent.clone(), value);
        }
        // §3.3: the state of a trace that does not go on does not either.
        let drops = traced.new.is_some() && headers.first(TRACESTATE).is_some();
        if drops || traced.state_dropped.is_some() {
            mutations.remove_request_header(self.tracestate.clone());
        }
    }

    fn start(&self, environment: &dyn Environment) -> TraceParent {
        let random = [environment.random(), environment.random(), environment.random()];
        let sampled = match self.sampling.millionths() {
            0 => false,
            _ if self.sampling == Percentage::ALL => true,
            _ => self.sampling.takes(environment.random()),
        };
        TraceParent::start(random, sampled)
    }
}

// === impl Traced ===

impl Traced {
    /// What was decided.
    pub(crate) fn reasons(&self) -> impl Iterator<Item = ReasonId> {
        std::iter::once(self.reason).chain(self.state_dropped)
    }
}

// === impl TraceStage ===

impl Stage for TraceStage {
    fn place(&self) -> Place {
        PLACE
    }

    fn decide(&self, exchange: &mut Exchange<'_>, mutations: &mut Mutations) -> Verdict {
        let headers = exchange.request().headers();
        let traced = self.0.trace(headers, exchange.environment());
        exchange.note(|| format!("`traceparent` {}", traced.why));
        if let Some(parent) = traced.new {
            exchange.note(|| format!("a trace starts here: {parent}"));
        }
        if traced.state_dropped.is_some() {
            exchange.note(|| "`tracestate` is malformed and removed".to_owned());
        }
        traced.reasons().for_each(|reason| exchange.record(reason));
        self.0.apply(&traced, headers, mutations);
        Verdict::Continue
    }
}
