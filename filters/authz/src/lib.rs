//! Authorization: who may do what.
//!
//! The order of the rules does not matter. A request that any `deny` rule matches is denied, whatever else matches it; else one that
//! any `allow` rule matches is allowed; else `default` decides, which denies unless it says otherwise. That is how Istio evaluates its
//! policies, and it is the safe reading: no rule that is put above another can open what a `deny` rule closes.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | the section `authz` of the document |
//! | `compile` | from it to the compiled policy, and all that can be wrong with it |
//! | [`policy`] | the decision, and how a denial is answered |

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::string_slice))]
#![forbid(unsafe_code)]

mod compile;
pub mod config;
mod joined_lists;
mod policy;

pub use config::AuthzSection;
pub use policy::AuthzPolicy;

use sluice_core::decision::place::{Place, Section};

/// The section of the document.
pub const SECTION: Section = Section::new("authz", "authz").that_admits();

/// Its place in the order of execution.
pub const PLACE: Place = SECTION.place(500, "who may do what");

#[cfg(test)]
mod tests;
