//! An issuer for tests: it signs whatever it is given, with the published keys of RFC 7515 appendix A and RFC 8037 appendix A.

use crate::algorithm::Algorithm;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_simple::prelude::{HS256Key, HS384Key, HS512Key, MACLike, RS256KeyPair, RSAKeyPairLike};
use serde_json::{Value, json};
use superboring::hash::MessageDigest;
use superboring::pkey::PKey;
use superboring::rsa::Padding;
use superboring::sign::Signer;

pub(crate) const ISSUER: &str = "https://id.example.com";
pub(crate) const AUDIENCE: &str = "orders";
/// When `SimulatedHost`'s clock starts.
pub(crate) const NOW: u64 = 1_800_000_000;

/// RFC 7515 §A.2.1.
const N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
const D: &str = "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ";
const P: &str = "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc";
const Q: &str = "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc";
const DP: &str = "BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0";
const DQ: &str = "h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU";
const QI: &str = "IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U";
/// RFC 7515 §A.3.1.
const EC_D: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
/// RFC 7515 §A.1.1.
const SECRET: &str = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
/// RFC 8037 §A.1.
const ED_D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
/// No published one: any number will do.
const P384_D: [u8; 48] = [7; 48];

pub(crate) fn decode(base64url: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(base64url).unwrap()
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The public keys, `kid`s `rsa`, `p256`, `p384`, `ed` and `secret`, none with an `alg`.
pub(crate) fn jwk(kid: &str) -> Value {
    match kid {
        "rsa" => json!({ "kty": "RSA", "kid": "rsa", "n": N, "e": "AQAB" }),
        "p256" => json!({
            "kty": "EC", "kid": "p256", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
        }),
        "p384" => {
            let key = p384::ecdsa::SigningKey::from_slice(&P384_D).unwrap();
            let point = key.verifying_key().to_sec1_point(false);
            let (x, y) = point.as_bytes()[1..].split_at(48);
            json!({ "kty": "EC", "kid": "p384", "crv": "P-384", "x": encode(x), "y": encode(y) })
        }
        "ed" => {
            json!({ "kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" })
        }
        "secret" => json!({ "kty": "oct", "kid": "secret", "k": SECRET }),
        other => panic!("no such key: {other}"),
    }
}

/// The `kid` of the key for an algorithm.
pub(crate) fn kid(algorithm: Algorithm) -> &'static str {
    use Algorithm::{EdDsa, Es256, Es384, Hs256, Hs384, Hs512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
    match algorithm {
        Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512 => "rsa",
        Es256 => "p256",
        Es384 => "p384",
        EdDsa => "ed",
        Hs256 | Hs384 | Hs512 => "secret",
    }
}

/// A signature.
pub(crate) fn sign(algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
    let rsa = |digest, padding| {
        let jwk = json!({ "kty": "RSA", "n": N, "e": "AQAB", "d": D, "p": P, "q": Q, "dp": DP, "dq": DQ, "qi": QI });
        let pair = RS256KeyPair::from_jwk(&jwk.to_string()).unwrap();
        let key = PKey::from_rsa(pair.key_pair().as_ref().clone()).unwrap();
        let mut signer = Signer::new(digest, &key).unwrap();
        signer.set_rsa_padding(padding).unwrap();
        signer.update(message).unwrap();
        signer.sign_to_vec().unwrap()
    };
    match algorithm {
        Algorithm::Rs256 => rsa(MessageDigest::sha256(), Padding::PKCS1),
        Algorithm::Rs384 => rsa(MessageDigest::sha384(), Padding::PKCS1),
        Algorithm::Rs512 => rsa(MessageDigest::sha512(), Padding::PKCS1),
        Algorithm::Ps256 => rsa(MessageDigest::sha256(), Padding::PKCS1_PSS),
        Algorithm::Ps384 => rsa(MessageDigest::sha384(), Padding::PKCS1_PSS),
        Algorithm::Ps512 => rsa(MessageDigest::sha512(), Padding::PKCS1_PSS),
        Algorithm::Es256 => {
            use p256::ecdsa::{Signature, SigningKey, signature::hazmat::PrehashSigner};
            let signature: Signature = SigningKey::from_slice(&decode(EC_D))
                .unwrap()
                .sign_prehash(&hmac_sha256::Hash::hash(message))
                .unwrap();
            signature.to_bytes().to_vec()
        }
        Algorithm::Es384 => {
            use p384::ecdsa::{Signature, SigningKey, signature::hazmat::PrehashSigner};
            let signature: Signature = SigningKey::from_slice(&P384_D)
                .unwrap()
                .sign_prehash(&hmac_sha512::sha384::Hash::hash(message))
                .unwrap();
            signature.to_bytes().to_vec()
        }
        Algorithm::EdDsa => {
            let seed = ed25519_compact::Seed::from_slice(&decode(ED_D)).unwrap();
            ed25519_compact::KeyPair::from_seed(seed).sk.sign(message, None).to_vec()
        }
        Algorithm::Hs256 => HS256Key::from_bytes(&decode(SECRET)).authentication_tag(message),
        Algorithm::Hs384 => HS384Key::from_bytes(&decode(SECRET)).authentication_tag(message),
        Algorithm::Hs512 => HS512Key::from_bytes(&decode(SECRET)).authentication_tag(message),
    }
}

/// A token of any header and payload, whatever they are, with a genuine signature.
pub(crate) fn token_of(algorithm: Algorithm, header: &[u8], payload: &[u8]) -> String {
    let signed = format!("{}.{}", encode(header), encode(payload));
    let signature = sign(algorithm, signed.as_bytes());
    format!("{signed}.{}", encode(signature))
}

/// Good claims, with changes: `null` takes one out.
pub(crate) fn claims(changes: Value) -> Value {
    let mut claims = json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": NOW, "exp": NOW + 600 });
    let all = claims.as_object_mut().unwrap();
    all.extend(changes.as_object().unwrap().clone());
    all.retain(|_, value| !value.is_null());
    claims
}

/// A good token, with changes of its claims.
pub(crate) fn token(algorithm: Algorithm, changes: Value) -> String {
    let header = json!({ "alg": algorithm.name(), "kid": kid(algorithm), "typ": "JWT" });
    token_of(algorithm, header.to_string().as_bytes(), claims(changes).to_string().as_bytes())
}

/// The provider of these tokens, with changes: `null` takes a field out.
pub(crate) fn provider(changes: Value) -> Value {
    let mut jwt = json!({
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "keys": { "inline": { "keys": [jwk("rsa"), jwk("p256"), jwk("ed"), jwk("secret")] } }
    });
    let all = jwt.as_object_mut().unwrap();
    all.extend(changes.as_object().unwrap().clone());
    all.retain(|_, value| !value.is_null());
    json!({ "name": "staff", "jwt": jwt })
}
