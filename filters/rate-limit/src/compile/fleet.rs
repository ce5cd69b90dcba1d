//! `scope: fleet`: the limits that a rate-limit service keeps, and the shares of them that the proxy gives by itself.

use super::{Limits, SectionContext};
use crate::SECTION;
use crate::config::{Allowance, OnFailure, RuleConfig, ServiceConfig};
use crate::fields::{policy_item, policy_text};
use crate::fleet::{EntryNames, Failed, Fleet, FleetLimit, FleetReasons, OverLimit, Service, limit_override};
use crate::gcra::Gcra;
use crate::rule::Limit;
use sluice_core::decision::compile::Compiler;
use sluice_core::decision::reason::Outcome;
use sluice_core::document::problem::FieldPath;
use sluice_core::document::scalar::Period;
use std::rc::Rc;
use std::time::Duration;

/// What a request waits where the document does not say: as long as Envoy's own filter does.
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(20);
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);
/// Nobody wants to wait longer to be counted, and each waiting request holds its stream.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(5);

const DEFAULT_DOMAIN: &str = "sluice";
const MOST_PROXIES: u32 = 100_000;

// === impl ServiceConfig ===

impl ServiceConfig {
    /// The domain of the service's configuration.
    pub fn domain(&self) -> &str {
        self.domain.as_deref().unwrap_or(DEFAULT_DOMAIN)
    }

    /// Reports what is wrong with it, where it stands at `path`.
    pub(super) fn check(&self, path: &FieldPath, compiler: &mut Compiler) {
        let problems = &mut compiler.problems;
        if self.cluster.is_empty() {
            problems.report(&path.field("cluster"), "empty: write the name of one of the proxy's clusters");
        }
        if self.domain().is_empty() {
            problems.report(&path.field("domain"), "empty: services take no request without a domain");
        }
        if let Some(timeout) = self.timeout
            && !(SHORTEST_TIMEOUT..=LONGEST_TIMEOUT).contains(&timeout.get())
        {
            let message = format!("{timeout} is not a time to wait for the service: from 1ms to 5s");
            problems.report(&path.field("timeout"), message);
        }
        let path_of_proxies = path.field("expectedProxies");
        match (self.expected_proxies, self.on_failure) {
            (Some(proxies), _) if !(1..=MOST_PROXIES).contains(&proxies) => {
                problems.report(&path_of_proxies, format!("{proxies} is not from 1 to {MOST_PROXIES}"));
            }
            (Some(_), OnFailure::Allow | OnFailure::Deny) => {
                let message = "does nothing: only `onFailure: local` gives a share of the limit";
                problems.report(&path_of_proxies, message);
            }
            (None, OnFailure::Local) => {
                let message = "without `expectedProxies` each proxy gives the whole limit while the service fails: write how many proxies there are";
                problems.warn(path, message);
            }
            (Some(_), OnFailure::Local) | (None, OnFailure::Allow | OnFailure::Deny) => {}
        }
    }

    fn proxies(&self) -> u32 {
        self.expected_proxies.unwrap_or(1)
    }
}

// === impl RuleConfig ===

