//! The section `api` of the document.

use crate::date::Date;
use crate::origin::OriginPattern;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use sluice_core::document::list::OneOrMany;
use sluice_core::document::name::Name;
use sluice_core::document::scalar::Duration;
use sluice_core::http::header::{HeaderName, HeaderValue, is_token};
use sluice_core::rule::selector::Match;

/// `api`: the life of an API's versions, and which web pages may call it.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ApiSection {
    /// The versions of the API. The first that matches is the request's.
    pub versions: Vec<VersionConfig>,
    /// Which web pages may read the answers (CORS, as the Fetch standard has it). The first rule that matches decides.
    pub cors: Vec<CorsConfig>,
    /// Look and count, but answer nobody and change nothing.
    pub shadow: bool,
}

/// A version of the API.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct VersionConfig {
    /// Its name: `api.version`, in reasons, metrics and logs.
    pub name: Name,
    /// Which requests call it, by path, header or media type; none: every request.
    #[serde(default, rename = "match")]
    pub matches: Option<Match>,
    /// Since when, or from when on, it should not be used any more (`Deprecation`, RFC 9745).
    #[serde(default)]
    pub deprecated: Option<Date>,
    /// When it ends (`Sunset`, RFC 8594).
    #[serde(default)]
    pub sunset: Option<Date>,
    /// What becomes of requests from then on.
    #[serde(default)]
    pub after_sunset: AfterSunset,
    /// Where its successor is (`Link` with `rel="successor-version"`).
    #[serde(default)]
    pub successor: Option<Link>,
    /// Where people read what to do (`Link` with `rel="deprecation"`, and `rel="sunset"` if it has one).
    #[serde(default)]
    pub documentation: Option<Link>,
    /// Count, but answer nobody and change nothing.
    #[serde(default)]
    pub shadow: bool,
}

/// What becomes of requests for a version that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum AfterSunset {
    /// They are answered 410.
    #[default]
    Refuse,
    /// They are served as before.
    Serve,
}

/// A rule of `cors`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CorsConfig {
    /// The rule's name, in reasons, metrics and logs.
    pub name: Name,
    /// Which requests; none: every request. A preflight has the method `OPTIONS` and no credentials.
    #[serde(default, rename = "match")]
    pub matches: Option<Match>,
    /// Whose pages: `https://app.example.com`, `https://*.example.com`, `http://localhost:*`, `null`, or `*` for all.
    pub origins: OneOrMany<OriginPattern>,
    /// Methods besides GET, HEAD and POST, which browsers send without asking; `*` for whichever is asked for.
    #[serde(default)]
    pub methods: Option<OneOrMany<Token>>,
    /// Request headers that pages may set besides those that browsers send without asking; `*` for whichever are asked for.
    #[serde(default)]
    pub headers: Option<OneOrMany<Token>>,
    /// Response headers that pages may read besides those that they always may; `*` for all (not with `credentials`).
    #[serde(default)]
    pub expose_headers: Option<OneOrMany<Token>>,
    /// Whether browsers send cookies and other credentials along. Never with the origin `*`.
    #[serde(default)]
    pub credentials: bool,
    /// How long a browser may remember the answer to a preflight, at most 1d; by default 5 s.
    #[serde(default)]
    pub max_age: Option<Duration>,
    /// Whether pages of public networks may call, though this is a private one (Private Network Access).
    #[serde(default)]
    pub private_network: bool,
    /// What becomes of requests of other origins, other than preflights.
    #[serde(default)]
    pub other_origins: OtherOrigins,
    /// Count, but answer nobody and change nothing.
    #[serde(default)]
    pub shadow: bool,
}

/// What becomes of requests of origins that are not listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum OtherOrigins {
    /// They pass, and the browser keeps the answer from the page, as the standard has it.
    #[default]
    Pass,
    /// They are answered 403.
    Refuse,
}

/// A method or the name of a header (RFC 9110 §5.6.2), or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token(String);

/// A reference to a URI (RFC 3986 §4.1), as it stands between `<` and `>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link(String);

// === impl Token ===

impl Token {
    /// Checks that `text` is one.
    ///
    /// # Errors
    /// A sentence that says what it may be.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > 256 || !text.bytes().all(is_token) {
            return Err(format!("{text:?} is neither a method nor the name of a header"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

// === impl Link ===

impl Link {
    /// Checks that `text` is one.
    ///
    /// # Errors
    /// A sentence that says what it may be.
    pub fn new(text: &str) -> Result<Self, String> {
        // RFC 3986 §2: what is neither reserved, unreserved nor `%` stands nowhere.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
        if text.is_empty() || text.len() > 2_048 || !text.bytes().all(allowed) {
            return Err(format!("{text:?} is not a link: a path such as `/v2`, or `https://…`"));
        }
        Ok(Self(text.to_owned()))
    }

    /// As a `Link` header has it (RFC 8288 §3) with this relation.
    pub(crate) fn header(&self, relation: &str) -> (HeaderName, HeaderValue) {
        let value = format!("<{}>; rel=\"{relation}\"", self.0);
        let value = HeaderValue::new(value.as_bytes()).unwrap_or_else(|_| HeaderValue::from_static("<>"));
        (HeaderName::from_static("link"), value)
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
mod schema {
    use super::{Link, Token};
    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    impl JsonSchema for Token {
        fn schema_name() -> std::borrow::Cow<'static, str> {
            "Token".into()
        }
        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({
                "type": "string",
                "description": "A method or the name of a header, or `*`.",
                "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$"
            })
        }
    }

    impl JsonSchema for Link {
        fn schema_name() -> std::borrow::Cow<'static, str> {
            "Link".into()
        }
        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({
                "type": "string",
                "description": "A path such as `/v2`, or `https://…`.",
                "pattern": "^[A-Za-z0-9._~:/?#\\[\\]@!$&'()*+,;=%-]{1,2048}$"
            })
        }
    }
}
