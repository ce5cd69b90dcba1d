//! One request while the policies are asked: what they may see, and what has been decided so far.

use crate::caller::client::{self, AddressConfig, AmbiguousAddress, AmbiguousPeer};
use crate::caller::identity::Identity;
use crate::decision::environment::Environment;
use crate::decision::follow_up::FollowUp;
use crate::decision::known::Known;
use crate::decision::reason::ReasonId;
use crate::decision::wait::{Answer, Call, Wait};
use crate::http::header::HeaderName;
use crate::http::request::RequestView;
use crate::resource::{Awaited, Resource, Unavailable};
use crate::rule::selector::{Candidates, SelectorId, SelectorIndex};
use std::cell::{OnceCell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

/// See the module.
pub struct Exchange<'a> {
    request: &'a RequestView<'a>,
    environment: &'a dyn Environment,
    selectors: &'a SelectorIndex,
    candidates: &'a Candidates,
    address: &'a AddressConfig,
    peer_identity_header: Option<&'a HeaderName>,
    facts: Facts,
}

/// What is known of a request, without what is borrowed: what outlives a wait, see [`Exchange::suspend`].
#[derive(Debug, Default)]
pub struct Facts {
    client_address: OnceCell<Result<Option<IpAddr>, AmbiguousAddress>>,
    peer_identity: OnceCell<Result<Option<String>, AmbiguousPeer>>,
    identity: Option<Rc<Identity>>,
    decisions: RefCell<Vec<ReasonId>>,
    notes: Option<RefCell<Vec<String>>>,
    known: Known,
    /// What the stage that waits had decided until then.
    provisional: Vec<ReasonId>,
    follow_ups: Vec<Box<dyn FollowUp>>,
    api_version: Option<Rc<str>>,
}

impl<'a> Exchange<'a> {
    /// An exchange nobody has proven an identity in yet. `candidates` are what [`SelectorIndex::find`] found for `request`.
    pub fn new(
        request: &'a RequestView<'a>,
        environment: &'a dyn Environment,
        selectors: &'a SelectorIndex,
        candidates: &'a Candidates,
        address: &'a AddressConfig,
    ) -> Self {
        Self {
            request,
            environment,
            selectors,
            candidates,
            address,
            peer_identity_header: None,
            facts: Facts::default(),
        }
    }

    /// What is known, to go on with later.
    #[must_use]
    pub fn suspend(self) -> Facts {
        self.facts
    }

    /// Goes on with what is known.
    #[must_use]
    pub fn resume(self, facts: Facts) -> Self {
        Self { facts, ..self }
    }

    /// The same, keeping what policies [note](Self::note): for `sluice explain`.
    #[must_use]
    pub fn explained(mut self) -> Self {
        self.facts.notes = Some(RefCell::default());
        self
    }

    /// With the header that lists all URIs of the peer's certificate (`client.peerIdentityHeader`).
    #[must_use]
    pub fn with_peer_identity_header(mut self, name: Option<&'a HeaderName>) -> Self {
        self.peer_identity_header = name;
        self
    }

    /// With an identity that is known already.
    #[must_use]
    pub fn with_identity(mut self, identity: Option<Rc<Identity>>) -> Self {
        self.facts.identity = identity;
        self
    }

    /// The request, as it arrived: changes that policies ask for show in it only once all have been asked.
    pub fn request(&self) -> &'a RequestView<'a> {
        self.request
    }

