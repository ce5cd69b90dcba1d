use super::*;
use sluice_core::simulation::SimulatedHost;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;

fn at(nanoseconds: u64) -> UnixTime {
    UnixTime::from_nanos(nanoseconds)
}

fn wants(rule: u64, blocks: u32) -> Claim {
    Claim { rule, blocks, fills_in: HOUR, known: None, register: true }
}

fn runs(directory: &Directory, rule: u64) -> Vec<(u32, u32)> {
    directory.tenancy(rule).map(|tenancy| tenancy.runs.clone()).unwrap_or_default()
}

fn stamp(directory: &Directory, rule: u64) -> u32 {
    directory.tenancy(rule).unwrap().stamp
}

#[test]
fn rules_have_blocks_of_their_own_and_find_them_again() {
    let mut directory = Directory::default();
    assert!(directory.claim(&[wants(1, 2), wants(2, 1)], at(0)));
    assert_eq!((runs(&directory, 1), runs(&directory, 2)), (vec![(0, 2)], vec![(2, 1)]));
    assert_ne!(stamp(&directory, 1), stamp(&directory, 2));
    let known = Some(stamp(&directory, 1));
    assert!(!directory.claim(&[Claim { known, ..wants(1, 2) }], at(1)), "nothing has changed");
    assert!(directory.claim(&[wants(1, 2)], at(1)), "another user");
    assert_eq!(runs(&directory, 1), [(0, 2)]);
}

#[test]
fn blocks_of_a_rule_that_is_gone_are_used_again_and_by_nobody_before() {
    let mut directory = Directory::default();
    directory.claim(&[wants(1, 2), wants(2, 1), wants(3, 1)], at(0));
    directory.claim(&[wants(1, 2)], at(0));
    let first = (1, stamp(&directory, 1));
    // One of its two users ends: it stays.
    directory.release(&[first], at(0));
    directory.claim(&[wants(4, 1)], at(GRACE * 2));
    assert_eq!(runs(&directory, 4), [(4, 1)]);
    // The other too: free, after a while.
    directory.release(&[first], at(GRACE * 2));
    directory.claim(&[wants(5, 1)], at(GRACE * 3));
    assert_eq!(runs(&directory, 5), [(5, 1)]);
    directory.claim(&[wants(6, 3)], at(GRACE * 3 + 1));
    assert_eq!(runs(&directory, 6), [(0, 2), (6, 1)], "what is free, and more");
    assert_ne!(stamp(&directory, 6), first.1);
    // Whoever ends twice, or has been forgotten meanwhile, takes nothing from anybody.
    assert!(!directory.release(&[first, (6, first.1)], at(GRACE * 4)));
}

#[test]
fn a_rule_that_comes_back_in_time_finds_its_blocks() {
    let mut directory = Directory::default();
    directory.claim(&[wants(1, 2)], at(0));
    let known = stamp(&directory, 1);
    directory.release(&[(1, known)], at(0));
    directory.claim(&[wants(2, 1), wants(1, 2)], at(GRACE * 9));
    assert_eq!((runs(&directory, 1), stamp(&directory, 1)), (vec![(0, 2)], known), "nobody needed them");
}

#[test]
fn who_does_not_say_that_it_ends_keeps_its_blocks_until_its_buckets_are_full() {
    let mut directory = Directory::default();
    directory.claim(&[wants(1, 1)], at(0));
    directory.claim(&[wants(2, 1)], at(HOUR));
    assert_eq!(runs(&directory, 2), [(1, 1)]);
    directory.claim(&[wants(3, 1)], at(2 * HOUR + AHEAD + 1));
    assert_eq!(runs(&directory, 3), [(0, 1)], "all of the first rule's buckets are full");
    // Its users find others, and count again.
    assert!(directory.claim(&[Claim { known: Some(1), ..wants(1, 1) }], at(2 * HOUR + AHEAD + 1)));
    assert_eq!(runs(&directory, 1), [(2, 1)]);
    assert_eq!(directory.tenancy(1).unwrap().users, 1);
}

