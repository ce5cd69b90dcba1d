//! A request played with every step written down: `sluice explain`.

use crate::pipeline::{Decided, Pipeline, Scratch, Step};
use sluice_core::caller::identity::Identity;
use sluice_core::decision::compile::Stage;
use sluice_core::decision::environment::Environment;
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::follow_up::Phase;
use sluice_core::decision::place::Place;
use sluice_core::decision::reason::ReasonTable;
use sluice_core::decision::response::Edit;
use sluice_core::decision::stages::Observer;
use sluice_core::decision::verdict::{Mutations, Verdict};
use sluice_core::decision::wait::{Answer, Call, CallFailure, Wait};
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::http::header_map::HeaderMap;
use sluice_core::http::request::RequestView;
use std::rc::Rc;
use std::time::Duration;

/// How a request was decided.
#[derive(Debug)]
pub struct Explanation {
    /// The path that rules were matched with; `None` where the request could not be read.
    pub normal_path: Option<String>,
    /// The host that rules were matched with.
    pub normal_host: Option<String>,
    /// The client's address, if it is known.
    pub client_address: Option<std::net::IpAddr>,
    /// What each stage did, in order; stages behind the one that answered were not asked.
    pub stages: Vec<StageExplanation>,
    /// Who was proven to call.
    pub identity: Option<Identity>,
    /// How long it was made to wait.
    pub paused: Duration,
    /// What was decided in the end.
    pub decided: Decided,
    /// The headers that the service's response gets, if it is a plain 200. Those of an answer of ours are in the answer.
    pub response_headers: Vec<(HeaderName, HeaderValue)>,
}

/// What one stage did.
#[derive(Clone, Debug)]
pub struct StageExplanation {
    /// When it is asked, and the section that it comes from.
    pub place: Place,
    /// Whether it was asked at all.
    pub asked: bool,
    /// What it looked at and why it decided so.
    pub notes: Vec<String>,
    /// Its decisions, as `section.text`.
    pub decisions: Vec<String>,
}

/// Writes down what stages do.
struct Notebook<'p> {
    reasons: &'p ReasonTable,
    /// Who is calling was given by hand: authentication is not asked.
    identity_given: bool,
    stages: Vec<StageExplanation>,
    /// How many decisions are written down.
    decisions: usize,
    client_address: Option<std::net::IpAddr>,
    identity: Option<Rc<Identity>>,
    paused: Duration,
}

// === impl Notebook ===

impl Notebook<'_> {
    fn write(&mut self, stage: &dyn Stage, asked: bool, notes: Vec<String>, decisions: Vec<String>) {
        self.stages.push(StageExplanation { place: stage.place(), asked, notes, decisions });
    }
}

impl Observer for Notebook<'_> {
    fn asks(&mut self, stage: &dyn Stage, exchange: &Exchange<'_>) -> bool {
        self.client_address = exchange.client_address();
        let skipped = self.identity_given && stage.proves_identity();
        if skipped {
            self.write(stage, false, vec!["not asked: the identity is given".to_owned()], Vec::new());
        }
        !skipped
    }

    fn decided(&mut self, stage: &dyn Stage, verdict: &Verdict, exchange: &Exchange<'_>) {
        self.identity = exchange.identity().cloned();
        if let Verdict::Wait(Wait::Pause(duration)) = verdict {
            self.paused = self.paused.saturating_add(*duration);
        }
        if matches!(verdict, Verdict::Wait(_)) {
            // It is asked again, and says all again.
            return;
        }
        let mut ids = exchange.decisions_after(self.decisions);
        self.decisions = self.decisions.saturating_add(ids.len());
        if let Verdict::Respond(reply) = verdict {
            ids.push(reply.reason);
        }
        let decisions = ids.iter().filter_map(|id| self.reasons.get(*id)).map(ToString::to_string).collect();
        self.write(stage, true, exchange.take_notes(), decisions);
    }
}

