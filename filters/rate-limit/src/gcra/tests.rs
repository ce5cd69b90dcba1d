use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_800_000_000 * SECOND;

fn limit(rate: &str, burst: u64) -> Gcra {
    Gcra::new(rate.parse().unwrap(), burst).unwrap()
}

/// A bucket with its own clock.
struct Bucket {
    gcra: Gcra,
    full_at: UnixTime,
    now: u64,
}

impl Bucket {
    fn new(rate: &str, burst: u64) -> Self {
        Self { gcra: limit(rate, burst), full_at: UnixTime::default(), now: START }
    }

    fn take(&mut self, units: u64) -> Result<Taken, Refused> {
        let taken = self.gcra.take(self.full_at, UnixTime::from_nanos(self.now), units)?;
        self.full_at = taken.full_at;
        Ok(taken)
    }

    fn burst(&mut self) -> u64 {
        let mut taken = 0;
        while self.take(1).is_ok() {
            taken += 1;
        }
        taken
    }
}

#[test]
fn the_burst_is_there_at_once_and_then_the_rate() {
    let mut bucket = Bucket::new("10/s", 5);
    assert_eq!(bucket.burst(), 5);
    assert_eq!(bucket.take(1), Err(Refused { wait: SECOND / 10 }));
    bucket.now += SECOND / 10 - 1;
    assert_eq!(bucket.take(1), Err(Refused { wait: 1 }));
    bucket.now += 1;
    assert!(bucket.take(1).is_ok());
    bucket.now += SECOND;
    assert_eq!(bucket.burst(), 5, "never more than the burst is saved up");
}

#[test]
fn what_is_left_is_told() {
    let mut bucket = Bucket::new("10/s", 3);
    let taken = bucket.take(1).unwrap();
    assert_eq!((taken.remaining, taken.next_unit_in), (2, SECOND / 10));
    bucket.now += SECOND / 40;
    let taken = bucket.take(1).unwrap();
    assert_eq!((taken.remaining, taken.next_unit_in), (1, SECOND / 10 * 3 / 4));
    let taken = bucket.take(1).unwrap();
    assert_eq!((taken.remaining, taken.next_unit_in), (0, SECOND / 10 * 3 / 4));
    assert_eq!(bucket.take(1), Err(Refused { wait: SECOND / 10 * 3 / 4 }));
}

#[test]
fn a_refusal_takes_nothing_and_dear_requests_take_more() {
    let mut bucket = Bucket::new("1/s", 10);
    assert_eq!(bucket.take(7).unwrap().remaining, 3);
    assert_eq!(bucket.take(4), Err(Refused { wait: SECOND }));
    assert_eq!(bucket.take(3).unwrap().remaining, 0);
}

#[test]
fn an_empty_bucket_is_never_in_debt() {
    let gcra = limit("1/s", 3);
    let now = UnixTime::from_nanos(START);
    let after = |nanoseconds: u64| UnixTime::from_nanos(START + nanoseconds);
    assert_eq!(gcra.take(after(3_600 * SECOND), now, 1), Err(Refused { wait: SECOND }), "empty, not in debt");
}

#[test]
fn what_was_taken_stays_taken_where_the_limit_changes() {
    let now = UnixTime::from_nanos(START);
    let after = |nanoseconds: u64| UnixTime::from_nanos(START + nanoseconds);
    for (before, units, later, left) in [
        (("3/h", 3), 3, ("4/h", 4), 1),
        (("4/h", 4), 3, ("3/h", 3), 0),
        (("10/h", 10), 10, ("5/h", 5), 0),
        (("5/day", 5), 5, ("10/day", 10), 5),
        (("100/s", 100), 40, ("1000/day", 1_000), 960),
        (("7/h", 7), 3, ("9/h", 9), 6),
        (("1000/h", 1_000), 10, ("1000/s", 1_000), 990),
    ] {
        let (before, later) = (limit(before.0, before.1), limit(later.0, later.1));
        let full_at = before.take(now, now, units).unwrap().full_at;
        let converted = later.convert(full_at, before.interval(), now);
        let found = later.take(converted, now, 0).map_or(0, |taken| taken.remaining);
        assert_eq!(found, left, "{before:?} {later:?}");
    }
    let gcra = limit("1/s", 3);
    assert_eq!(gcra.convert(after(5), SECOND, now), after(5));
    assert_eq!(gcra.convert(now, 7, now), now);
    assert_eq!(gcra.convert(UnixTime::default(), 7, now), UnixTime::default(), "full is full");
    assert_eq!(gcra.convert(after(5), 0, now), after(5), "no limit of ours");
    assert_eq!(gcra.convert(UnixTime::from_nanos(u64::MAX), 1, now), UnixTime::from_nanos(u64::MAX));
}

