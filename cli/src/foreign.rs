//! What people know from other gateways, and what there is here instead: for messages about names that the document does not have.

use crate::node::{Node, Value};
use crate::secrets::is_manifest;
use sluice_core::document::problem::{FieldPath, Problem, Segment};

/// A name of another gateway's: in which fields it is looked for (anywhere, if there are none), and what there is instead.
struct Foreign {
    names: &'static [&'static str],
    within: &'static [&'static str],
    instead: &'static str,
}

const ENVOY: &str = "there is none here; Envoy's own filters do it, beside this one";

/// The first that fits is taken. Names are compared without case, `_` and `-`.
const TABLE: &[Foreign] = &[
    Foreign {
        names: &[
            "jwksUri",
            "jwksUrl",
            "remoteJwks",
            "jwksEndpoint",
            "jwksHost",
            "discovery",
            "openidConfiguration",
            "wellKnown",
        ],
        within: &[],
        instead: "keys are fetched by a cluster of the proxy's: `keys: { discovery: { cluster: NAME } }` for the issuer's metadata, `keys: { remote: { cluster: NAME, path: /keys } }` for a key set",
    },
    Foreign {
        names: &["jwks", "localJwks", "publicKey", "publicKeys", "signingKey", "certificate", "jwksFile"],
        within: &["authn"],
        instead: "the issuer's key set (JWK, RFC 7517) stands in `keys: { inline: { keys: [...] } }`, or is fetched: `keys: { remote: { cluster: NAME, path: /keys } }`",
    },
    Foreign {
        names: &["secret", "sharedSecret", "hmacSecret", "clientSecret"],
        within: &["authn"],
        instead: "a shared secret is a key of the type `oct`: `keys: { inline: { keys: [{ kty: oct, alg: HS256, k: { environment: NAME } }] } }`",
    },
    Foreign {
        names: &[
            "oidc",
            "openid",
            "openidConnect",
            "oauth",
            "oauth2",
            "oauth2Proxy",
            "oidcProvider",
            "login",
            "introspection",
        ],
        within: &[],
        instead: "there is no login here, and no introspection; tokens of an OpenID provider are verified by `jwt` of a provider, and Envoy's `oauth2` filter does the login",
    },
    Foreign {
        names: &["cors", "corsPolicy", "corsFilter", "allowOrigins", "allowOrigin"],
        within: &[],
        instead: "CORS is not part of this version; Envoy's `cors` filter does it",
    },
    Foreign {
        names: &["basicAuth", "basic", "htpasswd", "ldap", "extAuthz", "externalAuth", "forwardAuth", "opa"],
        within: &[],
        instead: "providers are `jwt`, `apiKey` and `forwarded`; Envoy's `basic_auth` and `ext_authz` filters do the rest",
    },
    Foreign {
        names: &[
            "ipAllow",
            "ipDeny",
            "allowIps",
            "denyIps",
            "ipWhitelist",
            "ipBlacklist",
            "ipAllowList",
            "ipDenyList",
            "ipAllowlist",
            "ipBlocks",
            "notIpBlocks",
            "remoteIpBlocks",
            "sourceRanges",
            "allowedIps",
            "whitelist",
            "blacklist",
            "networkPolicy",
        ],
        within: &[],
        instead: "addresses are in the `match` of a rule of `authz`: `match: { client: { cidrs: [192.0.2.0/24] } }`, with `allow: true` or `deny: true`",
    },
    Foreign {
        names: &["retries", "retryPolicy", "retryOn", "perTryTimeout"],
        within: &[],
        instead: "retries are a route's, in Envoy's own configuration (`retry_policy`; Istio: `retries` of a VirtualService)",
    },
    Foreign {
        names: &[
            "maxRequestBytes",
            "maxRequestBodySize",
            "maxBodySize",
            "clientMaxBodySize",
            "bodyLimit",
            "requestSizeLimiting",
            "allowedPayloadSize",
        ],
        within: &[],
        instead: "how large a body may be is `guard: { limits: { body: 1MiB } }`",
    },
    Foreign {
        names: &["timeout", "timeouts", "connectTimeout", "requestTimeout"],
        within: &[],
        instead: "timeouts are a route's, in Envoy's own configuration (`timeout`; Istio: `timeout` of a VirtualService)",
    },
    Foreign {
        names: &[
            "circuitBreaker",
            "circuitBreakers",
            "outlierDetection",
            "loadBalancer",
            "healthCheck",
            "healthChecks",
        ],
        within: &[],
        instead: "it is a cluster's, in Envoy's own configuration (Istio: a DestinationRule)",
    },
    Foreign {
        names: &["tls", "mtls", "mutualTls", "peerAuthentication"],
        within: &[],
        instead: "TLS is a listener's, in Envoy's own configuration (Istio: PeerAuthentication); who the peer is, is asked by `when: { peers: [...] }`",
    },
    Foreign {
        names: &[
            "rateLimits",
            "rateLimiting",
            "rateLimitPolicy",
            "throttle",
            "throttling",
            "quota",
            "quotas",
            "limits",
            "descriptors",
            "localRateLimit",
            "rateLimiter",
        ],
        within: &[],
        instead: "limits are `rateLimit: { rules: [{ name: …, key: [client.address], limit: 100/min }] }`",
    },
    Foreign {
        names: &[
            "requestsPerUnit",
            "unit",
            "tokensPerFill",
            "fillInterval",
            "maxTokens",
            "tokenBucket",
            "requests",
            "period",
            "rate",
            "average",
            "interval",
            "window",
        ],
        within: &["rateLimit"],
        instead: "a rate is written in one: `limit: 100/min`; what may pass at once is `burst`",
    },
    Foreign {
        names: &["descriptor", "keys", "by", "dimensions", "identifier", "per", "groupBy"],
        within: &["rateLimit"],
        instead: "what is counted by is `key: [client.address]`, or other references",
    },
    Foreign {
        names: &["claimToHeaders", "claimsToHeaders", "outputClaimToHeaders"],
        within: &[],
        instead: "headers for the service are `forward: { headers: { x-user: sub } }`",
    },
    Foreign {
        names: &["outputPayloadToHeader", "forwardPayloadHeader", "payloadInMetadata"],
        within: &[],
        instead: "the payload as a whole is handed on in a header: `forward: { payload: x-claims }`",
    },
    Foreign {
        names: &["requires", "requiresAny", "requiresAll", "requirement", "providerAndAudiences"],
        within: &["authn"],
        instead: "what a rule asks for is `require: { any: [a, { all: [b, c] }, { provider: d, audiences: [orders] }] }`",
    },
    Foreign {
        names: &["allowMissing"],
        within: &["authn"],
        instead: "who shows nothing may pass with `require: { optional: [a] }`",
    },
    Foreign {
        names: &["requireExpiration"],
        within: &["authn"],
        instead: "a token must have `exp` unless a provider says `requireExpiry: false`",
    },
    Foreign {
        names: &["resourceMetadata", "oauthProtectedResource", "protectedResource"],
        within: &["authn"],
        instead: "what clients are told of how to get a token is `protectedResources: [{ url: https://api.example.com }]`",
    },
    Foreign {
        names: &["forwardOriginalToken", "forward_jwt", "keepToken", "passToken"],
        within: &[],
        instead: "whether the token goes on is `forward: { token: keep }`",
    },
    Foreign {
        names: &["fromHeaders", "fromParams", "fromCookies", "tokenLocation", "tokenSource"],
        within: &[],
        instead: "where tokens are read is `from: [{ header: authorization, scheme: Bearer }, { query: token }, { cookie: token }]`",
    },
    Foreign { names: &["aud"], within: &["authn"], instead: "a token is for one of `audiences: [...]`" },
    Foreign {
        names: &["issuers", "iss"],
        within: &["authn"],
        instead: "a provider has one `issuer`; for another one write another provider",
    },
    Foreign {
        names: &["requestPrincipals", "notRequestPrincipals"],
        within: &[],
        instead: "who is calling is asked by `when: { principals: [...] }`, or `when: { authenticated: true }` for anybody",
    },
    Foreign {
        names: &["namespaces", "notNamespaces", "serviceAccounts", "sourcePrincipals"],
        within: &[],
        instead: "workloads are asked for by their SPIFFE identity: `when: { peers: [\"spiffe://cluster.local/ns/NAMESPACE/**\"] }`",
    },
    Foreign {
        names: &[
            "notPaths",
            "notHosts",
            "notMethods",
            "notPorts",
            "notValues",
            "notPrincipals",
            "excludedPaths",
        ],
        within: &[],
        instead: "what must not hold stands in `not`: `match: { not: { paths: [...] } }`, `when: { not: {...} }`",
    },
    Foreign {
        names: &["ports"],
        within: &["authz"],
        instead: "there is no field for ports; one listener has one document",
    },
    Foreign {
        names: &["action", "effect", "permit", "decision"],
        within: &["authz"],
        instead: "a rule says `allow: true` or `deny: true`",
    },
    Foreign {
        names: &["to", "from", "source", "operation"],
        within: &["authz"],
        instead: "which requests is `match: { paths: [...], methods: [...] }`, who calls is `when: {...}`",
    },
    Foreign {
        names: &["policies", "permissions", "principals"],
        within: &["authz"],
        instead: "rules are `rules: [{ name: …, allow: true, match: {...}, when: {...} }]`; permissions belong to roles: `roles: { reader: { permissions: [...] } }`",
    },
    Foreign {
        names: &["prefix", "pathPrefix", "regex", "safeRegex", "exact", "uri", "url", "path"],
        within: &["match"],
        instead: "paths are `paths: [/orders, \"/orders/{id}\", \"/orders/**\"]`: exactly, with one segment open, and all below",
    },
    Foreign {
        names: &[
            "route",
            "routes",
            "virtualService",
            "httpRoute",
            "upstream",
            "upstreams",
            "backend",
            "backends",
            "destination",
            "weight",
            "weights",
            "weightedClusters",
            "backendRefs",
        ],
        within: &[],
        instead: "where requests go is `routing: { rules: [{ name: …, subset: v2 }] }`, in shares with `split`; routes and clusters themselves are Envoy's own configuration",
    },
    Foreign {
        names: &[
            "mirror",
            "mirrors",
            "shadowing",
            "requestMirrorPolicies",
            "rewrite",
            "redirect",
            "directResponse",
            "gzip",
            "compression",
            "cache",
            "caching",
            "lua",
            "wasm",
            "buffer",
        ],
        within: &[],
        instead: ENVOY,
    },
    Foreign {
        names: &[
            "accessLog",
            "accessLogs",
            "logging",
            "metrics",
            "tracing",
            "prometheus",
            "zipkin",
            "opentelemetry",
        ],
        within: &[],
        instead: "what this filter adds to logs, metrics and traces is `telemetry`; where they go is Envoy's own configuration",
    },
    Foreign {
        names: &["faultInjection", "httpFault", "faults", "chaos"],
        within: &[],
        instead: "faults on purpose are `fault: { rules: [...] }`",
    },
    Foreign {
        names: &["authentication", "requestAuthentication", "auth", "jwtRules", "jwtProviders"],
        within: &[],
        instead: "who is calling is proven by `authn: { providers: [...], rules: [...] }`",
    },
    Foreign {
        names: &["authorization", "authorizationPolicy", "rbac", "acl"],
        within: &[],
        instead: "who may do what is `authz: { rules: [...] }`",
    },
];

