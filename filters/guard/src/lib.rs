//! `guard`: what a request may be like at all, before anybody asks who sends it: its size, its method, the kind of its content.
//!
//! It is the first that decides. What a request says of itself (target, headers, a declared length) is judged at once; a body is counted
//! while it passes, and never kept.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | the section |
//! | [`media_range`] | kinds of content: `application/json`, `text/*` |
//! | `compile` | its compilation |
//! | `policy` | which rule is about a request |
//! | `checks` | what is asked of a request |
//! | `body` | the count of a body |

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::string_slice))]
#![forbid(unsafe_code)]

mod body;
mod checks;
mod compile;
pub mod config;
pub mod media_range;
mod policy;

pub use config::GuardSection;

use sluice_core::decision::place::{Place, Section};

/// The section of the document.
pub const SECTION: Section = Section::new("guard", "guard");

/// Its place in the order of execution.
pub const PLACE: Place = SECTION.place(200, "what a request may be like");

#[cfg(test)]
mod tests;
