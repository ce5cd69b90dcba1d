//! A compiled document, and what it does with a request.

use crate::document::Document;
use crate::follow_ups::FollowUps;
use crate::reply::Reply;
use sluice_core::caller::client::AddressConfig;
use sluice_core::decision::compile::{Compiler, Stage};
use sluice_core::decision::environment::{Environment, UnixTime};
use sluice_core::decision::exchange::{Exchange, Facts};
use sluice_core::decision::follow_up::{Aftermath, FollowUp, Phase, Phases};
use sluice_core::decision::place::Section;
use sluice_core::decision::reason::{Outcome, ReasonId, ReasonTable};
use sluice_core::decision::stages::{self, Observer};
use sluice_core::decision::verdict::{LocalReply, Mutations, Verdict};
use sluice_core::decision::wait::{Answer, Call, Wait};
use sluice_core::document::decode;
use sluice_core::document::pace::{self, Pace};
use sluice_core::document::problem::{FieldPath, Problem, Problems};
use sluice_core::document::variable::{self, Variables};
use sluice_core::http::header::HeaderName;
use sluice_core::http::header_map::HeaderMap;
use sluice_core::http::protected::{ProtectedNames, Spelling};
use sluice_core::http::request::{self, RequestView, Unreadable};
use sluice_core::resource::{Awaited, Fetched};
use sluice_core::rule::selector::{Candidates, SelectorBuilder, SelectorIndex};
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

/// How and by whom a document is compiled.
struct Circumstances {
    variables: Variables,
    now: Option<UnixTime>,
    proven: bool,
    pace: Pace,
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

// === impl Circumstances ===

impl Default for Circumstances {
    fn default() -> Self {
        Self { variables: variable::of_this_process, now: None, proven: false, pace: Pace::unbroken() }
    }
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
    /// Reads and compiles a document.
    ///
    /// # Errors
    /// All that is wrong with it, or the first thing that does not even fit its shape.
    pub fn from_json(json: &[u8], seeds: Seeds) -> Result<Self, Problems> {
        if json.trim_ascii().is_empty() {
            return Err(Problems::from(Problem {
                path: sluice_core::document::problem::FieldPath::root(),
                message: "is empty; the smallest document is `{\"version\": 1}`".to_owned(),
                suggestion: None,
            }));
        }
        let document: Document = decode::from_json(json)?;
        Self::from_document(&document, seeds)
    }

    /// Compiles a document.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn from_document(document: &Document, seeds: Seeds) -> Result<Self, Problems> {
        Self::from_document_with(document, seeds, variable::of_this_process)
    }

    /// Compiles a document whose environment variables somebody else knows.
    ///
    /// # Errors
    /// As [`Pipeline::from_document`].
    pub fn from_document_with(
        document: &Document,
        seeds: Seeds,
        variables: Variables,
    ) -> Result<Self, Problems> {
        Self::from_document_at(document, seeds, variables, None)
    }

    /// Compiles a document for somebody who may still mend it: `now` is the time, by which keys have expired or not.
    ///
    /// # Errors
    /// As [`Pipeline::from_document`].
    pub fn from_document_at(
        document: &Document,
        seeds: Seeds,
        variables: Variables,
        now: Option<UnixTime>,
    ) -> Result<Self, Problems> {
        pace::at_once(Self::compile(
            document,
            seeds,
            Circumstances { variables, now, ..Circumstances::default() },
        ))
    }

    /// Reads and compiles in slices a document that was compiled before without a problem, by this very code. What only looks for
    /// problems is left out.
    ///
    /// # Errors
    /// Where it was another document, some of what is wrong with it.
    pub async fn from_proven_json(json: Vec<u8>, seeds: Seeds, pace: Pace) -> Result<Self, Problems> {
        let (mut document, aside) = decode::from_json_in_slices::<Document>(&json, &pace).await?;
        drop(json);
        for list in document.long_lists() {
            while list.read_next(&aside)? {
                pace.step().await;
            }
        }
        let circumstances = Circumstances { proven: true, pace: pace.clone(), ..Circumstances::default() };
        let pipeline = Self::compile(&document, seeds, circumstances).await?;
        for list in document.long_lists() {
            while list.drop_last() {
                pace.step().await;
            }
        }
        Ok(pipeline)
    }

