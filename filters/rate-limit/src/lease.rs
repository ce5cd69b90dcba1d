//! Leases: several units taken from the shared bucket at once, and spent by this worker without asking again.
//!
//! Only for limits that have a `tolerance`: [`Terms`]. A unit is spent within the lease's life after it was taken, so in any span of time no
//! more are spent than were taken within the span and one life before it: `burst` + rate × (span + life), however many workers there are.
//!
//! What a worker has not spent it hands back with its next request for the same key, but only what time has not given back already.
//! In GCRA each unit that is taken stands for a stretch of time beyond now in which the bucket fills; the stretch of a lease ends where the
//! bucket's `full_at` was after it was taken. What lies before now has been filled again: to hand that back would give it twice. Where others
//! have handed back since, the stretches after theirs have moved earlier, by no more than what was handed back in the slot since, which the
//! slot counts; so a lease's stretch ends at its `full_at` less that count, or later. What lies between now and that end, and no more, may be
//! handed back: it makes room for as many units that are taken from now on, and each unit that was ever spent keeps a stretch of its own that
//! lies after the time at which it was taken. That is what the bound rests on.
//!
//! How much a worker takes follows what it spends: twice as much after a lease that was used up, half as much after one that ran out.

use sluice_core::decision::environment::UnixTime;
use std::cell::RefCell;

/// How many keys a worker holds leases for at the same time; of two that fall on one place, the later has it.
const PLACES: usize = 256;

/// What leases of one limit may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Nanoseconds for which a lease holds.
    pub(crate) life: u64,
    /// The most units of one lease, the request's own among them.
    pub(crate) most: u64,
}

/// The leases of one rule in one worker.
#[derive(Debug, Default)]
pub(crate) struct Leases(RefCell<Vec<Lease>>);

/// Units that were taken at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lease {
    pub(crate) tag: u64,
    /// The limit under which they were taken, by its nanoseconds for a unit.
    pub(crate) interval: u64,
    /// How many were taken, the first request's own among them; 0: none yet.
    pub(crate) size: u64,
    /// How many are not spent.
    pub(crate) left: u64,
    pub(crate) from: UnixTime,
    pub(crate) until: UnixTime,
    /// When the bucket would have been full again after they were taken.
    pub(crate) full_at: UnixTime,
    /// What had been handed back in the slot until then.
    pub(crate) returned: u64,
}

// === impl Lease ===

impl Lease {
    fn covers(&self, tag: u64, interval: u64, cost: u64, now: UnixTime) -> bool {
        self.tag == tag
            && self.interval == interval
            && self.left >= cost
            // Not before either: a clock that is set back must not make it longer.
            && (self.from..self.until).contains(&now)
    }
}

// === impl Leases ===

impl Leases {
    /// Spends `cost` units of the key's lease. True where they were there.
    pub(crate) fn spend(&self, tag: u64, interval: u64, cost: u64, now: UnixTime) -> bool {
        self.with(tag, |lease| {
            let covers = lease.covers(tag, interval, cost, now);
            if covers {
                lease.left = lease.left.saturating_sub(cost);
            }
            covers
        })
    }

    /// Whether [`Self::spend`] would find them.
    pub(crate) fn covers(&self, tag: u64, interval: u64, cost: u64, now: UnixTime) -> bool {
        self.with(tag, |lease| lease.covers(tag, interval, cost, now))
    }

    /// What is left of the key's lease, run out or not.
    pub(crate) fn left(&self, tag: u64) -> u64 {
        self.with(tag, |lease| if lease.tag == tag { lease.left } else { 0 })
    }

    /// How many nanoseconds' worth of the key's lease can be handed back, where `returned` is what has been in its slot until now.
    pub(crate) fn unspent(&self, tag: u64, interval: u64, now: UnixTime, returned: u64) -> u64 {
        self.with(tag, |lease| {
            if lease.tag != tag || lease.interval != interval || now < lease.from {
                return 0;
            }
            let moved = returned.wrapping_sub(lease.returned);
            let end = lease.full_at.as_nanos().saturating_sub(moved);
            lease.left.saturating_mul(interval).min(end.saturating_sub(now.as_nanos()))
        })
    }

