//! Which `when` includes which.

use super::{AnyOrAll, PeerPattern, When};
use crate::document::list::{OneOrMany, OrderedMap};
use crate::rule::inclusion::{Clause, Work, includes, is_impossible};
use crate::rule::reachable::{Feature, Features};
use crate::rule::selector::ValueMatch;
use crate::rule::selector::inclusion::{each_in, none_in_both, values_contradict, values_follow};
use std::fmt::{Debug, Display};

impl Clause for &When {
    fn alternatives(self) -> Vec<Self> {
        Vec::new()
    }

    fn excluded(self) -> Option<Self> {
        self.not.as_deref()
    }

    fn follows_from(self, facts: &[Self], work: &Work) -> bool {
        let authenticated = match self.authenticated {
            None => true,
            Some(true) => facts.iter().any(|fact| fact.needs_identity()),
            Some(false) => facts.iter().any(|fact| fact.authenticated == Some(false)),
        };
        authenticated
            && list_follows(&self.providers, facts, |fact| &fact.providers, work)
            && list_follows(&self.principals, facts, |fact| &fact.principals, work)
            && list_follows(&self.consumers, facts, |fact| &fact.consumers, work)
            && held_follow(&self.roles, facts, |fact| &fact.roles, work)
            && held_follow(&self.scopes, facts, |fact| &fact.scopes, work)
            && held_follow(&self.permissions, facts, |fact| &fact.permissions, work)
            && values_follow(&self.claims, facts.iter().map(|fact| &fact.claims), work)
            && values_follow(&self.attributes, facts.iter().map(|fact| &fact.attributes), work)
            && self.peers.as_ref().is_none_or(|wide| {
                let theirs = facts.iter().filter_map(|fact| fact.peers.as_ref());
                theirs.into_iter().any(|narrow| each_in(wide, narrow, PeerPattern::includes, work))
            })
    }

    fn contradicts(self, other: Self, work: &Work) -> bool {
        let nobody = |one: &When, other: &When| one.authenticated == Some(false) && other.needs_identity();
        nobody(self, other)
            || nobody(other, self)
            || none_in_both(&self.providers, &other.providers, |left, right| left != right, work)
            || none_in_both(&self.consumers, &other.consumers, |left, right| left != right, work)
            || none_in_both(&self.peers, &other.peers, PeerPattern::is_disjoint, work)
            || values_contradict(&self.attributes, &other.attributes, work)
    }
}

/// Whether a list of which the caller is one includes that of one of `facts`.
fn list_follows<T: PartialEq>(
    own: &Option<OneOrMany<T>>,
    facts: &[&When],
    of: impl Fn(&When) -> &Option<OneOrMany<T>>,
    work: &Work,
) -> bool {
    own.as_ref().is_none_or(|wide| {
        let theirs = facts.iter().filter_map(|fact| of(fact).as_ref());
        theirs.into_iter().any(|narrow| each_in(wide, narrow, |wide, narrow| wide == narrow, work))
    })
}

/// Whether what the caller holds by one of `facts` is enough.
fn held_follow(
    own: &Option<AnyOrAll>,
    facts: &[&When],
    of: impl Fn(&When) -> &Option<AnyOrAll>,
    work: &Work,
) -> bool {
    own.as_ref().is_none_or(|wide| {
        let theirs = facts.iter().filter_map(|fact| of(fact).as_ref());
        theirs.into_iter().any(|narrow| wide.includes(narrow, work))
    })
}

// === impl AnyOrAll ===

impl AnyOrAll {
    /// Whether who meets `narrow` meets this.
    fn includes(&self, narrow: &Self, work: &Work) -> bool {
        let (own, others) = (self.values.as_slice(), narrow.values.as_slice());
        if !work.spend(own.len().saturating_mul(others.len())) {
            return false;
        }
        let all_others = narrow.all || others.len() == 1;
        match self.all {
            // All of ours are among those that are surely held.
            true => all_others && own.iter().all(|value| others.contains(value)),
            false if all_others => own.iter().any(|value| others.contains(value)),
            false => others.iter().all(|value| own.contains(value)),
        }
    }

    /// All values that it names.
    pub(crate) fn values(&self) -> &[String] {
        self.values.as_slice()
    }

    /// Whether all are asked for.
    pub(crate) const fn asks_all(&self) -> bool {
        self.all
    }
}

// === impl PeerPattern ===

impl PeerPattern {
    /// Whether every identity that `narrow` matches is matched by this.
    fn includes(&self, narrow: &Self) -> bool {
        match (self, narrow) {
            (_, Self::Exact(identity)) => self.matches(identity),
            (Self::Below(wide), Self::Below(narrow)) => narrow.starts_with(wide.as_str()),
            (Self::Exact(_), Self::Below(_)) => false,
        }
    }

