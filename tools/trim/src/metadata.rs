//! What a module says about itself: the custom section `sluice`, UTF-8 JSON.
//!
//! `sluice check --module` reads it to say whether a document's sections and callbacks are in that module.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::section::{self, Malformed};

/// The name of the custom section.
pub const SECTION: &str = "sluice";

/// The content of the section. Unknown fields are allowed: an older tool reads a newer module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The release, as in Cargo.toml.
    pub version: String,
    /// Which module of that release: its file name without `.wasm`, such as `sluice-headers`.
    pub edition: String,
    /// The sections of a policy document that it accepts, besides those that every module does.
    pub sections: Vec<String>,
    /// The `proxy_on_*` functions of requests that Envoy finds in it.
    pub callbacks: Vec<String>,
}

/// Why there is no metadata to be had.
#[derive(Debug)]
pub enum Error {
    /// The bytes are no module.
    Malformed(Malformed),
    /// A module, but without the section: not one of ours, or not made by `make build`.
    Missing,
    /// The section is there and is not the JSON that it should be.
    Unreadable(serde_json::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Malformed(error) => error.fmt(formatter),
            Error::Missing => write!(
                formatter,
                "the module has no section `{SECTION}`: it is none of dist/, which `make build` fills"
            ),
            Error::Unreadable(error) => {
                write!(formatter, "the module's section `{SECTION}` is unreadable: {error}")
            }
        }
    }
}

impl std::error::Error for Error {}

impl Metadata {
    /// Reads it out of a module.
    pub fn of(module: &[u8]) -> Result<Metadata, Error> {
        let content = section::custom(module, SECTION).map_err(Error::Malformed)?.ok_or(Error::Missing)?;
        serde_json::from_slice(content).map_err(Error::Unreadable)
    }
}