impl RuleConfig {
    /// The shares of `allowances`, and the service that keeps them.
    pub(super) fn compile_fleet(
        &self,
        allowances: &[(Allowance, FieldPath)],
        cost: u64,
        section: &SectionContext<'_>,
        path: &FieldPath,
        compiler: &mut Compiler,
    ) -> Option<(Limits, Fleet)> {
        if self.tolerance.is_some() {
            let message = "does nothing with `scope: fleet`: the service is asked about every request";
            compiler.problems.report(&path.field("tolerance"), message);
        }
        if let Some(service) = &self.service {
            service.check(&path.field("service"), compiler);
        }
        let Some(service) = self.service.as_ref().or(section.service) else {
            let message = "`scope: fleet` needs a service that counts: write `service: { cluster: ratelimit, expectedProxies: 3 }` here or beside `rules`";
            compiler.problems.report(&path.field("service"), message);
            return None;
        };
        let hits = u32::try_from(cost).unwrap_or(u32::MAX);
        let (mut limits, mut shares) = (Vec::new(), Vec::new());
        for (position, (allowance, path)) in allowances.iter().enumerate() {
            let Allowance { limit, burst } = *allowance;
            if burst.is_some() {
                let message =
                    "the service counts in windows and knows no burst: leave it out, or use `scope: local`";
                compiler.problems.report(&path.field("burst"), message);
            }
            let path = limit_path(position, path);
            if limit.count() < cost {
                let message =
                    format!("{limit} is less than the {cost} that a request takes: none would ever pass");
                compiler.problems.report(&path, message);
            }
            if limit.period() != self.limit.period() {
                let message = format!(
                    "{limit} and {} count in different windows: a service keeps one window for a key; write both in the same unit",
                    self.limit
                );
                compiler.problems.report(&path, message);
            }
            limits.push(FleetLimit {
                limit: limit_override(limit),
                policy: policy_item(&self.name, limit, limit.count()),
            });
            let proxies = service.proxies();
            let share = Gcra::share(limit, proxies, cost.max(1));
            if share.is_none() {
                let message =
                    format!("a share of {limit} for each of {proxies} proxies is too small to count");
                compiler.problems.report(&path, message);
            }
            let gcra = share?;
            let (count, period) = match limit.count().checked_div(proxies.into()).unwrap_or(0) {
                0 => (1, gcra.interval().div_ceil(1_000_000_000)),
                count => (count, limit.period_seconds()),
            };
            let policy = policy_text(&self.name, count, period, gcra.burst());
            shares.push(Limit { gcra, terms: None, policy });
        }
        let shadow = section.shadow || self.shadow;
        let attributes: Vec<_> = self.key.iter().flatten().cloned().collect();
        let fleet = Fleet {
            service: section.service_of(service, hits),
            names: EntryNames::new(&self.name, &attributes),
            limits,
            on_failure: service.on_failure,
            over: OverLimit::default(),
            reasons: self.fleet_reasons(service.on_failure, shadow, compiler),
        };
        Some((shares, fleet))
    }

    fn fleet_reasons(&self, on_failure: OnFailure, shadow: bool, compiler: &mut Compiler) -> FleetReasons {
        let mut reason = |outcome, what: &str| {
            let outcome = if shadow { Outcome::Shadow } else { outcome };
            compiler.reason(SECTION, outcome, &format!("{what}.rule:{}", self.name))
        };
        let exceeded = reason(Outcome::Denied, "exceeded");
        FleetReasons {
            exceeded,
            unavailable: match on_failure {
                OnFailure::Deny => reason(Outcome::Denied, "unavailable"),
                OnFailure::Local | OnFailure::Allow => exceeded,
            },
            failed: Failed::NAMES.map(|name| reason(Outcome::Allowed, name)),
        }
    }

    /// What a limit of the proxy's own can't be.
    pub(super) fn check_local(
        &self,
        allowances: &[(Allowance, FieldPath)],
        path: &FieldPath,
        compiler: &mut Compiler,
    ) {
        if self.service.is_some() {
            let message = "does nothing without `scope: fleet`: the proxy counts by itself";
            compiler.problems.report(&path.field("service"), message);
        }
        for (position, (Allowance { limit, .. }, path)) in allowances.iter().enumerate() {
            let days = match limit.period() {
                Period::Month => 30,
                Period::Year => 365,
                Period::Second | Period::Minute | Period::Hour | Period::Day => continue,
            };
            let message = format!(
                "{limit} is longer than a proxy's memory: write `{}/day`, or `scope: fleet`",
                limit.count().div_ceil(days)
            );
            compiler.problems.report(&limit_path(position, path), message);
        }
    }
}

/// Where the limit stands of the allowance at `path`: the rule's own, or one of `by`, which may be no more than that.
fn limit_path(position: usize, path: &FieldPath) -> FieldPath {
    if position == 0 { path.field("limit") } else { path.clone() }
}

// === impl SectionContext ===

impl SectionContext<'_> {
    /// The service as it is asked; the same one for all rules that ask it in the same way, so that one call does for them.
    fn service_of(&self, config: &ServiceConfig, hits: u32) -> Rc<Service> {
        let service = Service {
            cluster: config.cluster.as_str().into(),
            domain: config.domain().to_owned(),
            timeout: config.timeout.map_or(DEFAULT_TIMEOUT, |timeout| timeout.get()),
            hits,
        };
        let mut services = self.services.borrow_mut();
        if let Some(known) = services.iter().find(|known| ***known == service) {
            return Rc::clone(known);
        }
        let service = Rc::new(service);
        services.push(Rc::clone(&service));
        service
    }
}
