//! Signing algorithms (RFC 7518 §3, RFC 8037 §3) and sets of them.

use serde::{Deserialize, Deserializer, de};
use sluice_core::document::problem::{nearest, quoted_list};
use std::fmt;

/// Whether there is code of our own for what hosts don't verify.
pub const VERIFIES_BY_ITSELF: bool = cfg!(feature = "own-signatures");

/// A signing algorithm. `none` is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

/// The hash of an algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

// === impl Algorithm ===

impl Algorithm {
    /// All of them, with their names.
    const NAMED: [(&'static str, Algorithm); 12] = [
        ("RS256", Algorithm::Rs256),
        ("RS384", Algorithm::Rs384),
        ("RS512", Algorithm::Rs512),
        ("PS256", Algorithm::Ps256),
        ("PS384", Algorithm::Ps384),
        ("PS512", Algorithm::Ps512),
        ("ES256", Algorithm::Es256),
        ("ES384", Algorithm::Es384),
        ("EdDSA", Algorithm::EdDsa),
        ("HS256", Algorithm::Hs256),
        ("HS384", Algorithm::Hs384),
        ("HS512", Algorithm::Hs512),
    ];

    /// The algorithm of this `alg`; case matters (RFC 7515 §4.1.1).
    pub fn named(name: &str) -> Option<Self> {
        // RFC 9864 §2.2 gives EdDSA on this curve its own name.
        let name = if name == "Ed25519" { "EdDSA" } else { name };
        Self::NAMED.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }

    /// Its `alg`.
    pub fn name(self) -> &'static str {
        Self::NAMED.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::NAMED.iter().map(|(_, algorithm)| *algorithm)
    }

    /// Whether who verifies with it can sign, too (HMAC).
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }

    /// Whether Envoy's `verify_signature` knows it, or it needs no other's help (HMAC).
    pub const fn is_known_to_hosts(self) -> bool {
        !matches!(self, Self::Ps256 | Self::Ps384 | Self::Ps512 | Self::EdDsa)
    }

    /// Its hash; `None` for Ed25519, which hashes by itself.
    pub const fn hash(self) -> Option<Hash> {
        match self {
            Self::Rs256 | Self::Ps256 | Self::Es256 | Self::Hs256 => Some(Hash::Sha256),
            Self::Rs384 | Self::Ps384 | Self::Es384 | Self::Hs384 => Some(Hash::Sha384),
            Self::Rs512 | Self::Ps512 | Self::Hs512 => Some(Hash::Sha512),
            Self::EdDsa => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Algorithm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::named(&text).ok_or_else(|| {
            let known = || Self::all().map(Self::name);
            let near =
                nearest(&text, known()).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            de::Error::custom(format!(
                "`{text}` is not an algorithm; there are {}{near}",
                quoted_list(known())
            ))
        })
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Algorithm {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Algorithm".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<&str> = Self::all().map(Self::name).collect();
        schemars::json_schema!({ "type": "string", "description": "A signing algorithm (RFC 7518 §3, RFC 8037 §3).", "enum": names })
    }
}

// === impl Hash ===

impl Hash {
    /// As the host names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The length of a digest in bytes.
    pub const fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// A set of algorithms.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct AlgorithmSet(u16);

impl AlgorithmSet {
    /// What is accepted where a provider names no algorithms: the quick ones, one for each type of key.
    pub fn quick() -> Self {
        let quick = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa, Algorithm::Hs256];
        quick.into_iter().filter(|algorithm| VERIFIES_BY_ITSELF || algorithm.is_known_to_hosts()).collect()
    }

    /// Whether it holds this algorithm.
    pub const fn has(self, algorithm: Algorithm) -> bool {
        self.0 & Self::bit(algorithm) != 0
    }

    /// Whether it holds none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is in both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either set.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The algorithms.
    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::all().filter(move |algorithm| self.has(*algorithm))
    }

    const fn bit(algorithm: Algorithm) -> u16 {
        1 << algorithm as u16
    }
}

impl FromIterator<Algorithm> for AlgorithmSet {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Self {
        Self(algorithms.into_iter().fold(0, |set, algorithm| set | Self::bit(algorithm)))
    }
}

impl fmt::Display for AlgorithmSet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&quoted_list(self.iter().map(Algorithm::name)))
    }
}

impl fmt::Debug for AlgorithmSet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}
