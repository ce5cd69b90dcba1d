mod unmatched;

use super::config::{ClientMatch, Match};
use super::members::{BitSet, Members};
use super::path_pattern::PathPattern;
use super::path_tree::PathTree;
use super::value::ValueMatch;
use crate::caller::network::{Cidr, NetworkSet};
use crate::decision::exchange::Exchange;
use crate::document::list::{OneOrMany, OrderedMap};
use crate::document::name::Name;
use crate::document::pace::Pace;
use crate::document::places::{Places, hash};
use crate::document::problem::{FieldPath, Problems};
use crate::http::cookie;
use crate::http::header::HeaderName;
use crate::http::host::HostPattern;
use crate::http::request::RequestView;
use std::collections::HashMap;
use std::rc::Rc;

/// A compiled `match` of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SelectorId(u32);

impl SelectorId {
    /// The selector that every request matches.
    pub const EVERY: Self = Self(0);

    fn at(position: usize) -> Self {
        Self(u32::try_from(position).unwrap_or(u32::MAX))
    }
}

/// All selectors of a document.
#[derive(Debug, Default)]
pub struct SelectorIndex {
    selectors: Vec<Selector>,
    exact_hosts: HashMap<String, Members>,
    /// By the end that a host must have, which begins with a dot.
    below_hosts: HashMap<String, Members>,
    any_host: BitSet,
    paths: PathTree,
    any_path: BitSet,
    methods: HashMap<String, Members>,
    any_method: BitSet,
    asks_client_address: bool,
}

/// What remains to ask of a request once host, path and method fit.
#[derive(Debug, Default)]
pub(super) struct Selector {
    patterns: Vec<PathPattern>,
    pub(super) named: Vec<SelectorId>,
    headers: Vec<(HeaderName, ValueMatch)>,
    query: Vec<(String, ValueMatch)>,
    cookies: Vec<(String, ValueMatch)>,
    pub(super) client: Option<Rc<NetworkSet>>,
    pub(super) not: Option<SelectorId>,
}

/// The selectors whose host, path and method fit a request. Reused from request to request.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    fitting: BitSet,
    of_path: BitSet,
}

impl SelectorIndex {
    /// Finds the selectors whose host, path and method fit `request`.
    pub fn find(&self, request: &RequestView<'_>, candidates: &mut Candidates) {
        let Candidates { fitting, of_path } = candidates;
        fitting.copy_from(&self.any_host);
        let host = request.host();
        if let Some(selectors) = self.exact_hosts.get(host) {
            selectors.add_to(fitting);
        }
        if !self.below_hosts.is_empty() {
            // A host below `.example.com` is longer than that: a dot at its begin is no end of it.
            for end in host.match_indices('.').filter_map(|(dot, _)| host.get(dot..).filter(|_| dot > 0)) {
                if let Some(selectors) = self.below_hosts.get(end) {
                    selectors.add_to(fitting);
                }
            }
        }
        of_path.copy_from(&self.any_path);
        self.paths.walk(request.path(), &mut |selector| of_path.add(selector));
        fitting.keep_only(of_path);
        of_path.copy_from(&self.any_method);
        if let Some(selectors) = self.methods.get(request.method()) {
            selectors.add_to(of_path);
        }
        fitting.keep_only(of_path);
    }

    /// Clears it away in slices.
    pub async fn clear_away(self, pace: &Pace) {
        for selector in self.selectors {
            drop(selector);
            pace.step().await;
        }
        for host in self.exact_hosts.into_iter().chain(self.below_hosts) {
            drop(host);
            pace.step().await;
        }
        self.paths.clear_away(pace).await;
    }

    /// Whether any selector asks for the client's address.
    pub fn asks_client_address(&self) -> bool {
        self.asks_client_address
    }

    /// Whether the request of `exchange` matches the selector `id`.
    pub fn matches(&self, id: SelectorId, candidates: &Candidates, exchange: &Exchange<'_>) -> bool {
        if id == SelectorId::EVERY {
            return true;
        }
        if !candidates.fitting.has(id.0) {
            return false;
        }
        let Some(selector) = self.selectors.get(id.0 as usize) else { return false };
        let request = exchange.request();
        let named = |ids: &[SelectorId]| {
            ids.is_empty() || ids.iter().any(|id| self.matches(*id, candidates, exchange))
        };
        named(&selector.named)
            && selector
                .headers
                .iter()
                .all(|(name, wanted)| wanted.matches_any(request.headers().all(name.as_str())))
            && selector.query.iter().all(|(name, wanted)| wanted.matches_any(request.query_values(name)))
            && selector
                .cookies
                .iter()
                .all(|(name, wanted)| wanted.matches_any(cookie::values(request.headers(), name)))
            && selector.client.as_ref().is_none_or(|networks| {
                exchange.client_address().is_some_and(|address| networks.contains(address))
            })
            && selector.not.is_none_or(|not| !self.matches(not, candidates, exchange))
    }

