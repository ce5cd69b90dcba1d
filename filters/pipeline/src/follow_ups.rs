//! What stages left behind at a request, and what the pipeline does with it when its phase comes.

use crate::pipeline::Pipeline;
use crate::reply::Reply;
use sluice_core::decision::environment::Environment;
use sluice_core::decision::follow_up::{Aftermath, BodyPart, BodyVerdict, End, FollowUp, Phase, Phases};
use sluice_core::decision::reason::ReasonId;
use sluice_core::decision::response::{Edit, Response};
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::http::header_map::HeaderMap;

/// What is to happen to a request later, in the order of the stages that left it. Most requests have nothing of the kind, and no memory
/// is taken for it.
#[derive(Debug, Default)]
pub struct FollowUps {
    list: Vec<Box<dyn FollowUp>>,
    /// Headers that the response is to have, whatever it is.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The phases that are still to be told of.
    phases: Phases,
    grpc: bool,
}

/// What came of a phase.
#[derive(Debug, Default)]
pub struct Followed {
    /// Decisions, to be counted.
    pub decisions: Vec<ReasonId>,
    /// The names of counters, to be incremented.
    pub counters: Vec<String>,
    /// The answer to a request that does not go on, ready for the host.
    pub reply: Option<Reply>,
    /// For the access log, if the request is answered now; empty unless [`Pipeline::publishes_decision`].
    pub summary: String,
    /// What is to be changed about the response.
    pub edits: Vec<Edit>,
}

// === impl FollowUps ===

impl FollowUps {
    /// What stages left behind, at a request that is gRPC or not.
    pub fn new(list: Vec<Box<dyn FollowUp>>, grpc: bool) -> Self {
        let phases = list.iter().fold(Phases::NONE, |phases, follow_up| phases.and(follow_up.phases()));
        Self { list, headers: Vec::new(), phases, grpc }
    }

    /// The response is to have these headers.
    pub(crate) fn set_headers(&mut self, headers: Vec<(HeaderName, HeaderValue)>) {
        if !headers.is_empty() {
            self.headers = headers;
            self.phases.insert(Phase::Response);
        }
    }

    /// Whether there is anything to come.
    pub fn wait_for_any(&self) -> bool {
        self.phases != Phases::NONE
    }

    /// Whether there is anything to be told of `phase`.
    pub fn wait_for(&self, phase: Phase) -> bool {
        self.phases.has(phase)
    }

    /// Whether the headers that the response comes with must be read.
    pub fn look_at_response(&self) -> bool {
        self.waiting_for(Phase::Response).next().is_some()
    }

    /// Headers that the response is to have, where nobody wants to look at it before.
    pub fn take_headers(&mut self) -> Vec<(HeaderName, HeaderValue)> {
        self.phases = self.phases.without(Phase::Response);
        std::mem::take(&mut self.headers)
    }

    fn waiting_for(&self, phase: Phase) -> impl DoubleEndedIterator<Item = &dyn FollowUp> {
        self.list.iter().map(AsRef::as_ref).filter(move |follow_up| follow_up.phases().has(phase))
    }

    fn told_of(&mut self, phase: Phase) -> impl DoubleEndedIterator<Item = &mut Box<dyn FollowUp>> {
        self.list.iter_mut().filter(move |follow_up| follow_up.phases().has(phase))
    }

    /// An answer of ours is the response, and there will be no other: it gets the headers that policies set for every response, unless it
    /// says something else under their names, and what follow-ups make of it.
    pub(crate) fn answer(
        &mut self,
        reply: &mut Reply,
        headers: &[(HeaderName, HeaderValue)],
        aftermath: &mut Aftermath<'_>,
    ) {
        reply.add_headers(headers);
        if self.look_at_response() {
            let pairs = reply.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
            let map = HeaderMap::from_pairs(pairs);
            let mut response = Response::new(reply.status, &map);
            self.told_of(Phase::Response).rev().for_each(|one| one.on_response(&mut response, aftermath));
            let edits = response.into_edits();
            reply.edit(edits);
        }
        self.phases = self.phases.only(Phase::End);
    }
}

impl Pipeline {
    /// A part of the request's body has come. Where the answer is a reply, it does not go on.
    pub fn on_request_body(
        &self,
        follow_ups: &mut FollowUps,
        part: BodyPart,
        environment: &dyn Environment,
    ) -> Followed {
        let mut aftermath = Aftermath::new(environment);
        let answered = follow_ups.told_of(Phase::RequestBody).find_map(|follow_up| {
            match follow_up.on_request_body(part, &mut aftermath) {
                BodyVerdict::Continue => None,
                BodyVerdict::Respond(reply) => Some(reply),
            }
        });
        let Some(answered) = answered else { return Followed::from(aftermath) };
        aftermath.record(answered.reason);
        let mut reply = Reply::render(&answered, self.reasons(), follow_ups.grpc);
        let headers = std::mem::take(&mut follow_ups.headers);
        follow_ups.answer(&mut reply, &headers, &mut aftermath);
        let summary =
            if self.publishes_decision() { self.summary(Some(&answered), &[]) } else { String::new() };
        Followed { reply: Some(reply), summary, ..Followed::from(aftermath) }
    }

    /// The response's headers have come. What is to be changed about them is to be done at once.
    pub fn on_response(
        &self,
        follow_ups: &mut FollowUps,
        status: u16,
        headers: &HeaderMap,
        environment: &dyn Environment,
    ) -> Followed {
        let mut aftermath = Aftermath::new(environment);
        let mut response = Response::new(status, headers);
        for (name, value) in follow_ups.headers.drain(..) {
            response.set(name, value);
        }
        follow_ups
            .told_of(Phase::Response)
            .rev()
            .for_each(|follow_up| follow_up.on_response(&mut response, &mut aftermath));
        // The rest of the body may still be under way.
        follow_ups.phases = follow_ups.phases.without(Phase::Response);
        Followed { edits: response.into_edits(), ..Followed::from(aftermath) }
    }

    /// The request is over.
    pub fn on_end(&self, mut follow_ups: FollowUps, end: End, environment: &dyn Environment) -> Followed {
        let mut aftermath = Aftermath::new(environment);
        follow_ups.told_of(Phase::End).rev().for_each(|follow_up| follow_up.on_end(end, &mut aftermath));
        Followed::from(aftermath)
    }
}

// === impl Followed ===

impl From<Aftermath<'_>> for Followed {
    fn from(aftermath: Aftermath<'_>) -> Self {
        let (decisions, counters) = aftermath.finish();
        Self { decisions, counters, ..Self::default() }
    }
}
