//! Guesses that save the reading of a slot.
//!
//! The host does not tell the version of what it has just written, only that a version is larger than all before it: in Envoy's host it
//! is the next number of one count for the whole process. So after a write over version `v` this worker guesses that what it wrote
//! is version `v + 1`, and tries the next write at once. Were it another's, the write would fail: the slot's version was `v` until
//! this worker's own write, and whoever writes later gets a version beyond that of this write, which is `v + 1` or larger. A write
//! that succeeds therefore proves that the slot still holds what this worker left there. A refusal is never based on a guess.
//!
//! That pays where one worker is busy with one key. Where others write as well, guesses fail, and each failure costs a call; so after
//! every failure in a row twice as many requests go without a guess, up to some thousand.

use crate::slot::Slot;
use std::cell::{Cell, RefCell};

/// How many slots a worker remembers.
const PLACES: usize = 64;

/// The most requests without a guess after failures.
const LONGEST_PAUSE: u32 = 1_023;

/// What this worker left in slots.
#[derive(Debug, Default)]
pub(crate) struct Guesses {
    places: RefCell<Vec<Option<Guess>>>,
    /// How many requests go without a guess from now on.
    pause: Cell<u32>,
    /// How many went without one after the last failure; 0 after a success.
    last_pause: Cell<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Guess {
    slot: u32,
    value: Slot,
    version: u32,
}

// === impl Guesses ===

impl Guesses {
    /// What the slot probably holds, in which version. Each guess is made once.
    pub(crate) fn guess(&self, slot: u32) -> Option<(Slot, u32)> {
        let place = self.places.borrow_mut().get_mut(Self::place(slot))?.take()?;
        if let Some(pause) = self.pause.get().checked_sub(1) {
            self.pause.set(pause);
            return None;
        }
        (place.slot == slot).then_some((place.value, place.version))
    }

    /// `value` was written over `version`.
    pub(crate) fn wrote(&self, slot: u32, value: &Slot, over: u32) {
        let Some(version) = over.checked_add(1) else { return };
        let mut places = self.places.borrow_mut();
        if places.is_empty() {
            places.resize(PLACES, None);
        }
        if let Some(place) = places.get_mut(Self::place(slot)) {
            *place = Some(Guess { slot, value: *value, version });
        }
    }

    /// A guess was right.
    pub(crate) fn succeeded(&self) {
        self.last_pause.set(0);
    }

    /// A guess was wrong.
    pub(crate) fn failed(&self) {
        let pause = self.last_pause.get().saturating_mul(2).saturating_add(1).min(LONGEST_PAUSE);
        self.last_pause.set(pause);
        self.pause.set(pause);
    }

    fn place(slot: u32) -> usize {
        (slot as usize).checked_rem(PLACES).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn what_was_written_is_guessed_once_with_the_next_version() {
        let guesses = Guesses::default();
        assert!(guesses.guess(7).is_none());
        guesses.wrote(7, &Slot::default(), 41);
        assert_eq!(guesses.guess(7), Some((Slot::default(), 42)));
        assert!(guesses.guess(7).is_none());
        guesses.wrote(7, &Slot::default(), 41);
        assert!(guesses.guess(7 + PLACES as u32).is_none(), "another slot in the same place");
        guesses.wrote(7, &Slot::default(), u32::MAX);
        assert!(guesses.guess(7).is_none(), "versions begin anew");
    }

    #[test]
    fn failures_make_it_pause_longer_and_longer() {
        let guesses = Guesses::default();
        let mut made = 0;
        for _ in 0..10_000 {
            guesses.wrote(7, &Slot::default(), 1);
            if guesses.guess(7).is_some() {
                made += 1;
                guesses.failed();
            }
        }
        // After pauses of 1, 3, 7 … 1,023 ten failures have passed; then one in 1,024.
        assert!((15..=20).contains(&made), "{made}");
        guesses.succeeded();
        guesses.failed();
        guesses.wrote(7, &Slot::default(), 1);
        assert!(guesses.guess(7).is_none());
        guesses.wrote(7, &Slot::default(), 1);
        assert!(guesses.guess(7).is_some(), "a success has shortened the pause to one");
    }
}
