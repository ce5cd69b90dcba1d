use crate::config::AuthnSection;
use serde_json::{Value, json};
use sluice_core::decision::environment::UnixTime;
use sluice_core::simulation::{Played, SimulatedHost, SimulatedRequest, Stand};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// SHA-256 of `demo-key-acme` and `demo-key-globex`.
const ACME: &str = "8649cdebee753898fd50e01408a9e438aa5090249bc3e51b65f33dce973b0873";
const GLOBEX: &str = "0aef9a797b1f4523f91fe6c361cd0df88248789ca6cb8cad188d5030ac2f717e";

fn stand(changes: Value) -> Stand {
    let mut keys = json!({
        "keys": [
            { "id": "acme-2026", "sha256": ACME, "consumer": "acme", "attributes": { "plan": "gold" },
              "roles": ["partner", "beta"], "scopes": ["read"], "notBefore": "2026-01-01T00:00:00Z", "expires": "2027-01-01T00:00:00Z" },
            { "id": "globex-2026", "sha256": GLOBEX.to_uppercase() }
        ],
        "forward": { "headers": { "x-consumer": "consumer", "x-plan": "attributes.plan", "x-roles": "roles", "x-key-id": "id" } }
    });
    keys.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    Stand::new::<AuthnSection>("authn", json!({ "providers": [{ "name": "partners", "apiKey": keys }] }))
        .unwrap()
}

fn at(time: &str) -> SimulatedHost {
    SimulatedHost::default().at(crate::scalar::Timestamp::new(time).unwrap().get())
}

fn play(request: &SimulatedRequest) -> Played {
    stand(json!({})).play(request, &at("2026-06-01T00:00:00Z"))
}

fn with_key(key: &str) -> SimulatedRequest {
    SimulatedRequest::get("/partner/orders").header("x-api-key", key)
}

#[test]
fn a_listed_key_is_known_by_its_hash() {
    let played = play(&with_key("demo-key-acme").header("x-plan", "platinum"));
    assert_eq!(played.decisions, ["authn.ok.provider:partners"]);
    let identity = played.identity.clone().unwrap();
    assert_eq!((identity.principal.as_str(), identity.consumer.as_deref()), ("acme-2026", Some("acme")));
    assert_eq!(identity.roles, ["partner", "beta"]);
    assert_eq!(identity.scopes, ["read"]);
    assert_eq!(identity.attributes["plan"], "gold");
    assert_eq!(played.request_header("x-consumer"), Some(Some("acme".to_owned())));
    assert_eq!(played.request_header("x-plan"), Some(Some("gold".to_owned())));
    assert_eq!(played.request_header("x-roles"), Some(Some("partner,beta".to_owned())));
    assert_eq!(played.request_header("x-api-key"), Some(None), "the key stays here");
}

#[test]
fn what_a_key_does_not_have_is_not_forwarded_and_not_taken_from_the_client() {
    let played = play(&with_key("demo-key-globex").header("x-plan", "platinum").header("x-consumer", "acme"));
    assert_eq!(played.request_header("x-key-id"), Some(Some("globex-2026".to_owned())));
    assert_eq!(played.request_header("x-plan"), Some(None));
    assert_eq!(played.request_header("x-consumer"), Some(None));
    assert_eq!(played.identity.unwrap().consumer, None);
}

#[test]
fn a_key_that_is_no_good_is_refused_with_a_reason_of_its_own() {
    let long = "x".repeat(5000);
    for (request, status, reason) in [
        (with_key("demo-key-acm"), 401, "api_key_unknown"),
        (with_key(ACME), 401, "api_key_unknown"),
        (with_key(""), 401, "api_key_unknown"),
        (with_key(&long), 401, "api_key_unknown"),
        (with_key("demo-key-acme").header("x-api-key", "demo-key-acme"), 400, "credential_repeated"),
        (SimulatedRequest::get("/"), 401, "missing"),
    ] {
        let played = play(&request);
        assert_eq!(played.status(), Some(status), "{reason}");
        assert_eq!(played.decisions, [format!("authn.{reason}")]);
        let challenge = played.reply_header("www-authenticate").unwrap();
        assert!(challenge.starts_with("ApiKey realm=\"sluice\""), "{challenge}");
        assert_eq!(challenge.contains("error="), reason != "missing", "{challenge}");
    }
}

#[test]
fn a_key_has_a_beginning_and_an_end() {
    for (time, decision) in [
        ("2025-12-31T23:59:59Z", "authn.api_key_not_yet_valid"),
        ("2026-01-01T00:00:00Z", "authn.ok.provider:partners"),
        ("2026-12-31T23:59:59.999Z", "authn.ok.provider:partners"),
        ("2027-01-01T00:00:00Z", "authn.api_key_expired"),
    ] {
        assert_eq!(
            stand(json!({})).play(&with_key("demo-key-acme"), &at(time)).decisions,
            [decision],
            "{time}"
        );
    }
    let far = SimulatedHost::default().at(UnixTime::from_seconds(10_000_000_000));
    assert_eq!(stand(json!({})).play(&with_key("demo-key-globex"), &far).status(), None, "without an end");
}

#[test]
fn a_key_may_come_behind_a_scheme_or_in_the_query() {
    let environment = at("2026-06-01T00:00:00Z");
    let by_scheme = stand(json!({ "from": { "header": "authorization", "scheme": "ApiKey" } }));
    let request = SimulatedRequest::get("/").header("authorization", "apikey demo-key-acme");
    let played = by_scheme.play(&request, &environment);
    assert_eq!((played.status(), played.request_header("authorization")), (None, Some(None)));
    let forward = json!({ "key": "keep" });
    let by_query = stand(json!({ "from": { "query": "key" }, "forward": forward }));
    assert_eq!(by_query.play(&SimulatedRequest::get("/?key=demo-key-acme"), &environment).status(), None);
}

#[cfg(not(target_arch = "wasm32"))]
proptest::proptest! {
    #[test]
    fn no_other_bytes_are_a_key(key in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100)) {
        let request = SimulatedRequest::get("/").header("x-api-key", &key);
        proptest::prop_assert_eq!(play(&request).status(), Some(401));
    }
}
