//! Which conditions on a value follow from which.

use super::{ValueCondition, ValueMatch};
use crate::document::list::OneOrMany;

impl ValueMatch {
    /// Whether every value (and absence) that meets this meets `wider` too. Only what is certain.
    pub(crate) fn implies(&self, wider: &Self) -> bool {
        let (narrow, wide) = (&self.0, &wider.0);
        if narrow == wide {
            return true;
        }
        if self.is_absence() || wider.is_absence() {
            return self.is_absence() && wider.is_absence();
        }
        // A condition that this does not know is only met by the same.
        if others(wide) != ValueCondition::default() && others(wide) != others(narrow) {
            return false;
        }
        if let Some(values) = &narrow.exact {
            let known = ValueMatch(without_others(wide));
            return values
                .iter()
                .filter(|value| ValueMatch(without_others(narrow)).matches(Some(value.as_bytes())))
                .all(|value| known.matches(Some(value.as_bytes())));
        }
        let each = |list: &Option<OneOrMany<String>>, holds: &dyn Fn(&str) -> bool| {
            list.as_ref().is_some_and(|list| list.iter().all(|text| holds(text)))
        };
        let one_of = |list: &Option<OneOrMany<String>>, holds: &dyn Fn(&str, &str) -> bool, text: &str| {
            list.iter().flatten().any(|wanted| holds(text, wanted))
        };
        let holds = |text: &str, wanted: &str| text.contains(wanted);
        wide.exact.is_none()
            && (wide.prefix.is_none()
                || each(&narrow.prefix, &|text| {
                    one_of(&wide.prefix, &|text, begin| text.starts_with(begin), text)
                }))
            && (wide.suffix.is_none()
                || each(&narrow.suffix, &|text| one_of(&wide.suffix, &|text, end| text.ends_with(end), text)))
            && (wide.contains.is_none()
                || [&narrow.contains, &narrow.prefix, &narrow.suffix]
                    .into_iter()
                    .any(|list| each(list, &|text| one_of(&wide.contains, &holds, text))))
    }

    /// Whether it asks for there being no value.
    pub(crate) fn is_absence(&self) -> bool {
        self.0.present == Some(false)
    }

    /// Whether no value and no absence can meet it: none of its `exact` values meets its other conditions.
    pub(crate) fn is_impossible(&self) -> bool {
        others(&self.0) == ValueCondition::default()
            && self
                .0
                .exact
                .as_ref()
                .is_some_and(|values| !values.iter().any(|value| self.matches(Some(value.as_bytes()))))
    }

    /// The values of which it asks for one, where it lists them.
    pub(crate) fn exact_values(&self) -> Option<&[String]> {
        self.0.exact.as_ref().map(OneOrMany::as_slice)
    }

    /// All texts that it compares with.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let condition = &self.0;
        [
            ("exact", &condition.exact),
            ("prefix", &condition.prefix),
            ("suffix", &condition.suffix),
            ("contains", &condition.contains),
        ]
        .into_iter()
        .flat_map(|(kind, list)| list.iter().flatten().map(move |text| (kind, text.as_str())))
    }
}

/// What a condition says besides what this module knows of.
#[allow(clippy::needless_update)]
fn others(condition: &ValueCondition) -> ValueCondition {
    ValueCondition {
        present: None,
        exact: None,
        prefix: None,
        suffix: None,
        contains: None,
        ..condition.clone()
    }
}

/// What this module knows of.
#[allow(clippy::needless_update)]
fn without_others(condition: &ValueCondition) -> ValueCondition {
    ValueCondition {
        present: condition.present,
        exact: condition.exact.clone(),
        prefix: condition.prefix.clone(),
        suffix: condition.suffix.clone(),
        contains: condition.contains.clone(),
        ..ValueCondition::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::decode::from_json;
    use serde_json::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn value(json: serde_json::Value) -> ValueMatch {
        from_json(json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn conditions_follow_from_narrower_ones() {
        for (narrow, wide, expected) in [
            (json!("a"), json!("a"), true),
            (json!("a"), json!(["a", "b"]), true),
            (json!(["a", "b"]), json!("a"), false),
            (json!("ab"), json!({ "prefix": "a" }), true),
            (json!("ba"), json!({ "prefix": "a" }), false),
            (json!({ "prefix": "ab" }), json!({ "prefix": ["a", "x"] }), true),
            (json!({ "prefix": "a" }), json!({ "prefix": "ab" }), false),
            (json!({ "prefix": "a" }), json!("a"), false),
            (json!({ "suffix": "bc" }), json!({ "suffix": "c" }), true),
            (json!({ "prefix": "abc" }), json!({ "contains": "b" }), true),
            (json!({ "prefix": "a", "suffix": "z" }), json!({ "prefix": "a" }), true),
            (json!({ "prefix": "a" }), json!({ "prefix": "a", "suffix": "z" }), false),
            (json!("a"), json!({ "present": true }), true),
            (json!({ "present": true }), json!("a"), false),
            (json!({ "present": false }), json!({ "present": true }), false),
            (json!("a"), json!({ "present": false }), false),
            (json!({ "present": false }), json!("a"), false),
            (json!({ "exact": ["a", "b"], "prefix": "a" }), json!("a"), true),
        ] {
            assert_eq!(value(narrow.clone()).implies(&value(wide.clone())), expected, "{narrow} {wide}");
        }
    }
}
