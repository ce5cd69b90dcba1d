//! Which `match` includes which.

use super::config::Match;
use super::index::{SelectorBuilder, SelectorId};
use super::path_inclusion::InclusionTree;
use super::path_pattern::PathPattern;
use super::value::ValueMatch;
use crate::document::list::{OneOrMany, OrderedMap};
use crate::document::problem::{FieldPath, Problems, quoted_list};
use crate::rule::inclusion::{Clause, Work, expand, includes, is_impossible};
use crate::rule::reachable::{Feature, Features};

/// A compiled `match`, to be compared with others.
#[derive(Clone, Copy)]
pub(crate) struct MatchClause<'b> {
    builder: &'b SelectorBuilder,
    id: SelectorId,
}

// === impl MatchClause ===

impl<'b> MatchClause<'b> {
    pub(crate) const fn new(builder: &'b SelectorBuilder, id: SelectorId) -> Self {
        Self { builder, id }
    }

    fn source(self) -> Option<&'b Match> {
        self.builder.source(self.id)
    }

    fn networks(self) -> Option<&'b crate::caller::network::NetworkSet> {
        self.builder.compiled(self.id)?.client.as_deref()
    }

    /// Whether one of its named matches is not known, which has been reported.
    fn is_broken(self) -> bool {
        let named = self.source().map_or(0, |source| source.named.iter().flatten().count());
        self.builder.compiled(self.id).is_none_or(|selector| selector.named.len() != named)
    }

    /// Whether no request can meet both, whatever its path.
    pub(crate) fn is_elsewhere(self, other: Self, work: &Work) -> bool {
        let Some((left, right)) = self.source().zip(other.source()) else { return false };
        none_in_both(&left.hosts, &right.hosts, |left, right| left.is_disjoint(right), work)
            || none_in_both(&left.methods, &right.methods, |left, right| left != right, work)
            || self.networks().zip(other.networks()).is_some_and(|(left, right)| {
                work.spend(left.len().saturating_add(right.len())) && left.is_disjoint(right)
            })
            || values_contradict(&left.headers, &right.headers, work)
            || values_contradict(&left.query, &right.query, work)
            || values_contradict(&left.cookies, &right.cookies, work)
    }

    /// What a request must have for this to match: for each key, values of which it must have one.
    pub(crate) fn features(self, tree: &mut InclusionTree, features: &mut Features) {
        let Some(source) = self.source() else { return };
        if let Some(hosts) = &source.hosts {
            features.add(hosts.iter().map(|host| Feature::of("host", &[&host.to_string()])));
        }
        if let Some(paths) = &source.paths {
            features.add(paths.iter().map(|path| Feature::of_path(tree.insert(path))));
        }
        if let Some(methods) = &source.methods {
            features.add(methods.iter().map(|method| Feature::of("method", &[method])));
        }
        for (kind, values) in values(source) {
            for (name, value) in values {
                match value.exact_values() {
                    Some(exact) => features.add(exact.iter().map(|exact| Feature::of(kind, &[&name, exact]))),
                    None => features.add([Feature::of(kind, &[&name])]),
                }
            }
        }
        if source.client.is_some() {
            features.add([Feature::of("client", &[])]);
        }
        if let [only] = self.alternatives().as_slice() {
            only.features(tree, features);
        }
    }

    /// The features of which a `match` that includes this one must have one, whatever the key that it has them for.
    pub(crate) fn wider_features(self, tree: &InclusionTree, found: &mut Vec<Feature>) {
        for clause in expand(self, 0).into_iter().next().unwrap_or_default() {
            let Some(source) = clause.source() else { continue };
            if let Some(host) = source.hosts.iter().flatten().next() {
                let host = host.to_string();
                let name = host.strip_prefix('*').unwrap_or(&host);
                for end in name.match_indices('.').filter_map(|(dot, _)| name.get(dot..)) {
                    found.push(Feature::of("host", &[&format!("*{end}")]));
                }
                found.push(Feature::of("host", &[&host]));
            }
            if let Some(path) = source.paths.iter().flatten().next() {
                let mut numbers = Vec::new();
                tree.including(path, &mut numbers);
                found.extend(numbers.into_iter().map(Feature::of_path));
            }
            found.extend(
                source.methods.iter().flatten().next().map(|method| Feature::of("method", &[method])),
            );
            for (kind, values) in values(source) {
                for (name, value) in values {
                    found.push(Feature::of(kind, &[&name]));
                    let first = value.exact_values().and_then(<[String]>::first);
                    found.extend(first.map(|exact| Feature::of(kind, &[&name, exact])));
                }
            }
            if source.client.is_some() {
                found.push(Feature::of("client", &[]));
            }
        }
    }
}