#[test]
fn a_rate_that_does_not_divide_its_period_never_gives_more() {
    for (rate, most, period) in
        [("3/s", 3, 1), ("7/min", 7, 60), ("999999/s", 999_999, 1), ("700000000/s", 700_000_000, 1)]
    {
        let gcra = limit(rate, 1);
        let given = u128::from(gcra.interval()) * most;
        let wanted = u128::from(SECOND) * period;
        assert!(given >= wanted, "{rate}");
        // Short by at most a nanosecond a unit.
        assert!(given - wanted < most, "{rate}");
    }
}

#[test]
fn no_limit_that_can_be_written_overflows() {
    for rate in ["1/s", "1000000000/s", "1/day", "1000000000/day", "7/h"] {
        for burst in [1, 1_000, 1_000_000_000, u64::MAX] {
            let Some(gcra) = Gcra::new(rate.parse().unwrap(), burst) else { continue };
            for now in [0, START, START * 2, u64::MAX] {
                for full_at in [0, START, u64::MAX] {
                    for units in [1, burst, u64::MAX] {
                        let (full_at, now) = (UnixTime::from_nanos(full_at), UnixTime::from_nanos(now));
                        if let Ok(taken) = gcra.take(full_at, now, units) {
                            assert!(taken.full_at >= now && taken.next_unit_in <= gcra.interval());
                        }
                    }
                }
            }
        }
    }
    let day = "1/day".parse().unwrap();
    assert!(
        Gcra::new(day, 0).is_none() && Gcra::new(day, 4_000).is_none() && Gcra::new(day, 3_000).is_some()
    );
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use governor::middleware::NoOpMiddleware;
    use governor::{Quota, RateLimiter};
    use proptest::prelude::*;
    use std::num::NonZeroU32;
    use std::time::Duration;

    fn rates() -> impl Strategy<Value = String> {
        ((1..2_000_u64), prop::sample::select(vec!["s", "min", "h"]))
            .prop_map(|(count, unit)| format!("{count}/{unit}"))
    }

    proptest! {
        /// In any window, wherever it begins and ends: no more than the burst and what the rate gives meanwhile.
        #[test]
        fn no_window_gets_more_than_burst_and_rate(
            rate in rates(), burst in 1..50_u64, steps in prop::collection::vec((0..3_u64, 1..4_u64), 1..200), scale in 1..1_000_000_000_u64,
        ) {
            let mut bucket = Bucket::new(&rate, burst);
            let mut taken: Vec<(u64, u64)> = Vec::new();
            for (wait, units) in steps {
                bucket.now += wait * scale;
                if bucket.take(units).is_ok() {
                    taken.push((bucket.now, units));
                }
            }
            for start in 0..taken.len() {
                let mut sum = 0;
                for (time, units) in &taken[start..] {
                    sum += units;
                    prop_assert!(u128::from(sum) * u128::from(bucket.gcra.interval())
                        <= u128::from(burst) * u128::from(bucket.gcra.interval()) + u128::from(time - taken[start].0));
                }
            }
        }

        /// The crate `governor` decides the same.
        #[test]
        fn governor_agrees(
            rate in rates(), burst in 1..20_u32, steps in prop::collection::vec((0..4_u64, 1..4_u32), 1..100), parts in 1..5_u64,
        ) {
            let mut bucket = Bucket::new(&rate, burst.into());
            let interval = bucket.gcra.interval();
            let clock = FakeRelativeClock::default();
            let burst = NonZeroU32::new(burst).unwrap();
            let quota = Quota::with_period(Duration::from_nanos(interval)).unwrap().allow_burst(burst);
            let governor: RateLimiter<_, _, _, NoOpMiddleware<_>> = RateLimiter::direct_with_clock(quota, clock.clone());
            for (wait, units) in steps {
                let wait = wait * interval / parts;
                bucket.now += wait;
                clock.advance(Duration::from_nanos(wait));
                let units = units.min(burst.get());
                let expected = governor.check_n(NonZeroU32::new(units).unwrap()).unwrap().is_ok();
                prop_assert_eq!(bucket.take(units.into()).is_ok(), expected);
            }
        }

        /// A refusal's wait is exact: then it passes, and not a nanosecond earlier.
        #[test]
        fn a_wait_is_neither_too_long_nor_too_short(rate in rates(), burst in 1..20_u64, early in 1..1_000_u64) {
            let mut bucket = Bucket::new(&rate, burst);
            bucket.burst();
            bucket.now += early;
            if let Err(refused) = bucket.take(1) {
                bucket.now += refused.wait - 1;
                prop_assert!(bucket.take(1).is_err());
                bucket.now += 1;
                prop_assert!(bucket.take(1).is_ok());
            }
        }
    }
}
