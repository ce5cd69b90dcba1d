//! Where there is no proxy: a host that a test makes up, one per thread. Without one every call fails with [`HostError::NoHost`].

use super::{HeaderMapType, HostError, HostResult, LocalResponse, LogLevel};
use sluice_core::decision::environment::SharedError;
use sluice_core::decision::follow_up::{Phase, Phases};
use sluice_core::decision::wait::{Call, GrpcCall, HttpCall};
use sluice_core::http::header_map::HeaderMap;
use sluice_core::simulation::SharedMemory;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

/// Headers as bytes.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// A host whose state a test sets and looks at.
#[derive(Debug, Default)]
pub struct StandIn {
    /// The plugin's configuration.
    pub configuration: Vec<u8>,
    /// The request's headers.
    pub request: Pairs,
    /// The request's trailers.
    pub trailers: Pairs,
    /// The response's headers.
    pub response: Pairs,
    /// What [`header_pairs`] gives in place of the request's headers.
    pub raw_request: Option<Vec<u8>>,
    /// Properties, by path.
    pub properties: HashMap<String, Vec<u8>>,
    /// Shared data with its versions.
    pub shared: SharedMemory,
    /// Counters, by name.
    pub counters: HashMap<String, u64>,
    /// Gauges, by name.
    pub gauges: HashMap<String, u64>,
    /// Both clocks, in nanoseconds.
    pub now: u64,
    /// How much time passes with each look at the monotonic clock.
    pub step: u64,
    /// The timer's period in milliseconds, where it runs.
    pub tick_period: Option<u32>,
    /// How often the period was set.
    pub tick_changes: u32,
    /// The context that calls speak of.
    pub effective: u32,
    /// Streams that [`set_effective_context`] does not find.
    pub gone: HashSet<u32>,
    /// Answers sent: the context, status, details, body.
    pub answers: Vec<(u32, u16, String, Vec<u8>)>,
    /// Requests that were let go on, by context.
    pub continued: Vec<u32>,
    /// Streams reset, by context.
    pub closed: Vec<u32>,
    /// The level of the log, as the ABI numbers it; 2 (info) where nothing is said.
    pub log_level: Option<u32>,
    /// Lines of the log.
    pub lines: Vec<(LogLevel, String)>,
    /// The functions that were called, in order.
    pub called: Vec<&'static str>,
    /// Calls of clusters, by their number.
    pub sent: Vec<Call>,
    /// What the answer that is being told holds: headers, and a body or message.
    pub answer: (Pairs, Vec<u8>),
    /// How often random bytes were drawn.
    pub fills: u8,
    /// Functions that fail.
    pub failing: HashSet<&'static str>,
    /// Phases that the module is not told of.
    pub untold: Vec<Phase>,
    /// The names of counters and gauges, by id.
    pub names: Vec<String>,
}

thread_local! {
    static HOST: RefCell<Option<StandIn>> = const { RefCell::new(None) };
}

/// Makes `host` the host of this thread.
pub fn install(host: StandIn) {
    HOST.with(|slot| *slot.borrow_mut() = Some(host));
}

/// Looks at, or changes, the host of this thread; a fresh one if there is none.
pub fn with<T>(look: impl FnOnce(&mut StandIn) -> T) -> T {
    HOST.with(|slot| look(slot.borrow_mut().get_or_insert_default()))
}

fn call<T>(name: &'static str, act: impl FnOnce(&mut StandIn) -> HostResult<T>) -> HostResult<T> {
    HOST.with(|slot| {
        let mut slot = slot.borrow_mut();
        let host = slot.as_mut().ok_or(HostError::NoHost)?;
        host.called.push(name);
        if host.failing.contains(name) { Err(HostError::Status(10)) } else { act(host) }
    })
}

fn headers(host: &mut StandIn, map: HeaderMapType) -> &mut Pairs {
    match map {
        HeaderMapType::Request => &mut host.request,
        HeaderMapType::RequestTrailers => &mut host.trailers,
        HeaderMapType::Response => &mut host.response,
        HeaderMapType::HttpCallResponse => &mut host.answer.0,
    }
}

