use crate::algorithm::Algorithm;
use crate::config::AuthnSection;
use crate::test_tokens::{ISSUER, NOW, claims, encode, jwk, kid, provider, token, token_of};
use serde_json::{Value, json};
use sluice_core::simulation::{Played, SimulatedHost, SimulatedRequest, Stand};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn stand(changes: Value) -> Stand {
    // All bad tokens of a test are of one source.
    let section = json!({ "providers": [provider(changes)], "budget": "1000000/s" });
    Stand::new::<AuthnSection>("authn", section).unwrap()
}

fn bearer(token: &str) -> SimulatedRequest {
    SimulatedRequest::get("/orders").header("authorization", format!("Bearer {token}"))
}

fn play(stand: &Stand, token: &str) -> Played {
    stand.play(&bearer(token), &SimulatedHost::default())
}

/// The reason without its section; `ok` for a token that is accepted.
fn reason(played: &Played) -> &str {
    match played.decisions.as_slice() {
        [only] if only == "authn.ok.provider:staff" => "ok",
        [only] => only.strip_prefix("authn.").unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_token_of_every_quick_algorithm_is_accepted() {
    let stand = stand(json!({}));
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa, Algorithm::Hs256] {
        let played = play(&stand, &token(algorithm, json!({})));
        assert_eq!((reason(&played), played.status()), ("ok", None), "{algorithm}");
        assert_eq!(played.identity.unwrap().principal, "alice");
    }
}

#[test]
fn slow_algorithms_are_accepted_where_they_are_named() {
    let keys = json!({ "inline": { "keys": [jwk("rsa"), jwk("p384"), jwk("secret")] } });
    let slow = ["PS256", "PS384", "PS512", "RS384", "RS512", "ES384", "HS384", "HS512"];
    let named = stand(json!({ "keys": keys, "algorithms": slow }));
    let unnamed = stand(json!({}));
    for name in slow {
        let token = token(Algorithm::named(name).unwrap(), json!({}));
        assert_eq!(reason(&play(&named, &token)), "ok", "{name}");
        assert_eq!(reason(&play(&unnamed, &token)), "algorithm_not_allowed", "{name}");
    }
    // Naming them leaves the others out.
    assert_eq!(reason(&play(&named, &token(Algorithm::Rs256, json!({})))), "algorithm_not_allowed");
}

#[test]
fn a_token_that_is_no_good_is_refused_with_a_reason_of_its_own() {
    let stand = stand(json!({}));
    let es256 = |changes| token(Algorithm::Es256, changes);
    let with_header = |header: Value| {
        token_of(Algorithm::Es256, header.to_string().as_bytes(), claims(json!({})).to_string().as_bytes())
    };
    let tampered = |from: &str| {
        let good = es256(json!({}));
        let parts: Vec<&str> = good.split('.').collect();
        format!("{}.{}.{}", parts[0], encode(from), parts[2])
    };
    let rsa_modulus = jwk("rsa")["n"].as_str().unwrap().to_owned();
    for (token, expected) in [
        (es256(json!({ "exp": NOW - 60 })), "token_expired"),
        (es256(json!({ "exp": NOW - 59 })), "ok"),
        (es256(json!({ "nbf": NOW + 61 })), "token_not_yet_valid"),
        (es256(json!({ "iat": NOW + 3600 })), "token_not_yet_valid"),
        (es256(json!({ "exp": null })), "expiry_missing"),
        (es256(json!({ "exp": "soon" })), "token_malformed"),
        (es256(json!({ "iss": "https://evil.example" })), "issuer_mismatch"),
        (es256(json!({ "iss": format!("{ISSUER}/") })), "issuer_mismatch"),
        (es256(json!({ "iss": null })), "issuer_mismatch"),
        (es256(json!({ "iss": [ISSUER] })), "issuer_mismatch"),
        (es256(json!({ "aud": "billing" })), "audience_mismatch"),
        (es256(json!({ "aud": null })), "audience_mismatch"),
        (es256(json!({ "aud": ["billing", "orders"] })), "ok"),
        (es256(json!({ "sub": null })), "principal_missing"),
        (es256(json!({ "sub": "" })), "principal_missing"),
        (es256(json!({ "sub": ["alice"] })), "principal_missing"),
        (es256(json!({ "sub": 7 })), "ok"),
        (tampered(&claims(json!({ "sub": "admin" })).to_string()), "signature_invalid"),
        (with_header(json!({ "alg": "ES256", "kid": "other" })), "unknown_key"),
        (with_header(json!({ "alg": "ES256", "kid": "rsa" })), "algorithm_not_allowed"),
        (with_header(json!({ "alg": "ES256" })), "ok"),
        (with_header(json!({ "alg": "ES256", "kid": "" })), "ok"),
        (with_header(json!({ "alg": "RS256" })), "signature_invalid"),
        (with_header(json!({ "alg": "none" })), "algorithm_not_allowed"),
        (with_header(json!({ "alg": "ES256", "crit": ["exp"] })), "critical_header"),
        (with_header(json!({ "alg": "ES256", "typ": "at+jwt" })), "ok"),
        (with_header(json!({ "alg": "ES256", "typ": "application/AT+JWT" })), "ok"),
        (with_header(json!({ "alg": "ES256", "typ": "logout+jwt" })), "type_mismatch"),
        (with_header(json!({ "alg": "ES256", "typ": "dpop+jwt" })), "type_mismatch"),
        (with_header(json!({ "alg": "ES256", "typ": "JOSE+JSON" })), "type_mismatch"),
        // The public key as the secret of an HMAC: the key is bound to its algorithm.
        (confused(&rsa_modulus), "algorithm_not_allowed"),
        ("x.y.z".to_owned(), "token_malformed"),
        (String::new(), "token_malformed"),
        (format!("{}.", es256(json!({}))), "token_malformed"),
        (format!("{} {}", es256(json!({})), es256(json!({}))), "token_malformed"),
        (format!("{0},Bearer {0}", es256(json!({}))), "token_malformed"),
        (es256(json!({ "filler": "x".repeat(9000) })), "token_too_large"),
    ] {
        let played = play(&stand, &token);
        assert_eq!(reason(&played), expected, "{token}");
        assert_eq!(played.status(), (expected != "ok").then_some(401), "{token}");
        if let Some(challenge) = played.reply_header("www-authenticate") {
            assert!(
                challenge
                    .starts_with("Bearer realm=\"sluice\", error=\"invalid_token\", error_description=\""),
                "{challenge}"
            );
            assert!(played.identity.is_none() && played.mutations.request_headers().is_empty());
        }
    }
}

/// HS256 with the RSA key's `kid`, "signed" with the modulus.
fn confused(secret: &str) -> String {
    use jwt_simple::prelude::{HS256Key, MACLike};
    let signed =
        format!("{}.{}", encode(r#"{"alg":"HS256","kid":"rsa"}"#), encode(claims(json!({})).to_string()));
    let tag = HS256Key::from_bytes(secret.as_bytes()).authentication_tag(signed.as_bytes());
    format!("{signed}.{}", encode(tag))
}

#[test]
fn signatures_are_judged_before_claims_so_that_a_reason_is_true_of_a_genuine_token() {
    let stand = stand(json!({}));
    let genuine = token(Algorithm::Es256, json!({ "exp": 1 }));
    let other = token(Algorithm::Es256, json!({}));
    let forged = format!("{}.{}", genuine.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1);
    assert_eq!(reason(&play(&stand, &genuine)), "token_expired");
    assert_eq!(reason(&play(&stand, &forged)), "signature_invalid");
}

#[test]
fn who_it_is_comes_from_the_claims_that_the_provider_names() {
    let stand = stand(
        json!({ "principal": "email", "consumer": "azp", "roles": "realm_access.roles", "scopes": "permissions" }),
    );
    let changes = json!({
        "email": "a@example.com", "azp": "app", "realm_access": { "roles": ["clerk", "admin"] },
        "permissions": ["read", "write"], "scope": "ignored", "roles": ["ignored"]
    });
    let identity = play(&stand, &token(Algorithm::EdDsa, changes)).identity.unwrap();
    assert_eq!(identity.principal, "a@example.com");
    assert_eq!(identity.consumer.as_deref(), Some("app"));
    assert_eq!(identity.roles, ["clerk", "admin"]);
    assert_eq!(identity.scopes, ["read", "write"]);
    assert_eq!(identity.provider.as_ref().unwrap().as_str(), "staff");
    assert_eq!(identity.claims["sub"], "alice");
}

#[test]
fn roles_and_scopes_have_their_usual_claims() {
    let stand = stand(json!({}));
    for (changes, roles, scopes) in [
        (json!({ "roles": ["a"], "scope": "x y" }), vec!["a"], vec!["x", "y"]),
        (json!({ "scp": ["x", "y"] }), vec![], vec!["x", "y"]),
        (json!({ "scope": "x", "scp": ["y"] }), vec![], vec!["x"]),
        (json!({}), vec![], vec![]),
    ] {
        let identity = play(&stand, &token(Algorithm::EdDsa, changes.clone())).identity.unwrap();
        assert_eq!(
            (&identity.roles[..], &identity.scopes[..]),
            (&to_owned(roles)[..], &to_owned(scopes)[..]),
            "{changes}"
        );
    }
}

fn to_owned(list: Vec<&str>) -> Vec<String> {
    list.into_iter().map(str::to_owned).collect()
}

#[test]
fn a_string_is_one_role_unless_the_provider_says_what_separates_several() {
    for (config, claims, roles, scopes) in [
        (json!({}), json!({ "roles": "not admin" }), vec!["not admin"], vec![]),
        (json!({}), json!({ "roles": "reader,admin" }), vec!["reader,admin"], vec![]),
        (json!({}), json!({ "roles": "" }), vec![], vec![]),
        (json!({}), json!({ "roles": 7 }), vec!["7"], vec![]),
        (json!({}), json!({ "roles": { "admin": {} } }), vec![], vec![]),
        (json!({ "rolesSeparator": " " }), json!({ "roles": "not  admin" }), vec!["not", "admin"], vec![]),
        (json!({ "rolesSeparator": "," }), json!({ "roles": "a, b," }), vec!["a", " b"], vec![]),
        (json!({ "rolesSeparator": "," }), json!({ "roles": ["a,b"] }), vec!["a,b"], vec![]),
        (json!({}), json!({ "scope": " x  y\u{a0}z\tw " }), vec![], vec!["x", "y\u{a0}z\tw"]),
        (json!({}), json!({ "scope": ["x y"] }), vec![], vec!["x y"]),
        (json!({}), json!({ "scp": "x y" }), vec![], vec!["x", "y"]),
    ] {
        let played = play(&stand(config.clone()), &token(Algorithm::Es256, claims.clone()));
        let identity = played.identity.unwrap();
        assert_eq!(
            (identity.roles.clone(), identity.scopes.clone()),
            (to_owned(roles), to_owned(scopes)),
            "{config} {claims}"
        );
    }
}

#[test]
fn a_number_is_exactly_itself_or_nobody() {
    let stand = stand(json!({ "consumer": "azp" }));
    // Written by hand: a `Value` would have lost the digits already.
    let with = |member: &str, number: &str| {
        let claims = claims(json!({ (member): "@" })).to_string().replace("\"@\"", number);
        token_of(
            Algorithm::Es256,
            json!({ "alg": "ES256", "kid": kid(Algorithm::Es256) }).to_string().as_bytes(),
            claims.as_bytes(),
        )
    };
    for (number, exact) in [
        ("7", true),
        ("18446744073709551615", true),
        ("12345678901234567890123", false),
        ("12345678901234567890124", false),
        ("1.5", false),
        ("1e3", false),
        ("-0", false),
    ] {
        let as_principal = play(&stand, &with("sub", number));
        let as_consumer = play(&stand, &with("azp", number));
        if exact {
            assert_eq!(as_principal.identity.unwrap().principal, number);
            assert_eq!(as_consumer.identity.unwrap().consumer.as_deref(), Some(number));
        } else {
            assert_eq!(reason(&as_principal), "principal_missing", "{number}");
            assert_eq!(reason(&as_consumer), "claim_unreadable", "{number}");
        }
    }
}

#[test]
fn claims_are_forwarded_and_what_a_client_sent_in_their_place_is_not() {
    let stand = stand(
        json!({ "forward": { "headers": { "X-User": "sub", "x-groups": "groups", "x-tier": "tier" } } }),
    );
    let token = token(Algorithm::EdDsa, json!({ "groups": ["a", "b"] }));
    let request = bearer(&token).header("x-user", "admin").header("x_user", "admin").header("x-tier", "gold");
    let played = stand.play(&request, &SimulatedHost::default());
    let set = |value: &str| Some(Some(value.to_owned()));
    assert_eq!(played.request_header("x-user"), set("alice"));
    assert_eq!(played.request_header("x-groups"), set("a,b"));
    assert_eq!(played.request_header("x-tier"), Some(None), "the token says nothing of it");
    assert_eq!(played.request_header("x_user"), Some(None));
    assert_eq!(played.request_header("authorization"), Some(None), "the token stays here");
}

#[test]
fn a_claim_that_cannot_stand_in_a_header_makes_the_token_unusable() {
    let stand = stand(json!({ "forward": { "headers": { "x-user": "sub" } } }));
    for subject in ["a\r\nx-admin: true", "a\u{0}", " a", "a\n"] {
        let played = play(&stand, &token(Algorithm::EdDsa, json!({ "sub": subject })));
        assert_eq!((reason(&played), played.status()), ("claim_not_forwardable", Some(401)), "{subject:?}");
        assert!(played.mutations.request_headers().is_empty());
    }
}

#[test]
fn a_token_goes_on_only_where_that_is_said() {
    let stand = stand(json!({ "forward": { "token": "keep" } }));
    assert_eq!(play(&stand, &token(Algorithm::EdDsa, json!({}))).request_header("authorization"), None);
}

#[test]
fn tokens_are_read_from_where_the_provider_says() {
    let stand = stand(
        json!({ "from": [{ "cookie": "session" }, { "query": "access_token" }], "forward": { "token": "keep" } }),
    );
    let token = token(Algorithm::EdDsa, json!({}));
    let environment = SimulatedHost::default();
    for (request, expected) in [
        (SimulatedRequest::get("/").header("cookie", format!("a=b; session={token}")), "ok"),
        (SimulatedRequest::get(&format!("/?access_token={token}")), "ok"),
        (bearer(&token), "missing"),
        (
            SimulatedRequest::get(&format!("/?access_token={token}&access_token={token}")),
            "credential_repeated",
        ),
        (
            SimulatedRequest::get(&format!("/?access_token={token}"))
                .header("cookie", format!("session={token}")),
            "credential_repeated",
        ),
    ] {
        assert_eq!(reason(&stand.play(&request, &environment)), expected, "{request:?}");
    }
}

#[test]
fn the_same_header_twice_is_a_bad_request() {
    let token = token(Algorithm::EdDsa, json!({}));
    let request = bearer(&token).header("authorization", format!("Bearer {token}"));
    let played = stand(json!({})).play(&request, &SimulatedHost::default());
    assert_eq!((reason(&played), played.status()), ("credential_repeated", Some(400)));
    let challenge = played.reply_header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"invalid_request\""), "{challenge}");
}

#[test]
fn a_client_without_a_token_is_told_what_to_show_and_no_error() {
    let stand = stand(json!({}));
    for request in [
        SimulatedRequest::get("/"),
        SimulatedRequest::get("/").header("authorization", "Basic YTpi"),
        SimulatedRequest::get("/").header("authorization", "Bearertoken"),
    ] {
        let played = stand.play(&request, &SimulatedHost::default());
        assert_eq!((reason(&played), played.status()), ("missing", Some(401)));
        assert_eq!(played.reply_header("www-authenticate").as_deref(), Some("Bearer realm=\"sluice\""));
    }
}

#[test]
fn a_provider_may_ask_for_a_type_and_waive_audience_and_expiry() {
    let strict = stand(json!({ "types": ["at+jwt"] }));
    assert_eq!(reason(&play(&strict, &token(Algorithm::EdDsa, json!({})))), "type_mismatch");
    let header = json!({ "alg": "EdDSA", "typ": "application/at+jwt" }).to_string();
    let access = token_of(Algorithm::EdDsa, header.as_bytes(), claims(json!({})).to_string().as_bytes());
    assert_eq!(reason(&play(&strict, &access)), "ok");
    let untyped =
        token_of(Algorithm::EdDsa, b"{\"alg\":\"EdDSA\"}", claims(json!({})).to_string().as_bytes());
    assert_eq!(reason(&play(&strict, &untyped)), "type_mismatch");
    let lax = stand(json!({ "audiences": null, "anyAudience": true, "requireExpiry": false }));
    assert_eq!(reason(&play(&lax, &token(Algorithm::EdDsa, json!({ "aud": null, "exp": null })))), "ok");
}

#[test]
fn two_keys_of_one_algorithm_are_both_tried_for_a_token_without_kid() {
    // Another P-256 key (RFC 7515 §A.3 has none; this is the generator of the curve, whose private key is 1).
    let generator = json!({
        "kty": "EC", "crv": "P-256", "kid": "generator",
        "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY", "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"
    });
    let stand = stand(json!({ "keys": { "inline": { "keys": [generator, jwk("p256")] } } }));
    let unnamed =
        token_of(Algorithm::Es256, b"{\"alg\":\"ES256\"}", claims(json!({})).to_string().as_bytes());
    assert_eq!(reason(&play(&stand, &unnamed)), "ok");
    let misnamed = token_of(
        Algorithm::Es256,
        b"{\"alg\":\"ES256\",\"kid\":\"generator\"}",
        claims(json!({})).to_string().as_bytes(),
    );
    assert_eq!(reason(&play(&stand, &misnamed)), "signature_invalid");
    assert_eq!(kid(Algorithm::Es256), "p256");
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_of_a_header_make_it_panic_or_are_accepted(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let request = SimulatedRequest::get("/").header("authorization", [b"Bearer ".as_slice(), &value].concat());
            let played = stand(json!({})).play(&request, &SimulatedHost::default());
            prop_assert_eq!(played.status(), Some(401));
        }

        #[test]
        fn no_claims_make_it_panic(payload in "\\{(\"(exp|nbf|iat|aud|iss|sub|roles|scope)\":(-?[0-9]{1,30}(\\.[0-9]{1,5})?(e[0-9]{1,3})?|\"[a-z]{0,5}\"|null|\\[\\]|\\{\\}|true),?){0,6}\\}") {
            let token = token_of(Algorithm::Hs256, br#"{"alg":"HS256"}"#, payload.as_bytes());
            let _ = play(&stand(json!({ "anyAudience": true, "audiences": null })), &token);
        }

        #[test]
        fn a_claim_never_becomes_more_than_one_header(subject in "\\PC*|[\\x00-\\x20a,]{1,8}") {
            let stand = stand(json!({ "forward": { "headers": { "x-user": "sub" } } }));
            let played = play(&stand, &token(Algorithm::Hs256, json!({ "sub": subject })));
            match played.request_header("x-user") {
                Some(Some(value)) => prop_assert_eq!(value, subject),
                _ => prop_assert_eq!(played.status(), Some(401)),
            }
        }
    }
}