    /// Whether no identity matches both.
    fn is_disjoint(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Below(left), Self::Below(right)) => {
                !left.starts_with(right.as_str()) && !right.starts_with(left.as_str())
            }
            (pattern, Self::Exact(identity)) | (Self::Exact(identity), pattern) => !pattern.matches(identity),
        }
    }
}

// === impl When ===

impl When {
    /// Whether everybody that meets `narrow` meets this.
    pub(crate) fn includes(&self, narrow: &Self, work: &Work) -> bool {
        *self == Self::default() || self == narrow || includes(self, narrow, work)
    }

    /// Whether nobody can meet it, because of its `not`.
    pub(super) fn excludes_all(&self) -> bool {
        self.not.as_ref().is_some_and(|not| **not != Self::default())
            && is_impossible(self, &Work::for_rules(1))
    }

    /// Whether it can only be met by somebody who is proven to call.
    pub(crate) fn needs_identity(&self) -> bool {
        self.authenticated == Some(true) || self.asks_identity_besides_authenticated()
    }

    /// What a caller must have to meet it: for each key, values of which the caller must have one.
    pub(crate) fn features(&self, features: &mut Features) {
        if let Some(authenticated) = self.authenticated {
            features.add([Feature::of("authenticated", &[&authenticated.to_string()])]);
        }
        let mut one_of = |kind: &str, values: Option<Vec<String>>| {
            if let Some(values) = values {
                features.add(values.iter().map(|value| Feature::of(kind, &[value])));
            }
        };
        one_of("provider", texts(&self.providers));
        one_of("principal", texts(&self.principals));
        one_of("consumer", texts(&self.consumers));
        one_of("peer", texts(&self.peers));
        for (kind, held) in self.held() {
            let Some(held) = held else { continue };
            // Who holds all holds the first.
            let values =
                if held.asks_all() { held.values().get(..1).unwrap_or_default() } else { held.values() };
            one_of(kind, Some(values.to_vec()));
        }
        value_features("claim", &self.claims, features);
        value_features("attribute", &self.attributes, features);
    }

    /// The features of which a `when` that includes this one must have one, whatever the key that it has them for.
    pub(crate) fn wider_features(&self, found: &mut Vec<Feature>) {
        let authenticated = self.authenticated.or(self.needs_identity().then_some(true));
        if let Some(authenticated) = authenticated {
            found.push(Feature::of("authenticated", &[&authenticated.to_string()]));
        }
        let mut first = |kind: &str, values: Option<Vec<String>>| {
            found.extend(values.iter().flatten().take(1).map(|value| Feature::of(kind, &[value])));
        };
        first("provider", texts(&self.providers));
        first("principal", texts(&self.principals));
        first("consumer", texts(&self.consumers));
        if let Some(peer) = self.peers.iter().flatten().next() {
            found.push(Feature::of("peer", &[&format!("{peer:?}")]));
            let (PeerPattern::Exact(identity) | PeerPattern::Below(identity)) = peer;
            let ends =
                identity.match_indices('/').filter_map(|(slash, _)| identity.get(..slash.saturating_add(1)));
            for below in ends {
                let below = PeerPattern::Below(below.to_owned());
                found.push(Feature::of("peer", &[&format!("{below:?}")]));
            }
        }
        for (kind, held) in self.held() {
            let Some(held) = held else { continue };
            let values =
                if held.asks_all() { held.values() } else { held.values().get(..1).unwrap_or_default() };
            found.extend(values.iter().map(|value| Feature::of(kind, &[value])));
        }
        wider_value_features("claim", &self.claims, found);
        wider_value_features("attribute", &self.attributes, found);
    }

    fn held(&self) -> [(&'static str, Option<&AnyOrAll>); 3] {
        [
            ("role", self.roles.as_ref()),
            ("scope", self.scopes.as_ref()),
            ("permission", self.permissions.as_ref()),
        ]
    }
}

fn texts<T: Debug>(list: &Option<OneOrMany<T>>) -> Option<Vec<String>> {
    list.as_ref().map(|list| list.iter().map(|value| format!("{value:?}")).collect())
}

fn value_features<K: Display + PartialEq>(
    kind: &str,
    values: &OrderedMap<K, ValueMatch>,
    features: &mut Features,
) {
    for (name, value) in values.iter() {
        let name = name.to_string();
        match value.exact_values() {
            Some(exact) => features.add(exact.iter().map(|exact| Feature::of(kind, &[&name, exact]))),
            None => features.add([Feature::of(kind, &[&name])]),
        }
    }
}

fn wider_value_features<K: Display + PartialEq>(
    kind: &str,
    values: &OrderedMap<K, ValueMatch>,
    found: &mut Vec<Feature>,
) {
    for (name, value) in values.iter() {
        let name = name.to_string();
        found.push(Feature::of(kind, &[&name]));
        let first = value.exact_values().and_then(<[String]>::first);
        found.extend(first.map(|exact| Feature::of(kind, &[&name, exact])));
    }
}
