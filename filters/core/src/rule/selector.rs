//! `match`: which requests a rule is about. One grammar for every section, compiled into one index for the whole document.
//!
//! Values of a key are alternatives, different keys must all hold, `not` takes the same keys. The index answers for all selectors at
//! once: hosts by a hash and a few suffixes, paths by one tree, methods by a short list; each gives a set of selectors, and what
//! stands in all three sets is left to ask about headers, cookies and addresses, and only when a rule asks.

mod checks;
mod config;
pub(crate) mod inclusion;
mod index;
mod items;
mod members;
mod path_inclusion;
mod path_pattern;
mod path_tree;
mod value;

pub use checks::never_arrives;
pub use config::{ClientMatch, Match};
pub(crate) use inclusion::MatchClause;
pub use index::{Candidates, SelectorBuilder, SelectorId, SelectorIndex};
pub(crate) use path_inclusion::InclusionTree;
pub use path_pattern::PathPattern;
pub use value::{ValueCondition, ValueMatch};

#[cfg(test)]
mod tests;
