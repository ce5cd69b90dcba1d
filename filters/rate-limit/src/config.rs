//! The section `rateLimit` of the document.

use serde::de::{self, Deserialize, Deserializer};
use sluice_core::document::decode::SHORT_OR_OBJECT;
use sluice_core::document::list::{OneOrMany, OrderedMap};
use sluice_core::document::name::Name;
use sluice_core::document::scalar::{Duration, Percentage, Rate};
use sluice_core::rule::attribute::Attribute;
use sluice_core::rule::selector::Match;
use sluice_core::rule::when::When;
use std::fmt;

/// `rateLimit`: how often. Every rule that matches a request has to have room for it; only then anything is taken, of all of them.
#[derive(Clone, Debug, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct RateLimitSection {
    /// The rules.
    pub rules: Vec<RuleConfig>,
    /// Whether clients are told what is left (`RateLimit`, `RateLimit-Policy`); `Retry-After` they get anyhow.
    pub headers: bool,
    /// The rate-limit service of rules with `scope: fleet` that name none themselves.
    pub service: Option<ServiceConfig>,
    /// Decides, counts and logs for the whole section, and limits nobody.
    pub shadow: bool,
}

impl Default for RateLimitSection {
    fn default() -> Self {
        Self { rules: Vec::new(), headers: true, service: None, shadow: false }
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
    /// The rate-limit service that counts, with `scope: fleet`; without it the section's.
    pub service: Option<ServiceConfig>,
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
    /// In a rate-limit service, all proxies that ask it together.
    Fleet,
}

/// A rate-limit service: a cluster that serves `envoy.service.ratelimit.v3.RateLimitService`, as envoyproxy/ratelimit does.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ServiceConfig {
    /// The cluster, by the name that it has in the proxy. It speaks HTTP/2.
    pub cluster: String,
    /// The domain of the service's configuration; `sluice` by default. The service has to know it.
    pub domain: Option<String>,
    /// How long a request waits for the service, 1ms to 5s; 20ms by default.
    pub timeout: Option<Duration>,
    /// How many proxies share the limits: where the service fails, each gives its share.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100_000)))]
    pub expected_proxies: Option<u32>,
    /// What becomes of requests where the service fails.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// What becomes of requests where the rate-limit service fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum OnFailure {
    /// The proxy counts them itself, and gives its share of the limit.
    #[default]
    Local,
    /// They are let through, uncounted.
    Allow,
    /// They are answered 503.
    Deny,
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
                self.visit_some(de::value::MapAccessDeserializer::new(map))
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, any: D) -> Result<Allowance, D::Error> {
                any.deserialize_any(self)
            }
            fn visit_some<D: Deserializer<'de>>(self, object: D) -> Result<Allowance, D::Error> {
                let long = LongAllowance::deserialize(object)?;
                Ok(Allowance { limit: long.limit, burst: long.burst })
            }
        }
        deserializer.deserialize_newtype_struct(SHORT_OR_OBJECT, AllowanceVisitor)
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
