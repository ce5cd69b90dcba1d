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

#[cfg(test)]
mod tests;
