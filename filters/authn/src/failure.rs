//! Why a credential is refused.

/// Why a request is refused, from the least telling to the most: of several providers' refusals the last in this order is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// No rule matches.
    NoRule,
    /// No credential came.
    Missing,
    /// A token of an issuer that no provider of the rule has.
    IssuerMismatch,
    /// A token that is none: not three parts of Base64url, not JSON, members twice, or claims of the wrong type.
    TokenMalformed,
    /// A token that is longer than the provider's `maxSize`.
    TokenTooLarge,
    /// A forwarded identity that has no single reading.
    ForwardedMalformed,
    /// A key that the document does not list.
    ApiKeyUnknown,
    /// A token of another type (`typ`): an ID token, a logout token.
    TypeMismatch,
    /// A token whose header demands what nobody here understands (`crit`, `b64`).
    CriticalHeader,
    /// A token of an algorithm that the provider, or the token's key, is not for.
    AlgorithmNotAllowed,
    /// A token of a key that is not in the issuer's set.
    UnknownKey,
    /// A token that its key did not sign.
    SignatureInvalid,
    /// A token for somebody else.
    AudienceMismatch,
    /// A token of a subject that the provider does not accept.
    SubjectMismatch,
    /// A token of which a claim is not as the provider asks.
    ClaimMismatch,
    /// A token that expires later than the provider accepts.
    LifetimeTooLong,
    /// A token that must expire and doesn't say when.
    ExpiryMissing,
    /// A token that does not say whose it is.
    PrincipalMissing,
    /// A token of which a claim that makes the identity has no single exact reading: a number that is not exact, a list as consumer.
    ClaimUnreadable,
    /// A token of which a claim cannot stand in the header that it is to be forwarded in.
    ClaimNotForwardable,
    /// A token that is not valid yet, or comes from the future.
    TokenNotYetValid,
    /// A token that has expired.
    TokenExpired,
    /// An API key that is not valid yet.
    ApiKeyNotYetValid,
    /// An API key that has expired.
    ApiKeyExpired,
    /// The issuer's keys can't be had.
    KeysUnavailable,
    /// A token whose signature the host does not verify, in a module that has no code of its own for it.
    SignatureUnverifiable,
    /// The worker has verified as many signatures as it may for now.
    BudgetExhausted,
    /// Bad tokens from the same source have cost as much as one source may for now.
    SourceBudgetExhausted,
    /// The same credential twice, or in two places.
    CredentialRepeated,
}

/// The `error` of a challenge (RFC 6750 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// The request cannot be read in one way.
    InvalidRequest,
    /// The credential is no good.
    InvalidToken,
}

impl Failure {
    /// All of them.
    pub const ALL: [Failure; 29] = [
        Self::NoRule,
        Self::Missing,
        Self::IssuerMismatch,
        Self::TokenMalformed,
        Self::TokenTooLarge,
        Self::ForwardedMalformed,
        Self::ApiKeyUnknown,
        Self::TypeMismatch,
        Self::CriticalHeader,
        Self::AlgorithmNotAllowed,
        Self::UnknownKey,
        Self::SignatureInvalid,
        Self::AudienceMismatch,
        Self::SubjectMismatch,
        Self::ClaimMismatch,
        Self::LifetimeTooLong,
        Self::ExpiryMissing,
        Self::PrincipalMissing,
        Self::ClaimUnreadable,
        Self::ClaimNotForwardable,
        Self::TokenNotYetValid,
        Self::TokenExpired,
        Self::ApiKeyNotYetValid,
        Self::ApiKeyExpired,
        Self::KeysUnavailable,
        Self::SignatureUnverifiable,
        Self::BudgetExhausted,
        Self::SourceBudgetExhausted,
        Self::CredentialRepeated,
    ];

