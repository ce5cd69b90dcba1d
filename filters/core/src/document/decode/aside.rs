//! Lists that are set aside while a document is read, to be read entry by entry afterwards.

use super::misfit::{First, Misfit, Recovery};
use super::problem;
use super::reader::Reader;
use super::tree::Tree;
use crate::document::problem::Problem;
use serde::de::DeserializeOwned;
use std::cell::RefCell;

/// Shorter lists are read at once.
const LONG: usize = 64;

/// The lists that were set aside, by their number.
#[derive(Debug, Default)]
pub struct Aside(RefCell<Vec<std::vec::IntoIter<Tree>>>);

/// As [`First`], with long lists set aside where there is a place for them. It is one type for both, since each type of a recovery brings
/// the code of all types that are read a second time.
#[derive(Clone, Copy)]
pub(super) struct FirstWith<'a>(pub(super) Option<&'a Aside>);

// === impl Aside ===

impl Aside {
    /// Takes `list` if it is long; gives its number then.
    fn take(&self, list: &mut Vec<Tree>) -> Option<u128> {
        if list.len() <= LONG {
            return None;
        }
        let mut lists = self.0.try_borrow_mut().ok()?;
        let number = u128::try_from(lists.len()).ok()?;
        lists.push(std::mem::take(list).into_iter());
        Some(number)
    }

    /// Reads the next entry of the list of this number; `None` behind the last.
    pub(in crate::document) fn next<T: DeserializeOwned>(&self, number: usize) -> Option<Result<T, Problem>> {
        let mut tree = self.0.borrow_mut().get_mut(number)?.next()?;
        let reader = Reader { tree: &mut tree, recovery: FirstWith(None) };
        Some(T::deserialize(reader).map_err(problem))
    }

    /// How many entries are left of the list of this number.
    pub(in crate::document) fn left(&self, number: usize) -> usize {
        self.0.borrow().get(number).map_or(0, ExactSizeIterator::len)
    }
}

// === impl FirstWith ===

impl Recovery for FirstWith<'_> {
    fn keep(self, misfit: Misfit) -> Result<(), Misfit> {
        First.keep(misfit)
    }

    fn kept(self) -> usize {
        0
    }

    fn enclose(self, _kept: usize, _segment: &crate::document::problem::Segment) {}

    fn set_aside(self, list: &mut Vec<Tree>) -> Option<u128> {
        self.0?.take(list)
    }
}
