//! A slot: the few buckets that share one value of shared memory.
//!
//! Shared memory forgets nothing, so buckets live in a fixed number of slots, each with room for a few. A full bucket needs no memory
//! and makes room for another. Where all the room is taken by buckets in use, the newcomer takes over the one that is fuller than the
//! others, *together with what was taken from it*. (This is how the sketch "Space-Saving" counts.) So nobody gets around a limit by
//! sending with many keys until his own bucket is forgotten; and to have a stranger limited early, somebody would have to keep every
//! bucket of the stranger's slot, which he can't know, as good as empty.

use sluice_core::environment::UnixTime;

/// How many buckets a slot has room for.
pub(crate) const WAYS: usize = 8;

/// A tag and a time, both in little-endian.
const ENTRY_BYTES: usize = 16;

/// A bucket in use: whose, and when it will be full again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    tag: u64,
    full_at: UnixTime,
}

/// The buckets of one slot that are not full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    entries: [Entry; WAYS],
    used: usize,
}

/// What a slot knows of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its bucket is not full.
    Known(UnixTime),
    /// Its bucket is full, and there is room for it.
    Full,
    /// There is no room: it takes over a stranger's bucket.
    Crowded(UnixTime),
}

// === impl Standing ===

impl Standing {
    /// When the key's bucket will be full again.
    pub(crate) fn full_at(self) -> UnixTime {
        match self {
            Self::Known(full_at) | Self::Crowded(full_at) => full_at,
            Self::Full => UnixTime::default(),
        }
    }
}

// === impl Slot ===

impl Slot {
    /// Reads a value of shared memory; buckets that are full by now are left out. Whoever else can write there may have left
    /// anything: what does not fit is ignored.
    pub(crate) fn read(value: &[u8], now: UnixTime) -> Self {
        let mut slot = Self::default();
        let (chunks, _) = value.as_chunks::<ENTRY_BYTES>();
        for chunk in chunks {
            let (tag, full_at) = chunk.split_at(ENTRY_BYTES / 2);
            let number = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).unwrap_or_default();
            let full_at = UnixTime::from_nanos(number(full_at));
            if full_at > now {
                slot.push(Entry { tag: number(tag), full_at });
            }
        }
        slot
    }

    /// The same later: without the buckets that are full by then.
    pub(crate) fn at(&self, now: UnixTime) -> Self {
        let mut later = Self::default();
        self.entries().iter().filter(|entry| entry.full_at > now).for_each(|entry| later.push(*entry));
        later
    }

    /// What it knows of the key with this tag.
    pub(crate) fn standing(&self, tag: u64) -> Standing {
        if let Some(entry) = self.entries().iter().find(|entry| entry.tag == tag) {
            return Standing::Known(entry.full_at);
        }
        match self.fullest() {
            Some(entry) if self.used == WAYS => Standing::Crowded(entry.full_at),
            _ => Standing::Full,
        }
    }

    /// The bucket of the key with this tag will be full again at `full_at`.
    pub(crate) fn put(&mut self, tag: u64, full_at: UnixTime) {
        let entry = Entry { tag, full_at };
        let used = self.used;
        let mut entries = self.entries.iter_mut().take(used);
        if let Some(known) = entries.find(|entry| entry.tag == tag) {
            *known = entry;
        } else if used < WAYS {
            self.push(entry);
        } else if let Some(fullest) = self.entries.iter_mut().min_by_key(|entry| entry.full_at) {
            *fullest = entry;
        }
    }

    /// Hands `write` the value for shared memory.
    pub(crate) fn with_value<T>(&self, write: impl FnOnce(&[u8]) -> T) -> T {
        let mut value = [0; WAYS * ENTRY_BYTES];
        let (chunks, _) = value.as_chunks_mut::<ENTRY_BYTES>();
        for (chunk, entry) in chunks.iter_mut().zip(self.entries()) {
            let (tag, full_at) = chunk.split_at_mut(ENTRY_BYTES / 2);
            tag.copy_from_slice(&entry.tag.to_le_bytes());
            full_at.copy_from_slice(&entry.full_at.as_nanos().to_le_bytes());
        }
        write(value.get(..self.used.saturating_mul(ENTRY_BYTES)).unwrap_or_default())
    }

    fn entries(&self) -> &[Entry] {
        self.entries.get(..self.used).unwrap_or_default()
    }

    fn fullest(&self) -> Option<&Entry> {
        self.entries().iter().min_by_key(|entry| entry.full_at)
    }

    fn push(&mut self, entry: Entry) {
        if let Some(free) = self.entries.get_mut(self.used) {
            *free = entry;
            self.used = self.used.saturating_add(1);
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

    fn filled(used: u64) -> Slot {
        let mut slot = Slot::default();
        for tag in 1..=used {
            slot.put(tag, at(1_000 + tag));
        }
        slot
    }

    #[test]
    fn buckets_come_back_as_they_were_put() {
        for used in 0..=WAYS as u64 {
            let slot = filled(used);
            let value = slot.with_value(<[u8]>::to_vec);
            assert_eq!(value.len(), used as usize * ENTRY_BYTES);
            assert_eq!(Slot::read(&value, at(0)), slot);
            for tag in 1..=used {
                assert_eq!(slot.standing(tag), Standing::Known(at(1_000 + tag)));
            }
        }
    }

    #[test]
    fn a_full_bucket_makes_room() {
        let value = filled(WAYS as u64).with_value(<[u8]>::to_vec);
        assert_eq!(Slot::read(&value, at(1_000)).standing(99), Standing::Crowded(at(1_001)));
        let slot = Slot::read(&value, at(1_001));
        assert_eq!(filled(WAYS as u64).at(at(1_001)), slot);
        assert_eq!((slot.standing(1), slot.standing(99)), (Standing::Full, Standing::Full));
    }

    #[test]
    fn a_newcomer_in_a_crowded_slot_takes_over_the_fullest_bucket_and_what_was_taken_from_it() {
        let mut slot = filled(WAYS as u64);
        let Standing::Crowded(full_at) = slot.standing(99) else { panic!("not crowded") };
        slot.put(99, at(full_at.as_nanos() + 10));
        assert_eq!(slot.standing(99), Standing::Known(at(1_011)));
        assert_eq!(slot.standing(1), Standing::Crowded(at(1_002)), "the next newcomer takes over the next");
    }

    #[test]
    fn whatever_stands_in_shared_memory_is_read() {
        for length in 0..200_usize {
            let slot = Slot::read(&vec![0xff; length], at(0));
            assert_eq!(slot.used, (length / ENTRY_BYTES).min(WAYS));
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use super::*;
        use proptest::prelude::*;

        proptest! {
            #[test]
            fn any_value_is_read_and_stays_as_it_was_read(value: Vec<u8>, now: u64, tag: u64, full_at: u64) {
                let mut slot = Slot::read(&value, at(now));
                prop_assert_eq!(slot.with_value(|value| Slot::read(value, at(now))), slot);
                slot.put(tag, at(full_at));
                prop_assert_eq!(slot.standing(tag), Standing::Known(at(full_at)));
            }
        }
    }
}
