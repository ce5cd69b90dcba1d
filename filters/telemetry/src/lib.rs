//! `telemetry`: what happened, told to whoever operates the proxy.
//!
//! Three things, each of its own: the W3C trace context, so that a request is one trace over all proxies and services; the decision,
//! for the access log; and counters of responses with labels of the document's choosing. Decisions themselves are counted whether
//! there is this section or not.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | the section of the document |
//! | `compile` | from it to the compiled policy, and all that can be wrong with it |
//! | `policy` | what concerns all other sections: the pipeline asks |
//! | [`traceparent`], [`tracestate`] | the headers of W3C Trace Context |
//! | `trace` | the stage that continues or starts traces |
//! | `labels` | counters of responses with bounded labels |

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::string_slice))]
#![forbid(unsafe_code)]

mod compile;
pub mod config;
mod labels;
mod policy;
mod trace;
pub mod traceparent;
pub mod tracestate;

pub use config::TelemetrySection;
pub use policy::TelemetryPolicy;
pub use trace::{is_trace_context, trace_of_answer};

use sluice_core::decision::place::{Place, Section};

/// The section of the document.
pub const SECTION: Section = Section::new("telemetry", "telemetry");

/// Its place in the order of execution.
pub const PLACE: Place = Place { order: 100, name: "trace", title: "the trace context", section: SECTION };

#[cfg(test)]
mod tests;
