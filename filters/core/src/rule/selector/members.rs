//! Sets of selectors, small and large.

/// A set of selectors, a bit each.
#[derive(Clone, Debug, Default)]
pub(super) struct BitSet {
    words: Vec<u64>,
}

/// The selectors of a host or method: a list while they are few, since a document may have thousands of hosts with one selector each,
/// and bits for each would take memory by the square.
#[derive(Debug, Default)]
pub(super) struct Members {
    few: Vec<u32>,
    many: BitSet,
}

/// More than this many are kept as bits.
const FEW: usize = 32;

// === impl Members ===

impl Members {
    pub(super) fn add(&mut self, bit: u32) {
        if !self.many.words.is_empty() {
            self.many.add(bit);
        } else if self.few.len() < FEW {
            self.few.push(bit);
        } else {
            for bit in self.few.drain(..).chain([bit]) {
                self.many.add(bit);
            }
        }
    }

    pub(super) fn has(&self, bit: u32) -> bool {
        self.few.contains(&bit) || self.many.has(bit)
    }

    pub(super) fn add_to(&self, set: &mut BitSet) {
        self.few.iter().for_each(|bit| set.add(*bit));
        set.add_all(&self.many);
    }
}

// === impl BitSet ===

impl BitSet {
    pub(super) fn add(&mut self, bit: u32) {
        let word = bit as usize / 64;
        if self.words.len() <= word {
            self.words.resize(word.saturating_add(1), 0);
        }
        if let Some(word) = self.words.get_mut(word) {
            *word |= 1 << (bit % 64);
        }
    }

    pub(super) fn has(&self, bit: u32) -> bool {
        self.words.get(bit as usize / 64).is_some_and(|word| word & (1 << (bit % 64)) != 0)
    }

    pub(super) fn copy_from(&mut self, other: &Self) {
        self.words.clear();
        self.words.extend_from_slice(&other.words);
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    pub(super) fn keep_only(&mut self, other: &Self) {
        self.words.truncate(other.words.len());
        for (word, kept) in self.words.iter_mut().zip(&other.words) {
            *word &= kept;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn few_and_many_members_are_the_same_set() {
        for count in [0, 1, 32, 33, 200] {
            let mut members = Members::default();
            (0..count).for_each(|bit| members.add(bit * 3));
            let mut set = BitSet::default();
            members.add_to(&mut set);
            assert!((0..700).all(|bit| members.has(bit) == set.has(bit)));
            assert!((0..700).all(|bit| set.has(bit) == (bit % 3 == 0 && bit < count * 3)), "{count}");
        }
    }
}
