//! Guesses that save the reading of a slot.
//!
//! The host does not tell the version of what it has just written. In Envoy's host versions are numbers of one count for the whole
//! process, so a worker that has seen version `h` anywhere, and writes then, writes a version of at least `h + 1`; of exactly that, where
//! nobody else has written meanwhile. [`Versions`] keeps this bound, over all slots of all rules, and after each write this worker guesses
//! that what it wrote has the version of the bound, and tries the next write at once.
//!
//! **A write that succeeds with a guess proves that the slot still holds what this worker left there.** Let `g` be the guess, and `w` the
//! version of this worker's last write to the slot. `g ≤ w`, since `g` was a lower bound of it. Whoever wrote the slot after that got
//! a version larger than `w`. So the slot's version is `w`, or larger than `w`; that it is `g ≤ w` means that it is `w`: nobody wrote it since.
//! A refusal is never based on a guess; a guess that fails is followed by reading the slot.
//!
//! Others write as well: workers, this worker's own root context, other plugins. Each such write leaves the bound one lower than the truth,
//! and so all guesses wrong, until a version is seen that is new enough; that of a slot which is read is as old as its last write. So
//! after a guess that failed the next write is read back, once: its version is the highest there is.
//!
//! (On a host that counts the versions of each key apart the bound would be none. It shows when a slot is read whose version is less
//! than it must be; then no more guesses are made.)
//!
//! That pays where one worker is busy. Where others write as well, guesses fail, and each failure costs a call; so after every failure
//! in a row twice as many requests go without a guess, up to some thousand.

use crate::slot::Slot;
use std::cell::{Cell, RefCell};

/// How many slots a worker remembers of a rule at first, and at most: as many as it meets, since each takes some hundred bytes.
const FEWEST_PLACES: usize = 16;
const MOST_PLACES: usize = 1_024;

/// The most requests without a guess after failures.
const LONGEST_PAUSE: u32 = 1_023;

/// What is known of the versions of shared memory.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    /// Each write from now on gets a larger one than this.
    bound: Cell<u32>,
    /// Whether the bound is known to be too low, so that it is worth a call to find the highest version.
    behind: Cell<bool>,
}

/// What this worker left in slots.
#[derive(Debug, Default)]
pub(crate) struct Guesses {
    places: RefCell<Vec<Option<Guess>>>,
    /// How many requests go without a guess from now on.
    pause: Cell<u32>,
    /// How many went without one after the last failure; 0 after a success.
    last_pause: Cell<u32>,
    /// The slot of the last guess that failed, and the guess.
    failed: Cell<Option<(u32, u32)>>,
    /// The host's versions are not what they have to be.
    given_up: Cell<bool>,
}

#[derive(Clone, Copy, Debug)]
struct Guess {
    slot: u32,
    value: Slot,
    version: u32,
}

// === impl Versions ===

impl Versions {
    /// A version that no value ever has (versions count up from 1), to create a value only where there is none: version 0 would
    /// overwrite what another worker created meanwhile.
    pub(crate) const NOBODYS: u32 = u32::MAX;

    /// A value has this version.
    pub(crate) fn seen(&self, version: u32) {
        self.bound.set(self.bound.get().max(version));
    }

    /// This worker has written: the least version that this write can have got. `None` at the end of the count.
    pub(crate) fn wrote(&self) -> Option<u32> {
        let version = self.bound.get().checked_add(1).filter(|version| *version != Self::NOBODYS)?;
        self.bound.set(version);
        Some(version)
    }

    /// A guess was too low.
    pub(crate) fn are_behind(&self) {
        self.behind.set(true);
    }

    /// Whether what is written next is to be read back, for its version.
    pub(crate) fn take_behind(&self) -> bool {
        self.behind.take()
    }
}

// === impl Guesses ===

impl Guesses {
    /// What the slot probably holds, in which version. Each guess is made once.
    pub(crate) fn guess(&self, slot: u32) -> Option<(Slot, u32)> {
        let mut places = self.places.borrow_mut();
        let place = Self::place(slot, places.len());
        let place = places.get_mut(place)?.take_if(|guess| guess.slot == slot)?;
        if let Some(pause) = self.pause.get().checked_sub(1) {
            self.pause.set(pause);
            return None;
        }
        (!self.given_up.get()).then_some((place.value, place.version))
    }

    /// `value` was written, in this version or a later one.
    pub(crate) fn wrote(&self, slot: u32, value: &Slot, version: u32) {
        let mut places = self.places.borrow_mut();
        let occupant = places.get(Self::place(slot, places.len()));
        let is_full = occupant.is_none_or(|occupant| occupant.is_some_and(|other| other.slot != slot));
        if is_full && places.len() < MOST_PLACES {
            let more = places.len().saturating_mul(2).clamp(FEWEST_PLACES, MOST_PLACES);
            let before = std::mem::replace(&mut *places, vec![None; more]);
            before.into_iter().flatten().for_each(|guess| Self::put(&mut places, guess));
        }
        Self::put(&mut places, Guess { slot, value: *value, version });
    }

