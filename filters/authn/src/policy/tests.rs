use crate::algorithm::Algorithm;
use crate::config::AuthnSection;
use crate::test_tokens::{ISSUER, NOW, jwk, provider, token};
use serde_json::{Value, json};
use sluice_core::decision::environment::UnixTime;
use sluice_core::simulation::{Played, SimulatedHost, SimulatedRequest, Stand};
use std::time::Duration;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Staff with tokens, partners with keys (`demo-key-acme`).
fn section(rules: Value) -> Value {
    json!({
        "providers": [
            provider(json!({ "forward": { "headers": { "x-user": "sub" } } })),
            { "name": "partners", "apiKey": {
                "keys": [{ "id": "acme", "sha256": "8649cdebee753898fd50e01408a9e438aa5090249bc3e51b65f33dce973b0873", "consumer": "acme" }],
                "forward": { "headers": { "x-consumer": "consumer" } }
            } }
        ],
        "rules": rules
    })
}

fn stand(section: Value) -> Stand {
    Stand::new::<AuthnSection>("authn", section).unwrap_or_else(|problems| panic!("{problems}"))
}

fn bearer(path: &str, token: &str) -> SimulatedRequest {
    SimulatedRequest::get(path).header("authorization", format!("Bearer {token}"))
}

fn good() -> String {
    token(Algorithm::Es256, json!({}))
}

fn expired() -> String {
    token(Algorithm::Es256, json!({ "exp": NOW - 600 }))
}

fn play(stand: &Stand, request: &SimulatedRequest) -> Played {
    stand.play(request, &SimulatedHost::default())
}

fn outcome(played: &Played) -> (Option<u16>, Vec<&str>) {
    (played.status(), played.decisions.iter().map(|reason| reason.strip_prefix("authn.").unwrap()).collect())
}

#[test]
fn the_first_rule_that_matches_decides() {
    let stand = stand(section(json!([
        { "name": "health", "match": { "paths": ["/healthz"] }, "require": "none" },
        { "name": "partners", "match": { "paths": ["/partner/**"] }, "require": { "any": ["partners"] } },
        { "name": "public", "match": { "methods": ["GET"], "paths": ["/catalog"] }, "require": { "optional": ["staff"] } },
        { "name": "staff", "match": { "paths": ["/orders/**"] }, "require": { "any": ["staff"] } }
    ])));
    let (good, expired) = (good(), expired());
    let with_key = |path: &str| SimulatedRequest::get(path).header("x-api-key", "demo-key-acme");
    for (request, status, decision) in [
        (SimulatedRequest::get("/healthz"), None, "ok.not_required"),
        (bearer("/healthz", "junk"), None, "ok.not_required"),
        (SimulatedRequest::get("/partner/x"), Some(401), "missing"),
        (with_key("/partner/x"), None, "ok.provider:partners"),
        (bearer("/partner/x", &good), Some(401), "missing"),
        (SimulatedRequest::get("/catalog"), None, "ok.anonymous"),
        (bearer("/catalog", &good), None, "ok.provider:staff"),
        (bearer("/catalog", &expired), Some(401), "token_expired"),
        (bearer("/catalog", "junk"), Some(401), "token_malformed"),
        (with_key("/catalog"), None, "ok.anonymous"),
        (bearer("/orders/1", &good), None, "ok.provider:staff"),
        (with_key("/orders/1"), Some(401), "missing"),
        (SimulatedRequest::new("POST", "/catalog"), Some(401), "no_rule"),
        (bearer("/elsewhere", &good), Some(401), "no_rule"),
    ] {
        let played = play(&stand, &request);
        assert_eq!(outcome(&played), (status, vec![decision]), "{request:?}");
        assert_eq!(played.identity.is_some(), decision.starts_with("ok.provider"));
    }
}

#[test]
fn without_rules_one_of_all_providers_is_required_of_every_request() {
    for rules in [json!([]), json!([{ "name": "all" }])] {
        let stand = stand(section(rules));
        assert_eq!(outcome(&play(&stand, &bearer("/", &good()))), (None, vec!["ok.provider:staff"]));
        let key = SimulatedRequest::get("/").header("x-api-key", "demo-key-acme");
        assert_eq!(outcome(&play(&stand, &key)), (None, vec!["ok.provider:partners"]));
        let nothing = play(&stand, &SimulatedRequest::get("/"));
        assert_eq!(outcome(&nothing), (Some(401), vec!["missing"]));
        let sluice_core::decision::verdict::Verdict::Respond(reply) = nothing.verdict else {
            panic!("an answer")
        };
        let challenges: Vec<_> = reply.headers.iter().map(|(_, value)| value.as_bytes().to_vec()).collect();
        assert_eq!(challenges, [b"Bearer realm=\"sluice\"".to_vec(), b"ApiKey realm=\"sluice\"".to_vec()]);
    }
}

