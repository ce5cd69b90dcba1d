//! The tokens of a request, and what a worker knows of tokens. Providers that read the same place share both.

use crate::failure::Failure;
use crate::jws::Jws;
use crate::token_cache::{TokenCache, TokenHash};
use crate::verifier::{Signatures, Verifier};
use sluice_core::decision::exchange::Exchange;
use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};

/// What a worker knows of tokens.
#[derive(Debug)]
pub struct Tokens {
    /// Tokens verified before.
    pub cache: RefCell<TokenCache>,
    /// Verifies signatures, within the budget.
    pub verifier: Verifier,
    /// The issuers of the providers, by their positions; none for a provider of something else.
    pub issuers: Vec<Option<String>>,
}

/// The tokens of a request that have been looked at.
#[derive(Debug, Default)]
pub struct PresentedTokens<'r>(Vec<PresentedToken<'r>>);

/// A token as it came, and what has been found out about it.
#[derive(Debug)]
pub struct PresentedToken<'r> {
    /// As it came.
    pub token: Cow<'r, [u8]>,
    /// Its hash.
    pub hash: TokenHash,
    /// As it was read, once it was.
    pub parsed: OnceCell<Result<Jws, Failure>>,
    /// What is known of its signature.
    pub signatures: Signatures,
}

// === impl Tokens ===

impl Tokens {
    /// The issuer of whose tokens a provider is.
    pub fn issuer(&self, provider: usize) -> Option<&str> {
        self.issuers.get(provider)?.as_deref()
    }
}

// === impl PresentedTokens ===

impl<'r> PresentedTokens<'r> {
    /// What is known of a token, which another provider may have looked at before.
    pub fn find_or_add(&mut self, token: Cow<'r, [u8]>, tokens: &Tokens) -> &mut PresentedToken<'r> {
        let known = self.0.iter().position(|known| known.token == token).unwrap_or(self.0.len());
        if known == self.0.len() {
            let hash = tokens.cache.borrow().hash(&token);
            let signatures = Signatures::default();
            self.0.push(PresentedToken { token, hash, parsed: OnceCell::new(), signatures });
        }
        // It stands there already, or was just added there.
        #[allow(clippy::indexing_slicing)]
        &mut self.0[known]
    }

    /// The request is decided, or waits: what was verified until now is paid for, and what was forged is remembered as that.
    pub fn settle(&self, tokens: &Tokens, exchange: &Exchange<'_>) {
        for token in &self.0 {
            tokens.verifier.settle(&token.signatures, exchange);
        }
    }
}
