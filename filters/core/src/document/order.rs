//! Sorting of what a document lists. The standard library's is made for speed, and anew for each type: 5 to 9 KB of the module each time.
//! This one is there once. What has many elements or is sorted while requests are served uses the standard library's.

use std::cmp::Ordering;

/// Sorts in place; of equal elements nobody knows which comes first. At most about `2·n·log n` comparisons.
pub fn sort_by<T>(list: &mut [T], mut compare: impl FnMut(&T, &T) -> Ordering) {
    let length = list.len();
    heap_sort(length, &mut |step| match step {
        Step::IsLess(left, right) => match (list.get(left), list.get(right)) {
            (Some(left), Some(right)) => compare(left, right) == Ordering::Less,
            _ => false,
        },
        Step::Swap(left, right) => {
            if left < length && right < length {
                list.swap(left, right);
            }
            false
        }
    });
}

/// The elements in order, each once.
pub fn sorted_set<T: Ord>(elements: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut list: Vec<T> = elements.into_iter().collect();
    sort_by(&mut list, T::cmp);
    list.dedup();
    list
}

/// What sorting asks of a list, by places.
enum Step {
    IsLess(usize, usize),
    Swap(usize, usize),
}

#[inline(never)]
fn heap_sort(length: usize, list: &mut dyn FnMut(Step) -> bool) {
    for parent in (0..length / 2).rev() {
        sift(parent, length, list);
    }
    for end in (1..length).rev() {
        // The greatest goes behind what is a heap still.
        list(Step::Swap(0, end));
        sift(0, end, list);
    }
}

/// Lets the element at `parent` sink in the heap that ends before `end`.
fn sift(mut parent: usize, end: usize, list: &mut dyn FnMut(Step) -> bool) {
    loop {
        let left = parent.saturating_mul(2).saturating_add(1);
        if left >= end {
            return;
        }
        let right = left.saturating_add(1);
        let child = if right < end && list(Step::IsLess(left, right)) { right } else { left };
        if !list(Step::IsLess(parent, child)) {
            return;
        }
        list(Step::Swap(parent, child));
        parent = child;
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_sorts_as_the_standard_library_does(mut list in prop::collection::vec(0_u8..20, 0..200)) {
            let mut expected = list.clone();
            expected.sort_unstable();
            let mut once = expected.clone();
            once.dedup();
            prop_assert_eq!(sorted_set(list.clone()), once);
            sort_by(&mut list, u8::cmp);
            prop_assert_eq!(list, expected);
        }
    }
}
