//! What a token must say to be accepted here and now (RFC 7519 §4.1). One code path, whoever verified the signature.

use crate::failure::Failure;
use serde_json::Value;
use sluice_core::caller::identity::ClaimPath;
use sluice_core::decision::environment::UnixTime;
use sluice_core::rule::selector::ValueMatch;
use sluice_core::rule::when::claim_matches;

const NANOSECONDS: u64 = 1_000_000_000;

/// What a provider asks of claims.
#[derive(Debug)]
pub struct ClaimRules {
    /// The audiences of which one must be named; `None`: any, or none.
    pub audiences: Option<Vec<String>>,
    /// How far the issuer's clock may differ from ours, in nanoseconds.
    pub clock_skew: u64,
    /// Whether a token must expire.
    pub require_expiry: bool,
    /// How far off its expiry may be, in nanoseconds.
    pub max_lifetime: Option<u64>,
    /// What its `sub` must be.
    pub subjects: Option<ValueMatch>,
    /// What further claims must be.
    pub claims: Vec<(ClaimPath, ValueMatch)>,
}

impl ClaimRules {
    /// Until when the token of these claims is accepted, this time itself excluded; `u64::MAX` where it does not expire.
    ///
    /// # Errors
    /// Why it is not accepted `now`.
    pub fn check(&self, claims: &Value, now: UnixTime) -> Result<UnixTime, Failure> {
        let now = now.as_nanos();
        let until = match date(claims, "exp")? {
            Some(expires) => expires.saturating_add(self.clock_skew),
            None if self.require_expiry => return Err(Failure::ExpiryMissing),
            None => u64::MAX,
        };
        // RFC 7519 §4.1.4: "on or after which" it is refused.
        if now >= until {
            return Err(Failure::TokenExpired);
        }
        for begin in ["nbf", "iat"] {
            if date(claims, begin)?.is_some_and(|begins| begins > now.saturating_add(self.clock_skew)) {
                return Err(Failure::TokenNotYetValid);
            }
        }
        if let Some(wanted) = &self.audiences
            && !names_audience(claims, wanted)?
        {
            return Err(Failure::AudienceMismatch);
        }
        // What a longer life would cost is over when the token has expired: who was accepted once is accepted until then.
        let longest =
            self.max_lifetime.map(|longest| now.saturating_add(longest).saturating_add(self.clock_skew));
        let expires = until.saturating_sub(self.clock_skew);
        if longest.is_some_and(|longest| until == u64::MAX || expires > longest) {
            return Err(Failure::LifetimeTooLong);
        }
        if !self.accepts_subject(claims) {
            return Err(Failure::SubjectMismatch);
        }
        if !self.claims.iter().all(|(path, wanted)| claim_matches(path, wanted, claims)) {
            return Err(Failure::ClaimMismatch);
        }
        Ok(UnixTime::from_nanos(until))
    }

    /// Whether `sub` is as asked. Only a text is a subject (RFC 7519 §4.1.2).
    pub fn accepts_subject(&self, claims: &Value) -> bool {
        let subject = claims.get("sub").and_then(Value::as_str).map(str::as_bytes);
        self.subjects.as_ref().is_none_or(|wanted| subject.is_some() && wanted.matches(subject))
    }
}

/// Whether `aud` names one of `wanted`.
///
/// # Errors
/// [`Failure::TokenMalformed`]: `aud` is neither a text nor a list of texts (RFC 7519 §4.1.3).
pub fn names_audience(claims: &Value, wanted: &[String]) -> Result<bool, Failure> {
    let is_wanted = |audience: &str| wanted.iter().any(|wanted| wanted == audience);
    match claims.get("aud") {
        None => Ok(false),
        Some(Value::String(audience)) => Ok(is_wanted(audience)),
        Some(Value::Array(audiences)) => {
            let audiences: Option<Vec<&str>> = audiences.iter().map(Value::as_str).collect();
            Ok(audiences.ok_or(Failure::TokenMalformed)?.into_iter().any(is_wanted))
        }
        Some(_) => Err(Failure::TokenMalformed),
    }
}

/// A NumericDate (RFC 7519 §2: seconds, perhaps with a fraction) in nanoseconds. What lies before 1970 counts as 1970, what is too far
/// off as the last moment there is.
fn date(claims: &Value, name: &str) -> Result<Option<u64>, Failure> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(Some(match number.as_u64() {
            Some(seconds) => seconds.saturating_mul(NANOSECONDS),
            None => {
                // Casting a float saturates; there is no NaN in JSON.
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let nanoseconds = (number.as_f64().unwrap_or(0.0) * 1e9) as u64;
                nanoseconds
            }
        })),
        Some(_) => Err(Failure::TokenMalformed),
    }
}

#[cfg(test)]
mod tests;
