//! The section `rateLimit` of the document.

use crate::fields::{Fields, policy_item};
use crate::gcra::Gcra;
use crate::guess::Versions;
use crate::key::Key;
use crate::lease::{Leases, Terms};
use crate::policy::RateLimitPolicy;
use crate::rule::{Limit, Reasons, Remembered, Rule};
use crate::table::Table;
use crate::{AFTER_AUTHZ, BEFORE_AUTHN, SECTION};
use serde::de::{self, Deserialize, Deserializer};
use siphasher::sip::SipHasher13;
use sluice_core::decision::compile::{Compiler, PolicySection, Stage};
use sluice_core::decision::place::{Place, Section};
use sluice_core::decision::reason::Outcome;
use sluice_core::document::list::{OneOrMany, OrderedMap};
use sluice_core::document::name::Name;
use sluice_core::document::problem::FieldPath;
use sluice_core::document::scalar::{Percentage, Rate};
use sluice_core::rule::attribute::Attribute;
use sluice_core::rule::selector::{Match, SelectorId};
use sluice_core::rule::when::When;
use std::cell::RefCell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

/// `rateLimit`: how often. Every rule that matches a request has to have room for it; only then anything is taken, of all of them.
#[derive(Clone, Debug, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct RateLimitSection {
    /// The rules.
    pub rules: Vec<RuleConfig>,
    /// Whether clients are told what is left (`RateLimit`, `RateLimit-Policy`); `Retry-After` they get anyhow.
    pub headers: bool,
    /// Decides, counts and logs for the whole section, and limits nobody.
    pub shadow: bool,
}

impl Default for RateLimitSection {
    fn default() -> Self {
        Self { rules: Vec::new(), headers: true, shadow: false }
    }
}

/// A rule of `rateLimit`.
#[derive(Clone, Debug, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RuleConfig {
    /// The rule's name: in reasons, metrics, logs, and as the policy's name in the `RateLimit` fields.
    pub name: Name,
    /// Which requests; without it every request.
    #[serde(rename = "match")]
    pub matches: Option<Match>,
    /// Which callers; without it everybody, proven or not.
    pub when: Option<When>,
    /// What requests are counted by: those with the same values share a bucket. Without it all requests share one.
    pub key: Option<OneOrMany<Attribute>>,
    /// How fast a bucket is filled.
    pub limit: Rate,
    /// How many units a bucket holds, which is how many requests may come at once. By default the count of `limit`.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub burst: Option<u64>,
    /// Other limits for some: an attribute, and for each of its values a limit. The first attribute with a value that is listed decides. What
    /// was taken under one limit stays taken under another.
    #[serde(default)]
    pub by: OrderedMap<Attribute, OrderedMap<String, Allowance>>,
    /// How many units a request takes; 1 by default.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub cost: Option<u64>,
    /// Where requests are counted.
    #[serde(default)]
    pub scope: Scope,
    /// What becomes of requests that lack a value of `key`.
    #[serde(default)]
    pub on_missing_key: MissingKey,
    /// What becomes of a request that could not be counted, since other workers changed the same slot three times in between.
    #[serde(default)]
    pub on_contention: Contention,
    /// What share of a period's units may be let through early, over all workers together, so that workers need not ask shared memory about
    /// every request. 0, the default: none, the limit is exact.
    pub tolerance: Option<Percentage>,
    /// How many slots the keys are spread over; each has room for 8 keys in use. Bounds the memory. 16384 by default. Another number begins
    /// with full buckets.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_048_576)))]
    pub slots: Option<u32>,
    /// How many leading bits of an IPv6 address are one client, where `key` names `client.address`. 64 by default, since that is what
    /// one customer commonly gets.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 128)))]
    pub ipv6_prefix: Option<u8>,
    /// Decides, counts and logs, and limits nobody.
    #[serde(default)]
    pub shadow: bool,
}

/// Where requests are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// In this proxy, all its workers together.
    #[default]
    Local,
}

/// What becomes of requests that lack a value of the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum MissingKey {
    /// All that lack the same values share a bucket.
    #[default]
    Share,
    /// The rule does not count them.
    Skip,
    /// They are answered 403.
    Deny,
}

