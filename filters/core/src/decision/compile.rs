//! From sections to policies: what every section's compilation shares, and what a compiled policy is.

use crate::caller::offer::{Offer, Possible};
use crate::caller::roles::Roles;
use crate::decision::environment::{Environment, UnixTime};
use crate::decision::exchange::Exchange;
use crate::decision::follow_up::Phase;
use crate::decision::place::{Place, Section};
use crate::decision::reason::{Outcome, ReasonId, ReasonTable};
use crate::decision::verdict::{Mutations, Verdict};
use crate::document::entries::LongList;
use crate::document::list::OrderedMap;
use crate::document::name::Name;
use crate::document::pace::Pace;
use crate::document::problem::{FieldPath, Problems, quoted_list};
use crate::document::variable::{self, VariableName, Variables};
use crate::http::header::HeaderValue;
use crate::http::protected::ProtectedNames;
use crate::resource::{Fetched, MOST_RESOURCES, Resource};
use crate::rule::attribute::Attribute;
use crate::rule::inclusion::Work;
use crate::rule::selector::{Match, SelectorBuilder, SelectorId};
use std::collections::HashMap;
use std::rc::Rc;

/// A compiled policy, asked once per request.
pub trait Stage {
    /// When it is asked, and the section of the document that it comes from.
    fn place(&self) -> Place;

    /// Whether it finds out who is calling: not asked where somebody who plays a request says so.
    fn proves_identity(&self) -> bool {
        false
    }

    /// Whether it may ask for the client's address, other than by a rule's `match`: requests whose address can't be told get to no
    /// rule then.
    fn asks_client_address(&self) -> bool {
        false
    }

    /// Whether it may give [`Verdict::Wait`] for some request.
    fn waits(&self) -> bool {
        false
    }

    /// The clusters that it may call.
    fn clusters(&self) -> Vec<Rc<str>> {
        Vec::new()
    }

    /// Decides. A stage is a pure function of what is known: where something is missing it gives [`Verdict::Wait`] and is asked again, from
    /// its beginning, when that has come; what can't be undone (a unit taken of a limit) comes after the last that it waits for.
    ///
    /// Changes go into `mutations`, decisions into [`Exchange::record`] (for a [`Verdict::Respond`] the pipeline records the
    /// reply's reason itself).
    fn decide(&self, exchange: &mut Exchange<'_>, mutations: &mut Mutations) -> Verdict;

    /// What this stage can't do without and the host does not have, as a sentence: the document is refused then.
    fn lacks(&self, _environment: &dyn Environment) -> Option<String> {
        None
    }

    /// Whether [`Self::start`] and [`Self::end`] are to be called.
    fn is_told_of_its_life(&self) -> bool {
        false
    }

    /// Clears a part of it away, where it has many; whether there was one. It is asked nothing any more.
    fn drop_part(&mut self) -> bool {
        false
    }

    /// A worker begins to use it. Not called for a configuration that is only tried.
    fn start(&self, _environment: &dyn Environment) {}

    /// A worker that has begun to use it will not ask it any more.
    fn end(&self, _environment: &dyn Environment) {}
}

/// A section of the document.
pub trait PolicySection {
    /// Its field and its name.
    const SECTION: Section;

    /// Where its stages stand in the order of execution.
    const PLACES: &'static [Place];

    /// The environment variables that it refers to.
    fn variables(&self) -> Vec<&VariableName> {
        Vec::new()
    }

    /// Says what other sections may ask of this one, which stands at `path`. Every section of a document has done so before the first is
    /// compiled: the order of sections means nothing.
    fn declare(&self, path: &FieldPath, compiler: &mut Compiler) {
        let _ = (path, compiler);
    }

    /// Compiles the section, which stands at `path`, into its stages. What is wrong goes into `compiler.problems`, all of it; the
    /// stages are thrown away then.
    fn compile(&self, path: &FieldPath, compiler: &mut Compiler) -> Vec<Box<dyn Stage>>;

    /// The same in slices, for a section whose lists may be long: with a [step](Pace::step) of `compiler.pace` for each of their entries.
    fn compile_in_slices(
        &self,
        path: &FieldPath,
        compiler: &mut Compiler,
    ) -> impl Future<Output = Vec<Box<dyn Stage>>> {
        async { self.compile(path, compiler) }
    }

