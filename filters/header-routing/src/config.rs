//! The section `routing`, and its compilation.

use crate::policy::{Choice, Destination, OwnedHeaders, RoutingPolicy, RoutingRule};
use crate::split::Split;
use crate::{PLACE, SECTION};
use serde::Deserialize;
use serde::de::{self, Deserializer};
use sluice_core::decision::compile::{Compiler, PolicySection, Stage};
use sluice_core::decision::place::{Place, Section};
use sluice_core::decision::reason::Outcome;
use sluice_core::document::list::{OneOrMany, OrderedMap};
use sluice_core::document::name::Name;
use sluice_core::document::problem::{FieldPath, quoted_list};
use sluice_core::document::scalar::Percentage;
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::http::protected::ProtectedNames;
use sluice_core::rule::attribute::Attribute;
use sluice_core::rule::reachable::{OrderedRule, check_reachable};
use sluice_core::rule::selector::{Match, SelectorId};
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
    pub rules: Vec<Rule>,
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
pub struct Rule {
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
pub struct Target(HeaderValue);

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

    fn text(&self) -> std::borrow::Cow<'_, str> {
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

impl PolicySection for RoutingSection {
    const SECTION: Section = SECTION;
    const PLACES: &'static [Place] = &[PLACE];

    fn compile(&self, path: &FieldPath, compiler: &mut Compiler) -> Vec<Box<dyn Stage>> {
        let owned = self.headers.compile(&path.field("headers"), compiler);
        let rules_path = path.field("rules");
        let ChoosingHeaders { cluster, subset, reserved } = &self.headers;
        if self.rules.is_empty() && cluster.is_none() && subset.is_none() && reserved.is_empty() {
            let message = "no rule: the section only removes what clients send in the choosing headers";
            compiler.problems.warn(&rules_path, message);
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
            rules.extend(rule.compile(selector, &owned, self.shadow, &rule_path, compiler));
        }
        check_reachable(&ordered, &rules_path, compiler);
        let default = compiler.reason(SECTION, Outcome::Allowed, "default");
        vec![Box::new(RoutingPolicy { owned, rules, default })]
    }
}

impl ChoosingHeaders {
    fn compile(&self, path: &FieldPath, compiler: &mut Compiler) -> OwnedHeaders {
        let cluster = self.cluster.clone().unwrap_or_else(|| HeaderName::from_static("x-sluice-cluster"));
        let subset = self.subset.clone().unwrap_or_else(|| HeaderName::from_static("x-sluice-subset"));
        if cluster.is_spelt(subset.as_str().as_bytes()) {
            compiler.problems.report(
                &path.field("subset"),
                format!("`{subset}` is the header that names the cluster; the subset needs one of its own"),
            );
        }
        let reserved = self.reserved.iter().enumerate();
        let named = [(path.field("cluster"), &cluster), (path.field("subset"), &subset)]
            .into_iter()
            .chain(reserved.map(|(position, name)| (path.field("reserved").index(position), name)));
        for (path, name) in named {
            check_settable(name, &path, compiler);
        }
        let all: ProtectedNames = [&cluster, &subset].into_iter().chain(&self.reserved).cloned().collect();
        compiler.protected.extend(all.iter().cloned());
        compiler.written.extend(all.iter().cloned());
        OwnedHeaders { cluster, subset, all }
    }
}

impl Rule {
    fn compile(
        &self,
        selector: SelectorId,
        owned: &OwnedHeaders,
        section_shadow: bool,
        path: &FieldPath,
        compiler: &mut Compiler,
    ) -> Option<RoutingRule> {
        let when = When::compile(self.when.as_ref(), selector, &path.field("when"), compiler);
        let outcome = if self.shadow || section_shadow { Outcome::Shadow } else { Outcome::Changed };
        let goes =
            Goes { cluster: self.cluster.as_ref(), subset: self.subset.as_ref(), set: &self.set_headers };
        let choice = match (&self.split, goes.somewhere()) {
            (Some(_), true) => {
                compiler.problems.report(
                    &path.field("split"),
                    "stands beside `cluster`, `subset` or `setHeaders`; a rule has one destination or a split, whose destinations name theirs",
                );
                return None;
            }
            (None, _) => Choice::One(goes.compile(&self.name, owned, outcome, path, compiler)?),
            (Some(split), false) => {
                split.compile(&self.name, selector, owned, outcome, &path.field("split"), compiler)?
            }
        };
        Some(RoutingRule {
            name: self.name.clone(),
            selector,
            when,
            choice,
            shadow: outcome == Outcome::Shadow,
        })
    }
}

impl SplitConfig {
    fn compile(
        &self,
        rule: &Name,
        selector: SelectorId,
        owned: &OwnedHeaders,
        outcome: Outcome,
        path: &FieldPath,
        compiler: &mut Compiler,
    ) -> Option<Choice> {
        let sum: u64 = self.to.iter().map(|share| u64::from(share.percent.millionths())).sum();
        if sum != u64::from(Percentage::ALL.millionths()) {
            let percent = Percent(sum);
            compiler
                .problems
                .report(&path.field("to"), format!("the percentages make {percent}, and must make 100"));
        }
        let sticky: Vec<Attribute> = self.sticky.iter().flatten().cloned().collect();
        for (position, attribute) in sticky.iter().enumerate() {
            compiler.check_reference(attribute, &path.field("sticky").index(position), []);
            if let Attribute::PathCapture(name) = attribute
                && !compiler.selectors.captures(selector).contains(&name.as_str())
            {
                let known = compiler.selectors.captures(selector);
                let message = if known.is_empty() {
                    format!("the rule's `match` has no `{{{name}}}` in its paths")
                } else {
                    format!(
                        "the rule's `match` has no `{{{name}}}` in its paths; it has {}",
                        quoted_list(known)
                    )
                };
                compiler.problems.report(&path.field("sticky").index(position), message);
            }
        }
        let mut destinations = Vec::with_capacity(self.to.len());
        for (position, share) in self.to.iter().enumerate() {
            let goes = Goes {
                cluster: share.cluster.as_ref(),
                subset: share.subset.as_ref(),
                set: &share.set_headers,
            };
            let path = path.field("to").index(position);
            destinations.push((share.percent, goes.compile(rule, owned, outcome, &path, compiler)?));
        }
        Some(Choice::Split(Split::new(rule, sticky, destinations)))
    }
}

/// A sum of percentages in millionths, as percent.
struct Percent(u64);

impl std::fmt::Display for Percent {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, rest) = (self.0 / 10_000, self.0 % 10_000);
        write!(out, "{whole}")?;
        if rest > 0 {
            write!(out, ".{}", format!("{rest:04}").trim_end_matches('0'))?;
        }
        Ok(())
    }
}

