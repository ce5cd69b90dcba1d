//! A slot: the few buckets that share one value of shared memory.
//!
//! Shared memory forgets nothing, so buckets live in a fixed number of slots, each with room for a few. A full bucket needs no memory
//! and makes room for another. Where all the room is taken by buckets in use, the newcomer takes over the one that is fuller than the
//! others, *together with what was taken from it*. (This is how the sketch "Space-Saving" counts.) So nobody gets around a limit by
//! sending with many keys until his own bucket is forgotten; and to have a stranger limited early, somebody would have to keep every
//! bucket of the stranger's slot, which he can't know, as good as empty.

use sluice_core::decision::environment::UnixTime;

/// How many buckets a slot has room for.
pub(crate) const WAYS: usize = 8;

/// The bits of a bucket's tag.
pub(crate) const TAG_BITS: u32 = 48;

/// The owner's stamp, what was handed back, and when it was written; little-endian, as all numbers here.
const HEADER_BYTES: usize = 20;

/// A tag of 6 bytes, a time, an interval.
const ENTRY_BYTES: usize = 22;

/// By how many nanoseconds the clocks of workers, which are read at different moments, may differ.
const CLOCKS_DIFFER: u64 = 1_000_000_000;

/// What was taken from a bucket: when it will be full again, where a unit is given back every `interval` nanoseconds. Both together, so that the units
/// stay the same where the limit changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) full_at: UnixTime,
    pub(crate) interval: u64,
}

/// A bucket in use: whose, and what was taken from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    tag: u64,
    used: Used,
}

/// The buckets of one slot that are not full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    entries: [Entry; WAYS],
    used: usize,
    /// By how many nanoseconds the slot's buckets were ever made full earlier, by leases that were handed back among others; wraps.
    returned: u64,
    /// When it was written.
    written: UnixTime,
    /// A clock that has been set back was seen, and the buckets put right: to be written.
    mended: bool,
}

/// What a slot knows of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its bucket is not full.
    Known(Used),
    /// Its bucket is full, and there is room for it.
    Full,
    /// There is no room: it takes over a stranger's bucket, which is full at this time.
    Crowded(UnixTime),
}

// === impl Slot ===

impl Slot {
    /// Reads a value of shared memory; buckets that are full by now are left out, and all that another owner of the slot left. Whoever
    /// else can write there may have left anything: what does not fit is ignored.
    pub(crate) fn read(value: &[u8], stamp: u32, now: UnixTime) -> Self {
        let mut slot = Self::default();
        let Some((header, entries)) = value.split_at_checked(HEADER_BYTES) else { return slot };
        let (owner, rest) = header.split_at(4);
        let (returned, written) = rest.split_at(8);
        if number(owner) != u64::from(stamp) {
            return slot;
        }
        slot.returned = number(returned);
        slot.written = UnixTime::from_nanos(number(written));
        let (chunks, _) = entries.as_chunks::<ENTRY_BYTES>();
        for chunk in chunks {
            let (tag, rest) = chunk.split_at(6);
            let (full_at, interval) = rest.split_at(8);
            let used = Used { full_at: UnixTime::from_nanos(number(full_at)), interval: number(interval) };
            if used.full_at > now {
                slot.push(Entry { tag: number(tag), used });
            }
        }
        slot
    }

    /// The same later: without the buckets that are full by then.
    pub(crate) fn at(&self, now: UnixTime) -> Self {
        let mut later = Self { returned: self.returned, written: self.written, ..Self::default() };
        self.entries().iter().filter(|entry| entry.used.full_at > now).for_each(|entry| later.push(*entry));
        later
    }

    /// What it knows of the key with this tag.
    pub(crate) fn standing(&self, tag: u64) -> Standing {
        if let Some(entry) = self.entries().iter().find(|entry| entry.tag == tag) {
            return Standing::Known(entry.used);
        }
        match self.entries().iter().min_by_key(|entry| entry.used.full_at) {
            Some(fullest) if self.used == WAYS => Standing::Crowded(fullest.used.full_at),
            _ => Standing::Full,
        }
    }

