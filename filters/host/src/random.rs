//! Randomness that clients cannot foresee, without a host call for each number.

use crate::calls;
use siphasher::sip::SipHasher13;
use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};

/// SipHash of a counter under a secret key: a pseudo-random function, so that numbers seen (a client sees whether it was delayed) tell
/// nothing about those to come.
#[derive(Debug)]
pub struct Random {
    hasher: SipHasher13,
    drawn: Cell<u64>,
}

impl Random {
    /// With a key from the host's cryptographic generator; failing that, from the one that `std` seeds its maps with.
    pub fn new() -> Self {
        let mut key = [0; 16];
        if calls::fill_random(&mut key).is_err() {
            let halves = [RandomState::new(), RandomState::new()].map(|state| state.hash_one(()));
            key = ((u128::from(halves[0]) << 64) | u128::from(halves[1])).to_le_bytes();
        }
        Self { hasher: SipHasher13::new_with_key(&key), drawn: Cell::new(0) }
    }

    /// The next number, uniform over all of `u64`.
    pub fn next(&self) -> u64 {
        let drawn = self.drawn.get();
        self.drawn.set(drawn.wrapping_add(1));
        let mut hasher = self.hasher;
        hasher.write_u64(drawn);
        hasher.finish()
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}