impl Pipeline {
    /// Decides about a request as [`Pipeline::begin`] does, and tells how. `identity` stands in for what authentication would have found
    /// (its stage is then not asked). Pauses pass at once; `answer` stands in for the clusters that are called. Of [resources](Pipeline::resources)
    /// those are there that were supplied.
    pub fn explain(
        &self,
        headers: &HeaderMap,
        environment: &dyn Environment,
        identity: Option<Identity>,
        mut answer: impl FnMut(&Call) -> Answer,
    ) -> Explanation {
        let mut notebook = Notebook {
            reasons: self.reasons(),
            identity_given: identity.is_some(),
            stages: Vec::new(),
            decisions: 0,
            client_address: None,
            identity: identity.map(Rc::new),
            paused: Duration::ZERO,
        };
        let mut mutations = Mutations::default();
        let read = RequestView::new(headers)
            .and_then(|request| self.remove_other_spellings(headers, &mut mutations).map(|()| request));
        let request = match read {
            Ok(request) => request,
            Err(unreadable) => {
                return Explanation {
                    normal_path: None,
                    normal_host: None,
                    client_address: None,
                    stages: Vec::new(),
                    identity: None,
                    paused: Duration::ZERO,
                    decided: self.refuse(unreadable, headers, environment),
                    response_headers: Vec::new(),
                };
            }
        };
        let mut scratch = Scratch::default();
        self.selectors.find(&request, &mut scratch.candidates);
        let exchange =
            Exchange::new(&request, environment, &self.selectors, &scratch.candidates, &self.address)
                .explained()
                .with_peer_identity_header(self.peer_identity_header.as_ref())
                .with_identity(notebook.identity.clone());
        notebook.client_address = exchange.client_address();
        let mut step = self.go_on(exchange, mutations, 0, &mut notebook);
        let mut decided = loop {
            let (wait, mut suspended) = match step {
                Step::Decided(decided) => break decided,
                Step::Waiting(wait, suspended) => (wait, suspended),
            };
            match wait {
                Wait::Pause(_) => suspended.add_pause(),
                Wait::Resource(awaited) => suspended.add_waited(awaited),
                Wait::Calls(calls) => {
                    for call in calls {
                        let answer = answer(&call);
                        suspended.add_answer(call, answer);
                    }
                }
            }
            step = self.resume_observed(suspended, environment, &mut Scratch::default(), &mut notebook);
        };
        // Those behind the one that answered were not asked.
        for stage in self.stages.iter().skip(notebook.stages.len()) {
            notebook.write(stage.as_ref(), false, Vec::new(), Vec::new());
        }
        let response_headers = self.headers_of_a_response(&mut decided, environment);
        Explanation {
            normal_path: Some(request.path().to_owned()),
            normal_host: Some(request.host().to_owned()),
            client_address: notebook.client_address,
            stages: notebook.stages,
            identity: notebook.identity.map(|identity| Identity::clone(&identity)),
            paused: notebook.paused,
            decided,
            response_headers,
        }
    }

    fn headers_of_a_response(
        &self,
        decided: &mut Decided,
        environment: &dyn Environment,
    ) -> Vec<(HeaderName, HeaderValue)> {
        if !decided.follow_ups.wait_for(Phase::Response) {
            return Vec::new();
        }
        let edits = self.on_response(&mut decided.follow_ups, 200, &HeaderMap::default(), environment).edits;
        let added = edits.into_iter().filter_map(|edit| match edit {
            Edit::Add(name, value) | Edit::Replace(name, value) => Some((name, value)),
            Edit::Remove(_) => None,
        });
        added.collect()
    }

    /// [`Pipeline::begin`] to the end, with memory of its own, for single requests: pauses pass at once, no cluster can be reached and
    /// nothing is fetched.
    pub fn decide(&self, headers: &HeaderMap, environment: &dyn Environment) -> Decided {
        let mut scratch = Scratch::default();
        let mut step = self.begin(headers, environment, &mut scratch);
        loop {
            let (wait, mut suspended) = match step {
                Step::Decided(decided) => return decided,
                Step::Waiting(wait, suspended) => (wait, suspended),
            };
            match wait {
                Wait::Pause(_) => suspended.add_pause(),
                Wait::Resource(awaited) => suspended.add_waited(awaited),
                Wait::Calls(calls) => {
                    for call in calls {
                        suspended.add_answer(call, Answer::Failed(CallFailure::Unreachable));
                    }
                }
            }
            step = self.resume(suspended, environment, &mut scratch);
        }
    }
}
