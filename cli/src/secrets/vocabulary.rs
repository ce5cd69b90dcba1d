//! The names of fields, and what stands under them.

use crate::node::Entry;
use crate::schema;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// What stands under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A credential.
    Secret,
    /// Credentials, among things that may be shown.
    Credentials,
    /// Names of headers, cookies and parameters.
    Names,
    /// What stands beside a credential and may be shown.
    Harmless,
    /// Anything else.
    Other,
}

/// Members of a JSON Web Key with a secret (RFC 7518 §6.2.2, §6.3.2, §6.4.1), and our own fields.
const SECRET: [&str; 14] =
    ["sha256", "key", "k", "d", "p", "q", "dp", "dq", "qi", "oth", "hash", "hmac", "pem", "bearer"];

/// In any name: `clientSecret`, `x-api-key`, `proxy-authorization`, `refresh_token`.
const SECRET_PARTS: [&str; 11] = [
    "secret",
    "password",
    "passwd",
    "passphrase",
    "token",
    "apikey",
    "authorization",
    "privatekey",
    "credential",
    "session",
    "signature",
];

/// Where keys are listed, by their right names and by the wrong ones that are near.
const CREDENTIALS: [&str; 9] =
    ["keys", "apikey", "apikeys", "inline", "jwks", "jwk", "credentials", "data", "stringdata"];

/// Beside a key: what the document's own fields say of it, and the public members of a JSON Web Key (RFC 7517 §4, RFC 7518 §6).
const HARMLESS: [&str; 24] = [
    "id",
    "consumer",
    "attributes",
    "roles",
    "scopes",
    "expires",
    "notBefore",
    "forward",
    "name",
    "kty",
    "kid",
    "alg",
    "use",
    "key_ops",
    "crv",
    "n",
    "e",
    "x",
    "y",
    "x5t",
    "x5t#S256",
    "x5c",
    "x5u",
    "issuer",
];

/// What stands under `name`.
pub(super) fn kind(name: &str) -> Kind {
    if name == "from" {
        return Kind::Names;
    }
    if HARMLESS.contains(&name) {
        return Kind::Harmless;
    }
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_lowercase())
        .collect();
    if CREDENTIALS.contains(&plain.as_str()) {
        Kind::Credentials
    } else if SECRET.contains(&plain.as_str())
        || plain == "cookie"
        || SECRET_PARTS.iter().any(|part| plain.contains(part))
    {
        Kind::Secret
    } else {
        Kind::Other
    }
}

/// Whether `name` is the name of a field, anywhere in the document.
pub(super) fn is_field(name: &str) -> bool {
    static FIELDS: OnceLock<BTreeSet<String>> = OnceLock::new();
    let fields = FIELDS.get_or_init(|| {
        let mut fields: BTreeSet<String> = HARMLESS.iter().chain(&SECRET).map(ToString::to_string).collect();
        gather(&serde_json::to_value(schema::schema()).unwrap_or_default(), &mut fields);
        fields
    });
    fields.contains(name)
}

/// The names of all properties of a schema.
fn gather(schema: &Value, fields: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            for (name, value) in members {
                if let ("properties", Value::Object(properties)) = (name.as_str(), value) {
                    fields.extend(properties.keys().cloned());
                }
                gather(value, fields);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| gather(element, fields)),
        _ => {}
    }
}

/// Whether these are fields of a policy document: one of its own is among them.
pub(super) fn is_policy(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| {
        matches!(entry.key.as_str(), "version" | "client" | "definitions")
            || sluice_pipeline::SECTIONS.contains(&entry.key.as_str())
    })
}
