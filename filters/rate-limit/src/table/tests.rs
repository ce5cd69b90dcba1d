use super::*;
use crate::slot::Used;
use sluice_core::decision::environment::{HostCryptoUnavailable, SignatureCheck};
use sluice_core::simulation::SimulatedHost;
use std::net::IpAddr;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const SLOT: u32 = 7;

fn table(rule: u64) -> Table {
    Table::new(rule, 16_384, 1_000_000_000, 1, Rc::default())
}

fn put(table: &Table, environment: &dyn Environment, tag: u64) -> Result<(), Conflict> {
    let now = environment.now();
    table.hold(environment, now);
    let (mut slot, version) = table.read(environment, SLOT, now);
    slot.put(tag, used(now));
    table.write(environment, SLOT, &slot, version)
}

fn used(now: UnixTime) -> Used {
    Used { full_at: UnixTime::from_nanos(now.as_nanos() + 1), interval: 1 }
}

fn known(table: &Table, environment: &dyn Environment) -> Vec<u64> {
    table.hold(environment, environment.now());
    let (slot, _) = table.read(environment, SLOT, environment.now());
    (0..10).filter(|tag| matches!(slot.standing(*tag), crate::slot::Standing::Known(_))).collect()
}

#[test]
fn workers_see_each_others_slots_and_rules_do_not() {
    let one = SimulatedHost::default();
    let two = one.another_worker();
    put(&table(1), &one, 1).unwrap();
    put(&table(1), &two, 2).unwrap();
    assert_eq!(known(&table(1), &one), [1, 2]);
    assert_eq!(known(&table(2), &one), [0_u64; 0]);
}

#[test]
fn a_slot_that_changed_meanwhile_is_not_written() {
    let first = table(1);
    let one = SimulatedHost::default();
    let two = one.another_worker();
    // Neither when it is written again …
    put(&first, &one, 1).unwrap();
    let (slot, version) = first.read(&one, SLOT, one.now());
    put(&first, &two, 2).unwrap();
    assert_eq!(first.write(&one, SLOT, &slot, version), Err(Conflict));
    assert_eq!(known(&first, &one), [1, 2]);
    // … nor when it is created.
    let first = table(2);
    first.hold(&one, one.now());
    let (slot, version) = first.read(&one, SLOT, one.now());
    put(&first, &two, 2).unwrap();
    assert_eq!(first.write(&one, SLOT, &slot, version), Err(Conflict));
    assert_eq!(known(&first, &one), [2]);
}

#[test]
fn without_shared_memory_the_workers_own_does() {
    let environment = SimulatedHost::default().without_shared_memory();
    let (rule, other) = (table(1), table(1));
    put(&rule, &environment, 1).unwrap();
    put(&rule, &environment, 2).unwrap();
    assert_eq!((known(&rule, &environment), known(&other, &environment)), (vec![1, 2], vec![]));
}

/// A host that creates no value by a version.
struct Strict(SimulatedHost);

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
    let environment = Strict(SimulatedHost::default());
    let rule = table(1);
    assert_eq!(put(&rule, &environment, 1), Err(Conflict));
    assert_eq!(put(&rule, &environment, 1), Ok(()));
    assert_eq!(put(&rule, &environment, 2), Ok(()));
    assert_eq!(known(&rule, &environment), [1, 2]);
}

#[test]
fn what_another_version_of_the_module_left_is_not_read() {
    let environment = SimulatedHost::default();
    let rule = table(1);
    rule.hold(&environment, environment.now());
    let number = rule.tenancy.borrow().as_ref().unwrap().slot(SLOT).unwrap();
    // Without a stamp, as before; and with one that is another's.
    for left in [vec![0xff; 128], vec![0; 128], [&1_u32.to_le_bytes()[..], &[0xff; 16 + 22]].concat()] {
        environment.leave(&format!("sluice/rl2/{number}"), &left);
        assert_eq!(known(&rule, &environment), [0_u64; 0]);
    }
    put(&rule, &environment, 1).unwrap();
    assert_eq!(known(&rule, &environment), [1]);
}

