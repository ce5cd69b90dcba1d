use super::*;
use crate::test_tokens::{decode, jwk};
use jwt_simple::prelude::{ES256PublicKey, ES384PublicKey, RS256PublicKey};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn point(jwk: &serde_json::Value) -> Vec<u8> {
    let coordinate = |name: &str| decode(jwk[name].as_str().unwrap());
    [vec![4], coordinate("x"), coordinate("y")].concat()
}

#[test]
fn public_keys_are_as_another_writer_has_them() {
    let p256 = point(&jwk("p256"));
    assert_eq!(p256_public_key(&p256), ES256PublicKey::from_bytes(&p256).unwrap().to_der().unwrap());
    let p384 = point(&jwk("p384"));
    assert_eq!(p384_public_key(&p384), ES384PublicKey::from_bytes(&p384).unwrap().to_der().unwrap());
    let modulus = decode(jwk("rsa")["n"].as_str().unwrap());
    let expected = RS256PublicKey::from_components(&modulus, &[1, 0, 1]).unwrap().to_der().unwrap();
    assert_eq!(rsa_public_key(&modulus, &[1, 0, 1]), expected);
}

#[test]
fn integers_of_signatures_are_minimal_and_never_negative() {
    for (joined, expected) in [
        (vec![1, 2], vec![0x30, 6, 2, 1, 1, 2, 1, 2]),
        (vec![0, 1, 0, 0x80], vec![0x30, 7, 2, 1, 1, 2, 2, 0, 0x80]),
        (vec![0, 0, 0, 0], vec![0x30, 6, 2, 1, 0, 2, 1, 0]),
        (vec![], vec![0x30, 6, 2, 1, 0, 2, 1, 0]),
    ] {
        assert_eq!(ecdsa_signature(&joined), expected, "{joined:?}");
    }
}

#[test]
fn lengths_above_127_have_the_long_form() {
    assert_eq!(element(4, &[7; 127])[..2], [4, 127]);
    assert_eq!(element(4, &[7; 128])[..3], [4, 0x81, 128]);
    assert_eq!(element(4, &[7; 256])[..4], [4, 0x82, 1, 0]);
    assert_eq!(element(4, &[]), [4, 0]);
}