    /// Its lists that may be long, which are read and cleared away in slices then.
    fn long_lists(&mut self) -> Vec<&mut dyn LongList> {
        Vec::new()
    }
}

/// Which providers a rule of `authn` accepts.
#[derive(Clone, Debug)]
pub struct Accepting {
    /// The rule's compiled `match`.
    pub selector: SelectorId,
    /// The providers.
    pub providers: Vec<Name>,
}

/// With more rules than this it is not looked for which providers are accepted where.
const MOST_ACCEPTING: usize = 16;

/// What the compilation of all sections shares.
#[derive(Debug)]
pub struct Compiler {
    /// What is wrong with the document.
    pub problems: Problems,
    /// Compiles `match`.
    pub selectors: SelectorBuilder,
    /// The names of decisions.
    pub reasons: ReasonTable,
    /// `authz.roles`.
    pub roles: Roles,
    /// What the providers of `authn` can say of a caller; empty where the document has no `authn`. `None` where that is not known, as
    /// in a test of one section: then nothing is said about references to it.
    pub offers: Option<Vec<Offer>>,
    /// Which requests `authn` accepts which providers for, in the order of its rules. `None` where that is not known.
    pub accepted: Option<Vec<Accepting>>,
    /// The challenges (RFC 9110 §11.6.1) that `authn` answers 401 with. Empty where no credential of the client's could help.
    pub challenges: Vec<HeaderValue>,
    /// What time it is, where the document is looked at by somebody who may still mend it. `None` in a proxy: a document is not wrong
    /// because it has grown old.
    pub now: Option<UnixTime>,
    /// Headers that mean something to the document: no client may write them under another spelling, nor as trailers. What `match` asks
    /// for is added when all is compiled.
    pub protected: ProtectedNames,
    /// Those of them that only the document may write, whoever calls: what it says of the caller's identity, and its choice of route. Not
    /// what a trusted peer hands on (`forwarded`).
    pub written: ProtectedNames,
    /// A secret seed for hashes of what clients send, new for each compiled policy and worker.
    pub seed: u64,
    /// A seed that all workers of a proxy share (the host keeps it): for keys in shared memory.
    pub shared_seed: u64,
    /// Whether a peer whose certificate has several URIs is refused before any rule (`client.peerIdentityHeader`).
    pub refuses_several_peer_identities: bool,
    /// The names of `api.versions`.
    pub api_versions: Vec<Name>,
    /// What the document needs of a module: the phases that it is to be told of, each with the field that asks for it.
    pub needs: Vec<(Phase, FieldPath)>,
    /// Who knows the environment variables that a document refers to.
    pub variables: Variables,
    /// What is fetched, and shared with all workers: see [`Compiler::resource`].
    pub resources: Vec<Rc<dyn Fetched>>,
    /// The very same document was compiled before, without a problem: what only looks for some may be left out.
    pub proven: bool,
    /// How long slices of work are: whoever goes over a list that may be long does a [step](Pace::step) for each entry.
    pub pace: Pace,
}

impl Default for Compiler {
    /// A compiler for a document without definitions, roles and providers.
    fn default() -> Self {
        Self::new(SelectorBuilder::new(OrderedMap::default(), HashMap::new()), 0, 0)
    }
}

impl Compiler {
    /// A compiler that knows the document's definitions.
    pub fn new(selectors: SelectorBuilder, seed: u64, shared_seed: u64) -> Self {
        Self {
            problems: Problems::default(),
            selectors,
            reasons: ReasonTable::default(),
            roles: Roles::default(),
            offers: None,
            accepted: None,
            now: None,
            challenges: Vec::new(),
            protected: ProtectedNames::default(),
            written: ProtectedNames::default(),
            seed,
            shared_seed,
            refuses_several_peer_identities: false,
            needs: Vec::new(),
            api_versions: Vec::new(),
            variables: variable::of_this_process,
            resources: Vec::new(),
            proven: false,
            pace: Pace::unbroken(),
        }
    }

    /// The path of the document, in which its sections stand.
    pub fn root(&self) -> FieldPath {
        if self.proven { FieldPath::untold() } else { FieldPath::root() }
    }

    /// The names of the providers of `authn`.
    pub fn providers(&self) -> impl Iterator<Item = &Name> {
        self.offers.iter().flatten().map(|offer| &offer.provider)
    }

    /// What the providers can say of callers whose requests match `selector`; `None` where nothing is known of providers. Some more than
    /// that where it is not certain which rule of `authn` decides.
    pub(crate) fn offers_for(&self, selector: SelectorId) -> Option<Vec<&Offer>> {
        let offers = self.offers.as_ref()?;
        let Some(rules) = self.accepted.as_ref().filter(|rules| rules.len() <= MOST_ACCEPTING) else {
            return Some(offers.iter().collect());
        };
        let work = Work::for_rules(rules.len());
        let mut providers: Vec<&Name> = Vec::new();
        for rule in rules {
            providers.extend(&rule.providers);
            work.begin();
            // Requests that no rule before this matches are all decided by this one.
            if self.selectors.includes(rule.selector, selector, &work) {
                break;
            }
        }
        Some(offers.iter().filter(|offer| providers.contains(&&offer.provider)).collect())
    }

