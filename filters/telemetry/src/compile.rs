//! From the section to the compiled policy, and all that can be wrong with it.

use crate::config::{Context, LabelConfig, TelemetrySection};
use crate::labels::{Label, LabelSet};
use crate::policy::TelemetryPolicy;
use crate::trace::{TraceStage, Tracer};
use crate::{PLACE, SECTION};
use sluice_core::decision::compile::{Compiler, PolicySection, Stage};
use sluice_core::decision::follow_up::Phase;
use sluice_core::decision::place::{Place, Section};
use sluice_core::document::order::sorted_set;
use sluice_core::document::problem::FieldPath;
use sluice_core::rule::attribute::Attribute;
use std::rc::Rc;

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
