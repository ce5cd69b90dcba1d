//! A token's form: JWS in compact serialization (RFC 7515 §7.1), read in the one way that is allowed.

use crate::algorithm::Algorithm;
use crate::failure::Failure;
use crate::strict_json;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use std::rc::Rc;

/// A token that has the form of one. Nothing in it is proven.
#[derive(Debug)]
pub struct Jws {
    /// The length of what was signed: the token up to its second dot.
    signed_length: usize,
    /// `alg`.
    pub algorithm: Algorithm,
    /// `kid`.
    pub key_id: Option<String>,
    /// `typ`, in lower case and without `application/` (RFC 7515 §4.1.9).
    pub media_type: Option<String>,
    /// The claims: an object.
    pub claims: Rc<Value>,
    /// The signature.
    pub signature: Vec<u8>,
}

impl Jws {
    /// Reads a token.
    ///
    /// # Errors
    /// [`Failure::TokenMalformed`], [`Failure::CriticalHeader`], or [`Failure::AlgorithmNotAllowed`] for an algorithm that nobody
    /// accepts, such as `none`.
    pub fn parse(token: &[u8]) -> Result<Self, Failure> {
        let mut parts = token.split(|byte| *byte == b'.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Failure::TokenMalformed);
        };
        let signed_length = token.len().saturating_sub(signature.len()).saturating_sub(1);
        let Value::Object(header) = json(header)? else { return Err(Failure::TokenMalformed) };
        // RFC 7515 §4.1.11: who doesn't understand an extension that `crit` lists must refuse; we understand none. `b64` (RFC 7797)
        // would change what was signed.
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(Failure::CriticalHeader);
        }
        let text = |name: &str| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Failure::TokenMalformed),
        };
        let algorithm = text("alg")?.ok_or(Failure::TokenMalformed)?;
        let algorithm = Algorithm::named(algorithm).ok_or(Failure::AlgorithmNotAllowed)?;
        // An empty id names no key; Envoy's own filter reads it so too.
        let key_id = text("kid")?.filter(|id| !id.is_empty()).cloned();
        let media_type = text("typ")?.map(|name| media_type(name));
        let claims = json(claims)?;
        if !claims.is_object() {
            return Err(Failure::TokenMalformed);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Failure::TokenMalformed)?;
        let claims = Rc::new(claims);
        Ok(Self { signed_length, algorithm, key_id, media_type, claims, signature })
    }

    /// What was signed of `token`, from which this was read.
    pub fn signed<'t>(&self, token: &'t [u8]) -> &'t [u8] {
        token.get(..self.signed_length).unwrap_or_default()
    }

    /// `iss`: who the token says it is from.
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }
}

/// A `typ` in the form in which it is compared: media types differ in case (RFC 2045 §5.1), and `application/` may be left out.
pub fn media_type(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    name.strip_prefix("application/").map(str::to_owned).unwrap_or(name)
}

fn json(part: &[u8]) -> Result<Value, Failure> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| Failure::TokenMalformed)?;
    strict_json::parse(&json).ok_or(Failure::TokenMalformed)
}

#[cfg(test)]
mod tests;