    /// Reports a reference at `path` to a fact that no provider can say of a caller. `values` are those that are told apart, each with
    /// its place; one that nobody has is a warning.
    pub fn check_reference<'v>(
        &mut self,
        attribute: &Attribute,
        path: &FieldPath,
        values: impl IntoIterator<Item = (FieldPath, &'v str)>,
    ) {
        if self.proven {
            return;
        }
        if *attribute == Attribute::ApiVersion && self.offers.is_some() {
            self.check_versions(path, values);
            return;
        }
        let Some(offers) = self.offers.as_ref().filter(|_| attribute.asks_identity()) else { return };
        let may_be = |offer: &Offer, value: Option<&str>| {
            let may = |possible: &Possible| match value {
                Some(value) => possible.holds(value),
                None => !possible.is_never(),
            };
            match attribute {
                Attribute::Principal => may(&offer.principals),
                Attribute::Consumer => may(&offer.consumers),
                Attribute::Provider => value.is_none_or(|value| offer.provider.as_str() == value),
                Attribute::Claim(_) => offer.claims,
                Attribute::IdentityAttribute(name) => offer.attributes.get(name).is_some_and(may),
                // What is no fact of an identity is not asked here.
                _ => true,
            }
        };
        if !offers.iter().any(|offer| may_be(offer, None)) {
            let why = if offers.is_empty() {
                "the document has no `authn`".to_owned()
            } else {
                let providers = quoted_list(offers.iter().map(|offer| offer.provider.as_str()));
                format!("no caller of {providers} has one")
            };
            self.problems.report(path, format!("`{attribute}` never has a value: {why}"));
            return;
        }
        for (path, value) in values {
            if !offers.iter().any(|offer| may_be(offer, Some(value))) {
                self.problems.warn(&path, format!("`{attribute}` is never `{value}`: no caller has that"));
            }
        }
    }

    fn check_versions<'v>(
        &mut self,
        path: &FieldPath,
        values: impl IntoIterator<Item = (FieldPath, &'v str)>,
    ) {
        if self.api_versions.is_empty() {
            self.problems.report(path, "`api.version` never has a value: the document has no `api.versions`");
            return;
        }
        for (path, value) in values {
            if !self.api_versions.iter().any(|version| version.as_str() == value) {
                self.problems
                    .warn(&path, format!("`api.version` is never `{value}`: no version has that name"));
            }
        }
    }

    /// Says of a rule at `path`, which excludes or denies peers, that a certificate with several URIs could dodge it.
    pub fn warn_of_several_peer_identities(&mut self, path: &FieldPath) {
        if !self.refuses_several_peer_identities && self.offers.is_some() {
            self.problems.warn(
                path,
                "Envoy tells the first URI of a certificate only: one with several could dodge this. Name a `client.peerIdentityHeader` that Envoy writes",
            );
        }
    }

    /// Compiles a rule's `match`, the field `match` of the rule at `rule_path`.
    pub fn selector(&mut self, wanted: Option<&Match>, rule_path: &FieldPath) -> SelectorId {
        self.selectors.compile(wanted, &rule_path.field("match"), &mut self.problems)
    }

    /// Registers a resource, which the field at `path` asks for: the host fetches it from when on the document is served.
    pub fn resource<T: 'static>(&mut self, resource: &Resource<T>, path: &FieldPath) {
        if self.resources.len() >= MOST_RESOURCES {
            self.problems.report(path, format!("more than {MOST_RESOURCES} resources that are fetched"));
        }
        self.resources.push(resource.fetched());
    }

    /// What stands at `path` can't be done by a module that is not told of `phase`: such a module refuses the document.
    pub fn need(&mut self, phase: Phase, path: &FieldPath) {
        self.needs.push((phase, path.clone()));
    }

    /// Registers a decision (see [`ReasonTable::register`]).
    pub fn reason(&mut self, section: Section, outcome: Outcome, text: &str) -> ReasonId {
        self.reasons.register(section, outcome, text)
    }

    /// Reports rules of one list that share a name. `names` with their positions, `path` is the list's.
    pub fn check_unique<'n>(&mut self, names: impl IntoIterator<Item = &'n Name>, path: &FieldPath) {
        if self.proven {
            return;
        }
        let mut seen: HashMap<&Name, usize> = HashMap::new();
        for (position, name) in names.into_iter().enumerate() {
            if let Some(first) = seen.get(name) {
                let message = format!("the name `{name}` is taken by {}", path.index(*first));
                self.problems.report(&path.index(position).field("name"), message);
            } else {
                seen.insert(name, position);
            }
        }
    }
}
