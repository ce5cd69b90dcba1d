use crate::config::AuthnSection;
use crate::test_tokens::{claims, encode, jwk, provider};
use serde_json::{Value, json};
use sluice_core::decision::environment::{
    Environment, HostCryptoUnavailable, SharedError, SignatureCheck, UnixTime,
};
use sluice_core::simulation::{Played, SimulatedHost, SimulatedRequest, Stand};
use std::cell::Cell;
use std::net::IpAddr;
use std::time::Duration;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// A host that takes a signature for genuine if its first byte is the key's last but one: so it costs no crypto to make thousands.
struct Host {
    fake: SimulatedHost,
    client: Cell<Option<IpAddr>>,
    verified: Cell<u32>,
}

impl Host {
    fn new() -> Self {
        Self { fake: SimulatedHost::default(), client: Cell::new(None), verified: Cell::new(0) }
    }

    fn from(&self, address: &str) -> &Self {
        self.client.set(address.parse().ok());
        self
    }

    /// How many signatures were verified since it was last asked.
    fn verified(&self) -> u32 {
        self.verified.take()
    }
}

impl Environment for Host {
    fn now(&self) -> UnixTime {
        self.fake.now()
    }
    fn random(&self) -> u64 {
        self.fake.random()
    }
    fn peer_address(&self) -> Option<IpAddr> {
        self.client.get()
    }
    fn peer_identity(&self) -> Option<String> {
        None
    }
    fn shared_get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.fake.shared_get(key)
    }
    fn shared_set(&self, key: &str, value: &[u8], version: u32) -> Result<(), SharedError> {
        self.fake.shared_set(key, value, version)
    }
    fn verify_signature(&self, check: &SignatureCheck<'_>) -> Result<bool, HostCryptoUnavailable> {
        self.verified.set(self.verified.get() + 1);
        // The SPKI of an RSA key ends with its modulus and `02 03 01 00 01`.
        Ok(check.signature[0] == check.public_key[check.public_key.len() - 6])
    }
}

/// The RSA key `number`: its modulus ends with that (odd) byte.
fn rsa(number: u8, kid: Option<&str>) -> Value {
    let mut modulus = vec![0xc5; 256];
    modulus[255] = number;
    let mut key = json!({ "kty": "RSA", "n": encode(modulus), "e": "AQAB" });
    if let Some(kid) = kid {
        key["kid"] = kid.into();
    }
    key
}

/// An RS256 token that the key `number` signed; `id` tells tokens apart.
fn token(number: u8, id: u32, kid: Option<&str>, changes: Value) -> String {
    let mut header = json!({ "alg": "RS256" });
    if let Some(kid) = kid {
        header["kid"] = kid.into();
    }
    let mut claims = claims(changes);
    claims["jti"] = id.into();
    format!(
        "{}.{}.{}",
        encode(header.to_string()),
        encode(claims.to_string()),
        encode([&[number][..], &[7; 255]].concat())
    )
}

fn good(id: u32) -> String {
    token(1, id, None, json!({}))
}

fn forged(id: u32) -> String {
    token(99, id, None, json!({}))
}

fn keys(keys: &[Value]) -> Value {
    json!({ "keys": { "inline": { "keys": keys } } })
}

fn staff() -> Value {
    provider(keys(&[rsa(1, None)]))
}

fn stand(section: Value) -> Stand {
    Stand::new::<AuthnSection>("authn", section).unwrap()
}

fn play(stand: &Stand, host: &Host, token: &str) -> Played {
    stand.play(&SimulatedRequest::get("/").header("authorization", format!("Bearer {token}")), host)
}

fn reason(played: &Played) -> &str {
    played.decisions.last().unwrap().strip_prefix("authn.").unwrap()
}

/// A hundred providers of one issuer and key, each for an audience of its own.
fn hundred() -> Value {
    let mut providers = Vec::new();
    for number in 0..100 {
        let mut provider = provider(keys(&[rsa(1, None)]));
        provider["name"] = format!("p{number}").into();
        provider["jwt"]["audiences"] = json!([format!("a{number}")]);
        providers.push(provider);
    }
    json!({ "providers": providers })
}

#[test]
fn a_signature_is_verified_once_however_many_providers_have_the_key() {
    let mut section = hundred();
    section["budget"] = json!("1/day");
    let (stand, host) = (stand(section), Host::new());
    let token = |id, audience: &str| token(1, id, None, json!({ "aud": audience }));
    let last = play(&stand, &host, &token(1, "a99"));
    assert_eq!((reason(&last), host.verified()), ("ok.provider:p99", 1));
    assert_eq!(reason(&play(&stand, &host, &token(1, "a99"))), "ok.provider:p99");
    assert_eq!(host.verified(), 0, "remembered");
    // Nobody's: that is said by all, after one verification. It is of another client: this one's share is its own.
    let host = Host::new();
    let none = play(&stand, host.from("192.0.2.1"), &token(2, "other"));
    assert_eq!((reason(&none), host.verified()), ("audience_mismatch", 1));
}

