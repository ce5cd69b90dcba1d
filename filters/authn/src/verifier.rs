//! Signatures are verified here: within the budget, and each at most once, however many providers have the key.

use crate::budget::{Exhausted, VerificationBudget};
use crate::failure::Failure;
use crate::forged_tokens::ForgedTokens;
use crate::jws::Jws;
use crate::key::{Fingerprint, VerificationKey};
use crate::source::Source;
use sluice_core::decision::exchange::Exchange;
use sluice_core::document::scalar::Rate;
use std::cell::RefCell;

/// What a worker verifies signatures with.
#[derive(Debug)]
pub struct Verifier {
    budget: VerificationBudget,
    forged: RefCell<ForgedTokens>,
}

/// What is known of the signature of one token of a request.
#[derive(Debug, Default)]
pub struct Signatures {
    /// The keys that it was verified with, and whether they had signed it.
    known: Vec<(Fingerprint, bool)>,
    /// What that cost.
    spent: u64,
    /// Whether a provider accepted the token.
    accepted: bool,
}

// === impl Verifier ===

impl Verifier {
    /// With this budget; `seed` is secret.
    pub fn new(budget: Rate, seed: u64) -> Self {
        Self {
            budget: VerificationBudget::new(budget, seed.rotate_left(16)),
            forged: RefCell::new(ForgedTokens::new(seed.rotate_left(48))),
        }
    }

    /// Which of `keys` signed the token. What all of them cost is taken from the budget first, and what was not needed is given back.
    ///
    /// # Errors
    /// [`Failure::SignatureInvalid`], or that there is no budget left to find out.
    pub fn signer<'k>(
        &self,
        keys: impl Iterator<Item = &'k VerificationKey>,
        token: &[u8],
        jws: &Jws,
        signatures: &mut Signatures,
        exchange: &Exchange<'_>,
    ) -> Result<Fingerprint, Failure> {
        let algorithm = jws.algorithm;
        let mut untried = Vec::new();
        // A signature of the wrong length is nobody's, and costs nobody anything.
        for key in keys.filter(|key| key.material.signature_length(algorithm) == Some(jws.signature.len())) {
            match signatures.of(key.fingerprint) {
                Some(true) => {
                    exchange.note(|| "its signature has been verified with the same key".to_owned());
                    return Ok(key.fingerprint);
                }
                Some(false) => {}
                None if self.forged.borrow().has(token, key.fingerprint) => {
                    exchange.note(|| "it has been shown before and its signature was wrong".to_owned());
                    signatures.add(key.fingerprint, false);
                }
                None => untried.push(key),
            }
        }
        if untried.is_empty() {
            return Err(Failure::SignatureInvalid);
        }
        let mut left =
            untried.iter().fold(0, |sum: u64, key| sum.saturating_add(key.material.cost(algorithm)));
        exchange.note(|| match untried.len() {
            1 => format!("verifying its signature takes {} of the budget", units(left)),
            keys => format!("it is tried with {keys} keys, which takes up to {} of the budget", units(left)),
        });
        let environment = exchange.environment();
        let source = Source::of(exchange.client_address());
        let taken =
            self.budget.take(source, left, environment.now()).map_err(|exhausted| match exhausted {
                Exhausted::Source => Failure::SourceBudgetExhausted,
                Exhausted::Worker => Failure::BudgetExhausted,
            })?;
        let (mut found, mut unverifiable) = (None, false);
        for key in untried {
            let foreseen = key.material.cost(algorithm);
            let verified = key.material.verifies(algorithm, jws.signed(token), &jws.signature, environment);
            // More than was foreseen, where the host turns out not to know this key.
            let cost = key.material.cost(algorithm);
            taken.add(cost.saturating_sub(foreseen));
            signatures.spent = signatures.spent.saturating_add(cost);
            left = left.saturating_sub(foreseen);
            // Not known to be wrong, and so neither remembered as that nor, in the end, refused as that.
            let Ok(signed) = verified else {
                unverifiable = true;
                continue;
            };
            signatures.add(key.fingerprint, signed);
            if signed {
                found = Some(key.fingerprint);
                break;
            }
            self.forged.borrow_mut().add(token, key.fingerprint);
        }
        taken.give_back(left);
        found.ok_or(if unverifiable { Failure::SignatureUnverifiable } else { Failure::SignatureInvalid })
    }

    /// The request is decided: its source is charged with what a token cost that nobody accepted.
    pub fn settle(&self, signatures: &Signatures, exchange: &Exchange<'_>) {
        if signatures.spent > 0 && !signatures.accepted {
            let source = Source::of(exchange.client_address());
            // A signature that nobody could verify is no forgery: it is not among those that are known.
            let forged = signatures.known.iter().any(|(_, signed)| !*signed)
                && !signatures.known.iter().any(|(_, signed)| *signed);
            self.budget.charge(source, signatures.spent, forged, exchange.environment().now());
        }
    }
}

fn units(count: u64) -> String {
    if count == 1 { "1 unit".to_owned() } else { format!("{count} units") }
}

// === impl Signatures ===

impl Signatures {
    /// Whether this key signed the token; `None` if that is not known.
    fn of(&self, key: Fingerprint) -> Option<bool> {
        self.known.iter().find(|(known, _)| *known == key).map(|(_, signed)| *signed)
    }

    /// It is known that this key signed the token, or that it did not.
    pub fn add(&mut self, key: Fingerprint, signed: bool) {
        self.known.push((key, signed));
    }

    /// A provider has accepted the token.
    pub fn accept(&mut self) {
        self.accepted = true;
    }
}

#[cfg(test)]
mod tests;
