//! From JSON text to the document's types, with the path of the field in every error.

mod reader;
mod tree;

use crate::problem::{FieldPath, Problem, nearest};
use reader::Misfit;
use serde::de::DeserializeOwned;
use tree::Tree;

/// Reads `json` as a `T`.
///
/// # Errors
/// The first thing that does not fit: not JSON, an unknown field, a value of the wrong type or form. Serde stops at the first, so
/// there is one problem at a time; what can only be judged once all is read (references, contradictions) comes later, all at once.
pub fn from_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, Problem> {
    let tree: Tree = serde_json::from_slice(json).map_err(|error| Problem {
        path: FieldPath::root(),
        message: format!("not JSON: {error}"),
        suggestion: None,
    })?;
    T::deserialize(tree).map_err(problem)
}

fn problem(misfit: Misfit) -> Problem {
    let Misfit { message, inside_out } = misfit;
    let suggestion = suggestion(&message);
    Problem { path: inside_out.into_iter().rev().collect(), message, suggestion }
}

/// Serde's "unknown field `x`, expected one of `a`, `b`" names everything that a suggestion needs.
fn suggestion(message: &str) -> Option<String> {
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let found = quoted.next()?;
    nearest(found, quoted).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[allow(dead_code)]
        rules: Vec<Rule>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Rule {
        #[allow(dead_code)]
        methods: Vec<String>,
    }

    fn error(json: &str) -> String {
        from_json::<Sample>(json.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_field_is_named_with_its_path_and_the_nearest_right_name() {
        assert_eq!(
            error(r#"{"rules":[{"methods":[]},{"method":["GET"]}]}"#),
            "rules[1].method: unknown field `method`, expected `methods`; did you mean `methods`?"
        );
    }

    #[test]
    fn a_wrong_type_is_named_with_its_path() {
        assert_eq!(
            error(r#"{"rules":[{"methods":[7]}]}"#),
            "rules[0].methods[0]: invalid type: integer `7`, expected a string"
        );
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    #[allow(dead_code)]
    enum Kind {
        Plain,
        Sized(u8),
        Shaped { width: u8 },
        Pair(u8, u8),
    }

    #[test]
    fn a_variant_is_a_name_or_an_object_with_one_field_and_stands_in_the_path() {
        let read =
            |json: &str| from_json::<Vec<Kind>>(json.as_bytes()).map_err(|problem| problem.to_string());
        assert!(
            read(r#"["plain",{"sized":7},{"shaped":{"width":1}},{"pair":[1,2]},{"plain":null}]"#).is_ok()
        );
        for (json, expected) in [
            (r#"["square"]"#, "[0]: unknown variant `square`, expected one of"),
            (r#"[{"sized":300}]"#, "[0].sized: invalid value: integer `300`, expected u8"),
            (r#"[{"shaped":{"width":"x"}}]"#, "[0].shaped.width: invalid type: string"),
            (r#"[{"pair":[1]}]"#, "[0].pair: invalid length 1"),
            (r#"[{"pair":[1,2,3]}]"#, "[0].pair: invalid length 3"),
            (r#"[{"plain":1}]"#, "[0].plain: invalid type: integer `1`"),
            (r#"["sized"]"#, "[0]: invalid type: unit variant"),
            (r#"[{}]"#, "[0]: invalid type: map"),
            (r#"[null]"#, "[0]: invalid type: null"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.starts_with(expected), "{json}: {error}");
        }
    }

    #[test]
    fn a_missing_field_is_named_with_the_path_of_its_object_and_a_doubled_one_with_its_own() {
        assert_eq!(error(r#"{"rules":[{}]}"#), "rules[0]: missing field `methods`");
        let doubled = error(r#"{"rules":[{"methods":[],"methods":[]}]}"#);
        assert!(doubled.contains("duplicate field `methods`"), "{doubled}");
    }

    #[test]
    fn text_that_is_not_json_or_goes_on_after_it_is_refused() {
        assert!(error("{").contains("EOF"));
        assert!(error(r#"{"rules":[]} x"#).contains("not JSON"));
    }
}
