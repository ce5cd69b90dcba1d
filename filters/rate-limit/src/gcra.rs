//! The algorithm: GCRA, the generic cell rate algorithm (ITU-T I.371, annex A.1), apart from any store.
//!
//! A bucket of `burst` units that is filled at a steady rate is one number: the time at which it will be full again, GCRA's *theoretical
//! arrival time*. Taking units moves it later; a time in the past is a full bucket, so that a bucket nobody uses needs no memory. In
//! any span of time at most `burst` + rate × span units are taken.

use sluice_core::decision::environment::UnixTime;
use sluice_core::document::scalar::Rate;

/// A limit: how fast a bucket is filled, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    /// Nanoseconds in which one unit is given back: at least 1, rounded up, so that a limit is never exceeded by rounding; it falls
    /// short by at most a nanosecond a unit.
    interval: u64,
    /// Nanoseconds in which an empty bucket is full again: `burst` intervals.
    capacity: u64,
}

/// Units were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// When the bucket will be full again.
    pub full_at: UnixTime,
    /// Whole units that are left.
    pub remaining: u64,
    /// Nanoseconds until there is one more.
    pub next_unit_in: u64,
}

/// Too little is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Nanoseconds until there will be enough, if nobody takes any before.
    pub wait: u64,
}

/// The longest time in which an empty bucket may fill: ten years. With it, times stay within `u64` until the year 2544.
const LONGEST_CAPACITY: u64 = 3_653 * 86_400 * 1_000_000_000;

impl Gcra {
    /// A limit of `rate` with a bucket of `burst` units. `None` where the bucket would hold nothing, or take more than ten years to
    /// fill.
    pub fn new(rate: Rate, burst: u64) -> Option<Self> {
        let period = rate.period_seconds().checked_mul(1_000_000_000)?;
        let interval = period.checked_add(rate.count().checked_sub(1)?)?.checked_div(rate.count())?;
        let capacity = interval.checked_mul(burst)?;
        (1..=LONGEST_CAPACITY).contains(&capacity).then_some(Self { interval, capacity })
    }

    /// What one of `proxies` gives of `rate`: an equal share, and at once as much of the count, but no less than `least` units. `None` where
    /// that is too little to count, or would take more than ten years to fill.
    pub fn share(rate: Rate, proxies: u32, least: u64) -> Option<Self> {
        let period = u128::from(rate.period_seconds()).checked_mul(1_000_000_000)?;
        let interval = period.checked_mul(proxies.into())?.div_ceil(rate.count().into());
        let interval = u64::try_from(interval).ok()?;
        let burst = rate.count().checked_div(proxies.into())?.max(least);
        let capacity = interval.checked_mul(burst)?;
        (1..=LONGEST_CAPACITY).contains(&capacity).then_some(Self { interval, capacity })
    }

    /// Nanoseconds in which one unit is given back.
    pub const fn interval(&self) -> u64 {
        self.interval
    }

    /// Nanoseconds in which an empty bucket is full again.
    pub const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// How many units a bucket holds.
    pub fn burst(&self) -> u64 {
        self.capacity.checked_div(self.interval).unwrap_or(0)
    }

    /// When a bucket will be full from which as many units were taken as from one that was to be full at `full_at`, where `interval`
    /// nanoseconds gave back a unit: what was taken stays taken where a limit changes.
    pub fn convert(&self, full_at: UnixTime, interval: u64, now: UnixTime) -> UnixTime {
        let taken = full_at.as_nanos().saturating_sub(now.as_nanos());
        if interval == self.interval || interval == 0 || taken == 0 {
            return full_at;
        }
        let taken = u128::from(taken).wrapping_mul(self.interval.into()).div_ceil(interval.into());
        UnixTime::from_nanos(now.as_nanos().saturating_add(u64::try_from(taken).unwrap_or(u64::MAX)))
    }

    /// Takes `units` from a bucket that is full at `full_at`.
    ///
    /// # Errors
    /// [`Refused`] where too little is left; nothing is taken then.
    pub fn take(&self, full_at: UnixTime, now: UnixTime, units: u64) -> Result<Taken, Refused> {
        let now = now.as_nanos();
        let empty = now.saturating_add(self.capacity);
        // Beyond `empty` only by a clock that is set back, or behind another worker's: the bucket is empty, not in debt.
        let before = full_at.as_nanos().clamp(now, empty);
        let after = before.saturating_add(units.saturating_mul(self.interval));
        let Some(free) = empty.checked_sub(after) else {
            return Err(Refused { wait: after.saturating_sub(empty) });
        };
        let remaining = free.checked_div(self.interval).unwrap_or(0);
        let part = free.checked_rem(self.interval).unwrap_or(0);
        Ok(Taken {
            full_at: UnixTime::from_nanos(after),
            remaining,
            next_unit_in: self.interval.saturating_sub(part),
        })
    }
}

#[cfg(test)]
mod tests;
