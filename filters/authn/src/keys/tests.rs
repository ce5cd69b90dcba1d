//! Tokens whose keys are fetched: an issuer, a keeper and a clock that the test plays.

use crate::algorithm::Algorithm;
use crate::config::AuthnSection;
use crate::test_tokens::{ISSUER, NOW, claims, jwk, provider, token, token_of};
use serde_json::{Value, json};
use sluice_core::decision::wait::{Answer, CallFailure, HttpAnswer};
use sluice_core::resource::Keeper;
use sluice_core::simulation::{Played, SimulatedHost, SimulatedRequest, Stand};
use std::cell::{Cell, RefCell};
use std::time::Duration;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// A worker, and the issuer that it fetches from.
struct Scene {
    stand: Stand,
    host: SimulatedHost,
    keeper: RefCell<Keeper>,
    /// The `kid`s that the issuer publishes; `None`: it is away.
    published: RefCell<Option<Vec<&'static str>>>,
    fetches: Cell<u32>,
}

impl Scene {
    fn of(section: Value) -> Self {
        let stand =
            Stand::new::<AuthnSection>("authn", section).unwrap_or_else(|problems| panic!("{problems}"));
        let host = SimulatedHost::default();
        let keeper = RefCell::new(Keeper::new(&stand.resources()[0], &host));
        Self { stand, host, keeper, published: RefCell::new(Some(vec!["p256"])), fetches: Cell::new(0) }
    }

    fn new() -> Self {
        Self::of(json!({ "providers": [remote()] }))
    }

