//! Bad tokens in any number on a real Envoy: what they cost is bounded, and others are served. No test looks at a clock: the budgets are
//! small enough to be spent surely, and large enough for what is to pass.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sluice_integration::tokens::{self, Algorithm, Token};
use sluice_integration::{Client, Gateway, Request};

use std::net::Ipv4Addr;

/// The API key of the demo's partner.
const KEY: &str = "demo-key-acme";

/// The demo's RSA key, for any algorithm of RSA.
fn rsa() -> Value {
    let mut key = tokens::key_set(false)["keys"][0].clone();
    key.as_object_mut().unwrap().remove("alg");
    key
}

fn policy(keys: &[Value], budget: &str, client: &Value) -> String {
    json!({
        "version": 1,
        "client": client,
        "authn": {
            "budget": budget,
            "providers": [
                { "name": "staff", "jwt": {
                    "issuer": tokens::ISSUER,
                    "audiences": [tokens::AUDIENCE],
                    "algorithms": ["RS256", "PS256"],
                    "keys": { "inline": { "keys": keys } }
                } },
                { "name": "partners", "apiKey": { "keys": [{
                    "id": "acme", "sha256": "8649cdebee753898fd50e01408a9e438aa5090249bc3e51b65f33dce973b0873"
                }] } }
            ]
        },
        "telemetry": {}
    })
    .to_string()
}

/// A good RS256 token that no other equals.
fn good(number: usize) -> Request {
    Request::get("/good").bearer(&token(number).sign())
}

fn token(number: usize) -> Token {
    Token::of("alice").signed_with(Algorithm::Rs256).claim("jti", number)
}

/// A token of this algorithm whose signature is wrong, and that no other equals.
fn bad(algorithm: &str, number: usize) -> Request {
    let token = token(number).header("alg", algorithm).sign();
    let (signed, _) = token.rsplit_once('.').unwrap();
    Request::get("/bad").bearer(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode([7; 256])))
}

fn client(gateway: &Gateway, last: u8) -> Client {
    Client::from_address(Ipv4Addr::new(127, 0, 0, last), gateway.port())
}