#[test]
fn of_several_credentials_one_good_one_suffices_and_the_most_telling_refusal_is_reported() {
    let stand = stand(section(json!([])));
    for (token, key, status, decision) in [
        (good(), "wrong", None, "ok.provider:staff"),
        (expired(), "demo-key-acme", None, "ok.provider:partners"),
        (expired(), "wrong", Some(401), "token_expired"),
        ("junk".to_owned(), "wrong", Some(401), "api_key_unknown"),
    ] {
        let played = play(&stand, &bearer("/", &token).header("x-api-key", key));
        assert_eq!(outcome(&played), (status, vec![decision]), "{key}");
    }
    let played = play(&stand, &bearer("/", &expired()).header("x-api-key", "wrong"));
    let sluice_core::decision::verdict::Verdict::Respond(reply) = played.verdict else { panic!("an answer") };
    let text: Vec<_> = reply
        .headers
        .iter()
        .map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect();
    assert!(text[0].contains("error=\"invalid_token\"") && !text[1].contains("error"), "{text:?}");
}

#[test]
fn what_clients_send_as_identity_is_removed_whatever_the_rule_says() {
    let stand = stand(section(json!([
        { "name": "health", "match": { "paths": ["/healthz"] }, "require": "none" },
        { "name": "rest", "require": { "optional": ["staff", "partners"] } }
    ])));
    for request in [
        SimulatedRequest::get("/healthz"),
        SimulatedRequest::get("/x"),
        SimulatedRequest::get("/x").header("x-api-key", "demo-key-acme"),
    ] {
        let played = play(&stand, &request.header("x-user", "admin"));
        assert_eq!(played.request_header("x-user"), Some(None));
    }
    let untouched = play(&stand, &SimulatedRequest::get("/healthz").header("accept", "*/*"));
    assert!(untouched.mutations.request_headers().is_empty(), "nothing to remove, nothing to pay");
}

#[test]
fn a_credential_that_proved_nothing_does_not_go_on() {
    let stand = |rules: Value, forward: Value| {
        stand(json!({
            "providers": [
                provider(json!({ "forward": forward })),
                { "name": "partners", "apiKey": {
                    "keys": [{ "id": "acme", "sha256": "8649cdebee753898fd50e01408a9e438aa5090249bc3e51b65f33dce973b0873" }],
                    "forward": { "key": "keep" }
                } }
            ],
            "rules": rules
        }))
    };
    let one_of_all = json!([{ "name": "all" }]);
    let staff_optional = json!([
        { "name": "partners", "match": { "paths": "/partner" }, "require": { "any": "partners" } },
        { "name": "rest", "require": { "optional": "staff" } }
    ]);
    let none = json!([{ "name": "open", "match": { "paths": "/x" }, "require": "none" }, { "name": "rest" }]);
    let token = format!("Bearer {}", good());
    let forged = "Bearer a.b.c".to_owned();
    let gone = Some(None);
    let both = |token: &str, key: &str| {
        SimulatedRequest::get("/x").header("authorization", token).header("x-api-key", key)
    };
    for (rules, keeps_token, request, authorization, api_key) in [
        // The accepted one as the document says, every other one is removed.
        (&one_of_all, false, both(&token, "demo-key-acme"), gone.clone(), gone.clone()),
        (&one_of_all, true, both(&token, "wrong"), None, gone.clone()),
        (&one_of_all, true, both(&forged, "demo-key-acme"), gone.clone(), None),
        (&one_of_all, true, both("Basic YTpi,Bearer x", "demo-key-acme"), gone.clone(), None),
        // Other schemes are none of our business.
        (&one_of_all, true, both("Basic YTpi", "demo-key-acme"), None, None),
        // Nobody asks for keys here.
        (&staff_optional, true, SimulatedRequest::get("/x").header("x-api-key", "wrong"), None, gone.clone()),
        (&staff_optional, true, SimulatedRequest::get("/x").header("x-api-key", "demo-key-acme"), None, gone),
        // Authentication is the service's.
        (&none, false, both(&forged, "wrong"), None, None),
    ] {
        let forward = if keeps_token { json!({ "token": "keep" }) } else { json!({}) };
        let played = play(&stand(rules.clone(), forward), &request);
        assert_eq!(played.status(), None, "{request:?}");
        assert_eq!(played.request_header("authorization"), authorization, "{request:?}");
        assert_eq!(played.request_header("x-api-key"), api_key, "{request:?}");
    }
}

