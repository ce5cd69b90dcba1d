//! Who is calling, before any proof: the client's address, and how far `x-forwarded-for` is believed.

use crate::environment::Environment;
use crate::header::HeaderName;
use crate::header_map::{HeaderMap, Single};
use serde::Deserialize;
use std::net::IpAddr;

/// `client`: who is calling, before any proof.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ClientSection {
    /// How the client's address is found. Without it: the connection's peer, as Envoy's `source.address` has it.
    pub address: AddressConfig,
}

/// `client.address`: how the client's address is found.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct AddressConfig {
    /// How many proxies in front of this Envoy are trusted to have appended the address that called them to `x-forwarded-for`.
    /// 0, the default: none, the connection's peer is the client. With `n`, the client is the `n`-th address to the left of the
    /// last; the last is the peer itself, which Envoy appends with `use_remote_address: true`. Fewer addresses than that: the
    /// peer, as Envoy itself decides (`xff_num_trusted_hops`).
    pub trusted_hops: u8,
    /// A header that the Envoy configuration overwrites with `%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%` before filters run
    /// (`early_header_mutation_extensions`): the peer's address for less than reading a property, and true whatever
    /// `use_remote_address` says. Name it only where it is overwritten: otherwise clients could write it themselves.
    pub peer_header: Option<HeaderName>,
}

impl AddressConfig {
    /// The client's address; `None` where the connection has none (a Unix socket) or a trusted proxy wrote something else than
    /// an address.
    pub fn resolve(&self, headers: &HeaderMap, environment: &dyn Environment) -> Option<IpAddr> {
        if self.trusted_hops > 0 {
            let line = headers.joined("x-forwarded-for");
            let line = line.as_deref().and_then(|line| std::str::from_utf8(line).ok());
            if let Some(entry) = line.and_then(|line| line.rsplit(',').nth(self.trusted_hops.into())) {
                return parse(entry.trim());
            }
        }
        match &self.peer_header {
            Some(name) => match headers.single(name.as_str()) {
                Single::Once(value) => std::str::from_utf8(value).ok().and_then(parse),
                Single::Absent | Single::Repeated => None,
            },
            None => environment.peer_address(),
        }
    }
}

fn parse(text: &str) -> Option<IpAddr> {
    // Some proxies write a port, or brackets, into x-forwarded-for.
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeEnvironment;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn resolve(config: &AddressConfig, headers: &[(&str, &str)]) -> Option<String> {
        let environment = FakeEnvironment::default().with_peer_address("192.0.2.9");
        let headers = HeaderMap::from_pairs(headers.iter().copied());
        config.resolve(&headers, &environment).map(|address| address.to_string())
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let hops = |trusted_hops| AddressConfig { trusted_hops, peer_header: None };
        let forwarded = [("x-forwarded-for", "6.6.6.6, 198.51.100.1, 192.0.2.9")];
        assert_eq!(resolve(&hops(0), &forwarded).as_deref(), Some("192.0.2.9"));
        assert_eq!(resolve(&hops(1), &forwarded).as_deref(), Some("198.51.100.1"));
        assert_eq!(resolve(&hops(2), &forwarded).as_deref(), Some("6.6.6.6"));
        assert_eq!(resolve(&hops(3), &forwarded).as_deref(), Some("192.0.2.9"), "fewer hops than trusted");
        assert_eq!(resolve(&hops(1), &[]).as_deref(), Some("192.0.2.9"));
    }

    #[test]
    fn several_lines_are_one_list_and_what_is_no_address_is_nobody() {
        let one = AddressConfig { trusted_hops: 1, peer_header: None };
        let lines = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "[2001:db8::1]:80, 192.0.2.9")];
        assert_eq!(resolve(&one, &lines).as_deref(), Some("2001:db8::1"));
        assert_eq!(resolve(&one, &[("x-forwarded-for", "unknown, 192.0.2.9")]), None);
    }

    #[test]
    fn a_peer_header_stands_once_or_not_at_all() {
        let config =
            AddressConfig { trusted_hops: 0, peer_header: Some(HeaderName::new("x-sluice-peer").unwrap()) };
        assert_eq!(resolve(&config, &[("x-sluice-peer", "10.0.0.1")]).as_deref(), Some("10.0.0.1"));
        assert_eq!(resolve(&config, &[("x-sluice-peer", "10.0.0.1"), ("x-sluice-peer", "10.0.0.2")]), None);
        assert_eq!(resolve(&config, &[]), None);
    }
}
