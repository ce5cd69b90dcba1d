//! The host, as policies see it. `filters/host` implements it over a proxy's calls, [`crate::simulation`] for tests, the `sluice` command
//! for `explain`.

use std::fmt;
use std::net::IpAddr;

/// A point in time, in nanoseconds since 1970-01-01T00:00:00Z; good until the year 2554.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

impl UnixTime {
    /// From nanoseconds since the epoch.
    pub const fn from_nanos(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    /// From seconds since the epoch.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// So much later.
    pub fn after(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` it is; zero where it is not.
    pub const fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// In nanoseconds since the epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// In whole seconds since the epoch, rounded down.
    pub const fn as_seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }
}

/// What a policy may ask of the world. Each call has a price (design §5); none may block.
pub trait Environment {
    /// The wall clock, the same for all workers of a proxy. Read once a phase: repeated calls give the same time.
    fn now(&self) -> UnixTime;

    /// A random number, uniform over all of `u64`, that a client cannot foresee.
    fn random(&self) -> u64;

    /// The address of the connection's peer (Envoy: `source.address`, which follows `x-forwarded-for` under
    /// `use_remote_address: false`); `None` for a Unix socket.
    fn peer_address(&self) -> Option<IpAddr>;

    /// The URI subject alternative name of the certificate that the peer proved to hold: its SPIFFE identity. `None` without mutual
    /// TLS. Whether the certificate was validated is the listener's business: `require_client_certificate` with a
    /// `validation_context`.
    fn peer_identity(&self) -> Option<String>;

    /// Memory shared by all workers of the proxy: the value of `key`, and the version to change it with; `None` when absent.
    fn shared_get(&self, key: &str) -> Option<(Vec<u8>, u32)>;

    /// Sets `key` if its version is still `version`. Version 0 overwrites whatever is there; any other version creates the key where
    /// it is absent (so does Envoy's host, `SharedData::set`; another may answer with a conflict). Versions are never 0, and the new
    /// one is not told.
    ///
    /// # Errors
    /// [`SharedError`].
    fn shared_set(&self, key: &str, value: &[u8], version: u32) -> Result<(), SharedError>;

    /// Verifies a signature with the host's own crypto. The host binds nothing: the caller has checked that hash, key type and sizes
    /// belong together.
    ///
    /// # Errors
    /// [`HostCryptoUnavailable`] where the host has no such function or refuses the key; the caller verifies by itself then.
    fn verify_signature(&self, request: &SignatureCheck<'_>) -> Result<bool, HostCryptoUnavailable>;
}

/// What [`Environment::verify_signature`] takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SignatureCheck<'s> {
    /// The hash, as the host names it: `sha256`, `sha384`, `sha512`.
    pub hash: &'static str,
    /// The public key as DER SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
    pub public_key: &'s [u8],
    /// The signature: PKCS#1 v1.5 for RSA, DER (not r‖s) for ECDSA.
    pub signature: &'s [u8],
    /// What was signed.
    pub message: &'s [u8],
}

/// Why shared memory was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedError {
    /// Another worker changed the value meanwhile: read it again.
    Conflict,
    /// The host has no shared memory, or failed.
    Unavailable,
}

impl fmt::Display for SharedError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            SharedError::Conflict => "another worker changed the value meanwhile",
            SharedError::Unavailable => "the host has no shared memory",
        })
    }
}

impl std::error::Error for SharedError {}

/// The host cannot verify this signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostCryptoUnavailable;
