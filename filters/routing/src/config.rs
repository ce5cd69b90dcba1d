//! The section `routing` of the document.

use serde::Deserialize;
use serde::de::{self, Deserializer};
use sluice_core::document::list::{OneOrMany, OrderedMap};
use sluice_core::document::name::Name;
use sluice_core::document::scalar::Percentage;
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::rule::attribute::Attribute;
use sluice_core::rule::selector::Match;
use sluice_core::rule::when::When;

/// `routing`: which cluster, or which subset of one, a request goes to. The first rule that matches decides; without one the request
/// takes the route that Envoy's configuration gives it.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct RoutingSection {
    /// The headers by which Envoy's routes are told.
    pub headers: ChoosingHeaders,
    /// The rules, in the order in which they are asked.
    pub rules: Vec<RuleConfig>,
    /// Decide and count, but leave every request on its way. What clients send in the choosing headers is removed all the same.
    pub shadow: bool,
}

/// `routing.headers`: the headers by which Envoy's routes are told. Whatever a client sends under these names, or under names
/// that some servers take for them (`x_sluice_subset`, `x.sluice.subset`), is removed.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ChoosingHeaders {
    /// Names the cluster, for `cluster_header` of a route. By default `x-sluice-cluster`.
    pub cluster: Option<HeaderName>,
    /// Names the subset, for a header match of a route whose `metadata_match` chooses it. By default `x-sluice-subset`.
    pub subset: Option<HeaderName>,
    /// Further headers that only this policy may write, such as those of `setHeaders` that routes or services trust.
    pub reserved: Vec<HeaderName>,
}

/// A rule of `routing`. It says where to in one of two ways: `cluster`, `subset` or `setHeaders` for all of its requests, or `split`
/// for shares of them.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RuleConfig {
    /// The rule's name, in reasons, metrics and logs. The places in a split depend on it: a renamed rule draws anew.
    pub name: Name,
    /// Which requests; none: every request.
    #[serde(default, rename = "match")]
    pub matches: Option<Match>,
    /// Whose requests; none: anybody's.
    #[serde(default)]
    pub when: Option<When>,
    /// The cluster to go to.
    #[serde(default)]
    pub cluster: Option<Target>,
    /// The subset to go to.
    #[serde(default)]
    pub subset: Option<Target>,
    /// Further headers to set, over what the client sent.
    #[serde(default)]
    pub set_headers: OrderedMap<HeaderName, HeaderValue>,
    /// Shares of the requests, each to its own destination.
    #[serde(default)]
    pub split: Option<SplitConfig>,
    /// Decide and count, but leave the request to the rules that follow.
    #[serde(default)]
    pub shadow: bool,
}

/// `split`: shares of the requests, each to its own destination.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SplitConfig {
    /// Requests of which this is the same stay together, in all workers and proxies and over reloads: `identity.principal`,
    /// `cookie.session`. Of several, the first that a request has. A request that has none is drawn at random, as is every request
    /// without `sticky`.
    #[serde(default)]
    pub sticky: Option<OneOrMany<Attribute>>,
    /// The destinations; their percentages make 100.
    pub to: Vec<Share>,
}

/// A destination of a split, and its share.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Share {
    /// The cluster to go to.
    #[serde(default)]
    pub cluster: Option<Target>,
    /// The subset to go to.
    #[serde(default)]
    pub subset: Option<Target>,
    /// Further headers to set, over what the client sent.
    #[serde(default)]
    pub set_headers: OrderedMap<HeaderName, HeaderValue>,
    /// Its share of the rule's requests. 0 is a destination that is prepared and not yet used.
    pub percent: Percentage,
}

/// The name of a cluster or subset: 1 to 256 visible ASCII characters without blanks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(pub(crate) HeaderValue);

impl Target {
    /// Checks `text` to be a name of a cluster or subset.
    ///
    /// # Errors
    /// A sentence that says what such a name may be.
    pub fn new(text: &str) -> Result<Self, String> {
        let visible = |byte: u8| byte > b' ' && byte < 0x7f;
        if text.is_empty() || text.len() > 256 || !text.bytes().all(visible) {
            return Err(format!(
                "{text:?} is not the name of a cluster or subset: 1 to 256 visible ASCII characters, no blanks"
            ));
        }
        HeaderValue::new(text.as_bytes()).map(Self)
    }

    pub(crate) fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.0.as_bytes())
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Target {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Target".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "The name of a cluster or subset, as the Envoy configuration has it.",
            "pattern": "^[!-~]{1,256}$"
        })
    }
}
