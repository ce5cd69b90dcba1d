//! The section `compose` as the document writes it.

use serde::Deserialize;
use sluice_core::document::list::{OneOrMany, OrderedMap};
use sluice_core::document::name::Name;
use sluice_core::document::scalar::Duration;
use sluice_core::http::header::HeaderName;
use sluice_core::rule::selector::Match;
use sluice_core::rule::template::Template;
use sluice_core::rule::when::When;

/// `compose`: paths that are answered from several services. The first rule that matches a `GET` or `HEAD` request answers it: its parts
/// are called at the same time, and what they answer becomes the members of one JSON object.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ComposeSection {
    /// The rules, in order: the first that matches decides.
    pub rules: Vec<RuleConfig>,
}

/// A path that is answered from several services.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RuleConfig {
    /// The rule's name: in reasons, metrics and logs.
    pub name: Name,
    /// Which requests; without it every `GET` and `HEAD`.
    #[serde(rename = "match")]
    pub matches: Option<Match>,
    /// Which callers; without it everybody whom the sections before let through.
    pub when: Option<When>,
    /// How long all parts together may take, 1ms to 60s. An optional part that takes longer is left out.
    pub within: Duration,
    /// The parts, each with the member of the answer that it becomes.
    pub parts: OrderedMap<String, PartConfig>,
    /// Headers of the request that the parts get as the service would get them: as they came, or as other sections have set them.
    /// Default: `traceparent`, `tracestate` and `x-request-id`.
    pub forward: Option<OneOrMany<HeaderName>>,
}

/// A part of an answer: a `GET` of a cluster, whose answer has to be JSON.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PartConfig {
    /// The cluster, by the name that it has in the proxy.
    pub cluster: String,
    /// The path with its query, with references in braces: `/orders/{path.id}`. Values are percent-encoded, so that none can add a
    /// segment or a parameter.
    pub path: Template,
    /// The `:authority` of the call; by default the cluster's name.
    pub authority: Option<String>,
    /// Whether the answer is given without it where it fails: its member is `null` then.
    #[serde(default)]
    pub optional: bool,
}
