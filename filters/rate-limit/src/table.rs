//! Where the buckets of a rule are kept: a fixed number of slots in memory that all workers of the proxy share, or, where the host has
//! none, in the worker's own.

use crate::guess::Guesses;
use crate::slot::Slot;
use sluice_core::environment::{Environment, SharedError, UnixTime};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write;

/// The slots of one rule.
#[derive(Debug)]
pub(crate) struct Table {
    /// What the names of the slots in shared memory begin with.
    prefix: String,
    /// A slot's name, while it is used; kept so that a request allocates none.
    name: RefCell<String>,
    /// Saves reading, where there is but one worker.
    guesses: Guesses,
    /// The slots in the worker's own memory, once the host has said that it shares none.
    own: RefCell<Option<HashMap<u32, Slot>>>,
}

/// What a slot held when it was read, so that it is only written if it still does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// This version of shared memory.
    Shared(u32),
    /// This version, if the guess is right that nobody has written since this worker did.
    Guessed(u32),
    /// Nothing: it has never been written.
    Absent,
    /// In the worker's own memory nobody comes between.
    Own,
}

/// Another worker wrote the slot meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conflict;

/// A version that no value ever has (versions count up from 1), to create a slot only where there is none: version 0 would overwrite
/// what another worker created meanwhile.
const NOBODYS_VERSION: u32 = u32::MAX;

// === impl Table ===

impl Table {
    /// The slots of the rule with this stable hash.
    pub(crate) fn new(rule: u64) -> Self {
        Self {
            prefix: format!("sluice/rl/{rule:016x}/"),
            name: RefCell::default(),
            guesses: Guesses::default(),
            own: RefCell::default(),
        }
    }

    /// Reads a slot, or guesses what it holds. What a guess says may only be used to write the slot, which fails if it is wrong.
    pub(crate) fn read_or_guess(
        &self,
        environment: &dyn Environment,
        slot: u32,
        now: UnixTime,
    ) -> (Slot, Version) {
        match self.guesses.guess(slot) {
            Some((value, version)) => (value.at(now), Version::Guessed(version)),
            None => self.read(environment, slot, now),
        }
    }

    /// Reads a slot.
    pub(crate) fn read(&self, environment: &dyn Environment, slot: u32, now: UnixTime) -> (Slot, Version) {
        if let Some(own) = &*self.own.borrow() {
            return (own.get(&slot).map(|slot| slot.at(now)).unwrap_or_default(), Version::Own);
        }
        match self.named(slot, |name| environment.shared_get(name)) {
            Some((value, version)) => (Slot::read(&value, now), Version::Shared(version)),
            None => (Slot::default(), Version::Absent),
        }
    }

    /// Writes a slot, if it still is as it was read.
    ///
    /// # Errors
    /// [`Conflict`]: read it again.
    pub(crate) fn write(
        &self,
        environment: &dyn Environment,
        slot: u32,
        value: &Slot,
        version: Version,
    ) -> Result<(), Conflict> {
        if let Some(own) = &mut *self.own.borrow_mut() {
            own.insert(slot, *value);
            return Ok(());
        }
        let expected = match version {
            Version::Shared(version) | Version::Guessed(version) => version,
            Version::Absent | Version::Own => NOBODYS_VERSION,
        };
        let set = |name: &str| value.with_value(|value| environment.shared_set(name, value, expected));
        match self.named(slot, set) {
            Ok(()) => {
                match version {
                    Version::Guessed(_) => self.guesses.succeeded(),
                    Version::Shared(_) | Version::Absent | Version::Own => {}
                }
                if expected != NOBODYS_VERSION {
                    self.guesses.wrote(slot, value, expected);
                }
                Ok(())
            }
            Err(SharedError::Conflict) => {
                match version {
                    Version::Guessed(_) => self.guesses.failed(),
                    Version::Absent => self.create(environment, slot),
                    Version::Shared(_) | Version::Own => {}
                }
                Err(Conflict)
            }
            Err(SharedError::Unavailable) => {
                self.own.borrow_mut().get_or_insert_default().insert(slot, *value);
                Ok(())
            }
        }
    }

    /// A slot that is absent could not be created with a version. If there still is none, the host creates only with version 0: then
    /// an empty one is put there, to be read and written with its version as any other. (Of two workers that do so at once, the later
    /// may overwrite a first request that the earlier has just written.)
    fn create(&self, environment: &dyn Environment, slot: u32) {
        self.named(slot, |name| {
            if environment.shared_get(name).is_none() {
                // If this fails, so does the next write, which is told.
                let _ = environment.shared_set(name, &[], 0);
            }
        });
    }

    fn named<T>(&self, slot: u32, call: impl FnOnce(&str) -> T) -> T {
        let mut name = self.name.borrow_mut();
        name.clear();
        name.push_str(&self.prefix);
        // Writing to a string does not fail.
        let _ = write!(name, "{slot}");
        call(&name)
    }
}

#[cfg(test)]
mod tests;