    /// The segment of the request's path where `{name}` stands in the selector's pattern.
    pub fn capture<'p>(&self, id: SelectorId, path: &'p str, name: &str) -> Option<&'p str> {
        let selector = self.selectors.get(id.0 as usize)?;
        let own = selector.patterns.iter().find_map(|pattern| pattern.capture(path, name));
        own.or_else(|| selector.named.iter().find_map(|named| self.capture(*named, path, name)))
    }
}

/// Compiles the `match`es of a document into a [`SelectorIndex`]; equal ones share a selector.
#[derive(Debug)]
pub struct SelectorBuilder {
    index: SelectorIndex,
    /// Where the selector of each `match` stands, and its source.
    known: Places,
    /// What each selector was compiled from.
    sources: Vec<Match>,
    /// Sets of networks that several selectors may share.
    networks: HashMap<ClientMatch, Rc<NetworkSet>>,
    definitions: OrderedMap<Name, Match>,
    ip_lists: HashMap<Name, Vec<Cidr>>,
    /// Named matches that are being compiled, to find circles.
    open: Vec<Name>,
    /// Headers that sections write themselves, and which.
    written: HashMap<HeaderName, &'static str>,
}

impl SelectorBuilder {
    /// A builder that knows these definitions.
    pub fn new(definitions: OrderedMap<Name, Match>, ip_lists: HashMap<Name, Vec<Cidr>>) -> Self {
        let mut index = SelectorIndex::default();
        // SelectorId::EVERY.
        index.selectors.push(Selector::default());
        Self {
            index,
            known: Places::default(),
            sources: vec![Match::default()],
            networks: HashMap::new(),
            definitions,
            ip_lists,
            open: Vec::new(),
            written: HashMap::new(),
        }
    }

    /// The named match of the document's definitions.
    pub fn definition(&self, name: &Name) -> Option<&Match> {
        self.definitions.iter().find(|(known, _)| *known == name).map(|(_, wanted)| wanted)
    }

    /// The headers that compiled `match`es ask for; a name as often as it is asked for.
    pub fn header_names(&self) -> impl Iterator<Item = &HeaderName> {
        self.index.selectors.iter().flat_map(|selector| &selector.headers).map(|(name, _)| name)
    }

    /// Compiles a rule's `match`, which stands at `path`; none is every request.
    pub fn compile(
        &mut self,
        wanted: Option<&Match>,
        path: &FieldPath,
        problems: &mut Problems,
    ) -> SelectorId {
        let Some(wanted) = wanted.filter(|wanted| **wanted != Match::default()) else {
            return SelectorId::EVERY;
        };
        // A match with captures is not shared by name only: captures belong to the patterns, which are equal too.
        let hash = hash(wanted);
        let known = self.known.find(hash, &mut |position| self.sources.get(position) == Some(wanted));
        if let Some(position) = known {
            return SelectorId::at(position);
        }
        let selector = Selector {
            patterns: wanted.paths.iter().flatten().cloned().collect(),
            named: self.named(wanted, &path.field("use"), problems),
            headers: wanted.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            query: wanted.query.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            cookies: wanted.cookies.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            client: wanted
                .client
                .as_ref()
                .map(|client| self.networks(client, &path.field("client"), problems)),
            not: wanted.not.as_ref().map(|not| {
                let path = path.field("not");
                let id = self.compile(Some(not), &path, problems);
                if id == SelectorId::EVERY {
                    problems.report(&path, "an empty `not` excludes every request: this never matches");
                }
                id
            }),
        };
        for (position, method) in wanted.methods.iter().flatten().enumerate() {
            self.check_method(method, &path.field("methods").index(position), problems);
        }
        self.check_values(wanted, path, problems);
        let id = SelectorId::at(self.index.selectors.len());
        self.index.asks_client_address |= selector.client.is_some();
        self.index.selectors.push(selector);
        self.enter(wanted, id.0);
        self.known.add(hash, self.sources.len());
        self.sources.push(wanted.clone());
        self.check_possible(id, path, problems);
        id
    }

    /// Notes that a section writes a header itself: before that, it is the client's own word.
    pub fn note_written(&mut self, name: HeaderName, section: &'static str) {
        self.written.entry(name).or_insert(section);
    }

