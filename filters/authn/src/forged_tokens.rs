//! Signatures that have been found wrong, so that a token that is shown again costs no crypto. It refuses and never accepts: what it says
//! of a token is what verifying would say again.
//!
//! It holds a fixed number of hashes of 128 bits, keyed with a secret, of the token and the key: clients can't find two tokens of
//! one hash, so the tokens themselves, which may be long, need not be kept.

use crate::key::Fingerprint;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::fmt;
use std::hash::Hasher;

/// How many places a set has.
const PLACES: usize = 4;
/// How many sets there are: 1,024 signatures in all, 16 KiB.
const SETS: usize = 256;

/// See the module.
pub struct ForgedTokens {
    seed: u64,
    /// In each set the newest is last.
    sets: Vec<Vec<u128>>,
}

impl ForgedTokens {
    /// Nothing is known yet. `seed` is secret.
    pub fn new(seed: u64) -> Self {
        Self { seed, sets: Vec::new() }
    }

    /// Whether this token is known not to be signed with this key.
    pub fn has(&self, token: &[u8], key: Fingerprint) -> bool {
        if self.sets.is_empty() {
            return false;
        }
        let (hash, set) = self.place(token, key);
        self.sets.get(set).is_some_and(|set| set.contains(&hash))
    }

    /// Remembers that this token is not signed with this key.
    pub fn add(&mut self, token: &[u8], key: Fingerprint) {
        if self.sets.is_empty() {
            self.sets.resize_with(SETS, Vec::new);
        }
        let (hash, set) = self.place(token, key);
        let Some(set) = self.sets.get_mut(set) else { return };
        if set.contains(&hash) {
            return;
        }
        if set.len() >= PLACES {
            set.remove(0);
        }
        set.push(hash);
    }

    fn place(&self, token: &[u8], key: Fingerprint) -> (u128, usize) {
        let mut hasher = SipHasher13::new_with_keys(self.seed, !self.seed.rotate_left(32));
        hasher.write(key.as_bytes());
        hasher.write(token);
        let hash = hasher.finish128();
        let set = hash.h1.checked_rem(SETS as u64).and_then(|set| usize::try_from(set).ok());
        (hash.as_u128(), set.unwrap_or_default())
    }
}

impl fmt::Debug for ForgedTokens {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} signatures", self.sets.iter().map(Vec::len).sum::<usize>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyMaterial;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn key(byte: u8) -> Fingerprint {
        KeyMaterial::secret(vec![byte; 32]).unwrap().fingerprint()
    }

    #[test]
    fn a_token_is_known_for_the_key_that_did_not_sign_it() {
        let mut forged = ForgedTokens::new(1);
        assert!(!forged.has(b"token", key(1)));
        forged.add(b"token", key(1));
        assert!(forged.has(b"token", key(1)));
        assert!(!forged.has(b"token", key(2)) && !forged.has(b"tokem", key(1)));
    }

    #[test]
    fn it_never_holds_more_than_it_may_and_forgets_the_oldest() {
        let mut forged = ForgedTokens::new(1);
        for number in 0..20_000_u32 {
            forged.add(&number.to_be_bytes(), key(1));
            forged.add(&number.to_be_bytes(), key(1));
        }
        assert_eq!(forged.sets.iter().map(Vec::len).sum::<usize>(), SETS * PLACES);
        assert!(forged.has(&19_999_u32.to_be_bytes(), key(1)) && !forged.has(&0_u32.to_be_bytes(), key(1)));
    }
}
