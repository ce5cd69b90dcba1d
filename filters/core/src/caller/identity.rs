//! Who is calling, with proof: what authentication found out, and all later policies ask.

use crate::document::name::Name;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A proven identity. Values come from an issuer or from the document, never from the client's own word.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// The provider that proved it; `None` only for identities given by hand (`sluice explain --identity`).
    pub provider: Option<Name>,
    /// For an identity that a trusted proxy forwarded: the provider there that proved it, where the proxy says so.
    pub origin: Option<Name>,
    /// Who it is, unique within the provider (and its origin): a token's `sub`, the id of an API key, a forwarded user.
    pub principal: String,
    /// Whom to count and bill it to: an API key's consumer, a token's client (`azp`, `client_id`) where a provider says so.
    pub consumer: Option<String>,
    /// Roles, for `authz` and `when`.
    pub roles: Vec<String>,
    /// OAuth scopes (RFC 6749 §3.3).
    pub scopes: Vec<String>,
    /// The token's claims, whole; `Null` where there is no token.
    pub claims: Rc<serde_json::Value>,
    /// What the document says of this consumer (`attributes` of an API key).
    pub attributes: BTreeMap<String, String>,
}

// === impl Identity ===

impl Identity {
    /// The principal with who proved it: `<provider>/<principal>`, or `<provider>/<origin>/<principal>`. What counts or sorts by
    /// principals counts by this: two issuers may each have an `alice`.
    pub fn qualified_principal(&self) -> Cow<'_, str> {
        match (&self.provider, &self.origin) {
            (None, _) => Cow::Borrowed(&self.principal),
            (Some(provider), None) => Cow::Owned(format!("{provider}/{}", self.principal)),
            (Some(provider), Some(origin)) => Cow::Owned(format!("{provider}/{origin}/{}", self.principal)),
        }
    }
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

    /// The claim as one text: its [`scalar_text`], or those of a list's items joined with commas. `None` for anything else: an object
    /// has no single text, nor has a list with a comma inside an item.
    pub fn text(&self, claims: &serde_json::Value) -> Option<String> {
        match self.find(claims)? {
            serde_json::Value::Array(items) => {
                let whole = |item| scalar_text(item).filter(|text| !text.contains(','));
                let items: Option<Vec<Cow<'_, str>>> = items.iter().map(whole).collect();
                items.map(|items| items.join(","))
            }
            value => scalar_text(value).map(Cow::into_owned),
        }
    }
}

/// The text of a single value: a string as it is, a whole number or a boolean as JSON has it. Lists and objects have none. Nor has a
/// number with a fraction or an exponent, or beyond 64 bits: it is read as a double, which other numbers are read as, too.
pub fn scalar_text(value: &serde_json::Value) -> Option<Cow<'_, str>> {
    match value {
        serde_json::Value::String(text) => Some(Cow::Borrowed(text)),
        serde_json::Value::Number(number) if !number.is_f64() => Some(Cow::Owned(number.to_string())),
        serde_json::Value::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
        _ => None,
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
    fn numbers_are_exact_or_have_no_text() {
        for (json, text) in [
            ("0", Some("0")),
            ("-7", Some("-7")),
            ("18446744073709551615", Some("18446744073709551615")),
            ("-9223372036854775808", Some("-9223372036854775808")),
            ("18446744073709551616", None),
            ("-9223372036854775809", None),
            ("12345678901234567890123", None),
            ("1.5", None),
            ("0.1000000000000000055", None),
            ("1e3", None),
            ("-0", None),
            ("1.0", None),
        ] {
            let claims: serde_json::Value =
                serde_json::from_str(&format!("{{\"n\":{json},\"l\":[{json}]}}")).unwrap();
            for path in ["n", "l"] {
                assert_eq!(ClaimPath::new(path).unwrap().text(&claims).as_deref(), text, "{path} {json}");
            }
        }
    }

    #[test]
    fn two_lists_never_have_one_text() {
        let text = |claims: serde_json::Value| ClaimPath::new("l").unwrap().text(&claims);
        assert_eq!(text(json!({ "l": ["a,b"] })), None);
        assert_eq!(text(json!({ "l": ["a", "b"] })).as_deref(), Some("a,b"));
        assert_eq!(text(json!({ "l": ["a", {}] })), None);
    }

    #[test]
    fn a_principal_belongs_to_who_proved_it() {
        let name = |text: &str| Some(Name::new(text).unwrap());
        let identity = |provider, origin| {
            let principal = "auth0|1/x".to_owned();
            Identity { provider, origin, principal, ..Identity::default() }.qualified_principal().into_owned()
        };
        assert_eq!(identity(None, None), "auth0|1/x");
        assert_eq!(identity(name("staff"), None), "staff/auth0|1/x");
        assert_eq!(identity(name("edge"), name("staff")), "edge/staff/auth0|1/x");
    }
}
