//! From the section to the compiled policy, and all that can be wrong with it.

use crate::config::{ComposeSection, PartConfig, RuleConfig};
use crate::policy::{ComposePolicy, Part, Reasons, Rule};
use crate::{PLACE, SECTION};
use sluice_core::decision::compile::{Compiler, PolicySection, Stage};
use sluice_core::decision::place::{Place, Section};
use sluice_core::decision::reason::Outcome;
use sluice_core::document::problem::FieldPath;
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::rule::head::{HasHead, Head, HeadConfig};
use sluice_core::rule::selector::SelectorId;
use std::time::Duration;

/// How many services one answer may be made of: all are called at the same time.
const MOST_PARTS: usize = 16;

/// Nobody waits longer for a page, and each waiting request holds its stream.
const LONGEST: Duration = Duration::from_secs(60);
const SHORTEST: Duration = Duration::from_millis(1);

/// What parts get where the document does not say.
const FORWARDED: [&str; 3] = ["traceparent", "tracestate", "x-request-id"];

/// Headers that a call has by itself, or that say where a message ends.
const NOT_FORWARDED: [&str; 11] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl PolicySection for ComposeSection {
    const SECTION: Section = SECTION;
    const PLACES: &'static [Place] = &[PLACE];

    fn compile(&self, path: &FieldPath, compiler: &mut Compiler) -> Vec<Box<dyn Stage>> {
        let path = path.field("rules");
        if self.rules.is_empty() {
            compiler.problems.warn(&path, "no rule: the section does nothing");
        }
        let rules = Head::compile_rules(&self.rules, &path, compiler, RuleConfig::compile);
        if rules.is_empty() { Vec::new() } else { vec![Box::new(ComposePolicy { rules })] }
    }
}

impl HasHead for RuleConfig {
    fn head(&self) -> HeadConfig<'_> {
        let Self { name, matches, when, .. } = self;
        HeadConfig { name, matches: matches.as_ref(), when: when.as_ref(), shadow: false }
    }
}

impl RuleConfig {
    fn compile(&self, head: Head, path: &FieldPath, compiler: &mut Compiler) -> Rule {
        let within = self.within.get();
        if !(SHORTEST..=LONGEST).contains(&within) {
            let message = format!("{} is not a time to wait: from 1ms to 60s", self.within);
            compiler.problems.report(&path.field("within"), message);
        }
        let parts_path = path.field("parts");
        if self.parts.is_empty() || self.parts.len() > MOST_PARTS {
            let message = format!("{} parts; an answer is made of 1 to {MOST_PARTS}", self.parts.len());
            compiler.problems.report(&parts_path, message);
        }
        if !self.parts.is_empty() && self.parts.iter().all(|(_, part)| part.optional) {
            compiler.problems.warn(
                &parts_path,
                "all parts are optional: where all services are down, the answer is 200 with nothing but `null`",
            );
        }
        let parts = self
            .parts
            .iter()
            .map(|(member, part)| part.compile(member, head.selector, &parts_path.field(member), compiler))
            .collect();
        let default: Vec<HeaderName> = FORWARDED.into_iter().map(HeaderName::from_static).collect();
        let forward = self.forward.as_ref().map_or(default, |names| names.as_slice().to_vec());
        for (position, name) in forward.iter().enumerate() {
            if NOT_FORWARDED.contains(&name.as_str()) {
                let path = path.field("forward").index(position);
                compiler
                    .problems
                    .report(&path, format!("`{name}` follows from the call itself and can't be forwarded"));
            }
        }
        let mut reason =
            |outcome, text: &str| compiler.reason(SECTION, outcome, &format!("{text}.rule:{}", self.name));
        let reasons = Reasons {
            composed: reason(Outcome::Answered, "composed"),
            timed_out: reason(Outcome::Denied, "part_timed_out"),
            failed: reason(Outcome::Denied, "part_failed"),
            not_tried: reason(Outcome::Denied, "part_not_tried"),
            refused: reason(Outcome::Denied, "part_refused"),
            missing_value: reason(Outcome::Denied, "missing_value"),
        };
        Rule { head, within, parts, forward, reasons }
    }
}

impl PartConfig {
    fn compile(&self, member: &str, selector: SelectorId, path: &FieldPath, compiler: &mut Compiler) -> Part {
        if self.cluster.is_empty() {
            compiler
                .problems
                .report(&path.field("cluster"), "empty: write the name of one of the proxy's clusters");
        }
        if !self.path.as_str().starts_with('/') {
            let message = format!("{:?} is not a path: it begins with `/`", self.path.as_str());
            compiler.problems.report(&path.field("path"), message);
        }
        self.path.check_captures(selector, &path.field("path"), compiler);
        let authority = self.authority.as_deref().unwrap_or(&self.cluster);
        if self.authority.is_some()
            && (authority.is_empty() || HeaderValue::new(authority.as_bytes()).is_err())
        {
            compiler.problems.report(&path.field("authority"), "not a host: write `orders.example.com`");
        }
        Part {
            // As JSON writes it, with its colon.
            member: format!("{}:", serde_json::Value::from(member)),
            cluster: self.cluster.as_str().into(),
            authority: authority.into(),
            path: self.path.clone(),
            optional: self.optional,
        }
    }
}
