//! What was decided about a request is carried out: counted, published, its headers changed or its answer sent.

use crate::apply;
use crate::calls::{self, HeaderMapType, HostError};
use crate::plugin::Plugin;
use crate::stream::Kept;
use sluice_core::decision::follow_up::{BodyPart, Phase};
use sluice_core::decision::reason::ReasonId;
use sluice_core::decision::verdict::Mutations;
use sluice_core::http::header_map::HeaderMap;
use sluice_pipeline::{Action, Decided, FollowUps, Followed, Pipeline, Reply};
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
    let Decided { action, mutations, decisions, counters, summary, follow_ups, headers: _ } = decided;
    if log::log_enabled!(log::Level::Debug) {
        log::debug!(
            "{}",
            Told { pipeline, headers, decisions: &decisions, action: &action, mutations: &mutations }
        );
    }
    plugin.count(pipeline, &decisions);
    counters.into_iter().for_each(|counter| plugin.count_named(counter));
    publish(plugin, pipeline, &summary);
    let follow_ups = follow_ups.wait_for_any().then(|| (Rc::clone(pipeline), follow_ups));
    let carried = match action {
        Action::Continue => match apply::change_request(headers, &mutations) {
            Ok(()) => Carried::GoesOn,
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
    (carried, Kept { follow_ups, held: None })
}

fn publish(plugin: &Plugin, pipeline: &Pipeline, summary: &str) {
    if pipeline.publishes_decision() {
        let published = calls::set_property(DECISION, summary.as_bytes());
        plugin.faults.note("publishing a decision", published);
    }
}

/// A part of the body of the effective context's request has come.
pub fn request_body(
    plugin: &Plugin,
    pipeline: &Rc<Pipeline>,
    follow_ups: &mut FollowUps,
    part: BodyPart,
) -> Carried {
    if !follow_ups.wait_for(Phase::RequestBody) {
        return Carried::GoesOn;
    }
    plugin.environment.begin_phase();
    let followed = pipeline.on_request_body(follow_ups, part, &plugin.environment);
    plugin.count_followed(pipeline, &followed);
    let Followed { reply: Some(reply), summary, .. } = followed else { return Carried::GoesOn };
    publish(plugin, pipeline, &summary);
    plugin.faults.note("answering a request", apply::answer(&reply));
    Carried::Answered
}

/// The headers of the effective context's response have come.
pub fn response(plugin: &Plugin, pipeline: &Rc<Pipeline>, follow_ups: &mut FollowUps) {
    if !follow_ups.look_at_response() {
        let headers = follow_ups.take_headers();
        return plugin.faults.note("changing a response", apply::set_response_headers(&headers));
    }
    let mut headers = HeaderMap::default();
    let read = calls::header_pairs(HeaderMapType::Response)
        .and_then(|buffer| headers.read(buffer).map_err(|_| HostError::BadArgument));
    if let Err(error) = read {
        return plugin.faults.report("reading a response", error);
    }
    let status = headers.first(":status").and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
    plugin.environment.begin_phase();
    let followed =
        pipeline.on_response(follow_ups, status.unwrap_or_default(), &headers, &plugin.environment);
    plugin.count_followed(pipeline, &followed);
    plugin.faults.note("changing a response", apply::edit_response(&followed.edits));
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
