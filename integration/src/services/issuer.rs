//! The issuer of the contractors' tokens: its keys change, and whoever verifies its tokens fetches them.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use crate::tokens::{AUDIENCE, now};
use crate::upstream::{Received, Reply};
use crate::{Error, Result};

/// The `iss` of its tokens.
const ISSUER: &str = "https://contractors.sluice.demo";

/// How long its tokens are good, in seconds.
const LIFE: i64 = 3600;

/// An issuer with one key at a time, which it makes by itself and which nobody else has. It gives a token to everybody who asks: it is
/// for the demo only.
///
/// `GET /keys`: the key set (RFC 7517). `POST /token?sub=…&scope=…`: a token. `POST /rotate`: another key; the one before is forgotten.
pub(super) struct Issuer {
    key: Mutex<Key>,
}

struct Key {
    id: String,
    pair: EcdsaKeyPair,
}

// === impl Issuer ===

impl Issuer {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { key: Mutex::new(Key::new()?) })
    }

    pub(super) fn answer(&self, request: &Received) -> Reply {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let mut key = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        match (request.method.as_str(), path) {
            ("GET", "/keys") => Reply::json(200, &json!({ "keys": [key.public()] })),
            ("GET", "/healthz") => Reply::json(200, &Value::Null),
            ("POST", "/token") => text(key.token(query)),
            ("POST", "/rotate") => text(Key::new().map(|new| {
                *key = new;
                key.id.clone()
            })),
            _ => Reply::json(404, &json!({ "title": "GET /keys, POST /token, POST /rotate" })),
        }
    }
}

// === impl Key ===

impl Key {
    fn new() -> Result<Self> {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let failed =
            |what: &dyn std::fmt::Display| Error::Other(format!("the issuer can't make a key: {what}"));
        let pair = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|e| failed(&e))?;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pair.as_ref(), &random).map_err(|e| failed(&e))?;
        let mut id = String::from("contractors-");
        for byte in digest(&SHA256, pair.public_key().as_ref()).as_ref().iter().take(4) {
            write!(id, "{byte:02x}").map_err(|e| failed(&e))?;
        }
        Ok(Self { id, pair })
    }

    fn public(&self) -> Value {
        // The uncompressed point (SEC 1 §2.3.3): 04, then both coordinates.
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        json!({
            "kty": "EC", "kid": self.id, "alg": "ES256", "use": "sig", "crv": "P-256",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        })
    }

    /// A token with the claims of the query.
    fn token(&self, query: &str) -> Result<String> {
        let now = now();
        let mut claims = json!({ "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + LIFE });
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            if ["sub", "scope"].contains(&name) {
                claims[name] = value.into();
            }
        }
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": self.id });
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self
            .pair
            .sign(&SystemRandom::new(), signed.as_bytes())
            .map_err(|e| Error::Other(format!("the issuer can't sign: {e}")))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// A line of text, as a shell wants it.
fn text(said: Result<String>) -> Reply {
    match said {
        Ok(text) => Reply {
            headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
            body: format!("{text}\n").into_bytes(),
            ..Reply::json(200, &Value::Null)
        },
        Err(error) => Reply::json(500, &json!({ "title": error.to_string() })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(issuer: &Issuer, method: &str, path: &str) -> String {
        let request = Received {
            at: "issuer".to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            trailers: Vec::new(),
        };
        String::from_utf8(issuer.answer(&request).body).unwrap()
    }

    #[test]
    fn another_key_takes_the_place_of_the_one_before() {
        let issuer = Issuer::new().unwrap();
        let key = |issuer| serde_json::from_str::<Value>(&asked(issuer, "GET", "/keys")).unwrap();
        let before = key(&issuer);
        let id = asked(&issuer, "POST", "/rotate");
        let after = key(&issuer);
        assert_eq!(after["keys"].as_array().map(Vec::len), Some(1));
        assert_ne!(before["keys"][0]["kid"], after["keys"][0]["kid"]);
        assert_eq!(after["keys"][0]["kid"], id.trim());
    }

    #[test]
    fn a_token_has_the_claims_that_were_asked_for_and_no_others() {
        let token = asked(&Issuer::new().unwrap(), "POST", "/token?sub=dora&scope=orders:read&roles=admin");
        let parts: Vec<&str> = token.trim().split('.').collect();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        assert_eq!(
            (parts.len(), &claims["sub"], &claims["scope"]),
            (3, &json!("dora"), &json!("orders:read"))
        );
        assert!(claims["roles"].is_null(), "{claims}");
    }
}
