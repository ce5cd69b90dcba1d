//! In place of verification in Rust: nothing verifies but the host. What it does not know is refused when the document is compiled.

use crate::algorithm::Algorithm;

/// An RSA public key: the host has it.
pub(super) struct RsaKey;

impl RsaKey {
    /// `None` where the modulus is even.
    pub(super) fn new(modulus: &[u8], _exponent: &[u8]) -> Option<Self> {
        modulus.last().is_some_and(|last| last & 1 == 1).then_some(Self)
    }

    /// Nobody knows.
    pub(super) fn verifies(&self, _algorithm: Algorithm, _message: &[u8], _signature: &[u8]) -> Option<bool> {
        None
    }
}

/// A public key on P-256: the host has it, and refuses what is no point of the curve.
pub(super) struct P256Key;

impl P256Key {
    /// Whatever point it is.
    pub(super) fn new(_point: &[u8]) -> Option<Self> {
        Some(Self)
    }

    /// Nobody knows.
    pub(super) fn verifies(&self, _message: &[u8], _signature: &[u8]) -> Option<bool> {
        None
    }
}

/// The same on P-384.
pub(super) type P384Key = P256Key;

/// A public key of Ed25519, of which there are none here.
pub(super) enum Ed25519Key {}

impl Ed25519Key {
    /// Never.
    pub(super) fn new(_bytes: &[u8]) -> Option<Self> {
        None
    }

    /// The key's bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        match *self {}
    }

    /// Nobody knows.
    pub(super) fn verifies(&self, _message: &[u8], _signature: &[u8]) -> Option<bool> {
        match *self {}
    }
}
