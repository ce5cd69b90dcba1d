//! What every policy of Sluice shares.
//!
//! A policy is *compiled* once from its section of the document ([`decision::compile::Compiler`]) and then *asked* once per request. It sees an
//! [`decision::exchange::Exchange`] (the request, who sent it, an [`decision::environment::Environment`] in place of the host) and gives a
//! [`decision::verdict::Verdict`]. Nothing here, and nothing in the policies, calls a proxy: every decision can be played in a native test.
//!
//! | module | holds |
//! |---|---|
//! | [`document`] | the document as it is written: names, durations, rates, lists, secrets that it names, errors with the field's path |
//! | [`http`] | a request as it arrived: headers, cookies, path and host in the normal form that rules match; protected names |
//! | [`caller`] | who is calling: address and peer, before any proof; identity and roles; what `authn` can say of a caller |
//! | [`rule`] | `match` and its index, `when`, references such as `identity.consumer`, templates, which rules are ever asked |
//! | [`decision`] | compiling, the stages and their one loop, what they see, wait for and decide, and the stable names of decisions |
//! | [`resource`] | what is fetched and shared by all workers: who fetches, when, and how long it is good |
//! | [`simulation`] | a host of which everything is known: for `sluice explain` and for tests |

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::string_slice))]
#![forbid(unsafe_code)]

pub mod caller;
pub mod decision;
pub mod document;
pub mod http;
pub mod resource;
pub mod rule;
pub mod simulation;