#[test]
fn fresh_tokens_for_a_hundred_providers_stay_within_the_budget() {
    let (stand, host) = (stand(hundred()), Host::new());
    for id in 0..1000 {
        let token = token(1, id, None, json!({ "aud": format!("a{}", id % 100) }));
        assert_eq!(play(&stand, &host, &token).status(), None, "{id}");
    }
    assert_eq!(host.verified(), 1000);
}

#[test]
fn a_rule_in_shadow_costs_no_second_verification() {
    let mut section = hundred();
    section["rules"] = json!([
        { "name": "shadow", "shadow": true, "require": { "any": ["p0"] } },
        { "name": "real", "require": { "any": (0..100).map(|number| format!("p{number}")).collect::<Vec<_>>() } }
    ]);
    let (stand, host) = (stand(section), Host::new());
    let played = play(&stand, &host, &token(1, 1, None, json!({ "aud": "a5" })));
    assert_eq!((reason(&played), host.verified()), ("ok.provider:p5", 1));
}

#[test]
fn a_remembered_token_needs_no_crypto_for_another_provider_with_the_same_key() {
    let mut section = hundred();
    section["rules"] = json!([
        { "name": "one", "match": { "paths": ["/one"] }, "require": { "any": ["p1"] } },
        { "name": "rest", "require": { "any": (0..100).map(|number| format!("p{number}")).collect::<Vec<_>>() } }
    ]);
    let (stand, host) = (stand(section), Host::new());
    let token = token(1, 1, None, json!({ "aud": ["a1", "a0"] }));
    let at = |path: &str| {
        stand.play(&SimulatedRequest::get(path).header("authorization", format!("Bearer {token}")), &host)
    };
    assert_eq!(reason(&at("/one")), "ok.provider:p1");
    assert_eq!(reason(&at("/two")), "ok.provider:p0");
    assert_eq!(host.verified(), 1);
    // Nor when it has expired.
    host.fake.advance(Duration::from_secs(3600));
    assert_eq!((reason(&at("/one")), host.verified()), ("token_expired", 0));
}

#[test]
fn the_same_key_of_another_kind_of_provider_is_another_key() {
    // Two issuers with different keys: what one signed is not taken for the other's.
    let mut other = provider(keys(&[rsa(3, None)]));
    other["name"] = json!("other");
    let mut section = json!({ "providers": [staff(), other] });
    section["rules"] = json!([
        { "name": "one", "match": { "paths": ["/one"] }, "require": { "any": ["staff"] } },
        { "name": "two", "require": { "any": ["other"] } }
    ]);
    let (stand, host) = (stand(section), Host::new());
    let token = good(1);
    let at = |path: &str| {
        stand.play(&SimulatedRequest::get(path).header("authorization", format!("Bearer {token}")), &host)
    };
    assert_eq!(reason(&at("/one")), "ok.provider:staff");
    assert_eq!(reason(&at("/two")), "signature_invalid");
    assert_eq!(host.verified(), 2);
}

#[test]
fn a_forged_token_that_is_shown_again_costs_nothing() {
    let (stand, host) = (stand(json!({ "providers": [staff()], "budget": "20/s" })), Host::new());
    for _ in 0..100 {
        assert_eq!(reason(&play(&stand, &host, &forged(1))), "signature_invalid");
    }
    assert_eq!(host.verified(), 1);
    assert_eq!(play(&stand, &host, &good(1)).status(), None);
}

#[test]
fn a_token_without_kid_is_tried_with_all_keys_and_one_with_kid_with_its_own() {
    let all: Vec<Value> = (0..20).map(|number| rsa(2 * number + 1, Some(&format!("k{number}")))).collect();
    let (stand, host) = (stand(json!({ "providers": [provider(keys(&all))] })), Host::new());
    for (number, kid, tries) in [(0, None, 1), (19, None, 20), (19, Some("k19"), 1), (3, Some("k3"), 1)] {
        let played = play(&stand, &host, &token(2 * number + 1, tries, kid, json!({})));
        assert_eq!((reason(&played), host.verified()), ("ok.provider:staff", tries), "{number} {kid:?}");
    }
    let played = play(&stand, &host, &forged(1));
    assert_eq!((reason(&played), host.verified()), ("signature_invalid", 20));
    assert!(
        played.notes.iter().any(|note| note.contains("20 keys, which takes up to 20 units")),
        "{:?}",
        played.notes
    );
}

