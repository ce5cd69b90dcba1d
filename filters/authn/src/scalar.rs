//! The section's small values: digests, points in time, references to facts of an API key, and secrets that no message shows.

use serde::Deserialize;
use serde::de::{self, Deserializer};
use sluice_core::decision::environment::UnixTime;
use sluice_core::document::decode::SHORT_OR_OBJECT;
use sluice_core::document::problem::nearest;
use sluice_core::document::variable::VariableName;
use std::fmt;

/// A SHA-256 digest, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Digest([u8; 32]);

/// A point in time, written as RFC 3339 has it: `2027-01-01T00:00:00Z`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Timestamp(UnixTime);

/// What a header may say of an API key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyFact {
    /// `id`.
    Id,
    /// `consumer`.
    Consumer,
    /// `roles`, joined with commas.
    Roles,
    /// `scopes`, joined with blanks.
    Scopes,
    /// `attributes.<name>`.
    Attribute(String),
}

/// Secret text: no message and no `Debug` shows it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

/// Where a secret is.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// In the document: whoever can read that has it.
    Text(Secret),
    /// In a variable of the VM's environment.
    Environment(VariableName),
}

// === impl Sha256Digest ===

impl Sha256Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(hmac_sha256::Hash::hash(bytes))
    }

    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    /// A sentence that says how digests are written.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut digest = [0_u8; 32];
        let mut digits = text.chars().map(|digit| digit.to_digit(16));
        for byte in &mut digest {
            let (Some(Some(high)), Some(Some(low))) = (digits.next(), digits.next()) else {
                return Err(Self::wrong(text));
            };
            // Both are below 16.
            *byte = u8::try_from(high << 4 | low).unwrap_or_default();
        }
        if digits.next().is_some() { Err(Self::wrong(text)) } else { Ok(Self(digest)) }
    }

    /// The digest's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// It might be the key itself that somebody has written here: the message doesn't repeat it.
    fn wrong(text: &str) -> String {
        format!(
            "not a SHA-256 digest but text of {} characters; write 64 hexadecimal digits, as `printf %s \"$KEY\" | sha256sum` prints them",
            text.chars().count()
        )
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Sha256Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Sha256Digest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sha256Digest".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A SHA-256 digest in hexadecimal.",
            "pattern": "^[0-9A-Fa-f]{64}$"
        })
    }
}

// === impl Timestamp ===

impl Timestamp {
    /// Reads a point in time.
    ///
    /// # Errors
    /// A sentence that says how one is written.
    pub fn new(text: &str) -> Result<Self, String> {
        let parsed = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
        parsed
            .ok()
            .and_then(|time| u64::try_from(time.unix_timestamp_nanos()).ok())
            .map(|nanoseconds| Self(UnixTime::from_nanos(nanoseconds)))
            .ok_or_else(|| {
                format!("{text:?} is not a time from 1970 to 2554: write `2027-01-01T00:00:00Z` (RFC 3339)")
            })
    }

    /// The time.
    pub const fn get(self) -> UnixTime {
        self.0
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "date-time",
            "description": "A point in time (RFC 3339).",
            "examples": ["2027-01-01T00:00:00Z"]
        })
    }
}

// === impl KeyFact ===

impl KeyFact {
    const KNOWN: [&str; 5] = ["id", "consumer", "roles", "scopes", "attributes.<name>"];

    /// Reads a reference.
    ///
    /// # Errors
    /// A sentence with all that there are.
    pub fn new(text: &str) -> Result<Self, String> {
        match text {
            "id" => Ok(Self::Id),
            "consumer" => Ok(Self::Consumer),
            "roles" => Ok(Self::Roles),
            "scopes" => Ok(Self::Scopes),
            _ => match text.strip_prefix("attributes.") {
                Some(name) if !name.is_empty() => Ok(Self::Attribute(name.to_owned())),
                _ => {
                    let near = nearest(text, Self::KNOWN).map(|name| format!("; did you mean `{name}`?"));
                    Err(format!(
                        "`{text}` is nothing that is known of an API key; there are {}{}",
                        sluice_core::document::problem::quoted_list(Self::KNOWN),
                        near.unwrap_or_default()
                    ))
                }
            },
        }
    }
}

impl fmt::Display for KeyFact {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id => out.write_str("id"),
            Self::Consumer => out.write_str("consumer"),
            Self::Roles => out.write_str("roles"),
            Self::Scopes => out.write_str("scopes"),
            Self::Attribute(name) => write!(out, "attributes.{name}"),
        }
    }
}

impl<'de> Deserialize<'de> for KeyFact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for KeyFact {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "KeyFact".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "What is known of an API key: `id`, `consumer`, `roles`, `scopes`, `attributes.<name>`.",
            "pattern": "^(id|consumer|roles|scopes|attributes\\..+)$"
        })
    }
}

// === impl Secret ===

impl Secret {
    /// The text, for use, never for a message.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "Secret text: never shown.", "writeOnly": true })
    }
}

// === impl SecretSource ===

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SourceVisitor;
        impl<'de> de::Visitor<'de> for SourceVisitor {
            type Value = SecretSource;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("the secret, or `{ environment: NAME }`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<SecretSource, E> {
                Ok(SecretSource::Text(Secret(text.to_owned())))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<SecretSource, A::Error> {
                self.visit_some(de::value::MapAccessDeserializer::new(map))
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, any: D) -> Result<SecretSource, D::Error> {
                any.deserialize_any(self)
            }
            fn visit_some<D: Deserializer<'de>>(self, object: D) -> Result<SecretSource, D::Error> {
                let reference = Reference::deserialize(object)?;
                Ok(SecretSource::Environment(reference.environment))
            }
        }
        deserializer.deserialize_newtype_struct(SHORT_OR_OBJECT, SourceVisitor)
    }
}

/// A secret that is named.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    environment: VariableName,
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for SecretSource {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SecretSource".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let (text, name) = (generator.subschema_for::<Secret>(), generator.subschema_for::<VariableName>());
        schemars::json_schema!({ "anyOf": [text, {
            "type": "object",
            "properties": { "environment": name },
            "required": ["environment"],
            "additionalProperties": false,
        }] })
    }
}

#[cfg(test)]
mod tests;
