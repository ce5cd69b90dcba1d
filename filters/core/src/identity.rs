//! Who is calling, with proof: what authentication found out, and all later policies ask.

use crate::name::Name;
use std::collections::BTreeMap;

/// A proven identity. Values come from an issuer or from the document, never from the client's own word.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// The provider that proved it; `None` only for identities given by hand (`sluice explain --identity`).
    pub provider: Option<Name>,
    /// Who it is, unique within the provider: a token's `sub`, the id of an API key, a forwarded user.
    pub principal: String,
    /// Whom to count and bill it to: an API key's consumer, a token's client (`azp`, `client_id`) where a provider says so.
    pub consumer: Option<String>,
    /// Roles, for `authz` and `when`.
    pub roles: Vec<String>,
    /// OAuth scopes (RFC 6749 §3.3).
    pub scopes: Vec<String>,
    /// The token's claims, whole; `Null` where there is no token.
    pub claims: serde_json::Value,
    /// What the document says of this consumer (`attributes` of an API key).
    pub attributes: BTreeMap<String, String>,
}

/// A claim by its path, `realm_access.roles`. A claim whose own name holds dots (`https://example.com/roles`) is tried first as it
/// stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimPath {
    whole: String,
}

impl ClaimPath {
    /// The claim that `text` names.
    ///
    /// # Errors
    /// A sentence, when a step is empty.
    pub fn new(text: &str) -> Result<Self, String> {
        // A name with a slash is a URI: not steps.
        if text.is_empty() || (!text.contains('/') && text.split('.').any(str::is_empty)) {
            return Err(format!(
                "{text:?} is not a claim: write `sub`, or `realm_access.roles` for a claim inside another"
            ));
        }
        Ok(Self { whole: text.to_owned() })
    }

    /// The path as written.
    pub fn as_str(&self) -> &str {
        &self.whole
    }

    /// The claim's value, if there is one.
    pub fn find<'c>(&self, claims: &'c serde_json::Value) -> Option<&'c serde_json::Value> {
        claims.get(&self.whole).or_else(|| {
            let mut found = claims;
            for step in self.whole.split('.') {
                found = found.get(step)?;
            }
            Some(found)
        })
    }

    /// The claim as one text: a string as it is, a number or boolean as JSON has it, a list of those joined with commas. `None` for
    /// anything else: an object has no single text.
    pub fn text(&self, claims: &serde_json::Value) -> Option<String> {
        match self.find(claims)? {
            serde_json::Value::Array(items) => {
                let items: Option<Vec<String>> = items.iter().map(scalar).collect();
                items.map(|items| items.join(","))
            }
            value => scalar(value),
        }
    }

    /// The claim as a list of texts: a list's items, or a string split at blanks, as `scope` is (RFC 8693 §4.2). Items that are no
    /// text are left out.
    pub fn texts(&self, claims: &serde_json::Value) -> Vec<String> {
        match self.find(claims) {
            Some(serde_json::Value::Array(items)) => items.iter().filter_map(scalar).collect(),
            Some(serde_json::Value::String(text)) => {
                text.split_ascii_whitespace().map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl<'de> serde::Deserialize<'de> for ClaimPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

impl std::fmt::Display for ClaimPath {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.whole)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ClaimPath {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ClaimPath".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A claim of a token by its path: `sub`, `realm_access.roles`.",
            "minLength": 1
        })
    }
}

fn scalar(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn claims_are_found_by_path_and_by_their_own_dotted_name() {
        let claims = json!({
            "sub": "alice", "realm_access": { "roles": ["a", "b"] }, "https://example.com/roles": ["c"], "a.b": 1, "deep": {}
        });
        let text = |path: &str| ClaimPath::new(path).unwrap().text(&claims);
        assert_eq!(text("sub").as_deref(), Some("alice"));
        assert_eq!(text("realm_access.roles").as_deref(), Some("a,b"));
        assert_eq!(text("https://example.com/roles").as_deref(), Some("c"));
        assert_eq!(text("a.b").as_deref(), Some("1"));
        assert_eq!(text("deep"), None);
        assert_eq!(text("none.such"), None);
        for wrong in ["", ".", "a.", ".a", "a..b"] {
            assert!(ClaimPath::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lists_come_from_lists_and_from_blanks() {
        let claims = json!({ "scope": "read  write", "roles": ["x", 1, null, {}] });
        assert_eq!(ClaimPath::new("scope").unwrap().texts(&claims), ["read", "write"]);
        assert_eq!(ClaimPath::new("roles").unwrap().texts(&claims), ["x", "1"]);
    }
}