#[test]
fn a_guess_is_right_for_one_worker_whatever_it_writes_and_never_for_what_another_wrote() {
    let one = SimulatedHost::default();
    let versions = Rc::new(Versions::default());
    let tables: Vec<Table> = (0..3).map(|rule| Table::new(rule, 64, 1, 1, Rc::clone(&versions))).collect();
    for table in &tables {
        table.hold(&one, one.now());
    }
    let write = |table: &Table, environment: &SimulatedHost, slot: u32| {
        let (value, version) = table.read_or_guess(environment, slot, environment.now());
        (version, table.write(environment, slot, &value, version))
    };
    for round in 0..5 {
        for table in &tables {
            for slot in 0..10 {
                let (version, written) = write(table, &one, slot);
                assert_eq!(written, Ok(()), "{round} {slot}");
                assert_eq!(matches!(version, Version::Guessed(_)), round > 0, "{version:?}");
            }
        }
    }
    // Another worker writes: whatever is guessed for that slot fails, and it is read again.
    let two = one.another_worker();
    let other = Table::new(0, 64, 1, 1, Rc::default());
    other.hold(&two, two.now());
    assert_eq!(write(&other, &two, 3).1, Ok(()));
    let (version, written) = write(&tables[0], &one, 3);
    assert!(matches!(version, Version::Guessed(_)));
    assert_eq!(written, Err(Conflict));
    assert_eq!(write(&tables[0], &one, 3).1, Ok(()));
}

#[test]
fn after_others_have_written_one_guess_fails_and_the_next_ones_are_right() {
    let environment = SimulatedHost::default();
    let table = Table::new(0, 64, 1, 1, Rc::default());
    table.hold(&environment, environment.now());
    let mut failed = 0;
    let mut right_of_the_last_round = 0;
    for round in 0..20 {
        right_of_the_last_round = 0;
        if round % 10 == 5 {
            // Another plugin of the process, under names of its own.
            for other in 0..3 {
                environment.shared_set(&format!("other/{other}"), b"value", 0).unwrap();
            }
        }
        for slot in 0..30 {
            let (value, version) = table.read_or_guess(&environment, slot, environment.now());
            let guessed = matches!(version, Version::Guessed(_));
            match table.write(&environment, slot, &value, version) {
                Ok(()) => right_of_the_last_round += usize::from(guessed),
                Err(Conflict) => {
                    failed += 1;
                    let (value, version) = table.read(&environment, slot, environment.now());
                    assert_eq!(table.write(&environment, slot, &value, version), Ok(()));
                }
            }
        }
    }
    // Each slot holds what was guessed under the old bound until it is written again: pauses lengthen over that round.
    assert!(failed <= 12, "{failed}");
    assert_eq!(right_of_the_last_round, 30);
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whoever writes where in whatever order: a guess that succeeds has overwritten what this worker itself left there.
        #[test]
        fn a_guess_that_succeeds_proves_what_the_slot_held(turns in prop::collection::vec((0..3_usize, 0..2_usize, 0..3_u32), 1..200)) {
            let first = SimulatedHost::default();
            let environments = [first.another_worker(), first.another_worker(), first];
            let workers: Vec<Vec<Table>> = environments.iter().map(|environment| {
                let versions = Rc::new(Versions::default());
                let tables: Vec<Table> = (0..2).map(|rule| Table::new(rule, 3, 1_000_000_000, 1, Rc::clone(&versions))).collect();
                tables.iter().for_each(|table| table.hold(environment, environment.now()));
                tables
            }).collect();
            let mut last_writer = std::collections::HashMap::new();
            for (number, (worker, rule, slot)) in turns.into_iter().enumerate() {
                let (environment, table) = (&environments[worker], &workers[worker][rule]);
                let (mut value, version) = table.read_or_guess(environment, slot, environment.now());
                value.put(number as u64 % 8, used(environment.now()));
                if table.write(environment, slot, &value, version).is_ok() {
                    if let Version::Guessed(_) = version {
                        prop_assert_eq!(last_writer.get(&(rule, slot)), Some(&worker));
                    }
                    last_writer.insert((rule, slot), worker);
                }
            }
        }
    }
}
