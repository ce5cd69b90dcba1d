//! From JSON text to the document's types, with the path of the field in every error.

use crate::problem::{FieldPath, Problem, Segment, nearest};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment as SerdeSegment;

/// Reads `json` as a `T`.
///
/// # Errors
/// The first thing that does not fit: not JSON, an unknown field, a value of the wrong type or form. Serde stops at the first, so
/// there is one problem at a time; what can only be judged once all is read (references, contradictions) comes later, all at once.
pub fn from_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| problem(&error))?;
    deserializer.end().map_err(|error| Problem {
        path: FieldPath::root(),
        message: format!("not JSON: {error}"),
        suggestion: None,
    })?;
    Ok(value)
}

/// Reads an already parsed JSON value as a `T`; errors as [`from_json`].
///
/// # Errors
/// As [`from_json`].
pub fn from_value<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| problem(&error))
}

fn problem(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let path = error
        .path()
        .iter()
        .filter_map(|segment| match segment {
            SerdeSegment::Seq { index } => Some(Segment::Index(*index)),
            SerdeSegment::Map { key } => Some(Segment::Field(key.clone())),
            SerdeSegment::Enum { variant } => Some(Segment::Field(variant.clone())),
            SerdeSegment::Unknown => None,
        })
        .collect();
    let inner = error.inner();
    let text = inner.to_string();
    // serde_json appends " at line L column C": true of the JSON that we were handed, not of the user's file.
    let message = match text.rsplit_once(" at line ") {
        Some((message, _)) if inner.line() > 0 && !inner.is_syntax() && !inner.is_eof() => message.to_owned(),
        _ => text,
    };
    let suggestion = suggestion(&message);
    Problem { path, message, suggestion }
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

    #[test]
    fn text_that_is_not_json_or_goes_on_after_it_is_refused() {
        assert!(error("{").contains("EOF"));
        assert!(error(r#"{"rules":[]} x"#).contains("not JSON"));
    }
}
