//! What a header tells of an identity, and how it is written so that [`crate::forwarded`] reads back exactly that.

use crate::failure::Failure;
use crate::jwt::ClaimMapping;
use serde_json::Value;
use sluice_core::caller::identity::{ClaimPath, Identity, scalar_text};
use sluice_core::http::header::HeaderValue;

/// What a header tells of an identity that a token proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardedFact {
    /// The principal.
    Principal,
    /// The consumer.
    Consumer,
    /// The roles, separated by commas.
    Roles,
    /// The scopes, separated by blanks.
    Scopes,
    /// The provider that proved it.
    Provider,
    /// Another claim: its text, or the items of a list separated by commas.
    Claim(ClaimPath),
}

/// What stands between the items of a list in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Separator {
    /// Of roles, and of lists in general (RFC 9110 §5.6.1).
    Comma,
    /// Of scopes, which may hold commas (RFC 6749 §3.3).
    Blank,
}

// === impl ForwardedFact ===

impl ForwardedFact {
    /// What a header tells that a provider writes a claim into: what the claim is to the identity.
    ///
    /// # Errors
    /// A sentence, where the claim is read in two ways that are written in different ones.
    pub fn of(claim: &ClaimPath, mapping: &ClaimMapping) -> Result<Self, String> {
        let text = if *claim == mapping.principal {
            Some(Self::Principal)
        } else {
            (mapping.consumer.as_ref() == Some(claim)).then_some(Self::Consumer)
        };
        let roles = (*claim == mapping.roles).then_some(Self::Roles);
        let scopes = mapping.scopes.contains(claim).then_some(Self::Scopes);
        let mut facts = [text, roles, scopes].into_iter().flatten();
        match (facts.next(), facts.next()) {
            (None, _) => Ok(Self::Claim(claim.clone())),
            (Some(fact), None) => Ok(fact),
            (Some(_), Some(_)) => Err(format!(
                "`{claim}` is the claim of two of principal, roles and scopes, which are written in different ways: a header can't tell which is meant"
            )),
        }
    }

    /// The header's value; `None` where there is nothing to tell, and for claims without a text (an object).
    ///
    /// # Errors
    /// [`Failure::ClaimNotForwardable`], where the reader would not get back what the identity has; [`Failure::ClaimUnreadable`] for a
    /// number that is not exact.
    pub fn value(&self, identity: &Identity) -> Result<Option<HeaderValue>, Failure> {
        let value = match self {
            Self::Principal => text(&identity.principal),
            Self::Consumer => text(identity.consumer.as_deref().unwrap_or_default()),
            Self::Roles => list(&identity.roles, Separator::Comma),
            Self::Scopes => list(&identity.scopes, Separator::Blank),
            Self::Provider => text(identity.provider.as_ref().map_or("", |name| name.as_str())),
            Self::Claim(claim) => return claim_value(claim.find(&identity.claims)),
        };
        value.map_err(|_| Failure::ClaimNotForwardable)
    }
}

/// The value of a header for a claim that is neither principal nor consumer, roles or scopes.
fn claim_value(claim: Option<&Value>) -> Result<Option<HeaderValue>, Failure> {
    let inexact = |value: &Value| value.is_f64();
    let value = match claim {
        Some(Value::Array(items)) => {
            if items.iter().any(inexact) {
                return Err(Failure::ClaimUnreadable);
            }
            let Some(items) = items.iter().map(scalar_text).collect::<Option<Vec<_>>>() else {
                return Ok(None);
            };
            list(&items, Separator::Comma)
        }
        Some(value) if inexact(value) => return Err(Failure::ClaimUnreadable),
        Some(value) => text(&scalar_text(value).unwrap_or_default()),
        None => Ok(None),
    };
    value.map_err(|_| Failure::ClaimNotForwardable)
}

/// A single text as a header's value; none for an empty one.
///
/// # Errors
/// A sentence, where a header can't hold it as it is.
pub(crate) fn text(text: &str) -> Result<Option<HeaderValue>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    HeaderValue::new(text.as_bytes()).map(Some)
}

/// A list as a header's value; none for an empty one.
///
/// # Errors
/// A sentence, where a reader that splits at the separator would not get the items back as they are.
pub(crate) fn list<T: AsRef<str>>(items: &[T], separator: Separator) -> Result<Option<HeaderValue>, String> {
    let (separator, name) = match separator {
        Separator::Comma => (",", "a comma"),
        Separator::Blank => (" ", "a blank"),
    };
    for item in items.iter().map(AsRef::as_ref) {
        if item.is_empty() {
            return Err("an item is empty".to_owned());
        }
        if item.contains(separator) {
            return Err(format!("an item holds {name}, which separates items"));
        }
        if item.starts_with([' ', '\t']) || item.ends_with([' ', '\t']) {
            return Err("an item begins or ends with a blank".to_owned());
        }
    }
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    text(&items.join(separator))
}

#[cfg(test)]
mod tests;
