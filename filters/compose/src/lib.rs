//! `compose`: one answer from several services, which are called at the same time.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | the section as the document writes it |
//! | `compile` | its validation into the compiled form |
//! | `policy` | the decision: which calls, and what is answered |

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::string_slice))]
#![forbid(unsafe_code)]

mod compile;
pub mod config;
mod policy;

pub use config::ComposeSection;

use sluice_core::decision::place::{Place, Section};

/// The section of the document.
pub const SECTION: Section = Section::new("compose", "compose");

/// Its place in the order of execution.
pub const PLACE: Place = SECTION.place(1000, "one answer from several services");

#[cfg(test)]
mod tests;
