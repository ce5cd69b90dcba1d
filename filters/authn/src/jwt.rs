//! JSON Web Tokens (RFC 7519) of one issuer.

use crate::claims::ClaimRules;
use crate::credential::CredentialSource;
use crate::failure::Failure;
use crate::forwarded_fact::ForwardedFact;
use crate::jws::Jws;
use crate::key::Fingerprint;
use crate::key_set::{KeySet, NoKey};
use crate::keys::{Found, Keys, Patience};
use crate::verifier::{Signatures, Verifier};
use serde_json::Value;
use sluice_core::caller::identity::{ClaimPath, Identity, scalar_text};
use sluice_core::decision::environment::UnixTime;
use sluice_core::decision::exchange::Exchange;
use sluice_core::document::name::Name;
use sluice_core::http::header::{HeaderName, HeaderValue};
use std::rc::Rc;

/// The `typ`s that are accepted where a provider names none, besides none at all: RFC 7519 §5.1, RFC 9068 §2.1. Tokens for other ends
/// (`logout+jwt`, `dpop+jwt`) say so.
const TYPES: [&str; 2] = ["jwt", "at+jwt"];

/// A compiled provider of tokens.
#[derive(Debug)]
pub struct JwtProvider {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// Its keys.
    pub keys: Keys,
    /// Where tokens are read.
    pub sources: Vec<CredentialSource>,
    /// What is asked of claims.
    pub rules: ClaimRules,
    /// The accepted `typ`s, as [`crate::jws::media_type`] has them; empty: [`TYPES`] or none.
    pub types: Vec<String>,
    /// The longest token, in bytes.
    pub max_size: usize,
    /// The claims that make an identity.
    pub mapping: ClaimMapping,
    /// The headers that are forwarded, each with what it tells.
    pub headers: Vec<(HeaderName, ForwardedFact)>,
    /// The header that gets the token's payload.
    pub payload_header: Option<HeaderName>,
    /// Whether the token is taken out of the request.
    pub removes_token: bool,
}

/// Which claims make an identity.
#[derive(Debug)]
pub struct ClaimMapping {
    /// The principal's.
    pub principal: ClaimPath,
    /// The consumer's.
    pub consumer: Option<ClaimPath>,
    /// The roles'.
    pub roles: ClaimPath,
    /// What separates roles where the claim is one string; none: such a string is one role.
    pub roles_separator: Option<String>,
    /// The scopes': the first of these that is there.
    pub scopes: Vec<ClaimPath>,
}

/// A token that was shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'t> {
    /// As it came.
    pub token: &'t [u8],
    /// As it was read.
    pub jws: &'t Jws,
    /// Whether the request may wait for keys.
    pub patience: Patience,
}

/// A token that is accepted.
#[derive(Debug)]
pub struct Verified {
    /// Who it is.
    pub identity: Identity,
    /// The headers that say so.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Until when.
    pub until: UnixTime,
    /// The key that signed it.
    pub key: Fingerprint,
}

impl JwtProvider {
    /// Verifies a token that this provider's issuer claims to have made.
    ///
    /// The signature is verified before any claim is judged: what is said of a token (that it has expired, say) is then said of a
    /// genuine one.
    ///
    /// # Errors
    /// [`Wait`] for the issuer's keys, and why it is not accepted.
    pub fn verify(
        &self,
        provider: &Name,
        shown: Shown<'_>,
        signatures: &mut Signatures,
        verifier: &Verifier,
        exchange: &Exchange<'_>,
    ) -> Found<Verified> {
        let Shown { jws, patience, .. } = shown;
        if jws.issuer() != Some(&self.issuer) {
            return Ok(Err(Failure::IssuerMismatch));
        }
        if !self.accepts_type(jws.media_type.as_deref()) {
            return Ok(Err(Failure::TypeMismatch));
        }
        let keys = match self.keys.for_token(jws, patience, exchange)? {
            Ok(keys) => keys,
            Err(failure) => return Ok(Err(failure)),
        };
        let mut signer = signer(&keys, shown, signatures, verifier, exchange);
        let named = jws.key_id.as_deref().is_some_and(|id| keys.names(id));
        if signer == Err(Failure::SignatureInvalid) && self.keys.are_fetched() && !named {
            // It does not say which key it is of: that may be a new one.
            let newer = self.keys.ask_again(patience, exchange)?;
            if let Some(newer) = newer.filter(|newer| !Rc::ptr_eq(newer, &keys)) {
                signer = self::signer(&newer, shown, signatures, verifier, exchange);
            }
        }
        Ok(signer.and_then(|key| self.accept(provider, &jws.claims, key, exchange)))
    }

