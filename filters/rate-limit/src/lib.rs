//! Rate limits: how often a client, a consumer, or everybody together may call.
//!
//! A rule counts the requests that it matches by a key, in buckets of GCRA ([`gcra`]). The buckets lie in a fixed number of slots of the
//! memory that all workers of a proxy share, and are changed by compare-and-swap, so a limit is exact however many workers there are,
//! and needs no more memory for a million keys than for ten.
//!
//! A request is first looked up in the buckets of all rules that match it, and only where all of them have enough is anything taken: what
//! one rule refuses does not use up another.
//!
//! | module | holds |
//! |---|---|
//! | [`config`], `compile` | the section `rateLimit` of the document, and its validation into the compiled form |
//! | [`gcra`] | the algorithm, apart from any store |
//! | `key`, `slot`, `table` | whose bucket it is, where it lies, and how it is changed |
//! | `directory` | which slots of shared memory are whose, over all rules and updates |
//! | `guess` | how reading a slot is saved where one worker is busy with one key |
//! | `lease` | several units at once, for rules that have a `tolerance` |
//! | `rule`, [`policy`] | one rule's answer; all rules', and how a client is told |
//! | `fields` | `RateLimit-Policy`, `RateLimit` and `Retry-After` |
//! | [`fleet`] | limits that a rate-limit service counts for many proxies |

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::string_slice))]
#![forbid(unsafe_code)]

mod compile;
pub mod config;
mod directory;
mod fields;
pub mod fleet;
pub mod gcra;
mod guess;
mod key;
mod lease;
pub mod policy;
mod rule;
mod slot;
mod table;

pub use config::RateLimitSection;
pub use policy::RateLimitPolicy;

use sluice_core::decision::place::{Place, Section};

/// The section of the document.
pub const SECTION: Section = Section::new("rateLimit", "rate_limit");

/// Where limits that need no identity are taken: a flood is turned away before any crypto.
pub const BEFORE_AUTHN: Place =
    Place { order: 300, name: "limitBeforeAuthn", title: "limits that need no identity", section: SECTION };

/// Where limits that count by identity are taken.
pub const AFTER_AUTHZ: Place =
    Place { order: 600, name: "limitAfterAuthz", title: "limits by identity", section: SECTION };

#[cfg(test)]
mod tests;