#[test]
fn empty_and_joined_credentials_are_bad_ones_and_not_none() {
    let stand = stand(section(json!([{ "name": "all", "require": { "optional": ["staff", "partners"] } }])));
    for (name, value, decision) in [
        ("x-api-key", "", "api_key_unknown"),
        ("authorization", "Bearer", "token_malformed"),
        ("authorization", "Basic YTpi,Bearer a.b.c", "credential_repeated"),
        ("authorization", "Basic YTpi, bearer\ta.b.c", "credential_repeated"),
        ("authorization", "Bearer:a.b.c", "token_malformed"),
    ] {
        let played = play(&stand, &SimulatedRequest::get("/").header(name, value));
        let status = if decision == "credential_repeated" { 400 } else { 401 };
        assert_eq!(outcome(&played), (Some(status), vec![decision]), "{value}");
    }
    let two = SimulatedRequest::get("/")
        .header("authorization", "Basic YTpi")
        .header("authorization", format!("Bearer {}", good()));
    assert_eq!(outcome(&play(&stand, &two)), (Some(400), vec!["credential_repeated"]));
}

#[test]
fn providers_of_one_place_are_told_apart_by_the_issuer() {
    let other = json!({ "name": "other", "jwt": {
        "issuer": "https://other.example", "audiences": "orders", "keys": { "inline": { "keys": [jwk("ed")] } }
    } });
    let section = json!({ "providers": [provider(json!({})), other] });
    let stand = stand(section);
    let of_other = |changes: Value| {
        let mut changes = changes;
        changes["iss"] = json!("https://other.example");
        changes
    };
    for (token, status, decision) in [
        (good(), None, "ok.provider:staff"),
        (token(Algorithm::EdDsa, of_other(json!({}))), None, "ok.provider:other"),
        // Genuine, but not a key of the issuer that it names.
        (token(Algorithm::Es256, of_other(json!({}))), Some(401), "algorithm_not_allowed"),
        (token(Algorithm::EdDsa, of_other(json!({ "exp": 1 }))), Some(401), "token_expired"),
        (token(Algorithm::EdDsa, json!({ "iss": "https://evil.example" })), Some(401), "issuer_mismatch"),
    ] {
        // Twice: from the cache it must be the same.
        for _ in 0..2 {
            assert_eq!(outcome(&play(&stand, &bearer("/", &token))), (status, vec![decision]));
        }
    }
}

#[test]
fn a_rule_accepts_only_its_own_providers_even_from_the_cache() {
    let same_issuer = json!({ "name": "strict", "jwt": {
        "issuer": ISSUER, "audiences": "billing", "keys": { "inline": { "keys": [jwk("p256")] } }
    } });
    let stand = stand(json!({
        "providers": [provider(json!({})), same_issuer],
        "rules": [
            { "name": "billing", "match": { "paths": ["/billing"] }, "require": { "any": ["strict"] } },
            { "name": "both", "match": { "paths": ["/both"] }, "require": { "any": ["strict", "staff"] } },
            { "name": "rest", "require": { "any": ["staff"] } }
        ]
    }));
    let good = good();
    for _ in 0..2 {
        assert_eq!(outcome(&play(&stand, &bearer("/", &good))), (None, vec!["ok.provider:staff"]));
        assert_eq!(
            outcome(&play(&stand, &bearer("/billing", &good))),
            (Some(401), vec!["audience_mismatch"])
        );
        assert_eq!(outcome(&play(&stand, &bearer("/both", &good))), (None, vec!["ok.provider:staff"]));
    }
}

#[test]
fn a_repeated_token_costs_no_verification_and_is_judged_anew_all_the_same() {
    let stand = stand(section(json!([])));
    let environment = SimulatedHost::default().with_host_crypto(true);
    let request = bearer("/", &good());
    for _ in 0..3 {
        let played = stand.play(&request, &environment);
        assert_eq!(outcome(&played), (None, vec!["ok.provider:staff"]));
        assert_eq!(played.request_header("x-user"), Some(Some("alice".to_owned())));
        assert_eq!(played.request_header("authorization"), Some(None));
    }
    assert_eq!(environment.host_crypto_calls(), 1);
    // Its end is `exp` and the clock skew.
    environment.advance(Duration::from_secs(659));
    assert_eq!(stand.play(&request, &environment).status(), None);
    environment.advance(Duration::from_secs(1));
    assert_eq!(outcome(&stand.play(&request, &environment)), (Some(401), vec!["token_expired"]));
}

