//! The stage that continues or starts traces.

use crate::traceparent::TraceParent;
use crate::tracestate;
use sluice_core::compile::{Compiler, Position, Stage};
use sluice_core::exchange::Exchange;
use sluice_core::header::{HeaderName, HeaderValue};
use sluice_core::header_map::Single;
use sluice_core::reason::{Outcome, ReasonId, Section};
use sluice_core::scalar::Percentage;
use sluice_core::verdict::{Mutations, Verdict};

/// See the module. Never keeps a request from going on.
pub(crate) struct TraceStage {
    restart: bool,
    sampling: Percentage,
    traceparent: HeaderName,
    tracestate: HeaderName,
    continued: ReasonId,
    started: ReasonId,
    restarted: ReasonId,
    state_dropped: ReasonId,
}

impl TraceStage {
    pub(crate) fn new(restart: bool, sampling: Percentage, compiler: &mut Compiler) -> Self {
        // Allowed, not changed: that a trace begins is no news for the access log.
        let mut reason = |text| compiler.reason(Section::Telemetry, Outcome::Allowed, text);
        Self {
            restart,
            sampling,
            traceparent: HeaderName::from_static("traceparent"),
            tracestate: HeaderName::from_static("tracestate"),
            continued: reason("trace_continued"),
            started: reason("trace_started"),
            restarted: reason("trace_restarted"),
            state_dropped: reason("tracestate_dropped"),
        }
    }

    fn start(&self, exchange: &Exchange<'_>, mutations: &mut Mutations) {
        let environment = exchange.environment();
        let random = [environment.random(), environment.random(), environment.random()];
        let sampled = match self.sampling.millionths() {
            0 => false,
            _ if self.sampling == Percentage::ALL => true,
            _ => self.sampling.takes(environment.random()),
        };
        let parent = TraceParent::start(random, sampled);
        exchange.note(|| format!("a trace starts here: {parent}"));
        if let Ok(value) = HeaderValue::new(&parent.to_text()) {
            mutations.set_request_header(self.traceparent.clone(), value);
        }
        // §3.3: it belongs to the trace that does not go on.
        if exchange.request().headers().first("tracestate").is_some() {
            mutations.remove_request_header(self.tracestate.clone());
        }
    }
}

impl Stage for TraceStage {
    fn section(&self) -> Section {
        Section::Telemetry
    }

    fn position(&self) -> Position {
        Position::Trace
    }

    fn decide(&self, exchange: &mut Exchange<'_>, mutations: &mut Mutations) -> Verdict {
        let headers = exchange.request().headers();
        let sent = headers.single("traceparent");
        let valid = matches!(sent, Single::Once(value) if TraceParent::parse(value).is_some());
        if valid && !self.restart {
            exchange.note(|| "`traceparent` is valid: the trace goes on".to_owned());
            exchange.record(self.continued);
            if !tracestate::is_valid(headers) {
                exchange.note(|| "`tracestate` is malformed and removed".to_owned());
                exchange.record(self.state_dropped);
                mutations.remove_request_header(self.tracestate.clone());
            }
            return Verdict::Continue;
        }
        if sent == Single::Absent {
            exchange.record(self.started);
        } else {
            exchange.note(|| {
                let why =
                    if valid { "not believed here (`context: restart`)" } else { "malformed or repeated" };
                format!("`traceparent` is {why}")
            });
            exchange.record(self.restarted);
        }
        self.start(exchange, mutations);
        Verdict::Continue
    }
}
