//! The section `telemetry` of the document.

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use sluice_core::document::decode::SHORT_OR_OBJECT;
use sluice_core::document::list::OneOrMany;
use sluice_core::document::scalar::Percentage;
use sluice_core::rule::attribute::Attribute;
use std::fmt;

/// `telemetry`: what happened, told to whoever operates the proxy.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct TelemetrySection {
    /// The W3C trace context of requests.
    pub trace: TraceConfig,
    /// Whether each request's decision is published for the access log, as `%FILTER_STATE(wasm.sluice.decision:PLAIN)%`. On by
    /// default.
    pub decision: bool,
    /// Counts responses (`sluice_requests`) by class of status and by these labels; an empty list: by class alone. Without it
    /// responses are not counted. Needs an edition of the module with `log`.
    pub labels: Option<Vec<LabelConfig>>,
}

impl Default for TelemetrySection {
    fn default() -> Self {
        Self { trace: TraceConfig::default(), decision: true, labels: None }
    }
}

/// `telemetry.trace`: the W3C trace context of requests.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct TraceConfig {
    /// Whose traces go on.
    pub context: Context,
    /// The share of the traces started here that are marked as sampled. 100 by default. A trace that goes on keeps its mark.
    pub sampling: Percentage,
}

impl Default for TraceConfig {
    fn default() -> Self {
        Self { context: Context::default(), sampling: Percentage::ALL }
    }
}

/// Whose traces go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Context {
    /// A request with a valid `traceparent` keeps it, unchanged. Any other gets a new one.
    #[default]
    Continue,
    /// Every request gets a new one, whatever it sends: for an edge whose clients must not choose trace ids nor what is sampled. Not
    /// where Envoy itself traces: its tracer has read the context before, and writes its own afterwards.
    Restart,
    /// Both headers are left as they are.
    Off,
}

/// A label of `sluice_requests`: an attribute alone (`identity.provider`) where the document knows its values, or an object.
#[derive(Clone, Debug)]
pub struct LabelConfig {
    pub(crate) attribute: Attribute,
    pub(crate) name: Option<String>,
    pub(crate) values: Option<OneOrMany<String>>,
}

/// A label with its values.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct LabelObject {
    /// What is looked at.
    attribute: Attribute,
    /// The label's name: letters, digits and `_`. By default the attribute's last part.
    #[serde(default)]
    name: Option<String>,
    /// The values that are told apart; all others count as `other`, and requests without one as `none`. May be left out for
    /// `request.method`, and for `identity.provider` and `identity.consumer` where the document has providers and API keys.
    #[serde(default)]
    values: Option<OneOrMany<String>>,
}

impl<'de> Deserialize<'de> for LabelConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LabelVisitor;
        impl<'de> Visitor<'de> for LabelVisitor {
            type Value = LabelConfig;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a reference such as `identity.consumer`, or `{ attribute: …, values: [...] }`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<LabelConfig, E> {
                let attribute = Attribute::new(text).map_err(E::custom)?;
                Ok(LabelConfig { attribute, name: None, values: None })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<LabelConfig, A::Error> {
                self.visit_some(de::value::MapAccessDeserializer::new(map))
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, any: D) -> Result<LabelConfig, D::Error> {
                any.deserialize_any(self)
            }
            fn visit_some<D: Deserializer<'de>>(self, object: D) -> Result<LabelConfig, D::Error> {
                let LabelObject { attribute, name, values } = LabelObject::deserialize(object)?;
                Ok(LabelConfig { attribute, name, values })
            }
        }
        deserializer.deserialize_newtype_struct(SHORT_OR_OBJECT, LabelVisitor)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for LabelConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LabelConfig".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let attribute = generator.subschema_for::<Attribute>();
        let object = generator.subschema_for::<LabelObject>();
        schemars::json_schema!({
            "description": "A label of `sluice_requests`: an attribute alone, or with its values.",
            "anyOf": [attribute, object]
        })
    }
}
