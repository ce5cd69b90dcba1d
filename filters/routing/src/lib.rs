//! `routing`: which cluster, or which subset of one, a request goes to.
//!
//! The decision is carried by request headers that Envoy's own route configuration reads (`cluster_header`, or a header match that
//! leads to a `metadata_match`), so that timeouts, retries and load balancing stay where they are: in the routes. What a client sends
//! under these names is always removed.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | the section of the document |
//! | `compile` | from it to the compiled policy, and all that can be wrong with it |
//! | `policy` | the decision |
//! | `split` | shares of requests that stay with their users |

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::string_slice))]
#![forbid(unsafe_code)]

mod compile;
pub mod config;
mod policy;
mod split;

pub use config::RoutingSection;

use sluice_core::decision::place::{Place, Section};

/// The section of the document.
pub const SECTION: Section = Section::new("routing", "routing");

/// Its place in the order of execution.
pub const PLACE: Place = SECTION.place(800, "where it goes");

#[cfg(test)]
mod tests;