/// The phases that the module is told of.
pub fn told_of() -> Phases {
    with(|host| {
        let told: Vec<Phase> = Phase::ALL.into_iter().filter(|phase| !host.untold.contains(phase)).collect();
        Phases::of(&told)
    })
}

/// See `ffi`; so are all that follow.
///
/// # Errors
/// As the test says.
pub fn log(level: LogLevel, message: &str) -> HostResult<()> {
    call("log", |host| {
        host.lines.push((level, message.to_owned()));
        Ok(())
    })
}

/// # Errors
/// As the test says.
pub fn log_level() -> HostResult<u32> {
    call("log_level", |host| Ok(host.log_level.unwrap_or(2)))
}

/// # Errors
/// As the test says.
pub fn unix_nanoseconds() -> HostResult<u64> {
    call("unix_nanoseconds", |host| Ok(host.now))
}

/// # Errors
/// As the test says.
pub fn monotonic_nanoseconds() -> HostResult<u64> {
    call("monotonic_nanoseconds", |host| {
        host.now = host.now.saturating_add(host.step);
        Ok(host.now)
    })
}

/// Fills `bytes` with 7, at the next call with 8, and so on: no two plugins draw the same.
///
/// # Errors
/// As the test says.
pub fn fill_random(bytes: &mut [u8]) -> HostResult<()> {
    call("fill_random", |host| {
        bytes.fill(host.fills.wrapping_add(7));
        host.fills = host.fills.wrapping_add(1);
        Ok(())
    })
}

/// # Errors
/// As the test says.
pub fn set_tick_period(milliseconds: u32) -> HostResult<()> {
    call("set_tick_period", |host| {
        host.tick_period = (milliseconds > 0).then_some(milliseconds);
        host.tick_changes = host.tick_changes.saturating_add(1);
        Ok(())
    })
}

/// # Errors
/// As the test says.
pub fn set_effective_context(id: u32) -> HostResult<()> {
    call("set_effective_context", |host| {
        if host.gone.contains(&id) {
            return Err(HostError::BadArgument);
        }
        host.effective = id;
        Ok(())
    })
}

/// # Errors
/// As the test says.
pub fn continue_request() -> HostResult<()> {
    call("continue_request", |host| {
        host.continued.push(host.effective);
        Ok(())
    })
}

/// # Errors
/// As the test says.
pub fn close_request() -> HostResult<()> {
    call("close_request", |host| {
        host.closed.push(host.effective);
        Ok(())
    })
}

/// # Errors
/// As the test says.
pub fn plugin_configuration() -> HostResult<Vec<u8>> {
    call("plugin_configuration", |host| Ok(host.configuration.clone()))
}

/// # Errors
/// As the test says.
pub fn header_pairs(map: HeaderMapType) -> HostResult<Vec<u8>> {
    call("header_pairs", |host| match host.raw_request.clone() {
        Some(raw) => Ok(raw),
        None => {
            Ok(HeaderMap::from_pairs(headers(host, map).iter().map(|(name, value)| (name, value)))
                .take_buffer())
        }
    })
}

/// # Errors
/// As the test says.
pub fn add_header(map: HeaderMapType, name: &str, value: &[u8]) -> HostResult<()> {
    call("add_header", |host| {
        headers(host, map).push((name.as_bytes().to_vec(), value.to_vec()));
        Ok(())
    })
}

/// # Errors
/// As the test says.
pub fn replace_header(map: HeaderMapType, name: &str, value: &[u8]) -> HostResult<()> {
    call("replace_header", |host| {
        let headers = headers(host, map);
        headers.retain(|(known, _)| known != name.as_bytes());
        headers.push((name.as_bytes().to_vec(), value.to_vec()));
        Ok(())
    })
}

/// # Errors
/// As the test says.
pub fn remove_header(map: HeaderMapType, name: &str) -> HostResult<()> {
    call("remove_header", |host| {
        headers(host, map).retain(|(known, _)| known != name.as_bytes());
        Ok(())
    })
}

