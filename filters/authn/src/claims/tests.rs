use super::*;
use serde_json::json;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const NOW: u64 = 1_800_000_000;

fn check(
    claims: &Value,
    skew_seconds: u64,
    require_expiry: bool,
    audiences: Option<&[&str]>,
) -> Result<u64, Failure> {
    let rules = ClaimRules {
        audiences: audiences.map(|list| list.iter().map(ToString::to_string).collect()),
        clock_skew: skew_seconds * NANOSECONDS,
        require_expiry,
        max_lifetime: None,
        subjects: None,
        claims: Vec::new(),
    };
    rules.check(claims, UnixTime::from_seconds(NOW)).map(UnixTime::as_nanos)
}

#[test]
fn a_token_is_good_from_its_beginning_until_just_before_its_end() {
    use Failure::{ExpiryMissing, TokenExpired, TokenMalformed, TokenNotYetValid};
    for (claims, skew, expected) in [
        (json!({ "exp": NOW + 1 }), 0, Ok(NOW + 1)),
        // RFC 7519 §4.1.4: on or after.
        (json!({ "exp": NOW }), 0, Err(TokenExpired)),
        (json!({ "exp": NOW - 59 }), 60, Ok(NOW + 1)),
        (json!({ "exp": NOW - 60 }), 60, Err(TokenExpired)),
        (json!({}), 0, Err(ExpiryMissing)),
        (json!({ "exp": null }), 0, Err(TokenMalformed)),
        (json!({ "exp": "1900000000" }), 0, Err(TokenMalformed)),
        (json!({ "exp": [NOW + 1] }), 0, Err(TokenMalformed)),
        (json!({ "exp": true }), 0, Err(TokenMalformed)),
        (json!({ "exp": 0 }), 60, Err(TokenExpired)),
        (json!({ "exp": -1 }), 60, Err(TokenExpired)),
        (json!({ "exp": i64::MIN }), 60, Err(TokenExpired)),
        (json!({ "exp": -1e300 }), 60, Err(TokenExpired)),
        (json!({ "exp": NOW + 1, "nbf": NOW }), 0, Ok(NOW + 1)),
        (json!({ "exp": NOW + 1, "nbf": NOW + 1 }), 0, Err(TokenNotYetValid)),
        (json!({ "exp": NOW + 1, "nbf": NOW + 60 }), 60, Ok(NOW + 61)),
        (json!({ "exp": NOW + 1, "nbf": NOW + 61 }), 60, Err(TokenNotYetValid)),
        (json!({ "exp": NOW + 1, "nbf": -5 }), 0, Ok(NOW + 1)),
        (json!({ "exp": NOW + 1, "nbf": u64::MAX }), 60, Err(TokenNotYetValid)),
        (json!({ "exp": NOW + 1, "nbf": 1e300 }), 60, Err(TokenNotYetValid)),
        (json!({ "exp": NOW + 1, "nbf": "0" }), 0, Err(TokenMalformed)),
        (json!({ "exp": NOW + 1, "iat": NOW }), 0, Ok(NOW + 1)),
        (json!({ "exp": NOW + 1, "iat": NOW + 61 }), 60, Err(TokenNotYetValid)),
        (json!({ "exp": NOW + 1, "iat": {} }), 0, Err(TokenMalformed)),
    ] {
        let expected = expected.map(|seconds| seconds * NANOSECONDS);
        assert_eq!(check(&claims, skew, true, None), expected, "{claims} ± {skew}");
    }
}

#[test]
fn dates_may_have_fractions_and_may_be_far_off() {
    let fraction = check(&json!({ "exp": NOW as f64 + 0.5 }), 0, true, None).unwrap();
    assert_eq!(fraction, NOW * NANOSECONDS + NANOSECONDS / 2);
    for far in [json!(u64::MAX), json!(1e30), json!(1e300), json!(99_999_999_999_u64)] {
        assert_eq!(check(&json!({ "exp": far }), 60, true, None), Ok(u64::MAX), "{far}");
    }
}

#[test]
fn a_token_without_end_is_good_only_where_that_is_allowed() {
    assert_eq!(check(&json!({}), 0, false, None), Ok(u64::MAX));
    assert_eq!(check(&json!({ "exp": NOW }), 0, false, None), Err(Failure::TokenExpired));
}

