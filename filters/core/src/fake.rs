//! An [`Environment`] for tests and for `sluice explain`: a clock that is set by hand, randomness from a seed, shared memory in a map; and a
//! [`Stand`] that compiles one section and plays requests through it.

mod stand;

pub use stand::{FakeRequest, Played, Stand};

use crate::environment::{Environment, HostCryptoUnavailable, SharedError, SignatureCheck, UnixTime};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

type Shared = Rc<RefCell<HashMap<String, (Vec<u8>, u32)>>>;

/// See the module.
#[derive(Debug)]
pub struct FakeEnvironment {
    now: Cell<u64>,
    random: Cell<u64>,
    fixed_random: Option<u64>,
    peer_address: Option<IpAddr>,
    peer_identity: Option<String>,
    shared: Shared,
    shared_unavailable: bool,
    /// What the host's crypto answers, if it has one.
    host_crypto: Option<bool>,
    /// How often the host's crypto was asked.
    host_crypto_calls: Cell<u32>,
}

impl Default for FakeEnvironment {
    fn default() -> Self {
        Self {
            now: Cell::new(1_800_000_000_000_000_000),
            random: Cell::new(0x5eed),
            fixed_random: None,
            peer_address: None,
            peer_identity: None,
            shared: Shared::default(),
            shared_unavailable: false,
            host_crypto: None,
            host_crypto_calls: Cell::new(0),
        }
    }
}

impl FakeEnvironment {
    /// With the connection's peer at `address`; text that is no address leaves it unknown.
    pub fn with_peer_address(mut self, address: &str) -> Self {
        self.peer_address = address.parse().ok();
        self
    }

    /// With a peer that proved to be `identity` (a URI).
    pub fn with_peer_identity(mut self, identity: &str) -> Self {
        self.peer_identity = Some(identity.to_owned());
        self
    }

    /// With the clock at `now`.
    pub fn at(self, now: UnixTime) -> Self {
        self.now.set(now.as_nanos());
        self
    }

    /// With every draw the same.
    pub fn with_random(mut self, random: u64) -> Self {
        self.fixed_random = Some(random);
        self
    }

    /// With a host that has crypto and always gives this answer.
    pub fn with_host_crypto(mut self, answer: bool) -> Self {
        self.host_crypto = Some(answer);
        self
    }

    /// With a host that has no shared memory.
    pub fn without_shared_memory(mut self) -> Self {
        self.shared_unavailable = true;
        self
    }

    /// Another worker of the same proxy: its own clock (at the same time), the same shared memory.
    pub fn another_worker(&self) -> Self {
        Self { now: self.now.clone(), shared: Rc::clone(&self.shared), ..Self::default() }
    }

    /// Lets time pass.
    pub fn advance(&self, by: std::time::Duration) {
        let nanoseconds = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.now.set(self.now.get().saturating_add(nanoseconds));
    }

    /// How often the host's crypto was asked.
    pub fn host_crypto_calls(&self) -> u32 {
        self.host_crypto_calls.get()
    }
}

impl Environment for FakeEnvironment {
    fn now(&self) -> UnixTime {
        UnixTime::from_nanos(self.now.get())
    }

    fn random(&self) -> u64 {
        if let Some(fixed) = self.fixed_random {
            return fixed;
        }
        // SplitMix64: even enough for tests of percentages, and the same in every run.
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn peer_address(&self) -> Option<IpAddr> {
        self.peer_address
    }

    fn peer_identity(&self) -> Option<String> {
        self.peer_identity.clone()
    }

    fn shared_get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        if self.shared_unavailable { None } else { self.shared.borrow().get(key).cloned() }
    }

    fn shared_set(&self, key: &str, value: &[u8], version: u32) -> Result<(), SharedError> {
        if self.shared_unavailable {
            return Err(SharedError::Unavailable);
        }
        let mut shared = self.shared.borrow_mut();
        let current = shared.get(key).map_or(0, |(_, version)| *version);
        if version != 0 && version != current {
            return Err(SharedError::Conflict);
        }
        shared.insert(key.to_owned(), (value.to_vec(), current.saturating_add(1)));
        Ok(())
    }

    fn verify_signature(&self, _: &SignatureCheck<'_>) -> Result<bool, HostCryptoUnavailable> {
        self.host_crypto_calls.set(self.host_crypto_calls.get().saturating_add(1));
        self.host_crypto.ok_or(HostCryptoUnavailable)
    }
}
