//! Envoy's own filters, configured to do what our documents do.

use serde_json::{Value, json};
use sluice_integration::tokens;

use crate::bootstrap::STAT_PREFIX;
use crate::policies::{ACCESS_RULES, BODY, CACHE, LIMIT, TEAM, rsa_key_set};

/// Six filters that deployments have, each with a small configuration of which no request of the load is the victim.
pub fn six() -> Vec<Value> {
    vec![
        cors(),
        fault(),
        rbac_without_internal(),
        local_ratelimit_of_all(),
        header_to_metadata(),
        header_mutation(),
    ]
}

fn filter(name: &str, message: &str, mut configuration: Value) -> Value {
    configuration["@type"] = format!("type.googleapis.com/envoy.extensions.filters.http.{message}").into();
    json!({ "name": format!("envoy.filters.http.{name}"), "typed_config": configuration })
}

/// What the virtual host of the bootstrap says of other origins.
pub fn cors() -> Value {
    filter("cors", "cors.v3.Cors", json!({}))
}

/// A fault for requests with `x-chaos: abort`.
pub fn fault() -> Value {
    filter(
        "fault",
        "fault.v3.HTTPFault",
        json!({
            "abort": { "http_status": 503, "percentage": { "numerator": 100, "denominator": "HUNDRED" } },
            "headers": [{ "name": "x-chaos", "string_match": { "exact": "abort" } }],
        }),
    )
}

/// Holds a request back until its body is there; one that is larger is refused.
pub fn buffer() -> Value {
    filter("buffer", "buffer.v3.Buffer", json!({ "max_request_bytes": BODY }))
}

/// Asks the rate-limit service with what the route says.
pub fn ratelimit() -> Value {
    filter(
        "ratelimit",
        "ratelimit.v3.RateLimit",
        json!({
            "domain": "sluice",
            "timeout": "1s",
            "rate_limit_service": {
                "transport_api_version": "V3",
                "grpc_service": { "envoy_grpc": { "cluster_name": "ratelimit" } },
            },
        }),
    )
}

fn rbac_without_internal() -> Value {
    filter(
        "rbac",
        "rbac.v3.RBAC",
        json!({ "rules": { "action": "DENY", "policies": { "internal": {
            "permissions": [{ "url_path": { "path": { "prefix": "/internal" } } }],
            "principals": [{ "any": true }],
        } } } }),
    )
}

fn header_to_metadata() -> Value {
    filter(
        "header_to_metadata",
        "header_to_metadata.v3.Config",
        json!({ "request_rules": [{
            "header": "x-client",
            "on_header_present": { "metadata_namespace": "sluice.bench", "key": "client", "type": "STRING" },
        }] }),
    )
}

fn header_mutation() -> Value {
    let set = |name: &str, value: &str| {
        json!({ "append": {
            "header": { "key": name, "value": value },
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        } })
    };
    filter(
        "header_mutation",
        "header_mutation.v3.HeaderMutation",
        json!({ "mutations": {
            "request_mutations": [set("x-gateway", "edge")],
            "response_mutations": [set("x-served-by", "edge")],
        } }),
    )
}

fn local_ratelimit_of_all() -> Value {
    local_ratelimit(bucket(1_000_000), json!({}))
}

/// A limit for each value of that request header. `fields`: every answer tells what is left.
pub fn local_ratelimit_by(header: &str, fields: bool) -> Value {
    local_ratelimit(
        // Only for requests without the header: there are none.
        bucket(1_000_000),
        json!({
            "always_consume_default_token_bucket": false,
            "enable_x_ratelimit_headers": if fields { "DRAFT_VERSION_03" } else { "OFF" },
            "rate_limits": [{ "actions": [{
                "request_headers": { "header_name": header, "descriptor_key": "client" },
            }] }],
            // A descriptor without a value stands for any: a bucket for each, the least recently used goes first.
            "descriptors": [{ "entries": [{ "key": "client" }], "token_bucket": bucket(LIMIT) }],
            "max_dynamic_descriptors": 10_000,
        }),
    )
}

fn local_ratelimit(default: Value, further: Value) -> Value {
    let always = json!({ "default_value": { "numerator": 100, "denominator": "HUNDRED" } });
    let mut configuration = json!({
        "stat_prefix": STAT_PREFIX,
        "token_bucket": default,
        "filter_enabled": always,
        "filter_enforced": always,
    });
    if let (Some(fields), Value::Object(further)) = (configuration.as_object_mut(), further) {
        fields.extend(further);
    }
    filter("local_ratelimit", "local_ratelimit.v3.LocalRateLimit", configuration)
}

fn bucket(requests: u32) -> Value {
    json!({ "max_tokens": requests, "tokens_per_fill": requests, "fill_interval": "1s" })
}

/// How the ten policies learn the caller's team.
#[derive(Clone, Copy, PartialEq)]
pub enum Team {
    /// From the request header `x-team`; behind `jwt_authn`, a header that it wrote.
    Header,
    /// From the token's payload, which `jwt_authn` puts into the dynamic metadata.
    Metadata,
}

/// What `jwt_authn` does beside verifying.
#[derive(Clone, Copy, Default)]
pub struct Tokens {
    /// Remembers verified tokens.
    pub cache: bool,
    /// Writes two claims into headers.
    pub forward: bool,
    /// Puts the payload into the dynamic metadata.
    pub metadata: bool,
}

/// A token of the demo's issuer is required of everybody.
pub fn jwt_authn(tokens: Tokens) -> Value {
    let mut provider = json!({
        "issuer": tokens::ISSUER,
        "audiences": [tokens::AUDIENCE],
        "require_expiration": true,
        "local_jwks": { "inline_string": rsa_key_set().to_string() },
    });
    if tokens.cache {
        provider["jwt_cache_config"] = json!({ "jwt_cache_size": CACHE });
    }
    if tokens.forward {
        provider["claim_to_headers"] = json!([
            { "header_name": "x-user", "claim_name": "sub" },
            { "header_name": "x-team", "claim_name": "team" },
        ]);
    }
    if tokens.metadata {
        provider["payload_in_metadata"] = "claims".into();
    }
    filter(
        "jwt_authn",
        "jwt_authn.v3.JwtAuthentication",
        json!({
            "providers": { "staff": provider },
            "rules": [{ "match": { "prefix": "/" }, "requires": { "provider_name": "staff" } }],
        }),
    )
}

/// Ten policies by path, method and team.
pub fn rbac(team: Team) -> Value {
    let principal = match team {
        Team::Header => json!({ "header": { "name": "x-team", "string_match": { "exact": TEAM } } }),
        Team::Metadata => json!({ "sourced_metadata": { "metadata_matcher": {
            "filter": "envoy.filters.http.jwt_authn",
            "path": [{ "key": "claims" }, { "key": "team" }],
            "value": { "string_match": { "exact": TEAM } },
        } } }),
    };
    let policies: serde_json::Map<String, Value> = ACCESS_RULES
        .iter()
        .map(|rule| {
            let path = json!({ "url_path": { "path": { "prefix": rule.path } } });
            let method = json!({ "header": { "name": ":method", "string_match": { "exact": rule.method } } });
            let policy = json!({
                "permissions": [{ "and_rules": { "rules": [path, method] } }],
                "principals": [principal],
            });
            (rule.name.to_owned(), policy)
        })
        .collect();
    filter("rbac", "rbac.v3.RBAC", json!({ "rules": { "action": "ALLOW", "policies": policies } }))
}
