//! Keys that verify signatures. What a key may verify is bound to it when it is read: the host's crypto, and every other that takes a
//! key and an algorithm apart, would verify what the key was never meant for.

use crate::algorithm::{Algorithm, AlgorithmSet, Hash};
use crate::der;
use crate::scalar::Sha256Digest;
use jwt_simple::prelude::{HS256Key, HS384Key, HS512Key, MACLike};
use sluice_core::decision::environment::{Environment, SignatureCheck};
use std::cell::Cell;
use std::fmt;
use subtle::ConstantTimeEq;

/// What verifies signatures where the host does not: with the feature `own-signatures` code, without it nothing.
#[cfg_attr(not(feature = "own-signatures"), path = "key/host_alone.rs")]
mod own;

use own::{Ed25519Key, P256Key, P384Key, RsaKey};

/// The fewest bits of an RSA modulus (RFC 7518 §3.3), and the most: verification takes time with its square, and `jwt-simple` stops
/// there too.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A unit of the budget in microseconds.
const UNIT: u64 = 50;

/// A key with what it may verify.
#[derive(Debug)]
pub struct VerificationKey {
    /// The key's `kid`.
    pub id: Option<String>,
    /// What it verifies.
    pub algorithms: AlgorithmSet,
    /// The key itself.
    pub material: KeyMaterial,
    /// What the key is known by: the same for every provider that has it.
    pub fingerprint: Fingerprint,
}

/// What a key is known by: the SHA-256 of its type and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(Sha256Digest);

/// A key by its type.
pub struct KeyMaterial {
    kind: Kind,
    /// The host did not verify with this key when it was asked last: it has no such function, or refuses the key.
    host_refuses: Cell<bool>,
}

enum Kind {
    Rsa { spki: Vec<u8>, modulus_length: usize, key: RsaKey },
    P256 { spki: Vec<u8>, key: P256Key },
    P384 { spki: Vec<u8>, key: P384Key },
    Ed25519(Ed25519Key),
    Secret(Vec<u8>),
}

// === impl VerificationKey ===

impl VerificationKey {
    /// A key that verifies `algorithms`.
    pub fn new(id: Option<String>, algorithms: AlgorithmSet, material: KeyMaterial) -> Self {
        Self { id, algorithms, fingerprint: material.fingerprint(), material }
    }
}

// === impl Fingerprint ===

impl Fingerprint {
    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

// === impl KeyMaterial ===

impl KeyMaterial {
    const fn of(kind: Kind) -> Self {
        Self { kind, host_refuses: Cell::new(false) }
    }

    /// An RSA key; both numbers are big-endian.
    ///
    /// # Errors
    /// A sentence: too short, too long, or of another exponent than 65537.
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, String> {
        if let Some(message) = Self::unsupported_rsa(modulus, exponent) {
            return Err(message);
        }
        let modulus = without_leading_zeros(modulus);
        let exponent = without_leading_zeros(exponent);
        let key = RsaKey::new(modulus, exponent)
            .ok_or_else(|| "not an RSA public key: its modulus is even".to_owned())?;
        let spki = der::rsa_public_key(modulus, exponent);
        Ok(Self::of(Kind::Rsa { spki, modulus_length: modulus.len(), key }))
    }

    /// Why RSA keys of these numbers, whatever they are, are not supported: too short, too long, or of another exponent than 65537.
    pub fn unsupported_rsa(modulus: &[u8], exponent: &[u8]) -> Option<String> {
        let modulus = without_leading_zeros(modulus);
        let unused = modulus.first().map_or(0, |first| first.leading_zeros() as usize);
        let bits = modulus.len().saturating_mul(8).saturating_sub(unused);
        if !RSA_BITS.contains(&bits) {
            let (least, most) = (RSA_BITS.start(), RSA_BITS.end());
            return Some(format!("an RSA key of {bits} bits; from {least} to {most} are supported"));
        }
        let exponent = without_leading_zeros(exponent);
        (exponent != [1, 0, 1]).then(|| "an RSA key whose exponent is not 65537 (`AQAB`)".to_owned())
    }

