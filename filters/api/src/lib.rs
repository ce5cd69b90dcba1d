//! `api`: the life of an API's versions, and which web pages may call it (CORS).
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | the section as the document writes it |
//! | `compile` | its validation into the compiled form |
//! | [`date`] | dates of the document, and as headers write them |
//! | [`origin`] | which origins are which |
//! | `version`, `cors` | what responses get, and when a request is answered |
//! | `policy` | the stages |

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::string_slice))]
#![forbid(unsafe_code)]

mod compile;
pub mod config;
mod cors;
pub mod date;
pub mod origin;
mod policy;
mod version;

pub use config::ApiSection;

use sluice_core::decision::place::{Place, Section};

/// The section of the document.
pub const SECTION: Section = Section::new("api", "api");

/// Where it is found out which version is called and from which origin: before anybody answers, for answers are to say it, too.
pub const PLACE: Place = SECTION.place(150, "which version is called, and from which origin");

/// Where preflights are answered: they carry no credentials, so before authentication; a flood of them is limited before.
pub const PREFLIGHT: Place =
    Place { order: 350, name: "preflight", title: "preflights of browsers", section: SECTION };

/// Where versions that have ended are answered.
pub const ENDED: Place =
    Place { order: 700, name: "apiVersion", title: "versions that have ended", section: SECTION };

#[cfg(test)]
mod tests;
