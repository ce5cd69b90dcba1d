//! Which slots of shared memory belong to which rule.
//!
//! Shared memory forgets nothing, so what a rule leaves behind must be of use to the next. All slots of all rules have numbers, in blocks of
//! [`BLOCK`]; a directory, itself a value of shared memory that is changed by compare-and-swap, says which blocks a rule has. A rule is
//! known by the hash of its name, its key and its number of slots, whatever its limits are: all workers, all documents in the process and
//! all that come after an update find the same blocks, and so the same buckets.
//!
//! A rule keeps its blocks
//! - while a worker's configuration has it ([`Directory::claim`] with `register`, until [`Directory::release`]), and
//! - for as long as any of its buckets may not be full: it was used, and an empty bucket has not had the time to fill since.
//!
//! The second alone keeps them where the first is not known: for a worker whose VM was lost, and for one that has not begun yet. Where
//! every user has said that it ends, the blocks are free after [`GRACE`]. Who gets blocks also gets a new stamp, which stands in each slot:
//! what a rule before it left there is not taken for its own. So there are never more slots than the rules had together that were
//! configured at the same time.

use crate::guess::Versions;
use sluice_core::decision::environment::{Environment, SharedError, UnixTime};
use sluice_core::document::order::sort_by;

/// The slots of one block.
pub(crate) const BLOCK: u32 = 256;

/// The directory's key. The number is that of the layout of directory and slots: what another version of the module left under other
/// keys is never read.
const KEY: &str = "sluice/rl2/blocks";

/// For how long a rule that nobody has any more keeps its blocks, in nanoseconds. On an update, a worker's old configuration goes some
/// milliseconds before its new one begins.
const GRACE: u64 = 1_000_000_000;

/// How often a change is tried. Each failure means that another worker has just succeeded.
const MOST_TRIES: u32 = 1_000;

/// How much longer than needed a rule is kept, in nanoseconds, so that the directory is seldom read.
const AHEAD: u64 = 60_000_000_000;

/// The blocks of one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tenancy {
    rule: u64,
    /// Stands in the slots while they are this rule's.
    pub(crate) stamp: u32,
    /// How many workers' configurations have it.
    users: u32,
    /// Until then the blocks are its own.
    pub(crate) until: UnixTime,
    /// The first block and their number, of each run.
    pub(crate) runs: Vec<(u32, u32)>,
}

/// What a rule wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The rule.
    pub(crate) rule: u64,
    /// How many blocks it needs.
    pub(crate) blocks: u32,
    /// Nanoseconds after a request in which its buckets are all full again.
    pub(crate) fills_in: u64,
    /// The stamp that the claimant knows.
    pub(crate) known: Option<u32>,
    /// Whether the claimant counts as a user from now on.
    pub(crate) register: bool,
}

/// See the module.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Directory {
    last_stamp: u32,
    tenancies: Vec<Tenancy>,
}

/// The host has no shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unavailable;

// === impl Tenancy ===

impl Tenancy {
    /// The number that a slot of the rule has among all slots.
    pub(crate) fn slot(&self, slot: u32) -> Option<u32> {
        let mut block = slot / BLOCK;
        for (first, count) in &self.runs {
            if let Some(beyond) = block.checked_sub(*count) {
                block = beyond;
                continue;
            }
            return first.checked_add(block)?.checked_mul(BLOCK)?.checked_add(slot % BLOCK);
        }
        None
    }
}

// === impl Directory ===

impl Directory {
    /// Gives each claimant its rule's blocks: those that it has, or free ones. Says whether anything has changed.
    pub(crate) fn claim(&mut self, claims: &[Claim], now: UnixTime) -> bool {
        let mut changed = false;
        let (mut missing, mut dropped) = (Vec::new(), false);
        for claim in claims {
            match self.tenancies.iter_mut().find(|tenancy| tenancy.rule == claim.rule) {
                Some(tenancy) => changed |= tenancy.renew(claim, now),
                None => missing.push(claim),
            }
        }
        for claim in missing {
            if !std::mem::replace(&mut dropped, true) {
                self.tenancies.retain(|tenancy| tenancy.until >= now);
            }
            self.last_stamp = self.last_stamp.wrapping_add(1);
            let mut tenancy = Tenancy {
                rule: claim.rule,
                stamp: self.last_stamp,
                runs: self.free_runs(claim.blocks),
                ..Tenancy::default()
            };
            tenancy.renew(claim, now);
            self.tenancies.push(tenancy);
            changed = true;
        }
        changed
    }

    /// A user of each of these rules, known by its stamp, ends.
    fn release(&mut self, stamps: &[(u64, u32)], now: UnixTime) -> bool {
        let mut changed = false;
        for (rule, stamp) in stamps {
            let mut tenancies = self.tenancies.iter_mut();
            let Some(tenancy) = tenancies
                .find(|tenancy| tenancy.rule == *rule && tenancy.stamp == *stamp && tenancy.users > 0)
            else {
                continue;
            };
            tenancy.users = tenancy.users.saturating_sub(1);
            if tenancy.users == 0 {
                tenancy.until = tenancy.until.min(after(now, GRACE));
            }
            changed = true;
        }
        changed
    }

