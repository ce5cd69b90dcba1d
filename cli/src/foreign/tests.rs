use crate::compile::{Severity, compile};
use crate::source::Source;

/// `PATH: MESSAGE` of everything that is wrong with a document.
fn problems(document: &str) -> Vec<String> {
    let source = Source { name: "test".to_owned(), bytes: document.as_bytes().to_vec() };
    let Err(findings) = compile(&source) else { return Vec::new() };
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    errors.map(|finding| finding.problem.to_string()).collect()
}

#[test]
fn names_of_other_gateways_are_told_what_there_is_instead() {
    for (fields, path, part) in [
        (
            "authn: { providers: [{ name: a, jwt: { issuer: i, anyAudience: true, jwksUri: x, keys: { inline: { keys: [] } } } }] }",
            "jwksUri",
            "`keys: { discovery: { cluster: NAME } }`",
        ),
        (
            "authn: { providers: [{ name: a, jwt: { issuer: i, anyAudience: true, remote_jwks: x, keys: { inline: { keys: [] } } } }] }",
            "remote_jwks",
            "`keys: { remote: { cluster: NAME, path: /keys } }`",
        ),
        (
            "authn: { providers: [{ name: a, jwt: { fromHeaders: [] } }] }",
            "fromHeaders",
            "`from: [{ header: authorization, scheme: Bearer }",
        ),
        (
            "authn: { providers: [{ name: a, jwt: { forwardOriginalToken: true } }] }",
            "forwardOriginalToken",
            "`forward: { token: keep }`",
        ),
        (
            "authn: { providers: [{ name: a, jwt: { claimToHeaders: [] } }] }",
            "claimToHeaders",
            "`forward: { headers: ",
        ),
        ("authn: { providers: [{ name: a, jwt: { aud: b } }] }", "aud", "`audiences: [...]`"),
        ("authn: { providers: [{ name: a, oidc: {} }] }", "oidc", "no login"),
        ("cors: {}", "cors", "Envoy's `cors` filter"),
        ("corsPolicy: {}", "corsPolicy", "Envoy's `cors` filter"),
        ("oauth2: {}", "oauth2", "no login"),
        ("ipAllow: []", "ipAllow", "`match: { client: { cidrs: "),
        ("client_max_body_size: 1m", "client_max_body_size", "`guard: { limits: { body: 1MiB } }`"),
        ("retries: 3", "retries", "retry_policy"),
        ("timeout: 3s", "timeout", "timeouts are a route's"),
        ("rate_limits: []", "rate_limits", "`rateLimit: { rules: "),
        ("authz: { rules: [{ name: a, action: DENY }] }", "action", "`allow: true` or `deny: true`"),
        (
            "authz: { rules: [{ name: a, allow: true, when: { requestPrincipals: [a] } }] }",
            "requestPrincipals",
            "`when: { principals",
        ),
        ("authz: { rules: [{ name: a, allow: true, when: { namespaces: [a] } }] }", "namespaces", "SPIFFE"),
        ("authz: { rules: [{ name: a, allow: true, match: { notPaths: [/a] } }] }", "notPaths", "`not`"),
        (
            "rateLimit: { rules: [{ name: a, requests_per_unit: 3, unit: minute, limit: 1/s }] }",
            "requests_per_unit",
            "`limit: 100/min`",
        ),
    ] {
        let problems = problems(&format!("version: 1\n{fields}\n"));
        let wanted = format!("{path}: unknown field `{path}`: ");
        let told = problems
            .iter()
            .find(|problem| problem.contains(&wanted))
            .unwrap_or_else(|| panic!("{fields}: {problems:#?}"));
        assert!(told.contains(part) && !told.contains("did you mean"), "{told}");
    }
}

#[test]
fn a_name_that_is_only_misspelt_gets_the_right_one() {
    for (fields, meant) in [
        ("authn: { rules: [{ name: a, match: { path: [/a] } }] }", "paths"),
        ("authz: { rule: [] }", "rules"),
        ("ratelimit: {}", "rateLimit"),
        ("authn: { provider: [] }", "providers"),
    ] {
        let problems = problems(&format!("version: 1\n{fields}\n"));
        assert!(problems[0].ends_with(&format!("did you mean `{meant}`?")), "{problems:#?}");
    }
}

#[test]
fn what_a_file_is_that_is_no_policy_document() {
    for (file, path, part) in [
        (
            "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nspec: { pluginConfig: { version: 1 } }\n",
            "kind",
            "`spec.pluginConfig`",
        ),
        ("apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\n", "kind", "EnvoyFilter"),
        ("apiVersion: v1\nkind: Secret\ndata: { a: b }\n", "kind", "Kubernetes object"),
        ("static_resources: { listeners: [] }\n", "static_resources", "configuration of Envoy's"),
        ("keys: [{ kty: oct }]\n", "keys", "a key set"),
        ("selector: {}\npluginConfig: { version: 1 }\n", "selector", "`pluginConfig`"),
    ] {
        let problems = problems(file);
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with(&format!("{path}: ")) && problems[0].contains(part), "{problems:#?}");
    }
}

#[test]
fn values_and_lists_are_told_what_fits_in_their_place() {
    for (fields, expected) in [
        (
            "rateLimit: { rules: [{ name: a, limit: 1/s, scope: global }] }",
            "rateLimit.rules[0].scope: unknown value `global`; there is `local`: limits count in each proxy",
        ),
        (
            "rateLimit: { rules: [{ name: a, limit: 1/s, key: [] }] }",
            "rateLimit.rules[0].key: an empty list; write at least one value, or leave `key` out: then all requests of the rule share one limit",
        ),
        (
            "authz: { rules: [{ name: a, allow: true, when: { peers: [] } }] }",
            "authz.rules[0].when.peers: an empty list; write at least one value, or leave the field out: then it is not asked",
        ),
        (
            "authn: { providers: [{ name: a, forwarded: { peers: [], principal: x-user } }] }",
            "authn.providers[0].forwarded.peers: an empty list; write at least one value",
        ),
        (
            "authn: { rules: [{ name: a, require: any }] }",
            "authn.rules[0].require: `any` alone says too little: write `{ any: … }`, with its value",
        ),
        (
            "authn: { rules: [{ name: a, require: { none: true } }] }",
            "authn.rules[0].require.none: `none` stands alone: write `none`, without a value",
        ),
        (
            "authn: { rules: [{ name: a, require: [b] }] }",
            "authn.rules[0].require: a list where one of `none`, `any`, `all`, `optional` and `allowMissingOrFailed` is expected",
        ),
        ("authz: { default: maybe }", "authz.default: unknown value `maybe`; there are `deny` and `allow`"),
        ("authz: []", "authz: a list where an object is expected"),
        (
            "authz: { rules: [{ name: 7, allow: true }] }",
            "authz.rules[0].name: a number where text is expected; put it in quotes",
        ),
        (
            "authz: { rules: [{ name: a, allow: yes }] }",
            "authz.rules[0].allow: text where `true` or `false` is expected",
        ),
        (
            "client: { address: { trustedHops: 1.5 } }",
            "client.address.trustedHops: a number where a whole number from 0 to 255 is expected",
        ),
        (
            "client: { address: { trustedHops: 300 } }",
            "client.address.trustedHops: 300 is not a whole number from 0 to 255",
        ),
    ] {
        let problems = problems(&format!("version: 1\n{fields}\n"));
        assert!(problems[0].starts_with(expected), "{fields}: {problems:#?}");
        assert_eq!(problems.len(), 1, "{fields}: {problems:#?}");
    }
}