    /// What was taken from the bucket of the key with this tag.
    pub(crate) fn put(&mut self, tag: u64, used: Used) {
        let entry = Entry { tag, used };
        let count = self.used;
        let mut entries = self.entries.iter_mut().take(count);
        if let Some(known) = entries.find(|entry| entry.tag == tag) {
            *known = entry;
        } else if count < WAYS {
            self.push(entry);
        } else if let Some(fullest) = self.entries.iter_mut().min_by_key(|entry| entry.used.full_at) {
            *fullest = entry;
        }
    }

    /// What was ever [handed back](Self::give_back).
    pub(crate) fn returned(&self) -> u64 {
        self.returned
    }

    /// A bucket of the slot will be full earlier by so many nanoseconds.
    pub(crate) fn give_back(&mut self, nanoseconds: u64) {
        self.returned = self.returned.wrapping_add(nanoseconds);
    }

    /// Whether [`Self::mend`] has put anything right.
    pub(crate) fn is_mended(&self) -> bool {
        self.mended
    }

    /// Where the clock has been set back since the slot was written, puts right what that has left: buckets from which more was taken than
    /// any of the rule's holds, `most` units. They are as good as empty; otherwise they would stay empty until the clock is back where it
    /// was. (More may have been taken under a larger limit, before an update or by `by`; that stays.)
    pub(crate) fn mend(&mut self, most: u64, now: UnixTime) {
        let latest = now.as_nanos().saturating_add(CLOCKS_DIFFER);
        if self.written.as_nanos() <= latest {
            return;
        }
        let (count, mut mended) = (self.used, 0_u64);
        for Entry { used, .. } in self.entries.iter_mut().take(count) {
            let empty = now.as_nanos().saturating_add(most.saturating_mul(used.interval));
            let beyond = used.full_at.as_nanos().saturating_sub(empty);
            used.full_at = used.full_at.min(UnixTime::from_nanos(empty));
            mended = mended.wrapping_add(beyond);
        }
        self.give_back(mended);
        self.mended = true;
    }

    /// It is written at `now`.
    #[must_use]
    pub(crate) fn written(mut self, now: UnixTime) -> Self {
        self.written = now;
        self.mended = false;
        self
    }

    /// Hands `write` the value for shared memory, where the owner's stamp is `stamp`.
    pub(crate) fn with_value<T>(&self, stamp: u32, write: impl FnOnce(&[u8]) -> T) -> T {
        let mut value = [0; HEADER_BYTES + WAYS * ENTRY_BYTES];
        let (header, rest) = value.split_at_mut(HEADER_BYTES);
        let (owner, header) = header.split_at_mut(4);
        let (returned, written) = header.split_at_mut(8);
        owner.copy_from_slice(&stamp.to_le_bytes());
        returned.copy_from_slice(&self.returned.to_le_bytes());
        written.copy_from_slice(&self.written.as_nanos().to_le_bytes());
        let (chunks, _) = rest.as_chunks_mut::<ENTRY_BYTES>();
        for (chunk, entry) in chunks.iter_mut().zip(self.entries()) {
            let (tag, rest) = chunk.split_at_mut(6);
            let (full_at, interval) = rest.split_at_mut(8);
            let [a, b, c, d, e, f, ..] = entry.tag.to_le_bytes();
            tag.copy_from_slice(&[a, b, c, d, e, f]);
            full_at.copy_from_slice(&entry.used.full_at.as_nanos().to_le_bytes());
            interval.copy_from_slice(&entry.used.interval.to_le_bytes());
        }
        let length = self.used.saturating_mul(ENTRY_BYTES).saturating_add(HEADER_BYTES);
        write(value.get(..length).unwrap_or_default())
    }

    fn entries(&self) -> &[Entry] {
        self.entries.get(..self.used).unwrap_or_default()
    }

    fn push(&mut self, entry: Entry) {
        if let Some(free) = self.entries.get_mut(self.used) {
            *free = entry;
            self.used = self.used.saturating_add(1);
        }
    }
}