    /// The slot was read, in this version.
    pub(crate) fn read(&self, slot: u32, version: u32) {
        if let Some((failed, guess)) = self.failed.get()
            && failed == slot
        {
            self.failed.set(None);
            if version < guess {
                self.given_up.set(true);
            }
        }
    }

    /// A guess was right.
    pub(crate) fn succeeded(&self) {
        self.last_pause.set(0);
    }

    /// A guess was wrong.
    pub(crate) fn failed(&self, slot: u32, version: u32) {
        let pause = self.last_pause.get().saturating_mul(2).saturating_add(1).min(LONGEST_PAUSE);
        self.last_pause.set(pause);
        self.pause.set(pause);
        self.failed.set(Some((slot, version)));
    }

    /// The slots are others now.
    pub(crate) fn forget(&self) {
        self.places.borrow_mut().clear();
        self.failed.set(None);
    }

    fn put(places: &mut [Option<Guess>], guess: Guess) {
        if let Some(place) = places.get_mut(Self::place(guess.slot, places.len())) {
            *place = Some(guess);
        }
    }

    fn place(slot: u32, places: usize) -> usize {
        (slot as usize).checked_rem(places).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn what_was_written_is_guessed_once() {
        let guesses = Guesses::default();
        assert!(guesses.guess(7).is_none());
        guesses.wrote(7, &Slot::default(), 42);
        assert_eq!(guesses.guess(7), Some((Slot::default(), 42)));
        assert!(guesses.guess(7).is_none());
        guesses.wrote(7, &Slot::default(), 42);
        assert!(guesses.guess(7 + MOST_PLACES as u32).is_none(), "another slot in the same place");
        assert!(guesses.guess(7).is_some(), "whose guess it is");
        guesses.wrote(7, &Slot::default(), 42);
        guesses.forget();
        assert!(guesses.guess(7).is_none());
    }

    #[test]
    fn it_remembers_as_many_slots_as_it_meets_and_not_more_than_it_may() {
        let guesses = Guesses::default();
        let met: Vec<u32> = (0..200).map(|number| number * 5).collect();
        for slot in &met {
            guesses.wrote(*slot, &Slot::default(), *slot);
        }
        for slot in &met {
            assert_eq!(guesses.guess(*slot), Some((Slot::default(), *slot)));
        }
        for slot in 0..10_000 {
            guesses.wrote(slot, &Slot::default(), slot);
        }
        assert_eq!(guesses.places.borrow().len(), MOST_PLACES);
        assert_eq!(guesses.guess(9_999), Some((Slot::default(), 9_999)));
    }

    #[test]
    fn the_next_version_is_beyond_the_highest_that_was_seen_anywhere() {
        let versions = Versions::default();
        versions.seen(41);
        versions.seen(7);
        assert_eq!([versions.wrote(), versions.wrote()], [Some(42), Some(43)]);
        versions.seen(u32::MAX - 1);
        assert_eq!(versions.wrote(), None, "the count is at its end");
    }

    #[test]
    fn failures_make_it_pause_longer_and_longer() {
        let guesses = Guesses::default();
        let mut made = 0;
        for _ in 0..10_000 {
            guesses.wrote(7, &Slot::default(), 1);
            if guesses.guess(7).is_some() {
                made += 1;
                guesses.failed(7, 1);
            }
        }
        // After pauses of 1, 3, 7 … 1,023 ten failures have passed; then one in 1,024.
        assert!((15..=20).contains(&made), "{made}");
        guesses.succeeded();
        guesses.failed(7, 1);
        guesses.wrote(7, &Slot::default(), 1);
        assert!(guesses.guess(7).is_none());
        guesses.wrote(7, &Slot::default(), 1);
        assert!(guesses.guess(7).is_some(), "a success has shortened the pause to one");
    }

    #[test]
    fn a_host_whose_versions_are_others_is_not_guessed_at() {
        let guesses = Guesses::default();
        guesses.failed(7, 100);
        guesses.read(8, 3);
        guesses.read(7, 100);
        guesses.failed(7, 100);
        guesses.guess(7);
        guesses.wrote(7, &Slot::default(), 101);
        guesses.guess(7);
        guesses.read(7, 3);
        for _ in 0..10 {
            guesses.wrote(7, &Slot::default(), 101);
            assert!(guesses.guess(7).is_none());
        }
    }
}
