//! Which rules may include which: so that not every rule is compared with every other.
//!
//! Each rule is entered under the rarest of the things that it asks for: a rule can only include another if the other asks for that thing,
//! too. A rule that is to be compared looks there. So lists take time in proportion to their length, whatever it is that their rules
//! differ in: path, host, header or caller.

use super::Conditions;
use crate::rule::selector::{InclusionTree, MatchClause, SelectorBuilder, SelectorId};
use crate::rule::when::When;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// One thing that a rule asks for, such as the method `GET`, as a number. Two may have the same number, which costs a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Feature(u64);

/// What a rule asks for: for each of its keys, the things of which a request must have one.
#[derive(Debug, Default)]
pub(crate) struct Features(Vec<Vec<Feature>>);

/// The rules of a list, by what they ask for.
#[derive(Debug)]
pub(super) struct RuleIndex {
    by_feature: HashMap<Feature, Vec<usize>>,
    /// Rules that ask for nothing of that kind: all requests, or all but some.
    loose: Vec<usize>,
    /// Rules by all that they ask for.
    equal: HashMap<u64, Vec<usize>>,
    tree: InclusionTree,
}

/// How many rules of one feature are compared.
const MOST_OF_A_FEATURE: usize = 24;
/// How many rules one rule is compared with.
const MOST: usize = 64;

// === impl Feature ===

impl Feature {
    pub(crate) fn of(kind: &str, parts: &[&str]) -> Self {
        let mut hasher = DefaultHasher::new();
        (kind, parts).hash(&mut hasher);
        Self(hasher.finish())
    }

    /// A path pattern by its number in an [`InclusionTree`].
    pub(crate) fn of_path(number: u64) -> Self {
        let mut hasher = DefaultHasher::new();
        ("path", number).hash(&mut hasher);
        Self(hasher.finish())
    }
}

// === impl Features ===

impl Features {
    /// Adds a key.
    pub(crate) fn add(&mut self, alternatives: impl IntoIterator<Item = Feature>) {
        self.0.push(alternatives.into_iter().collect());
    }
}

// === impl RuleIndex ===

impl RuleIndex {
    /// Enters the rules that are enforced.
    pub(super) fn new<'r>(
        rules: impl Iterator<Item = (usize, Conditions<'r>)>,
        selectors: &SelectorBuilder,
    ) -> Self {
        let mut tree = InclusionTree::default();
        let mut equal: HashMap<u64, Vec<usize>> = HashMap::new();
        let entered: Vec<(usize, Features)> = rules
            .map(|(position, rule)| {
                equal.entry(rule.hash()).or_default().push(position);
                let mut features = Features::default();
                MatchClause::new(selectors, rule.selector).features(&mut tree, &mut features);
                if let Some(when) = rule.when {
                    when.features(&mut features);
                }
                (position, features)
            })
            .collect();
        let mut frequency: HashMap<Feature, u32> = HashMap::new();
        for feature in entered.iter().flat_map(|(_, features)| features.0.iter().flatten()) {
            let count = frequency.entry(*feature).or_default();
            *count = count.saturating_add(1);
        }
        let (mut by_feature, mut loose) = (HashMap::<Feature, Vec<usize>>::new(), Vec::new());
        for (position, features) in &entered {
            let commonest =
                |key: &Vec<Feature>| key.iter().filter_map(|feature| frequency.get(feature)).max().copied();
            match features.0.iter().min_by_key(|key| (commonest(key), key.len())) {
                Some(key) => {
                    key.iter().for_each(|feature| by_feature.entry(*feature).or_default().push(*position))
                }
                None => loose.push(*position),
            }
        }
        Self { by_feature, loose, equal, tree }
    }

    /// The rules that may include `rule`, in order, `rule` itself perhaps among them. `before` bounds their position.
    pub(super) fn candidates(
        &self,
        rule: Conditions<'_>,
        before: usize,
        selectors: &SelectorBuilder,
    ) -> Vec<usize> {
        let mut features = Vec::new();
        MatchClause::new(selectors, rule.selector).wider_features(&self.tree, &mut features);
        if let Some(when) = rule.when {
            when.wider_features(&mut features);
        }
        let buckets = features.iter().filter_map(|feature| self.by_feature.get(feature)).chain([&self.loose]);
        let mut found: Vec<usize> =
            buckets.flat_map(|bucket| bucket.iter().take(MOST_OF_A_FEATURE)).copied().collect();
        found.extend(self.equal.get(&rule.hash()).into_iter().flatten().take(2));
        found.retain(|position| *position < before);
        found.sort_unstable();
        found.dedup();
        found.truncate(MOST);
        found
    }
}

// === impl Conditions ===

impl Conditions<'_> {
    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.selector.hash(&mut hasher);
        match self.when.filter(|when| **when != When::default()) {
            Some(when) => format!("{when:?}").hash(&mut hasher),
            None => SelectorId::EVERY.hash(&mut hasher),
        }
        hasher.finish()
    }
}
