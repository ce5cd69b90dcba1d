use super::*;
use std::net::IpAddr;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const START: u64 = 1_800_000_000_000_000_000;

fn at(milliseconds: u64) -> UnixTime {
    UnixTime::from_nanos(START + milliseconds * 1_000_000)
}

fn budget(rate: &str) -> VerificationBudget {
    VerificationBudget::new(rate.parse().unwrap(), 5)
}

fn source(number: u8) -> Source {
    Source::of(Some(IpAddr::from([192, 0, 2, number])))
}

/// How many of `tries` tokens of one unit could be verified.
fn taken(budget: &VerificationBudget, source: Source, at_milliseconds: u64, tries: usize) -> usize {
    (0..tries).filter(|_| budget.take(source, 1, at(at_milliseconds)).is_ok()).count()
}

/// A forged token.
fn forged(budget: &VerificationBudget, source: Source, units: u64, now: UnixTime) -> Result<(), Exhausted> {
    let _ = budget.take(source, units, now)?;
    budget.charge(source, units, true, now);
    Ok(())
}

#[test]
fn a_second_of_it_can_be_spent_at_once_and_comes_back_evenly() {
    let budget = budget("100/s");
    assert_eq!(taken(&budget, source(1), 0, 1000), 100);
    assert_eq!(taken(&budget, source(1), 5, 10), 0);
    assert_eq!(taken(&budget, source(1), 60, 10), 6);
    assert_eq!(taken(&budget, source(1), 5_000, 1000), 100);
}

#[test]
fn slow_algorithms_weigh_what_they_cost() {
    let budget = budget("1000/s");
    let slow = (0..1000).filter(|_| budget.take(source(1), 22, at(0)).is_ok()).count();
    assert_eq!(slow, 44, "two halves of 500 units");
}

#[test]
fn one_alone_always_fits() {
    for rate in ["1/day", "1/s", "1000/s", "1000000000/s"] {
        let budget = budget(rate);
        assert!(budget.take(source(1), 5_000, at(0)).is_ok(), "{rate}");
    }
}

#[test]
fn what_was_not_needed_is_given_back_and_what_was_needed_besides_is_taken() {
    let budget = budget("10/s");
    for _ in 0..50 {
        budget.take(source(1), 5, at(0)).unwrap().give_back(5);
    }
    budget.take(source(1), 1, at(0)).unwrap().add(4);
    assert_eq!(taken(&budget, source(1), 0, 100), 5);
}

#[test]
fn a_source_of_bad_tokens_spends_its_share_and_no_more() {
    let budget = budget("1000/s");
    let spent = (0..10_000).filter(|_| forged(&budget, source(1), 1, at(0)).is_ok()).count();
    assert_eq!(spent, 100);
    assert_eq!(budget.take(source(1), 1, at(0)).err(), Some(Exhausted::Source));
    assert!(budget.take(source(2), 1, at(0)).is_ok());
    assert!(budget.take(source(1), 1, at(10)).is_ok(), "it comes back");
}

#[test]
fn a_genuine_token_that_is_refused_is_charged_and_makes_no_suspect() {
    let budget = budget("1000/s");
    let refused = |source| {
        let taken = budget.take(source, 1, at(0)).is_ok();
        if taken {
            budget.charge(source, 1, false, at(0));
        }
        taken
    };
    assert_eq!((0..1000).filter(|_| refused(source(1))).count(), 100);
    assert!(!budget.sources.borrow().account(source(1)).is_suspect(0));
}

#[test]
fn suspects_never_touch_the_half_of_the_others_and_are_forgiven_after_a_minute() {
    let budget = budget("1000/s");
    // A hundred sources, each with a share of its own.
    for number in 0..100 {
        for _ in 0..1000 {
            let _ = forged(&budget, source(number), 1, at(0));
        }
    }
    assert_eq!(budget.take(source(1), 1, at(0)).err(), Some(Exhausted::Source));
    assert_eq!(taken(&budget, source(200), 0, 1000), 400, "their half, less a first token of a hundred");
    assert_eq!(budget.take(source(200), 1, at(0)).err(), Some(Exhausted::Worker));
    assert!(budget.sources.borrow().account(source(1)).is_suspect(59_999_000_000));
    assert!(!budget.sources.borrow().account(source(1)).is_suspect(60_000_000_000));
}

