//! From the section to the compiled rules, and all that can be wrong with it.

mod fleet;

use crate::config::{
    Allowance, Contention, MissingKey, OnFailure, RateLimitSection, RuleConfig, Scope, ServiceConfig,
};
use crate::fields::{Fields, policy_item};
use crate::fleet::Service;
use crate::gcra::Gcra;
use crate::guess::Versions;
use crate::key::Key;
use crate::lease::{Leases, Terms};
use crate::policy::{RateLimitPolicy, Work};
use crate::rule::{Limit, Reasons, RecentRefusals, Rule};
use crate::table::Table;
use crate::{AFTER_AUTHZ, BEFORE_AUTHN, SECTION};
use siphasher::sip::SipHasher13;
use sluice_core::decision::compile::{Compiler, PolicySection, Stage};
use sluice_core::decision::follow_up::Phase;
use sluice_core::decision::place::{Place, Section};
use sluice_core::decision::reason::Outcome;
use sluice_core::document::problem::FieldPath;
use sluice_core::document::scalar::Rate;
use sluice_core::rule::attribute::Attribute;
use sluice_core::rule::head::HeadConfig;
use sluice_core::rule::selector::SelectorId;
use sluice_core::rule::when::When;
use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

const DEFAULT_SLOTS: u32 = 16_384;
const MOST_SLOTS: u32 = 1_048_576;
const DEFAULT_IPV6_PREFIX: u8 = 64;

/// What the rules of a section have in common.
struct SectionContext<'s> {
    shadow: bool,
    service: Option<&'s ServiceConfig>,
    versions: Rc<Versions>,
    /// The services that rules ask, each once.
    services: RefCell<Vec<Rc<Service>>>,
}

type Limits = Vec<Limit>;

// === impl RateLimitSection ===

impl PolicySection for RateLimitSection {
    const SECTION: Section = SECTION;
    const PLACES: &'static [Place] = &[BEFORE_AUTHN, AFTER_AUTHZ];

    fn compile(&self, path: &FieldPath, compiler: &mut Compiler) -> Vec<Box<dyn Stage>> {
        self.check_service(&path.field("service"), compiler);
        if self.headers && !self.shadow && self.rules.iter().any(|rule| !rule.shadow) {
            compiler.need(Phase::Response, &path.field("headers"));
        }
        let path = path.field("rules");
        if self.rules.is_empty() {
            compiler.problems.warn(&path, "no rule: the section does nothing");
        }
        compiler.check_unique(self.rules.iter().map(|rule| &rule.name), &path);
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let section = SectionContext {
            shadow: self.shadow,
            service: self.service.as_ref(),
            versions: Rc::default(),
            services: RefCell::default(),
        };
        for (position, rule) in self.rules.iter().enumerate() {
            let compiled = rule.compile(&path.index(position), &section, compiler);
            let asks_identity = rule.asks_identity();
            (if asks_identity { &mut after } else { &mut before }).extend(compiled);
        }
        let stages = [(BEFORE_AUTHN, before), (AFTER_AUTHZ, after)];
        let stages = stages.into_iter().filter(|(_, rules)| !rules.is_empty());
        stages
            .map(|(place, rules)| {
                let fields = Fields::new(self.headers);
                let work = RefCell::new(Work::default());
                Box::new(RateLimitPolicy { place, rules, fields, work }) as Box<dyn Stage>
            })
            .collect()
    }
}

