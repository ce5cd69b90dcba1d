//! What a service could be configured with: for services that don't take the limits that go with requests, and for people to see the names.

use super::descriptor::RULE;
use crate::config::{RateLimitSection, Scope};
use sluice_core::document::scalar::Period;

/// The configuration of one domain of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// The rules that are counted in it.
    pub rules: Vec<DomainRule>,
}

/// A rule as a service knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainRule {
    /// The keys of its descriptor's entries, and the values of those that always have the same one.
    pub entries: Vec<(String, Option<String>)>,
    /// Units in a window.
    pub requests_per_unit: u64,
    /// The window.
    pub unit: &'static str,
}

impl RateLimitSection {
    /// The domains in which services count for the section, in the order of their first rules.
    pub fn domains(&self) -> Vec<Domain> {
        let mut domains: Vec<Domain> = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.scope == Scope::Fleet) {
            let Some(service) = rule.service.as_ref().or(self.service.as_ref()) else { continue };
            let keys = rule.key.iter().flatten().map(|attribute| (attribute.to_string(), None));
            let described = DomainRule {
                entries: std::iter::once((RULE.to_owned(), Some(rule.name.to_string())))
                    .chain(keys)
                    .collect(),
                requests_per_unit: rule.limit.count(),
                unit: match rule.limit.period() {
                    Period::Second => "second",
                    Period::Minute => "minute",
                    Period::Hour => "hour",
                    Period::Day => "day",
                    Period::Month => "month",
                    Period::Year => "year",
                },
            };
            match domains.iter_mut().find(|domain| domain.name == service.domain()) {
                Some(domain) => domain.rules.push(described),
                None => domains.push(Domain { name: service.domain().to_owned(), rules: vec![described] }),
            }
        }
        domains
    }
}
