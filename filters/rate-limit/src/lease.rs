//! Leases: several units taken from the shared bucket at once, and spent by this worker without asking again.
//!
//! Only for rules that have a `tolerance`. A lease ends after that share of the rate's period, so whatever number of workers hold some,
//! in any span of time at most that share of a period's units are taken before and spent within it. What a worker has not spent it
//! gives back with its next request for the same key. How much it takes follows what it spends: twice as much after a lease that was
//! used up, half as much after one that ran out.

use sluice_core::environment::UnixTime;
use std::cell::RefCell;

/// How many keys a worker holds leases for at the same time; of two that fall on one place, the later has it.
const PLACES: usize = 256;

/// The leases of one rule in one worker.
#[derive(Debug)]
pub(crate) struct Leases {
    places: RefCell<Vec<Lease>>,
    /// Nanoseconds for which a lease holds.
    life: u64,
    /// The most units of one lease, the request's own among them.
    most: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Lease {
    tag: u64,
    left: u64,
    until: UnixTime,
    /// How many units were taken, the first request's own among them; 0: none yet.
    size: u64,
}

// === impl Leases ===

impl Leases {
    pub(crate) fn new(life: u64, most: u64) -> Self {
        Self { places: RefCell::default(), life, most }
    }

    /// Spends `cost` units of the key's lease. True where they were there.
    pub(crate) fn spend(&self, tag: u64, cost: u64, now: UnixTime) -> bool {
        self.with(tag, |lease| match lease.left.checked_sub(cost) {
            Some(left) if lease.tag == tag && now < lease.until => {
                lease.left = left;
                true
            }
            _ => false,
        })
    }

    /// Whether [`Self::spend`] would find them.
    pub(crate) fn covers(&self, tag: u64, cost: u64, now: UnixTime) -> bool {
        self.with(tag, |lease| lease.tag == tag && now < lease.until && lease.left >= cost)
    }

    /// What is left of the key's lease, run out or not.
    pub(crate) fn left(&self, tag: u64) -> u64 {
        self.with(tag, |lease| if lease.tag == tag { lease.left } else { 0 })
    }

    /// How many units the next lease should have.
    pub(crate) fn next_size(&self, tag: u64, cost: u64) -> u64 {
        self.with(tag, |lease| {
            let wanted = match lease {
                _ if lease.tag != tag || lease.size == 0 => cost,
                lease if lease.left < cost => lease.size.saturating_mul(2),
                lease => lease.size / 2,
            };
            wanted.min(self.most).max(cost)
        })
    }

    /// `size` units were taken, `cost` of them for the request that took them; what was left before has been given back.
    pub(crate) fn grant(&self, tag: u64, size: u64, cost: u64, now: UnixTime) {
        let until = UnixTime::from_nanos(now.as_nanos().saturating_add(self.life));
        self.with(tag, |lease| *lease = Lease { tag, left: size.saturating_sub(cost), until, size });
    }

    fn with<T>(&self, tag: u64, call: impl FnOnce(&mut Lease) -> T) -> T {
        let mut places = self.places.borrow_mut();
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

    fn at(nanoseconds: u64) -> UnixTime {
        UnixTime::from_nanos(nanoseconds)
    }

    #[test]
    fn a_lease_is_spent_until_it_is_used_up_or_runs_out() {
        let leases = Leases::new(100, 8);
        assert!(!leases.spend(1, 1, at(0)), "nothing was leased");
        leases.grant(1, 4, 1, at(0));
        assert!(leases.covers(1, 3, at(99)) && !leases.covers(1, 4, at(99)));
        assert!(leases.spend(1, 2, at(50)) && leases.spend(1, 1, at(99)));
        assert!(!leases.spend(1, 1, at(99)), "used up");
        leases.grant(1, 4, 1, at(100));
        assert!(!leases.spend(1, 1, at(200)), "run out");
        assert_eq!(leases.left(1), 3, "to be given back");
        assert_eq!(leases.left(257), 0, "another key in the same place");
    }

    #[test]
    fn its_size_follows_what_is_spent() {
        let leases = Leases::new(100, 8);
        let mut sizes = Vec::new();
        for spent in [true, true, true, true, true, false, false, false, false] {
            let size = leases.next_size(1, 1);
            sizes.push(size);
            leases.grant(1, size, 1, at(0));
            while spent && leases.spend(1, 1, at(0)) {}
        }
        assert_eq!(sizes, [1, 2, 4, 8, 8, 8, 4, 2, 1]);
        assert_eq!(leases.next_size(1, 20), 20, "never less than a request costs");
    }
}
