//! How a request is decided: from compiled stages, asked in order, with what is known so far, to a verdict and its reason.

pub mod compile;
pub mod environment;
pub mod exchange;
pub mod follow_up;
pub(crate) mod known;
pub mod place;
pub mod reason;
pub mod response;
pub mod stages;
pub mod verdict;
pub mod wait;
