//! From the section to the compiled policy, and all that can be wrong with it.

use crate::config::{ChoosingHeaders, RoutingSection, RuleConfig, SplitConfig, Target};
use crate::policy::{Choice, Destination, OwnedHeaders, RoutingPolicy, Rule};
use crate::split::Split;
use crate::{PLACE, SECTION};
use sluice_core::decision::compile::{Compiler, PolicySection, Stage};
use sluice_core::decision::place::{Place, Section};
use sluice_core::decision::reason::Outcome;
use sluice_core::document::list::OrderedMap;
use sluice_core::document::name::Name;
use sluice_core::document::problem::{FieldPath, quoted_list};
use sluice_core::document::scalar::Percentage;
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::http::protected::ProtectedNames;
use sluice_core::rule::attribute::Attribute;
use sluice_core::rule::head::{HasHead, Head, HeadConfig};
use sluice_core::rule::selector::SelectorId;

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
        let rules = Head::compile_rules(&self.rules, &rules_path, compiler, |rule, head, path, compiler| {
            rule.compile(head, &owned, self.shadow, path, compiler)
        });
        let rules = rules.into_iter().flatten().collect();
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

impl HasHead for RuleConfig {
    fn head(&self) -> HeadConfig<'_> {
        let Self { name, matches, when, shadow, .. } = self;
        HeadConfig { name, matches: matches.as_ref(), when: when.as_ref(), shadow: *shadow }
    }
}

impl RuleConfig {
    fn compile(
        &self,
        head: Head,
        owned: &OwnedHeaders,
        section_shadow: bool,
        path: &FieldPath,
        compiler: &mut Compiler,
    ) -> Option<Rule> {
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
                split.compile(&self.name, head.selector, owned, outcome, &path.field("split"), compiler)?
            }
        };
        Some(Rule { head, choice, shadow: outcome == Outcome::Shadow })
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
