//! API keys, of which the document has the hashes alone.

use crate::credential::CredentialSource;
use crate::failure::Failure;
use crate::provider::Accepted;
use crate::scalar::Sha256Digest;
use siphasher::sip::SipHasher13;
use sluice_core::decision::environment::UnixTime;
use sluice_core::document::order::sort_by;
use std::fmt;
use std::rc::Rc;
use subtle::ConstantTimeEq;

/// The longest key that is hashed, in bytes.
const LONGEST: usize = 4096;

/// A compiled provider of API keys.
pub struct ApiKeyProvider {
    /// Where keys are read.
    pub sources: Vec<CredentialSource>,
    /// Whether the key is taken out of the request.
    pub removes_key: bool,
    seed: u64,
    /// Sorted by the keyed hash of the digest, so that how long a search takes says nothing about digests.
    keys: Vec<(u64, ApiKey)>,
}

/// A compiled API key.
pub struct ApiKey {
    /// The key's SHA-256.
    pub digest: Sha256Digest,
    /// Who shows it.
    pub accepted: Rc<Accepted>,
    /// Before when it is refused.
    pub not_before: Option<UnixTime>,
    /// From when on it is refused.
    pub expires: Option<UnixTime>,
}

impl ApiKeyProvider {
    /// A provider that knows these keys; `seed` is secret.
    pub fn new(sources: Vec<CredentialSource>, removes_key: bool, keys: Vec<ApiKey>, seed: u64) -> Self {
        let mut keys: Vec<(u64, ApiKey)> =
            keys.into_iter().map(|key| (keyed_hash(seed, &key.digest), key)).collect();
        sort_by(&mut keys, |(left, _), (right, _)| left.cmp(right));
        Self { sources, removes_key, seed, keys }
    }

    /// Who shows `credential`.
    ///
    /// # Errors
    /// Why nobody.
    pub fn verify(&self, credential: &[u8], now: UnixTime) -> Result<&Rc<Accepted>, Failure> {
        let key = self.find(credential).ok_or(Failure::ApiKeyUnknown)?;
        if key.not_before.is_some_and(|begin| now < begin) {
            return Err(Failure::ApiKeyNotYetValid);
        }
        if key.expires.is_some_and(|end| now >= end) {
            return Err(Failure::ApiKeyExpired);
        }
        Ok(&key.accepted)
    }

    /// Clears a key away; whether there was one.
    pub(crate) fn drop_key(&mut self) -> bool {
        self.keys.pop().is_some()
    }

    fn find(&self, credential: &[u8]) -> Option<&ApiKey> {
        // Whatever the document lists: nothing proves nothing.
        if credential.is_empty() || credential.len() > LONGEST {
            return None;
        }
        let digest = Sha256Digest::of(credential);
        let hash = keyed_hash(self.seed, &digest);
        let first = self.keys.partition_point(|(known, _)| *known < hash);
        let same_hash = self.keys.get(first..)?.iter().take_while(|(known, _)| *known == hash);
        same_hash.map(|(_, key)| key).find(|key| key.digest.as_bytes().ct_eq(digest.as_bytes()).into())
    }
}

impl fmt::Debug for ApiKeyProvider {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} API keys", self.keys.len())
    }
}

fn keyed_hash(seed: u64, digest: &Sha256Digest) -> u64 {
    SipHasher13::new_with_keys(seed, !seed).hash(digest.as_bytes())
}

#[cfg(test)]
mod tests;
