//! Attacks on JSON Web Tokens that are known by name, and the checklist of RFC 8725 (JWT Best Current Practices §3), on a real Envoy. Each
//! expects the decision, not only that nobody gets in: a token that is refused for another reason has not been tried.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sluice_integration::tokens::{self, Algorithm, Token};
use sluice_integration::{Gateway, Request};

/// Staff sign with ES256 and RS256, partners of another issuer with EdDSA.
fn gateway() -> Gateway {
    let key = |position: usize| tokens::key_set(false)["keys"][position].clone();
    let policy = json!({ "version": 1, "telemetry": {}, "authn": { "providers": [
        { "name": "staff", "jwt": {
            "issuer": tokens::ISSUER, "audiences": ["orders"], "keys": { "inline": { "keys": [key(0), key(1)] } },
            "forward": { "headers": { "x-user": "sub" } }
        } },
        { "name": "partners", "jwt": {
            "issuer": "https://partners.sluice.demo", "audiences": ["orders"], "keys": { "inline": { "keys": [key(2)] } },
            "forward": { "headers": { "x-user": "sub" } }
        } }
    ] } });
    Gateway::with_policy(&policy.to_string())
}

/// Each is refused, for the reason that stands beside it, and reaches no service; a good one still gets in.
fn assert_refused(attacks: &[(String, &str)]) {
    let gateway = gateway();
    for (position, (token, reason)) in attacks.iter().enumerate() {
        let path = format!("/attack/{position}");
        let answer = gateway.send(Request::get(&path).bearer(token));
        assert_eq!(answer.status, 401, "{position}: {token}: {}", answer.text());
        assert_eq!(gateway.details(&path), format!("authn.{reason}"), "{position}: {token}");
    }
    assert_eq!(gateway.upstream().count(), 0);
    assert_eq!(gateway.get_as(&Token::of("alice").sign()), 200);
}

trait GetAs {
    fn get_as(&self, token: &str) -> u16;
}