#[test]
fn a_clock_that_goes_back_or_far_ahead_does_not_lock_it() {
    let budget = budget("10/s");
    forged(&budget, source(2), 1, at(3_600_000)).unwrap();
    assert_eq!(taken(&budget, source(1), 3_600_000, 100), 9);
    assert_eq!(taken(&budget, source(1), 0, 100), 0, "an hour earlier nothing has come back");
    assert_eq!(taken(&budget, source(1), 1_000, 100), 10, "and after a second all of it");
    assert!(forged(&budget, source(2), 1, at(2_000)).is_ok());
    for _ in 0..1_000 {
        let _ = budget.take(source(1), 1, UnixTime::from_nanos(u64::MAX));
        let _ = budget.take(source(1), 1, UnixTime::from_nanos(0));
    }
    assert_eq!(taken(&budget, source(1), 0, 100), 10, "and from the end of time");
    assert_eq!(taken(&budget, source(1), 1_000, 100), 10);
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The guarantee of docs/policies/authentication.md.
        #[test]
        fn whatever_bad_sources_do_a_stranger_s_good_tokens_pass(
            sources in 1..60_u8,
            units in 1..23_u64,
            floods in proptest::collection::vec((0..60_u8, 1..400_usize, 0..50_u64, any::<bool>()), 1..120),
        ) {
            let budget = budget("1000/s");
            let stranger = source(250);
            let (mut now, mut since) = (0, 0);
            let mut firsts = 0;
            for (number, count, pause, back) in floods {
                // Clocks are also set back.
                now = if back { now / 2 } else { now + pause };
                since += if back { 0 } else { pause };
                let bad = source(number % sources);
                for _ in 0..count {
                    let suspect = budget.sources.borrow().account(bad).is_suspect(budget.clock.now(at(now)));
                    if forged(&budget, bad, units, at(now)).is_ok() && !suspect {
                        firsts += units;
                    }
                }
                // The reserved half is only touched by first tokens: here all sources together have at most 59 × 22 a minute.
                let spent = budget.reserved.spent_until.get().saturating_sub(budget.clock.now(at(now)));
                prop_assert!(spent <= firsts * budget.reserved.interval);
                if firsts * budget.reserved.interval < BURST {
                    let taken = budget.take(stranger, 1, at(now));
                    prop_assert!(taken.is_ok());
                    if let Ok(taken) = taken { taken.give_back(1) }
                }
            }
            // A second later there is room again for several, whatever has been.
            now += 1_000;
            for _ in 0..(BURST / (22 * budget.reserved.interval)) {
                prop_assert!(budget.take(stranger, 22, at(now)).is_ok(), "after {since} ms");
            }
        }

        #[test]
        fn no_more_than_the_budget_is_ever_spent_and_a_source_spends_no_more_than_its_share(
            tries in proptest::collection::vec((0..12_u8, 1..5_u64, 0..20_u64), 1..2_000),
        ) {
            let budget = budget("1000/s");
            let (mut now, mut spent, mut own) = (0, 0, std::collections::BTreeMap::new());
            for (number, units, pause) in tries {
                now += pause;
                if forged(&budget, source(number), units, at(now)).is_ok() {
                    spent += units;
                    *own.entry(number).or_insert(0) += units;
                }
            }
            // In t milliseconds: a second's worth at once, and what comes back.
            prop_assert!(spent <= 1_000 + now, "{spent} in {now} ms");
            prop_assert!(own.values().all(|own| *own <= 100 + now / 10 + 1), "{own:?} in {now} ms");
        }
    }
}