#[test]
fn slots_have_numbers_of_their_own_over_all_runs() {
    let tenancy = Tenancy { runs: vec![(3, 2), (9, 1)], ..Tenancy::default() };
    for (slot, number) in [
        (0, Some(3 * BLOCK)),
        (BLOCK + 7, Some(4 * BLOCK + 7)),
        (2 * BLOCK, Some(9 * BLOCK)),
        (3 * BLOCK - 1, Some(10 * BLOCK - 1)),
        (3 * BLOCK, None),
    ] {
        assert_eq!(tenancy.slot(slot), number, "{slot}");
    }
    let beyond = Tenancy { runs: vec![(u32::MAX, 1)], ..Tenancy::default() };
    assert_eq!(beyond.slot(0), None, "no such number");
}

#[test]
fn whatever_stands_in_its_place_is_replaced_and_no_stamp_is_given_twice() {
    for left in [&b""[..], b"x", b"not a directory at all", &[0xff; 64]] {
        let environment = SimulatedHost::default();
        environment.leave(KEY, left);
        let directory = claim(&environment, &Versions::default(), &[wants(1, 1)], at(0)).unwrap();
        assert_eq!(runs(&directory, 1), [(0, 1)]);
        assert!(stamp(&directory, 1) > 1, "begins anywhere");
        let again =
            claim(&environment.another_worker(), &Versions::default(), &[wants(1, 1)], at(0)).unwrap();
        assert_eq!((runs(&again, 1), stamp(&again, 1)), (runs(&directory, 1), stamp(&directory, 1)));
    }
}

#[test]
fn without_shared_memory_there_is_no_directory() {
    let environment = SimulatedHost::default().without_shared_memory();
    assert_eq!(claim(&environment, &Versions::default(), &[wants(1, 1)], at(0)), Err(Unavailable));
}

#[test]
fn a_change_that_others_come_before_is_made_again() {
    let environment = SimulatedHost::default();
    let other = environment.another_worker();
    let turn = std::cell::Cell::new(0);
    environment.before_shared_set(move || {
        turn.set(turn.get() + 1);
        if turn.get() < 20 {
            claim(&other, &Versions::default(), &[wants(100 + turn.get(), 1)], at(0)).unwrap();
        }
    });
    let directory = claim(&environment, &Versions::default(), &[wants(1, 1)], at(0)).unwrap();
    assert_eq!(directory.tenancies.len(), 20);
    assert_eq!(runs(&directory, 1), [(19, 1)]);
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever comes and goes: no block is two rules', and there are never more blocks than were needed at once.
        #[test]
        fn no_block_is_two_rules(steps in prop::collection::vec((0..12_u64, 1..5_u32, any::<bool>()), 1..80)) {
            let mut directory = Directory::default();
            let mut held: std::collections::BTreeMap<u64, (u32, u32)> = std::collections::BTreeMap::new();
            let (mut peak, mut now) = (0, 0);
            for (rule, blocks, comes) in steps {
                now += GRACE + 1;
                if comes && !held.contains_key(&rule) {
                    // A rule's number of blocks is part of its hash.
                    let id = rule * 10 + u64::from(blocks);
                    directory.claim(&[wants(id, blocks)], at(now));
                    held.insert(rule, (blocks, stamp(&directory, id)));
                } else if let Some((blocks, stamp)) = (!comes).then(|| held.remove(&rule)).flatten() {
                    directory.release(&[(rule * 10 + u64::from(blocks), stamp)], at(now));
                }
                peak = peak.max(held.values().map(|(blocks, _)| *blocks).sum::<u32>());
                let mut taken = std::collections::BTreeSet::new();
                for (rule, (blocks, stamp)) in &held {
                    let tenancy = directory.tenancy(rule * 10 + u64::from(*blocks)).unwrap();
                    prop_assert_eq!(tenancy.stamp, *stamp);
                    let all = tenancy.runs.iter().flat_map(|(first, count)| *first..*first + *count);
                    for block in all.clone() {
                        prop_assert!(taken.insert(block), "{} is two rules'", block);
                        // Whoever left a moment ago may still have its own.
                        prop_assert!(block < peak + 5);
                    }
                    prop_assert_eq!(all.count(), *blocks as usize);
                }
                prop_assert_eq!(Directory::read(&directory.value()), Some(Directory { last_stamp: directory.last_stamp, tenancies: directory.tenancies.clone() }));
            }
        }

        #[test]
        fn any_value_is_read_or_refused(value: Vec<u8>) {
            if let Some(mut directory) = Directory::read(&value) {
                directory.claim(&[wants(1, 3)], at(5));
            }
        }
    }
}
