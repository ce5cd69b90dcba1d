//! Where the buckets of a rule are kept: a fixed number of slots in memory that all workers of the proxy share, or, where the host has
//! none, in the worker's own.

use crate::directory::{self, BLOCK, Claim, Directory, Tenancy, Unavailable};
use crate::guess::{Guesses, Versions};
use crate::slot::Slot;
use sluice_core::decision::environment::{Environment, SharedError, UnixTime};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt::Write;
use std::rc::Rc;

/// The slots of one rule.
#[derive(Debug)]
pub(crate) struct Table {
    rule: u64,
    blocks: u32,
    /// Nanoseconds after a request in which its buckets are all full again.
    fills_in: u64,
    /// The most units that any of its buckets holds.
    most_units: u64,
    /// Which slots of shared memory are its own, once it is known.
    tenancy: RefCell<Option<Tenancy>>,
    /// Whether the rule's configuration has begun, and so counts as a user of the slots.
    registered: Cell<bool>,
    /// A slot's name, while it is used; kept so that a request allocates none.
    name: RefCell<String>,
    /// What is known of versions, by all tables of the document.
    versions: Rc<Versions>,
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

/// What the names of slots in shared memory begin with; the number is that of their layout (see `directory`). Short names are cheaper to keep.
const PREFIX: &str = "sluice/rl2/";

// === impl Table ===

impl Table {
    /// The slots, `slots` of them, of the rule with this stable hash, whose buckets are full `fills_in` nanoseconds after the last
    /// request at the latest, and hold no more than `most_units`.
    pub(crate) fn new(rule: u64, slots: u32, fills_in: u64, most_units: u64, versions: Rc<Versions>) -> Self {
        Self {
            rule,
            most_units,
            blocks: slots.div_ceil(BLOCK).max(1),
            fills_in,
            tenancy: RefCell::default(),
            registered: Cell::default(),
            name: RefCell::default(),
            versions,
            guesses: Guesses::default(),
            own: RefCell::default(),
        }
    }

    /// The configuration that these tables belong to begins: their slots are kept until it [ends](Self::end).
    pub(crate) fn start<'t>(
        tables: impl Iterator<Item = &'t Self>,
        environment: &dyn Environment,
        now: UnixTime,
    ) {
        let tables: Vec<&Self> = tables.filter(|table| !table.registered.replace(true)).collect();
        // All at once, so that none is given what another has had.
        let claims: Vec<Claim> =
            tables.iter().map(|table| Claim { register: true, ..table.claim() }).collect();
        let Some(table) = tables.first() else { return };
        let claimed = directory::claim(environment, &table.versions, &claims, now);
        tables.iter().for_each(|table| table.settle(&claimed));
    }

    /// The configuration that these tables belong to ends.
    pub(crate) fn end<'t>(
        tables: impl Iterator<Item = &'t Self>,
        environment: &dyn Environment,
        now: UnixTime,
    ) {
        let tables: Vec<&Self> = tables.filter(|table| table.registered.replace(false)).collect();
        let stamp =
            |table: &&Self| table.tenancy.borrow().as_ref().map(|tenancy| (table.rule, tenancy.stamp));
        let stamps: Vec<(u64, u32)> = tables.iter().filter_map(stamp).collect();
        if let (Some(table), false) = (tables.first(), stamps.is_empty()) {
            directory::release(environment, &table.versions, &stamps, now);
        }
    }

    /// Before a request: makes sure that the slots are the rule's own until the bucket that it changes is full again.
    pub(crate) fn hold(&self, environment: &dyn Environment, now: UnixTime) {
        let needed = now.as_nanos().saturating_add(self.fills_in);
        let held = self.tenancy.borrow().as_ref().is_some_and(|tenancy| tenancy.until.as_nanos() >= needed);
        if !held && self.own.borrow().is_none() {
            self.settle(&directory::claim(environment, &self.versions, &[self.claim()], now));
        }
    }

    fn claim(&self) -> Claim {
        let known = self.tenancy.borrow().as_ref().map(|tenancy| tenancy.stamp);
        Claim {
            rule: self.rule,
            blocks: self.blocks,
            fills_in: self.fills_in,
            known,
            register: self.registered.get(),
        }
    }

    fn settle(&self, claimed: &Result<Directory, Unavailable>) {
        match claimed.as_ref().map(|directory| directory.tenancy(self.rule)) {
            Ok(Some(tenancy)) => {
                let known = self.tenancy.borrow().as_ref().map(|tenancy| tenancy.stamp);
                if known != Some(tenancy.stamp) {
                    self.guesses.forget();
                }
                self.tenancy.replace(Some(tenancy.clone()));
            }
            Ok(None) | Err(Unavailable) => {
                self.own.borrow_mut().get_or_insert_default();
            }
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
            Some((value, version)) => {
                let mut value = value.at(now);
                value.mend(self.most_units, now);
                (value, Version::Guessed(version))
            }
            None => self.read(environment, slot, now),
        }
    }

    /// Reads a slot.
    pub(crate) fn read(&self, environment: &dyn Environment, slot: u32, now: UnixTime) -> (Slot, Version) {
        if let Some(own) = &*self.own.borrow() {
            let mut value = own.get(&slot).map(|slot| slot.at(now)).unwrap_or_default();
            value.mend(self.most_units, now);
            return (value, Version::Own);
        }
        match self.named(slot, |name, _| environment.shared_get(name)).flatten() {
            Some((value, version)) => {
                self.versions.seen(version);
                self.guesses.read(slot, version);
                let mut value = Slot::read(&value, self.stamp(), now);
                value.mend(self.most_units, now);
                (value, Version::Shared(version))
            }
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
            Version::Absent | Version::Own => Versions::NOBODYS,
        };
        let set = |name: &str, stamp| {
            value.with_value(stamp, |value| environment.shared_set(name, value, expected))
        };
        match self.named(slot, set).unwrap_or(Err(SharedError::Unavailable)) {
            Ok(()) => {
                if let Version::Guessed(_) = version {
                    self.guesses.succeeded();
                }
                if let Some(version) = self.versions.wrote() {
                    self.guesses.wrote(slot, value, version);
                }
                if self.versions.take_behind() {
                    // Of this write or of a later one: in any case of one that has been.
                    let highest = self.named(slot, |name, _| environment.shared_get(name)).flatten();
                    highest.into_iter().for_each(|(_, version)| self.versions.seen(version));
                }
                Ok(())
            }
            Err(SharedError::Conflict) => {
                match version {
                    Version::Guessed(version) => {
                        self.guesses.failed(slot, version);
                        self.versions.are_behind();
                    }
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
        self.named(slot, |name, _| {
            if environment.shared_get(name).is_none() {
                // If this fails, so does the next write, which is told.
                let _ = environment.shared_set(name, &[], 0);
            }
        });
    }

    fn stamp(&self) -> u32 {
        self.tenancy.borrow().as_ref().map_or(0, |tenancy| tenancy.stamp)
    }

    /// Calls with a slot's name and its owner's stamp; `None` where the rule has no slots (nobody has called [`Self::hold`]).
    fn named<T>(&self, slot: u32, call: impl FnOnce(&str, u32) -> T) -> Option<T> {
        let tenancy = self.tenancy.borrow();
        let tenancy = tenancy.as_ref()?;
        let number = tenancy.slot(slot)?;
        let mut name = self.name.borrow_mut();
        name.clear();
        name.push_str(PREFIX);
        // Writing to a string does not fail.
        let _ = write!(name, "{number}");
        Some(call(&name, tenancy.stamp))
    }
}

#[cfg(test)]
mod tests;