    fn publish(&self, kids: &[&'static str]) {
        self.published.replace(Some(kids.to_vec()));
    }

    fn leave(&self) {
        self.published.replace(None);
    }

    /// The tick comes, and what it fetches is answered at once.
    fn tick(&self) {
        let mut keeper = self.keeper.borrow_mut();
        if let Some((ticket, _)) = keeper.tick(true, &self.host).call {
            self.fetches.set(self.fetches.get() + 1);
            let answer = match &*self.published.borrow() {
                None => Answer::Failed(CallFailure::Unreachable),
                Some(kids) => {
                    let keys: Vec<Value> = kids.iter().map(|kid| jwk(kid)).collect();
                    let body = json!({ "keys": keys }).to_string().into_bytes();
                    Answer::Http(HttpAnswer { status: 200, headers: Default::default(), body })
                }
            };
            keeper.answered(ticket, &answer, &self.host);
        }
    }

    fn advance(&self, seconds: u64) {
        self.host.advance(Duration::from_secs(seconds));
    }

    /// Somebody shows `token`; waits end with the next tick. Gives the status, the reason and how often it waited.
    fn show(&self, token: &str) -> (Option<u16>, String, usize) {
        let played = self.play(token);
        let reason = played.decisions.last().map(|reason| reason.strip_prefix("authn.").unwrap().to_owned());
        (played.status(), reason.unwrap_or_default(), played.awaited.len())
    }

    fn play(&self, token: &str) -> Played {
        let request = SimulatedRequest::get("/").header("authorization", format!("Bearer {token}"));
        let no_call = |_: &_| Answer::Failed(CallFailure::Unreachable);
        self.stand.play_awaiting(&request, &self.host, no_call, |_| self.tick())
    }
}

fn remote() -> Value {
    provider(json!({ "keys": { "remote": { "cluster": "id", "path": "/keys" } } }))
}

fn lasting(algorithm: Algorithm) -> String {
    token(algorithm, json!({ "exp": NOW + 1_000_000 }))
}

fn accepted(waits: usize) -> (Option<u16>, String, usize) {
    (None, "ok.provider:staff".to_owned(), waits)
}

fn refused(status: u16, reason: &str, waits: usize) -> (Option<u16>, String, usize) {
    (Some(status), reason.to_owned(), waits)
}

#[test]
fn the_first_token_waits_for_keys_and_the_next_does_not() {
    let scene = Scene::new();
    let token = lasting(Algorithm::Es256);
    assert_eq!(scene.show(&token), accepted(1));
    assert_eq!(scene.show(&token), accepted(0));
    assert_eq!(scene.show(&lasting(Algorithm::Es256)), accepted(0));
    assert_eq!(scene.fetches.get(), 1);
}

#[test]
fn what_needs_no_key_waits_for_none() {
    let scene = Scene::new();
    for (token, reason) in [
        (token(Algorithm::Es256, json!({ "iss": "https://other.example.com" })), "issuer_mismatch"),
        (token(Algorithm::Es384, json!({})), "algorithm_not_allowed"),
        (token(Algorithm::Hs256, json!({})), "algorithm_not_allowed"),
        (
            token_of(
                Algorithm::Es256,
                br#"{"alg":"ES256","typ":"logout+jwt"}"#,
                claims(json!({})).to_string().as_bytes(),
            ),
            "type_mismatch",
        ),
        ("no.token.".to_owned(), "token_malformed"),
    ] {
        assert_eq!(scene.show(&token), refused(401, reason, 0));
    }
    let played = scene.stand.play(&SimulatedRequest::get("/"), &scene.host);
    assert_eq!((played.status(), played.awaited.len()), (Some(401), 0));
}

#[test]
fn without_keys_it_is_503_with_a_time_to_come_again_and_nobody_waits_in_vain() {
    let scene = Scene::new();
    scene.leave();
    let token = lasting(Algorithm::Es256);
    for waits in [1, 1, 1, 0, 0] {
        assert_eq!(scene.show(&token), refused(503, "keys_unavailable", waits));
        scene.advance(1);
    }
    let played = scene.play(&token);
    let seconds: u64 = played.reply_header("retry-after").unwrap().parse().unwrap();
    assert!((1..=5).contains(&seconds), "{seconds}");
    assert_eq!(played.reply_header("www-authenticate"), None, "the token is not at fault");
    scene.publish(&["p256"]);
    scene.advance(seconds);
    scene.tick();
    assert_eq!(scene.show(&token), accepted(0));
}

#[test]
fn a_new_key_is_fetched_when_a_token_names_it() {
    let scene = Scene::new();
    assert_eq!(scene.show(&lasting(Algorithm::Es256)), accepted(1));
    scene.publish(&["p256", "rsa"]);
    scene.advance(11);
    assert_eq!(scene.show(&lasting(Algorithm::Rs256)), accepted(1));
    assert_eq!(scene.fetches.get(), 2);
    // A second rotation right behind it has to wait for its turn.
    scene.publish(&["p256", "rsa", "ed"]);
    scene.advance(5);
    assert_eq!(scene.show(&lasting(Algorithm::EdDsa)), refused(401, "unknown_key", 0));
    scene.advance(6);
    assert_eq!(scene.show(&lasting(Algorithm::EdDsa)), accepted(1));
}

#[test]
fn a_flood_of_made_up_keys_is_one_fetch_in_the_time() {
    let scene = Scene::new();
    assert_eq!(scene.show(&lasting(Algorithm::Es256)), accepted(1));
    scene.advance(11);
    let mut waits = 0;
    for number in 0..2_000 {
        let header = json!({ "alg": "ES256", "kid": format!("made-up-{number}"), "typ": "JWT" }).to_string();
        let (status, reason, waited) = scene.show(&token_of(
            Algorithm::Es256,
            header.as_bytes(),
            claims(json!({})).to_string().as_bytes(),
        ));
        assert_eq!((status, reason.as_str()), (Some(401), "unknown_key"));
        waits += waited;
        scene.host.advance(Duration::from_millis(10));
        // No signature is verified for them.
        scene.tick();
    }
    // Twenty seconds, and one every ten.
    assert_eq!((scene.fetches.get(), waits), (3, 2));
}

#[test]
fn a_token_of_a_key_that_is_gone_is_forgotten_at_once() {
    let scene = Scene::new();
    let token = lasting(Algorithm::Es256);
    assert_eq!(scene.show(&token), accepted(1));
    scene.publish(&["rsa"]);
    scene.advance(11);
    assert_eq!(scene.show(&lasting(Algorithm::Rs256)), accepted(1));
    assert_eq!(scene.show(&token), refused(401, "unknown_key", 0));
    scene.publish(&["rsa", "p256"]);
    scene.advance(11);
    assert_eq!(scene.show(&token), accepted(1));
}

#[test]
fn keys_that_are_stale_are_good_for_a_while_and_then_not_even_for_known_tokens() {
    let mut provider = remote();
    provider["jwt"]["keys"]["remote"]["stale"] = json!("1h");
    let scene = Scene::of(json!({ "providers": [provider] }));
    let token = lasting(Algorithm::Es256);
    assert_eq!(scene.show(&token), accepted(1));
    scene.leave();
    for _ in 0..30 {
        scene.advance(125);
        scene.tick();
        assert_eq!(scene.show(&token), accepted(0));
    }
    // A key that is not there may be one that the issuer can't give us now.
    assert_eq!(scene.show(&lasting(Algorithm::Rs256)), refused(503, "keys_unavailable", 0));
    scene.advance(200);
    scene.tick();
    assert_eq!(scene.show(&token), refused(503, "keys_unavailable", 0));
    scene.publish(&["p256"]);
    scene.advance(60);
    scene.tick();
    assert_eq!(scene.show(&token), accepted(0));
}

#[test]
fn tokens_without_kid_find_new_keys_too_and_each_signature_is_verified_once() {
    let scene = Scene::new();
    let payload = claims(json!({ "exp": NOW + 1_000_000 })).to_string();
    let anonymous = |algorithm: Algorithm| {
        let header = json!({ "alg": algorithm.name(), "typ": "JWT" }).to_string();
        token_of(algorithm, header.as_bytes(), payload.as_bytes())
    };
    let token = anonymous(Algorithm::Es256);
    assert_eq!(scene.show(&token), accepted(1));
    scene.advance(11);
    let mut forged = anonymous(Algorithm::Es256);
    forged.replace_range(forged.len() - 10..forged.len() - 5, "AAAAA");
    assert_eq!(scene.show(&forged), refused(401, "signature_invalid", 1));
    assert_eq!(scene.show(&forged), refused(401, "signature_invalid", 0));
    assert_eq!(scene.fetches.get(), 2);
}

#[test]
fn a_rule_in_shadow_makes_nobody_wait() {
    let scene = Scene::of(json!({
        "providers": [remote()],
        "rules": [
            { "name": "trial", "require": { "any": ["staff"] }, "shadow": true },
            { "name": "open", "require": "none" }
        ]
    }));
    let played = scene.play(&lasting(Algorithm::Es256));
    assert_eq!((played.status(), played.awaited.len()), (None, 0));
    assert_eq!(played.decisions, ["authn.keys_unavailable", "authn.ok.not_required"]);
}

#[test]
fn another_provider_may_accept_while_keys_are_missing() {
    let inline = json!({ "name": "inline", "jwt": provider(json!({}))["jwt"] });
    let scene = Scene::of(json!({ "providers": [inline, remote()] }));
    scene.leave();
    let (status, reason, waits) = scene.show(&lasting(Algorithm::Es256));
    assert_eq!((status, reason.as_str(), waits), (None, "ok.provider:inline", 0));
}

#[test]
fn keys_are_found_by_the_issuers_metadata() {
    let section = json!({ "providers": [provider(json!({ "keys": { "discovery": { "cluster": "id" } } }))] });
    let scene = Scene::of(section);
    let mut keeper = scene.keeper.borrow_mut();
    let (ticket, call) = keeper.tick(true, &scene.host).call.unwrap();
    assert_eq!(
        (&*call.cluster, &*call.authority, &*call.path),
        ("id", "id.example.com", "/.well-known/openid-configuration")
    );
    let answer = |body: Value| {
        Answer::Http(HttpAnswer {
            status: 200,
            headers: Default::default(),
            body: body.to_string().into_bytes(),
        })
    };
    let metadata = json!({ "issuer": ISSUER, "jwks_uri": "https://id.example.com/v1/keys?all=1" });
    let (ticket, call) = keeper.answered(ticket, &answer(metadata), &scene.host).call.unwrap();
    assert_eq!((&*call.cluster, &*call.authority, &*call.path), ("id", "id.example.com", "/v1/keys?all=1"));
    let event =
        keeper.answered(ticket, &answer(json!({ "keys": [jwk("p256")] })), &scene.host).event.unwrap();
    assert_eq!(event.outcome, "fetched");
    drop(keeper);
    assert_eq!(scene.show(&lasting(Algorithm::Es256)), accepted(0));
}
