//! Who is calling, before any proof: the client's address, and how far `x-forwarded-for` is believed.

use crate::decision::environment::Environment;
use crate::document::problem::{FieldPath, Problems};
use crate::http::header::HeaderName;
use crate::http::header_map::{HeaderMap, Single};
use serde::Deserialize;
use std::net::IpAddr;

/// `client`: who is calling, before any proof.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ClientSection {
    /// How the client's address is found. Without it: the connection's peer, as Envoy's `source.address` has it.
    pub address: AddressConfig,
    /// A header that the Envoy configuration overwrites with `%DOWNSTREAM_PEER_URI_SAN%` before filters run
    /// (`early_header_mutation_extensions`): all URIs of the certificate that the peer proved to hold. Envoy tells a filter the first of
    /// them only, so that a certificate with several could dodge a rule about its second. With this header such a connection's
    /// requests are refused, as SPIFFE (X.509-SVID §2) demands. The header alone proves nothing: it can only lead to a refusal.
    pub peer_identity_header: Option<HeaderName>,
}

/// `client.address`: how the client's address is found.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct AddressConfig {
    /// How many proxies in front of this Envoy are trusted to have appended the address that called them to `x-forwarded-for`.
    /// 0, the default: none, the connection's peer is the client. With `n` and `useRemoteAddress: true`, the client is the `n`-th
    /// address to the left of the last; the last is the peer, which this Envoy appends. With `n` and `useRemoteAddress: false`,
    /// nothing is appended here, and the client is the `n`-th address from the right. Fewer addresses than that: the peer, as
    /// Envoy itself decides (`xff_num_trusted_hops`). An entry that is no address: the request is refused.
    pub trusted_hops: u8,
    /// What `use_remote_address` of this Envoy's connection manager says: whether it appends the peer's address to
    /// `x-forwarded-for`. Only with `trustedHops`. Without it: with `peerHeader`, the peer is taken as appended where the last address is the peer's;
    /// without `peerHeader`, always.
    pub use_remote_address: Option<bool>,
    /// A header that the Envoy configuration overwrites with `%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%` before filters run
    /// (`early_header_mutation_extensions`): the peer's address for less than reading a property, and true whatever
    /// `use_remote_address` says. Name it only where it is overwritten: otherwise clients could write it themselves.
    pub peer_header: Option<HeaderName>,
}

/// The client's address can't be told: what should say it is no address, stands twice, or is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AmbiguousAddress;

/// The peer's identity can't be told: its certificate has several URIs, or the header that lists them is not written by Envoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AmbiguousPeer;

/// The peer's identity, where `first` is the first URI of its certificate and the header `list`, if there is one, has them all.
///
/// # Errors
/// [`AmbiguousPeer`], where the header does not say that there is this one alone.
pub fn only_identity(
    first: Option<String>,
    list: Option<&HeaderName>,
    headers: &HeaderMap,
) -> Result<Option<String>, AmbiguousPeer> {
    match (first, list) {
        (Some(first), Some(name)) if headers.single(name.as_str()) != Single::Once(first.as_bytes()) => {
            Err(AmbiguousPeer)
        }
        // No SPIFFE identity holds a comma (SPIFFE-ID §2), which separates the URIs in the header.
        (Some(first), Some(_)) if first.contains(',') => Err(AmbiguousPeer),
        (first, _) => Ok(first),
    }
}

// === impl AddressConfig ===

impl AddressConfig {
    /// Says what of it, which stands at `path`, makes no sense, and what can be read in two ways.
    pub fn check(&self, path: &FieldPath, problems: &mut Problems) {
        match (self.trusted_hops, self.use_remote_address) {
            (0, Some(_)) => problems.report(&path.field("useRemoteAddress"), "does nothing without `trustedHops`"),
            (0, None) | (_, Some(_)) => {}
            (_, None) => problems.warn(
                &path.field("trustedHops"),
                "whether this Envoy appends the peer to `x-forwarded-for` is guessed: write `useRemoteAddress: true` or `false`, as `use_remote_address` of its connection manager says",
            ),
        }
    }

