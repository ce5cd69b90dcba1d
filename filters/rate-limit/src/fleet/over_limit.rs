//! The keys of which the service said that they are over their limit, so that a flood of one costs no calls.

use crate::key::Bucket;
use sluice_core::decision::environment::UnixTime;
use std::cell::RefCell;
use std::time::Duration;

/// How many keys of a rule a worker remembers; of two that fall on one place, the later has it.
const PLACES: usize = 256;

/// The longest time for which the service is not asked again, in nanoseconds: somebody may have emptied its store, or raised a limit there.
const LONGEST: u64 = 60_000_000_000;

const SECOND: u64 = 1_000_000_000;

/// What one worker remembers of one rule.
#[derive(Debug, Default)]
pub(crate) struct OverLimit(RefCell<Vec<Option<RecentRefusals>>>);

#[derive(Clone, Copy, Debug)]
struct RecentRefusals {
    bucket: Bucket,
    /// The position of the limit that it is over.
    limit: u32,
    from: UnixTime,
    /// When the service is to be asked again.
    until: UnixTime,
    /// When its window ends.
    reset: UnixTime,
}

// === impl OverLimit ===

impl OverLimit {
    /// Nanoseconds until the window ends of a key that is known to be over this limit.
    pub(crate) fn wait(&self, bucket: Bucket, limit: u32, now: UnixTime) -> Option<u64> {
        let places = self.0.borrow();
        let known = places.get(place(bucket)).copied().flatten()?;
        // Not before either: a clock that is set back must not make it longer.
        let holds =
            known.bucket == bucket && known.limit == limit && (known.from..known.until).contains(&now);
        holds.then(|| known.reset.as_nanos().saturating_sub(now.as_nanos()))
    }

    /// The service has just said that the key is over this limit, and that its window ends in `reset` nanoseconds; it was asked no longer
    /// than `timeout` ago.
    ///
    /// Windows begin at whole seconds, and envoyproxy/ratelimit counts whole seconds until they end. So one ends at a whole second,
    /// `reset` after the second in which the service was asked.
    pub(crate) fn remember(&self, bucket: Bucket, limit: u32, reset: u64, timeout: Duration, now: UnixTime) {
        let at = now.as_nanos();
        let asked = at.saturating_sub(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
        let begun = asked.saturating_sub(asked.checked_rem(SECOND).unwrap_or(0));
        let until = begun.saturating_add(reset).min(at.saturating_add(LONGEST));
        let reset = UnixTime::from_nanos(at.saturating_add(reset));
        let mut places = self.0.borrow_mut();
        if places.is_empty() {
            places.resize(PLACES, None);
        }
        if let Some(known) = places.get_mut(place(bucket)) {
            *known =
                Some(RecentRefusals { bucket, limit, from: now, until: UnixTime::from_nanos(until), reset });
        }
    }
}

fn place(bucket: Bucket) -> usize {
    // Tags are hashes: any bits of one do.
    (bucket.tag as usize).checked_rem(PLACES).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const MILLISECOND: u64 = 1_000_000;

    fn bucket(tag: u64) -> Bucket {
        Bucket { slot: 1, tag }
    }

    #[test]
    fn a_key_is_remembered_to_the_end_of_the_second_in_which_its_window_ends() {
        for (now, reset, until) in [
            // Asked and answered within a second.
            (10_500, 1_000, 11_000),
            (10_500, 7_000, 17_000),
            // Asked, perhaps, in the second before.
            (10_010, 1_000, 10_000),
            (10_010, 3_000, 12_000),
            // Never for long.
            (10_500, 86_400_000, 70_500),
        ] {
            let over = OverLimit::default();
            let at = |milliseconds: u64| UnixTime::from_nanos(milliseconds * MILLISECOND);
            over.remember(bucket(7), 0, reset * MILLISECOND, Duration::from_millis(20), at(now));
            for time in [now, until - 1] {
                let known = over.wait(bucket(7), 0, at(time));
                let expected = (time >= now && time < until).then(|| (now + reset - time) * MILLISECOND);
                assert_eq!(known, expected, "{now} {reset} at {time}");
            }
            for (bucket, limit, time) in [
                (bucket(7), 0, until),
                (bucket(7), 0, now - 1),
                (bucket(7), 1, now),
                (bucket(8), 0, now),
                (bucket(7 + PLACES as u64), 0, now),
            ] {
                assert_eq!(over.wait(bucket, limit, at(time)), None, "{now} {reset} at {time}");
            }
        }
    }
}
