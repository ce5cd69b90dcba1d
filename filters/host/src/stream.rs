//! One request: what a stream's context does.

use crate::apply;
use crate::calls::{self, HeaderMapType, HostError};
use crate::delays::{Full, Waiting};
use crate::plugin::{Plugin, Work};
use sluice_core::header::{HeaderName, HeaderValue};
use sluice_pipeline::{Action, Decided, Labels, Pipeline, Reply};
use std::rc::Rc;

/// The filter state that the access log shows with `%FILTER_STATE(wasm.sluice.decision:PLAIN)%`.
const DECISION: &str = "sluice.decision";
/// The status of the response, as a 64-bit integer.
const RESPONSE_CODE: &str = "response\0code";

/// Whether a request goes on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Continue,
    /// It waits, or is being answered.
    Pause,
}

/// Why the host layer answers a request by itself. The answers have no body: whether the request is gRPC is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No configuration was accepted, and the host sends requests all the same.
    NotConfigured,
    /// The host did not give the headers, or gave what contradicts itself.
    HeadersUnreadable,
    /// The host did not make a change: a header may have stayed that a client forged.
    HeadersUnchangeable,
}

impl Refusal {
    const fn name(self) -> &'static str {
        match self {
            Refusal::NotConfigured => "not_configured",
            Refusal::HeadersUnreadable => "headers_unreadable",
            Refusal::HeadersUnchangeable => "headers_unchangeable",
        }
    }

    const fn status(self) -> u16 {
        match self {
            Refusal::NotConfigured => 503,
            Refusal::HeadersUnreadable | Refusal::HeadersUnchangeable => 500,
        }
    }
}

/// See the module.
pub struct Stream {
    context: u32,
    plugin: Rc<Plugin>,
    response_headers: Vec<(HeaderName, HeaderValue)>,
    /// With the policy that made them, for no other understands them.
    labels: Option<(Rc<Pipeline>, Labels)>,
    waiting: Option<Waiting>,
}

impl Stream {
    /// The stream of `context`.
    pub fn new(context: u32, plugin: Rc<Plugin>) -> Self {
        Self { context, plugin, response_headers: Vec::new(), labels: None, waiting: None }
    }

    /// The request's headers have arrived.
    pub fn on_request_headers(&mut self) -> Flow {
        let Some(pipeline) = self.plugin.pipeline() else {
            return self.refuse(Refusal::NotConfigured, HostError::NotFound);
        };
        if pipeline.is_empty() {
            return Flow::Continue;
        }
        self.plugin.environment.begin_phase();
        let mut work = self.plugin.take_work();
        let flow = self.decide(&pipeline, &mut work);
        self.plugin.give_back(work);
        flow
    }

    /// The response's headers have arrived; the host's own answers come through here as well.
    pub fn on_response_headers(&mut self) {
        if !self.response_headers.is_empty() {
            let headers = std::mem::take(&mut self.response_headers);
            self.plugin.faults.note("changing a response", apply::change_response(&headers));
        }
    }

    /// The request is over and its access log is being written.
    pub fn on_log(&mut self) {
        let Some((pipeline, labels)) = self.labels.take() else { return };
        // A client that left before there was a response has no status.
        let status = match calls::property(RESPONSE_CODE) {
            Ok(code) => code.and_then(|code| code.try_into().ok()).map_or(0, i64::from_le_bytes),
            Err(error) => return self.plugin.faults.report("reading the response's status", error),
        };
        let status = u16::try_from(status).unwrap_or(0);
        if let Some(counter) = pipeline.on_complete(&labels, status) {
            self.plugin.count_named(counter);
        }
    }

    fn decide(&mut self, pipeline: &Rc<Pipeline>, work: &mut Work) -> Flow {
        let read = calls::header_pairs(HeaderMapType::Request)
            .and_then(|buffer| work.headers.read(buffer).map_err(|_| HostError::BadArgument));
        if let Err(error) = read {
            return self.refuse(Refusal::HeadersUnreadable, error);
        }
        let decided = pipeline.on_request(&work.headers, &self.plugin.environment, &mut work.scratch);
        let Decided { action, mut mutations, decisions, summary, labels } = decided;
        self.plugin.count(&decisions);
        self.labels = labels.map(|labels| (Rc::clone(pipeline), labels));
        if pipeline.publishes_decision() {
            let published = calls::set_property(DECISION, summary.as_bytes());
            self.plugin.faults.note("publishing a decision", published);
        }
        if matches!(action, Action::Continue | Action::Delay { then: None, .. }) {
            // Before a delay, not after it: once a request was resumed its headers are out of reach.
            if let Err(error) = apply::change_request(&work.headers, &mutations) {
                return self.refuse(Refusal::HeadersUnchangeable, error);
            }
            self.response_headers = mutations.take_response_headers();
        } else {
            // What the access log shows of a request that is answered. The answer is given whether that succeeds or not.
            let changed = apply::change_request(&work.headers, &mutations);
            self.plugin.faults.note("changing an answered request", changed);
        }
        match action {
            Action::Continue => Flow::Continue,
            Action::Respond(reply) => self.answer(&reply),
            Action::Delay { duration, then } => match self.plugin.delay(self.context, duration, then) {
                Ok(waiting) => {
                    self.waiting = Some(waiting);
                    Flow::Pause
                }
                Err(Full(then)) => {
                    self.plugin.count_event("delay_over_bound");
                    then.map_or(Flow::Continue, |reply| self.answer(&reply))
                }
            },
        }
    }

    fn answer(&self, reply: &Reply) -> Flow {
        self.plugin.faults.note("answering a request", apply::answer(reply));
        Flow::Pause
    }

    fn refuse(&self, refusal: Refusal, error: HostError) -> Flow {
        self.plugin.faults.report(refusal.name(), error);
        self.plugin.count_event(refusal.name());
        let details = format!("host.{}", refusal.name());
        let (headers, body) = (Vec::new(), Vec::new());
        self.answer(&Reply { status: refusal.status(), details, headers, body, grpc_status: None })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(waiting) = &self.waiting {
            self.plugin.forget(waiting);
        }
        if self.labels.is_some() {
            // `on_log` comes before the end, in an edition of the module that has it.
            self.plugin.warn_unlogged();
        }
    }
}
