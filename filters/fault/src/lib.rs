//! `fault`: delays and aborts a share of requests on purpose, so that what happens then is known before it happens by itself.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | the section of the document |
//! | `compile` | from it to the compiled policy, and all that can be wrong with it |
//! | `policy` | the decision |

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::string_slice))]
#![forbid(unsafe_code)]

mod compile;
pub mod config;
mod policy;

pub use config::FaultSection;

use sluice_core::decision::place::{Place, Section};

/// The section of the document.
pub const SECTION: Section = Section::new("fault", "fault");

/// Its place in the order of execution.
pub const PLACE: Place = SECTION.place(900, "faults on purpose");

#[cfg(test)]
mod tests;