    /// The section that writes this header itself.
    pub(super) fn written_by(&self, name: &HeaderName) -> Option<&'static str> {
        self.written.get(name).copied()
    }

    /// What a selector asks for besides host, path and method.
    pub(super) fn compiled(&self, id: SelectorId) -> Option<&Selector> {
        self.index.selectors.get(id.0 as usize)
    }

    /// The `match` that a selector was compiled from.
    pub(super) fn source(&self, id: SelectorId) -> Option<&Match> {
        self.sources.get(id.0 as usize)
    }

    /// Compiles a named match of `definitions`; `None`, and a problem, if there is none of that name.
    fn named_one(&mut self, name: &Name, path: &FieldPath, problems: &mut Problems) -> Option<SelectorId> {
        let Some(definition) = self.definitions.get(name).cloned() else {
            problems.unknown_name(path, "a match", name.as_str(), self.definitions.keys().map(Name::as_str));
            return None;
        };
        if self.open.contains(name) {
            problems.report(path, format!("the match `{name}` uses itself"));
            return None;
        }
        self.open.push(name.clone());
        let definition_path = FieldPath::root().field("definitions").field("matches").field(name.as_str());
        let id = self.compile(Some(&definition), &definition_path, problems);
        self.open.pop();
        Some(id)
    }

    /// Compiles every named match, so that a wrong one is found even where no rule uses it.
    pub fn compile_definitions(&mut self, problems: &mut Problems) {
        let path = FieldPath::root().field("definitions").field("matches");
        for name in self.definitions.keys().cloned().collect::<Vec<_>>() {
            self.named_one(&name, &path.field(name.as_str()), problems);
        }
    }

    /// The finished index.
    pub fn finish(self) -> SelectorIndex {
        self.index
    }

    /// The same, and what it was made from is cleared away in slices.
    pub async fn finish_in_slices(self, pace: &Pace) -> SelectorIndex {
        for source in self.sources {
            drop(source);
            pace.step().await;
        }
        self.index
    }

    /// The capture names that a rule with the `match` `id` may refer to.
    pub fn captures(&self, id: SelectorId) -> Vec<&str> {
        let Some(selector) = self.index.selectors.get(id.0 as usize) else { return Vec::new() };
        let own = selector.patterns.iter().flat_map(PathPattern::captures);
        own.chain(selector.named.iter().flat_map(|named| self.captures(*named))).collect()
    }

    fn named(&mut self, wanted: &Match, path: &FieldPath, problems: &mut Problems) -> Vec<SelectorId> {
        let names = wanted.named.iter().flatten().enumerate();
        names.filter_map(|(position, name)| self.named_one(name, &path.index(position), problems)).collect()
    }

    fn networks(
        &mut self,
        client: &ClientMatch,
        path: &FieldPath,
        problems: &mut Problems,
    ) -> Rc<NetworkSet> {
        if let Some(known) = self.networks.get(client) {
            return Rc::clone(known);
        }
        let mut cidrs: Vec<Cidr> = client.cidrs.iter().flatten().copied().collect();
        for (position, name) in client.ip_lists.iter().flatten().enumerate() {
            match self.ip_lists.get(name) {
                Some(list) => cidrs.extend(list),
                None => {
                    let known = self.ip_lists.keys().map(Name::as_str);
                    problems.unknown_name(
                        &path.field("ipLists").index(position),
                        "an IP list",
                        name.as_str(),
                        known,
                    );
                }
            }
        }
        if client.cidrs.is_none() && client.ip_lists.is_none() {
            problems.report(path, "names neither `cidrs` nor `ipLists`: this never matches");
        }
        let set = Rc::new(NetworkSet::new(&cidrs));
        self.networks.insert(client.clone(), Rc::clone(&set));
        set
    }

    fn check_method(&self, method: &str, path: &FieldPath, problems: &mut Problems) {
        let upper = method.to_ascii_uppercase();
        let standard = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
        if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-') {
            problems.report(path, format!("{method:?} is not a method: write `GET`"));
        } else if method != upper && standard.contains(&upper.as_str()) {
            problems.report(
                path,
                format!(
                    "`{method}` never matches, since methods are case-sensitive; did you mean `{upper}`?"
                ),
            );
        }
    }

    fn enter(&mut self, wanted: &Match, id: u32) {
        match &wanted.hosts {
            None => self.index.any_host.add(id),
            Some(hosts) => {
                for host in hosts {
                    match host {
                        HostPattern::Exact(host) => {
                            self.index.exact_hosts.entry(host.clone()).or_default().add(id)
                        }
                        HostPattern::Below(end) => {
                            self.index.below_hosts.entry(end.clone()).or_default().add(id)
                        }
                    }
                }
            }
        }
        match &wanted.paths {
            None => self.index.any_path.add(id),
            Some(paths) => paths.iter().for_each(|pattern| self.index.paths.insert(pattern, id)),
        }
        match &wanted.methods {
            None => self.index.any_method.add(id),
            Some(methods) => methods
                .iter()
                .for_each(|method| self.index.methods.entry(method.clone()).or_default().add(id)),
        }
    }
}

impl OneOrMany<PathPattern> {
    /// Whether one of the patterns matches a path in normal form.
    pub fn any_matches(&self, path: &str) -> bool {
        self.iter().any(|pattern| pattern.matches(path))
    }
}
