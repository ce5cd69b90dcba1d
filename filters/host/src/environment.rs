//! The host, as policies see it.

use crate::calls::{self, HostError};
use crate::crypto;
use crate::random::Random;
use sluice_core::decision::environment::{
    Environment, HostCryptoUnavailable, SharedError, SignatureCheck, UnixTime,
};
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

/// The address of the connection's peer, with its port.
const SOURCE_ADDRESS: &str = "source\0address";
/// The first URI among the subject alternative names of the peer's certificate.
const PEER_URI: &str = "connection\0uri_san_peer_certificate";

/// The environment of one root context.
#[derive(Debug, Default)]
pub struct HostEnvironment {
    now: Cell<Option<UnixTime>>,
    random: Random,
}

impl HostEnvironment {
    /// A new phase has begun: the clock is to be read again.
    pub fn begin_phase(&self) {
        self.now.set(None);
    }
}

impl Environment for HostEnvironment {
    fn now(&self) -> UnixTime {
        if let Some(now) = self.now.get() {
            return now;
        }
        // The host's clock does not fail; if it did, WASI's, the same by another way, must do: no time at all would mean that no token
        // ever expires, or that all have.
        let now = calls::unix_nanoseconds().unwrap_or_else(|_| {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        });
        let now = UnixTime::from_nanos(now);
        self.now.set(Some(now));
        now
    }

    fn random(&self) -> u64 {
        self.random.next()
    }

    fn peer_address(&self) -> Option<IpAddr> {
        let address = calls::property(SOURCE_ADDRESS).ok()??;
        parse_address(std::str::from_utf8(&address).ok()?)
    }

    fn peer_identity(&self) -> Option<String> {
        let uri = calls::property(PEER_URI).ok()??;
        String::from_utf8(uri).ok().filter(|uri| !uri.is_empty())
    }

    fn shared_get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        calls::shared_data(key).ok()?
    }

    fn shared_set(&self, key: &str, value: &[u8], version: u32) -> Result<(), SharedError> {
        calls::set_shared_data(key, value, version).map_err(|error| match error {
            HostError::CasMismatch => SharedError::Conflict,
            _ => SharedError::Unavailable,
        })
    }

    fn verify_signature(&self, request: &SignatureCheck<'_>) -> Result<bool, HostCryptoUnavailable> {
        crypto::verify_signature(request)
    }
}

/// An address as Envoy prints it, `192.0.2.1:80` or `[2001:db8::1]:80`; one of IPv4 in IPv6 as IPv4. `None` for a Unix socket.
fn parse_address(text: &str) -> Option<IpAddr> {
    let address =
        text.parse::<SocketAddr>().map(|socket| socket.ip()).or_else(|_| text.parse::<IpAddr>()).ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::stand_in::{self, StandIn};

    #[test]
    fn addresses_are_read_as_envoy_prints_them() {
        for (text, address) in [
            ("192.0.2.1:80", Some("192.0.2.1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("[::ffff:192.0.2.1]:80", Some("192.0.2.1")),
            ("192.0.2.1", Some("192.0.2.1")),
            ("/run/envoy.sock", None),
            ("@sluice", None),
            ("", None),
        ] {
            assert_eq!(parse_address(text).map(|address| address.to_string()).as_deref(), address, "{text}");
        }
    }

    #[test]
    fn the_clock_is_read_once_a_phase() {
        stand_in::install(StandIn { now: 5, ..StandIn::default() });
        let environment = HostEnvironment::default();
        assert_eq!(environment.now().as_nanos(), 5);
        stand_in::with(|host| host.now = 9);
        assert_eq!(environment.now().as_nanos(), 5);
        environment.begin_phase();
        assert_eq!(environment.now().as_nanos(), 9);
    }

    #[test]
    fn a_peer_without_a_certificate_has_no_identity() {
        stand_in::install(StandIn::default());
        let environment = HostEnvironment::default();
        assert_eq!(environment.peer_identity(), None);
        stand_in::with(|host| host.properties.insert(PEER_URI.to_owned(), b"spiffe://a/b".to_vec()));
        assert_eq!(environment.peer_identity().as_deref(), Some("spiffe://a/b"));
        stand_in::with(|host| host.properties.insert(PEER_URI.to_owned(), b"\xff".to_vec()));
        assert_eq!(environment.peer_identity(), None);
    }

    #[test]
    fn shared_data_is_changed_only_at_the_version_that_was_read() {
        stand_in::install(StandIn::default());
        let environment = HostEnvironment::default();
        assert_eq!(environment.shared_get("k"), None);
        environment.shared_set("k", b"1", 0).unwrap();
        let (_, version) = environment.shared_get("k").unwrap();
        environment.shared_set("k", b"2", version).unwrap();
        assert_eq!(environment.shared_set("k", b"3", version), Err(SharedError::Conflict));
        stand_in::with(|host| host.failing.insert("set_shared_data"));
        assert_eq!(environment.shared_set("k", b"3", version), Err(SharedError::Unavailable));
    }
}