    /// A key on P-256 with these coordinates, both of 32 bytes.
    ///
    /// # Errors
    /// A sentence: not a point of the curve.
    pub fn p256(x: &[u8], y: &[u8]) -> Result<Self, String> {
        let point = uncompressed(x, y, 32)?;
        let key = P256Key::new(&point).ok_or_else(|| "no point of P-256".to_owned())?;
        Ok(Self::of(Kind::P256 { spki: der::p256_public_key(&point), key }))
    }

    /// A key on P-384 with these coordinates, both of 48 bytes.
    ///
    /// # Errors
    /// A sentence: not a point of the curve.
    pub fn p384(x: &[u8], y: &[u8]) -> Result<Self, String> {
        let point = uncompressed(x, y, 48)?;
        let key = P384Key::new(&point).ok_or_else(|| "no point of P-384".to_owned())?;
        Ok(Self::of(Kind::P384 { spki: der::p384_public_key(&point), key }))
    }

    /// An Ed25519 key.
    ///
    /// # Errors
    /// A sentence: not a point of the curve, or one of small order, for which anybody could sign.
    pub fn ed25519(x: &[u8]) -> Result<Self, String> {
        let key = Ed25519Key::new(x).ok_or_else(|| "no public key of Ed25519, or a weak one".to_owned())?;
        Ok(Self::of(Kind::Ed25519(key)))
    }

    /// A shared secret.
    ///
    /// # Errors
    /// A sentence: shorter than the shortest hash (RFC 7518 §3.2).
    pub fn secret(bytes: Vec<u8>) -> Result<Self, String> {
        let least = Hash::Sha256.length();
        if bytes.len() < least {
            return Err(format!(
                "a secret of {} bytes; it must have at least {least} (RFC 7518 §3.2)",
                bytes.len()
            ));
        }
        Ok(Self::of(Kind::Secret(bytes)))
    }

    /// The algorithms that fit the key's type, curve and size.
    pub fn fitting(&self) -> AlgorithmSet {
        Algorithm::all().filter(|algorithm| self.signature_length(*algorithm).is_some()).collect()
    }

