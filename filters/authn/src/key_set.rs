//! The keys of an issuer, and which of them a token may have been signed with.

use crate::algorithm::{Algorithm, AlgorithmSet};
use crate::key::{Fingerprint, VerificationKey};
use sluice_core::decision::environment::Environment;

/// The keys of an issuer.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<VerificationKey>,
}

/// Why no key is there to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKey {
    /// The algorithm is none that these keys verify, or not one that the token's own key verifies.
    AlgorithmNotAllowed,
    /// There is no key of this `kid`.
    Unknown,
}

impl KeySet {
    /// These keys.
    pub fn new(keys: Vec<VerificationKey>) -> Self {
        Self { keys }
    }

    /// All that some key verifies.
    pub fn algorithms(&self) -> AlgorithmSet {
        self.keys.iter().fold(AlgorithmSet::default(), |set, key| set.or(key.algorithms))
    }

    /// Whether there is a key of this `kid`.
    pub fn names(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// Whether this key is among them.
    pub fn has(&self, key: Fingerprint) -> bool {
        self.keys.iter().any(|known| known.fingerprint == key)
    }

    /// Whether nobody verifies with one of them.
    pub fn is_unverifiable(&self, environment: &dyn Environment) -> bool {
        self.keys.iter().any(|key| key.material.is_unverifiable(key.algorithms, environment))
    }

    /// How many keys are tried for a token without `kid`, at most, and what that takes of the budget.
    pub fn most_tries(&self) -> (usize, u64) {
        let tries = |algorithm| {
            let fitting = self.keys.iter().filter(move |key| key.algorithms.has(algorithm));
            fitting.fold((0_usize, 0_u64), |(count, cost), key| {
                (count.saturating_add(1), cost.saturating_add(key.material.cost(algorithm)))
            })
        };
        self.algorithms().iter().map(tries).max().unwrap_or_default()
    }

    /// The keys to try for a token of this `kid` and algorithm: those of the same `kid`, or without one; for a token without `kid` all.
    ///
    /// # Errors
    /// [`NoKey`], if there is none.
    pub fn candidates(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<impl Iterator<Item = &VerificationKey>, NoKey> {
        if !self.algorithms().has(algorithm) {
            return Err(NoKey::AlgorithmNotAllowed);
        }
        let fits_id =
            move |key: &&VerificationKey| id.is_none() || key.id.is_none() || key.id.as_deref() == id;
        let fitting = self.keys.iter().filter(fits_id).filter(move |key| key.algorithms.has(algorithm));
        if fitting.clone().next().is_none() {
            let known = self.keys.iter().any(|key| fits_id(&key));
            return Err(if known { NoKey::AlgorithmNotAllowed } else { NoKey::Unknown });
        }
        Ok(fitting)
    }
}

#[cfg(test)]
mod tests;