    /// The host.
    pub fn environment(&self) -> &'a dyn Environment {
        self.environment
    }

    /// Whether the request matches a rule's `match`.
    pub fn matches(&self, selector: SelectorId) -> bool {
        self.selectors.matches(selector, self.candidates, self)
    }

    /// The segment of the path where `{name}` stands in the rule's `match`.
    pub fn path_capture(&self, selector: SelectorId, name: &str) -> Option<&str> {
        self.selectors.capture(selector, self.request.path(), name)
    }

    /// The client's address as `client.address` says, looked for at most once; `None` where there is none, or where it can't be told.
    /// A request of the latter kind gets to no rule of a document that asks for the address: see
    /// [`Exchange::resolve_client_address`].
    pub fn client_address(&self) -> Option<IpAddr> {
        self.resolve_client_address().ok().flatten()
    }

    /// The client's address as `client.address` says, looked for at most once.
    ///
    /// # Errors
    /// [`AmbiguousAddress`], where it can't be told: no rule may take that for the absence of an address.
    pub fn resolve_client_address(&self) -> Result<Option<IpAddr>, AmbiguousAddress> {
        *self
            .facts
            .client_address
            .get_or_init(|| self.address.resolve(self.request.headers(), self.environment))
    }

    /// The SPIFFE identity of the connection's peer; asked of the host at most once. `None` where there is none, or where it can't be
    /// told: see [`Exchange::resolve_peer_identity`].
    pub fn peer_identity(&self) -> Option<&str> {
        self.resolve_peer_identity().ok().flatten()
    }

    /// The SPIFFE identity of the connection's peer; asked of the host at most once.
    ///
    /// # Errors
    /// [`AmbiguousPeer`], where it can't be told: no rule may take that for the absence of an identity.
    pub fn resolve_peer_identity(&self) -> Result<Option<&str>, AmbiguousPeer> {
        let found = self.facts.peer_identity.get_or_init(|| {
            let first = self.environment.peer_identity();
            client::only_identity(first, self.peer_identity_header, self.request.headers())
        });
        found.as_ref().map(Option::as_deref).map_err(|ambiguous| *ambiguous)
    }

    /// Who is calling, once authentication has proven it.
    pub fn identity(&self) -> Option<&Rc<Identity>> {
        self.facts.identity.as_ref()
    }

    /// Authentication has proven who is calling.
    pub fn set_identity(&mut self, identity: Rc<Identity>) {
        self.facts.identity = Some(identity);
    }

    /// The version of the API that is called (`api.version`), where the document tells versions apart.
    pub fn api_version(&self) -> Option<&str> {
        self.facts.api_version.as_deref()
    }

    /// It has been found out which version of the API is called.
    pub fn set_api_version(&mut self, version: Rc<str>) {
        self.facts.api_version = Some(version);
    }

    /// The answer to `call`.
    ///
    /// # Errors
    /// [`Wait`], to be passed on, where it is not there yet.
    pub fn ask(&self, call: &Call) -> Result<Rc<Answer>, Wait> {
        self.facts.known.answer(call).cloned().ok_or_else(|| Wait::Calls(vec![call.clone()]))
    }

    /// The answers to `calls`, which are made at the same time, in their order.
    ///
    /// # Errors
    /// [`Wait`], to be passed on, where one is not there yet.
    pub fn ask_all(&self, calls: &[Call]) -> Result<Vec<Rc<Answer>>, Wait> {
        let missing: Vec<Call> =
            calls.iter().filter(|call| self.facts.known.answer(call).is_none()).cloned().collect();
        if !missing.is_empty() {
            return Err(Wait::Calls(missing));
        }
        Ok(calls.iter().filter_map(|call| self.facts.known.answer(call).cloned()).collect())
    }

    /// Whether a call of the stage that is asked has been answered, so that it is not asked for the first time.
    pub fn has_answers(&self) -> bool {
        self.facts.known.has_answers()
    }

    /// A shared resource, or that it can't be had; a stage waits for it once.
    ///
    /// # Errors
    /// [`Wait`], to be passed on, where it is not there yet.
    pub fn resource<T: 'static>(&self, resource: &Resource<T>) -> Result<Result<Rc<T>, Unavailable>, Wait> {
        if let Some(value) = resource.find(self.environment) {
            return Ok(Ok(value));
        }
        if !self.facts.known.has_waited(resource.key(), false)
            && let Some(awaited) = resource.awaited()
        {
            return Err(Wait::Resource(awaited));
        }
        self.note(|| format!("`{}`, which is fetched, is not there", resource.name()));
        Ok(Err(resource.unavailable(self.environment.now())))
    }

    /// The stage misses something in a shared resource: it waits, once, for what is fetched because of that, if anything is now. Then it is
    /// to ask for the [resource](Self::resource) again, which may be the same as before.
    ///
    /// # Errors
    /// [`Wait`], to be passed on.
    pub fn renew<T: 'static>(&self, resource: &Resource<T>) -> Result<(), Wait> {
        resource.look(self.environment);
        if !self.facts.known.has_waited(resource.key(), true)
            && let Some(awaited) = resource.awaited_newer(self.environment.now())
        {
            return Err(Wait::Resource(awaited));
        }
        Ok(())
    }

    /// Lets time pass. A stage may do so several times.
    ///
    /// # Errors
    /// [`Wait`], to be passed on, before it has passed.
    pub fn pause(&self, duration: Duration) -> Result<(), Wait> {
        if self.facts.known.next_pause_is_over() { Ok(()) } else { Err(Wait::Pause(duration)) }
    }

    /// A random number, uniform over all of `u64`, that a client cannot foresee. A stage that waited gets the same ones again.
    pub fn draw(&self) -> u64 {
        self.facts.known.draw(|| self.environment.random())
    }

    /// Leaves something behind for the body, the response or the end of the request. The section must have said that it needs these
    /// phases ([`Compiler::need`](crate::decision::compile::Compiler::need)).
    pub fn follow_up(&mut self, follow_up: Box<dyn FollowUp>) {
        self.facts.follow_ups.push(follow_up);
    }

    /// What was left behind since the last call, in the order of the stages.
    pub fn take_follow_ups(&mut self) -> Vec<Box<dyn FollowUp>> {
        std::mem::take(&mut self.facts.follow_ups)
    }

    /// A decision has been made: it is counted and logged.
    pub fn record(&self, reason: ReasonId) {
        self.facts.decisions.borrow_mut().push(reason);
    }

    /// Tells `sluice explain` what was looked at and why it was decided so; without the feature `explain`, as in the module, it is
    /// nothing. Never note a credential.
    pub fn note(&self, text: impl FnOnce() -> String) {
        if cfg!(feature = "explain")
            && let Some(notes) = &self.facts.notes
        {
            notes.borrow_mut().push(text());
        }
    }

    /// As [`note`](Self::note), where there may be nothing to tell.
    pub fn note_where(&self, text: impl FnOnce() -> Option<String>) {
        if cfg!(feature = "explain")
            && let Some(notes) = &self.facts.notes
        {
            notes.borrow_mut().extend(text());
        }
    }

    /// For a note: which key of a rule's `match` the request does not fit.
    pub fn unmatched(&self, selector: SelectorId) -> String {
        self.selectors
            .unmatched(selector, self.candidates, self)
            .unwrap_or_else(|| "its `match` is about other requests".to_owned())
    }

    /// The decisions since the last call.
    pub fn take_decisions(&self) -> Vec<ReasonId> {
        self.facts.decisions.take()
    }

    /// The decisions behind the first `count`.
    pub fn decisions_after(&self, count: usize) -> Vec<ReasonId> {
        self.facts.decisions.borrow().get(count..).unwrap_or_default().to_vec()
    }

    /// How many decisions, notes and follow-ups there are.
    pub(crate) fn progress(&self) -> (usize, usize, usize) {
        let notes = self.facts.notes.as_ref().map_or(0, |notes| notes.borrow().len());
        (self.facts.decisions.borrow().len(), notes, self.facts.follow_ups.len())
    }

    /// Takes back what came after `progress`: the stage is asked again. It still counts if the client leaves before that.
    pub(crate) fn go_back_to(&mut self, progress: (usize, usize, usize)) {
        let decisions = self.facts.decisions.get_mut();
        self.facts.provisional = decisions.split_off(progress.0.min(decisions.len()));
        if let Some(notes) = &self.facts.notes {
            notes.borrow_mut().truncate(progress.1);
        }
        self.facts.follow_ups.truncate(progress.2);
    }

    /// The stage is asked from its beginning.
    pub(crate) fn rewind(&self) {
        self.facts.known.rewind();
    }

    /// The stage has decided.
    pub(crate) fn forget_known(&mut self) {
        self.facts.known.clear();
    }

    /// The notes since the last call.
    pub fn take_notes(&self) -> Vec<String> {
        self.facts.notes.as_ref().map(RefCell::take).unwrap_or_default()
    }
}

// === impl Facts ===

impl Facts {
    /// The decisions that count if the client leaves now: those that were made, and what the stage that waits had decided until then.
    pub fn decisions_so_far(&self) -> Vec<ReasonId> {
        self.decisions.borrow().iter().chain(&self.provisional).copied().collect()
    }

    /// What stages that have decided left behind.
    pub fn take_follow_ups(&mut self) -> Vec<Box<dyn FollowUp>> {
        std::mem::take(&mut self.follow_ups)
    }

    /// The pause that the stage waited for is over.
    pub fn add_pause(&mut self) {
        self.known.add_pause();
    }

    /// The wait for a resource is over: it has come, or nobody waits longer for it.
    pub fn add_waited(&mut self, awaited: Awaited) {
        self.known.add_waited(awaited);
    }

    /// A call that the stage waited for was answered, or has failed.
    pub fn add_answer(&mut self, call: Call, answer: Answer) {
        self.known.add_answer(call, answer);
    }
}
