//! The section `fault`, and its compilation.

use crate::policy::{Abort, Delay, FaultPolicy, FaultRule};
use crate::{PLACE, SECTION};
use serde::Deserialize;
use serde::de::{self, Deserializer};
use sluice_core::decision::compile::{Compiler, PolicySection, Stage};
use sluice_core::decision::place::{Place, Section};
use sluice_core::decision::reason::Outcome;
use sluice_core::decision::verdict::LocalReply;
use sluice_core::document::list::OrderedMap;
use sluice_core::document::name::Name;
use sluice_core::document::problem::FieldPath;
use sluice_core::document::scalar::{Duration, Percentage, Status};
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::rule::reachable::{OrderedRule, check_reachable};
use sluice_core::rule::selector::{Match, SelectorId};
use sluice_core::rule::when::When;

/// `fault`: delays and aborts a share of requests on purpose. The first rule that matches decides.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct FaultSection {
    /// The rules, in the order in which they are asked.
    pub rules: Vec<Rule>,
    /// Draw and count, but harm no request.
    pub shadow: bool,
}

/// A rule of `fault`: `delay`, `abort` or both.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Rule {
    /// The rule's name, in reasons, metrics and logs.
    pub name: Name,
    /// Which requests; none: every request.
    #[serde(default, rename = "match")]
    pub matches: Option<Match>,
    /// Whose requests; none: anybody's.
    #[serde(default)]
    pub when: Option<When>,
    /// Lets requests wait.
    #[serde(default)]
    pub delay: Option<DelayConfig>,
    /// Answers requests in place of the service; those that are delayed too, after the delay.
    #[serde(default)]
    pub abort: Option<AbortConfig>,
    /// Draw and count, but leave the request to the rules that follow.
    #[serde(default)]
    pub shadow: bool,
}

/// `delay`: lets a share of the requests wait.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DelayConfig {
    /// How long, from 1ms to 5m.
    pub fixed: Duration,
    /// The share of the rule's requests.
    pub percent: Percentage,
}

/// `abort`: answers a share of the requests in place of the service.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AbortConfig {
    /// The status.
    pub status: Status,
    /// The gRPC status for gRPC requests, 1 to 16. By default the one that goes with `status`.
    #[serde(default)]
    pub grpc_status: Option<GrpcStatus>,
    /// Further headers of the answer, as the service would send them. 429 and 503 have `retry-after: 1` unless it stands here, and
    /// 401 the challenges of `authn` unless `www-authenticate` does.
    #[serde(default)]
    pub headers: OrderedMap<HeaderName, HeaderValue>,
    /// The share of the rule's requests, drawn apart from that of `delay`.
    pub percent: Percentage,
}

/// The status of a gRPC answer that is an error: 1 (CANCELLED) to 16 (UNAUTHENTICATED).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcStatus(u8);

impl GrpcStatus {
    /// Checks that `code` is the status of an error.
    ///
    /// # Errors
    /// A sentence that says what it may be.
    pub fn new(code: u64) -> Result<Self, String> {
        u8::try_from(code)
            .ok()
            .filter(|code| (1..=16).contains(code))
            .map(Self)
            .ok_or_else(|| format!("{code} is not the gRPC status of an error: from 1 to 16"))
    }
}

impl<'de> Deserialize<'de> for GrpcStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for GrpcStatus {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "GrpcStatus".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "integer",
            "description": "The gRPC status of an error.",
            "minimum": 1,
            "maximum": 16
        })
    }
}

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
        let rules_path = path.field("rules");
        if self.rules.is_empty() {
            compiler.problems.warn(&rules_path, "no rule: the section does nothing");
        }
        compiler.check_unique(self.rules.iter().map(|rule| &rule.name), &rules_path);
        let mut rules = Vec::with_capacity(self.rules.len());
        let mut ordered = Vec::with_capacity(self.rules.len());
        for (position, rule) in self.rules.iter().enumerate() {
            let rule_path = rules_path.index(position);
            let selector = compiler.selector(rule.matches.as_ref(), &rule_path);
            ordered.push(OrderedRule {
                name: &rule.name,
                selector,
                when: rule.when.as_ref(),
                shadow: rule.shadow,
            });
            rules.push(rule.compile(selector, self.shadow, &rule_path, compiler));
        }
        check_reachable(&ordered, &rules_path, compiler);
        if rules.is_empty() { Vec::new() } else { vec![Box::new(FaultPolicy { rules })] }
    }
}

impl Rule {
    fn compile(
        &self,
        selector: SelectorId,
        section_shadow: bool,
        path: &FieldPath,
        compiler: &mut Compiler,
    ) -> FaultRule {
        let when = When::compile(self.when.as_ref(), selector, &path.field("when"), compiler);
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
        FaultRule { name: self.name.clone(), selector, when, delay, abort, shadow }
    }
}

impl AbortConfig {
    fn compile(&self, rule: &Name, shadow: bool, path: &FieldPath, compiler: &mut Compiler) -> Abort {
        let outcome = if shadow { Outcome::Shadow } else { Outcome::Denied };
        let reason = compiler.reason(SECTION, outcome, &format!("aborted.rule:{rule}"));
        // Not a word that could be taken for a real failure: who meets it shall know at once whom to ask.
        let mut reply = LocalReply::new(self.status.code(), reason, "A fault was injected on purpose.");
        reply.grpc_status = self.grpc_status.map(|GrpcStatus(code)| code);
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
