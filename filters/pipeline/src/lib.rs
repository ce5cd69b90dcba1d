//! The policy document as a whole, and its policies in their fixed order.
//!
//! [`Document`] is the document's shape; [`Pipeline`] what it compiles to. The module in the proxy and the `sluice` command run the
//! very same pipeline; they differ in the [`Environment`](sluice_core::decision::environment::Environment) that they bring.
//!
//! The order of execution is that of the policies' [places](sluice_core::decision::place::Place). Changes that policies ask for are gathered
//! and applied once.
//!
//! Adding a policy is a crate and a line in `sections!` in `document.rs`; see `docs/adding-a-policy.md`.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::string_slice))]
#![forbid(unsafe_code)]

mod document;
mod explain;
mod follow_ups;
mod pipeline;
mod reply;

pub use document::{Definitions, Document, FEATURES, IpList, PLACES, SECTIONS};
pub use explain::{Explanation, StageExplanation};
pub use follow_ups::{FollowUps, Followed};
pub use pipeline::{Action, Decided, Pipeline, Scratch, Seeds, Step, Suspended};
pub use reply::Reply;

/// For the command: what a rate-limit service is configured with, and one to stand in for it.
#[cfg(all(feature = "rate-limit", feature = "explain"))]
pub use sluice_rate_limit::fleet::{
    configuration::{Domain, DomainRule},
    simulation::SimulatedService,
};

#[cfg(test)]
mod tests;
