//! The section `guard`.

use crate::media_range::MediaRange;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use sluice_core::document::list::OneOrMany;
use sluice_core::document::name::Name;
use sluice_core::document::scalar::Size;
use sluice_core::http::header::HeaderName;
use sluice_core::rule::selector::Match;

/// `guard`: what a request may be like at all. It is asked before every other policy. What stands here holds for all requests; a rule says
/// something else for those that it matches.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct GuardSection {
    /// How large a request may be.
    pub limits: Limits,
    /// The methods that are allowed, in the case in which they are sent: `GET`. None: all.
    pub methods: Option<OneOrMany<String>>,
    /// The kinds of content that are allowed: `application/json`, `text/*`. None: all.
    pub content_types: Option<OneOrMany<MediaRange>>,
    /// Headers that each request must have.
    pub required_headers: Option<OneOrMany<HeaderName>>,
    /// What holds for some requests in place of the above. The first rule that matches counts; what it does not say is as above.
    pub rules: Vec<RuleConfig>,
    /// Count what would be refused, but refuse nothing.
    pub shadow: bool,
}

/// A rule of `guard`: what holds for the requests that it matches, in place of what the section says.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RuleConfig {
    /// The rule's name, in reasons, metrics and logs.
    pub name: Name,
    /// Which requests; none: every request.
    #[serde(default, rename = "match")]
    pub matches: Option<Match>,
    /// How large a request may be. A limit that is not here is the section's.
    #[serde(default)]
    pub limits: Limits,
    /// The methods that are allowed, in place of the section's.
    #[serde(default)]
    pub methods: Option<OneOrMany<String>>,
    /// The kinds of content that are allowed, in place of the section's.
    #[serde(default)]
    pub content_types: Option<OneOrMany<MediaRange>>,
    /// Headers that each request must have, in place of the section's.
    #[serde(default)]
    pub required_headers: Option<OneOrMany<HeaderName>>,
    /// Count what the rule would refuse, but leave the request to the rules that follow, and to the section.
    #[serde(default)]
    pub shadow: bool,
}

/// `limits`: how large a request may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Limits {
    /// The bytes of path and query together (`:path`), 1B to 16KiB. 414.
    pub uri: Option<Size>,
    /// How many parameters the query may have. 400.
    #[cfg_attr(feature = "schema", schemars(range(max = 10000)))]
    pub query: Option<u32>,
    /// How many headers there may be, those that the proxy adds among them, without pseudo-headers. 431.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 10000)))]
    pub headers: Option<u32>,
    /// The bytes of their names and values together. 431.
    pub header_bytes: Option<Size>,
    /// The bytes of the body: declared, or counted while it passes. 413. In a rule also `none`, which lifts the section's limit.
    pub body: Option<BodyLimit>,
}

/// `limits.body`: a number of bytes, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLimit {
    /// At most so many bytes.
    AtMost(Size),
    /// As many as anybody likes.
    None,
}

// === impl BodyLimit ===

impl<'de> Deserialize<'de> for BodyLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BodyLimitVisitor;
        impl de::Visitor<'_> for BodyLimitVisitor {
            type Value = BodyLimit;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a size such as `1MiB`, or `none`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<BodyLimit, E> {
                if text == "none" {
                    return Ok(BodyLimit::None);
                }
                text.parse().map(BodyLimit::AtMost).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(BodyLimitVisitor)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for BodyLimit {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BodyLimit".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let size = generator.subschema_for::<Size>();
        schemars::json_schema!({ "anyOf": [size, { "const": "none" }] })
    }
}
