//! `fault`: delays and aborts a share of requests on purpose, so that what happens then is known before it happens by itself.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | the section, and its compilation |
//! | `policy` | the decision |

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::string_slice))]
#![forbid(unsafe_code)]

pub mod config;
mod policy;

pub use config::FaultSection;

#[cfg(test)]
mod tests;
