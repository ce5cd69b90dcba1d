//! The `sluice` command.

pub mod node;
pub mod structure;
pub mod text;
pub mod yaml;
