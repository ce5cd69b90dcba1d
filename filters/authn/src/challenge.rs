//! How a client is told what to show (RFC 9110 §11.6.1), and what was wrong with what it showed (RFC 6750 §3).

use crate::failure::{ErrorCode, Failure};
use sluice_core::http::header::HeaderValue;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// A token (RFC 6750).
    Bearer,
    /// An API key; the scheme is ours.
    ApiKey,
    /// An identity forwarded by a trusted proxy: no client can show it, but a 401 must name some scheme (RFC 9110 §15.5.2).
    Forwarded,
}

impl Scheme {
    /// All, in the order in which challenges stand.
    pub const ALL: [Self; 3] = [Self::Bearer, Self::ApiKey, Self::Forwarded];
}

/// The challenges of a realm.
#[derive(Clone, Debug)]
pub struct Challenges {
    realm: String,
}

impl Challenges {
    /// Challenges of this realm.
    ///
    /// # Errors
    /// A sentence: the realm can't stand between quotes as it is.
    pub fn new(realm: &str) -> Result<Self, String> {
        let allowed = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if realm.is_empty() || !realm.bytes().all(allowed) {
            return Err(format!(
                "{realm:?} is not a realm: printable ASCII without quotation marks and backslashes"
            ));
        }
        Ok(Self { realm: realm.to_owned() })
    }

    /// The challenge of one scheme; `failure` is what was wrong with a credential of this scheme.
    pub fn challenge(&self, scheme: Scheme, failure: Option<Failure>) -> Option<HeaderValue> {
        self.challenge_for(scheme, failure, None)
    }

    /// The same with the URL of the document that says how to get a token (RFC 9728 §5.1).
    pub fn challenge_for(
        &self,
        scheme: Scheme,
        failure: Option<Failure>,
        metadata_url: Option<&str>,
    ) -> Option<HeaderValue> {
        let name = match scheme {
            Scheme::Bearer => "Bearer",
            Scheme::ApiKey => "ApiKey",
            Scheme::Forwarded => "Forwarded",
        };
        let mut text = format!("{name} realm=\"{}\"", self.realm);
        if let Some((failure, error)) = failure.and_then(|failure| Some((failure, failure.error()?))) {
            let error = match (scheme, error) {
                (Scheme::Bearer, error) => error.as_str(),
                (_, ErrorCode::InvalidRequest) => "invalid_request",
                (_, ErrorCode::InvalidToken) => "invalid_credential",
            };
            text.push_str(&format!(", error=\"{error}\", error_description=\"{}\"", failure.description()));
        }
        if let (Scheme::Bearer, Some(url)) = (scheme, metadata_url) {
            text.push_str(&format!(", resource_metadata=\"{url}\""));
        }
        // Always a value: what the realm and the URL may be has been checked, the rest is ours.
        HeaderValue::new(text.as_bytes()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn challenges_are_as_rfc_6750_writes_them() {
        let challenges = Challenges::new("shop").unwrap();
        for (scheme, failure, expected) in [
            (Scheme::Bearer, None, "Bearer realm=\"shop\""),
            (Scheme::Bearer, Some(Failure::Missing), "Bearer realm=\"shop\""),
            (
                Scheme::Bearer,
                Some(Failure::TokenExpired),
                "Bearer realm=\"shop\", error=\"invalid_token\", error_description=\"The token has expired\"",
            ),
            (
                Scheme::ApiKey,
                Some(Failure::ApiKeyUnknown),
                "ApiKey realm=\"shop\", error=\"invalid_credential\", error_description=\"The API key is not valid\"",
            ),
            (
                Scheme::Bearer,
                Some(Failure::CredentialRepeated),
                "Bearer realm=\"shop\", error=\"invalid_request\", error_description=\"The credential stands in the request more than once\"",
            ),
        ] {
            assert_eq!(challenges.challenge(scheme, failure).unwrap().as_bytes(), expected.as_bytes());
        }
    }

    #[test]
    fn a_realm_must_stand_between_quotes() {
        for wrong in ["", "a\"b", "a\\b", "a\r\nb", "é"] {
            assert!(Challenges::new(wrong).is_err(), "{wrong:?}");
        }
    }
}
