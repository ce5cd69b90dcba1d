//! The keys of a provider: those that the document holds, or those that are fetched.

use crate::algorithm::{Algorithm, AlgorithmSet};
use crate::failure::Failure;
use crate::jws::Jws;
use crate::key::{Fingerprint, KeyMaterial};
use crate::key_set::{KeySet, NoKey};
use sluice_core::decision::environment::Environment;
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::wait::Wait;
use sluice_core::resource::Resource;
use std::rc::Rc;

/// The base point of P-256 (SEC 2 §2.4.2).
const P256_X: [u8; 32] = [
    0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77,
    0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96,
];
const P256_Y: [u8; 32] = [
    0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b,
    0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
];

/// The keys of a provider.
#[derive(Debug)]
pub enum Keys {
    /// The document holds them.
    Inline(Rc<KeySet>),
    /// They are fetched.
    Fetched {
        /// The set.
        set: Resource<KeySet>,
        /// The algorithms that a key may be for.
        accepted: AlgorithmSet,
    },
}

/// Whether a request may wait for keys. A rule in shadow must not delay anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It may.
    Waits,
    /// It may not.
    Hurries,
}

/// What a stage finds out, unless it has to wait for it.
pub type Found<T> = Result<Result<T, Failure>, Wait>;

impl Keys {
    /// Whether they are fetched.
    pub const fn are_fetched(&self) -> bool {
        matches!(self, Self::Fetched { .. })
    }

    /// Whether the host refuses one of them, where nobody else verifies. Of keys that are still to be fetched it is asked with a point that
    /// everybody knows.
    pub fn are_unverifiable(&self, environment: &dyn Environment) -> bool {
        match self {
            Self::Inline(set) => set.is_unverifiable(environment),
            Self::Fetched { .. } => {
                let es256 = [Algorithm::Es256].into_iter().collect();
                KeyMaterial::p256(&P256_X, &P256_Y).is_ok_and(|key| key.is_unverifiable(es256, environment))
            }
        }
    }

    /// Whether a token that this key signed may still be accepted for that: a key that was fetched may be gone since.
    pub fn still_have(&self, key: Fingerprint, exchange: &Exchange<'_>) -> bool {
        match self {
            Self::Inline(_) => true,
            Self::Fetched { set, .. } => set.find(exchange.environment()).is_some_and(|set| set.has(key)),
        }
    }

    /// The set in which the keys for this token are. Where the token names a key that is not there, it is fetched early.
    ///
    /// # Errors
    /// [`Wait`], and why there is no key.
    pub fn for_token(&self, jws: &Jws, patience: Patience, exchange: &Exchange<'_>) -> Found<Rc<KeySet>> {
        let (resource, accepted) = match self {
            Self::Inline(set) => return Ok(none_fits(set, jws).map_or_else(|| Ok(Rc::clone(set)), Err)),
            Self::Fetched { set, accepted } => (set, accepted),
        };
        if !accepted.has(jws.algorithm) {
            return Ok(Err(Failure::AlgorithmNotAllowed));
        }
        let Some(set) = self.ask(resource, patience, exchange)? else {
            return Ok(Err(Failure::KeysUnavailable));
        };
        let unknown = |set: &KeySet| jws.key_id.as_deref().is_some_and(|id| !set.names(id));
        if !(unknown(&set) && none_fits(&set, jws).is_some()) {
            return Ok(none_fits(&set, jws).map_or_else(|| Ok(set), Err));
        }
        let Some(set) = self.ask_again(patience, exchange)? else { return Ok(Err(Failure::KeysUnavailable)) };
        Ok(match none_fits(&set, jws) {
            None => Ok(set),
            // The key may be one that the issuer has and can't give us.
            Some(_) if unknown(&set) && resource.may_be_outdated(exchange.environment().now()) => {
                Err(Failure::KeysUnavailable)
            }
            Some(_) if unknown(&set) => Err(Failure::UnknownKey),
            Some(failure) => Err(failure),
        })
    }

    /// The set once more, after it was fetched early if it may be. `None` where it is not there.
    ///
    /// # Errors
    /// [`Wait`].
    pub fn ask_again(&self, patience: Patience, exchange: &Exchange<'_>) -> Result<Option<Rc<KeySet>>, Wait> {
        match self {
            Self::Inline(set) => Ok(Some(Rc::clone(set))),
            Self::Fetched { set, .. } => {
                if patience == Patience::Waits {
                    exchange.renew(set)?;
                }
                self.ask(set, patience, exchange)
            }
        }
    }

    fn ask(
        &self,
        set: &Resource<KeySet>,
        patience: Patience,
        exchange: &Exchange<'_>,
    ) -> Result<Option<Rc<KeySet>>, Wait> {
        match patience {
            Patience::Waits => Ok(exchange.resource(set)?.ok()),
            Patience::Hurries => Ok(set.find(exchange.environment())),
        }
    }
}

/// Why no key of `set` is for this token.
fn none_fits(set: &KeySet, jws: &Jws) -> Option<Failure> {
    match set.candidates(jws.key_id.as_deref(), jws.algorithm) {
        Ok(_) => None,
        Err(NoKey::AlgorithmNotAllowed) => Some(Failure::AlgorithmNotAllowed),
        Err(NoKey::Unknown) => Some(Failure::UnknownKey),
    }
}

#[cfg(test)]
mod tests;
