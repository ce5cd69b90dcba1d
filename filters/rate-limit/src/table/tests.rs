use super::*;
use sluice_core::environment::{HostCryptoUnavailable, SignatureCheck};
use sluice_core::fake::FakeEnvironment;
use std::net::IpAddr;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const SLOT: u32 = 7;

fn put(table: &Table, environment: &dyn Environment, tag: u64) -> Result<(), Conflict> {
    let now = environment.now();
    let (mut slot, version) = table.read(environment, SLOT, now);
    slot.put(tag, UnixTime::from_nanos(now.as_nanos() + 1));
    table.write(environment, SLOT, &slot, version)
}

fn known(table: &Table, environment: &dyn Environment) -> Vec<u64> {
    let (slot, _) = table.read(environment, SLOT, environment.now());
    (0..10).filter(|tag| matches!(slot.standing(*tag), crate::slot::Standing::Known(_))).collect()
}

#[test]
fn workers_see_each_others_slots_and_rules_do_not() {
    let one = FakeEnvironment::default();
    let two = one.another_worker();
    put(&Table::new(1), &one, 1).unwrap();
    put(&Table::new(1), &two, 2).unwrap();
    assert_eq!(known(&Table::new(1), &one), [1, 2]);
    assert_eq!(known(&Table::new(2), &one), [0_u64; 0]);
}

#[test]
fn a_slot_that_changed_meanwhile_is_not_written() {
    let table = Table::new(1);
    let one = FakeEnvironment::default();
    let two = one.another_worker();
    // Neither when it is written again …
    put(&table, &one, 1).unwrap();
    let (slot, version) = table.read(&one, SLOT, one.now());
    put(&table, &two, 2).unwrap();
    assert_eq!(table.write(&one, SLOT, &slot, version), Err(Conflict));
    assert_eq!(known(&table, &one), [1, 2]);
    // … nor when it is created.
    let table = Table::new(2);
    let (slot, version) = table.read(&one, SLOT, one.now());
    put(&table, &two, 2).unwrap();
    assert_eq!(table.write(&one, SLOT, &slot, version), Err(Conflict));
    assert_eq!(known(&table, &one), [2]);
}

#[test]
fn without_shared_memory_the_workers_own_does() {
    let environment = FakeEnvironment::default().without_shared_memory();
    let (table, other) = (Table::new(1), Table::new(1));
    put(&table, &environment, 1).unwrap();
    put(&table, &environment, 2).unwrap();
    assert_eq!((known(&table, &environment), known(&other, &environment)), (vec![1, 2], vec![]));
}

/// A host that creates no value by a version.
struct Strict(FakeEnvironment);

impl Environment for Strict {
    fn now(&self) -> UnixTime {
        self.0.now()
    }
    fn random(&self) -> u64 {
        self.0.random()
    }
    fn peer_address(&self) -> Option<IpAddr> {
        self.0.peer_address()
    }
    fn peer_identity(&self) -> Option<String> {
        self.0.peer_identity()
    }
    fn shared_get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.0.shared_get(key)
    }
    fn shared_set(&self, key: &str, value: &[u8], version: u32) -> Result<(), SharedError> {
        if version != 0 && self.0.shared_get(key).is_none() {
            return Err(SharedError::Conflict);
        }
        self.0.shared_set(key, value, version)
    }
    fn verify_signature(&self, request: &SignatureCheck<'_>) -> Result<bool, HostCryptoUnavailable> {
        self.0.verify_signature(request)
    }
}

#[test]
fn a_host_that_creates_only_with_version_0_serves_the_next_try() {
    let environment = Strict(FakeEnvironment::default());
    let table = Table::new(1);
    assert_eq!(put(&table, &environment, 1), Err(Conflict));
    assert_eq!(put(&table, &environment, 1), Ok(()));
    assert_eq!(put(&table, &environment, 2), Ok(()));
    assert_eq!(known(&table, &environment), [1, 2]);
}
