//! The demo's token issuer: JSON Web Tokens (RFC 7519), good and bad.
//!
//! Its private keys lie in the open in `envoy-configs/demo-keys/`. The tokens can be wrong in any way that is asked for: that
//! is what the tests need them for.

mod arguments;

pub use arguments::TokenArguments;

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use ring::{hmac, rsa};
use serde_json::{Map, Value, json};

/// The `iss` of the demo's tokens.
pub const ISSUER: &str = "https://id.sluice.demo";

/// The `aud` of the demo's tokens.
pub const AUDIENCE: &str = "orders";

/// The secret of the demo's HS256 tokens.
pub const HS256_SECRET: &str = include_str!("../../envoy-configs/demo-keys/demo-hs256.txt");

/// A signing algorithm (RFC 7518 §3.1, RFC 8037 §3.1) for which the demo issuer has a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
    /// HMAC with SHA-256.
    Hs256,
}

impl Algorithm {
    /// Every algorithm of the demo issuer.
    pub const ALL: [Algorithm; 4] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa, Algorithm::Hs256];

    /// Its name in a token's `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Rs256 => "RS256",
            Algorithm::Es256 => "ES256",
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Hs256 => "HS256",
        }
    }

    /// The algorithm of that name, upper or lower case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// The `kid` of the demo issuer's key.
    pub fn key_id(self) -> String {
        format!("demo-{}", self.name().to_ascii_lowercase())
    }
}

/// A token that is being written. It is good as it stands: signed with ES256, valid for ten minutes, for the audience
/// `orders`.
#[derive(Debug, Clone)]
pub struct Token {
    algorithm: Algorithm,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl Token {
    /// A token for that subject.
    pub fn of(subject: &str) -> Self {
        let now = now();
        let claims = json!({"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 600});
        let Value::Object(claims) = claims else { unreachable!("an object was written") };
        Self { algorithm: Algorithm::Es256, header: Map::new(), claims }
    }

    /// Signed with another algorithm.
    pub fn signed_with(self, algorithm: Algorithm) -> Self {
        Self { algorithm, ..self }
    }

    /// `scope`, space-separated (RFC 8693 §4.2).
    pub fn scope(self, scope: &str) -> Self {
        self.claim("scope", scope)
    }

    /// `roles`, a list.
    pub fn roles(self, roles: &[&str]) -> Self {
        self.claim("roles", roles)
    }

    /// Expires in so many seconds; negative: has expired.
    pub fn expires_in(self, seconds: i64) -> Self {
        self.claim("exp", now() + seconds)
    }

    /// Any claim; `null` removes it.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        match value.into() {
            Value::Null => self.claims.remove(name),
            value => self.claims.insert(name.to_owned(), value),
        };
        self
    }

    /// Any field of the header, such as `alg` or `kid`, that is to differ from the truth; `null` omits it.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// The token in its compact form.
    pub fn sign(&self) -> String {
        let mut header = Map::new();
        header.insert("alg".to_owned(), self.algorithm.name().into());
        header.insert("typ".to_owned(), "JWT".into());
        header.insert("kid".to_owned(), self.algorithm.key_id().into());
        header.extend(self.header.clone());
        header.retain(|_, value| !value.is_null());
        sign(
            self.algorithm,
            Value::Object(header).to_string().as_bytes(),
            Value::Object(self.claims.clone()).to_string().as_bytes(),
        )
    }
}

/// A token of any header and any payload, whether they are JSON or not, with a signature that is right for those bytes.
pub fn sign(algorithm: Algorithm, header: &[u8], payload: &[u8]) -> String {
    let signing_input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = signature(algorithm, signing_input.as_bytes());
    format!("{signing_input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A token "signed" with HS256 whose secret is the *public* RSA key's PEM: the classic confusion of algorithms.
pub fn algorithm_confusion(subject: &str) -> String {
    let token = Token::of(subject).signed_with(Algorithm::Hs256).header("kid", "demo-rs256").sign();
    let signing_input = token.rsplit_once('.').map_or("", |(input, _)| input);
    let key = hmac::Key::new(hmac::HMAC_SHA256, rsa_key().public_key().as_ref());
    format!("{signing_input}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, signing_input.as_bytes())))
}

/// The public key set of the demo issuer (RFC 7517), with the HS256 secret only if asked for.
pub fn key_set(with_secret: bool) -> Value {
    let rsa: rsa::PublicKeyComponents<Vec<u8>> = rsa_key().public().into();
    let ec = ec_key().public_key().as_ref().to_vec();
    let mut keys = vec![
        json!({"kty": "RSA", "kid": "demo-rs256", "alg": "RS256", "use": "sig",
               "n": URL_SAFE_NO_PAD.encode(rsa.n), "e": URL_SAFE_NO_PAD.encode(rsa.e)}),
        // The uncompressed point (SEC 1 §2.3.3): 04, then both coordinates.
        json!({"kty": "EC", "kid": "demo-es256", "alg": "ES256", "use": "sig", "crv": "P-256",
               "x": URL_SAFE_NO_PAD.encode(&ec[1..33]), "y": URL_SAFE_NO_PAD.encode(&ec[33..])}),
        json!({"kty": "OKP", "kid": "demo-eddsa", "alg": "EdDSA", "use": "sig", "crv": "Ed25519",
               "x": URL_SAFE_NO_PAD.encode(ed_key().public_key().as_ref())}),
    ];
    if with_secret {
        keys.push(json!({"kty": "oct", "kid": "demo-hs256", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(HS256_SECRET.trim())}));
    }
    json!({ "keys": keys })
}

/// The time in seconds, as in `iat`.
pub fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    i64::try_from(now.as_secs()).expect("a time that fits")
}

fn signature(algorithm: Algorithm, bytes: &[u8]) -> Vec<u8> {
    let random = SystemRandom::new();
    match algorithm {
        Algorithm::Rs256 => {
            let key = rsa_key();
            let mut signature = vec![0; key.public().modulus_len()];
            key.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature).expect("an RSA key signs");
            signature
        }
        Algorithm::Es256 => ec_key().sign(&random, bytes).expect("a P-256 key signs").as_ref().to_vec(),
        Algorithm::EdDsa => ed_key().sign(bytes).as_ref().to_vec(),
        Algorithm::Hs256 => {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, HS256_SECRET.trim().as_bytes()), bytes)
                .as_ref()
                .to_vec()
        }
    }
}

