//! Where the values of a list stand, by their hash. The list alone has the values, so that none is held twice, and none is hashed again when the
//! table grows.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// Positions by the hash of what stands there or, where another value has the same, by the next number that is free. One type for lists of
/// everything, and its code once in the module. Nothing is ever taken out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(HashMap<u64, usize>);

impl Places {
    /// A value of this hash stands at `position`.
    #[inline(never)]
    pub(crate) fn add(&mut self, hash: u64, position: usize) {
        let mut free = hash;
        while self.0.contains_key(&free) {
            free = free.wrapping_add(1);
        }
        self.0.insert(free, position);
    }

    /// The position of the value of this hash that `is` the one looked for.
    #[inline(never)]
    pub(crate) fn find(&self, hash: u64, is: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
        let mut next = hash;
        while let Some(position) = self.0.get(&next) {
            if is(*position) {
                return Some(*position);
            }
            next = next.wrapping_add(1);
        }
        None
    }
}

/// The hash of a value of a document, whose author chooses no collisions.
#[inline(never)]
pub(crate) fn hash<Q: ?Sized + Hash>(value: &Q) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn values_of_one_hash_and_of_neighbouring_ones_are_found_each() {
        // The hash of each value; the last ones wrap around.
        let hashes = [5, 5, 6, 5, 7, u64::MAX, u64::MAX, 0];
        let mut places = Places::default();
        for (position, hash) in hashes.into_iter().enumerate() {
            assert_eq!(places.find(hash, &mut |found| found == position), None);
            places.add(hash, position);
        }
        for (position, hash) in hashes.into_iter().enumerate() {
            assert_eq!(places.find(hash, &mut |found| found == position), Some(position));
        }
        assert_eq!(places.find(100, &mut |_| true), None);
    }
}
