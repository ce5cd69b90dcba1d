//! From JSON text to the document's types, with the path of the field in every error.

mod aside;
mod misfit;
mod reader;
mod text;
mod tree;
mod variant;

use crate::document::pace::Pace;
use crate::document::problem::{FieldPath, Problem, Segment};
pub use aside::Aside;
use aside::FirstWith;
use misfit::{Details, Misfit};
use reader::Reader;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use tree::Tree;

/// A type that is a list or one of its elements asks for itself as a newtype of this name. [`from_json`] then hands a list to its visitor's
/// `visit_seq`, and anything else whole to `visit_some`. Other deserializers know no such name and call `visit_newtype_struct`.
pub const LIST_OR_ONE: &str = "a list or one";

/// The same for a type that has a short form besides an object: an object is handed whole to `visit_some`, the rest as it is. (Serde's own
/// way, a `MapAccessDeserializer`, would bring code to compare the names of the object's fields into the module.)
pub const SHORT_OR_OBJECT: &str = "a short form or an object";

/// The same for a list that may be long: it is handed to `visit_seq`, or set aside and its number handed to `visit_u128`.
pub const ENTRIES: &str = "a long list";

/// The same for one that may be one of its elements, which `visit_some` gets.
pub const ENTRIES_OR_ONE: &str = "a long list or one";

/// Reads `json` as a `T`.
///
/// # Errors
/// The first thing that does not fit: not JSON, an unknown field, a value of the wrong type or form. Serde stops at the first, so
/// there is one problem at a time; what can only be judged once all is read (references, contradictions) comes later, all at once.
pub fn from_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, Problem> {
    T::deserialize(Reader { tree: &mut tree(json)?, recovery: FirstWith(None) })
        .map_err(|misfit| discreet(problem(misfit)))
}

/// The same in slices: with a step of `pace` for each value, and long lists set aside, to be read entry by entry. For what was read whole
/// before: errors have fewer words.
///
/// # Errors
/// As [`from_json`].
pub async fn from_json_in_slices<T: DeserializeOwned>(
    json: &[u8],
    pace: &Pace,
) -> Result<(T, Aside), Problem> {
    let mut tree = text::tree(json, pace).await.map_err(not_json)?;
    let aside = Aside::default();
    let read = T::deserialize(Reader { tree: &mut tree, recovery: FirstWith(Some(&aside)) });
    Ok((read.map_err(|misfit| discreet(problem(misfit)))?, aside))
}

/// Reads `json` as a `T`, and goes on behind what does not fit: elements of lists, entries of maps and unknown fields are left out.
/// In an object with a value that does not fit nothing is looked at behind it. Names of fields are repeated, whatever they are.
///
/// # Errors
/// All that did not fit; also what does not fit only because something was left out, such as a list that is empty now.
pub fn all_from_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, Vec<Problem>> {
    let kept = RefCell::new(Vec::new());
    let mut tree = tree(json).map_err(|problem| vec![problem])?;
    let read = T::deserialize(Reader { tree: &mut tree, recovery: &kept });
    let mut misfits = kept.into_inner();
    match read {
        Ok(value) if misfits.is_empty() => return Ok(value),
        Ok(_) => {}
        Err(misfit) => misfits.push(misfit),
    }
    Err(misfits.into_iter().map(problem).collect())
}

fn tree(json: &[u8]) -> Result<Tree, Problem> {
    serde_json::from_slice(json).map_err(not_json)
}

fn not_json(error: serde_json::Error) -> Problem {
    Problem { path: FieldPath::root(), message: format!("not JSON: {error}"), suggestion: None }
}

fn problem(misfit: Misfit) -> Problem {
    let Details { message, suggestion, inside_out } = *misfit.0;
    Problem { path: inside_out.into_iter().rev().collect(), message, suggestion }
}

