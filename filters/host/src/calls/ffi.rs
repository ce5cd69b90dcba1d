//! The calls in a module: the only unsafe code of Sluice.
//!
//! Two things need care. Every pointer given to the host is taken from a live slice, or from a local variable that outlives the call, and
//! the host does not keep it (it copies during the call). And what the host gives back it has put into memory that it asked
//! `proxy_on_memory_allocate` of the SDK for, a boxed slice of exactly the size that it then reports: so that a `Vec` may own it.

#![allow(unsafe_code)]

use super::{HeaderMapType, HostError, HostResult, LocalResponse, LogLevel};
use crate::exported;
use proxy_wasm::hostcalls;
use proxy_wasm::types::Status;
use sluice_core::decision::follow_up::Phases;
use sluice_core::decision::wait::{GrpcCall, HttpCall};
use std::ptr::null_mut;

/// The request's side of a stream, as `proxy_continue_stream` and `proxy_close_stream` number it.
const REQUEST_STREAM: u32 = 0;
/// The body of a call's answer, and a gRPC message, as `proxy_get_buffer_bytes` numbers them.
const HTTP_CALL_RESPONSE_BODY: u32 = 4;
const GRPC_RECEIVE_BUFFER: u32 = 5;
/// The plugin's configuration, as `proxy_get_buffer_bytes` numbers it.
const PLUGIN_CONFIGURATION: u32 = 7;
/// A counter, as `proxy_define_metric` numbers it.
const COUNTER: u32 = 0;
/// A gauge, as `proxy_define_metric` numbers it.
const GAUGE: u32 = 1;
/// The clock of WASI that no one sets.
const MONOTONIC_CLOCK: u32 = 1;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, message_size: usize) -> u32;
    fn proxy_get_log_level(level: *mut u32) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_set_effective_context(context_id: u32) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_close_stream(stream: u32) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, value_size: usize) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        version: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        version: u32,
    ) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        arguments: *const u8,
        arguments_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn random_get(buffer: *mut u8, size: usize) -> u32;
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
}

/// See [`exported`].
static EXPORTED: [u8; exported::AS_BUILT.len()] = exported::AS_BUILT;

/// The phases that the module is told of.
pub fn told_of() -> Phases {
    // SAFETY: a plain read of a static. Volatile, since it was changed after the compiler has seen it.
    exported::phases(&unsafe { std::ptr::read_volatile(&raw const EXPORTED) })
}

fn check(status: u32) -> HostResult<()> {
    match status {
        0 => Ok(()),
        1 => Err(HostError::NotFound),
        2 => Err(HostError::BadArgument),
        8 => Err(HostError::CasMismatch),
        status => Err(HostError::Status(status)),
    }
}

/// Runs a call that gives memory, and takes that over.
fn receive(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> HostResult<Vec<u8>> {
    let mut data: *mut u8 = null_mut();
    let mut size: usize = 0;
    let status = call(&raw mut data, &raw mut size);
    // Taken over before the status is looked at: a call that fails late may have allocated already.
    let owned = if data.is_null() || size == 0 {
        Vec::new()
    } else {
        // SAFETY: the host wrote pointer and size of a block that `proxy_on_memory_allocate` made: a boxed slice of `size` bytes with
        // alignment 1, wholly written, that nothing else owns.
        unsafe { Vec::from_raw_parts(data, size, size) }
    };
    check(status).map(|()| owned)
}

/// Writes a line into Envoy's log.
///
/// # Errors
/// Where the host refuses.
pub fn log(level: LogLevel, message: &str) -> HostResult<()> {
    // SAFETY: `message` lives throughout the call.
    check(unsafe { proxy_log(level as u32, message.as_ptr(), message.len()) })
}

/// The level of Envoy's log for modules: 0 (trace) to 6 (off).
///
/// # Errors
/// Where the host refuses.
pub fn log_level() -> HostResult<u32> {
    let mut level = 0;
    // SAFETY: the host writes one `u32` to a local variable.
    check(unsafe { proxy_get_log_level(&raw mut level) })?;
    Ok(level)
}

/// The wall clock, in nanoseconds since the epoch.
///
/// # Errors
/// Where the host refuses.
pub fn unix_nanoseconds() -> HostResult<u64> {
    let mut time = 0;
    // SAFETY: the host writes one `u64` to a local variable.
    check(unsafe { proxy_get_current_time_nanoseconds(&raw mut time) })?;
    Ok(time)
}

/// A clock that nobody sets, in nanoseconds since some point: for intervals.
///
/// # Errors
/// Where the host refuses.
pub fn monotonic_nanoseconds() -> HostResult<u64> {
    let mut time = 0;
    // SAFETY: the host writes one `u64` to a local variable.
    check(unsafe { clock_time_get(MONOTONIC_CLOCK, 1, &raw mut time) })?;
    Ok(time)
}

/// Fills `bytes` with what the host's cryptographic generator gives.
///
/// # Errors
/// Where the host refuses.
pub fn fill_random(bytes: &mut [u8]) -> HostResult<()> {
    // SAFETY: the host writes as many bytes as the slice has.
    check(unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) })
}

