//! What a request can wait for, and what comes of it.
//!
//! A stage is a pure function of what is known. Where something is missing it names it ([`Wait`]) and is asked again, from its
//! beginning, once that has come: see [`crate::decision::exchange::Exchange::ask`] and [`crate::decision::exchange::Exchange::pause`].

use crate::http::header::{HeaderName, HeaderValue};
use crate::http::header_map::HeaderMap;
use crate::resource::Awaited;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// What a request waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Time passes: so much from now on.
    Pause(Duration),
    /// All of these calls are answered, or have failed.
    Calls(Vec<Call>),
    /// A shared resource is there, or a newer one than was.
    Resource(Awaited),
}

/// A call of a cluster of the proxy's. Equal calls of one request are one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// An HTTP request.
    Http(HttpCall),
    /// A unary gRPC call.
    Grpc(GrpcCall),
}

/// An HTTP request to a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCall {
    /// The cluster, by the name that it has in the proxy.
    pub cluster: Rc<str>,
    /// The method.
    pub method: Rc<str>,
    /// The `:authority`.
    pub authority: Rc<str>,
    /// The path with its query.
    pub path: Rc<str>,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body; empty for none.
    pub body: Rc<[u8]>,
    /// How long it may take.
    pub timeout: Duration,
}

/// A unary gRPC call to a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcCall {
    /// The cluster, by the name that it has in the proxy.
    pub cluster: Rc<str>,
    /// The service with its package: `envoy.service.ratelimit.v3.RateLimitService`.
    pub service: Rc<str>,
    /// The method: `ShouldRateLimit`.
    pub method: Rc<str>,
    /// The message, as protobuf has it.
    pub message: Rc<[u8]>,
    /// How long it may take.
    pub timeout: Duration,
}

/// What came of a call.
#[derive(Debug)]
pub enum Answer {
    /// An HTTP response, whatever its status.
    Http(HttpAnswer),
    /// A gRPC message: the call's status is OK.
    Grpc(Vec<u8>),
    /// No answer.
    Failed(CallFailure),
}

/// An HTTP response.
#[derive(Debug)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallFailure {
    /// It took longer than it may.
    TimedOut,
    /// The connection could not be made, or broke, or the cluster has no healthy host.
    Unreachable,
    /// The host did not take the call: no such cluster, most likely.
    Refused,
    /// Too many calls of this cluster are under way, or the last ones failed and none is tried for a while.
    NotTried,
    /// The answer is larger than anybody here wants.
    TooLarge,
    /// The service answered a gRPC call with this status, which is not OK.
    GrpcStatus(u32),
}

// === impl Call ===

impl Call {
    /// The cluster that is called.
    pub fn cluster(&self) -> &str {
        match self {
            Self::Http(call) => &call.cluster,
            Self::Grpc(call) => &call.cluster,
        }
    }

    /// How long it may take.
    pub const fn timeout(&self) -> Duration {
        match self {
            Self::Http(call) => call.timeout,
            Self::Grpc(call) => call.timeout,
        }
    }
}

/// Without query, headers and body, which may hold what is secret.
impl fmt::Display for Call {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(call) => {
                let path = call.path.split('?').next().unwrap_or_default();
                write!(out, "{} {path} of the cluster `{}`", call.method, call.cluster)
            }
            Self::Grpc(call) => {
                write!(out, "{}/{} of the cluster `{}`", call.service, call.method, call.cluster)
            }
        }
    }
}

// === impl CallFailure ===

impl CallFailure {
    /// The name in metrics and reasons.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::NotTried => "not_tried",
            Self::TooLarge => "too_large",
            Self::GrpcStatus(_) => "grpc_error",
        }
    }
}

impl fmt::Display for CallFailure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => out.write_str("it took too long"),
            Self::Unreachable => out.write_str("the cluster can't be reached"),
            Self::Refused => out.write_str("the proxy does not take the call; is there such a cluster?"),
            Self::NotTried => {
                out.write_str("not tried: too many calls are under way, or the last ones have failed")
            }
            Self::TooLarge => out.write_str("the answer is too large"),
            Self::GrpcStatus(status) => write!(out, "gRPC status {status}"),
        }
    }
}

// === impl HttpAnswer ===

impl HttpAnswer {
    /// Whether the status is 200 to 299.
    pub const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }
}