/// Where a rule, or a share of one, sends requests.
struct Goes<'c> {
    cluster: Option<&'c Target>,
    subset: Option<&'c Target>,
    set: &'c OrderedMap<HeaderName, HeaderValue>,
}

impl Goes<'_> {
    fn somewhere(&self) -> bool {
        self.cluster.is_some() || self.subset.is_some() || !self.set.is_empty()
    }

    fn compile(
        &self,
        rule: &Name,
        owned: &OwnedHeaders,
        outcome: Outcome,
        path: &FieldPath,
        compiler: &mut Compiler,
    ) -> Option<Destination> {
        if !self.somewhere() {
            compiler.problems.report(
                path,
                "says nowhere to go: it needs `cluster`, `subset` or `setHeaders`, or as a rule `split`",
            );
            return None;
        }
        let chosen = [(&owned.cluster, self.cluster), (&owned.subset, self.subset)];
        let mut headers: Vec<(HeaderName, HeaderValue)> =
            chosen.into_iter().filter_map(|(name, target)| Some((name.clone(), target?.0.clone()))).collect();
        for (name, value) in self.set.iter() {
            let path = path.field("setHeaders").field(name.as_str());
            check_settable(name, &path, compiler);
            if *name == owned.cluster || *name == owned.subset {
                compiler.problems.report(&path, "chooses the route; write `cluster` or `subset` instead");
            }
            headers.push((name.clone(), value.clone()));
        }
        // The cluster before the subset: `to:orders:v2`.
        let to: Vec<_> = self.cluster.into_iter().chain(self.subset).map(Target::text).collect();
        let to = if to.is_empty() { String::new() } else { format!(".to:{}", to.join(":")) };
        let reason = compiler.reason(SECTION, outcome, &format!("routed.rule:{rule}{to}"));
        Some(Destination { headers, reason })
    }
}

fn check_settable(name: &HeaderName, path: &FieldPath, compiler: &mut Compiler) {
    if name.is_framing() {
        compiler
            .problems
            .report(path, format!("`{name}` frames or addresses the message; a policy must not write it"));
    }
}
