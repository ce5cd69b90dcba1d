use crate::caller::client::AddressConfig;
use crate::caller::identity::Identity;
use crate::decision::compile::{Compiler, PolicySection, Stage};
use crate::decision::environment::Environment;
use crate::decision::exchange::Exchange;
use crate::decision::follow_up::{Aftermath, FollowUp, Phase, Phases};
use crate::decision::place::Section;
use crate::decision::reason::{Outcome, ReasonId, ReasonTable};
use crate::decision::response::{Edit, Response};
use crate::decision::stages;
use crate::decision::verdict::{LocalReply, Mutations, Verdict};
use crate::decision::wait::{Answer, Call, CallFailure, Wait};
use crate::document::decode;
use crate::document::problem::{FieldPath, Problems};
use crate::http::header_map::HeaderMap;
use crate::http::request::{RequestView, Unreadable};
use crate::resource::{Awaited, Fetched};
use crate::rule::selector::{Candidates, SelectorIndex};
use std::rc::Rc;
use std::time::Duration;

/// A request for tests.
#[derive(Clone, Debug)]
pub struct SimulatedRequest {
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    identity: Option<Rc<Identity>>,
}

impl SimulatedRequest {
    /// A request of this method for this path, at the host `api.example.com`.
    pub fn new(method: &str, path: &str) -> Self {
        let pairs =
            [(":method", method), (":path", path), (":authority", "api.example.com"), (":scheme", "https")];
        let headers =
            pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
        Self { headers, identity: None }
    }

    /// A GET.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// With this header besides.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_bytes().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// At this host.
    #[must_use]
    pub fn at_host(mut self, host: &str) -> Self {
        self.set_host(host);
        self
    }

    pub(super) fn set_host(&mut self, host: &str) {
        for (_, value) in self.headers.iter_mut().filter(|(name, _)| name == b":authority") {
            *value = host.as_bytes().to_vec();
        }
    }

    /// From somebody who has been authenticated already.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(Rc::new(identity));
        self
    }
}

/// A section, compiled as in a document of its own, and ready to be asked.
pub struct Stand {
    stages: Vec<Box<dyn Stage>>,
    selectors: SelectorIndex,
    reasons: ReasonTable,
    address: AddressConfig,
    resources: Vec<Rc<dyn Fetched>>,
    phases: Phases,
}

/// What came of a request.
#[derive(Debug)]
pub struct Played {
    /// The verdict: of the first stage that did not let it go on, or [`Verdict::Continue`].
    pub verdict: Verdict,
    /// How long it waited.
    pub paused: Duration,
    /// The calls that were made, in order.
    pub calls: Vec<Call>,
    /// The resources that were waited for, in order.
    pub awaited: Vec<Awaited>,
    /// What was asked to be changed.
    pub mutations: Mutations,
    /// The decisions, as `section.text`, in order; the reply's own reason last.
    pub decisions: Vec<String>,
    /// Who has been proven to call.
    pub identity: Option<Rc<Identity>>,
    /// What `sluice explain` would tell.
    pub notes: Vec<String>,
    /// What is to happen later, in the order of the stages.
    pub follow_ups: Vec<Box<dyn FollowUp>>,
}

impl Played {
    /// The status of the answer; `None` where the request goes on.
    pub fn status(&self) -> Option<u16> {
        match &self.verdict {
            Verdict::Respond(reply) => Some(reply.status),
            Verdict::Continue | Verdict::Wait(_) => None,
        }
    }