fn decision(answer: &sluice_integration::Answer) -> String {
    answer.json()["reason"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_flood_from_one_source_spends_its_share_and_everybody_else_is_served() {
    for algorithm in ["RS256", "PS256"] {
        // A source may have ten units a second. Of strangers' half what is left by the first bad token is enough for the good ones.
        let gateway = Gateway::with_policy(&policy(&[rsa()], "100/s", &json!({})));
        let (attacker, stranger) = (client(&gateway, 2), client(&gateway, 3));
        let known = good(0);
        assert_eq!(attacker.send(&known).unwrap().status, 200);
        assert_eq!(stranger.send(&known).unwrap().status, 200);

        let flood = std::thread::spawn({
            let (attacker, requests) =
                (attacker.clone(), (0..300).map(|n| bad(algorithm, n)).collect::<Vec<_>>());
            move || requests.chunks(20).flat_map(|some| attacker.send_all(some)).collect::<Vec<_>>()
        });
        for number in 1..=25 {
            let cached = stranger.send(&known).unwrap();
            assert_eq!(cached.status, 200, "{algorithm}: cached: {}", cached.text());
            let key = stranger.send(&Request::get("/key").header("x-api-key", KEY)).unwrap();
            assert_eq!(key.status, 200, "{algorithm}: an API key: {}", key.text());
            let fresh = stranger.send(&good(number)).unwrap();
            assert_eq!(fresh.status, 200, "{algorithm}: fresh: {}", fresh.text());
        }
        let mut statuses = std::collections::BTreeMap::new();
        for answer in flood.join().unwrap() {
            let answer = answer.unwrap();
            let expected = match answer.status {
                401 => "authn.signature_invalid",
                _ => "authn.source_budget_exhausted",
            };
            assert_eq!(decision(&answer), expected, "{algorithm}: {}", answer.text());
            *statuses.entry(answer.status).or_insert(0) += 1;
        }
        assert!(statuses.contains_key(&401) && statuses.contains_key(&503), "{algorithm}: {statuses:?}");
        // The attacker's address still has what needs no verifying.
        assert_eq!(attacker.send(&known).unwrap().status, 200);
        let key = attacker.send(&Request::get("/key").header("x-api-key", KEY)).unwrap();
        assert_eq!(key.status, 200);
        assert!(gateway.upstream().received().iter().all(|request| request.path != "/bad"));
    }
}

#[test]
fn behind_a_proxy_the_source_is_the_client_that_the_proxy_names() {
    let behind = json!({ "address": { "trustedHops": 1 } });
    // A share of one unit a minute: the second bad token is over it.
    let gateway = Gateway::with_policy(&policy(&[rsa()], "10/min", &behind));
    let send = |request: Request, from: &str| gateway.send(request.header("x-forwarded-for", from));
    assert_eq!(send(bad("RS256", 0), "192.0.2.1").status, 401);
    let second = send(bad("RS256", 1), "192.0.2.1");
    assert_eq!((second.status, decision(&second).as_str()), (503, "authn.source_budget_exhausted"));
    assert_eq!(second.header("retry-after"), Some("1"));
    assert_eq!(second.header("www-authenticate"), None);
    let another = send(good(0), "198.51.100.1");
    assert_eq!(another.status, 200, "{}", another.text());
}

#[test]
fn a_forged_token_is_verified_once_however_often_it_is_shown() {
    let gateway = Gateway::with_policy(&policy(&[rsa()], "10/day", &json!({})));
    // One token: another would be written in another second.
    let forged = bad("PS256", 0);
    for _ in 0..50 {
        let answer = gateway.send(forged.clone());
        assert_eq!(answer.status, 401, "{}", answer.text());
    }
    assert_eq!(gateway.send(bad("PS256", 1)).status, 503);
}

#[test]
fn a_hundred_providers_with_one_key_cost_one_verification() {
    let providers: Vec<Value> = (0..100)
        .map(|number| {
            json!({ "name": format!("p{number}"), "jwt": {
                "issuer": tokens::ISSUER,
                "audiences": [format!("a{number}")],
                "keys": { "inline": { "keys": [rsa()] } }
            } })
        })
        .collect();
    let document =
        json!({ "version": 1, "authn": { "providers": providers, "budget": "200/s" }, "telemetry": {} });
    let gateway = Gateway::with_policy(&document.to_string());
    let requests: Vec<Request> = (0..60)
        .map(|number| {
            let token = token(number).claim("aud", format!("a{}", 40 + number)).sign();
            Request::get("/good").bearer(&token)
        })
        .collect();
    for answer in gateway.client().send_all(&requests) {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[test]
fn keys_that_cannot_be_used_are_left_out_and_all_others_are_tried() {
    let mut keys = vec![
        json!({ "kty": "AKP", "alg": "ML-DSA-44", "kid": "later", "pub": "AA" }),
        json!({ "kty": "EC", "crv": "P-521", "kid": "long", "x": "AA", "y": "AA" }),
    ];
    for number in 0..10 {
        // Other keys, whoever may have them.
        let mut decoy = rsa();
        let mut modulus = URL_SAFE_NO_PAD.decode(decoy["n"].as_str().unwrap()).unwrap();
        modulus[100] ^= number + 1;
        decoy["n"] = URL_SAFE_NO_PAD.encode(modulus).into();
        decoy["kid"] = format!("decoy-{number}").into();
        keys.push(decoy);
    }
    keys.push(rsa());
    let gateway = Gateway::with_policy(&policy(&keys, "1000/s", &json!({})));
    let log = gateway.envoy().log();
    for warning in ["`AKP` is not supported", "`P-521` is not supported", "tried with up to 11 of these keys"]
    {
        assert!(log.contains(warning), "{log}");
    }
    let without = Request::get("/good").bearer(&token(0).header("kid", Value::Null).sign());
    let answer = gateway.send(without);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(gateway.send(good(1)).status, 200);
    assert_eq!(gateway.send(Request::get("/").bearer(&token(2).header("kid", "later").sign())).status, 401);
}
