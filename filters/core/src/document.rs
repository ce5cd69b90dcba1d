//! The document as it is written: its small types, secrets that it names, and errors that say where and what.

pub mod decode;
pub mod entries;
pub mod list;
pub mod name;
pub mod order;
pub mod pace;
pub(crate) mod places;
pub mod problem;
pub mod scalar;
pub mod variable;
