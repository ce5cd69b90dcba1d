//! `scope: fleet`: limits that many proxies share, counted by a rate-limit service over Envoy's protocol (`rls.proto`).
//!
//! A request is counted there once for each rule of it, in one call for all rules that share a service. The answer decides; where there is
//! none, the rule's own table stands in, with the proxy's share of the limit, or what `onFailure` says. What the service counts can't be
//! taken back, so it is asked only when the proxy's own limits have room; these take theirs when it has answered.
//!
//! | module | holds |
//! |---|---|
//! | [`message`] | the protocol's messages |
//! | [`descriptor`] | what a rule is to the service |
//! | `answer` | what an answer says |
//! | `over_limit` | the keys that the service has refused lately |
//! | `configuration`, `simulation` | for the command: what a service could be configured with, and one to stand in for it |
//! | `ask` | which services a request asks, and what follows from their answers |

mod answer;
mod ask;
#[cfg(any(test, feature = "simulation"))]
pub mod configuration;
pub mod descriptor;
pub mod message;
mod over_limit;
#[cfg(any(test, feature = "simulation"))]
pub mod simulation;

pub(crate) use answer::Failed;
pub(crate) use ask::Question;
pub(crate) use descriptor::{EntryNames, limit_override};
pub(crate) use message::LimitOverride;
pub(crate) use over_limit::OverLimit;

use crate::config::OnFailure;
use sluice_core::decision::reason::ReasonId;
use std::rc::Rc;
use std::time::Duration;

/// A service, and how a request asks it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) cluster: Rc<str>,
    pub(crate) domain: String,
    pub(crate) timeout: Duration,
    /// How many units a request takes. The protocol has one number for all descriptors of a call that every service knows.
    pub(crate) hits: u32,
}

/// What a rule of `scope: fleet` has besides others.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) service: Rc<Service>,
    pub(crate) names: EntryNames,
    /// In the order of the rule's limits, which are the shares of these that the proxy gives by itself.
    pub(crate) limits: Vec<FleetLimit>,
    pub(crate) on_failure: OnFailure,
    pub(crate) over: OverLimit,
    pub(crate) reasons: FleetReasons,
}

/// A limit that the service keeps.
#[derive(Debug)]
pub(crate) struct FleetLimit {
    pub(crate) limit: LimitOverride,
    /// Its item of `RateLimit-Policy`.
    pub(crate) policy: String,
}

/// What a rule of `scope: fleet` can decide besides others.
#[derive(Debug)]
pub(crate) struct FleetReasons {
    /// The service says that the limit is exceeded.
    pub(crate) exceeded: ReasonId,
    /// The service has failed, and `onFailure` is `deny`.
    pub(crate) unavailable: ReasonId,
    /// Why the service did not decide: by [`Failed::index`].
    pub(crate) failed: [ReasonId; Failed::COUNT],
}

#[cfg(test)]
mod tests;