    /// What a genuine token of this issuer says.
    fn accept(
        &self,
        provider: &Name,
        claims: &Rc<Value>,
        key: Fingerprint,
        exchange: &Exchange<'_>,
    ) -> Result<Verified, Failure> {
        let until = self.rules.check(claims, exchange.environment().now())?;
        let identity = self.mapping.identity(provider, claims)?;
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, fact) in &self.headers {
            if let Some(value) = fact.value(&identity)? {
                headers.push((name.clone(), value));
            }
        }
        Ok(Verified { identity, headers, until, key })
    }

    fn accepts_type(&self, media_type: Option<&str>) -> bool {
        match media_type {
            None => self.types.is_empty(),
            Some(found) if self.types.is_empty() => TYPES.contains(&found),
            Some(found) => self.types.iter().any(|wanted| wanted == found),
        }
    }
}

/// Which key of the set signed the token.
fn signer(
    keys: &KeySet,
    Shown { token, jws, .. }: Shown<'_>,
    signatures: &mut Signatures,
    verifier: &Verifier,
    exchange: &Exchange<'_>,
) -> Result<Fingerprint, Failure> {
    let candidates = keys.candidates(jws.key_id.as_deref(), jws.algorithm).map_err(|none| match none {
        NoKey::AlgorithmNotAllowed => Failure::AlgorithmNotAllowed,
        NoKey::Unknown => Failure::UnknownKey,
    })?;
    verifier.signer(candidates, token, jws, signatures, exchange)
}

impl ClaimMapping {
    fn identity(&self, provider: &Name, claims: &Rc<Value>) -> Result<Identity, Failure> {
        // A list or an object names nobody, and a number that is not exact somebody else, too.
        let principal = match self.principal.find(claims) {
            Some(value @ (Value::String(_) | Value::Number(_))) => scalar_text(value),
            _ => None,
        };
        let principal = principal
            .filter(|principal| !principal.is_empty())
            .ok_or(Failure::PrincipalMissing)?
            .into_owned();
        let consumer = match self.consumer.as_ref().and_then(|claim| claim.find(claims)) {
            None | Some(Value::Null) => None,
            Some(value) => Some(scalar_text(value).ok_or(Failure::ClaimUnreadable)?),
        };
        let scopes = self.scopes.iter().find_map(|claim| claim.find(claims));
        Ok(Identity {
            provider: Some(provider.clone()),
            origin: None,
            principal,
            consumer: consumer.filter(|consumer| !consumer.is_empty()).map(|consumer| consumer.into_owned()),
            roles: texts(self.roles.find(claims), self.roles_separator.as_deref())?,
            // RFC 8693 §4.2, RFC 6749 §3.3: a string of scopes is split at blanks, and at no other white space.
            scopes: texts(scopes, Some(" "))?,
            claims: Rc::clone(claims),
            attributes: std::collections::BTreeMap::new(),
        })
    }
}

/// A claim as a list of texts: a list's items, or one single value. A string is split at `separator`, if there is one. Items that have no
/// text are left out.
fn texts(claim: Option<&Value>, separator: Option<&str>) -> Result<Vec<String>, Failure> {
    let one = |value: &Value| match value {
        // As good as another number.
        Value::Number(number) if number.is_f64() => Err(Failure::ClaimUnreadable),
        value => Ok(scalar_text(value).map(|text| text.into_owned())),
    };
    match (claim, separator) {
        (Some(Value::Array(items)), _) => items.iter().map(one).filter_map(Result::transpose).collect(),
        (Some(Value::String(text)), Some(separator)) => {
            Ok(text.split(separator).filter(|part| !part.is_empty()).map(str::to_owned).collect())
        }
        (Some(value), _) => Ok(one(value)?.filter(|text| !text.is_empty()).into_iter().collect()),
        (None, _) => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests;