/// Problems with words for those who come from elsewhere, and for what is misleading without its place.
pub(crate) fn explained(problems: Vec<Problem>) -> Vec<Problem> {
    problems.into_iter().map(explain).collect()
}

fn explain(problem: Problem) -> Problem {
    let last = match problem.path.segments().last() {
        Some(Segment::Field(name)) => name.as_str(),
        _ => "",
    };
    if problem.message.starts_with("unknown field `") {
        // A name that is only misspelt is better helped by the right one.
        let misspelt = problem.suggestion.as_deref().is_some_and(|meant| is_slip(last, meant));
        return match instead(&problem.path, last).filter(|_| !misspelt) {
            Some(instead) => {
                Problem { message: format!("unknown field `{last}`: {instead}"), suggestion: None, ..problem }
            }
            None => problem,
        };
    }
    if problem.message.starts_with("unknown value `global`") && last == "scope" {
        let message = "unknown value `global`; there is `local`: limits count in each proxy by itself, counting for a whole fleet is not part of this version";
        return Problem { message: message.to_owned(), suggestion: None, ..problem };
    }
    if problem.message.starts_with("an empty list") {
        let out = match last {
            "key" => "or leave `key` out: then all requests of the rule share one limit",
            _ if is_within(&problem.path, "when") => "or leave the field out: then it is not asked",
            _ if is_within(&problem.path, "match") || is_within(&problem.path, "matches") => {
                "or leave the field out: then it fits every request"
            }
            _ => return problem,
        };
        return Problem { message: format!("{}, {out}", problem.message), ..problem };
    }
    problem
}

