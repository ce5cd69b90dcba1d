//! From the section to the compiled policy, and all that can be wrong with it.

use crate::config::{AbortConfig, FaultSection, GrpcStatus, RuleConfig};
use crate::policy::{Abort, Delay, FaultPolicy, Rule};
use crate::{PLACE, SECTION};
use sluice_core::decision::compile::{Compiler, PolicySection, Stage};
use sluice_core::decision::place::{Place, Section};
use sluice_core::decision::reason::Outcome;
use sluice_core::decision::verdict::LocalReply;
use sluice_core::document::name::Name;
use sluice_core::document::problem::FieldPath;
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::rule::head::{HasHead, Head, HeadConfig};

/// A delay longer than this is longer than any client waits; it only fills memory. (And below a millisecond no timer fires.)
const LONGEST_DELAY: std::time::Duration = std::time::Duration::from_secs(300);
const SHORTEST_DELAY: std::time::Duration = std::time::Duration::from_millis(1);

/// Headers of an answer that follow from its body and its connection.
const NOT_TO_BE_SET: [&str; 9] = [
    "content-type",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "upgrade",
    "trailer",
    "grpc-status",
    "grpc-message",
];

impl PolicySection for FaultSection {
    const SECTION: Section = SECTION;
    const PLACES: &'static [Place] = &[PLACE];

    fn compile(&self, path: &FieldPath, compiler: &mut Compiler) -> Vec<Box<dyn Stage>> {
        let path = path.field("rules");
        if self.rules.is_empty() {
            compiler.problems.warn(&path, "no rule: the section does nothing");
        }
        let rules = Head::compile_rules(&self.rules, &path, compiler, |rule, head, path, compiler| {
            rule.compile(head, self.shadow, path, compiler)
        });
        if rules.is_empty() { Vec::new() } else { vec![Box::new(FaultPolicy { rules })] }
    }
}

impl HasHead for RuleConfig {
    fn head(&self) -> HeadConfig<'_> {
        let Self { name, matches, when, shadow, .. } = self;
        HeadConfig { name, matches: matches.as_ref(), when: when.as_ref(), shadow: *shadow }
    }
}

impl RuleConfig {
    fn compile(&self, head: Head, section_shadow: bool, path: &FieldPath, compiler: &mut Compiler) -> Rule {
        let shadow = self.shadow || section_shadow;
        if self.delay.is_none() && self.abort.is_none() {
            compiler.problems.report(path, "does nothing: it needs `delay`, `abort` or both");
        }
        let delay = self.delay.as_ref().map(|delay| {
            let duration = delay.fixed.get();
            if !(SHORTEST_DELAY..=LONGEST_DELAY).contains(&duration) {
                compiler.problems.report(
                    &path.field("delay").field("fixed"),
                    format!("{} is not a delay: from 1ms to 5m", delay.fixed),
                );
            }
            let outcome = if shadow { Outcome::Shadow } else { Outcome::Changed };
            let reason = compiler.reason(SECTION, outcome, &format!("delayed.rule:{}", self.name));
            Delay { duration, percent: delay.percent, reason }
        });
        let abort = self
            .abort
            .as_ref()
            .map(|abort| abort.compile(&self.name, shadow, &path.field("abort"), compiler));
        Rule { head, delay, abort, shadow }
    }
}

impl AbortConfig {
    fn compile(&self, rule: &Name, shadow: bool, path: &FieldPath, compiler: &mut Compiler) -> Abort {
        let outcome = if shadow { Outcome::Shadow } else { Outcome::Denied };
        let reason = compiler.reason(SECTION, outcome, &format!("aborted.rule:{rule}"));
        // Not a word that could be taken for a real failure: who meets it shall know at once whom to ask.
        let mut reply = LocalReply::new(self.status.code(), reason, "A fault was injected on purpose.");
        reply.grpc_status = self.grpc_status.map(GrpcStatus::code);
        for (name, value) in self.headers.iter() {
            if NOT_TO_BE_SET.contains(&name.as_str()) {
                compiler.problems.report(
                    &path.field("headers").field(name.as_str()),
                    format!("`{name}` follows from the answer itself and can't be set"),
                );
            }
            reply.headers.push((name.clone(), value.clone()));
        }
        let given = |name: &str| self.headers.get(name).is_some();
        match self.status.code() {
            401 if !given("www-authenticate") => {
                let name = HeaderName::from_static("www-authenticate");
                reply
                    .headers
                    .extend(compiler.challenges.iter().map(|challenge| (name.clone(), challenge.clone())));
            }
            429 | 503 if !given("retry-after") => {
                reply.headers.push((HeaderName::from_static("retry-after"), HeaderValue::from_number(1)));
            }
            _ => {}
        }
        Abort { percent: self.percent, reply }
    }
}