#[test]
fn a_forged_token_is_refused_again_without_crypto_and_no_other_is() {
    let stand = stand(section(json!([])));
    let refusing = SimulatedHost::default().with_host_crypto(false);
    let request = bearer("/", &good());
    for _ in 0..3 {
        assert_eq!(outcome(&stand.play(&request, &refusing)), (Some(401), vec!["signature_invalid"]));
    }
    assert_eq!(refusing.host_crypto_calls(), 1);
    assert_eq!(play(&stand, &bearer("/", &token(Algorithm::Es256, json!({ "n": 1 })))).status(), None);
}

#[test]
fn the_cache_can_be_left_out() {
    let mut section = section(json!([]));
    section["cache"] = json!({ "size": 0 });
    let stand = stand(section);
    let environment = SimulatedHost::default().with_host_crypto(true);
    for _ in 0..2 {
        assert_eq!(stand.play(&bearer("/", &good()), &environment).status(), None);
    }
    assert_eq!(environment.host_crypto_calls(), 2);
}

#[test]
fn a_flood_of_bad_tokens_is_turned_away_and_known_tokens_are_served() {
    let mut section = section(json!([]));
    // Without the host's crypto ES256 takes 20 units: a source may have two of them a second, and two halves of ten.
    section["budget"] = json!("400/s");
    let stand = stand(section);
    let environment = SimulatedHost::default();
    let known = bearer("/", &good());
    assert_eq!(stand.play(&known, &environment).status(), None);
    let mut statuses = Vec::new();
    for number in 0..8 {
        let good = token(Algorithm::Es256, json!({ "n": number }));
        let forged = format!("{}A", &good[..good.len() - 1]);
        statuses.push(stand.play(&bearer("/", &forged), &environment).status());
    }
    let exhausted = stand.play(&bearer("/", &token(Algorithm::Es256, json!({ "n": 9 }))), &environment);
    assert_eq!(outcome(&exhausted), (Some(503), vec!["source_budget_exhausted"]));
    assert_eq!(exhausted.reply_header("retry-after").as_deref(), Some("1"));
    assert_eq!(exhausted.reply_header("www-authenticate"), None);
    assert_eq!(statuses.iter().filter(|status| **status == Some(401)).count(), 2, "{statuses:?}");
    assert_eq!(stand.play(&known, &environment).status(), None, "known tokens cost nothing");
    let key = SimulatedRequest::get("/").header("x-api-key", "demo-key-acme");
    assert_eq!(stand.play(&key, &environment).status(), None, "keys neither");
    // What fails before any crypto is still told apart.
    let junk = stand.play(&bearer("/", "junk"), &environment);
    assert_eq!(outcome(&junk), (Some(401), vec!["token_malformed"]));
    environment.advance(Duration::from_secs(1));
    let later = stand.play(&bearer("/", &token(Algorithm::Es256, json!({ "n": 9 }))), &environment);
    assert_eq!(later.status(), None);
}

#[test]
fn good_tokens_alone_may_spend_the_whole_budget_and_no_more() {
    let mut section = section(json!([]));
    section["budget"] = json!("400/s");
    let stand = stand(section);
    let environment = SimulatedHost::default();
    let mut played = (0..30).map(|number| {
        let token = token(Algorithm::Es256, json!({ "n": number }));
        stand.play(&bearer("/", &token), &environment)
    });
    assert_eq!(played.by_ref().take_while(|played| played.status().is_none()).count(), 20);
    assert_eq!(outcome(&played.next().unwrap()), (Some(503), vec!["verification_budget_exhausted"]));
}

#[test]
fn a_rule_in_shadow_counts_and_changes_nothing() {
    let stand = stand(section(json!([
        { "name": "stricter", "match": { "paths": ["/orders"] }, "require": { "any": ["partners"] }, "shadow": true },
        { "name": "rest", "require": { "any": ["staff"] } }
    ])));
    let good = good();
    assert_eq!(
        outcome(&play(&stand, &bearer("/orders", &good))),
        (None, vec!["missing", "ok.provider:staff"])
    );
    assert_eq!(
        outcome(&play(&stand, &SimulatedRequest::get("/orders"))),
        (Some(401), vec!["missing", "missing"])
    );
    let both = bearer("/orders", &good).header("x-api-key", "demo-key-acme");
    let played = play(&stand, &both);
    assert_eq!(outcome(&played), (None, vec!["ok.provider:staff"]));
    assert_eq!(played.request_header("x-consumer"), None, "shadow tells the service nothing");
}