impl GetAs for Gateway {
    fn get_as(&self, token: &str) -> u16 {
        self.send(Request::get("/good").bearer(token)).status
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn signed_part(token: &str) -> &str {
    token.rsplit_once('.').unwrap().0
}

fn claims(further: &str) -> String {
    let exp = tokens::now() + 600;
    format!(r#"{{"iss":"{}","aud":"orders","sub":"alice","exp":{exp}{further}}}"#, tokens::ISSUER)
}

#[test]
fn algorithm_none_in_any_spelling() {
    let spelt = |name: &str| Token::of("admin").header("alg", name).header("kid", Value::Null).sign();
    let mut attacks = Vec::new();
    for name in ["none", "None", "NONE", "nOnE", "none ", ""] {
        attacks.push((spelt(name), "algorithm_not_allowed"));
        attacks.push((format!("{}.", signed_part(&spelt(name))), "algorithm_not_allowed"));
    }
    assert_refused(&attacks);
}

#[test]
fn a_public_key_as_the_secret_of_an_hmac() {
    let named = Token::of("admin").signed_with(Algorithm::Hs256).header("kid", "demo-es256").sign();
    assert_refused(&[
        (tokens::algorithm_confusion("admin"), "algorithm_not_allowed"),
        (named, "algorithm_not_allowed"),
        (
            Token::of("admin").signed_with(Algorithm::Hs256).header("kid", Value::Null).sign(),
            "algorithm_not_allowed",
        ),
    ]);
}

#[test]
fn keys_that_a_token_brings_along() {
    // CVE-2018-0114: the attacker's own key, with a signature that fits it.
    let own = tokens::key_set(false)["keys"][2].clone();
    let by_attacker = || Token::of("admin").signed_with(Algorithm::EdDsa);
    let url = "https://attacker.example/keys";
    assert_refused(&[
        (by_attacker().header("jwk", own.clone()).header("kid", Value::Null).sign(), "algorithm_not_allowed"),
        (by_attacker().header("jku", url).sign(), "algorithm_not_allowed"),
        (by_attacker().header("x5u", url).sign(), "algorithm_not_allowed"),
        (by_attacker().header("x5c", json!(["MIIB"])).sign(), "algorithm_not_allowed"),
        (
            by_attacker().header("jwk", own).header("alg", "ES256").header("kid", "demo-es256").sign(),
            "signature_invalid",
        ),
    ]);
}

#[test]
fn a_key_id_that_is_a_path_or_a_query() {
    let with = |kid: &str| Token::of("admin").header("kid", kid).sign();
    let kids = [
        "../../../../dev/null",
        "/dev/null",
        "' UNION SELECT 'secret' --",
        "demo-es256\0",
        "| id",
        "DEMO-ES256",
        "demo-es256 ",
    ];
    let attacks: Vec<(String, &str)> = kids.into_iter().map(|kid| (with(kid), "unknown_key")).collect();
    assert_refused(&attacks);
}

#[test]
fn signatures_of_zeros_and_of_the_curves_order() {
    // CVE-2022-21449: r and s that are nought prove everything to who forgets to look.
    let token = Token::of("admin").sign();
    let order = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
        0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let of = |r: &[u8], s: &[u8]| format!("{}.{}", signed_part(&token), encode([r, s].concat()));
    let one = [[0; 31].as_slice(), &[1]].concat();
    assert_refused(&[
        (of(&[0; 32], &[0; 32]), "signature_invalid"),
        (of(&order, &order), "signature_invalid"),
        (of(&one, &[0; 32]), "signature_invalid"),
        (of(&[0; 32], &one), "signature_invalid"),
        (of(&[0xff; 32], &[0xff; 32]), "signature_invalid"),
        // DER, as other protocols write it, is not what RFC 7518 §3.4 says.
        (format!("{}.{}", signed_part(&token), encode([0x30, 0x06, 2, 1, 0, 2, 1, 0])), "signature_invalid"),
    ]);
}

#[test]
fn signatures_that_are_missing_short_long_or_of_another_token() {
    let (token, other) = (Token::of("admin").sign(), Token::of("alice").sign());
    let stolen = other.rsplit_once('.').unwrap().1;
    assert_refused(&[
        (signed_part(&token).to_owned(), "token_malformed"),
        (format!("{}.", signed_part(&token)), "signature_invalid"),
        (format!("{}.{stolen}", signed_part(&token)), "signature_invalid"),
        (format!("{}.{}", signed_part(&token), &stolen[..stolen.len() - 2]), "signature_invalid"),
        (format!("{token}AA"), "signature_invalid"),
        (format!("{token}.{stolen}"), "token_malformed"),
    ]);
}

#[test]
fn several_spellings_of_one_token() {
    let token = Token::of("alice").sign();
    assert_refused(&[
        (format!("{token}="), "token_malformed"),
        (format!("{token}=="), "token_malformed"),
        (token.replace('.', ".="), "token_malformed"),
        (format!("{} .{}", signed_part(&token), token.rsplit_once('.').unwrap().1), "token_malformed"),
        (token.replacen("ey", "%65y", 1), "token_malformed"),
    ]);
}

#[test]
fn tokens_of_another_serialization() {
    // CVE-2022-39227: one library reads the JSON, the next the dots.
    let token = Token::of("admin").sign();
    let parts: Vec<&str> = token.split('.').collect();
    let json = json!({ "payload": parts[1], "protected": parts[0], "signature": parts[2] }).to_string();
    assert_refused(&[
        (json.clone(), "token_malformed"),
        (format!("{{\"{token}\":1}}"), "token_malformed"),
        // Encrypted (RFC 7516).
        (format!("{token}.{}.{}", parts[1], parts[2]), "token_malformed"),
    ]);
}

#[test]
fn claims_and_headers_that_stand_twice() {
    let header = br#"{"alg":"ES256","kid":"demo-es256"}"#;
    let sign = |header: &[u8], payload: String| tokens::sign(Algorithm::Es256, header, payload.as_bytes());
    assert_refused(&[
        (sign(header, claims(r#","sub":"admin""#)), "token_malformed"),
        (sign(header, claims(r#","\u0073ub":"admin""#)), "token_malformed"),
        (sign(header, claims(r#","a":{"b":1,"b":2}"#)), "token_malformed"),
        (sign(br#"{"alg":"none","alg":"ES256","kid":"demo-es256"}"#, claims("")), "token_malformed"),
    ]);
}

#[test]
fn extensions_that_must_be_understood() {
    assert_refused(&[
        (Token::of("admin").header("crit", json!(["exp"])).header("exp", 1).sign(), "critical_header"),
        (Token::of("admin").header("crit", json!([])).sign(), "critical_header"),
        // RFC 7797: the payload would be something else than what is read.
        (Token::of("admin").header("b64", false).sign(), "critical_header"),
    ]);
}

#[test]
fn times_that_are_none() {
    let with = |name: &str, value: Value| Token::of("admin").claim(name, value).sign();
    assert_refused(&[
        (with("exp", json!("9999999999")), "token_malformed"),
        (with("exp", json!([9_999_999_999_u64])), "token_malformed"),
        (with("exp", json!(true)), "token_malformed"),
        (with("exp", json!(-1)), "token_expired"),
        (with("exp", json!(0)), "token_expired"),
        (with("exp", Value::Null), "expiry_missing"),
        (with("nbf", json!(1e300)), "token_not_yet_valid"),
        (with("iat", json!(u64::MAX)), "token_not_yet_valid"),
    ]);
}

#[test]
fn tokens_that_are_to_cost_much() {
    let header = br#"{"alg":"ES256","kid":"demo-es256"}"#;
    let deep = claims(&format!(r#","a":{}{}"#, "[".repeat(2000), "]".repeat(2000)));
    assert_refused(&[
        (tokens::sign(Algorithm::Es256, header, deep.as_bytes()), "token_malformed"),
        (Token::of("admin").claim("a", "x".repeat(16 << 10)).sign(), "token_too_large"),
        ("A".repeat(20 << 10), "token_too_large"),
    ]);
}

// === RFC 8725 §3 ===

#[test]
fn rfc_8725_3_1_the_algorithm_is_the_keys_and_not_what_the_token_says() {
    let with = |algorithm: Algorithm, name: &str, kid: &str| {
        Token::of("admin").signed_with(algorithm).header("alg", name).header("kid", kid).sign()
    };
    assert_refused(&[
        (with(Algorithm::Es256, "RS256", "demo-es256"), "algorithm_not_allowed"),
        (with(Algorithm::Rs256, "ES256", "demo-rs256"), "algorithm_not_allowed"),
        (with(Algorithm::Rs256, "PS256", "demo-rs256"), "algorithm_not_allowed"),
        (with(Algorithm::Rs256, "RS512", "demo-rs256"), "algorithm_not_allowed"),
        (with(Algorithm::Es256, "es256", "demo-es256"), "algorithm_not_allowed"),
    ]);
}

#[test]
fn rfc_8725_3_3_every_signature_is_verified_before_anything_is_said_of_claims() {
    let forged = |token: Token| {
        let token = token.sign();
        format!("{}.{}", signed_part(&token), Token::of("mallory").sign().rsplit_once('.').unwrap().1)
    };
    assert_refused(&[
        (forged(Token::of("admin").expires_in(-600)), "signature_invalid"),
        (forged(Token::of("admin").claim("aud", "billing")), "signature_invalid"),
        (forged(Token::of("admin").claim("exp", Value::Null)), "signature_invalid"),
    ]);
}

#[test]
fn rfc_8725_3_7_tokens_are_utf_8() {
    let header = br#"{"alg":"ES256","kid":"demo-es256"}"#;
    let payload = claims(r#","name":"?""#).into_bytes();
    let latin: Vec<u8> = payload.iter().map(|byte| if *byte == b'?' { 0xe9 } else { *byte }).collect();
    let utf_16: Vec<u8> = claims("").encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_refused(&[
        (tokens::sign(Algorithm::Es256, header, &latin), "token_malformed"),
        (tokens::sign(Algorithm::Es256, header, &utf_16), "token_malformed"),
        (
            tokens::sign(Algorithm::Es256, header, &[&[0xef, 0xbb, 0xbf], payload.as_slice()].concat()),
            "token_malformed",
        ),
    ]);
}

#[test]
fn rfc_8725_3_8_an_issuers_keys_sign_for_that_issuer_alone_and_a_subject_is_named() {
    let partners = || Token::of("admin").claim("iss", "https://partners.sluice.demo");
    assert_refused(&[
        // Staff's key for partners, and partners' key for staff.
        (partners().sign(), "algorithm_not_allowed"),
        (Token::of("admin").signed_with(Algorithm::EdDsa).sign(), "algorithm_not_allowed"),
        (Token::of("admin").claim("iss", "https://id.sluice.demo/").sign(), "issuer_mismatch"),
        (Token::of("admin").claim("iss", "https://ID.sluice.demo").sign(), "issuer_mismatch"),
        (Token::of("admin").claim("iss", Value::Null).sign(), "issuer_mismatch"),
        (Token::of("admin").claim("sub", Value::Null).sign(), "principal_missing"),
        (Token::of("").sign(), "principal_missing"),
        (Token::of("admin").claim("sub", json!(["admin"])).sign(), "principal_missing"),
    ]);
    // And the partners' own gets in, as theirs.
    let own = partners().signed_with(Algorithm::EdDsa).sign();
    assert_eq!(gateway().get_as(&own), 200);
}

#[test]
fn rfc_8725_3_9_a_token_for_another_audience_is_for_another_audience() {
    let with = |audience: Value| Token::of("admin").claim("aud", audience).sign();
    assert_refused(&[
        (with(json!("billing")), "audience_mismatch"),
        (with(json!("orders ")), "audience_mismatch"),
        (with(json!("Orders")), "audience_mismatch"),
        (with(json!("orders,billing")), "audience_mismatch"),
        (with(json!([])), "audience_mismatch"),
        (with(Value::Null), "audience_mismatch"),
        (with(json!({ "orders": true })), "token_malformed"),
        (with(json!(["orders", 7])), "token_malformed"),
    ]);
}

#[test]
fn rfc_8725_3_11_a_token_of_another_type_is_none_for_access() {
    let with = |media_type: &str| Token::of("admin").header("typ", media_type).sign();
    let types = ["logout+jwt", "dpop+jwt", "secevent+jwt", "application/logout+jwt", "JOSE"];
    let attacks: Vec<(String, &str)> = types.into_iter().map(|name| (with(name), "type_mismatch")).collect();
    assert_refused(&attacks);
}
