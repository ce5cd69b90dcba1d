//! The section `telemetry`, and its compilation.

use crate::labels::{CountedResponse, Label, LabelSet};
use crate::trace::{TraceStage, Tracer};
use crate::{PLACE, SECTION};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use sluice_core::decision::compile::{Compiler, PolicySection, Stage};
use sluice_core::decision::environment::Environment;
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::follow_up::{FollowUp, Phase};
use sluice_core::decision::place::{Place, Section};
use sluice_core::decision::reason::ReasonId;
use sluice_core::decision::verdict::Mutations;
use sluice_core::document::decode::SHORT_OR_OBJECT;
use sluice_core::document::list::OneOrMany;
use sluice_core::document::order::sorted_set;
use sluice_core::document::problem::FieldPath;
use sluice_core::document::scalar::Percentage;
use sluice_core::http::header_map::HeaderMap;
use sluice_core::rule::attribute::Attribute;
use std::fmt;
use std::rc::Rc;

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
    attribute: Attribute,
    name: Option<String>,
    values: Option<OneOrMany<String>>,
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

/// What the section decides besides its stage: the pipeline asks, since it concerns all other sections.
pub struct TelemetryPolicy {
    decision: bool,
    labels: Option<Rc<LabelSet>>,
    tracer: Option<Tracer>,
}

impl PolicySection for TelemetrySection {
    const SECTION: Section = SECTION;
    const PLACES: &'static [Place] = &[PLACE];

    /// The stage of the trace context. What remains is [`TelemetrySection::compile_policy`].
    fn compile(&self, _: &FieldPath, compiler: &mut Compiler) -> Vec<Box<dyn Stage>> {
        let stage = self.tracer(compiler).map(|tracer| Box::new(TraceStage(tracer)) as Box<dyn Stage>);
        stage.into_iter().collect()
    }
}

impl TelemetrySection {
    fn tracer(&self, compiler: &mut Compiler) -> Option<Tracer> {
        match self.trace.context {
            Context::Off => None,
            context => Some(Tracer::new(context == Context::Restart, self.trace.sampling, compiler)),
        }
    }

    /// Compiles what is not a stage: the decision and the labels of the section, which stands at `path`.
    pub fn compile_policy(&self, path: &FieldPath, compiler: &mut Compiler) -> TelemetryPolicy {
        let path = path.field("labels");
        let labels = self.labels.as_ref().map(|configs| {
            let labels = configs
                .iter()
                .enumerate()
                .filter_map(|(position, label)| label.compile(&path.index(position), compiler))
                .collect();
            compiler.need(Phase::End, &path);
            Rc::new(LabelSet::new(labels, &path, compiler))
        });
        TelemetryPolicy { decision: self.decision, labels, tracer: self.tracer(compiler) }
    }
}

impl LabelConfig {
    fn compile(&self, path: &FieldPath, compiler: &mut Compiler) -> Option<Label> {
        if let Attribute::PathCapture(_) = self.attribute {
            let message =
                format!("`{}` has a value only within a rule, and a label belongs to none", self.attribute);
            compiler.problems.report(path, message);
            return None;
        }
        let listed = self.values.iter().flatten().enumerate();
        let listed = listed.map(|(position, value)| (path.field("values").index(position), value.as_str()));
        compiler.check_reference(&self.attribute, path, listed);
        let values = match &self.values {
            Some(values) => values.iter().cloned().collect(),
            None => known_values(&self.attribute, compiler).filter(|values| !values.is_empty()).or_else(|| {
                let message = format!(
                    "which values `{0}` may have is not known; list those that are to be told apart: `{{ attribute: {0}, values: [...] }}`",
                    self.attribute
                );
                compiler.problems.report(path, message);
                None
            })?,
        };
        let name = self.name.clone().unwrap_or_else(|| default_name(&self.attribute));
        Label::new(name, self.attribute.clone(), &values, path, compiler)
    }
}

/// The values that the document, or the standard, knows beforehand.
fn known_values(attribute: &Attribute, compiler: &Compiler) -> Option<Vec<String>> {
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
    match attribute {
        Attribute::Method => Some(methods.map(str::to_owned).to_vec()),
        Attribute::ApiVersion => Some(compiler.api_versions.iter().map(ToString::to_string).collect()),
        Attribute::Provider => Some(compiler.providers().map(ToString::to_string).collect()),
        Attribute::Consumer => Some(listed_consumers(compiler)),
        _ => None,
    }
}

/// The consumers that the document lists itself.
fn listed_consumers(compiler: &Compiler) -> Vec<String> {
    let offers = compiler.offers.iter().flatten();
    let listed = sorted_set(offers.flat_map(|offer| offer.consumers.listed()));
    listed.into_iter().map(str::to_owned).collect()
}

/// `consumer` of `identity.consumer`, `x_tenant` of `header.x-tenant`; the two whose last part says too little by their first.
fn default_name(attribute: &Attribute) -> String {
    let text = match attribute {
        Attribute::PeerIdentity => "peer".to_owned(),
        Attribute::ClientAddress => "client".to_owned(),
        Attribute::Claim(path) => path.to_string(),
        Attribute::IdentityAttribute(name)
        | Attribute::Cookie(name)
        | Attribute::Query(name)
        | Attribute::PathCapture(name) => name.clone(),
        Attribute::Header(name) => name.to_string(),
        whole => whole.to_string().rsplit('.').next().unwrap_or_default().to_owned(),
    };
    text.chars().map(|byte| if byte.is_ascii_alphanumeric() { byte } else { '_' }).collect()
}

impl TelemetryPolicy {
    /// Whether the host shall publish each request's decision for the access log.
    pub fn publishes_decision(&self) -> bool {
        self.decision
    }

    /// Gives a request its trace context that is answered before any stage is asked, since it has no single reading.
    pub fn trace_unreadable(
        &self,
        headers: &HeaderMap,
        environment: &dyn Environment,
        mutations: &mut Mutations,
        decisions: &mut Vec<ReasonId>,
    ) {
        if let Some(tracer) = &self.tracer {
            let traced = tracer.trace(headers, environment);
            decisions.extend(traced.reasons());
            tracer.apply(&traced, headers, mutations);
        }
    }

    /// Counts the response to a request when that is over; `None` where responses are not counted.
    pub fn follow_up(&self, exchange: &Exchange<'_>) -> Option<Box<dyn FollowUp>> {
        self.labels.as_ref().map(|set| Box::new(CountedResponse::new(set, exchange)) as Box<dyn FollowUp>)
    }
}