/// A number of at most 8 bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const STAMP: u32 = 77;

    fn at(nanoseconds: u64) -> UnixTime {
        UnixTime::from_nanos(nanoseconds)
    }

    fn used(full_at: u64) -> Used {
        Used { full_at: at(full_at), interval: 10 }
    }

    fn filled(count: u64) -> Slot {
        let mut slot = Slot::default();
        for tag in 1..=count {
            slot.put(tag, used(1_000 + tag));
        }
        slot.give_back(5);
        slot
    }

    fn value(slot: &Slot) -> Vec<u8> {
        slot.with_value(STAMP, <[u8]>::to_vec)
    }

    #[test]
    fn buckets_come_back_as_they_were_put() {
        for count in 0..=WAYS as u64 {
            let slot = filled(count);
            let value = value(&slot);
            assert_eq!(value.len(), HEADER_BYTES + count as usize * ENTRY_BYTES);
            assert_eq!(Slot::read(&value, STAMP, at(0)), slot);
            for tag in 1..=count {
                assert_eq!(slot.standing(tag), Standing::Known(used(1_000 + tag)));
            }
        }
    }

    #[test]
    fn what_another_owner_left_is_nothing() {
        let value = value(&filled(WAYS as u64));
        assert_eq!(Slot::read(&value, STAMP + 1, at(0)), Slot::default());
    }

    #[test]
    fn a_full_bucket_makes_room() {
        let value = value(&filled(WAYS as u64));
        assert_eq!(Slot::read(&value, STAMP, at(1_000)).standing(99), Standing::Crowded(at(1_001)));
        let slot = Slot::read(&value, STAMP, at(1_001));
        assert_eq!(filled(WAYS as u64).at(at(1_001)), slot);
        assert_eq!((slot.standing(1), slot.standing(99)), (Standing::Full, Standing::Full));
    }

    #[test]
    fn a_newcomer_in_a_crowded_slot_takes_over_the_fullest_bucket_and_what_was_taken_from_it() {
        let mut slot = filled(WAYS as u64);
        let Standing::Crowded(full_at) = slot.standing(99) else { panic!("not crowded") };
        slot.put(99, used(full_at.as_nanos() + 10));
        assert_eq!(slot.standing(99), Standing::Known(used(1_011)));
        assert_eq!(slot.standing(1), Standing::Crowded(at(1_002)), "the next newcomer takes over the next");
    }

    #[test]
    fn what_only_a_clock_set_back_can_leave_is_put_right() {
        let second = 1_000_000_000;
        for (written, full_at, mended) in [
            (0, 30, None),
            // More was taken under a larger limit.
            (0, 900 * second, None),
            // Workers' clocks may differ a little.
            (second, 900 * second, None),
            (second + 1, 900 * second, Some(30)),
            (3_600 * second, 3_600 * second + 20, Some(30)),
            (3_600 * second, 20, Some(20)),
        ] {
            let mut slot = Slot::default();
            slot.put(1, used(full_at));
            slot = slot.written(at(written));
            slot.mend(3, at(0));
            assert_eq!(slot.is_mended(), mended.is_some(), "{full_at}");
            assert_eq!(slot.standing(1), Standing::Known(used(mended.unwrap_or(full_at))));
            assert_eq!(slot.returned(), mended.map_or(0, |mended| full_at - mended));
        }
    }

    #[test]
    fn whatever_stands_in_shared_memory_is_read() {
        for length in 0..300_usize {
            let slot = Slot::read(&vec![0xff; length], u32::MAX, at(0));
            assert_eq!(slot.used, (length.saturating_sub(HEADER_BYTES) / ENTRY_BYTES).min(WAYS));
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use super::*;
        use proptest::prelude::*;

        proptest! {
            #[test]
            fn any_value_is_read_and_stays_as_it_was_read(rest: Vec<u8>, stamp: u32, now: u64, tag in 0..1_u64 << TAG_BITS, full_at: u64, interval: u64) {
                let value = [&stamp.to_le_bytes()[..], &rest].concat();
                let mut slot = Slot::read(&value, stamp, at(now));
                prop_assert_eq!(slot.with_value(stamp, |value| Slot::read(value, stamp, at(now))), slot);
                let used = Used { full_at: at(full_at), interval };
                slot.put(tag, used);
                prop_assert_eq!(slot.standing(tag), Standing::Known(used));
                slot.mend(3, at(now));
            }
        }
    }
}