impl RateLimitSection {
    fn check_service(&self, path: &FieldPath, compiler: &mut Compiler) {
        let Some(service) = &self.service else { return };
        service.check(path, compiler);
        if !self.rules.iter().any(|rule| rule.scope == Scope::Fleet && rule.service.is_none()) {
            compiler
                .problems
                .report(path, "does nothing: no rule with `scope: fleet` leaves its service out");
        }
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
        section: &SectionContext<'_>,
        compiler: &mut Compiler,
    ) -> Option<Rule> {
        let Self { name, matches, when, shadow, .. } = self;
        let head = HeadConfig { name, matches: matches.as_ref(), when: when.as_ref(), shadow: *shadow };
        let head = head.compile(path, compiler);
        let cost = self.cost.unwrap_or(1);
        if cost == 0 {
            compiler.problems.report(&path.field("cost"), "a request that takes nothing is never limited");
        }
        self.check_attributes(head.selector, path, compiler);
        self.check_key_fields(path, compiler);
        let own = Allowance { limit: self.limit, burst: self.burst };
        let mut allowances = vec![(own, path.clone())];
        let mut by = Vec::new();
        for (attribute, values) in self.by.iter() {
            let path = path.field("by").field(&attribute.to_string());
            if values.is_empty() {
                compiler.problems.report(&path, "lists no value: it changes nothing");
            }
            let mut positions = Vec::new();
            for (value, allowance) in values.iter() {
                positions.push((value.clone(), u32::try_from(allowances.len()).unwrap_or(0)));
                allowances.push((*allowance, path.field(value)));
            }
            by.push((attribute.clone(), positions));
        }
        let (limits, fleet) = match self.scope {
            Scope::Local => (self.compile_local(&allowances, cost, path, compiler)?, None),
            Scope::Fleet => {
                let (shares, fleet) = self.compile_fleet(&allowances, cost, section, path, compiler)?;
                (shares, Some(fleet))
            }
        };
        // Without a key there is one bucket.
        let slots = if self.key.is_some() { self.slots.unwrap_or(DEFAULT_SLOTS) } else { 1 };
        let rule = self.stable_hash(slots);
        let key = Key {
            attributes: self.key.iter().flatten().cloned().collect(),
            selector: head.selector,
            ipv6_prefix: self.ipv6_prefix.unwrap_or(DEFAULT_IPV6_PREFIX),
            seed: compiler.shared_seed,
            rule,
            slots,
        };
        let fills_in = limits.iter().map(|limit| limit.gcra.capacity()).max().unwrap_or(0);
        let most_units = limits.iter().map(|limit| limit.gcra.burst()).max().unwrap_or(0);
        let shadow = section.shadow || self.shadow;
        let outcome = if shadow { Outcome::Shadow } else { Outcome::Denied };
        // What is counted in the stead of a service is another limit than the service's.
        let share = if fleet.is_some() { "share_" } else { "" };
        let mut reason =
            |what: &str| compiler.reason(SECTION, outcome, &format!("{what}.rule:{}", self.name));
        let counts = fleet.as_ref().is_none_or(|fleet| fleet.on_failure == OnFailure::Local);
        let exceeded = reason(&format!("{}exceeded", if counts { share } else { "" }));
        // What a rule can never decide gets no name in metrics.
        let mut reason_if = |possible: bool, what: &str| if possible { reason(what) } else { exceeded };
        let reasons = Reasons {
            exceeded,
            crowded: reason_if(counts && self.key.is_some(), &format!("{share}crowded")),
            contended: reason_if(
                counts && self.on_contention == Contention::Deny,
                &format!("{share}contended"),
            ),
            missing_key: reason_if(self.on_missing_key == MissingKey::Deny, "missing_key"),
        };
        Some(Rule {
            head,
            key,
            on_missing_key: self.on_missing_key,
            on_contention: self.on_contention,
            limits,
            by,
            cost,
            table: Table::new(rule, slots, fills_in, most_units, Rc::clone(&section.versions)),
            leases: Leases::default(),
            most_units,
            refused: RecentRefusals::default(),
            shadow,
            reasons,
            fleet,
        })
    }

    fn compile_local(
        &self,
        allowances: &[(Allowance, FieldPath)],
        cost: u64,
        path: &FieldPath,
        compiler: &mut Compiler,
    ) -> Option<Limits> {
        self.check_local(allowances, path, compiler);
        let limits: Limits = allowances
            .iter()
            .map(|(allowance, path)| self.limit(*allowance, cost, path, compiler))
            .collect::<Option<_>>()?;
        self.check_tolerance(cost, limits.first()?, path, compiler);
        Some(limits)
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
