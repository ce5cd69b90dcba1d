//! The configuration of the rate-limit service that counts for a document.

use super::tree::Tree;
use crate::arguments::RenderRateLimitServiceArguments;
use crate::compile::Compiled;
use crate::failure::Failure;
use serde_json::Value;
use sluice_core::document::problem::quoted_list;
use sluice_pipeline::{Domain, DomainRule};

/// The configuration of one domain, as envoyproxy/ratelimit takes it.
///
/// # Errors
/// When the document asks no service, or several domains and none is named.
pub(super) fn rate_limit_service(
    compiled: &Compiled,
    arguments: &RenderRateLimitServiceArguments,
) -> Result<Tree, Failure> {
    let domains = compiled.document.rate_limit.iter().flat_map(|section| section.domains());
    let domains: Vec<Domain> = domains.collect();
    let names = || quoted_list(domains.iter().map(|domain| domain.name.as_str()));
    let domain = match (&arguments.domain, domains.as_slice()) {
        (_, []) => {
            return Err(Failure::new(
                "no rule of the document has `scope: fleet`: it needs no rate-limit service",
            ));
        }
        (None, [only]) => only,
        (None, _) => {
            return Err(Failure::new(format!(
                "the document counts in the domains {}: say which with --domain",
                names()
            )));
        }
        (Some(wanted), _) => domains.iter().find(|domain| domain.name == *wanted).ok_or_else(|| {
            Failure::new(format!("--domain: the document counts in {}, not in `{wanted}`", names()))
        })?,
    };
    let rules = domain.rules.iter().filter_map(|rule| nested(&rule.entries, rule)).collect();
    Ok(Tree::object([
        ("domain", Some(Tree::from(domain.name.as_str()))),
        ("descriptors", Some(Tree::List(rules))),
    ]))
}

/// The entries of a descriptor, each within the one before.
fn nested(entries: &[(String, Option<String>)], rule: &DomainRule) -> Option<Tree> {
    let ((key, value), rest) = entries.split_first()?;
    let within = nested(rest, rule);
    let limit = within.is_none().then(|| {
        Tree::object([
            ("unit", Some(Tree::from(rule.unit))),
            ("requests_per_unit", Some(Tree::from(Value::from(rule.requests_per_unit)))),
        ])
    });
    Some(Tree::object([
        ("key", Some(Tree::from(key.as_str()))),
        ("value", value.as_deref().map(Tree::from)),
        ("rate_limit", limit),
        ("descriptors", within.map(|within| Tree::List(vec![within]))),
    ]))
}