/// Headers, query parameters and cookies by name.
fn values(source: &Match) -> [(&'static str, Vec<(String, &ValueMatch)>); 3] {
    let headers = source.headers.iter().map(|(name, value)| (name.to_string(), value)).collect();
    [
        ("header", headers),
        ("query", source.query.iter().map(|(name, value)| (name.clone(), value)).collect()),
        ("cookie", source.cookies.iter().map(|(name, value)| (name.clone(), value)).collect()),
    ]
}

impl Clause for MatchClause<'_> {
    fn alternatives(self) -> Vec<Self> {
        let named = self.builder.compiled(self.id).map(|selector| selector.named.as_slice());
        named.unwrap_or_default().iter().map(|id| Self { id: *id, ..self }).collect()
    }

    fn excluded(self) -> Option<Self> {
        self.builder.compiled(self.id)?.not.map(|id| Self { id, ..self })
    }

    fn follows_from(self, facts: &[Self], work: &Work) -> bool {
        if self.id == SelectorId::EVERY || facts.iter().any(|fact| fact.id == self.id) {
            return true;
        }
        let Some(own) = self.source().filter(|_| !self.is_broken()) else { return false };
        let sources = || facts.iter().filter_map(|fact| fact.source());
        let hosts = own.hosts.as_ref().is_none_or(|wide| {
            let theirs = sources().filter_map(|source| source.hosts.as_ref());
            theirs.into_iter().any(|narrow| each_in(wide, narrow, |wide, narrow| wide.includes(narrow), work))
        });
        let paths = || {
            own.paths.as_ref().is_none_or(|wide| {
                let theirs = sources().filter_map(|source| source.paths.as_ref());
                theirs
                    .into_iter()
                    .any(|narrow| each_in(wide, narrow, |wide, narrow| wide.includes(narrow), work))
            })
        };
        let methods = || {
            own.methods.as_ref().is_none_or(|wide| {
                let theirs = sources().filter_map(|source| source.methods.as_ref());
                theirs.into_iter().any(|narrow| each_in(wide, narrow, |wide, narrow| wide == narrow, work))
            })
        };
        let networks = || {
            self.networks().is_none_or(|wide| {
                facts
                    .iter()
                    .filter_map(|fact| fact.networks())
                    .any(|narrow| work.spend(narrow.len()) && wide.includes(narrow))
            })
        };
        let theirs: Vec<&Match> = sources().collect();
        hosts
            && paths()
            && methods()
            && networks()
            && values_follow(&own.headers, theirs.iter().map(|source| &source.headers), work)
            && values_follow(&own.query, theirs.iter().map(|source| &source.query), work)
            && values_follow(&own.cookies, theirs.iter().map(|source| &source.cookies), work)
    }

    fn contradicts(self, other: Self, work: &Work) -> bool {
        let Some((left, right)) = self.source().zip(other.source()) else { return false };
        none_in_both(&left.paths, &right.paths, |left, right| left.is_disjoint(right), work)
            || self.is_elsewhere(other, work)
    }
}

/// Whether each of `narrow` is within one of `wide`.
pub(crate) fn each_in<T, U>(
    wide: &OneOrMany<T>,
    narrow: &OneOrMany<U>,
    includes: impl Fn(&T, &U) -> bool,
    work: &Work,
) -> bool {
    narrow
        .iter()
        .all(|narrow| work.spend(wide.as_slice().len()) && wide.iter().any(|wide| includes(wide, narrow)))
}

