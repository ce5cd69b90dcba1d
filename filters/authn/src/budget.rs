//! How many signatures a worker verifies at most. A flood of bad tokens must cost a worker a share of its time, not all of it: whoever
//! shows a token that was verified before, an API key or no credential at all is served as before.

use sluice_core::environment::UnixTime;
use sluice_core::scalar::Rate;
use std::cell::Cell;

/// A second in nanoseconds: what may be saved up.
const BURST: u64 = 1_000_000_000;

/// A budget of verifications (GCRA: one number says when the next one is due).
#[derive(Debug)]
pub struct VerificationBudget {
    /// The time between two verifications, in nanoseconds.
    interval: u64,
    /// The time up to which the budget is spent, in nanoseconds since the epoch.
    spent_until: Cell<u64>,
}

impl VerificationBudget {
    /// So many, of which those of one second may come at once.
    pub fn new(rate: Rate) -> Self {
        Self { interval: rate.interval_nanos(), spent_until: Cell::new(0) }
    }

    /// Takes one. False if there is none left.
    pub fn take(&self, now: UnixTime) -> bool {
        let now = now.as_nanos();
        // One alone is always within the budget, however rare they are to be.
        let most = BURST.max(self.interval);
        let spent_until = self.spent_until.get();
        // No more is ever spent ahead: a wall clock that was set back must not lock the budget until it has caught up.
        let spent_until = if spent_until > now.saturating_add(most) { now } else { spent_until.max(now) };
        let after = spent_until.saturating_add(self.interval);
        let allowed = after.saturating_sub(now) <= most;
        if allowed {
            self.spent_until.set(after);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn taken(budget: &VerificationBudget, at_milliseconds: u64, tries: usize) -> usize {
        let now = UnixTime::from_nanos(1_800_000_000_000_000_000 + at_milliseconds * 1_000_000);
        (0..tries).filter(|_| budget.take(now)).count()
    }

    #[test]
    fn a_second_of_it_can_be_spent_at_once_and_comes_back_evenly() {
        let budget = VerificationBudget::new("100/s".parse().unwrap());
        assert_eq!(taken(&budget, 0, 1000), 100);
        assert_eq!(taken(&budget, 5, 10), 0);
        assert_eq!(taken(&budget, 50, 10), 5);
        assert_eq!(taken(&budget, 5_000, 1000), 100);
    }

    #[test]
    fn the_rarest_allows_one_at_a_time() {
        let budget = VerificationBudget::new("6/min".parse().unwrap());
        assert_eq!(taken(&budget, 0, 5), 1);
        assert_eq!(taken(&budget, 9_999, 5), 0);
        assert_eq!(taken(&budget, 10_000, 5), 1);
    }

    #[test]
    fn a_clock_that_goes_back_does_not_lock_it_for_long() {
        let budget = VerificationBudget::new("10/s".parse().unwrap());
        assert_eq!(taken(&budget, 3_600_000, 1), 1);
        assert_eq!(taken(&budget, 0, 1), 1, "an hour earlier");
    }
}
