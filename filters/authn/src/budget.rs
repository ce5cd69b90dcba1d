//! How much a worker spends on verifying signatures, and on whose. A flood of bad tokens must cost a worker a share of its time, not
//! all of it: whoever shows a token that was verified before, an API key or no credential at all is served as before. And one source of
//! bad tokens must not spend what others need:
//!
//! - Half of the budget is for *suspects*, sources that have shown a forged token within the last minute. The other half is for all
//!   others, who take what is left of the first half besides. A suspect never touches the second.
//! - What a source's bad tokens cost is charged to its share, a tenth of the budget. Once that is spent, nothing of this source is verified
//!   until it has come back. A token that is accepted costs its source nothing.
//!
//! So a source without forged tokens is refused only where sources of that kind have spent their half (and the rest) by themselves: with
//! good tokens, or each with the one forged token that makes it a suspect.

use crate::source::{Source, SourceTable};
use sluice_core::decision::environment::UnixTime;
use sluice_core::document::scalar::Rate;
use std::cell::{Cell, RefCell};

/// A second in nanoseconds: what may be saved up.
const BURST: u64 = 1_000_000_000;
/// Into how many parts the budget is divided: one for suspects, one for all others.
const POOLS: u64 = 2;
/// How many sources of bad tokens it takes to spend the whole budget.
const SHARES: u64 = 10;
/// The longest step of the clock that is believed, in nanoseconds: a hundred days. A clock that jumps to and fro must not use up time.
const LONGEST_STEP: u64 = 100 * 86_400 * 1_000_000_000;

/// A budget of verifications, in units (see [`crate::key::KeyMaterial::cost`]).
#[derive(Debug)]
pub struct VerificationBudget {
    clock: SteadyClock,
    /// For sources that are no suspects.
    reserved: Pool,
    /// For suspects, and what is left for all others.
    common: Pool,
    /// The time in which a source's share gains a unit, in nanoseconds.
    share_interval: u64,
    sources: RefCell<SourceTable>,
}

/// Why nothing may be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// The source's bad tokens have spent its share.
    Source,
    /// The budget is spent.
    Worker,
}

/// What was taken, of which some may be given back.
#[derive(Debug)]
#[must_use]
pub struct Taken<'b>(&'b Pool);

/// A part of the budget (GCRA: one number says when the next unit is due).
#[derive(Debug)]
struct Pool {
    /// The time between two units, in nanoseconds.
    interval: u64,
    /// The time up to which it is spent.
    spent_until: Cell<u64>,
}

/// The wall clock without its steps back: a clock that is set back must not lock a budget until it has caught up.
#[derive(Debug, Default)]
struct SteadyClock {
    seen: Cell<Option<UnixTime>>,
    elapsed: Cell<u64>,
}

// === impl VerificationBudget ===

impl VerificationBudget {
    /// So many units, of which those of one second may come at once. `seed` is secret.
    pub fn new(rate: Rate, seed: u64) -> Self {
        let part = |parts: u64| rate.interval_nanos().saturating_mul(parts);
        let pool = || Pool { interval: part(POOLS), spent_until: Cell::new(0) };
        Self {
            clock: SteadyClock::default(),
            reserved: pool(),
            common: pool(),
            share_interval: part(SHARES),
            sources: RefCell::new(SourceTable::new(seed)),
        }
    }

    /// Takes `units` for a token from `source`, before it is verified. One token alone always fits, however much it costs.
    ///
    /// # Errors
    /// [`Exhausted`], and nothing is taken.
    pub fn take(&self, source: Source, units: u64, now: UnixTime) -> Result<Taken<'_>, Exhausted> {
        let now = self.clock.now(now);
        let account = self.sources.borrow().account(source);
        if after(account.spent_until, units, self.share_interval, now).is_none() {
            return Err(Exhausted::Source);
        }
        let reserved = (!account.is_suspect(now)).then_some(&self.reserved);
        let pool = reserved.into_iter().chain([&self.common]).find(|pool| pool.take(units, now));
        pool.map(Taken).ok_or(Exhausted::Worker)
    }

    /// Charges the source of a token that was not accepted with what it cost. `forged`: no key had signed it.
    pub fn charge(&self, source: Source, units: u64, forged: bool, now: UnixTime) {
        let cost = units.saturating_mul(self.share_interval);
        self.sources.borrow_mut().charge(source, cost, forged, self.clock.now(now));
    }
}

/// When `units` more are spent, or `None` where they are more than is left. All is there after a second without use; one thing that
/// costs more than that fits then.
fn after(spent_until: u64, units: u64, interval: u64, now: u64) -> Option<u64> {
    let cost = units.saturating_mul(interval);
    let after = spent_until.max(now).saturating_add(cost);
    (after.saturating_sub(now) <= BURST.max(cost)).then_some(after)
}

// === impl Pool ===

impl Pool {
    fn take(&self, units: u64, now: u64) -> bool {
        let after = after(self.spent_until.get(), units, self.interval, now);
        if let Some(after) = after {
            self.spent_until.set(after);
        }
        after.is_some()
    }
}

// === impl Taken ===

impl Taken<'_> {
    /// Gives units back that were not needed.
    pub fn give_back(&self, units: u64) {
        let Self(pool) = self;
        pool.spent_until.set(pool.spent_until.get().saturating_sub(units.saturating_mul(pool.interval)));
    }

    /// Takes further units that it has cost, also where there are none left.
    pub fn add(&self, units: u64) {
        let Self(pool) = self;
        pool.spent_until.set(pool.spent_until.get().saturating_add(units.saturating_mul(pool.interval)));
    }
}

// === impl SteadyClock ===

impl SteadyClock {
    /// The time since it was first asked, in nanoseconds.
    fn now(&self, wall: UnixTime) -> u64 {
        let seen = self.seen.replace(Some(wall)).unwrap_or(wall);
        let step = wall.as_nanos().saturating_sub(seen.as_nanos()).min(LONGEST_STEP);
        let elapsed = self.elapsed.get().saturating_add(step);
        self.elapsed.set(elapsed);
        elapsed
    }
}

#[cfg(test)]
mod tests;
