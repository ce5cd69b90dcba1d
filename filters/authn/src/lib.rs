//! `authn`: who is calling. JSON Web Tokens (RFC 7519), API keys, and identities that a trusted proxy forwards.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | the section as the document writes it |
//! | `compile` | its validation into the compiled form |
//! | [`policy`], [`requirement`] | the decision: which rule, which proof it asks for, what is answered |
//! | [`provider`] | what proves an identity: a trait, and a module for each kind |
//! | [`credential`] | where a credential is read from, and how it is taken out of the request |
//! | [`jwt`], [`jws`], [`strict_json`], [`claims`] | a token: its provider, its form, its claims |
//! | [`algorithm`], [`jwk`], [`key`], [`key_set`], [`der`] | signatures: what is bound to a key when it is read, and verification |
//! | [`keys`], `fetched_keys` | a provider's keys: the document's, or those that its issuer publishes |
//! | [`verifier`], [`budget`], [`source`] | each signature is verified once; what strangers and each source of bad tokens can cost |
//! | [`token_cache`], [`forged_tokens`] | what makes repeats free |
//! | [`presented`] | the tokens of a request, shared by all providers that look at them |
//! | [`api_key`], [`forwarded`] | the other two kinds of provider |
//! | [`forward`] | what the service gets to know, and what clients may never send |
//! | [`protected_resource`] | how clients get tokens (RFC 9728) |
//! | [`failure`], [`challenge`] | why a credential is refused, and how the client is told (RFC 6750 §3) |

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::string_slice))]
#![forbid(unsafe_code)]

pub mod algorithm;
pub mod api_key;
pub mod budget;
pub mod challenge;
pub mod claims;
mod compile;
pub mod config;
pub mod credential;
pub mod der;
mod explain;
pub mod failure;
mod fetched_keys;
pub mod forged_tokens;
pub mod forward;
pub mod forwarded;
mod forwarded_fact;
pub mod jwk;
pub mod jws;
pub mod jwt;
pub mod key;
pub mod key_set;
pub mod keys;
pub mod policy;
pub mod presented;
pub mod protected_resource;
pub mod provider;
pub mod requirement;
pub mod scalar;
pub mod source;
pub mod strict_json;
use sluice_core::decision::place::{Place, Section};

/// The section of the document.
pub const SECTION: Section = Section::new("authn", "authn").that_admits();

/// Its place in the order of execution.
pub const PLACE: Place = SECTION.place(400, "who is calling");

#[cfg(test)]
mod test_tokens;
pub mod token_cache;
pub mod verifier;

pub use config::AuthnSection;