    /// The stable name of the reason.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoRule => "no_rule",
            Self::Missing => "missing",
            Self::IssuerMismatch => "issuer_mismatch",
            Self::TokenMalformed => "token_malformed",
            Self::TokenTooLarge => "token_too_large",
            Self::ForwardedMalformed => "forwarded_malformed",
            Self::ApiKeyUnknown => "api_key_unknown",
            Self::TypeMismatch => "type_mismatch",
            Self::CriticalHeader => "critical_header",
            Self::AlgorithmNotAllowed => "algorithm_not_allowed",
            Self::UnknownKey => "unknown_key",
            Self::SignatureInvalid => "signature_invalid",
            Self::KeysUnavailable => "keys_unavailable",
            Self::SignatureUnverifiable => "signature_unverifiable",
            Self::BudgetExhausted => "verification_budget_exhausted",
            Self::SourceBudgetExhausted => "source_budget_exhausted",
            Self::AudienceMismatch => "audience_mismatch",
            Self::SubjectMismatch => "subject_mismatch",
            Self::ClaimMismatch => "claim_mismatch",
            Self::LifetimeTooLong => "lifetime_too_long",
            Self::ExpiryMissing => "expiry_missing",
            Self::PrincipalMissing => "principal_missing",
            Self::ClaimUnreadable => "claim_unreadable",
            Self::ClaimNotForwardable => "claim_not_forwardable",
            Self::TokenNotYetValid => "token_not_yet_valid",
            Self::TokenExpired => "token_expired",
            Self::ApiKeyNotYetValid => "api_key_not_yet_valid",
            Self::ApiKeyExpired => "api_key_expired",
            Self::CredentialRepeated => "credential_repeated",
        }
    }

    /// The status of the answer.
    pub const fn status(self) -> u16 {
        match self {
            // RFC 6750 §3.1: `invalid_request` is a 400.
            Self::CredentialRepeated => 400,
            Self::KeysUnavailable
            | Self::SignatureUnverifiable
            | Self::BudgetExhausted
            | Self::SourceBudgetExhausted => 503,
            _ => 401,
        }
    }

    /// The `error` of the challenge; `None` where no credential was shown (RFC 6750 §3: no error then), and where it is not the
    /// credential's fault.
    pub const fn error(self) -> Option<ErrorCode> {
        match self {
            Self::NoRule
            | Self::Missing
            | Self::KeysUnavailable
            | Self::SignatureUnverifiable
            | Self::BudgetExhausted
            | Self::SourceBudgetExhausted => None,
            Self::CredentialRepeated => Some(ErrorCode::InvalidRequest),
            _ => Some(ErrorCode::InvalidToken),
        }
    }

    /// A sentence for the client: the `error_description` (only characters of RFC 6750 §3) and the detail of the body. It says no more
    /// than who holds the credential can see, or must know to get a better one.
    pub const fn description(self) -> &'static str {
        match self {
            Self::NoRule | Self::Missing => "A credential is required",
            Self::IssuerMismatch => "The token is not from an accepted issuer",
            Self::TokenMalformed => "The token is malformed",
            Self::TokenTooLarge => "The token is too large",
            Self::ForwardedMalformed => "The forwarded identity is malformed",
            Self::ApiKeyUnknown => "The API key is not valid",
            Self::TypeMismatch => "The token is of another type",
            Self::CriticalHeader => "The token demands an extension that is not supported",
            Self::AlgorithmNotAllowed => "The token's algorithm is not accepted",
            Self::UnknownKey => "The token's key is not known",
            Self::SignatureInvalid => "The token's signature is not valid",
            Self::KeysUnavailable => "The issuer's keys are not available; try again",
            Self::SignatureUnverifiable => "The token's signature can't be verified here",
            Self::BudgetExhausted => "Too many tokens are being verified; try again",
            Self::SourceBudgetExhausted => "Too many bad tokens have come from this address; try again",
            Self::AudienceMismatch => "The token is for another audience",
            Self::SubjectMismatch => "The token is of a subject that is not accepted",
            Self::ClaimMismatch => "A claim of the token is not as required",
            Self::LifetimeTooLong => "The token is valid for longer than is accepted",
            Self::ExpiryMissing => "The token does not expire",
            Self::PrincipalMissing => "The token does not name its subject",
            Self::ClaimUnreadable => "A claim of the token has no single exact reading",
            Self::ClaimNotForwardable => "A claim of the token holds characters that are not accepted",
            Self::TokenNotYetValid => "The token is not valid yet",
            Self::TokenExpired => "The token has expired",
            Self::ApiKeyNotYetValid => "The API key is not valid yet",
            Self::ApiKeyExpired => "The API key has expired",
            Self::CredentialRepeated => "The credential stands in the request more than once",
        }
    }
}

impl ErrorCode {
    /// As it stands in the challenge.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidToken => "invalid_token",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn all_are_listed_in_their_order_and_have_names_of_their_own() {
        assert!(Failure::ALL.windows(2).all(|pair| pair[0] < pair[1]));
        for (position, failure) in Failure::ALL.iter().enumerate() {
            assert_eq!(*failure as usize, position);
            assert!(Failure::ALL.iter().skip(position + 1).all(|other| other.reason() != failure.reason()));
        }
    }

    #[test]
    fn descriptions_hold_only_what_rfc_6750_allows() {
        for failure in Failure::ALL {
            let allowed = |byte: u8| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            assert!(failure.description().bytes().all(allowed), "{failure:?}");
        }
    }
}
