//! One request while the policies are asked: what they may see, and what has been decided so far.

use crate::client::{AddressConfig, AmbiguousAddress};
use crate::environment::Environment;
use crate::identity::Identity;
use crate::reason::ReasonId;
use crate::request::RequestView;
use crate::selector::{Candidates, SelectorId, SelectorIndex};
use std::cell::{OnceCell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

/// See the module.
pub struct Exchange<'a> {
    request: &'a RequestView<'a>,
    environment: &'a dyn Environment,
    selectors: &'a SelectorIndex,
    candidates: &'a Candidates,
    address: &'a AddressConfig,
    client_address: OnceCell<Result<Option<IpAddr>, AmbiguousAddress>>,
    peer_identity: OnceCell<Option<String>>,
    identity: Option<Rc<Identity>>,
    decisions: RefCell<Vec<ReasonId>>,
    notes: Option<RefCell<Vec<String>>>,
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
            client_address: OnceCell::new(),
            peer_identity: OnceCell::new(),
            identity: None,
            decisions: RefCell::default(),
            notes: None,
        }
    }

    /// The same, keeping what policies [note](Self::note): for `sluice explain`.
    #[must_use]
    pub fn explained(mut self) -> Self {
        self.notes = Some(RefCell::default());
        self
    }

    /// With an identity that is known already.
    #[must_use]
    pub fn with_identity(mut self, identity: Option<Rc<Identity>>) -> Self {
        self.identity = identity;
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
        *self.client_address.get_or_init(|| self.address.resolve(self.request.headers(), self.environment))
    }

    /// The SPIFFE identity of the connection's peer; asked of the host at most once.
    pub fn peer_identity(&self) -> Option<&str> {
        self.peer_identity.get_or_init(|| self.environment.peer_identity()).as_deref()
    }

    /// Who is calling, once authentication has proven it.
    pub fn identity(&self) -> Option<&Rc<Identity>> {
        self.identity.as_ref()
    }

    /// Authentication has proven who is calling.
    pub fn set_identity(&mut self, identity: Rc<Identity>) {
        self.identity = Some(identity);
    }

    /// A decision has been made: it is counted and logged.
    pub fn record(&self, reason: ReasonId) {
        self.decisions.borrow_mut().push(reason);
    }

    /// Tells `sluice explain` what was looked at and why it was decided so; costs nothing in a proxy. Never note a credential.
    pub fn note(&self, text: impl FnOnce() -> String) {
        if let Some(notes) = &self.notes {
            notes.borrow_mut().push(text());
        }
    }

    /// The decisions since the last call.
    pub fn take_decisions(&self) -> Vec<ReasonId> {
        self.decisions.take()
    }

    /// The notes since the last call.
    pub fn take_notes(&self) -> Vec<String> {
        self.notes.as_ref().map(RefCell::take).unwrap_or_default()
    }
}
