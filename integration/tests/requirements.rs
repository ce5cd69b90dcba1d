//! What rules of `authn` ask for, on a real Envoy, and beside `jwt_authn` with the same providers and requirements: any different decision
//! fails.

use serde_json::{Value, json};
use sluice_integration::tokens::{self, Algorithm, Token};
use sluice_integration::{Gateway, Request};

const PROVIDERS: [&str; 3] = ["a", "b", "c"];

fn issuer(provider: &str) -> String {
    format!("https://{provider}.sluice.demo")
}

/// Three issuers, each with a header of its own; `require` for all paths but those that only name the providers.
fn sluice(require: &Value, jwt: &Value) -> Gateway {
    let provider = |name: &&str| {
        let mut config = json!({
            "issuer": issuer(name), "audiences": ["orders", "reports"],
            "from": { "header": format!("x-token-{name}") },
            "keys": { "inline": tokens::key_set(false) },
            "forward": { "payload": format!("x-claims-{name}"), "token": "keep" }
        });
        config.as_object_mut().unwrap().extend(jwt.as_object().unwrap().clone());
        json!({ "name": name, "jwt": config })
    };
    let providers: Vec<Value> = PROVIDERS.iter().map(provider).collect();
    let policy = json!({ "version": 1, "telemetry": {}, "authn": { "budget": "1000000/s", "providers": providers, "rules": [
        { "name": "others", "match": { "paths": ["/others"] } },
        { "name": "rule", "require": require }
    ] } });
    Gateway::with_policy(&policy.to_string())
}

/// The same by Envoy's own filter.
fn envoy(requires: &Value, provider_fields: &Value) -> Gateway {
    let provider = |name: &&str| {
        let mut config = json!({
            "issuer": issuer(name), "audiences": ["orders", "reports"],
            "from_headers": [{ "name": format!("x-token-{name}") }],
            "local_jwks": { "inline_string": tokens::key_set(false).to_string() },
            "forward_payload_header": format!("x-claims-{name}"),
            "require_expiration": true, "forward": true
        });
        config.as_object_mut().unwrap().extend(provider_fields.as_object().unwrap().clone());
        ((*name).to_owned(), config)
    };
    let providers: serde_json::Map<String, Value> = PROVIDERS.iter().map(provider).collect();
    let filter = json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": providers,
            "rules": [{ "match": { "prefix": "/" }, "requires": requires }]
        }
    });
    Gateway::builder().filter_before(filter).start().unwrap()
}

/// A requirement as `jwt_authn` writes it.
fn native(require: &Value) -> Value {
    if let Some(name) = require.as_str() {
        return json!({ "provider_name": name });
    }
    if let Some(provider) = require.get("provider") {
        return json!({ "provider_and_audiences": { "provider_name": provider, "audiences": require["audiences"] } });
    }
    let (kind, list) = require.as_object().unwrap().iter().next().unwrap();
    let mut parts: Vec<Value> = list.as_array().unwrap().iter().map(native).collect();
    match kind.as_str() {
        "optional" => parts.push(json!({ "allow_missing": {} })),
        "allowMissingOrFailed" => parts.push(json!({ "allow_missing_or_failed": {} })),
        _ => {}
    }
    let kind = if kind == "all" { "requires_all" } else { "requires_any" };
    // It takes no list of one.
    if parts.len() == 1 { parts.remove(0) } else { json!({ kind: { "requirements": parts } }) }
}

/// Nothing, a good token, an expired one, one for another audience, a forged one.
fn shown(provider: &str, kind: usize) -> Option<String> {
    let token = Token::of(&format!("user-of-{provider}")).claim("iss", issuer(provider));
    match kind {
        0 => None,
        1 => Some(token.sign()),
        2 => Some(token.expires_in(-600).sign()),
        3 => Some(token.claim("aud", "billing").sign()),
        _ => {
            let (good, other) = (token.sign(), Token::of("mallory").sign());
            let (signed, _) = good.rsplit_once('.').unwrap();
            Some(format!("{signed}.{}", other.rsplit_once('.').unwrap().1))
        }
    }
}

