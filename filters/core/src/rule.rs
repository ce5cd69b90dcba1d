//! What the rules of every section have in common: `match`, `when`, references in keys and texts, and which rules are ever asked.

pub mod attribute;
pub mod head;
pub(crate) mod inclusion;
pub mod reachable;
pub mod selector;
pub mod template;
pub mod when;