    /// How many units the next lease should have.
    pub(crate) fn next_size(&self, tag: u64, cost: u64, terms: Terms) -> u64 {
        self.with(tag, |lease| {
            let wanted = match lease {
                _ if lease.tag != tag || lease.size == 0 => cost,
                lease if lease.left < cost => lease.size.saturating_mul(2),
                lease => lease.size / 2,
            };
            wanted.min(terms.most).max(cost)
        })
    }

    /// Units were taken, and what was left before has been handed back.
    pub(crate) fn grant(&self, granted: Lease) {
        self.with(granted.tag, |lease| *lease = granted);
    }

    fn with<T>(&self, tag: u64, call: impl FnOnce(&mut Lease) -> T) -> T {
        let mut places = self.0.borrow_mut();
        if places.is_empty() {
            places.resize(PLACES, Lease::default());
        }
        // Tags are hashes: any bits of one do.
        let place = (tag as usize).checked_rem(PLACES).unwrap_or(0);
        match places.get_mut(place) {
            Some(lease) => call(lease),
            None => call(&mut Lease::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const TERMS: Terms = Terms { life: 100, most: 8 };

    fn at(nanoseconds: u64) -> UnixTime {
        UnixTime::from_nanos(nanoseconds)
    }

    fn lease(size: u64, from: u64, full_at: u64) -> Lease {
        Lease {
            tag: 1,
            interval: 10,
            size,
            left: size - 1,
            from: at(from),
            until: at(from + 100),
            full_at: at(full_at),
            returned: 0,
        }
    }

    #[test]
    fn a_lease_is_spent_until_it_is_used_up_or_runs_out() {
        let leases = Leases::default();
        assert!(!leases.spend(1, 10, 1, at(0)), "nothing was leased");
        leases.grant(lease(4, 0, 40));
        assert!(leases.covers(1, 10, 3, at(99)) && !leases.covers(1, 10, 4, at(99)));
        assert!(leases.spend(1, 10, 2, at(50)) && leases.spend(1, 10, 1, at(99)));
        assert!(!leases.spend(1, 10, 1, at(99)), "used up");
        leases.grant(lease(4, 100, 140));
        assert!(!leases.spend(1, 10, 1, at(200)), "run out");
        assert!(!leases.spend(1, 10, 1, at(99)), "the clock was set back");
        assert!(!leases.spend(1, 11, 1, at(100)), "of another limit");
        assert_eq!(leases.left(1), 3);
        assert_eq!(leases.left(257), 0, "another key in the same place");
    }

    #[test]
    fn only_what_time_has_not_given_back_is_handed_back() {
        let leases = Leases::default();
        // Three units are left; the bucket would have been full again at 1,000.
        leases.grant(lease(4, 0, 1_000));
        for (now, returned, unspent) in [
            (50, 0, 30),
            (500, 0, 30),
            (970, 0, 30),
            (985, 0, 15),
            (1_000, 0, 0),
            (5_000, 0, 0),
            // What others have handed back has moved it earlier.
            (970, 20, 10),
            (970, 30, 0),
            (50, u64::MAX, 0),
        ] {
            assert_eq!(leases.unspent(1, 10, at(now), returned), unspent, "{now} {returned}");
        }
        assert_eq!((leases.unspent(2, 10, at(50), 0), leases.unspent(1, 11, at(50), 0)), (0, 0));
    }

    #[test]
    fn its_size_follows_what_is_spent() {
        let leases = Leases::default();
        let mut sizes = Vec::new();
        for spent in [true, true, true, true, true, false, false, false, false] {
            let size = leases.next_size(1, 1, TERMS);
            sizes.push(size);
            leases.grant(lease(size, 0, 0));
            while spent && leases.spend(1, 10, 1, at(0)) {}
        }
        assert_eq!(sizes, [1, 2, 4, 8, 8, 8, 4, 2, 1]);
        assert_eq!(leases.next_size(1, 20, TERMS), 20, "never less than a request costs");
    }
}