#[test]
fn a_token_must_be_for_one_of_the_audiences() {
    use Failure::{AudienceMismatch, TokenMalformed};
    for (audience, expected) in [
        (json!("orders"), Ok(())),
        (json!("billing"), Ok(())),
        (json!(["x", "orders"]), Ok(())),
        (json!("Orders"), Err(AudienceMismatch)),
        (json!("orders "), Err(AudienceMismatch)),
        (json!("x"), Err(AudienceMismatch)),
        (json!([]), Err(AudienceMismatch)),
        (json!(["x"]), Err(AudienceMismatch)),
        (json!(["orders", 7]), Err(TokenMalformed)),
        (json!({ "orders": 1 }), Err(TokenMalformed)),
        (json!(null), Err(TokenMalformed)),
    ] {
        let checked =
            check(&json!({ "exp": NOW + 1, "aud": audience }), 0, true, Some(&["orders", "billing"]));
        assert_eq!(checked.map(drop), expected, "{audience}");
    }
    let none = json!({ "exp": NOW + 1 });
    assert_eq!(check(&none, 0, true, Some(&["orders"])), Err(AudienceMismatch));
    assert!(check(&none, 0, true, None).is_ok());
}

/// As a document writes them.
fn matching(value: Value) -> ValueMatch {
    serde_json::from_value(value).unwrap()
}

#[test]
fn what_lives_too_long_is_refused_and_what_never_ends_lives_too_long() {
    for (exp, skew, expected) in [
        (json!(NOW + 3600), 0, Ok(())),
        (json!(NOW + 3601), 0, Err(Failure::LifetimeTooLong)),
        (json!(NOW + 3660), 60, Ok(())),
        (json!(NOW + 3661), 60, Err(Failure::LifetimeTooLong)),
        (json!(1e300), 0, Err(Failure::LifetimeTooLong)),
        (json!(u64::MAX), 60, Err(Failure::LifetimeTooLong)),
        (Value::Null, 0, Err(Failure::LifetimeTooLong)),
    ] {
        let rules = ClaimRules {
            audiences: None,
            clock_skew: skew * NANOSECONDS,
            require_expiry: false,
            max_lifetime: Some(3600 * NANOSECONDS),
            subjects: None,
            claims: Vec::new(),
        };
        let claims = if exp.is_null() { json!({}) } else { json!({ "exp": exp }) };
        assert_eq!(rules.check(&claims, UnixTime::from_seconds(NOW)).map(|_| ()), expected, "{claims}");
    }
}

#[test]
fn subjects_and_claims_are_met_by_what_is_there_alone() {
    let subjects = |wanted: Value| (Some(matching(wanted)), Vec::new());
    let claim = |path: &str, wanted: Value| (None, vec![(ClaimPath::new(path).unwrap(), matching(wanted))]);
    for ((subjects, wanted), claims, expected) in [
        (subjects(json!("alice")), json!({ "sub": "alice" }), Ok(())),
        (subjects(json!("alice")), json!({ "sub": "Alice" }), Err(Failure::SubjectMismatch)),
        (subjects(json!("alice")), json!({ "sub": ["alice"] }), Err(Failure::SubjectMismatch)),
        (subjects(json!("7")), json!({ "sub": 7 }), Err(Failure::SubjectMismatch)),
        (subjects(json!("alice")), json!({}), Err(Failure::SubjectMismatch)),
        (subjects(json!({ "present": false })), json!({}), Err(Failure::SubjectMismatch)),
        (subjects(json!({ "prefix": "spiffe://a/" })), json!({ "sub": "spiffe://a/b" }), Ok(())),
        (
            subjects(json!({ "prefix": "spiffe://a/" })),
            json!({ "sub": "spiffe://ab" }),
            Err(Failure::SubjectMismatch),
        ),
        (
            subjects(json!({ "suffix": "@a.example" })),
            json!({ "sub": "x@b.example" }),
            Err(Failure::SubjectMismatch),
        ),
        (claim("hd", json!("a.example")), json!({ "hd": "a.example" }), Ok(())),
        (claim("hd", json!("a.example")), json!({}), Err(Failure::ClaimMismatch)),
        (claim("hd", json!("a.example")), json!({ "hd": null }), Err(Failure::ClaimMismatch)),
        (claim("email_verified", json!(true)), json!({ "email_verified": true }), Ok(())),
        (
            claim("email_verified", json!(true)),
            json!({ "email_verified": false }),
            Err(Failure::ClaimMismatch),
        ),
        (claim("groups", json!("ops")), json!({ "groups": ["dev", "ops"] }), Ok(())),
        (claim("groups", json!("ops")), json!({ "groups": ["devops"] }), Err(Failure::ClaimMismatch)),
        (claim("a.b", json!({ "present": true })), json!({ "a": { "b": {} } }), Ok(())),
        (claim("a.b", json!({ "present": true })), json!({ "a": {} }), Err(Failure::ClaimMismatch)),
        (claim("act", json!({ "present": false })), json!({ "act": "x" }), Err(Failure::ClaimMismatch)),
        (claim("act", json!({ "present": false })), json!({}), Ok(())),
    ] {
        let rules = ClaimRules {
            audiences: None,
            clock_skew: 0,
            require_expiry: false,
            max_lifetime: None,
            subjects,
            claims: wanted,
        };
        assert_eq!(rules.check(&claims, UnixTime::from_seconds(NOW)).map(|_| ()), expected, "{claims}");
    }
}