/// What becomes of a request that could not be counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Contention {
    /// It is answered 429, to come back in a second.
    #[default]
    Deny,
    /// It is let through, uncounted.
    Allow,
}

/// A limit of `by`: a rate, or `{ limit, burst }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How fast a bucket is filled.
    pub limit: Rate,
    /// How many units it holds. By default the count of this `limit`.
    pub burst: Option<u64>,
}

const DEFAULT_SLOTS: u32 = 16_384;
const MOST_SLOTS: u32 = 1_048_576;
const DEFAULT_IPV6_PREFIX: u8 = 64;

// === impl RateLimitSection ===

impl PolicySection for RateLimitSection {
    const SECTION: Section = SECTION;
    const PLACES: &'static [Place] = &[BEFORE_AUTHN, AFTER_AUTHZ];

    fn compile(&self, path: &FieldPath, compiler: &mut Compiler) -> Vec<Box<dyn Stage>> {
        let path = path.field("rules");
        if self.rules.is_empty() {
            compiler.problems.warn(&path, "no rule: the section does nothing");
        }
        compiler.check_unique(self.rules.iter().map(|rule| &rule.name), &path);
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let versions = Rc::new(Versions::default());
        for (position, rule) in self.rules.iter().enumerate() {
            let compiled = rule.compile(&path.index(position), self.shadow, &versions, compiler);
            let asks_identity = rule.asks_identity();
            (if asks_identity { &mut after } else { &mut before }).extend(compiled);
        }
        let stages = [(BEFORE_AUTHN, before), (AFTER_AUTHZ, after)];
        let stages = stages.into_iter().filter(|(_, rules)| !rules.is_empty());
        stages
            .map(|(place, rules)| {
                let fields = Fields::new(self.headers);
                Box::new(RateLimitPolicy { place, rules, fields, looks: RefCell::default() })
                    as Box<dyn Stage>
            })
            .collect()
    }
}

// === impl RuleConfig ===

impl RuleConfig {
    /// Whether the rule can only be asked once it is known who is calling.
    fn asks_identity(&self) -> bool {
        self.when.as_ref().is_some_and(When::asks_identity)
            || self.key.iter().flatten().chain(self.by.keys()).any(Attribute::asks_identity)
    }

    /// Compiles the rule, which stands at `path`; `None`, and a problem, where it has no limit that could hold.
    fn compile(
        &self,
        path: &FieldPath,
        shadow: bool,
        versions: &Rc<Versions>,
        compiler: &mut Compiler,
    ) -> Option<Rule> {
        let selector = compiler.selector(self.matches.as_ref(), path);
        let when = When::compile(self.when.as_ref(), selector, &path.field("when"), compiler);
        let cost = self.cost.unwrap_or(1);
        if cost == 0 {
            compiler.problems.report(&path.field("cost"), "a request that takes nothing is never limited");
        }
        self.check_attributes(selector, path, compiler);
        self.check_key_fields(path, compiler);
        let own = Allowance { limit: self.limit, burst: self.burst };
        let mut limits = vec![self.limit(own, cost, path, compiler)?];
        self.check_tolerance(cost, limits.first()?, path, compiler);
        let mut by = Vec::new();
        for (attribute, values) in self.by.iter() {
            let path = path.field("by").field(&attribute.to_string());
            if values.is_empty() {
                compiler.problems.report(&path, "lists no value: it changes nothing");
            }
            let mut positions = Vec::new();
            for (value, allowance) in values.iter() {
                positions.push((value.clone(), u32::try_from(limits.len()).unwrap_or(0)));
                limits.push(self.limit(*allowance, cost, &path.field(value), compiler)?);
            }
            by.push((attribute.clone(), positions));
        }
        // Without a key there is one bucket.
        let slots = if self.key.is_some() { self.slots.unwrap_or(DEFAULT_SLOTS) } else { 1 };
        let rule = self.stable_hash(slots);
        let key = Key {
            attributes: self.key.iter().flatten().cloned().collect(),
            selector,
            ipv6_prefix: self.ipv6_prefix.unwrap_or(DEFAULT_IPV6_PREFIX),
            seed: compiler.shared_seed,
            rule,
            slots,
        };
        let fills_in = limits.iter().map(|limit| limit.gcra.capacity()).max().unwrap_or(0);
        let most_units = limits.iter().map(|limit| limit.gcra.burst()).max().unwrap_or(0);
        let outcome = if shadow || self.shadow { Outcome::Shadow } else { Outcome::Denied };
        let mut reason =
            |what: &str| compiler.reason(SECTION, outcome, &format!("{what}.rule:{}", self.name));
        let exceeded = reason("exceeded");
        // What a rule can never decide gets no name in metrics.
        let mut reason_if = |possible: bool, what: &str| if possible { reason(what) } else { exceeded };
        let reasons = Reasons {
            exceeded,
            crowded: reason_if(self.key.is_some(), "crowded"),
            contended: reason_if(self.on_contention == Contention::Deny, "contended"),
            missing_key: reason_if(self.on_missing_key == MissingKey::Deny, "missing_key"),
        };
        Some(Rule {
            name: self.name.clone(),
            selector,
            when,
            key,
            on_missing_key: self.on_missing_key,
            on_contention: self.on_contention,
            limits,
            by,
            cost,
            table: Table::new(rule, slots, fills_in, most_units, Rc::clone(versions)),
            leases: Leases::default(),
            most_units,
            refused: Remembered::default(),
            shadow: shadow || self.shadow,
            reasons,
        })
    }

