use crate::config::AuthnSection;
use crate::test_tokens::{ISSUER, jwk, provider};
use serde_json::{Value, json};
use sluice_core::decision::compile::{Compiler, PolicySection};
use sluice_core::document::problem::FieldPath;
use sluice_core::simulation::Stand;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const DIGEST: &str = "8649cdebee753898fd50e01408a9e438aa5090249bc3e51b65f33dce973b0873";

fn problems(section: Value) -> String {
    Stand::new::<AuthnSection>("authn", section)
        .err()
        .map(|problems| problems.to_string())
        .unwrap_or_default()
}

fn with_rules(rules: Value) -> Value {
    json!({ "providers": [provider(json!({}))], "rules": rules })
}

fn with_jwt(changes: Value) -> Value {
    json!({ "providers": [provider(changes)] })
}

/// Keys that are fetched, with changes: `null` takes a field out.
fn remote(changes: Value) -> Value {
    let mut fetch = json!({ "cluster": "id", "path": "/keys" });
    let fields = fetch.as_object_mut().unwrap();
    fields.extend(changes.as_object().unwrap().clone());
    fields.retain(|_, value| !value.is_null());
    with_jwt(json!({ "keys": { "remote": fetch } }))
}

fn keys(name: &str, changes: Value) -> Value {
    let mut keys = json!({ "keys": [{ "id": "a", "sha256": DIGEST, "attributes": { "plan": "gold" } }] });
    keys.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    json!({ "name": name, "apiKey": keys })
}

fn with_key(changes: Value) -> Value {
    let mut key = json!({ "id": "a", "sha256": DIGEST });
    key.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    json!({ "providers": [{ "name": "a", "apiKey": { "keys": [key] } }] })
}

fn forwarded(changes: Value) -> Value {
    let mut forwarded = json!({ "peers": "spiffe://example.com/ns/shop/sa/edge", "principal": "x-user" });
    forwarded.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    json!({ "providers": [{ "name": "edge", "forwarded": forwarded }] })
}