/// Whether one letter was missed, doubled or exchanged.
fn is_slip(found: &str, meant: &str) -> bool {
    let (found, meant) = (found.to_lowercase(), meant.to_lowercase());
    let common = found.chars().zip(meant.chars()).take_while(|(left, right)| left == right).count();
    let behind =
        found.chars().rev().zip(meant.chars().rev()).take_while(|(left, right)| left == right).count();
    let longest = found.chars().count().max(meant.chars().count());
    common + behind + 2 >= longest && found.chars().count().abs_diff(meant.chars().count()) <= 1
}

fn instead(path: &FieldPath, name: &str) -> Option<&'static str> {
    let name = plain(name);
    let fits = |foreign: &&Foreign| {
        foreign.names.iter().any(|known| plain(known) == name)
            && (foreign.within.is_empty() || foreign.within.iter().any(|place| is_within(path, place)))
    };
    TABLE.iter().find(fits).map(|foreign| foreign.instead)
}

fn is_within(path: &FieldPath, name: &str) -> bool {
    let parents = path.segments().split_last().map_or(path.segments(), |(_, parents)| parents);
    parents.iter().any(|segment| matches!(segment, Segment::Field(parent) if parent == name))
}

fn plain(name: &str) -> String {
    name.chars().filter(|character| !matches!(character, '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// What a file is that is no policy document but holds one, or has to do with one.
pub(crate) fn other_document(node: &Node) -> Option<Problem> {
    let Value::Object(entries) = &node.value else { return None };
    let message = if is_manifest(entries) {
        match node.get("kind").and_then(Node::text) {
            Some("WasmPlugin") => {
                "this is a WasmPlugin; the policy document is its `spec.pluginConfig`: `kubectl get wasmplugin NAME -o json | jq .spec.pluginConfig | sluice check -`"
            }
            Some("EnvoyFilter") => {
                "this is an EnvoyFilter; the policy document is the plugin's `configuration` in it, and a document of its own is what is checked and rendered"
            }
            Some("ConfigMap") => "this is a ConfigMap; the policy document is a value in its `data`",
            Some("List") => {
                "this is a List of Kubernetes objects; a policy document is the `spec.pluginConfig` of a WasmPlugin"
            }
            Some(_) => "this is a Kubernetes object, not a policy document, which begins with `version: 1`",
            None => {
                "this is a configuration of Envoy's; the policy document is the `configuration` of its Wasm filter, and begins with `version: 1`"
            }
        }
    } else if !entries.iter().any(|entry| entry.key == "version") && node.get("keys").is_some() {
        "this is a key set; in a policy document it stands in `authn.providers[].jwt.keys.inline`"
    } else if !entries.iter().any(|entry| entry.key == "version") && node.get("pluginConfig").is_some() {
        "this is the `spec` of a WasmPlugin; the policy document is its `pluginConfig`"
    } else {
        return None;
    };
    let path = match entries.first() {
        Some(first) => FieldPath::root().field(node.get("kind").map_or(first.key.as_str(), |_| "kind")),
        None => FieldPath::root(),
    };
    Some(Problem { path, message: message.to_owned(), suggestion: None })
}

#[cfg(test)]
mod tests;
