//! The host's functions (Proxy-Wasm ABI 0.2.1), each as one that cannot panic.
//!
//! The SDK's own wrappers panic on any status that they don't expect and on any header that isn't UTF-8, and a panic ends the VM with all
//! streams in flight. Here every status is an [`HostError`], names and values are bytes, and memory that the host hands over is owned by
//! the caller.

use std::fmt;

#[cfg(target_arch = "wasm32")]
mod ffi;
#[cfg(target_arch = "wasm32")]
use ffi as host;

#[cfg(not(target_arch = "wasm32"))]
pub mod stand_in;
#[cfg(not(target_arch = "wasm32"))]
use stand_in as host;

pub use host::{
    add_header, call_foreign_function, close_request, continue_request, define_counter, define_gauge,
    fill_random, grpc_call, grpc_message, header_pairs, http_call, http_call_body, increment_counter, log,
    log_level, monotonic_nanoseconds, plugin_configuration, property, record_gauge, remove_header,
    replace_header, send_local_response, set_effective_context, set_property, set_shared_data,
    set_tick_period, shared_data, told_of, unix_nanoseconds,
};

/// Which headers a call is about; the value is the ABI's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum HeaderMapType {
    /// The request's. They are in reach while its headers are being decided, and while it waits.
    Request = 0,
    /// The request's trailers. They are in reach in their own callback only.
    RequestTrailers = 1,
    /// The response's. They are in reach in the response phase only.
    Response = 2,
    /// Those of a call's answer. They are in reach while the answer is being told.
    HttpCallResponse = 6,
}

/// How much a line of the log matters; the value is the ABI's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum LogLevel {
    /// For those who develop.
    Trace = 0,
    /// For those who look for it.
    Debug = 1,
    /// Nothing is wrong.
    Info = 2,
    /// Somebody should look at it.
    Warn = 3,
    /// The configuration is refused, or the host failed.
    Error = 4,
}

/// Why the host did not do what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// There is no such property, key, function or context.
    NotFound,
    /// The host does not take these arguments, or not in this phase.
    BadArgument,
    /// Shared data was changed by another worker meanwhile.
    CasMismatch,
    /// Any other status, as the ABI numbers it.
    Status(u32),
    /// There is no host: the code does not run in a proxy.
    NoHost,
}

/// What a call gives.
pub type HostResult<T> = Result<T, HostError>;

impl fmt::Display for HostError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostError::NotFound => out.write_str("not found"),
            HostError::BadArgument => out.write_str("bad argument"),
            HostError::CasMismatch => out.write_str("changed by another worker meanwhile"),
            HostError::Status(status) => write!(out, "status {status}"),
            HostError::NoHost => out.write_str("there is no host"),
        }
    }
}

impl std::error::Error for HostError {}

/// A local reply as the host takes it.
#[derive(Clone, Copy, Debug)]
pub struct LocalResponse<'r> {
    /// The status.
    pub status: u16,
    /// The response-code details. Envoy turns blanks into `_`.
    pub details: &'r str,
    /// Pairs of headers, in the form of [`sluice_core::http::header_map`].
    pub headers: &'r [u8],
    /// The body; for gRPC the message.
    pub body: &'r [u8],
    /// The gRPC status of a gRPC request's answer. Without one Envoy derives it from the status.
    pub grpc_status: Option<u8>,
}

/// A name of the document's within a metric's name: a dot would end it.
pub fn plain(name: &str) -> String {
    let allowed = |byte: char| byte.is_ascii_alphanumeric() || byte == '-' || byte == '_';
    name.chars().map(|byte| if allowed(byte) { byte } else { '_' }).collect()
}
