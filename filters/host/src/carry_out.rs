//! What was decided about a request is carried out: counted, published, its headers changed or its answer sent.

use crate::apply;
use crate::calls::{self, HostError};
use crate::plugin::Plugin;
use crate::stream::Kept;
use sluice_core::decision::reason::ReasonId;
use sluice_core::decision::verdict::Mutations;
use sluice_core::http::header_map::HeaderMap;
use sluice_pipeline::{Action, Decided, Pipeline, Reply};
use std::fmt;
use std::rc::Rc;

/// The filter state that the access log shows with `%FILTER_STATE(wasm.sluice.decision:PLAIN)%`.
const DECISION: &str = "sluice.decision";

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// It goes on.
    GoesOn,
    /// It is being answered.
    Answered,
}

/// Carries out what was decided about the request of the effective context, whose headers are `headers`.
pub fn decided(
    plugin: &Plugin,
    pipeline: &Rc<Pipeline>,
    headers: &HeaderMap,
    decided: Decided,
) -> (Carried, Kept) {
    let Decided { action, mut mutations, decisions, summary, labels, headers: _ } = decided;
    if log::log_enabled!(log::Level::Debug) {
        log::debug!(
            "{}",
            Told { pipeline, headers, decisions: &decisions, action: &action, mutations: &mutations }
        );
    }
    plugin.count(pipeline, &decisions);
    let labels = labels.map(|labels| (Rc::clone(pipeline), labels));
    let mut kept = Kept { labels, ..Kept::default() };
    if pipeline.publishes_decision() {
        let published = calls::set_property(DECISION, summary.as_bytes());
        plugin.faults.note("publishing a decision", published);
    }
    let carried = match action {
        Action::Continue => match apply::change_request(headers, &mutations) {
            Ok(()) => {
                kept.response_headers = mutations.take_response_headers();
                Carried::GoesOn
            }
            // A header may have stayed that a client forged.
            Err(error) => {
                refuse(plugin, "headers_unchangeable", 500, error);
                Carried::Answered
            }
        },
        Action::Respond(reply) => {
            // What the access log shows of a request that is answered. The answer is given whether that succeeds or not.
            let changed = apply::change_request(headers, &mutations);
            plugin.faults.note("changing an answered request", changed);
            plugin.faults.note("answering a request", apply::answer(&reply));
            Carried::Answered
        }
    };
    (carried, kept)
}

/// Answers the request of the effective context by the host layer's own decision, `why`. The answer has no body: whether the request is
/// gRPC is not known.
pub fn refuse(plugin: &Plugin, why: &str, status: u16, error: HostError) {
    plugin.faults.report(why, error);
    plugin.count_event(why);
    let (headers, body) = (Vec::new(), Vec::new());
    let reply = Reply { status, details: format!("host.{why}"), headers, body, grpc_status: None };
    plugin.faults.note("answering a request", apply::answer(&reply));
}

/// A decision, for the log at the level debug: no query, no header's value, for those may be secret.
struct Told<'d> {
    pipeline: &'d Pipeline,
    headers: &'d HeaderMap,
    decisions: &'d [ReasonId],
    action: &'d Action,
    mutations: &'d Mutations,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pseudo = |name| self.headers.first(name).unwrap_or_default();
        let path = pseudo(":path").split(|byte| *byte == b'?').next().unwrap_or_default();
        let (method, host) = (pseudo(":method").escape_ascii(), pseudo(":authority").escape_ascii());
        write!(out, "{method} {host}{}: ", path.escape_ascii())?;
        match self.action {
            Action::Continue => out.write_str("goes on")?,
            Action::Respond(reply) => write!(out, "answered {}", reply.status)?,
        }
        for reason in self.decisions.iter().filter_map(|id| self.pipeline.reasons().get(*id)) {
            write!(out, ", {} {reason}", reason.outcome.as_str())?;
        }
        for (name, value) in self.mutations.request_headers() {
            let verb = if value.is_some() { "sets" } else { "removes" };
            write!(out, ", {verb} {name}")?;
        }
        for (name, _) in self.mutations.response_headers() {
            write!(out, ", sets {name} of the response")?;
        }
        Ok(())
    }
}
