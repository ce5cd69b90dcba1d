//! The `sluice` command.

pub mod node;
pub mod text;
pub mod yaml;