/// Whether both are given and no value is in both.
pub(crate) fn none_in_both<T>(
    left: &Option<OneOrMany<T>>,
    right: &Option<OneOrMany<T>>,
    differ: impl Fn(&T, &T) -> bool,
    work: &Work,
) -> bool {
    left.as_ref().zip(right.as_ref()).is_some_and(|(left, right)| {
        left.iter()
            .all(|one| work.spend(right.as_slice().len()) && right.iter().all(|other| differ(one, other)))
    })
}

/// Whether each of the conditions `own` follows from one of the same name in `theirs`.
pub(crate) fn values_follow<'v, K: PartialEq + 'v>(
    own: &OrderedMap<K, ValueMatch>,
    theirs: impl Iterator<Item = &'v OrderedMap<K, ValueMatch>> + Clone,
    work: &Work,
) -> bool {
    own.iter().all(|(name, wide)| {
        theirs.clone().any(|values| {
            values.iter().any(|(known, narrow)| work.spend(1) && known == name && narrow.implies(wide))
        })
    })
}

/// Whether what one asks to be absent is asked to be there by the other.
pub(crate) fn values_contradict<K: PartialEq>(
    left: &OrderedMap<K, ValueMatch>,
    right: &OrderedMap<K, ValueMatch>,
    work: &Work,
) -> bool {
    left.iter().any(|(name, one)| {
        right
            .iter()
            .any(|(known, other)| work.spend(1) && known == name && one.is_absence() != other.is_absence())
    })
}

// === impl SelectorBuilder ===

impl SelectorBuilder {
    /// Whether every request that `narrow` matches is matched by `wide`.
    pub(crate) fn includes(&self, wide: SelectorId, narrow: SelectorId, work: &Work) -> bool {
        wide == SelectorId::EVERY
            || wide == narrow
            || includes(MatchClause::new(self, wide), MatchClause::new(self, narrow), work)
    }

    /// Reports a `match` that no request can meet.
    pub(super) fn check_possible(&self, id: SelectorId, path: &FieldPath, problems: &mut Problems) {
        let clause = MatchClause::new(self, id);
        let Some(source) = self.source(id) else { return };
        if (source.not.is_none() && source.named.is_none()) || clause.is_broken() {
            return;
        }
        // An empty `not` has been reported.
        if clause.excluded().is_some_and(|not| not.id == SelectorId::EVERY) {
            return;
        }
        let work = Work::for_rules(1);
        if is_impossible(clause, &work) {
            let why = match (&source.not, &source.named) {
                (Some(_), None) => "`not` excludes all that the other keys are about",
                (None, Some(_)) => "no request meets both the keys that stand here and those of `use`",
                _ => "no request meets the keys that stand here, those of `use`, and what `not` excludes",
            };
            problems.report(path, format!("never matches: {why}"));
        }
    }

    /// The path patterns of a selector, without those of `use`.
    pub fn own_paths(&self, id: SelectorId) -> &[PathPattern] {
        let paths = self.source(id).and_then(|source| source.paths.as_ref());
        paths.map_or(&[], OneOrMany::as_slice)
    }

    /// Whether a selector refers to no named match.
    pub fn names_nothing(&self, id: SelectorId) -> bool {
        self.source(id).is_some_and(|source| source.named.is_none())
    }

    /// Which requests a selector is about, where few words say it: "every request to `/api/**`".
    pub(crate) fn describe(&self, id: SelectorId) -> Option<String> {
        let source = self.source(id)?;
        let only = |kept: Match| kept == *source;
        let list = |names: Vec<String>| {
            (names.len() <= 3)
                .then(|| format!("every request to {}", quoted_list(names.iter().map(String::as_str))))
        };
        if id == SelectorId::EVERY {
            Some("every request".to_owned())
        } else if only(Match { paths: source.paths.clone(), ..Match::default() }) {
            list(source.paths.iter().flatten().map(ToString::to_string).collect())
        } else if only(Match { hosts: source.hosts.clone(), ..Match::default() }) {
            list(source.hosts.iter().flatten().map(ToString::to_string).collect())
        } else {
            None
        }
    }
}