    fn limit(
        &self,
        allowance: Allowance,
        cost: u64,
        path: &FieldPath,
        compiler: &mut Compiler,
    ) -> Option<Limit> {
        let Allowance { limit, .. } = allowance;
        let burst = allowance.burst.unwrap_or(limit.count());
        let path = path.field("burst");
        if burst < cost || burst == 0 {
            let found = if allowance.burst.is_some() { "is" } else { "is by default" };
            let message = format!(
                "{found} {burst}, less than the {} that a request takes: none would ever pass",
                cost.max(1)
            );
            compiler.problems.report(&path, message);
        }
        let gcra = Gcra::new(limit, burst.max(1));
        if gcra.is_none() {
            let message = format!("at {limit} a bucket of {burst} would take more than ten years to fill");
            compiler.problems.report(&path, message);
        }
        let gcra = gcra?;
        let terms = self.terms(limit, &gcra, cost);
        Some(Limit { gcra, terms, policy: policy_item(&self.name, limit, burst) })
    }

    /// `path.<name>` has to stand in the rule's `match`.
    fn check_attributes(&self, selector: SelectorId, path: &FieldPath, compiler: &mut Compiler) {
        for (position, attribute) in self.key.iter().flatten().enumerate() {
            compiler.check_reference(attribute, &path.field("key").index(position), []);
        }
        for (attribute, values) in self.by.iter() {
            let path = path.field("by").field(&attribute.to_string());
            let values = values.iter().map(|(value, _)| (path.field(value), value.as_str()));
            compiler.check_reference(attribute, &path, values);
        }
        let key = self.key.iter().flatten().enumerate();
        let key = key.map(|(position, attribute)| (path.field("key").index(position), attribute));
        let by = self.by.keys().map(|attribute| (path.field("by").field(&attribute.to_string()), attribute));
        for (path, attribute) in key.chain(by) {
            let Attribute::PathCapture(name) = attribute else { continue };
            let captures = compiler.selectors.captures(selector);
            if !captures.contains(&name.as_str()) {
                compiler.problems.unknown_name(&path, "a `{name}` in `match.paths`", name, captures);
            }
        }
        let mut seen: Vec<&Attribute> = Vec::new();
        for (position, attribute) in self.key.iter().flatten().enumerate() {
            if seen.contains(&attribute) {
                let path = path.field("key").index(position);
                compiler.problems.report(&path, format!("`{attribute}` stands twice"));
            }
            seen.push(attribute);
        }
    }

