//! Verification in Rust, where the host has no `verify_signature`, refuses the key, or does not know the algorithm (PSS, Ed25519).

use crate::algorithm::{Algorithm, Hash};
use jwt_simple::prelude::{
    ECDSAP256PublicKeyLike, ECDSAP384PublicKeyLike, ES256PublicKey, ES384PublicKey, Ed25519PublicKey,
    EdDSAPublicKeyLike, RS256PublicKey, RSAPublicKeyLike,
};
use superboring::hash::MessageDigest;
use superboring::pkey::PKey;
use superboring::rsa::Padding;
use superboring::sign::Verifier;

/// An RSA public key.
pub(super) struct RsaKey(Box<RS256PublicKey>);

impl RsaKey {
    /// `None` where the modulus is even. Both numbers are big-endian.
    pub(super) fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        RS256PublicKey::from_components(modulus, exponent).ok().map(|key| Self(Box::new(key)))
    }

    /// Whether the signature is this key's.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Option<bool> {
        let padding = match algorithm {
            Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 => Padding::PKCS1,
            _ => Padding::PKCS1_PSS,
        };
        let digest = match algorithm.hash() {
            Some(Hash::Sha256) => MessageDigest::sha256(),
            Some(Hash::Sha384) => MessageDigest::sha384(),
            Some(Hash::Sha512) => MessageDigest::sha512(),
            None => return Some(false),
        };
        let verify = || {
            let key = PKey::from_rsa(self.0.public_key().as_ref().clone())?;
            let mut verifier = Verifier::new(digest, &key)?;
            verifier.set_rsa_padding(padding)?;
            verifier.update(message)?;
            verifier.verify(signature)
        };
        Some(verify().unwrap_or(false))
    }
}

/// A public key on P-256.
pub(super) struct P256Key(ES256PublicKey);

impl P256Key {
    /// `None` where it is no point of the curve.
    pub(super) fn new(point: &[u8]) -> Option<Self> {
        ES256PublicKey::from_bytes(point).ok().map(Self)
    }

    /// Whether the signature is this key's.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> Option<bool> {
        use p256::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier};
        let key: &VerifyingKey = self.0.public_key().as_ref();
        let signature = Signature::from_slice(signature);
        Some(
            signature.is_ok_and(|signature| {
                key.verify_prehash(&hmac_sha256::Hash::hash(message), &signature).is_ok()
            }),
        )
    }
}

/// A public key on P-384.
pub(super) struct P384Key(ES384PublicKey);

impl P384Key {
    /// `None` where it is no point of the curve.
    pub(super) fn new(point: &[u8]) -> Option<Self> {
        ES384PublicKey::from_bytes(point).ok().map(Self)
    }

    /// Whether the signature is this key's.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> Option<bool> {
        use p384::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier};
        let key: &VerifyingKey = self.0.public_key().as_ref();
        let signature = Signature::from_slice(signature);
        Some(signature.is_ok_and(|signature| {
            key.verify_prehash(&hmac_sha512::sha384::Hash::hash(message), &signature).is_ok()
        }))
    }
}

/// A public key of Ed25519.
pub(super) struct Ed25519Key(Ed25519PublicKey);

impl Ed25519Key {
    /// `None` where it is no point of the curve, or one of small order.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        Ed25519PublicKey::from_bytes(bytes).ok().map(Self)
    }

    /// The key's bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.public_key().as_ref().as_ref()
    }

    /// Whether the signature is this key's.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> Option<bool> {
        let signature = ed25519_compact::Signature::from_slice(signature);
        Some(
            signature.is_ok_and(|signature| self.0.public_key().as_ref().verify(message, &signature).is_ok()),
        )
    }
}
