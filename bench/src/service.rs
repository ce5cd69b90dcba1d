//! What stands behind the measured Envoys where a row needs it: a service, and a rate-limit service. Both are threads of this program, and
//! their processor time is nobody's: only that of the Envoys is measured.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::OnceLock;

use sluice_integration::{Error, Reply, Result, Upstream};

use crate::processor::Cores;

/// A path that the rate-limit service refuses.
pub const REFUSED_PATH: &str = "/service/refused";

/// The ports of both.
pub struct Services {
    /// HTTP/1.1: answers 200 once it has the whole request.
    pub service: u16,
    /// `envoy.service.ratelimit.v3.RateLimitService`: lets everything through but [`REFUSED_PATH`].
    pub rate_limit: u16,
}

/// Both, started when they are first asked for; they run to the end of this program.
///
/// # Errors
/// When one can't be started.
pub fn services() -> Result<&'static Services> {
    static SERVICES: OnceLock<std::result::Result<Services, String>> = OnceLock::new();
    let started = SERVICES.get_or_init(|| start().map_err(|error| error.to_string()));
    started.as_ref().map_err(|error| Error::Other(error.clone()))
}

fn start() -> Result<Services> {
    let failed = |e: std::io::Error| Error::Other(format!("the service behind the Envoys: {e}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    let service = listener.local_addr().map_err(failed)?.port();
    std::thread::spawn(move || {
        if let Some(cores) = Cores::choose() {
            cores.pin_load();
        }
        // A thread for each connection, on the core of this one.
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    let rate_limit = Upstream::unrecorded("ratelimit", |request| {
        let refused = request.body.windows(REFUSED_PATH.len()).any(|bytes| bytes == REFUSED_PATH.as_bytes());
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Reply {
            status: 200,
            headers: vec![pair("content-type", "application/grpc"), pair("grpc-status", "0")],
            body: response(if refused { OVER_LIMIT } else { OK }),
            after: std::time::Duration::ZERO,
        }
    })?;
    let port = rate_limit.port();
    // It ends with this program.
    std::mem::forget(rate_limit);
    Ok(Services { service, rate_limit: port })
}

/// `RateLimitResponse.Code` of `envoy/service/ratelimit/v3/rls.proto`.
const OK: u8 = 1;
const OVER_LIMIT: u8 = 2;

/// A `RateLimitResponse` in gRPC's frame: of one descriptor, whose limit is 1000 in a second, of which 999 are left.
fn response(code: u8) -> Vec<u8> {
    let status = [0x08, code, 0x12, 0x05, 0x08, 0xe8, 0x07, 0x10, 0x01, 0x18, 0xe7, 0x07];
    let mut frame = vec![0, 0, 0, 0, 16, 0x08, code, 0x12, 12];
    frame.extend(status);
    frame
}

/// Answers each request of a connection once it is there with its body.
fn serve(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut bytes = Vec::with_capacity(64 << 10);
    let mut chunk = vec![0; 64 << 10];
    while let Ok(length @ 1..) = stream.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..length]);
        while let Some(end) = end_of_request(&bytes) {
            bytes.drain(..end);
            if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_err() {
                return;
            }
        }
    }
}

/// Where the first request ends: after its head, or with the last chunk of its body. (Envoy writes header names in lower case, and what the
/// load sends holds no such bytes.)
fn end_of_request(bytes: &[u8]) -> Option<usize> {
    let after = |needle: &[u8], from: usize| {
        bytes
            .get(from..)?
            .windows(needle.len())
            .position(|window| window == needle)
            .map(|at| from + at + needle.len())
    };
    let head = after(b"\r\n\r\n", 0)?;
    let chunked = bytes[..head].windows(26).any(|window| window == b"transfer-encoding: chunked");
    if !chunked {
        return Some(head);
    }
    // Chunks are looked at one after the other: a body is never searched.
    let mut at = head;
    loop {
        let line = after(b"\r\n", at)?;
        let size = std::str::from_utf8(bytes.get(at..line - 2)?).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        at = line + size + 2;
        if bytes.len() < at {
            return None;
        }
        if size == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_with_its_head_or_with_its_last_chunk() {
        let plain = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET";
        assert_eq!(end_of_request(plain), Some(plain.len() - 3));
        let chunked = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        assert_eq!(end_of_request(chunked), Some(chunked.len()));
        for length in 0..chunked.len() {
            assert_eq!(end_of_request(&chunked[..length]), None, "{length}");
        }
    }
}