    async fn compile(
        document: &Document,
        seeds: Seeds,
        circumstances: Circumstances,
    ) -> Result<Self, Problems> {
        let Circumstances { variables, now, proven, pace } = circumstances;
        let lists = document.definitions.ip_lists.iter();
        let lists = lists.map(|(name, list)| (name.clone(), list.cidrs.iter().copied().collect())).collect();
        let selectors = SelectorBuilder::new(document.definitions.matches.clone(), lists);
        let mut compiler = Compiler::new(selectors, seeds.local, seeds.shared);
        compiler.variables = variables;
        compiler.now = now;
        compiler.proven = proven;
        compiler.pace = pace.clone();
        compiler.refuses_several_peer_identities = document.client.peer_identity_header.is_some();
        compiler.selectors.compile_definitions(&mut compiler.problems);
        let unreadable = Unreadable::REASONS
            .map(|text| (text, compiler.reason(Section::REQUEST, Outcome::Denied, text)))
            .to_vec();
        // What `when` of any section may refer to: nobody, unless `authn` says otherwise.
        compiler.offers = Some(Vec::new());
        let root = compiler.root();
        document.client.address.check(&root.field("client").field("address"), &mut compiler.problems);
        let stages = document.stages(&mut compiler).await;
        #[cfg(feature = "telemetry")]
        let telemetry = document.telemetry.as_ref().map(|section| {
            section.compile_policy(
                &sluice_core::document::problem::FieldPath::root().field("telemetry"),
                &mut compiler,
            )
        });
        if !compiler.problems.is_empty() {
            return Err(compiler.problems);
        }
        let warnings = compiler.problems.take_warnings();
        let needs = compiler.needs;
        compiler.protected.extend(compiler.selectors.header_names().cloned());
        compiler.protected.extend(document.client.address.peer_header.clone());
        compiler.protected.extend(document.client.peer_identity_header.clone());
        let selectors = compiler.selectors.finish_in_slices(&pace).await;
        let asks_address =
            selectors.asks_client_address() || stages.iter().any(|stage| stage.asks_client_address());
        Ok(Self {
            warnings,
            resources: compiler.resources,
            needs,
            stages,
            selectors,
            asks_address,
            peer_identity_header: document.client.peer_identity_header.clone(),
            address: document.client.address.clone(),
            reasons: compiler.reasons,
            unreadable,
            protected: compiler.protected,
            written: compiler.written,
            #[cfg(feature = "telemetry")]
            telemetry,
        })
    }

    /// Clears it away in slices: that of ten thousand rules takes milliseconds.
    pub async fn clear_away(self, pace: Pace) {
        let Self { stages, selectors, reasons, .. } = self;
        for mut stage in stages {
            while stage.drop_part() {
                pace.step().await;
            }
        }
        selectors.clear_away(&pace).await;
        reasons.clear_away(&pace).await;
    }

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

    /// What becomes of a request that all stages were asked about, or one has answered.
    fn conclude(
        &self,
        mut exchange: Exchange<'_>,
        reply: Option<LocalReply>,
        mut mutations: Mutations,
    ) -> Decided {
        let mut left = exchange.take_follow_ups();
        left.extend(self.at_end(&exchange));
        debug_assert!(
            left.iter().all(|follow_up| self.phases().has_all(follow_up.phases())),
            "a section says which phases it needs: Compiler::need"
        );
        let mut follow_ups = FollowUps::new(left, exchange.request().is_grpc());
        if let Some(reply) = &reply {
            exchange.record(reply.reason);
        }
        let mut counters = Vec::new();
        let mut action = match &reply {
            None => Action::Continue,
            Some(reply) => {
                let mut rendered = Reply::render(reply, &self.reasons, exchange.request().is_grpc());
                let mut aftermath = Aftermath::new(exchange.environment());
                follow_ups.answer(&mut rendered, mutations.response_headers(), &mut aftermath);
                let (decisions, more) = aftermath.finish();
                decisions.into_iter().for_each(|decision| exchange.record(decision));
                counters = more;
                Action::Respond(rendered)
            }
        };
        if let Action::Respond(reply) = &mut action {
            mutations = self.answered(mutations, reply);
        }
        let decisions = exchange.take_decisions();
        let summary =
            if self.publishes_decision() { self.summary(reply.as_ref(), &decisions) } else { String::new() };
        follow_ups.set_headers(mutations.take_response_headers());
        Decided { action, mutations, decisions, counters, summary, follow_ups, headers: None }
    }

