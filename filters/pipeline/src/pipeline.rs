//! A compiled document, and what it does with a request.

mod compile;
mod conclude;

use crate::follow_ups::FollowUps;
use crate::reply::Reply;
use sluice_core::caller::client::AddressConfig;
use sluice_core::decision::compile::Stage;
use sluice_core::decision::environment::Environment;
use sluice_core::decision::exchange::{Exchange, Facts};
use sluice_core::decision::follow_up::{FollowUp, Phase, Phases};
use sluice_core::decision::reason::{ReasonId, ReasonTable};
use sluice_core::decision::stages::{self, Observer};
use sluice_core::decision::verdict::{Mutations, Verdict};
use sluice_core::decision::wait::{Answer, Call, Wait};
use sluice_core::document::problem::{FieldPath, Problem};
use sluice_core::http::header::HeaderName;
use sluice_core::http::header_map::HeaderMap;
use sluice_core::http::protected::{ProtectedNames, Spelling};
use sluice_core::http::request::{RequestView, Unreadable};
use sluice_core::resource::{Awaited, Fetched};
use sluice_core::rule::selector::{Candidates, SelectorIndex};
use std::collections::BTreeSet;
use std::rc::Rc;

/// Numbers that a client must not foresee.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seeds {
    /// New for each configuration and worker.
    pub local: u64,
    /// The same for all workers of a proxy: for keys in their shared memory.
    pub shared: u64,
}

/// A compiled document.
pub struct Pipeline {
    pub(crate) stages: Vec<Box<dyn Stage>>,
    pub(crate) selectors: SelectorIndex,
    pub(crate) address: AddressConfig,
    /// Whether any rule may ask for the client's address.
    asks_address: bool,
    pub(crate) peer_identity_header: Option<HeaderName>,
    reasons: ReasonTable,
    unreadable: Vec<(&'static str, ReasonId)>,
    protected: ProtectedNames,
    written: ProtectedNames,
    warnings: Vec<Problem>,
    resources: Vec<Rc<dyn Fetched>>,
    needs: Vec<(Phase, FieldPath)>,
    #[cfg(feature = "telemetry")]
    telemetry: Option<sluice_telemetry::TelemetryPolicy>,
}

/// Memory that requests of one worker use one after another.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) candidates: Candidates,
}

/// How far a request is.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly every request is decided at once, and pays for no memory of its own"
)]
pub enum Step {
    /// It is decided.
    Decided(Decided),
    /// It waits; it is to be [resumed](Pipeline::resume) once that has come, or forgotten when the client leaves.
    Waiting(Wait, Box<Suspended>),
}

/// A request that waits: all that is known of it.
#[derive(Debug)]
pub struct Suspended {
    headers: HeaderMap,
    facts: Facts,
    mutations: Mutations,
    /// The stage that waits.
    position: usize,
    /// What is to happen at the request's end, by what is known, if the client leaves now.
    at_end: Option<Box<dyn FollowUp>>,
}

/// What was decided about a request.
#[derive(Debug)]
pub struct Decided {
    /// What to do with it.
    pub action: Action,
    /// What to change about the request, before it goes on or is answered. For a request that is answered, only what the access log
    /// shall show of it.
    pub mutations: Mutations,
    /// Every decision, in order: each is to be counted.
    pub decisions: Vec<ReasonId>,
    /// The names of further counters to increment.
    pub counters: Vec<String>,
    /// For the access log: `allowed`, `denied:authn.token_expired` …; empty unless [`Pipeline::publishes_decision`].
    pub summary: String,
    /// What is to happen when later phases of the request come.
    pub follow_ups: FollowUps,
    /// The request's headers, where it has waited.
    pub headers: Option<HeaderMap>,
}

/// What to do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Let it go on.
    Continue,
    /// Answer it.
    Respond(Reply),
}

// === impl Suspended ===

impl Suspended {
    /// The decisions that count if the client leaves now.
    pub fn decisions_so_far(&self) -> Vec<ReasonId> {
        self.facts.decisions_so_far()
    }