fn compare(sluice: &Gateway, envoy: &Gateway, request: &Request, what: &str) {
    let (ours, native) = (sluice.send(request.clone()), envoy.send(request.clone()));
    let passes = |status: u16| match status {
        200 => true,
        401 | 403 => false,
        other => panic!("{what}: {other}"),
    };
    assert_eq!(passes(ours.status), passes(native.status), "{what}: {} and {}", ours.status, native.status);
    if ours.status != 200 {
        return;
    }
    for name in PROVIDERS {
        let claims = format!("x-claims-{name}");
        let arrived = |gateway: &Gateway| gateway.upstream().last().headers_named(&claims).join(";");
        let (ours, theirs) = (arrived(sluice), arrived(envoy));
        // Of alternatives, ours stops at the first that is accepted, and what a filter has not accepted it does not tell.
        assert!(
            ours == theirs || ours.is_empty(),
            "{what}: {claims} is {ours:?}, and {theirs:?} of jwt_authn"
        );
    }
}

#[test]
fn requirements_are_judged_as_by_jwt_authn() {
    for require in [
        json!({ "any": ["a"] }),
        json!({ "any": ["a", "b"] }),
        json!({ "all": ["a", "b"] }),
        json!({ "optional": ["a", "b"] }),
        json!({ "any": ["a", { "all": ["b", "c"] }] }),
        json!({ "all": ["a", { "any": ["b", "c"] }] }),
        json!({ "all": ["a", { "optional": ["b"] }] }),
        json!({ "all": [{ "any": ["a", "b"] }, "c"] }),
        json!({ "allowMissingOrFailed": ["a", "b"] }),
    ] {
        let (sluice, envoy) = (sluice(&require, &json!({})), envoy(&native(&require), &json!({})));
        for case in 0..125 {
            let kinds = [case % 5, case / 5 % 5, case / 25];
            let mut request = Request::get("/a");
            for (name, kind) in PROVIDERS.iter().zip(kinds) {
                if let Some(token) = shown(name, kind) {
                    request = request.header(&format!("x-token-{name}"), token);
                }
            }
            compare(&sluice, &envoy, &request, &format!("{require} {kinds:?}"));
        }
    }
}

#[test]
fn audiences_of_a_rule_subjects_and_lifetimes_are_judged_as_by_jwt_authn() {
    let narrow = json!({ "any": [{ "provider": "a", "audiences": ["reports"] }] });
    let any = json!({ "any": ["a"] });
    for (require, ours, theirs) in [
        (&narrow, json!({}), json!({})),
        (
            &any,
            json!({ "subjects": { "prefix": "spiffe://a/" } }),
            json!({ "subjects": { "prefix": "spiffe://a/" } }),
        ),
        (
            &any,
            json!({ "subjects": { "suffix": "@a.example" } }),
            json!({ "subjects": { "suffix": "@a.example" } }),
        ),
        (&any, json!({ "subjects": "alice" }), json!({ "subjects": { "exact": "alice" } })),
        (&any, json!({ "maxLifetime": "1h" }), json!({ "max_lifetime": "3600s" })),
    ] {
        let (sluice, envoy) = (sluice(require, &ours), envoy(&native(require), &theirs));
        for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
            let token = || Token::of("alice").claim("iss", issuer("a")).signed_with(algorithm);
            for (name, value) in [
                ("aud", json!("orders")),
                ("aud", json!("reports")),
                ("aud", json!(["orders", "reports"])),
                ("aud", json!([])),
                ("aud", Value::Null),
                ("sub", json!("spiffe://a/x")),
                ("sub", json!("spiffe://ab")),
                ("sub", json!("x@a.example")),
                ("sub", json!("x@A.example")),
                ("sub", json!("alice ")),
                ("exp", json!(tokens::now() + 1800)),
                ("exp", json!(tokens::now() + 7200)),
                ("exp", json!(tokens::now() + 100 * 365 * 86_400)),
                ("exp", Value::Null),
            ] {
                let token = token().claim(name, value.clone()).sign();
                let request = Request::get("/a").header("x-token-a", token);
                // Twice: what was refused must not be remembered as accepted, nor the other way round.
                for _ in 0..2 {
                    compare(&sluice, &envoy, &request, &format!("{require} {ours} {name}={value}"));
                }
            }
        }
    }
}

#[test]
fn a_bad_credential_that_may_pass_reaches_no_service() {
    let require = json!({ "allowMissingOrFailed": ["a", "b", "c"] });
    let gateway = sluice(&require, &json!({ "forward": { "headers": {} } }));
    let bad = shown("a", 4).unwrap();
    let request = Request::get("/a").header("x-token-a", bad).header("x-claims-a", "forged");
    assert_eq!(gateway.send(request).status, 200);
    let received = gateway.upstream().last();
    assert!(received.headers_named("x-token-a").is_empty());
    assert_eq!(gateway.details("/a"), "via_upstream");
    assert!(gateway.decision("/a").contains("authn.ok.failed"), "{}", gateway.decision("/a"));
}
