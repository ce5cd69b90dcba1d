//! What every policy of Sluice shares.
//!
//! A policy is *compiled* once from its section of the document ([`compile::Compiler`]) and then *asked* once per request. It sees an
//! [`exchange::Exchange`] (the request, who sent it, an [`environment::Environment`] in place of the host) and gives a
//! [`verdict::Verdict`]. Nothing here, and nothing in the policies, calls a proxy: every decision can be played in a native test.
//!
//! | module | holds |
//! |---|---|
//! | [`problem`], [`decode`] | errors of a document: the field's path, what was found, what would be right |
//! | [`name`], [`scalar`], [`list`] | the document's small types: names, durations, rates, percentages, one-or-many lists, maps without duplicates |
//! | [`bytes`] | comparison for hot paths |
//! | [`header`], [`header_map`], [`cookie`], [`path`], [`host`], [`request`] | a request as it arrived, and the normal form that rules match |
//! | [`client`], [`network`] | who is calling, before any proof |
//! | [`selector`] | `match`: its grammar, and the index that all sections share |
//! | [`identity`], [`roles`], [`when`] | who is calling, with proof; what `when` asks of them |
//! | [`offer`] | what the providers of `authn` can say of a caller, known before any section is compiled |
//! | [`attribute`] | references such as `identity.consumer` or `header.x-tenant` in keys and labels |
//! | [`template`] | text with such references in braces |
//! | [`variable`] | secrets that a document names instead of holding |
//! | [`rules`] | which rules of a list are ever asked |
//! | [`reason`], [`verdict`], [`exchange`] | decisions, their stable names, and what they do |
//! | [`wait`] | what a request can wait for: time, calls of clusters |
//! | [`stages`] | the one loop over all stages of a document |
//! | [`environment`] | clock, randomness, shared state and crypto: the host, as policies see it; [`fake`] is one for tests |

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::string_slice))]
#![forbid(unsafe_code)]

pub mod attribute;
pub mod bytes;
pub mod client;
pub mod compile;
pub mod cookie;
pub mod decode;
pub mod environment;
pub mod exchange;
pub mod fake;
pub mod header;
pub mod header_map;
pub mod host;
pub mod identity;
mod inclusion;
mod known;
pub mod list;
pub mod name;
pub mod network;
pub mod offer;
pub mod path;
pub mod problem;
pub mod protected;
pub mod reason;
pub mod request;
pub mod roles;
pub mod rules;
pub mod scalar;
pub mod selector;
pub mod stages;
pub mod template;
pub mod variable;
pub mod verdict;
pub mod wait;
pub mod when;
