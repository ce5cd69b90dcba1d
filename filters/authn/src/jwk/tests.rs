use super::*;
use crate::test_tokens::jwk;
use serde_json::{Value, json};
use sluice_core::document::variable::of_this_process;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// A key with changes; `null` takes a member out.
fn changed(kid: &str, changes: Value) -> Jwk {
    let mut jwk = jwk(kid);
    let all = jwk.as_object_mut().unwrap();
    all.extend(changes.as_object().unwrap().clone());
    all.retain(|_, value| !value.is_null());
    serde_json::from_value(jwk).unwrap()
}

/// A key that can be used.
fn usable(imported: Imported) -> VerificationKey {
    match imported {
        Imported::Key(key) => key,
        Imported::Unusable(problem) => panic!("{problem:?}"),
    }
}

fn every_algorithm() -> AlgorithmSet {
    Algorithm::all().collect()
}

#[test]
fn a_key_is_bound_to_what_fits_it_and_what_it_says() {
    for (kid, changes, accepted, expected) in [
        ("rsa", json!({}), AlgorithmSet::quick(), vec!["RS256"]),
        ("rsa", json!({}), every_algorithm(), vec!["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]),
        ("rsa", json!({ "alg": "PS384" }), every_algorithm(), vec!["PS384"]),
        ("p256", json!({}), every_algorithm(), vec!["ES256"]),
        (
            "p256",
            json!({ "alg": "ES256", "use": "sig", "key_ops": ["verify"] }),
            AlgorithmSet::quick(),
            vec!["ES256"],
        ),
        ("p384", json!({}), every_algorithm(), vec!["ES384"]),
        ("ed", json!({ "alg": "EdDSA" }), AlgorithmSet::quick(), vec!["EdDSA"]),
        ("ed", json!({ "alg": "Ed25519" }), AlgorithmSet::quick(), vec!["EdDSA"]),
        ("secret", json!({}), every_algorithm(), vec!["HS256", "HS384", "HS512"]),
        (
            "secret",
            json!({ "k": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" }),
            every_algorithm(),
            vec!["HS256"],
        ),
        (
            "rsa",
            json!({ "x5t": "ignored", "x5c": ["ignored"], "more": {} }),
            AlgorithmSet::quick(),
            vec!["RS256"],
        ),
    ] {
        let key = usable(changed(kid, changes.clone()).import(accepted, of_this_process).unwrap());
        let names: Vec<&str> = key.algorithms.iter().map(Algorithm::name).collect();
        assert_eq!(names, expected, "{kid} {changes}");
        assert_eq!(key.id.as_deref(), Some(kid));
    }
}

#[test]
fn a_key_for_others_or_for_later_is_left_out_and_it_is_said_why() {
    for (kid, changes, member, why) in [
        ("rsa", json!({ "use": "enc" }), "use", "`enc`: the key is not for signatures"),
        ("rsa", json!({ "use": "SIG" }), "use", "not for signatures"),
        ("rsa", json!({ "key_ops": ["encrypt"] }), "key_ops", "`verify` is not among them"),
        ("rsa", json!({ "key_ops": [] }), "key_ops", "`verify` is not among them"),
        ("secret", json!({ "key_ops": ["sign"] }), "key_ops", "`verify` is not among them"),
        ("p384", json!({}), "alg", "it verifies `ES384`"),
        ("rsa", json!({ "alg": "PS256" }), "alg", "it verifies `PS256`"),
        ("rsa", json!({ "kty": "rsa" }), "kty", "`rsa` is not supported; there are `RSA`, `EC`"),
        ("rsa", json!({ "kty": "AKP", "alg": "ML-DSA-44" }), "kty", "`AKP` is not supported"),
        ("p256", json!({ "crv": "secp256k1" }), "crv", "not supported"),
        ("p256", json!({ "crv": "P-521" }), "crv", "not supported"),
        ("ed", json!({ "crv": "X25519" }), "crv", "not supported"),
        ("ed", json!({ "crv": "Ed448" }), "crv", "not supported"),
        ("rsa", json!({ "alg": "RSA-OAEP" }), "alg", "`RSA-OAEP` is not a supported algorithm"),
        ("rsa", json!({ "alg": "none" }), "alg", "`none` is not a supported algorithm"),
        ("secret", json!({ "alg": "A256KW" }), "alg", "not a supported algorithm"),
        ("rsa", json!({ "n": "AQAB" }), "n", "17 bits"),
        ("rsa", json!({ "e": "Aw" }), "n", "65537"),
    ] {
        let imported = changed(kid, changes.clone()).import(AlgorithmSet::quick(), of_this_process);
        let Ok(Imported::Unusable(problem)) = imported else { panic!("{kid} {changes}: {imported:?}") };
        assert_eq!(problem.member, member, "{kid} {changes}: {}", problem.message);
        assert!(problem.message.contains(why), "{kid} {changes}: {}", problem.message);
    }
}

#[test]
fn what_is_no_public_key_is_an_error_that_names_the_member() {
    for (kid, changes, member, why) in [
        ("rsa", json!({ "d": "AQAB" }), "d", "private key"),
        ("rsa", json!({ "qi": 7 }), "qi", "private key"),
        ("p256", json!({ "d": "AQAB" }), "d", "private key"),
        ("ed", json!({ "d": "AQAB" }), "d", "private key"),
        ("ed", json!({ "kty": "AKP", "priv": "AQAB" }), "priv", "private key"),
        ("p256", json!({ "crv": "P-521", "d": "AQAB" }), "d", "private key"),
        ("rsa", json!({ "use": "enc", "d": "AQAB" }), "d", "private key"),
        ("rsa", json!({ "n": null }), "n", "missing"),
        ("rsa", json!({ "e": "AQAB=" }), "e", "Base64url"),
        ("rsa", json!({ "e": "AQ+B" }), "e", "Base64url"),
        ("rsa", json!({ "alg": "ES256" }), "alg", "does not fit"),
        ("p256", json!({ "alg": "ES384" }), "alg", "does not fit"),
        ("p256", json!({ "crv": null }), "crv", "missing"),
        ("p256", json!({ "crv": "P-384" }), "x", "48 each"),
        ("p256", json!({ "x": "AQAB" }), "x", "32 each"),
        ("p256", json!({ "y": null }), "y", "missing"),
        ("ed", json!({ "x": "AQAB" }), "x", "Ed25519"),
        ("secret", json!({ "k": "c2hvcnQ" }), "k", "at least 32"),
        ("secret", json!({ "k": null }), "k", "missing"),
        ("secret", json!({ "alg": "RS256" }), "alg", "does not fit"),
    ] {
        let error = changed(kid, changes.clone()).import(every_algorithm(), of_this_process).unwrap_err();
        assert_eq!(error.member, member, "{kid} {changes}: {}", error.message);
        assert!(error.message.contains(why), "{kid} {changes}: {}", error.message);
    }
}

#[test]
fn neither_debug_nor_an_error_shows_a_secret() {
    let secret = jwk("secret")["k"].as_str().unwrap().to_owned();
    assert!(!format!("{:?}", changed("secret", json!({}))).contains(&secret));
    let error =
        changed("secret", json!({ "k": "c2hvcnQ" })).import(every_algorithm(), of_this_process).unwrap_err();
    assert!(!format!("{error:?}").contains("c2hvcnQ"));
}

/// What the proxy's VM has in its environment.
fn variables(name: &str) -> Variable {
    match name {
        "GOOD" => Variable::Is(jwk("secret")["k"].as_str().unwrap().to_owned()),
        "SHORT" => Variable::Is("c2hvcnQ".to_owned()),
        "RAW" => Variable::Is("not Base64url!".to_owned()),
        "ELSEWHERE" => Variable::Unknown,
        _ => Variable::Absent,
    }
}

fn named(variable: &str) -> Result<VerificationKey, JwkProblem> {
    changed("secret", json!({ "k": { "environment": variable } }))
        .import(every_algorithm(), variables)
        .map(usable)
}

#[test]
fn a_secret_may_be_in_a_variable_of_the_environment() {
    let in_document =
        usable(changed("secret", json!({})).import(every_algorithm(), of_this_process).unwrap());
    let message = b"header.payload";
    let tag = jwt_simple::prelude::HS256Key::from_bytes(&decode("k", jwk("secret")["k"].as_str()).unwrap());
    let tag = jwt_simple::prelude::MACLike::authentication_tag(&tag, message);
    let environment = sluice_core::simulation::SimulatedHost::default();
    for key in [in_document, named("GOOD").unwrap()] {
        assert!(key.material.verifies(Algorithm::Hs256, message, &tag, &environment).unwrap());
    }
    let unknown = named("ELSEWHERE").unwrap();
    assert!(!unknown.material.verifies(Algorithm::Hs256, message, &tag, &environment).unwrap());
    assert_eq!(unknown.algorithms, named("GOOD").unwrap().algorithms);
}

#[test]
fn a_variable_that_is_absent_or_no_secret_is_refused_without_its_value() {
    for (variable, why) in [
        ("NOT_SET", "there is no environment variable `NOT_SET`: give it to the VM"),
        ("SHORT", "at least 32"),
        ("RAW", "not Base64url"),
    ] {
        let error = named(variable).unwrap_err();
        assert_eq!(error.member, "k");
        assert!(error.message.contains(why), "{}", error.message);
        assert!(!error.message.contains("c2hvcnQ") && !error.message.contains('!'), "{}", error.message);
    }
}

#[test]
fn a_reference_names_a_variable_and_nothing_else() {
    for (k, why) in [
        (json!({ "environment": "A-B" }), "not the name of an environment variable"),
        (json!({ "env": "A" }), "unknown field `env`"),
        (json!({}), "missing field `environment`"),
        (json!(7), "the secret, or `{ environment: NAME }`"),
    ] {
        let mut key = jwk("secret");
        key["k"] = k;
        let error = serde_json::from_value::<Jwk>(key).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}
