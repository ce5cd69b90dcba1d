//! The section `authz` of the document.

use serde::Deserialize;
use sluice_core::caller::roles::RoleConfig;
use sluice_core::document::entries::Entries;
use sluice_core::document::list::OrderedMap;
use sluice_core::document::name::Name;
use sluice_core::rule::selector::Match;
use sluice_core::rule::when::When;

/// `authz`: who may do what. A request that any `deny` rule matches is denied; else one that any `allow` rule matches is allowed; else
/// `default` decides. The order of the rules does not matter.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct AuthzSection {
    /// Roles by name, and what each permits; `when.permissions` of any section refers to these permissions.
    pub roles: OrderedMap<Name, RoleConfig>,
    /// What happens to a request that no rule matches.
    pub default: Effect,
    /// The rules.
    pub rules: Entries<RuleConfig>,
    /// Decides, counts and logs for the whole section, and denies nothing.
    pub shadow: bool,
}

/// What is done with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// It is denied.
    #[default]
    Deny,
    /// It is let through.
    Allow,
}

/// A rule of `authz`: `allow: true` or `deny: true`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RuleConfig {
    /// The rule's name: in reasons, metrics and logs.
    pub name: Name,
    /// The rule allows what it matches, unless a `deny` rule matches too.
    pub allow: Option<bool>,
    /// The rule denies what it matches, whatever other rules say.
    pub deny: Option<bool>,
    /// Which requests; without it every request.
    #[serde(rename = "match")]
    pub matches: Option<Match>,
    /// Which callers; without it everybody, proven or not.
    pub when: Option<When>,
    /// Decides, counts and logs, and the request is treated as if the rule were not there.
    #[serde(default)]
    pub shadow: bool,
}