#[test]
fn one_source_of_bad_tokens_spends_its_share_and_others_are_served() {
    let (stand, host) = (stand(json!({ "providers": [staff()] })), Host::new());
    let known = good(0);
    assert_eq!(play(&stand, host.from("198.51.100.7"), &known).status(), None);
    host.verified();
    let mut spent = false;
    for id in 0..5_000 {
        let played = play(&stand, host.from("198.51.100.7"), &forged(id));
        spent = spent || played.status() == Some(503);
        if spent {
            assert_eq!((reason(&played), played.status()), ("source_budget_exhausted", Some(503)));
            assert_eq!(played.reply_header("retry-after").as_deref(), Some("1"));
            assert_eq!(played.reply_header("www-authenticate"), None);
        }
        let stranger = play(&stand, host.from("203.0.113.5"), &good(0));
        assert_eq!(stranger.status(), None);
    }
    assert_eq!(host.verified(), 100, "a tenth of 1000");
    assert_eq!(play(&stand, host.from("198.51.100.7"), &known).status(), None, "a known token");
    assert_eq!(reason(&play(&stand, host.from("198.51.100.7"), &good(1))), "source_budget_exhausted");
    assert_eq!(reason(&play(&stand, host.from("198.51.100.7"), "junk")), "token_malformed");
    for id in 0..500 {
        assert_eq!(play(&stand, host.from("203.0.113.5"), &good(10_000 + id)).status(), None, "{id}");
    }
    host.fake.advance(Duration::from_secs(1));
    assert_eq!(play(&stand, host.from("198.51.100.7"), &good(1)).status(), None, "it comes back");
}

#[test]
fn many_sources_of_bad_tokens_leave_strangers_their_half() {
    let (stand, host) = (stand(json!({ "providers": [staff()] })), Host::new());
    let mut id = 0;
    for round in 0..20 {
        for source in 0..100 {
            for _ in 0..20 {
                id += 1;
                play(&stand, host.from(&format!("198.51.100.{source}")), &forged(id));
            }
        }
        // From many prefixes, as strangers come.
        for stranger in 0..200 {
            let fresh = good(1_000_000 + round * 1_000 + stranger);
            let played = play(&stand, host.from(&format!("2001:db8:0:{stranger:x}::1")), &fresh);
            assert_eq!(played.status(), None, "{round} {stranger}");
        }
        host.fake.advance(Duration::from_millis(500));
    }
}

#[test]
fn clients_without_an_address_are_one_source() {
    let (stand, host) = (stand(json!({ "providers": [staff()], "budget": "100/s" })), Host::new());
    for id in 0..100 {
        play(&stand, host.from("unix"), &forged(id));
    }
    assert_eq!(host.verified(), 10);
    assert_eq!(reason(&play(&stand, &host, &good(1))), "source_budget_exhausted");
    assert_eq!(play(&stand, host.from("192.0.2.1"), &good(1)).status(), None);
}

#[test]
fn a_bad_token_beside_a_good_api_key_is_charged_too() {
    let partners = json!({ "name": "partners", "apiKey": { "keys": [
        { "id": "acme", "sha256": "8649cdebee753898fd50e01408a9e438aa5090249bc3e51b65f33dce973b0873" }
    ] } });
    let (stand, host) = (stand(json!({ "providers": [staff(), partners], "budget": "100/s" })), Host::new());
    for id in 0..100 {
        let request = SimulatedRequest::get("/")
            .header("authorization", format!("Bearer {}", forged(id)))
            .header("x-api-key", "demo-key-acme");
        stand.play(&request, host.from("192.0.2.1"));
    }
    assert_eq!(host.verified(), 10);
}

#[test]
fn what_the_host_does_not_verify_weighs_what_it_costs_in_the_module() {
    let environment = SimulatedHost::default();
    let section = json!({ "providers": [provider(keys(&[jwk("rsa")]))], "budget": "30/s" });
    let stand = stand(section);
    let fresh = |id: u32| crate::test_tokens::token(crate::algorithm::Algorithm::Rs256, json!({ "jti": id }));
    let play = |id| {
        let request = SimulatedRequest::get("/").header("authorization", format!("Bearer {}", fresh(id)));
        stand.play(&request, &environment).status()
    };
    // 15 units each but for what is known of the first: one from either half.
    assert_eq!([play(1), play(2), play(3)], [None, None, Some(503)]);
}