    /// The blocks of a rule.
    pub(crate) fn tenancy(&self, rule: u64) -> Option<&Tenancy> {
        self.tenancies.iter().find(|tenancy| tenancy.rule == rule)
    }

    /// The lowest blocks that nobody has.
    fn free_runs(&self, mut wanted: u32) -> Vec<(u32, u32)> {
        let mut taken: Vec<(u32, u32)> =
            self.tenancies.iter().flat_map(|tenancy| tenancy.runs.iter().copied()).collect();
        sort_by(&mut taken, Ord::cmp);
        let (mut free, mut next) = (Vec::new(), 0_u32);
        for (first, count) in taken {
            let gap = first.saturating_sub(next).min(wanted);
            if gap > 0 {
                free.push((next, gap));
                wanted = wanted.saturating_sub(gap);
            }
            next = next.max(first.saturating_add(count));
        }
        if wanted > 0 {
            free.push((next, wanted));
        }
        free
    }

    /// Reads the value of shared memory; `None` for what no version of this module wrote.
    fn read(value: &[u8]) -> Option<Self> {
        let mut words = Words(value);
        let mut directory = Self { last_stamp: words.short()?, tenancies: Vec::new() };
        while !words.0.is_empty() {
            let rule = words.long()?;
            let until = UnixTime::from_nanos(words.long()?);
            let (stamp, users, count) = (words.short()?, words.short()?, words.short()?);
            let mut runs = Vec::new();
            for _ in 0..count {
                runs.push((words.short()?, words.short()?));
            }
            directory.tenancies.push(Tenancy { rule, stamp, users, until, runs });
        }
        Some(directory)
    }

    fn value(&self) -> Vec<u8> {
        let mut value = self.last_stamp.to_le_bytes().to_vec();
        for tenancy in &self.tenancies {
            value.extend(tenancy.rule.to_le_bytes());
            value.extend(tenancy.until.as_nanos().to_le_bytes());
            let count = u32::try_from(tenancy.runs.len()).unwrap_or(0);
            let runs = tenancy.runs.iter().flat_map(|(first, count)| [*first, *count]);
            let shorts = [tenancy.stamp, tenancy.users, count].into_iter().chain(runs);
            value.extend(shorts.flat_map(u32::to_le_bytes));
        }
        value
    }
}

impl Tenancy {
    /// Says whether anything has changed.
    fn renew(&mut self, claim: &Claim, now: UnixTime) -> bool {
        let joins = claim.register && claim.known != Some(self.stamp);
        if joins {
            self.users = self.users.saturating_add(1);
        }
        let renews = self.until < after(now, claim.fills_in.saturating_add(AHEAD / 2));
        if renews {
            self.until = after(now, claim.fills_in.saturating_mul(2).saturating_add(AHEAD));
        }
        joins || renews
    }
}

/// Claims blocks, and gives the directory as it is then.
///
/// # Errors
/// [`Unavailable`].
pub(crate) fn claim(
    environment: &dyn Environment,
    versions: &Versions,
    claims: &[Claim],
    now: UnixTime,
) -> Result<Directory, Unavailable> {
    change(environment, versions, |directory| directory.claim(claims, now))
}

/// Gives back what was claimed by users that end; each is known by its rule and stamp. Where that fails, time does it.
pub(crate) fn release(
    environment: &dyn Environment,
    versions: &Versions,
    stamps: &[(u64, u32)],
    now: UnixTime,
) {
    let _ = change(environment, versions, |directory| directory.release(stamps, now));
}

fn change(
    environment: &dyn Environment,
    versions: &Versions,
    mut act: impl FnMut(&mut Directory) -> bool,
) -> Result<Directory, Unavailable> {
    for _ in 0..MOST_TRIES {
        let found = environment.shared_get(KEY);
        let known = found.as_ref().and_then(|(value, _)| Directory::read(value));
        // Stamps that were given before must not be given again.
        let fresh = || Directory { last_stamp: environment.random() as u32, tenancies: Vec::new() };
        let mut directory = known.unwrap_or_else(fresh);
        let expected = found.as_ref().map_or(Versions::NOBODYS, |(_, version)| *version);
        if let Some((_, version)) = found {
            versions.seen(version);
        }
        if !act(&mut directory) {
            return Ok(directory);
        }
        match environment.shared_set(KEY, &directory.value(), expected) {
            Ok(()) => {
                versions.wrote();
                return Ok(directory);
            }
            Err(SharedError::Unavailable) => return Err(Unavailable),
            Err(SharedError::Conflict) => {
                // A host that creates only with version 0 (see `Table::create`).
                if expected == Versions::NOBODYS && environment.shared_get(KEY).is_none() {
                    let _ = environment.shared_set(KEY, &[], 0);
                }
            }
        }
    }
    Err(Unavailable)
}

fn after(now: UnixTime, nanoseconds: u64) -> UnixTime {
    UnixTime::from_nanos(now.as_nanos().saturating_add(nanoseconds))
}

/// Numbers in little-endian, one after another.
struct Words<'v>(&'v [u8]);

impl Words<'_> {
    fn short(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*word))
    }

    fn long(&mut self) -> Option<u64> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*word))
    }
}

#[cfg(test)]
mod tests;
