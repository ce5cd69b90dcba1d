//! JSON Web Tokens (RFC 7519) of one issuer.

use crate::algorithm::Algorithm;
use crate::budget::VerificationBudget;
use crate::claims::ClaimRules;
use crate::credential::CredentialSource;
use crate::failure::Failure;
use crate::forward;
use crate::jws::Jws;
use crate::key_set::{KeySet, NoKey};
use serde_json::Value;
use sluice_core::environment::{Environment, UnixTime};
use sluice_core::header::{HeaderName, HeaderValue};
use sluice_core::identity::{ClaimPath, Identity};
use sluice_core::name::Name;

/// The `typ`s that are accepted where a provider names none, besides none at all: RFC 7519 §5.1, RFC 9068 §2.1. Tokens for other ends
/// (`logout+jwt`, `dpop+jwt`) say so.
const TYPES: [&str; 2] = ["jwt", "at+jwt"];

/// A compiled provider of tokens.
#[derive(Debug)]
pub struct JwtProvider {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// Its keys.
    pub keys: KeySet,
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
    /// The headers that are forwarded, each with its claim.
    pub headers: Vec<(HeaderName, ClaimPath)>,
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
    /// The scopes': the first of these that is there.
    pub scopes: Vec<ClaimPath>,
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
}

impl JwtProvider {
    /// Verifies a token that this provider's issuer claims to have made.
    ///
    /// The signature is verified before any claim is judged: what is said of a token (that it has expired, say) is then said of a
    /// genuine one.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub fn verify(
        &self,
        provider: &Name,
        token: &[u8],
        jws: &Jws,
        environment: &dyn Environment,
        budget: &VerificationBudget,
    ) -> Result<Verified, Failure> {
        if jws.issuer() != Some(&self.issuer) {
            return Err(Failure::IssuerMismatch);
        }
        if !self.accepts_type(jws.media_type.as_deref()) {
            return Err(Failure::TypeMismatch);
        }
        let now = environment.now();
        self.verify_signature(token, jws, now, environment, budget)?;
        let until = self.rules.check(&jws.claims, now)?;
        let identity = self.mapping.identity(provider, &jws.claims)?;
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, claim) in &self.headers {
            if let Some(value) = forward::claim_value(claim, &jws.claims)? {
                headers.push((name.clone(), value));
            }
        }
        Ok(Verified { identity, headers, until })
    }

    fn accepts_type(&self, media_type: Option<&str>) -> bool {
        match media_type {
            None => self.types.is_empty(),
            Some(found) if self.types.is_empty() => TYPES.contains(&found),
            Some(found) => self.types.iter().any(|wanted| wanted == found),
        }
    }

    fn verify_signature(
        &self,
        token: &[u8],
        jws: &Jws,
        now: UnixTime,
        environment: &dyn Environment,
        budget: &VerificationBudget,
    ) -> Result<(), Failure> {
        let algorithm: Algorithm = jws.algorithm;
        let keys = self.keys.candidates(jws.key_id.as_deref(), algorithm).map_err(|none| match none {
            NoKey::AlgorithmNotAllowed => Failure::AlgorithmNotAllowed,
            NoKey::Unknown => Failure::UnknownKey,
        })?;
        for key in keys {
            // A signature of the wrong length is nobody's, and costs nobody anything.
            if key.material.signature_length(algorithm) != Some(jws.signature.len()) {
                continue;
            }
            if !budget.take(now) {
                return Err(Failure::BudgetExhausted);
            }
            if key.material.verifies(algorithm, jws.signed(token), &jws.signature, environment) {
                return Ok(());
            }
        }
        Err(Failure::SignatureInvalid)
    }
}

impl ClaimMapping {
    fn identity(&self, provider: &Name, claims: &Value) -> Result<Identity, Failure> {
        // A list or an object names nobody.
        let principal = match self.principal.find(claims) {
            Some(Value::String(_) | Value::Number(_)) => self.principal.text(claims),
            _ => None,
        };
        let principal =
            principal.filter(|principal| !principal.is_empty()).ok_or(Failure::PrincipalMissing)?;
        let consumer = self.consumer.as_ref().and_then(|claim| claim.text(claims));
        let scopes = self.scopes.iter().find(|claim| claim.find(claims).is_some());
        Ok(Identity {
            provider: Some(provider.clone()),
            principal,
            consumer: consumer.filter(|consumer| !consumer.is_empty()),
            roles: self.roles.texts(claims),
            scopes: scopes.map(|claim| claim.texts(claims)).unwrap_or_default(),
            claims: claims.clone(),
            attributes: std::collections::BTreeMap::new(),
        })
    }
}

#[cfg(test)]
mod tests;