    /// Fields that only say something about keys.
    fn check_key_fields(&self, path: &FieldPath, compiler: &mut Compiler) {
        let problems = &mut compiler.problems;
        if let Some(slots) = self.slots
            && !(1..=MOST_SLOTS).contains(&slots)
        {
            problems.report(&path.field("slots"), format!("{slots} is not from 1 to {MOST_SLOTS}"));
        }
        if let Some(prefix) = self.ipv6_prefix
            && !(1..=128).contains(&prefix)
        {
            problems.report(&path.field("ipv6Prefix"), format!("{prefix} is not from 1 to 128"));
        }
        if self.key.is_none() {
            let useless = [
                ("slots", self.slots.is_some()),
                ("onMissingKey", self.on_missing_key != MissingKey::default()),
            ];
            for (field, _) in useless.into_iter().filter(|(_, given)| *given) {
                problems
                    .report(&path.field(field), "does nothing without `key`: all requests share one bucket");
            }
        }
        let by_address = self.key.iter().flatten().any(|attribute| *attribute == Attribute::ClientAddress);
        if self.ipv6_prefix.is_some() && !by_address {
            problems.report(&path.field("ipv6Prefix"), "does nothing without `client.address` in `key`");
        }
    }

    /// What leases a limit may give: of at most the tolerated share of a period's units, for at most that share of a period; and of at most
    /// a quarter of a bucket, for as long as that takes to fill, for what workers hold must leave room for those who hold nothing. `None`
    /// where that is less than two requests: then the limit is exact.
    fn terms(&self, rate: Rate, gcra: &Gcra, cost: u64) -> Option<Terms> {
        let tolerance = self.tolerance.filter(|tolerance| tolerance.millionths() > 0)?;
        let share = |whole: u64| {
            let share = u128::from(whole).wrapping_mul(tolerance.millionths().into()) / 1_000_000;
            u64::try_from(share).unwrap_or(u64::MAX)
        };
        let life = share(rate.period_seconds().saturating_mul(1_000_000_000)).min(gcra.capacity() / 4);
        let most = share(rate.count()).min(gcra.burst() / 4);
        (most >= cost.saturating_mul(2)).then_some(Terms { life, most })
    }

    /// A tolerance that saves nothing is a mistake; one that the burst leaves no room for may be meant for a limit of `by`.
    fn check_tolerance(&self, cost: u64, own: &Limit, path: &FieldPath, compiler: &mut Compiler) {
        let Some(tolerance) = self.tolerance.filter(|tolerance| tolerance.millionths() > 0) else { return };
        let path = path.field("tolerance");
        let share = u128::from(self.limit.count()).wrapping_mul(tolerance.millionths().into()) / 1_000_000;
        if share < u128::from(cost).wrapping_mul(2) {
            let message = format!(
                "{tolerance} % of {} is less than two requests: it saves nothing; leave it out",
                self.limit
            );
            compiler.problems.report(&path, message);
        } else if own.terms.is_none() {
            let message = format!(
                "saves nothing with a burst of {}: a worker takes at most a quarter of a bucket at once, and that is less than two requests",
                own.gcra.burst()
            );
            compiler.problems.warn(&path, message);
        }
    }

    /// By what the rule's buckets are found in shared memory: the same in all workers, and after an update that leaves the rule's name, key
    /// and slots as they are. What is taken from a bucket does not follow from the rule's limits, so they are not in it.
    fn stable_hash(&self, slots: u32) -> u64 {
        let mut hasher = SipHasher13::new();
        self.name.as_str().hash(&mut hasher);
        slots.hash(&mut hasher);
        for attribute in self.key.iter().flatten() {
            attribute.to_string().hash(&mut hasher);
        }
        hasher.finish()
    }
}

// === impl Allowance ===

#[derive(serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct LongAllowance {
    /// How fast a bucket is filled.
    limit: Rate,
    /// How many units it holds. By default the count of this `limit`.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    burst: Option<u64>,
}

impl<'de> Deserialize<'de> for Allowance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AllowanceVisitor;
        impl<'de> de::Visitor<'de> for AllowanceVisitor {
            type Value = Allowance;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a rate such as `100/s`, or `{ limit, burst }`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Allowance, E> {
                Ok(Allowance { limit: text.parse().map_err(E::custom)?, burst: None })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Allowance, A::Error> {
                let long = LongAllowance::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Allowance { limit: long.limit, burst: long.burst })
            }
        }
        deserializer.deserialize_any(AllowanceVisitor)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Allowance {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Allowance".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let rate = generator.subschema_for::<Rate>();
        let long = generator.subschema_for::<LongAllowance>();
        schemars::json_schema!({ "description": "A rate, or a rate and a burst.", "anyOf": [rate, long] })
    }
}