    /// What is to happen at the request's end, as the client leaves now: for [`Pipeline::on_end`].
    pub fn leave(mut self) -> FollowUps {
        let mut list = self.facts.take_follow_ups();
        list.extend(self.at_end);
        FollowUps::new(list, false)
    }

    /// The pause is over.
    pub fn add_pause(&mut self) {
        self.facts.add_pause();
    }

    /// The wait for a resource is over.
    pub fn add_waited(&mut self, awaited: Awaited) {
        self.facts.add_waited(awaited);
    }

    /// A call was answered, or has failed.
    pub fn add_answer(&mut self, call: Call, answer: Answer) {
        self.facts.add_answer(call, answer);
    }
}

impl Pipeline {
    /// What of the document is allowed and may yet not be meant.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The headers that only the document may write, whoever calls: those of identities (`forward`) and those that choose a route
    /// (`routing.headers`), in this order. Headers of `forwarded` providers are not among them: trusted peers write those.
    pub fn written_headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.written.iter()
    }

    /// The clusters that policies may call, or have something fetched from, in alphabetical order, each once.
    pub fn clusters(&self) -> Vec<Rc<str>> {
        let fetched = self.resources.iter().flat_map(|resource| resource.source().clusters().cloned());
        let called = self.stages.iter().flat_map(|stage| stage.clusters());
        let clusters: BTreeSet<Rc<str>> = called.chain(fetched).collect();
        clusters.into_iter().collect()
    }

    /// Whether there is nothing to ask: the host need not even read headers.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty() && !self.publishes_decision() && self.needs.is_empty()
    }

    /// All decisions that the document can make; their positions are those of [`ReasonId::index`].
    pub fn reasons(&self) -> &ReasonTable {
        &self.reasons
    }

    /// Whether the host shall publish [`Decided::summary`] for the access log.
    pub fn publishes_decision(&self) -> bool {
        #[cfg(feature = "telemetry")]
        return self.telemetry.as_ref().is_some_and(|telemetry| telemetry.publishes_decision());
        #[cfg(not(feature = "telemetry"))]
        return false;
    }

    /// The phases of requests that the document needs to be told of, besides their headers, each with the field that asks for it.
    pub fn needs(&self) -> &[(Phase, FieldPath)] {
        &self.needs
    }

    /// The same phases, as a set.
    pub fn phases(&self) -> Phases {
        self.needs.iter().fold(Phases::NONE, |phases, (phase, _)| phases.and(Phases::of(&[*phase])))
    }

    /// What the document has fetched: the host keeps it.
    pub fn resources(&self) -> &[Rc<dyn Fetched>] {
        &self.resources
    }

    /// Whether [`Pipeline::start`] and [`Pipeline::end`] are to be called.
    pub fn is_told_of_its_life(&self) -> bool {
        self.stages.iter().any(|stage| stage.is_told_of_its_life())
    }

    /// What the document can't do without and the host does not have: it must not be served then.
    pub fn lacks(&self, environment: &dyn Environment) -> Option<String> {
        self.stages.iter().find_map(|stage| stage.lacks(environment))
    }

    /// A worker begins to use the document. To be called once it is sure to: a host may compile a configuration only to try it.
    pub fn start(&self, environment: &dyn Environment) {
        self.stages.iter().for_each(|stage| stage.start(environment));
    }

    /// A worker that has begun to use the document gets no more requests for it.
    pub fn end(&self, environment: &dyn Environment) {
        self.stages.iter().for_each(|stage| stage.end(environment));
    }

    /// Begins to decide about a request.
    pub fn begin(&self, headers: &HeaderMap, environment: &dyn Environment, scratch: &mut Scratch) -> Step {
        let request = match RequestView::new(headers) {
            Ok(request) => request,
            Err(unreadable) => return Step::Decided(self.refuse(unreadable, headers, environment)),
        };
        let mut mutations = Mutations::default();
        if let Err(unreadable) = self.remove_other_spellings(headers, &mut mutations) {
            return Step::Decided(self.refuse(unreadable, headers, environment));
        }
        self.selectors.find(&request, &mut scratch.candidates);
        let exchange =
            Exchange::new(&request, environment, &self.selectors, &scratch.candidates, &self.address)
                .with_peer_identity_header(self.peer_identity_header.as_ref());
        self.go_on(exchange, mutations, 0, &mut ())
    }

    /// Goes on with a request that has waited, and has got what it waited for.
    pub fn resume(
        &self,
        suspended: Box<Suspended>,
        environment: &dyn Environment,
        scratch: &mut Scratch,
    ) -> Step {
        self.resume_observed(suspended, environment, scratch, &mut ())
    }

    pub(crate) fn resume_observed(
        &self,
        suspended: Box<Suspended>,
        environment: &dyn Environment,
        scratch: &mut Scratch,
        observer: &mut impl Observer,
    ) -> Step {
        let Suspended { headers, facts, mutations, position, at_end: _ } = *suspended;
        let mut step = match RequestView::new(&headers) {
            Ok(request) => {
                self.selectors.find(&request, &mut scratch.candidates);
                let exchange =
                    Exchange::new(&request, environment, &self.selectors, &scratch.candidates, &self.address)
                        .with_peer_identity_header(self.peer_identity_header.as_ref())
                        .resume(facts);
                self.go_on(exchange, mutations, position, observer)
            }
            // It could be read before.
            Err(unreadable) => Step::Decided(self.refuse(unreadable, &headers, environment)),
        };
        match &mut step {
            Step::Decided(decided) => decided.headers = Some(headers),
            Step::Waiting(_, suspended) => suspended.headers = headers,
        }
        step
    }

    /// Asks the stages from `position` on.
    pub(crate) fn go_on(
        &self,
        mut exchange: Exchange<'_>,
        mut mutations: Mutations,
        position: usize,
        observer: &mut impl Observer,
    ) -> Step {
        if position == 0
            && let Some(unreadable) = self.unreadable_caller(&exchange)
        {
            let headers = exchange.request().headers();
            return Step::Decided(self.refuse(unreadable, headers, exchange.environment()));
        }
        let (verdict, position) =
            stages::run(&self.stages, position, &mut exchange, &mut mutations, observer);
        match verdict {
            Verdict::Wait(wait) => {
                // Whoever resumes owns the headers; here they are borrowed.
                let headers = exchange.request().headers().clone();
                let at_end = self.at_end(&exchange);
                let facts = exchange.suspend();
                Step::Waiting(wait, Box::new(Suspended { headers, facts, mutations, position, at_end }))
            }
            Verdict::Respond(reply) => Step::Decided(self.conclude(exchange, Some(reply), mutations)),
            Verdict::Continue => Step::Decided(self.conclude(exchange, None, mutations)),
        }
    }

    /// Which of a request's trailers must not go on: those of protected names in any spelling, since some servers read trailers as
    /// headers. A trailer is never a credential (RFC 9110 §6.5.1), and no rule has looked at it.
    pub fn on_request_trailers<'t>(&self, trailers: &'t HeaderMap) -> impl Iterator<Item = &'t [u8]> {
        trailers.iter().map(|(name, _)| name).filter(|name| self.protected.has(name))
    }

    /// Removes headers whose names some servers take for protected ones.
    pub(crate) fn remove_other_spellings(
        &self,
        headers: &HeaderMap,
        mutations: &mut Mutations,
    ) -> Result<(), Unreadable> {
        for (name, _) in headers.iter() {
            if self.protected.spelling(name) == Some(Spelling::Folded) {
                // What is no field name cannot be removed: the host takes none such.
                mutations.remove_request_header(HeaderName::from_bytes(name).ok_or(Unreadable::HeaderName)?);
            }
        }
        Ok(())
    }
}