#[test]
fn rules_in_shadow_alone_are_as_none() {
    let stand = stand(section(json!([{ "name": "all", "require": "none", "shadow": true }])));
    assert_eq!(outcome(&play(&stand, &SimulatedRequest::get("/"))), (Some(401), vec!["missing"]));
}

#[test]
fn a_section_in_shadow_refuses_nobody_and_believes_no_header() {
    let mut section = section(json!([{ "name": "api", "match": { "paths": ["/orders"] } }]));
    section["shadow"] = json!(true);
    let stand = stand(section);
    for (request, decision) in [
        (SimulatedRequest::get("/orders"), "missing"),
        (bearer("/orders", "junk"), "token_malformed"),
        (SimulatedRequest::get("/elsewhere"), "no_rule"),
        (bearer("/orders", &good()), "ok.provider:staff"),
    ] {
        let played = play(&stand, &request.header("x-user", "admin"));
        assert_eq!(outcome(&played), (None, vec![decision]));
        assert_ne!(played.request_header("x-user"), None);
        assert_eq!(played.identity.is_some(), decision.starts_with("ok"));
    }
}

#[test]
fn explain_tells_what_was_looked_at_and_never_a_credential() {
    let stand = stand(section(json!([])));
    let (good, forged) = (good(), token(Algorithm::Es256, json!({ "aud": "x" })));
    for (request, expected) in [
        (SimulatedRequest::get("/"), "`staff` finds no credential in the header `authorization` (Bearer)"),
        (bearer("/", &good), "`staff` accepts: the principal is \"alice\""),
        (bearer("/", &forged), "`staff` refuses: audience_mismatch"),
        (
            SimulatedRequest::get("/").header("x-api-key", "demo-key-acme"),
            "`partners` accepts: the principal is \"acme\"",
        ),
    ] {
        let notes = play(&stand, &request).notes.join("\n");
        assert!(notes.contains(expected), "{notes}");
        for secret in [good.as_str(), &good[good.len() - 40..], "demo-key-acme", "8649cdeb"] {
            assert!(!notes.contains(secret), "{notes}");
        }
    }
}

#[test]
fn an_identity_that_is_given_by_hand_is_taken_as_proven() {
    let stand = stand(section(json!([])));
    let given = sluice_core::caller::identity::Identity { principal: "bob".to_owned(), ..Default::default() };
    let played = play(&stand, &SimulatedRequest::get("/").identity(given));
    assert_eq!(played.status(), None);
    assert_eq!(played.identity.unwrap().principal, "bob");
}

#[test]
fn times_before_the_epoch_of_tokens_and_at_the_end_of_time_do_no_harm() {
    let stand = stand(section(json!([])));
    for (now, status) in [(0, Some(401)), (u64::MAX, Some(401))] {
        let environment = SimulatedHost::default().at(UnixTime::from_nanos(now));
        assert_eq!(stand.play(&bearer("/", &good()), &environment).status(), status, "{now}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..60),
            "(Bearer|ApiKey|Basic|,| |;|=|\\.|session|eyJ|e30|\\PC){0,12}".prop_map(String::into_bytes),
        ]
    }

    proptest! {
        #[test]
        fn no_bytes_anywhere_are_a_credential_or_make_it_panic(
            authorization in proptest::collection::vec(bytes(), 0..3),
            cookie in bytes(),
            key in bytes(),
            user in bytes(),
            query in "[a-z=&%0-9.+]{0,30}",
        ) {
            let stand = stand(json!({ "providers": [
                provider(json!({ "from": [
                    { "header": "authorization", "scheme": "Bearer" }, { "cookie": "session" }, { "query": "t" }
                ] })),
                { "name": "partners", "apiKey": {
                    "from": [{ "header": "x-api-key" }, { "header": "authorization", "scheme": "ApiKey" }],
                    "keys": [{ "id": "a", "sha256": "8649cdebee753898fd50e01408a9e438aa5090249bc3e51b65f33dce973b0873" }]
                } },
                { "name": "edge", "forwarded": { "peers": "spiffe://d/edge", "principal": "x-user" } }
            ] }));
            let mut request = SimulatedRequest::get(&format!("/?t={query}"))
                .header("cookie", &cookie)
                .header("x-api-key", &key)
                .header("x-user", &user);
            for value in &authorization {
                request = request.header("authorization", value);
            }
            let played = play(&stand, &request);
            prop_assert!(matches!(played.status(), Some(400 | 401)));
            prop_assert!(played.identity.is_none());
        }
    }
}
