//! Sluice in a proxy: the one crate that knows proxy-wasm.
//!
//! A module's root context becomes a [`plugin::Plugin`] (one compiled document in one worker), each request a [`stream::Stream`] that
//! keeps its plugin alive; see `docs/host.md` for how a request passes through.
//!
//! | module | holds |
//! |---|---|
//! | [`calls`] | the host's functions, each returning a `Result`; off the proxy a stand-in, so that all of this is tested natively |
//! | `contexts` | proxy-wasm's callbacks, handed on to plugins and streams; only in a module |
//! | [`plugin`], [`stream`] | what a configuration, and what a request, does at each callback |
//! | [`loading`], [`proven`], [`succession`] | an update is compiled in slices while the policy that it replaces serves |
//! | [`carry_out`], [`apply`] | decisions become host calls: counted, headers changed, answers sent |
//! | [`waits`], [`callouts`] | requests that wait, and the calls of clusters that some wait for |
//! | [`resources`] | what is fetched for policies and shared with the other workers |
//! | [`environment`], [`random`], [`crypto`] | the host as policies see it |
//! | [`exported`] | which callbacks the module has |
//! | [`counters`], [`gauges`], [`timer`], [`faults`] | what waits for the timer, and what is reported when the host fails |
//! | [`logger`] | Envoy's log behind the facade `log` |

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::string_slice))]
#![deny(unsafe_code)]

pub mod apply;
pub mod callouts;
pub mod calls;
pub mod carry_out;
#[cfg(target_arch = "wasm32")]
mod contexts;
pub mod counters;
pub mod crypto;
pub mod environment;
pub mod exported;
pub mod faults;
pub mod gauges;
pub mod loading;
pub mod logger;
pub mod plugin;
pub mod proven;
pub mod random;
pub mod resources;
pub mod stream;
pub mod succession;
pub mod timer;
pub mod waits;

#[cfg(test)]
mod tests;
