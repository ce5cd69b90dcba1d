use super::*;
use crate::jwk::{Imported, Jwk};
use crate::test_tokens::{decode, jwk, kid, sign};
use serde_json::{Value, json};
use sluice_core::simulation::SimulatedHost;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn every_algorithm() -> AlgorithmSet {
    Algorithm::all().collect()
}

fn key(jwk: Value) -> KeyMaterial {
    let jwk: Jwk = serde_json::from_value(jwk).unwrap();
    match jwk.import(every_algorithm(), sluice_core::document::variable::of_this_process).unwrap() {
        Imported::Key(key) => key.material,
        Imported::Unusable(problem) => panic!("{problem:?}"),
    }
}

fn verifies(key: &KeyMaterial, algorithm: Algorithm, message: &str, signature: &str) -> bool {
    key.verifies(algorithm, message.as_bytes(), &decode(signature), &SimulatedHost::default()).unwrap()
}

/// The signing inputs of RFC 7515 §A.1 to §A.3, and the signatures there.
const PAYLOAD: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const A1: (&str, &str) =
    ("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
const A2: (&str, &str) = (
    "eyJhbGciOiJSUzI1NiJ9",
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
);
const A3: (&str, &str) = (
    "eyJhbGciOiJFUzI1NiJ9",
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
);

#[test]
fn the_signatures_of_rfc_7515_are_verified() {
    for ((header, signature), algorithm) in
        [(A1, Algorithm::Hs256), (A2, Algorithm::Rs256), (A3, Algorithm::Es256)]
    {
        let key = key(jwk(kid(algorithm)));
        assert!(verifies(&key, algorithm, &format!("{header}.{PAYLOAD}"), signature), "{algorithm}");
        assert!(!verifies(&key, algorithm, &format!("{header}.{PAYLOAD}x"), signature), "{algorithm}");
    }
}

#[test]
fn the_signature_of_rfc_8037_is_verified() {
    // §A.4.
    let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let key = key(jwk("ed"));
    assert!(verifies(&key, Algorithm::EdDsa, signed, signature));
    assert!(!verifies(&key, Algorithm::EdDsa, "eyJhbGciOiJFZERTQSJ9.", signature));
}

#[test]
fn the_signatures_of_rfc_7520_are_verified() {
    let rsa = json!({
        "kty": "RSA", "e": "AQAB",
        "n": "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw"
    });
    let secret = json!({ "kty": "oct", "k": "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg" });
    let payload = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4";
    for (algorithm, jwk, header, signature) in [
        // §4.1.
        (
            Algorithm::Rs256,
            &rsa,
            "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
            "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg",
        ),
        // §4.2.
        (
            Algorithm::Ps384,
            &rsa,
            "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
            "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw",
        ),
        // §4.4.
        (
            Algorithm::Hs256,
            &secret,
            "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9",
            "s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0",
        ),
    ] {
        let key = key(jwk.clone());
        assert!(verifies(&key, algorithm, &format!("{header}.{payload}"), signature), "{algorithm}");
        assert!(!verifies(&key, algorithm, &format!("{payload}.{header}"), signature), "{algorithm}");
    }
}

#[test]
fn every_algorithm_verifies_its_own_signatures_and_no_other() {
    let environment = SimulatedHost::default();
    for signed_with in Algorithm::all() {
        let signature = sign(signed_with, b"message");
        for kid in ["rsa", "p256", "p384", "ed", "secret"] {
            let key = key(jwk(kid));
            for algorithm in Algorithm::all() {
                let expected = algorithm == signed_with && kid == crate::test_tokens::kid(signed_with);
                let verified = key.verifies(algorithm, b"message", &signature, &environment).unwrap();
                assert_eq!(verified, expected, "{kid} {algorithm}, signed with {signed_with}");
            }
        }
    }
}

#[test]
fn a_changed_bit_a_missing_byte_and_one_too_many_make_a_signature_bad() {
    let environment = SimulatedHost::default();
    for algorithm in
        [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa, Algorithm::Hs256]
    {
        let key = key(jwk(kid(algorithm)));
        let good = sign(algorithm, b"message");
        let mut bad: Vec<Vec<u8>> = vec![
            Vec::new(),
            good[1..].to_vec(),
            good[..good.len() - 1].to_vec(),
            [&good, [0].as_slice()].concat(),
            [[0].as_slice(), &good].concat(),
            vec![0; good.len()],
            vec![0xff; good.len()],
        ];
        for position in [0, good.len() / 2 - 1, good.len() / 2, good.len() - 1] {
            let mut changed = good.clone();
            changed[position] ^= 1;
            bad.push(changed);
        }
        assert!(key.verifies(algorithm, b"message", &good, &environment).unwrap());
        for signature in bad {
            assert!(
                !key.verifies(algorithm, b"message", &signature, &environment).unwrap(),
                "{algorithm} {signature:02x?}"
            );
        }
    }
}

#[test]
fn the_host_is_asked_where_it_can_and_never_about_what_does_not_fit() {
    for (algorithm, asks) in [
        (Algorithm::Rs256, 1),
        (Algorithm::Rs512, 1),
        (Algorithm::Es256, 1),
        (Algorithm::Es384, 1),
        (Algorithm::Ps256, 0),
        (Algorithm::EdDsa, 0),
        (Algorithm::Hs256, 0),
    ] {
        // A host that calls every signature good: what it says counts, where it is asked.
        let environment = SimulatedHost::default().with_host_crypto(true);
        let key = key(jwk(kid(algorithm)));
        let length = key.signature_length(algorithm).unwrap();
        assert_eq!(
            key.verifies(algorithm, b"message", &vec![1; length], &environment).unwrap(),
            asks == 1,
            "{algorithm}"
        );
        assert_eq!(environment.host_crypto_calls(), asks, "{algorithm}");
        assert!(
            !key.verifies(algorithm, b"message", &vec![1; length - 1], &environment).unwrap(),
            "{algorithm}"
        );
        let other = if algorithm == Algorithm::Es256 { Algorithm::Rs256 } else { Algorithm::Es256 };
        assert!(!key.verifies(other, b"message", &vec![1; length], &environment).unwrap(), "{algorithm}");
        assert_eq!(environment.host_crypto_calls(), asks, "{algorithm}");
    }
}

#[test]
fn keys_are_as_strong_as_the_rfc_asks() {
    let modulus = |bytes: usize| [vec![0xff; bytes - 1], vec![0xfd]].concat();
    assert!(KeyMaterial::rsa(&modulus(256), &[1, 0, 1]).is_ok());
    assert!(KeyMaterial::rsa(&[vec![0], modulus(256)].concat(), &[1, 0, 1]).is_ok(), "a leading zero");
    assert!(KeyMaterial::rsa(&modulus(512), &[1, 0, 1]).is_ok());
    for (modulus, exponent, why) in [
        (modulus(128), vec![1, 0, 1], "1024 bits"),
        ([vec![0x7f], modulus(255)].concat(), vec![1, 0, 1], "2047 bits"),
        (modulus(513), vec![1, 0, 1], "4104 bits"),
        (modulus(256), vec![3], "exponent is not 65537"),
        (modulus(256), vec![], "exponent is not 65537"),
        (vec![0xfe; 256], vec![1, 0, 1], "even"),
        (vec![], vec![1, 0, 1], "0 bits"),
    ] {
        let error = KeyMaterial::rsa(&modulus, &exponent).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    assert!(KeyMaterial::p256(&[1; 32], &[1; 32]).unwrap_err().contains("no point"));
    assert!(KeyMaterial::p256(&[0; 32], &[0; 32]).is_err());
    assert!(KeyMaterial::p256(&[1; 31], &[1; 32]).unwrap_err().contains("31 and 32 bytes"));
    assert!(KeyMaterial::p384(&[1; 32], &[1; 32]).is_err());
    for weak in [[0; 32], [1; 32].map(|byte| if byte == 1 { 0 } else { byte })] {
        assert!(KeyMaterial::ed25519(&weak).is_err());
    }
    let identity = [[1].as_slice(), &[0; 31]].concat();
    assert!(KeyMaterial::ed25519(&identity).is_err(), "a point of small order");
    assert!(KeyMaterial::secret(vec![1; 31]).unwrap_err().contains("at least 32"));
    let short = KeyMaterial::secret(vec![1; 32]).unwrap();
    assert_eq!(short.fitting(), [Algorithm::Hs256].into_iter().collect());
}

#[test]
fn debug_does_not_show_a_secret() {
    assert_eq!(format!("{:?}", key(jwk("secret"))), "***");
}

/// A host whose crypto shares no line with ours.
#[cfg(not(target_arch = "wasm32"))]
mod against_another_implementation {
    use super::*;
    use proptest::prelude::*;
    use ring::signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, RSA_PKCS1_2048_8192_SHA256,
        RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
    };
    use sluice_core::decision::environment::{HostCryptoUnavailable, SharedError, UnixTime};
    use std::net::IpAddr;

    #[derive(Default)]
    struct OtherHost(SimulatedHost);

    impl Environment for OtherHost {
        fn now(&self) -> UnixTime {
            self.0.now()
        }
        fn random(&self) -> u64 {
            self.0.random()
        }
        fn peer_address(&self) -> Option<IpAddr> {
            None
        }
        fn peer_identity(&self) -> Option<String> {
            None
        }
        fn shared_get(&self, _: &str) -> Option<(Vec<u8>, u32)> {
            None
        }
        fn shared_set(&self, _: &str, _: &[u8], _: u32) -> Result<(), SharedError> {
            Err(SharedError::Unavailable)
        }
        fn verify_signature(&self, check: &SignatureCheck<'_>) -> Result<bool, HostCryptoUnavailable> {
            // SubjectPublicKeyInfo in front of the key itself: its length tells the type of key (all lengths here are fixed).
            let (algorithm, prefix): (&'static dyn VerificationAlgorithm, usize) =
                match (check.public_key.len(), check.hash) {
                    (294, "sha256") => (&RSA_PKCS1_2048_8192_SHA256, 24),
                    (294, "sha384") => (&RSA_PKCS1_2048_8192_SHA384, 24),
                    (294, "sha512") => (&RSA_PKCS1_2048_8192_SHA512, 24),
                    (91, "sha256") => (&ECDSA_P256_SHA256_ASN1, 26),
                    (120, "sha384") => (&ECDSA_P384_SHA384_ASN1, 23),
                    (length, hash) => panic!("an unexpected key of {length} bytes with {hash}"),
                };
            let key = UnparsedPublicKey::new(algorithm, &check.public_key[prefix..]);
            Ok(key.verify(check.message, check.signature).is_ok())
        }
    }

    fn host_algorithm() -> impl Strategy<Value = Algorithm> {
        prop_oneof![
            Just(Algorithm::Rs256),
            Just(Algorithm::Rs384),
            Just(Algorithm::Rs512),
            Just(Algorithm::Es256),
            Just(Algorithm::Es384)
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn host_and_own_crypto_agree(
            algorithm in host_algorithm(),
            message: Vec<u8>,
            change in proptest::option::of((any::<prop::sample::Index>(), 1..=255_u8)),
        ) {
            let key = key(jwk(kid(algorithm)));
            let mut signature = sign(algorithm, &message);
            if let Some((position, difference)) = &change {
                let position = position.index(signature.len());
                signature[position] ^= difference;
            }
            let by_host = key.verifies(algorithm, &message, &signature, &OtherHost::default()).unwrap();
            let by_us = key.verifies(algorithm, &message, &signature, &SimulatedHost::default()).unwrap();
            prop_assert_eq!(by_host, change.is_none());
            prop_assert_eq!(by_us, change.is_none());
        }
    }

    #[test]
    fn signatures_with_short_halves_are_written_as_der_has_them() {
        // Until both halves have begun with a zero byte, and with a set top bit.
        let mut seen = [false; 4];
        let key = key(jwk("p256"));
        for number in 0..3000_u32 {
            let message = number.to_be_bytes();
            let signature = sign(Algorithm::Es256, &message);
            let (r, s) = (signature[0], signature[32]);
            let interesting = [r == 0, s == 0, r >= 0x80, s >= 0x80];
            if interesting.iter().zip(&seen).any(|(is, was)| *is && !*was) {
                assert!(key.verifies(Algorithm::Es256, &message, &signature, &OtherHost::default()).unwrap());
                seen.iter_mut().zip(interesting).for_each(|(seen, is)| *seen |= is);
            }
            if seen == [true; 4] {
                return;
            }
        }
        panic!("not seen: {seen:?}");
    }
}

#[test]
fn what_a_verification_costs_is_known_before() {
    use Algorithm::{EdDsa, Es256, Es384, Hs256, Ps256, Rs256, Rs512};
    let modulus = |length: usize| [vec![0xc5; length - 1], vec![1]].concat();
    let long = KeyMaterial::rsa(&modulus(512), &[1, 0, 1]).unwrap();
    let by_host = SimulatedHost::default().with_host_crypto(true);
    let by_us = SimulatedHost::default();
    for (kid, algorithm, host, module) in [
        ("rsa", Rs256, 1, 15),
        ("rsa", Rs512, 1, 15),
        ("rsa", Ps256, 22, 22),
        ("p256", Es256, 1, 20),
        ("p384", Es384, 9, 60),
        ("ed", EdDsa, 5, 5),
        ("secret", Hs256, 1, 1),
    ] {
        let key = key(jwk(kid));
        let signature = vec![1; key.signature_length(algorithm).unwrap()];
        assert_eq!(key.cost(algorithm), host, "{algorithm} at first");
        key.verifies(algorithm, b"message", &signature, &by_us).unwrap();
        assert_eq!(key.cost(algorithm), module, "{algorithm} in the module");
        key.verifies(algorithm, b"message", &signature, &by_host).unwrap();
        assert_eq!(key.cost(algorithm), host, "{algorithm} by the host");
    }
    assert_eq!((long.cost(Rs256), long.cost(Ps256)), (2, 88));
}

#[test]
fn a_key_is_known_by_its_type_and_bytes() {
    let fingerprint = |kid| key(jwk(kid)).fingerprint();
    let kids = ["rsa", "p256", "p384", "ed", "secret"];
    for (position, kid) in kids.iter().enumerate() {
        assert_eq!(fingerprint(kid), fingerprint(kid));
        assert!(kids.iter().skip(position + 1).all(|other| fingerprint(other) != fingerprint(kid)), "{kid}");
    }
    assert!(!format!("{:?}", fingerprint("secret")).contains(char::is_numeric));
}