/// # Errors
/// As the test says.
pub fn send_local_response(response: &LocalResponse<'_>) -> HostResult<()> {
    call("send_local_response", |host| {
        host.answers.push((
            host.effective,
            response.status,
            response.details.to_owned(),
            response.body.to_vec(),
        ));
        Ok(())
    })
}

/// # Errors
/// As the test says.
pub fn property(path: &str) -> HostResult<Option<Vec<u8>>> {
    call("property", |host| Ok(host.properties.get(path).cloned()))
}

/// # Errors
/// As the test says.
pub fn set_property(path: &str, value: &[u8]) -> HostResult<()> {
    call("set_property", |host| {
        host.properties.insert(path.to_owned(), value.to_vec());
        Ok(())
    })
}

/// # Errors
/// As the test says.
pub fn shared_data(key: &str) -> HostResult<Option<(Vec<u8>, u32)>> {
    call("shared_data", |host| Ok(host.shared.get(key)))
}

/// # Errors
/// As the test says.
pub fn set_shared_data(key: &str, value: &[u8], version: u32) -> HostResult<()> {
    call("set_shared_data", |host| {
        host.shared.set(key, value, version).map_err(|error| match error {
            SharedError::Conflict => HostError::CasMismatch,
            SharedError::Unavailable => HostError::Status(10),
        })
    })
}

/// # Errors
/// As the test says.
pub fn define_counter(name: &str) -> HostResult<u32> {
    call("define_counter", |host| {
        let id = u32::try_from(host.names.len()).unwrap_or(u32::MAX);
        host.names.push(name.to_owned());
        host.counters.entry(name.to_owned()).or_default();
        Ok(id)
    })
}

/// # Errors
/// As the test says.
pub fn define_gauge(name: &str) -> HostResult<u32> {
    call("define_gauge", |host| {
        let id = u32::try_from(host.names.len()).unwrap_or(u32::MAX);
        host.names.push(name.to_owned());
        Ok(id)
    })
}

/// # Errors
/// As the test says.
pub fn record_gauge(id: u32, value: u64) -> HostResult<()> {
    call("record_gauge", |host| {
        let name = host.names.get(id as usize).ok_or(HostError::NotFound)?;
        host.gauges.insert(name.clone(), value);
        Ok(())
    })
}

/// # Errors
/// As the test says.
pub fn increment_counter(id: u32, by: i64) -> HostResult<()> {
    call("increment_counter", |host| {
        let name = host.names.get(id as usize).ok_or(HostError::NotFound)?;
        let counter = host.counters.get_mut(name).ok_or(HostError::NotFound)?;
        *counter = counter.saturating_add_signed(by);
        Ok(())
    })
}

/// Knows `clear_route_cache` only.
///
/// # Errors
/// As the test says.
pub fn call_foreign_function(name: &str, _: &[u8]) -> HostResult<Vec<u8>> {
    call("call_foreign_function", |_| match name {
        "clear_route_cache" => Ok(Vec::new()),
        _ => Err(HostError::NotFound),
    })
}

fn sent(host: &mut StandIn, call: Call) -> HostResult<u32> {
    host.sent.push(call);
    Ok(u32::try_from(host.sent.len()).unwrap_or(u32::MAX))
}

/// Numbers calls from 1.
///
/// # Errors
/// As the test says.
pub fn http_call(http: &HttpCall) -> HostResult<u32> {
    call("http_call", |host| sent(host, Call::Http(http.clone())))
}

/// # Errors
/// As the test says.
pub fn grpc_call(grpc: &GrpcCall) -> HostResult<u32> {
    call("grpc_call", |host| sent(host, Call::Grpc(grpc.clone())))
}

/// # Errors
/// As the test says.
pub fn http_call_body(most: usize) -> HostResult<Vec<u8>> {
    call("http_call_body", |host| Ok(host.answer.1.iter().take(most).copied().collect()))
}

/// # Errors
/// As the test says.
pub fn grpc_message(most: usize) -> HostResult<Vec<u8>> {
    call("grpc_message", |host| Ok(host.answer.1.iter().take(most).copied().collect()))
}