fn rsa_key() -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(&der(include_str!("../../envoy-configs/demo-keys/demo-rs256.pem")))
        .expect("the demo's RSA key")
}

fn ec_key() -> EcdsaKeyPair {
    let der = der(include_str!("../../envoy-configs/demo-keys/demo-es256.pem"));
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &SystemRandom::new())
        .expect("the demo's P-256 key")
}

fn ed_key() -> Ed25519KeyPair {
    // OpenSSL writes the private key alone, without the public one.
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der(include_str!(
        "../../envoy-configs/demo-keys/demo-eddsa.pem"
    )))
    .expect("the demo's Ed25519 key")
}

fn der(pem: &str) -> Vec<u8> {
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(base64).expect("PEM is Base64 between its lines")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_signs_a_token_of_three_parts() {
        for algorithm in Algorithm::ALL {
            let token = Token::of("alice").scope("orders:read").signed_with(algorithm).sign();
            let parts: Vec<_> = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
            let header: Value = serde_json::from_slice(&parts[0]).unwrap();
            let claims: Value = serde_json::from_slice(&parts[1]).unwrap();
            assert_eq!(header["alg"], algorithm.name());
            assert_eq!(claims["sub"], "alice");
            assert_eq!(
                parts[2].len(),
                if algorithm == Algorithm::Rs256 {
                    256
                } else if algorithm == Algorithm::Hs256 {
                    32
                } else {
                    64
                }
            );
        }
    }

    #[test]
    fn claims_and_header_fields_can_be_left_out() {
        let token = Token::of("alice").claim("sub", Value::Null).header("kid", Value::Null).sign();
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        assert!(!String::from_utf8(header).unwrap().contains("kid"));
    }
}
