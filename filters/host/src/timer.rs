//! The root context's one timer, set to the next thing that waits for it, and off when nothing does.

use crate::calls::{self, HostResult};
use std::cell::Cell;

/// See the module. Times are monotonic nanoseconds.
#[derive(Debug, Default)]
pub struct Timer {
    due: Cell<Option<u64>>,
}

impl Timer {
    /// Has the timer fire at `due` at the latest.
    ///
    /// # Errors
    /// Where the host refuses.
    pub fn arm(&self, now: u64, due: u64) -> HostResult<()> {
        if self.due.get().is_some_and(|armed| armed <= due) {
            return Ok(());
        }
        // Rounded up: a timer that fires a little early would find nothing due and have to be set again.
        let milliseconds = due.saturating_sub(now).div_ceil(1_000_000).max(1);
        calls::set_tick_period(u32::try_from(milliseconds).unwrap_or(u32::MAX))?;
        self.due.set(Some(due));
        Ok(())
    }

    /// The timer has fired: it is to be set again, by [`Timer::rearm`] at the end of the tick at the latest.
    pub fn fired(&self) {
        self.due.set(None);
    }

    /// After the timer has fired: sets it to the next thing due, or off. The host would otherwise fire it again after the same period.
    ///
    /// # Errors
    /// Where the host refuses.
    pub fn rearm(&self, now: u64, due: Option<u64>) -> HostResult<()> {
        match due {
            Some(due) => self.arm(now, due),
            None => {
                self.due.set(None);
                calls::set_tick_period(0)
            }
        }
    }

    /// Stops the timer, if it runs. Envoy keeps the timer of a root context that has gone, and fires it into nothing for ever.
    pub fn stop(&self) {
        if self.due.take().is_some() {
            // Nothing is left to be told where even this fails.
            let _ = calls::set_tick_period(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::stand_in::{self, StandIn};

    const MILLISECOND: u64 = 1_000_000;

    #[test]
    fn the_timer_is_set_to_the_soonest_and_only_when_that_changes() {
        stand_in::install(StandIn::default());
        let state = || stand_in::with(|host| (host.tick_period, host.tick_changes));
        let timer = Timer::default();
        timer.arm(0, 1_000 * MILLISECOND).unwrap();
        assert_eq!(state(), (Some(1_000), 1));
        timer.arm(0, 2_000 * MILLISECOND).unwrap();
        assert_eq!(state(), (Some(1_000), 1));
        timer.arm(500 * MILLISECOND, 500 * MILLISECOND + 1).unwrap();
        assert_eq!(state(), (Some(1), 2));
        timer.fired();
        timer.rearm(501 * MILLISECOND, Some(1_000 * MILLISECOND)).unwrap();
        assert_eq!(state(), (Some(499), 3));
        timer.fired();
        timer.rearm(1_000 * MILLISECOND, None).unwrap();
        assert_eq!(state(), (None, 4));
        timer.stop();
        assert_eq!(state(), (None, 4));
    }
}
