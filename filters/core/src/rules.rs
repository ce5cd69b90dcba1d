//! What lists of rules share in which the first that matches decides.

use crate::compile::Compiler;
use crate::name::Name;
use crate::problem::FieldPath;
use crate::selector::SelectorId;
use crate::when::When;

/// A rule of such a list, as far as it matters for which rules are ever asked.
#[derive(Clone, Copy, Debug)]
pub struct OrderedRule<'r> {
    /// Its name.
    pub name: &'r Name,
    /// Its compiled `match`.
    pub selector: SelectorId,
    /// Its `when`.
    pub when: Option<&'r When>,
    /// Whether it is in shadow: it decides nothing, and the rules behind it are asked all the same.
    pub shadow: bool,
}

impl OrderedRule<'_> {
    fn asks_nobody(&self) -> bool {
        self.when.is_none_or(|when| *when == When::default())
    }

    /// Whether every request that `other` would decide is decided by this one. Only what is certain: the same `match` (or none) and
    /// the same `when` (or none).
    fn covers(&self, other: &Self) -> bool {
        let same_when = self.asks_nobody() || (!other.asks_nobody() && self.when == other.when);
        !self.shadow && same_when && (self.selector == SelectorId::EVERY || self.selector == other.selector)
    }
}

/// Reports the rules of a list at `path` that are never asked, because an earlier one decides every request that they are about.
pub fn check_reachable(rules: &[OrderedRule<'_>], path: &FieldPath, compiler: &mut Compiler) {
    for (position, rule) in rules.iter().enumerate() {
        let earlier = rules.iter().take(position);
        if let Some(earlier) = earlier.into_iter().find(|earlier| earlier.covers(rule)) {
            let why = if earlier.selector == SelectorId::EVERY && earlier.asks_nobody() {
                "which takes every request"
            } else {
                "which takes the same requests"
            };
            let message = format!(
                "the rule `{}` is never asked: the first that matches decides, and before it stands `{}`, {why}",
                rule.name, earlier.name
            );
            compiler.problems.report(&path.index(position), message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::from_json;
    use crate::selector::Match;
    use serde_json::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Names, `match`, `when` and shadow of some rules; gives the positions of those that are never asked.
    fn unreachable(rules: serde_json::Value) -> Vec<String> {
        let mut compiler = Compiler::default();
        let path = FieldPath::root().field("rules");
        let rules: Vec<(Name, SelectorId, Option<When>, bool)> = rules
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
            .map(|(position, rule)| {
                let read = |field: &str| rule.get(field).map(|value| value.to_string().into_bytes());
                let wanted: Option<Match> = read("match").map(|json| from_json(&json).unwrap());
                let when: Option<When> = read("when").map(|json| from_json(&json).unwrap());
                let selector = compiler.selector(wanted.as_ref(), &path.index(position));
                (Name::new(&format!("r{position}")).unwrap(), selector, when, rule.get("shadow").is_some())
            })
            .collect();
        let ordered: Vec<OrderedRule<'_>> = rules
            .iter()
            .map(|(name, selector, when, shadow)| OrderedRule {
                name,
                selector: *selector,
                when: when.as_ref(),
                shadow: *shadow,
            })
            .collect();
        check_reachable(&ordered, &path, &mut compiler);
        compiler.problems.iter().map(|problem| problem.path.to_string()).collect()
    }

    #[test]
    fn a_rule_behind_one_that_takes_all_its_requests_is_never_asked() {
        let (a, b) = (json!({ "paths": "/a" }), json!({ "paths": "/b" }));
        let clerk = json!({ "roles": "clerk" });
        for (rules, expected) in [
            (json!([{ "match": a }, { "match": b }, {}]), vec![]),
            (json!([{}, { "match": a }]), vec!["rules[1]"]),
            (json!([{ "when": {} }, { "match": a }]), vec!["rules[1]"]),
            (json!([{ "match": a }, { "match": b }, { "match": a }]), vec!["rules[2]"]),
            (json!([{ "match": a, "when": clerk }, { "match": a }]), vec![]),
            (json!([{ "match": a }, { "match": a, "when": clerk }]), vec!["rules[1]"]),
            (json!([{ "when": clerk }, { "match": a, "when": clerk }]), vec!["rules[1]"]),
            (json!([{ "match": a, "when": clerk }, { "match": b, "when": clerk }]), vec![]),
            (json!([{ "shadow": true }, { "match": a }]), vec![]),
            (json!([{}, { "shadow": true }]), vec!["rules[1]"]),
        ] {
            assert_eq!(unreachable(rules.clone()), expected, "{rules}");
        }
    }
}