/// Has the root context's timer fire every so many milliseconds; 0 stops it.
///
/// # Errors
/// Where the host refuses.
pub fn set_tick_period(milliseconds: u32) -> HostResult<()> {
    // SAFETY: no memory is passed.
    check(unsafe { proxy_set_tick_period_milliseconds(milliseconds) })
}

/// Has the calls that follow, until the end of this callback, speak of another context.
///
/// # Errors
/// [`HostError::BadArgument`] where there is no such context any more.
pub fn set_effective_context(id: u32) -> HostResult<()> {
    // SAFETY: no memory is passed.
    check(unsafe { proxy_set_effective_context(id) })
}

/// Lets the paused request of the effective context go on, once this callback has returned.
///
/// # Errors
/// Where the host refuses.
pub fn continue_request() -> HostResult<()> {
    // SAFETY: no memory is passed.
    check(unsafe { proxy_continue_stream(REQUEST_STREAM) })
}

/// Resets the stream of the effective context: for when not even an answer can be sent.
///
/// # Errors
/// Where the host refuses.
pub fn close_request() -> HostResult<()> {
    // SAFETY: no memory is passed.
    check(unsafe { proxy_close_stream(REQUEST_STREAM) })
}

/// The plugin's configuration; within `proxy_on_configure` only.
///
/// # Errors
/// Where the host refuses.
pub fn plugin_configuration() -> HostResult<Vec<u8>> {
    // SAFETY: the host writes a pointer and a size to local variables.
    receive(|data, size| unsafe { proxy_get_buffer_bytes(PLUGIN_CONFIGURATION, 0, usize::MAX, data, size) })
}

/// All headers in one buffer, in the form of [`sluice_core::http::header_map`].
///
/// # Errors
/// Where the host refuses.
pub fn header_pairs(map: HeaderMapType) -> HostResult<Vec<u8>> {
    // SAFETY: the host writes a pointer and a size to local variables.
    receive(|data, size| unsafe { proxy_get_header_map_pairs(map as u32, data, size) })
}

/// Adds a header besides those of its name.
///
/// # Errors
/// [`HostError::BadArgument`] where these headers are out of reach.
pub fn add_header(map: HeaderMapType, name: &str, value: &[u8]) -> HostResult<()> {
    // SAFETY: both slices live throughout the call.
    check(unsafe {
        proxy_add_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

/// Sets a header in place of all those of its name.
///
/// # Errors
/// [`HostError::BadArgument`] where these headers are out of reach.
pub fn replace_header(map: HeaderMapType, name: &str, value: &[u8]) -> HostResult<()> {
    // SAFETY: both slices live throughout the call.
    check(unsafe {
        proxy_replace_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

/// Removes all headers of this name.
///
/// # Errors
/// [`HostError::BadArgument`] where these headers are out of reach.
pub fn remove_header(map: HeaderMapType, name: &str) -> HostResult<()> {
    // SAFETY: the slice lives throughout the call.
    check(unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
}

/// Answers the request of the effective context, once this callback has returned.
///
/// # Errors
/// Where the host refuses.
pub fn send_local_response(response: &LocalResponse<'_>) -> HostResult<()> {
    let LocalResponse { status, details, headers, body, grpc_status } = *response;
    // SAFETY: all slices live throughout the call; the host copies them.
    check(unsafe {
        proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status.map_or(-1, i32::from),
        )
    })
}

/// A property of the stream, such as `source\0address`: the steps of its path with a zero byte between them. `None` where it has none.
///
/// # Errors
/// Where the host refuses.
pub fn property(path: &str) -> HostResult<Option<Vec<u8>>> {
    // SAFETY: `path` lives throughout the call; the host writes a pointer and a size to local variables.
    let read = receive(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) });
    match read {
        Err(HostError::NotFound) => Ok(None),
        read => read.map(Some),
    }
}

/// Sets a property: filter state of the stream with the name `wasm.<path>`.
///
/// # Errors
/// Where the host refuses.
pub fn set_property(path: &str, value: &[u8]) -> HostResult<()> {
    // SAFETY: both slices live throughout the call.
    check(unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) })
}

/// Memory that all workers share: the value of `key` and the version to change it with. `None` where it was never set.
///
/// # Errors
/// Where the host refuses.
pub fn shared_data(key: &str) -> HostResult<Option<(Vec<u8>, u32)>> {
    let mut version = 0;
    // SAFETY: `key` lives throughout the call; the host writes a pointer, a size and a version to local variables.
    let read = receive(|data, size| unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut version)
    });
    match read {
        Err(HostError::NotFound) => Ok(None),
        read => read.map(|value| Some((value, version))),
    }
}

