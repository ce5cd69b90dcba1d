//! Secrets that a document names instead of holding: variables in the environment of the proxy's VM. Envoy fills it from
//! `vm_config.environment_variables`, Istio from `vmConfig.env`; the value is then in neither the document nor the resource.

use serde::de::{self, Deserialize, Deserializer};
use std::fmt;

/// The name of an environment variable: letters, digits and `_`, no digit first (POSIX, Base Definitions 8.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VariableName(String);

/// What is known of a variable. Its value is secret: there is no `Debug`.
pub enum Variable {
    /// It has this value.
    Is(String),
    /// There is none of this name.
    Absent,
    /// That is known in the proxy alone: the command checks a document on another machine.
    Unknown,
}

/// Who knows variables by their name.
pub type Variables = fn(&str) -> Variable;

/// The variables of this process, or of this VM.
pub fn of_this_process(name: &str) -> Variable {
    std::env::var(name).map_or(Variable::Absent, Variable::Is)
}

// === impl VariableName ===

impl VariableName {
    /// Reads a name.
    ///
    /// # Errors
    /// A sentence that says what a name looks like.
    pub fn new(text: &str) -> Result<Self, String> {
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        if first && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Ok(Self(text.to_owned()));
        }
        // It might be the secret itself that somebody has written here: the message doesn't repeat it.
        Err(format!(
            "not the name of an environment variable but text of {} characters; a name has letters, digits and `_`, no digit first",
            text.chars().count()
        ))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VariableName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for VariableName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for VariableName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "VariableName".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
            "description": "The name of a variable in the environment of the proxy's VM.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_name_is_letters_digits_and_underscores() {
        for name in ["SLUICE_SECRET", "_x", "a1"] {
            assert_eq!(VariableName::new(name).unwrap().as_str(), name);
        }
        for name in ["", "1A", "A-B", "A=B", "A B", "Ä"] {
            assert!(VariableName::new(name).unwrap_err().contains("not the name"), "{name}");
        }
    }

    #[test]
    fn a_secret_in_the_place_of_a_name_is_not_repeated() {
        let error = VariableName::new("c2VjcmV0LXNlY3JldA==").unwrap_err();
        assert!(error.contains("text of 20 characters") && !error.contains("c2Vj"), "{error}");
    }

    #[test]
    fn a_variable_that_nobody_set_is_absent() {
        assert!(matches!(of_this_process("SLUICE_TEST_NOBODY_SETS_THIS"), Variable::Absent));
    }
}
