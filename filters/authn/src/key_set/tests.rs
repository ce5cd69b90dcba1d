use super::*;
use crate::jwk::{Imported, Jwk};
use crate::test_tokens::jwk;
use serde_json::{Value, json};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn set(keys: &[(&str, Option<&str>)]) -> KeySet {
    let key = |(kid, id): &(&str, Option<&str>)| {
        let mut jwk = jwk(kid);
        jwk["kid"] = id.map_or(Value::Null, |id| json!(id));
        let jwk: Jwk = serde_json::from_value(jwk).unwrap();
        match jwk.import(AlgorithmSet::quick(), sluice_core::document::variable::of_this_process).unwrap() {
            Imported::Key(key) => key,
            Imported::Unusable(problem) => panic!("{problem:?}"),
        }
    };
    KeySet::new(keys.iter().map(key).collect())
}

#[test]
fn a_kid_chooses_the_key_and_without_one_all_that_fit_are_tried() {
    let keys = set(&[("rsa", Some("a")), ("p256", Some("b")), ("rsa", Some("c")), ("p256", None)]);
    for (id, algorithm, expected) in [
        (Some("a"), Algorithm::Rs256, Ok(vec![Some("a")])),
        (Some("b"), Algorithm::Es256, Ok(vec![Some("b"), None])),
        (Some("unknown"), Algorithm::Es256, Ok(vec![None])),
        (None, Algorithm::Rs256, Ok(vec![Some("a"), Some("c")])),
        (Some("unknown"), Algorithm::Rs256, Err(NoKey::AlgorithmNotAllowed)),
        (Some("a"), Algorithm::Rs512, Err(NoKey::AlgorithmNotAllowed)),
        (None, Algorithm::Hs256, Err(NoKey::AlgorithmNotAllowed)),
    ] {
        let found = keys.candidates(id, algorithm);
        let found = found.map(|keys| keys.map(|key| key.id.as_deref()).collect::<Vec<_>>());
        assert_eq!(found, expected, "{id:?} {algorithm}");
    }
}

#[test]
fn a_kid_of_no_key_is_unknown_and_one_of_another_type_is_not_for_the_algorithm() {
    let keys = set(&[("rsa", Some("a")), ("p256", Some("b"))]);
    assert_eq!(keys.candidates(Some("c"), Algorithm::Rs256).err(), Some(NoKey::Unknown));
    assert_eq!(keys.candidates(Some("b"), Algorithm::Rs256).err(), Some(NoKey::AlgorithmNotAllowed));
}

#[test]
fn without_a_kid_all_are_tried() {
    let keys = set(&[("rsa", Some("a")); 9]);
    assert_eq!(keys.candidates(None, Algorithm::Rs256).unwrap().count(), 9);
    assert_eq!(keys.most_tries(), (9, 9));
    assert_eq!(KeySet::default().most_tries(), (0, 0));
}