/// Sets `key` if its version is still `version`; version 0 sets it whatever is there.
///
/// # Errors
/// [`HostError::CasMismatch`] where another worker was faster.
pub fn set_shared_data(key: &str, value: &[u8], version: u32) -> HostResult<()> {
    // SAFETY: both slices live throughout the call.
    check(unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), version) })
}

/// The counter of this name, which is made if new and lives as long as the proxy.
///
/// # Errors
/// Where the host refuses.
pub fn define_counter(name: &str) -> HostResult<u32> {
    define(COUNTER, name)
}

/// The gauge of this name, which is made if new and lives as long as the proxy.
///
/// # Errors
/// Where the host refuses.
pub fn define_gauge(name: &str) -> HostResult<u32> {
    define(GAUGE, name)
}

fn define(kind: u32, name: &str) -> HostResult<u32> {
    let mut id = 0;
    // SAFETY: `name` lives throughout the call; the host writes one `u32` to a local variable.
    check(unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

/// Sets a gauge.
///
/// # Errors
/// Where the host refuses.
pub fn record_gauge(id: u32, value: u64) -> HostResult<()> {
    // SAFETY: no memory is passed.
    check(unsafe { proxy_record_metric(id, value) })
}

/// Adds to a counter; `by` is above 0.
///
/// # Errors
/// Where the host refuses.
pub fn increment_counter(id: u32, by: i64) -> HostResult<()> {
    // SAFETY: no memory is passed.
    check(unsafe { proxy_increment_metric(id, by) })
}

/// Calls one of the functions that hosts add to the ABI.
///
/// # Errors
/// [`HostError::NotFound`] where the host has no such function, otherwise what the function says.
pub fn call_foreign_function(name: &str, arguments: &[u8]) -> HostResult<Vec<u8>> {
    // SAFETY: both slices live throughout the call; the host writes a pointer and a size to local variables.
    receive(|data, size| unsafe {
        proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            arguments.as_ptr(),
            arguments.len(),
            data,
            size,
        )
    })
}

/// Begins an HTTP request to a cluster and gives its number. By the SDK, whose table says which context is told of the answer.
///
/// # Errors
/// [`HostError::BadArgument`] where the host does not take it: there is no such cluster, or a header is not UTF-8.
pub fn http_call(call: &HttpCall) -> HostResult<u32> {
    let mut headers =
        vec![(":method", &*call.method), (":path", &*call.path), (":authority", &*call.authority)];
    for (name, value) in &call.headers {
        let value = std::str::from_utf8(value.as_bytes()).map_err(|_| HostError::BadArgument)?;
        headers.push((name.as_str(), value));
    }
    let body = (!call.body.is_empty()).then_some(&*call.body);
    hostcalls::dispatch_http_call(&call.cluster, headers, body, Vec::new(), call.timeout).map_err(status)
}

/// Begins a unary gRPC call of a cluster and gives its number.
///
/// # Errors
/// As [`http_call`].
pub fn grpc_call(call: &GrpcCall) -> HostResult<u32> {
    let message = Some(&*call.message);
    hostcalls::dispatch_grpc_call(
        &call.cluster,
        &call.service,
        &call.method,
        Vec::new(),
        message,
        call.timeout,
    )
    .map_err(status)
}

fn status(status: Status) -> HostError {
    match status {
        Status::NotFound => HostError::NotFound,
        Status::BadArgument => HostError::BadArgument,
        status => HostError::Status(status as u32),
    }
}

/// The body of a call's answer, as much of it as `most`; while the answer is being told.
///
/// # Errors
/// Where the host refuses.
pub fn http_call_body(most: usize) -> HostResult<Vec<u8>> {
    // SAFETY: the host writes a pointer and a size to local variables.
    receive(|data, size| unsafe { proxy_get_buffer_bytes(HTTP_CALL_RESPONSE_BODY, 0, most, data, size) })
}

/// The message of a gRPC call's answer, as much of it as `most`; while the answer is being told.
///
/// # Errors
/// Where the host refuses.
pub fn grpc_message(most: usize) -> HostResult<Vec<u8>> {
    // SAFETY: the host writes a pointer and a size to local variables.
    receive(|data, size| unsafe { proxy_get_buffer_bytes(GRPC_RECEIVE_BUFFER, 0, most, data, size) })
}