/// Without the name of a field that stands among credentials and is no misspelt field: it may be a secret that was put in the wrong
/// place, and what is told goes into logs.
fn discreet(problem: Problem) -> Problem {
    let Some((Segment::Field(_), parents)) = problem.path.segments().split_last() else { return problem };
    let among_credentials =
        parents.iter().any(|segment| matches!(segment, Segment::Field(name) if name == "keys" || name == "apiKey" || name == "k"));
    if !among_credentials || problem.suggestion.is_some() || !problem.message.starts_with("unknown ") {
        return problem;
    }
    let there_are = problem.message.rsplit_once("; ").map(|(_, there_are)| there_are).unwrap_or_default();
    Problem {
        path: parents.iter().cloned().collect(),
        message: format!(
            "unknown field, whose name is not repeated here, since it may be a secret; {there_are}"
        ),
        suggestion: None,
    }
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
            "rules[1].method: unknown field `method`; there is `methods`; did you mean `methods`?"
        );
    }

    #[test]
    fn a_wrong_type_is_named_with_its_path() {
        assert_eq!(
            error(r#"{"rules":[{"methods":[7]}]}"#),
            "rules[0].methods[0]: a number where text is expected; put it in quotes"
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
            (r#"["square"]"#, "[0]: unknown value `square`; there are `plain`, `sized`, `shaped` and `pair`"),
            (r#"[{"sized":300}]"#, "[0].sized: 300 is not a whole number from 0 to 255"),
            (r#"[{"shaped":{"width":"x"}}]"#, "[0].shaped.width: text where a whole number from 0 to 255"),
            (r#"[{"pair":[1]}]"#, "[0].pair: 1 elements where "),
            (r#"[{"pair":[1,2,3]}]"#, "[0].pair: too many elements"),
            (r#"[{"plain":1}]"#, "[0].plain: `plain` stands alone"),
            (r#"["sized"]"#, "[0]: `sized` alone says too little: write `{ sized: … }`"),
            (r#"[{}]"#, "[0]: an empty object where one of `plain`, "),
            (r#"[{"plain":null,"sized":1}]"#, "[0]: an object with several fields where one of"),
            (r#"[null]"#, "[0]: nothing (`null`) where one of"),
            (r#"[[]]"#, "[0]: a list where one of"),
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

    #[test]
    fn what_was_found_is_named_by_its_kind_and_not_repeated() {
        for (json, expected) in [
            (
                r#"{"rules":[{"methods":["x",{"s3cret":1}]}]}"#,
                "rules[0].methods[1]: an object where text is expected",
            ),
            (r#"{"rules":[{"methods":"s3cret"}]}"#, "rules[0].methods: text where a list is expected"),
            (
                r#"{"rules":[{"methods":[true]}]}"#,
                "rules[0].methods[0]: `true` or `false` where text is expected; put it in quotes",
            ),
            (r#"{"rules":{}}"#, "rules: an object where a list is expected"),
            (r#"{"rules":null}"#, "rules: nothing (`null`) where a list is expected"),
            (r#"[]"#, "the document: a list where an object is expected"),
        ] {
            assert_eq!(error(json), expected, "{json}");
        }
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    #[allow(dead_code)]
    struct Provider {
        api_key: Keys,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Keys {
        keys: Vec<Key>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Key {
        sha256: String,
    }

    #[test]
    fn what_stands_in_the_place_of_a_credential_is_not_repeated() {
        for json in [
            r#"{"apiKey":{"keys":[{"s3cret":1}]}}"#,
            r#"{"apiKey":{"keys":[{"sha256":{"s3cret":1}}]}}"#,
            r#"{"apiKey":{"keys":["s3cret"]}}"#,
            r#"{"apiKey":{"keys":{"s3cret":1}}}"#,
            r#"{"apiKey":{"s3cret":[]}}"#,
            r#"{"apiKey":"s3cret"}"#,
        ] {
            let error = from_json::<Provider>(json.as_bytes()).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{json}: {error}");
        }
        let misspelt =
            from_json::<Provider>(br#"{"apiKey":{"keys":[{"sha265":1}]}}"#).unwrap_err().to_string();
        assert!(misspelt.contains("`sha265`") && misspelt.contains("`sha256`"), "{misspelt}");
    }

    #[test]
    fn reading_can_go_on_behind_what_does_not_fit() {
        let json = br#"{"rules":[{"methods":["a",7,"b",8]},{"method":[],"mehtods":[],"methods":[9]},7,{"methods":[]}],"other":1}"#;
        let all: Vec<String> = all_from_json::<Sample>(json)
            .unwrap_err()
            .iter()
            .map(|problem| problem.path.to_string())
            .collect();
        assert_eq!(
            all,
            [
                "rules[0].methods[1]",
                "rules[0].methods[3]",
                "rules[1].method",
                "rules[1].mehtods",
                "rules[1].methods[0]",
                "rules[2]",
                "other"
            ]
        );
        assert!(all_from_json::<Sample>(br#"{"rules":[]}"#).is_ok());
        assert_eq!(all_from_json::<Sample>(b"{").unwrap_err().len(), 1);
    }
}
