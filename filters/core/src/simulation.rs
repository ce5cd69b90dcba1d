//! A host of which everything is known, for `sluice explain` and for tests: an [`Environment`] with a clock that is set by hand, randomness from a seed, shared memory in a map; and a
//! [`Stand`] that compiles one section and plays requests through it; and a [`World`] to draw rules and requests from.

mod stand;
mod world;

pub use stand::{Played, SimulatedRequest, Stand};
pub use world::World;

use crate::decision::environment::{
    Environment, HostCryptoUnavailable, SharedError, SignatureCheck, UnixTime,
};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

/// Memory shared by workers, as Envoy's host has it (`SharedData` of proxy-wasm-cpp-host): nothing is ever deleted; a version is given once in
/// the life of the process, whatever the key; version 0 overwrites, and any other creates a key that is absent.
#[derive(Clone, Debug, Default)]
pub struct SharedMemory {
    values: HashMap<String, (Vec<u8>, u32)>,
    last_version: u32,
}

impl SharedMemory {
    /// The value of `key`, and its version.
    pub fn get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.values.get(key).cloned()
    }

    /// Sets `key` if its version is still `version`.
    ///
    /// # Errors
    /// [`SharedError::Conflict`].
    pub fn set(&mut self, key: &str, value: &[u8], version: u32) -> Result<(), SharedError> {
        let current = self.values.get(key).map(|(_, version)| *version);
        if version != 0 && current.is_some_and(|current| current != version) {
            return Err(SharedError::Conflict);
        }
        self.last_version = self.last_version.saturating_add(1);
        self.values.insert(key.to_owned(), (value.to_vec(), self.last_version));
        Ok(())
    }

    /// The keys and the sizes of their values, in order of the keys.
    pub fn sizes(&self) -> Vec<(String, usize)> {
        let mut sizes: Vec<_> =
            self.values.iter().map(|(key, (value, _))| (key.clone(), value.len())).collect();
        sizes.sort();
        sizes
    }
}

/// Shared memory, and how often it was asked.
#[derive(Debug, Default)]
struct CountedMemory {
    memory: SharedMemory,
    reads: u32,
    writes: u32,
}

/// Runs before each write to shared memory.
type Hook = Box<dyn FnMut()>;

#[derive(Default)]
struct Hooks(RefCell<Option<Hook>>);

impl std::fmt::Debug for Hooks {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(if self.0.borrow().is_some() { "a hook" } else { "no hook" })
    }
}

/// See the module.
#[derive(Debug)]
pub struct SimulatedHost {
    now: Cell<u64>,
    random: Cell<u64>,
    fixed_random: Option<u64>,
    peer_address: Option<IpAddr>,
    peer_identity: Option<String>,
    shared: Rc<RefCell<CountedMemory>>,
    shared_unavailable: bool,
    before_shared_set: Hooks,
    /// What the host's crypto answers, if it has one.
    host_crypto: Option<bool>,
    /// How often the host's crypto was asked.
    host_crypto_calls: Cell<u32>,
}

impl Default for SimulatedHost {
    fn default() -> Self {
        Self {
            now: Cell::new(1_800_000_000_000_000_000),
            random: Cell::new(0x5eed),
            fixed_random: None,
            peer_address: None,
            peer_identity: None,
            shared: Rc::default(),
            shared_unavailable: false,
            before_shared_set: Hooks::default(),
            host_crypto: None,
            host_crypto_calls: Cell::new(0),
        }
    }
}

impl SimulatedHost {
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

    /// Another worker of the same proxy: its own clock (at the same time) and chance, the same shared memory.
    pub fn another_worker(&self) -> Self {
        let random = Cell::new(self.random());
        Self { now: self.now.clone(), random, shared: Rc::clone(&self.shared), ..Self::default() }
    }

    /// Lets time pass.
    pub fn advance(&self, by: std::time::Duration) {
        let nanoseconds = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.now.set(self.now.get().saturating_add(nanoseconds));
    }

    /// Runs `hook` before each write of this worker to shared memory, between its read and its write: another worker's turn.
    pub fn before_shared_set(&self, hook: impl FnMut() + 'static) {
        self.before_shared_set.0.replace(Some(Box::new(hook)));
    }

    /// How often shared memory was read and written, by all workers together.
    pub fn shared_calls(&self) -> (u32, u32) {
        let shared = self.shared.borrow();
        (shared.reads, shared.writes)
    }

    /// The keys in shared memory and the sizes of their values, in order of the keys.
    pub fn shared_sizes(&self) -> Vec<(String, usize)> {
        self.shared.borrow().memory.sizes()
    }

    /// Leaves a value in shared memory, as another plugin might.
    pub fn leave(&self, key: &str, value: &[u8]) {
        // Version 0 overwrites, and can't conflict.
        let _ = self.shared.borrow_mut().memory.set(key, value, 0);
    }

    /// How often the host's crypto was asked.
    pub fn host_crypto_calls(&self) -> u32 {
        self.host_crypto_calls.get()
    }
}

impl Environment for SimulatedHost {
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
        if self.shared_unavailable {
            return None;
        }
        let mut shared = self.shared.borrow_mut();
        shared.reads = shared.reads.saturating_add(1);
        shared.memory.get(key)
    }

    fn shared_set(&self, key: &str, value: &[u8], version: u32) -> Result<(), SharedError> {
        if self.shared_unavailable {
            return Err(SharedError::Unavailable);
        }
        // Taken out while it runs: what it does may write in turn.
        let hook = self.before_shared_set.0.take();
        if let Some(mut hook) = hook {
            hook();
            self.before_shared_set.0.borrow_mut().get_or_insert(hook);
        }
        let mut shared = self.shared.borrow_mut();
        shared.writes = shared.writes.saturating_add(1);
        shared.memory.set(key, value, version)
    }

    fn verify_signature(&self, _: &SignatureCheck<'_>) -> Result<bool, HostCryptoUnavailable> {
        self.host_crypto_calls.set(self.host_crypto_calls.get().saturating_add(1));
        self.host_crypto.ok_or(HostCryptoUnavailable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn shared_memory_is_that_of_envoy() {
        let one = SimulatedHost::default();
        let two = one.another_worker();
        assert_eq!(one.shared_get("a"), None);
        assert_eq!(one.shared_set("a", b"1", 0), Ok(()));
        let (value, version) = two.shared_get("a").unwrap();
        assert_eq!(value, b"1");
        assert_eq!(two.shared_set("b", b"x", 77), Ok(()), "a version that is nobody's creates");
        assert_eq!(two.shared_set("a", b"2", version), Ok(()));
        assert_eq!(one.shared_set("a", b"3", version), Err(SharedError::Conflict));
        assert_eq!(
            one.shared_set("a", b"3", version + 1),
            Err(SharedError::Conflict),
            "versions are of the process"
        );
        assert_eq!(one.shared_set("a", b"4", 0), Ok(()), "version 0 overwrites");
        assert_eq!(two.shared_get("a").unwrap().0, b"4");
    }

    #[test]
    fn another_worker_can_come_between_a_read_and_a_write() {
        let one = SimulatedHost::default();
        let two = one.another_worker();
        one.shared_set("a", b"1", 0).unwrap();
        let (_, version) = one.shared_get("a").unwrap();
        one.before_shared_set(move || two.shared_set("a", b"2", 0).unwrap());
        assert_eq!(one.shared_set("a", b"3", version), Err(SharedError::Conflict));
    }
}