    /// How long a signature is in bytes; `None` where the algorithm does not fit the key.
    pub fn signature_length(&self, algorithm: Algorithm) -> Option<usize> {
        use Algorithm::{EdDsa, Es256, Es384, Hs256, Hs384, Hs512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        match (&self.kind, algorithm) {
            (Kind::Rsa { modulus_length, .. }, Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512) => {
                Some(*modulus_length)
            }
            (Kind::P256 { .. }, Es256) | (Kind::Ed25519(_), EdDsa) => Some(64),
            (Kind::P384 { .. }, Es384) => Some(96),
            // RFC 7518 §3.2: a key is at least as long as the hash.
            (Kind::Secret(secret), Hs256 | Hs384 | Hs512) => {
                algorithm.hash().map(Hash::length).filter(|length| secret.len() >= *length)
            }
            _ => None,
        }
    }

    /// What a verification takes of the budget, in units of 50 µs of a worker's time: measured (docs/policies/authentication.md), rounded
    /// up, and at least one. What the host can verify is cheap. RSA takes time with the square of the key's length.
    pub fn cost(&self, algorithm: Algorithm) -> u64 {
        let by_host = !self.host_refuses.get();
        match &self.kind {
            Kind::Rsa { modulus_length, .. } => {
                let microseconds = match algorithm {
                    Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 if by_host => 23,
                    Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 => 703,
                    _ => 1_100,
                };
                let length = u64::try_from(*modulus_length).unwrap_or(u64::MAX);
                let scaled = length.saturating_mul(length).saturating_mul(microseconds);
                // Measured with keys of 2048 bits.
                scaled.div_ceil(256 * 256 * UNIT)
            }
            Kind::P256 { .. } => {
                if by_host {
                    1
                } else {
                    20
                }
            }
            Kind::P384 { .. } => {
                if by_host {
                    9
                } else {
                    60
                }
            }
            Kind::Ed25519(_) => 5,
            Kind::Secret(_) => 1,
        }
    }

    /// What the key is known by.
    pub fn fingerprint(&self) -> Fingerprint {
        let (kind, bytes): (&[u8], &[u8]) = match &self.kind {
            Kind::Rsa { spki, .. } => (b"RSA ", spki),
            Kind::P256 { spki, .. } | Kind::P384 { spki, .. } => (b"EC ", spki),
            Kind::Ed25519(key) => (b"Ed25519 ", key.bytes()),
            Kind::Secret(secret) => (b"oct ", secret),
        };
        Fingerprint(Sha256Digest::of(&[kind, bytes].concat()))
    }

    /// Whether `signature` is this key's for `message`. By the host where it can (RSA with PKCS#1 v1.5, ECDSA), by ourselves
    /// elsewhere: the keys, hashes and primitives of `jwt-simple`, not its reading of tokens and claims, so that there is one of those.
    ///
    /// # Errors
    /// [`Unverifiable`].
    pub fn verifies(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
        environment: &dyn Environment,
    ) -> Result<bool, Unverifiable> {
        if self.signature_length(algorithm) != Some(signature.len()) {
            return Ok(false);
        }
        let host = |public_key: &[u8], signature: &[u8]| {
            let verified = by_host(algorithm, public_key, message, signature, environment);
            self.host_refuses.set(verified.is_none());
            verified
        };
        match &self.kind {
            Kind::Rsa { spki, key, .. } => match algorithm {
                Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 => {
                    host(spki, signature).or_else(|| key.verifies(algorithm, message, signature))
                }
                _ => key.verifies(algorithm, message, signature),
            },
            Kind::P256 { spki, key } => {
                host(spki, &der::ecdsa_signature(signature)).or_else(|| key.verifies(message, signature))
            }
            Kind::P384 { spki, key } => {
                host(spki, &der::ecdsa_signature(signature)).or_else(|| key.verifies(message, signature))
            }
            Kind::Ed25519(key) => key.verifies(message, signature),
            Kind::Secret(secret) => {
                let tag = match algorithm {
                    Algorithm::Hs384 => HS384Key::from_bytes(secret).authentication_tag(message),
                    Algorithm::Hs512 => HS512Key::from_bytes(secret).authentication_tag(message),
                    _ => HS256Key::from_bytes(secret).authentication_tag(message),
                };
                Some(tag.as_slice().ct_eq(signature).into())
            }
        }
        .ok_or(Unverifiable)
    }

    /// Whether nobody can verify with this key and `algorithms`: we don't, and the host refuses the key when it is asked.
    pub fn is_unverifiable(&self, algorithms: AlgorithmSet, environment: &dyn Environment) -> bool {
        algorithms.iter().any(|algorithm| {
            let length = self.signature_length(algorithm).unwrap_or_default();
            // Nobody's signature, but of the right length: the host gets as far as to look at it.
            self.verifies(algorithm, b"", &vec![1; length], environment).is_err()
        })
    }
}

/// Neither the host nor this module can verify the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unverifiable;

fn by_host(
    algorithm: Algorithm,
    public_key: &[u8],
    message: &[u8],
    signature: &[u8],
    environment: &dyn Environment,
) -> Option<bool> {
    let hash = algorithm.hash()?.name();
    environment.verify_signature(&SignatureCheck { hash, public_key, signature, message }).ok()
}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match &self.kind {
            Kind::Rsa { .. } => "RSA",
            Kind::P256 { .. } => "P-256",
            Kind::P384 { .. } => "P-384",
            Kind::Ed25519(_) => "Ed25519",
            Kind::Secret(_) => "***",
        })
    }
}

/// SEC 1 §2.3.3.
fn uncompressed(x: &[u8], y: &[u8], length: usize) -> Result<Vec<u8>, String> {
    if x.len() != length || y.len() != length {
        // RFC 7518 §6.2.1.2: the full size of a coordinate.
        return Err(format!(
            "coordinates of {} and {} bytes; on this curve they have {length} each, zeros included",
            x.len(),
            y.len()
        ));
    }
    Ok([&[4], x, y].concat())
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    number.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests;