    /// The answer's header `name`.
    pub fn reply_header(&self, name: &str) -> Option<String> {
        let Verdict::Respond(reply) = &self.verdict else { return None };
        let found = reply.headers.iter().find(|(known, _)| known.as_str() == name);
        found.map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// The headers of the response, in alphabetical order: of the answer if there is one, otherwise of a service's, which came with this
    /// status and these headers.
    pub fn respond(
        &mut self,
        environment: &dyn Environment,
        status: u16,
        came: &[(&str, &str)],
    ) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (status, mut headers): (u16, Vec<(String, String)>) = match &self.verdict {
            Verdict::Respond(reply) => {
                let headers = reply.headers.iter();
                (
                    reply.status,
                    headers.map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect(),
                )
            }
            _ => {
                (status, came.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
            }
        };
        let map = HeaderMap::from_pairs(headers.iter().map(|(name, value)| (name, value)));
        let mut response = Response::new(status, &map);
        let mut aftermath = Aftermath::new(environment);
        let waiting = self.follow_ups.iter_mut().rev().filter(|one| one.phases().has(Phase::Response));
        waiting.for_each(|follow_up| follow_up.on_response(&mut response, &mut aftermath));
        for edit in response.into_edits() {
            match edit {
                Edit::Remove(name) => headers.retain(|(known, _)| known != name.as_str()),
                Edit::Replace(name, value) => {
                    headers.retain(|(known, _)| known != name.as_str());
                    headers.push((name.to_string(), text(value.as_bytes())));
                }
                Edit::Add(name, value) => headers.push((name.to_string(), text(value.as_bytes()))),
            }
        }
        let mut lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        lines.sort();
        lines
    }

    /// What the request's header `name` is set to: `None` if nothing is said of it, `Some(None)` if it is removed.
    pub fn request_header(&self, name: &str) -> Option<Option<String>> {
        let found = self.mutations.request_headers().iter().find(|(known, _)| known.as_str() == name);
        found.map(|(_, value)| {
            value.as_ref().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
    }
}

impl Stand {
    /// Reads and compiles `section` (JSON), which stands in the document as `field`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new<S: PolicySection + serde::de::DeserializeOwned>(
        field: &str,
        section: serde_json::Value,
    ) -> Result<Self, Problems> {
        Self::with_compiler::<S>(field, section, Compiler::default())
    }

    /// The same with a compiler that knows definitions, roles or providers already.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn with_compiler<S: PolicySection + serde::de::DeserializeOwned>(
        field: &str,
        section: serde_json::Value,
        compiler: Compiler,
    ) -> Result<Self, Problems> {
        let (stand, problems) = Self::despite_problems::<S>(field, section, compiler)?;
        if problems.is_empty() { Ok(stand) } else { Err(problems) }
    }

    /// The same, whatever is wrong with the section besides its shape: to try whether it is really wrong.
    ///
    /// # Errors
    /// Where it does not even have the shape of such a section.
    pub fn despite_problems<S: PolicySection + serde::de::DeserializeOwned>(
        field: &str,
        section: serde_json::Value,
        mut compiler: Compiler,
    ) -> Result<(Self, Problems), Problems> {
        // Through text, as a proxy reads it.
        let section: S = decode::from_json(section.to_string().as_bytes()).map_err(|mut problem| {
            let root = FieldPath::root().field(field);
            problem.path = root.segments().iter().chain(problem.path.segments()).cloned().collect();
            Problems::from(problem)
        })?;
        section.declare(&FieldPath::root().field(field), &mut compiler);
        let mut stages = section.compile(&FieldPath::root().field(field), &mut compiler);
        stages.sort_by_key(|stage| stage.place().order);
        let stand = Self {
            stages,
            selectors: compiler.selectors.finish(),
            reasons: compiler.reasons,
            resources: compiler.resources,
            address: AddressConfig::default(),
            phases: compiler
                .needs
                .iter()
                .fold(Phases::NONE, |all, (phase, _)| all.and(Phases::of(&[*phase]))),
        };
        Ok((stand, compiler.problems))
    }

    /// A decision's name: `section.text`.
    pub fn reason(&self, id: ReasonId) -> String {
        self.reasons.get(id).map(ToString::to_string).unwrap_or_default()
    }

    /// What the section can't do without and the host does not have.
    pub fn lacks(&self, environment: &dyn Environment) -> Option<String> {
        self.stages.iter().find_map(|stage| stage.lacks(environment))
    }

    /// A worker begins to use the section.
    pub fn start(&self, environment: &dyn Environment) {
        self.stages.iter().for_each(|stage| stage.start(environment));
    }

    /// The worker ends.
    pub fn end(&self, environment: &dyn Environment) {
        self.stages.iter().for_each(|stage| stage.end(environment));
    }

    /// Asks all stages of the section, in order, about `request`. Pauses pass at once; calls fail as if the cluster could not be reached.
    pub fn play(&self, request: &SimulatedRequest, environment: &dyn Environment) -> Played {
        self.play_with(request, environment, |_| Answer::Failed(CallFailure::Unreachable))
    }

    /// The same, with `answer` in place of all clusters.
    pub fn play_with(
        &self,
        request: &SimulatedRequest,
        environment: &dyn Environment,
        answer: impl FnMut(&Call) -> Answer,
    ) -> Played {
        self.play_awaiting(request, environment, answer, |_| {})
    }

    /// The resources that the section declares.
    pub fn resources(&self) -> &[Rc<dyn Fetched>] {
        &self.resources
    }

    /// The same; `wait` is called where the request waits for a resource, which is over then.
    pub fn play_awaiting(
        &self,
        request: &SimulatedRequest,
        environment: &dyn Environment,
        mut answer: impl FnMut(&Call) -> Answer,
        mut wait: impl FnMut(&Awaited),
    ) -> Played {
        let headers = HeaderMap::from_pairs(request.headers.iter().map(|(name, value)| (name, value)));
        let view = match RequestView::new(&headers) {
            Ok(view) => view,
            Err(unreadable) => return self.unreadable(unreadable),
        };
        let mut candidates = Candidates::default();
        self.selectors.find(&view, &mut candidates);
        let mut exchange = Exchange::new(&view, environment, &self.selectors, &candidates, &self.address)
            .with_identity(request.identity.clone())
            .explained();
        let mut mutations = Mutations::default();
        let (mut paused, mut calls, mut awaited_resources) = (Duration::ZERO, Vec::new(), Vec::new());
        let mut position = 0;
        let verdict = loop {
            let (verdict, at) = stages::run(&self.stages, position, &mut exchange, &mut mutations, &mut ());
            position = at;
            let Verdict::Wait(waits_for) = verdict else { break verdict };
            let mut facts = exchange.suspend();
            match waits_for {
                Wait::Pause(duration) => {
                    paused = paused.saturating_add(duration);
                    facts.add_pause();
                }
                Wait::Resource(awaited) => {
                    wait(&awaited);
                    awaited_resources.push(awaited.clone());
                    facts.add_waited(awaited);
                }
                Wait::Calls(asked) => {
                    for call in asked {
                        facts.add_answer(call.clone(), answer(&call));
                        calls.push(call);
                    }
                }
            }
            exchange =
                Exchange::new(&view, environment, &self.selectors, &candidates, &self.address).resume(facts);
        };
        if let Verdict::Respond(reply) = &verdict {
            exchange.record(reply.reason);
        }
        let decisions = exchange.take_decisions();
        let decisions =
            decisions.iter().filter_map(|id| self.reasons.get(*id)).map(ToString::to_string).collect();
        let notes = exchange.take_notes();
        let follow_ups = exchange.take_follow_ups();
        assert!(
            follow_ups.iter().all(|follow_up| self.phases.has_all(follow_up.phases())),
            "the section did not say that it needs this phase"
        );
        Played {
            verdict,
            paused,
            calls,
            awaited: awaited_resources,
            mutations,
            decisions,
            identity: exchange.identity().cloned(),
            notes,
            follow_ups,
        }
    }

    /// What comes of a request that no rule may see: it is refused as the pipeline refuses it.
    fn unreadable(&self, unreadable: Unreadable) -> Played {
        let mut reasons = self.reasons.clone();
        let reason = reasons.register(Section::REQUEST, Outcome::Denied, unreadable.reason());
        let decisions = reasons.get(reason).map(ToString::to_string).into_iter().collect();
        let reply = LocalReply::new(unreadable.status(), reason, unreadable.to_string());
        Played {
            verdict: Verdict::Respond(reply),
            paused: Duration::ZERO,
            calls: Vec::new(),
            awaited: Vec::new(),
            mutations: Mutations::default(),
            decisions,
            identity: None,
            notes: Vec::new(),
            follow_ups: Vec::new(),
        }
    }
}