    /// The client's address; `None` where the connection has none (a Unix socket).
    ///
    /// # Errors
    /// [`AmbiguousAddress`], where the entry of `x-forwarded-for` that is believed is no address, and where the peer's header is missing,
    /// repeated, or no address. What can't be read is never taken for the peer: the peer is often trusted more than its clients.
    pub fn resolve(
        &self,
        headers: &HeaderMap,
        environment: &dyn Environment,
    ) -> Result<Option<IpAddr>, AmbiguousAddress> {
        if self.trusted_hops == 0 {
            return self.peer(headers, environment);
        }
        let appended = usize::from(self.peer_is_appended(headers)?);
        let from_the_right = usize::from(self.trusted_hops).saturating_sub(1).saturating_add(appended);
        match entry(headers, from_the_right) {
            Some(entry) => parse(entry).map(Some).ok_or(AmbiguousAddress),
            None => self.peer(headers, environment),
        }
    }

    /// Whether the last entry of `x-forwarded-for` was appended by this Envoy.
    fn peer_is_appended(&self, headers: &HeaderMap) -> Result<bool, AmbiguousAddress> {
        if self.use_remote_address == Some(false) {
            return Ok(false);
        }
        let Some(name) = &self.peer_header else { return Ok(true) };
        let peer = written_peer(headers, name)?;
        let is_last = entry(headers, 0).and_then(parse) == Some(peer);
        if self.use_remote_address == Some(true) && !is_last {
            return Err(AmbiguousAddress);
        }
        Ok(is_last)
    }

    fn peer(
        &self,
        headers: &HeaderMap,
        environment: &dyn Environment,
    ) -> Result<Option<IpAddr>, AmbiguousAddress> {
        match &self.peer_header {
            Some(name) => written_peer(headers, name).map(Some),
            None => Ok(environment.peer_address()),
        }
    }
}

/// The peer's address in the header that Envoy overwrites.
fn written_peer(headers: &HeaderMap, name: &HeaderName) -> Result<IpAddr, AmbiguousAddress> {
    match headers.single(name.as_str()) {
        Single::Once(value) => parse(value).ok_or(AmbiguousAddress),
        Single::Absent | Single::Repeated => Err(AmbiguousAddress),
    }
}

/// An entry of `x-forwarded-for`, counted from the right over all its lines, 0 for the last. Empty entries count: a trusted proxy
/// appends behind them. `None`: there are not so many.
fn entry(headers: &HeaderMap, from_the_right: usize) -> Option<&[u8]> {
    let entries = || headers.all("x-forwarded-for").flat_map(|line| line.split(|byte: &u8| *byte == b','));
    let position = entries().count().checked_sub(from_the_right)?.checked_sub(1)?;
    entries().nth(position)
}

/// An address; some proxies write a port, brackets, or the zone of a link-local address (RFC 4007 §11).
fn parse(bytes: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(bytes).ok()?.trim_matches([' ', '\t']);
    let text = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (address, port) = bracketed.split_once(']')?;
            if !port.is_empty() {
                port.strip_prefix(':')?.parse::<u16>().ok()?;
            }
            return without_zone(address)?.parse::<std::net::Ipv6Addr>().ok().map(canonical);
        }
        None => without_zone(text)?,
    };
    let address = text.parse::<IpAddr>().ok();
    address
        .or_else(|| text.parse::<std::net::SocketAddrV4>().ok().map(|socket| (*socket.ip()).into()))
        .map(canonical)
}

/// An address in the form in which it is compared: IPv4 in IPv6 as IPv4.
fn canonical(address: impl Into<IpAddr>) -> IpAddr {
    address.into().to_canonical()
}

/// The address before its zone, if it has one.
fn without_zone(text: &str) -> Option<&str> {
    match text.split_once('%') {
        None => Some(text),
        Some((address, zone)) => {
            let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'~');
            (address.contains(':') && !zone.is_empty() && zone.bytes().all(fine)).then_some(address)
        }
    }
}

#[cfg(test)]
mod tests;