    /// What concerns all sections at a request's end, by what is known of it.
    fn at_end(&self, exchange: &Exchange<'_>) -> Option<Box<dyn FollowUp>> {
        #[cfg(feature = "telemetry")]
        return self.telemetry.as_ref().and_then(|telemetry| telemetry.follow_up(exchange));
        #[cfg(not(feature = "telemetry"))]
        {
            let _ = exchange;
            None
        }
    }

    /// What can't be told of who calls and is asked for. Such a request gets to no rule: a `deny` by network or peer would let it pass.
    pub(crate) fn unreadable_caller(&self, exchange: &Exchange<'_>) -> Option<Unreadable> {
        if self.asks_address && exchange.resolve_client_address().is_err() {
            return Some(Unreadable::ClientAddress);
        }
        let asks_peer = self.peer_identity_header.is_some();
        (asks_peer && exchange.resolve_peer_identity().is_err()).then_some(Unreadable::PeerIdentity)
    }

    /// A request is answered: of its changes those remain that the access log shall show, and the answer names its trace.
    fn answered(&self, mutations: Mutations, reply: &mut Reply) -> Mutations {
        #[cfg(feature = "telemetry")]
        if self.telemetry.is_some() {
            let mutations = mutations.only_request_headers(sluice_telemetry::is_trace_context);
            reply.headers.extend(sluice_telemetry::trace_of_answer(&mutations));
            return mutations;
        }
        let _ = reply;
        mutations.only_request_headers(|_| false)
    }

    pub(crate) fn refuse(
        &self,
        unreadable: Unreadable,
        headers: &HeaderMap,
        environment: &dyn Environment,
    ) -> Decided {
        let reason = self.unreadable.iter().find(|(text, _)| *text == unreadable.reason()).map(|(_, id)| *id);
        // Every reason of `Unreadable` is registered when the document is compiled.
        #[cfg_attr(not(feature = "telemetry"), allow(unused_mut, reason = "nobody adds any"))]
        let (mut decisions, mut mutations): (Vec<ReasonId>, _) =
            (reason.into_iter().collect(), Mutations::default());
        // No stage was asked, but that of the trace context needs no more than headers.
        #[cfg(feature = "telemetry")]
        if let Some(telemetry) = &self.telemetry {
            telemetry.trace_unreadable(headers, environment, &mut mutations, &mut decisions);
        }
        let _ = (headers, environment);
        let reply = Reply {
            status: unreadable.status(),
            details: format!("request.{}", unreadable.reason()),
            headers: Vec::new(),
            body: Vec::new(),
            grpc_status: None,
        };
        let mut reply = match reason {
            Some(reason) => {
                let reply = LocalReply::new(unreadable.status(), reason, unreadable.to_string());
                Reply::render(&reply, &self.reasons, request::is_grpc(headers))
            }
            None => reply,
        };
        let summary =
            if self.publishes_decision() { format!("denied:{}", reply.details) } else { String::new() };
        let mutations = self.answered(mutations, &mut reply);
        Decided {
            action: Action::Respond(reply),
            mutations,
            decisions,
            counters: Vec::new(),
            summary,
            follow_ups: FollowUps::default(),
            headers: None,
        }
    }

    /// `denied:<reason>` for an answer, otherwise `allowed:<reason>` with what let the request in (the last word of `authz`, or else of
    /// `authn`; plain `allowed` where the document has neither), followed by what was changed or would have been (shadow).
    pub(crate) fn summary(&self, reply: Option<&LocalReply>, decisions: &[ReasonId]) -> String {
        let denied = reply.and_then(|reply| self.reasons.get(reply.reason));
        let mut summary = match denied {
            Some(reason) if reason.outcome == Outcome::Answered => format!("answered:{reason}"),
            Some(reason) => format!("denied:{reason}"),
            None => {
                let mut reasons = decisions.iter().rev().filter_map(|id| self.reasons.get(*id));
                let admitted =
                    reasons.find(|reason| reason.outcome == Outcome::Allowed && reason.section.admits);
                admitted.map_or_else(|| "allowed".to_owned(), |reason| format!("allowed:{reason}"))
            }
        };
        for reason in decisions.iter().filter_map(|id| self.reasons.get(*id)) {
            if matches!(reason.outcome, Outcome::Changed | Outcome::Shadow) {
                summary.push(',');
                summary.push_str(reason.outcome.as_str());
                summary.push(':');
                summary.push_str(&reason.to_string());
            }
        }
        summary
    }
}
