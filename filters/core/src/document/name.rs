//! Names that a document gives to its rules, providers, roles and definitions.

use serde::de::{self, Deserialize, Deserializer};
use std::fmt;
use std::rc::Rc;

/// The name of a rule, provider, role or definition: 1 to 64 of `a-z A-Z 0-9 - _ .`, beginning with a letter or digit.
///
/// Names appear in metric names, log fields and response-code details, so their alphabet is what all of these take unchanged.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Rc<str>);

impl Name {
    /// Checks `text` to be a name.
    ///
    /// # Errors
    /// A sentence that says what a name may be.
    pub fn new(text: &str) -> Result<Self, String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if starts_well && text.len() <= 64 && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(format!(
                "{text:?} is not a name: 1 to 64 letters, digits, `-`, `_` or `.`, beginning with a letter or digit"
            ))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, out)
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Name {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "The name of a rule, provider, role or definition; it is what logs, metrics and reasons print.",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn names_are_short_and_plain() {
        for good in ["a", "per-partner", "v1.2", "A_b", &"x".repeat(64)] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "a b", "é", "a/b", "a\n", &"x".repeat(65)] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
    }
}