#[test]
fn every_mistake_is_named_with_its_field() {
    let two = |left: Value, right: Value| json!({ "providers": [left, right] });
    for (section, expected) in [
        // Providers.
        (json!({}), "authn.providers: no provider"),
        (json!({ "providers": [{ "name": "a" }] }), "authn.providers[0]: exactly one of"),
        (
            json!({ "providers": [{ "name": "a", "jwt": provider(json!({}))["jwt"], "apiKey": keys("k", json!({}))["apiKey"] }] }),
            "authn.providers[0]: exactly one of",
        ),
        (two(provider(json!({})), provider(json!({}))), "authn.providers[1].name: the name `staff` is taken"),
        (json!({ "provider": [] }), "did you mean `providers`?"),
        (json!({ "providers": [{ "name": "a", "jwd": {} }] }), "did you mean `jwt`?"),
        (json!({ "providers": [provider(json!({}))], "realm": "a\"b" }), "authn.realm:"),
        (json!({ "providers": [provider(json!({}))], "cache": { "size": 2_000_000 } }), "authn.cache.size:"),
        (json!({ "providers": [provider(json!({}))], "budget": "0/s" }), "authn.budget:"),
        // What proves nothing.
        (with_jwt(json!({ "audiences": [""] })), "authn.providers[0].jwt.audiences[0]: empty"),
        (with_jwt(json!({ "audiences": ["orders", " "] })), "authn.providers[0].jwt.audiences[1]: empty"),
        (with_jwt(json!({ "issuer": " " })), "authn.providers[0].jwt.issuer: empty"),
        (with_jwt(json!({ "types": [""] })), "authn.providers[0].jwt.types[0]: empty"),
        (with_key(json!({ "consumer": "" })), "authn.providers[0].apiKey.keys[0].consumer: empty"),
        (with_key(json!({ "roles": ["a", ""] })), "authn.providers[0].apiKey.keys[0].roles[1]: empty"),
        (with_key(json!({ "scopes": [""] })), "authn.providers[0].apiKey.keys[0].scopes[0]: empty"),
        (
            with_key(json!({ "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" })),
            "authn.providers[0].apiKey.keys[0].sha256: the SHA-256 of nothing",
        ),
        (
            with_key(json!({ "sha256": "01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b" })),
            "authn.providers[0].apiKey.keys[0].sha256: the SHA-256 of a line feed",
        ),
        (
            with_key(json!({ "sha256": "7eb70257593da06f682a3ddda54a9d260d4fc514f645237f5ca74b08f8da61a6" })),
            "authn.providers[0].apiKey.keys[0].sha256: the SHA-256 of a line break",
        ),
        // Rules.
        (
            with_rules(json!([{ "name": "a", "require": { "any": ["stuff"] } }])),
            "authn.rules[0].require.any[0]: `stuff` is not a provider of this document; there are `staff`; did you mean `staff`?",
        ),
        (
            with_rules(json!([{ "name": "a", "require": { "optional": ["staff", "staff"] } }])),
            "optional[1]: `staff` stands twice",
        ),
        (with_rules(json!([{ "name": "a", "require": "nobody" }])), "authn.rules[0].require"),
        (with_rules(json!([{ "name": "a", "require": { "any": [] } }])), "write at least one value"),
        (
            with_rules(json!([{ "name": "a" }, { "name": "b", "match": { "paths": "/b" } }])),
            "authn.rules[1]: `b` is never asked",
        ),
        (
            with_rules(
                json!([{ "name": "a", "match": { "paths": "/a" } }, { "name": "b", "match": { "paths": "/a" } }]),
            ),
            "authn.rules[1]: `b` is never asked",
        ),
        (
            with_rules(json!([{ "name": "a", "match": { "paths": "/a" } }, { "name": "a" }])),
            "authn.rules[1].name: the name `a` is taken",
        ),
        (with_rules(json!([{ "name": "a", "require": "none" }])), "no rule accepts the provider `staff`"),
        // Tokens.
        (with_jwt(json!({ "issuer": "" })), "authn.providers[0].jwt.issuer: empty"),
        (with_jwt(json!({ "audiences": null })), "authn.providers[0].jwt: no `audiences`"),
        (with_jwt(json!({ "anyAudience": true })), "jwt.anyAudience: contradicts"),
        (with_jwt(json!({ "audiences": [] })), "jwt.audiences"),
        (with_jwt(json!({ "algorithms": ["none"] })), "`none` is not an algorithm"),
        (with_jwt(json!({ "algorithms": ["rs256"] })), "did you mean `RS256`?"),
        (with_jwt(json!({ "algorithms": ["RS256", "ES384"] })), "jwt.algorithms[1]: no key verifies `ES384`"),
        (with_jwt(json!({ "maxSize": "1MiB" })), "jwt.maxSize:"),
        (with_jwt(json!({ "maxSize": "0B" })), "jwt.maxSize:"),
        (with_jwt(json!({ "clockSkew": "60" })), "jwt.clockSkew"),
        (with_jwt(json!({ "clockSkew": "61m" })), "jwt.clockSkew: longer than `1h`"),
        (with_jwt(json!({ "principal": "a..b" })), "jwt.principal"),
        (with_jwt(json!({ "keys": { "discovery": {} } })), "jwt.keys"),
        (remote(json!({ "cluster": "" })), "jwt.keys.remote.cluster: empty"),
        (remote(json!({ "path": null })), "jwt.keys.remote.path: missing: the path of the key set"),
        (remote(json!({ "path": "keys" })), "jwt.keys.remote.path: \"keys\" is not a path"),
        (remote(json!({ "path": "/a b" })), "jwt.keys.remote.path: \"/a b\" is not a path"),
        (remote(json!({ "authority": "a/b" })), "jwt.keys.remote.authority: not a host"),
        (remote(json!({ "keys": {} })), "jwt.keys.remote.keys: only for `discovery`"),
        (remote(json!({ "refresh": "1ms" })), "jwt.keys.remote.refresh: from 1s to 7d"),
        (
            remote(json!({ "refresh": "10s", "shortestRefresh": "20s" })),
            "shortestRefresh: from 1s to `refresh`",
        ),
        (remote(json!({ "refresh": "10s", "longestRefresh": "5s" })), "longestRefresh: from `refresh` to 7d"),
        (remote(json!({ "earlyRefresh": "1ms" })), "earlyRefresh: from 1s to 1h"),
        (remote(json!({ "stale": "31d" })), "stale: from 1ms to 30d"),
        (remote(json!({ "timeout": "2m" })), "timeout: from 1ms to 1m"),
        (remote(json!({ "within": "2m" })), "within: from 1ms to 1m"),
        (remote(json!({ "maxSize": "2MiB" })), "maxSize: from 1B to 1MiB"),
        (remote(json!({ "unknown": 1 })), "jwt.keys.remote: unknown field"),
        (
            with_jwt(
                json!({ "keys": { "remote": { "cluster": "id", "path": "/" } }, "algorithms": ["ES256", "HS256"] }),
            ),
            "jwt.algorithms[1]: `HS256` is verified with a shared secret, which can't be fetched",
        ),
        (
            with_jwt(json!({ "issuer": "me", "keys": { "discovery": { "cluster": "id" } } })),
            "jwt.keys.discovery: the metadata of an issuer is at its URL, and \"me\" is none",
        ),
        (
            with_jwt(json!({ "keys": { "discovery": { "cluster": "id", "keys": { "cluster": "" } } } })),
            "jwt.keys.discovery.keys.cluster: empty",
        ),
        (with_jwt(json!({ "keys": { "inline": { "keys": [] } } })), "keys.inline.keys: no key verifies"),
        (
            with_jwt(json!({ "keys": { "inline": { "keys": [jwk("p384")] } } })),
            "authn.providers[0].jwt.keys.inline.keys[0].alg: it verifies `ES384`, and `RS256`, `ES256`, `EdDSA` and `HS256` are accepted: slow",
        ),
        (
            with_jwt(
                json!({ "keys": { "inline": { "keys": [{ "kty": "RSA", "n": "AQAB", "e": "AQAB" }, { "kty": "AKP" }] } } }),
            ),
            "authn.providers[0].jwt.keys.inline.keys[0].n: an RSA key of 17 bits; from 2048 to 4096 are supported\nauthn.providers[0].jwt.keys.inline.keys[1].kty: `AKP` is not supported",
        ),
        (
            with_jwt(json!({ "keys": { "inline": { "keys": [jwk("rsa"), { "kty": "RSA", "n": "%" }] } } })),
            "authn.providers[0].jwt.keys.inline.keys[1].n: not Base64url",
        ),
        (
            with_jwt(
                json!({ "keys": { "inline": { "keys": [{ "kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "x" }] } } }),
            ),
            "keys.inline.keys[0].d: part of a private key",
        ),
        (
            with_jwt(json!({ "keys": { "inline": { "keys": [jwk("rsa"), jwk("rsa")] } } })),
            "keys.inline.keys[1].kid: an earlier key has this `kid`",
        ),
        (
            with_jwt(json!({ "from": [{ "header": "authorization" }] })),
            "jwt.from[0]: `authorization` holds a scheme",
        ),
        (
            with_jwt(json!({ "from": [{ "cookie": "a" }, { "cookie": "a" }] })),
            "jwt.from[1]: the cookie `a` stands here and at 0",
        ),
        (
            with_jwt(json!({ "from": { "query": "token" }, "forward": { "token": "remove" } })),
            "jwt.forward.token: what is read from the query",
        ),
        (
            with_jwt(json!({ "forward": { "headers": { "host": "sub" } } })),
            "jwt.forward.headers.host: `host` has a meaning",
        ),
        (with_jwt(json!({ "forward": { "headers": { "x user": "sub" } } })), "not a header name"),
        (
            with_jwt(json!({ "forward": { "headers": { "authorization": "sub" } } })),
            "is where a credential is read",
        ),
        (with_jwt(json!({ "forward": { "headers": { "x-user": "" } } })), "is not a claim"),
        // Keys.
        (
            json!({ "providers": [keys("k", json!({ "keys": [] }))] }),
            "authn.providers[0].apiKey.keys: no key",
        ),
        (
            json!({ "providers": [keys("k", json!({ "keys": [{ "id": "a", "sha256": "secret" }] }))] }),
            "authn.providers[0].apiKey.keys[0].sha256: not a SHA-256 digest but text of 6 characters",
        ),
        (
            json!({ "providers": [keys("k", json!({ "keys": [{ "id": "a", "sha256": DIGEST }, { "id": "b", "sha256": DIGEST.to_uppercase() }] }))] }),
            "apiKey.keys[1].sha256: the same key stands at 0",
        ),
        (
            json!({ "providers": [keys("k", json!({ "keys": [{ "id": "a", "sha256": DIGEST }, { "id": "a", "sha256": DIGEST.replace('8', "9") }] }))] }),
            "apiKey.keys[1].id: `a` is also the id",
        ),
        (
            json!({ "providers": [keys("k", json!({ "keys": [{ "id": "a", "sha256": DIGEST, "expires": "tomorrow" }] }))] }),
            "apiKey.keys[0].expires",
        ),
        (
            json!({ "providers": [keys("k", json!({ "keys": [{ "id": "a", "sha256": DIGEST, "notBefore": "2027-01-01T00:00:00Z", "expires": "2026-01-01T00:00:00Z" }] }))] }),
            "apiKey.keys[0].expires: not after `notBefore`",
        ),
        (
            json!({ "providers": [keys("k", json!({ "keys": [{ "id": "a", "sha256": DIGEST, "consumer": "a\nb" }], "forward": { "headers": { "x-consumer": "consumer" } } }))] }),
            "apiKey.keys[0]: its consumer is to stand in `x-consumer`, but",
        ),
        (
            json!({ "providers": [keys("k", json!({ "forward": { "headers": { "x-plan": "attributes.plam" } } }))] }),
            "apiKey.forward.headers.x-plan: `plam` is not an attribute of any key of this document; there are `plan`; did you mean `plan`?",
        ),
        (
            json!({ "providers": [keys("k", json!({ "from": { "header": "x-k" }, "forward": { "headers": { "x-k": "id" } } }))] }),
            "apiKey.forward.headers.x-k: `x-k` is where a credential is read",
        ),
        (
            json!({ "providers": [keys("k", json!({ "keys": [{ "id": "a", "sha256": DIGEST, "roles": ["reader,admin"] }], "forward": { "headers": { "x-roles": "roles" } } }))] }),
            "apiKey.keys[0]: its roles is to stand in `x-roles`, but an item holds a comma",
        ),
        (
            json!({ "providers": [keys("k", json!({ "keys": [{ "id": "a", "sha256": DIGEST, "roles": ["x", " admin"] }], "forward": { "headers": { "x-roles": "roles" } } }))] }),
            "but an item begins or ends with a blank",
        ),
        (
            json!({ "providers": [keys("k", json!({ "keys": [{ "id": "a", "sha256": DIGEST, "roles": [""] }], "forward": { "headers": { "x-roles": "roles" } } }))] }),
            "but an item is empty",
        ),
        (
            json!({ "providers": [keys("k", json!({ "keys": [{ "id": "a", "sha256": DIGEST, "scopes": ["a admin"] }], "forward": { "headers": { "x-scopes": "scopes" } } }))] }),
            "its scopes is to stand in `x-scopes`, but an item holds a blank",
        ),
        (
            json!({ "providers": [keys("k", json!({ "keys": [{ "id": "a", "sha256": DIGEST, "consumer": " acme" }], "forward": { "headers": { "x-consumer": "consumer" } } }))] }),
            "its consumer is to stand in `x-consumer`, but",
        ),
        (
            json!({ "providers": [keys("k", json!({ "forward": { "headers": { "x-user": "id" }, "provider": "x-user" } }))] }),
            "apiKey.forward.provider: the header `x-user` is to say two things",
        ),
        (
            with_jwt(json!({ "forward": { "provider": "host" } })),
            "jwt.forward.provider: `host` has a meaning of its own",
        ),
        (
            with_jwt(json!({ "forward": { "provider": "authorization" } })),
            "jwt.forward.provider: `authorization` is where a credential is read",
        ),
        (
            with_jwt(json!({ "roles": "scope", "forward": { "headers": { "x-roles": "scope" } } })),
            "jwt.forward.headers.x-roles: `scope` is the claim of two",
        ),
        (with_jwt(json!({ "rolesSeparator": "" })), "jwt.rolesSeparator: empty"),
        // Forwarded.
        (forwarded(json!({ "peers": "orders" })), "authn.providers[0].forwarded.peers"),
        (
            forwarded(json!({ "roles": "x-user" })),
            "authn.providers[0].forwarded: the header `x-user` is to say two things",
        ),
        (forwarded(json!({ "principal": "authorization" })), "is where a credential is read"),
        (forwarded(json!({ "principal": "x-envoy-user" })), "steers Envoy itself"),
    ] {
        let found = problems(section.clone());
        assert!(found.contains(expected), "{section}\n gave: {found}");
    }
}

/// The warnings of a section that is served.
fn warnings(section: Value) -> Vec<String> {
    let section: AuthnSection = serde_json::from_value(section).unwrap();
    let mut compiler = Compiler::default();
    section.compile(&FieldPath::root().field("authn"), &mut compiler);
    assert!(compiler.problems.is_empty(), "{}", compiler.problems);
    compiler.problems.take_warnings().iter().map(ToString::to_string).collect()
}

#[test]
fn keys_of_a_set_that_cannot_be_used_are_left_out_with_a_warning() {
    let with =
        |key: Value| warnings(with_jwt(json!({ "keys": { "inline": { "keys": [key, jwk("rsa")] } } })));
    assert_eq!(with(jwk("p256")), [""; 0]);
    for (key, expected) in [
        (json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AA" }), "kty: the key is left out: `AKP` is not"),
        (json!({ "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA" }), "crv: the key is left out: `P-521`"),
        (json!({ "kty": "RSA", "use": "enc", "n": "AA", "e": "AQAB" }), "use: the key is left out: `enc`"),
        (json!({ "kty": "RSA", "key_ops": ["wrapKey"], "n": "AA", "e": "AQAB" }), "key_ops: the key is left"),
        (json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" }), "n: the key is left out: an RSA key of 17 bits"),
        (jwk("p384"), "alg: the key is left out: it verifies `ES384`"),
    ] {
        let found = with(key.clone());
        let expected = format!("authn.providers[0].jwt.keys.inline.keys[0].{expected}");
        assert!(found.len() == 1 && found[0].starts_with(&expected), "{key}\n gave: {found:?}");
    }
}

#[test]
fn many_keys_that_are_tried_for_one_token_are_a_warning() {
    let set = |count: u8| {
        let key = |number| {
            let mut key = jwk("rsa");
            key["kid"] = format!("k{number}").into();
            key
        };
        let keys: Vec<Value> = (0..count).map(key).collect();
        warnings(with_jwt(
            json!({ "keys": { "inline": { "keys": keys } }, "algorithms": ["RS256", "PS256"] }),
        ))
    };
    assert_eq!(set(4), [""; 0]);
    assert_eq!(
        set(5),
        [
            "authn.providers[0].jwt.keys.inline.keys: a token without `kid` is tried with up to 5 of these keys, which takes up to 110 units of `authn.budget`; let the issuer write the `kid`"
        ]
    );
}

#[test]
fn principals_of_two_providers_in_one_header_are_warned_about() {
    let warnings = |jwt: serde_json::Value, key: serde_json::Value| {
        let section = json!({ "providers": [
            provider(json!({ "forward": jwt })), keys("partners", json!({ "forward": key }))
        ] });
        let section: AuthnSection = serde_json::from_value(section).unwrap();
        let mut compiler = Compiler::default();
        section.compile(&FieldPath::root().field("authn"), &mut compiler);
        assert!(compiler.problems.is_empty(), "{}", compiler.problems);
        compiler.problems.warnings().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let user = |fact: &str| json!({ "headers": { "x-user": fact } });
    let told = |fact: &str| json!({ "headers": { "x-user": fact }, "provider": "x-user-provider" });
    for (jwt, key) in [(user("sub"), user("id")), (told("sub"), user("id")), (user("sub"), told("id"))] {
        let found = warnings(jwt, key);
        assert!(
            found.iter().any(
                |warning| warning.contains("`staff` and `partners` forward their principals in `x-user`")
            ),
            "{found:?}"
        );
    }
    assert!(warnings(told("sub"), told("id")).is_empty());
    assert!(warnings(user("sub"), user("consumer")).is_empty());
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let section = json!({
        "providers": [provider(json!({ "audiences": null, "issuer": "" })), { "name": "x" }],
        "rules": [{ "name": "a", "require": { "any": ["y"] } }],
        "realm": ""
    });
    assert_eq!(problems(section).lines().count(), 5);
}

#[test]
fn explicit_algorithms_leave_other_keys_out_without_a_word() {
    let keys = json!({ "inline": { "keys": [jwk("rsa"), jwk("p384")] } });
    assert_eq!(problems(with_jwt(json!({ "keys": keys, "algorithms": "ES384" }))), "");
}

#[test]
fn no_message_shows_a_secret() {
    let secret = jwk("secret")["k"].as_str().unwrap().to_owned();
    let section = with_jwt(
        json!({ "keys": { "inline": { "keys": [jwk("secret"), jwk("secret")] } }, "audiences": null }),
    );
    let found = problems(section.clone());
    assert!(!found.is_empty() && !found.contains(&secret));
    let section: AuthnSection = serde_json::from_value(section).unwrap();
    assert!(!format!("{section:?}").contains(&secret));
}

#[test]
fn other_sections_learn_the_providers_and_how_to_ask_for_a_credential() {
    let section = json!({ "providers": [keys("partners", json!({})), provider(json!({}))] });
    let section: AuthnSection = serde_json::from_value(section).unwrap();
    let offers = section.offers();
    let names: Vec<&str> = offers.iter().map(|offer| offer.provider.as_str()).collect();
    assert_eq!(names, ["partners", "staff"]);
    assert_eq!((offers[0].claims, offers[1].claims), (false, true));
    let mut compiler = Compiler::default();
    section.declare(&FieldPath::root(), &mut compiler);
    let challenges: Vec<_> = compiler.challenges.iter().map(|value| value.as_bytes().to_vec()).collect();
    assert_eq!(challenges, [b"Bearer realm=\"sluice\"".to_vec(), b"ApiKey realm=\"sluice\"".to_vec()]);
    let edge: AuthnSection = serde_json::from_value(forwarded(json!({}))).unwrap();
    let mut compiler = Compiler::default();
    edge.declare(&FieldPath::root(), &mut compiler);
    assert!(compiler.challenges.is_empty(), "no client can forward an identity");
    assert_eq!(ISSUER, "https://id.example.com");
}

#[test]
fn reasons_in_shadow_are_registered_only_where_something_is_in_shadow() {
    for (section, expected) in [
        (with_jwt(json!({})), false),
        (with_rules(json!([{ "name": "a", "shadow": true }])), true),
        (json!({ "providers": [provider(json!({}))], "shadow": true }), true),
    ] {
        let section: AuthnSection = serde_json::from_value(section).unwrap();
        let mut compiler = Compiler::default();
        section.compile(&FieldPath::root(), &mut compiler);
        let shadow = compiler
            .reasons
            .iter()
            .any(|reason| reason.outcome == sluice_core::decision::reason::Outcome::Shadow);
        assert_eq!(shadow, expected);
    }
}

#[test]
fn what_may_not_be_meant_is_a_warning() {
    let expired =
        |expires: &str| json!({ "id": "b", "sha256": DIGEST.replace('8', "9"), "expires": expires });
    let key = || json!({ "id": "a", "sha256": DIGEST });
    let with = |list: Value| json!({ "providers": [keys("k", json!({ "keys": list }))] });
    let open = |path: &str| {
        with_rules(json!([
            { "name": "closed", "match": { "paths": path } },
            { "name": "open", "match": { "paths": "/**" }, "require": "none" },
        ]))
    };
    for (section, expected) in [
        (
            with(json!([key(), expired("2020-01-01T00:00:00Z")])),
            "authn.providers[0].apiKey.keys[1].expires: the key `b` has expired",
        ),
        (
            with(json!([expired("2020-01-01T00:00:00Z")])),
            "authn.providers[0].apiKey.keys: all keys have expired",
        ),
        (with(json!([expired("2040-01-01T00:00:00Z")])), ""),
        (open("/admin/**"), "authn.rules[0].match.paths: `/admin/**` does not include `/admin`"),
        (open("/admin"), "authn.rules[0].match.paths: `/admin` does not include `/admin/`"),
        (
            with_rules(json!([{ "name": "closed", "match": { "paths": "/admin/**" } }, { "name": "rest" }])),
            "",
        ),
    ] {
        let now = sluice_core::decision::environment::UnixTime::from_nanos(1_800_000_000_000_000_000);
        let compiler = Compiler { now: Some(now), ..Compiler::default() };
        let (_, problems) =
            Stand::despite_problems::<AuthnSection>("authn", section.clone(), compiler).unwrap();
        assert_eq!(problems.to_string(), "", "{section}");
        let found: Vec<String> = problems.warnings().iter().map(ToString::to_string).collect();
        assert!(
            found.join("\n").contains(expected) && found.is_empty() == expected.is_empty(),
            "{section}: {found:?}"
        );
    }
}
