//! Tokens that have been verified, so that repeats cost neither crypto nor a call of the host.
//!
//! A fixed number of sets of a few places each: a token's keyed hash chooses the set, and the whole token is compared. Clients can't
//! choose tokens that collide (the seed is secret), nor fill it (only genuine tokens get in). A set that is full forgets the entry that was not
//! used for longest.

use crate::key::Fingerprint;
use crate::provider::Accepted;
use siphasher::sip::SipHasher13;
use sluice_core::decision::environment::UnixTime;
use sluice_core::http::bytes;
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

/// How many places a set has.
const PLACES: usize = 8;

/// How many bytes of a token's end are hashed: 48 bytes of the signature, in Base64url.
const HASHED: usize = 64;

/// See the module.
pub struct TokenCache {
    seed: u64,
    sets: Vec<Vec<Entry>>,
    /// Counts uses, to tell which entry was used last.
    uses: Cell<u64>,
}

struct Entry {
    hash: u64,
    token: Box<[u8]>,
    accepted: Rc<Accepted>,
    /// The key that signed it.
    key: Fingerprint,
    /// From when on it is no good.
    until: UnixTime,
    used: Cell<u64>,
}

/// A token's keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenHash(u64);

/// What is remembered of a token.
pub enum Remembered<'c> {
    /// The provider that was asked for accepted it.
    Accepted {
        /// As this.
        accepted: &'c Rc<Accepted>,
        /// It is signed with this key.
        key: Fingerprint,
    },
    /// It is signed with this key. Another provider accepted it, or the same, for which it is no good any more.
    Signed {
        /// The provider.
        provider: usize,
        /// The key.
        key: Fingerprint,
    },
    /// Nothing.
    Nothing,
}

impl TokenCache {
    /// A cache for about `size` tokens; 0 remembers nothing.
    pub fn new(size: u32, seed: u64) -> Self {
        let sets = (size as usize).div_ceil(PLACES);
        Self { seed, sets: (0..sets).map(|_| Vec::new()).collect(), uses: Cell::new(0) }
    }

    /// The hash of a token: of its end, in which no two genuine tokens are the same, since that is the signature.
    pub fn hash(&self, token: &[u8]) -> TokenHash {
        let end = token.get(token.len().saturating_sub(HASHED)..).unwrap_or_default();
        TokenHash(SipHasher13::new_with_keys(self.seed, self.seed.rotate_left(32)).hash(end))
    }

    /// What is remembered of `token`, whose hash is `hash`, for `provider`.
    pub fn find(&self, token: &[u8], hash: TokenHash, provider: usize, now: UnixTime) -> Remembered<'_> {
        let mut remembered = Remembered::Nothing;
        for entry in self.set(hash).and_then(|set| self.sets.get(set)).into_iter().flatten() {
            // How long the comparison takes tells nothing: only whoever has the token finds one whose keyed hash is the same.
            if entry.hash != hash.0 || !bytes::equal(&entry.token, token) {
                continue;
            }
            if entry.accepted.provider == provider && entry.until > now {
                let use_number = self.uses.get().wrapping_add(1);
                self.uses.set(use_number);
                entry.used.set(use_number);
                return Remembered::Accepted { accepted: &entry.accepted, key: entry.key };
            }
            remembered = Remembered::Signed { provider: entry.accepted.provider, key: entry.key };
        }
        remembered
    }

    /// Remembers a token that is signed with `key`, until it is no good any more.
    pub fn remember(
        &mut self,
        token: &[u8],
        hash: TokenHash,
        accepted: Rc<Accepted>,
        key: Fingerprint,
        until: UnixTime,
    ) {
        let Some(set) = self.set(hash).and_then(|set| self.sets.get_mut(set)) else { return };
        let use_number = self.uses.get().wrapping_add(1);
        self.uses.set(use_number);
        let entry =
            Entry { hash: hash.0, token: token.into(), accepted, key, until, used: Cell::new(use_number) };
        if set.len() < PLACES {
            set.push(entry);
        } else if let Some(oldest) = set.iter_mut().min_by_key(|entry| entry.used.get()) {
            *oldest = entry;
        }
    }

    fn set(&self, hash: TokenHash) -> Option<usize> {
        // The remainder is below the number of sets, which is a `usize`.
        usize::try_from(hash.0.checked_rem(self.sets.len() as u64)?).ok()
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} tokens", self.sets.iter().map(Vec::len).sum::<usize>())
    }
}

#[cfg(test)]
mod tests;
