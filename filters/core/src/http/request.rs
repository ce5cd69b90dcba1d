//! A request as policies see it: borrowed, in normal form, read once.

use crate::http::header_map::{HeaderMap, Single};
use crate::http::host;
use crate::http::path::{self, Ambiguity, NormalPath};
use std::borrow::Cow;
use std::fmt;

/// A request's headers and what follows from them.
#[derive(Debug)]
pub struct RequestView<'r> {
    headers: &'r HeaderMap,
    method: &'r str,
    target: NormalPath<'r>,
    host: Cow<'r, str>,
}

/// Why a request cannot be judged at all; it is answered with 400, or what [`Unreadable::status`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// No method, or one that is no token (RFC 9110 §9.1).
    Method,
    /// No host, several, or one that is no host.
    Host,
    /// A path that two servers could read differently.
    Path(Ambiguity),
    /// A client whose address can't be told, under a document that asks for it.
    ClientAddress,
    /// A peer whose certificate has several URIs, or whose URIs Envoy does not list as the document says.
    PeerIdentity,
    /// A header whose name is no token (RFC 9110 §5.1), and which some servers take for one that only a policy may write.
    HeaderName,
}

impl Unreadable {
    /// The status of the answer: 414 where the target is too long (RFC 9110 §15.5.15), else 400.
    pub const fn status(self) -> u16 {
        match self {
            Unreadable::Path(Ambiguity::TooLong) => 414,
            Unreadable::Method
            | Unreadable::Host
            | Unreadable::Path(_)
            | Unreadable::ClientAddress
            | Unreadable::PeerIdentity
            | Unreadable::HeaderName => 400,
        }
    }

    /// The stable name of the reason.
    pub const fn reason(self) -> &'static str {
        match self {
            Unreadable::Method => "malformed_method",
            Unreadable::Host => "ambiguous_host",
            Unreadable::Path(Ambiguity::TooLong) => "uri_too_long",
            Unreadable::Path(_) => "ambiguous_path",
            Unreadable::ClientAddress => "ambiguous_client_address",
            Unreadable::PeerIdentity => "ambiguous_peer_identity",
            Unreadable::HeaderName => "malformed_header_name",
        }
    }

    /// All names that [`Unreadable::reason`] gives.
    pub const REASONS: [&'static str; 7] = [
        "malformed_method",
        "ambiguous_host",
        "ambiguous_path",
        "uri_too_long",
        "ambiguous_client_address",
        "ambiguous_peer_identity",
        "malformed_header_name",
    ];
}

impl fmt::Display for Unreadable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Method => out.write_str("the method is missing or malformed"),
            Unreadable::Host => out.write_str("the host is missing, repeated or malformed"),
            Unreadable::Path(ambiguity) => write!(out, "{ambiguity}"),
            Unreadable::PeerIdentity => out.write_str("the peer's identity cannot be told"),
            Unreadable::ClientAddress => out.write_str("the client's address cannot be told"),
            Unreadable::HeaderName => out.write_str("the name of a header is malformed"),
        }
    }
}

impl<'r> RequestView<'r> {
    /// Looks at the headers of a request.
    ///
    /// # Errors
    /// Where method, host or path have no single reading.
    pub fn new(headers: &'r HeaderMap) -> Result<Self, Unreadable> {
        let (mut method, mut path, mut authority) = (None, None, None);
        // Envoy keeps pseudo-headers single and (in maps that it hands out) first, but nothing promises the order: look at all once.
        for (name, value) in headers.iter().filter(|(name, _)| name.first() == Some(&b':')) {
            match name {
                b":method" => method = Some(value),
                b":path" => path = Some(value),
                b":authority" => authority = Some(value),
                _ => {}
            }
        }
        let method = method
            .filter(|method| {
                !method.is_empty() && method.iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b'-')
            })
            .and_then(|method| std::str::from_utf8(method).ok())
            .ok_or(Unreadable::Method)?;
        let authority = match authority {
            Some(authority) => authority,
            // Envoy turns `host` into `:authority`; a map that was made elsewhere may still have it.
            None => match headers.single("host") {
                Single::Once(host) => host,
                Single::Absent | Single::Repeated => return Err(Unreadable::Host),
            },
        };
        let host = host::normalize(authority).ok_or(Unreadable::Host)?;
        // CONNECT has no path (RFC 9113 §8.5) unless it is extended; the root stands in, so that rules about paths still speak.
        let path = match (path, method) {
            (None, "CONNECT") => b"/".as_slice(),
            (path, _) => path.unwrap_or_default(),
        };
        let target = path::normalize(path).map_err(Unreadable::Path)?;
        Ok(Self { headers, method, target, host })
    }

    /// All headers.
    pub fn headers(&self) -> &'r HeaderMap {
        self.headers
    }

    /// The method, as it came: methods are case-sensitive (RFC 9110 §9.1).
    pub fn method(&self) -> &'r str {
        self.method
    }

    /// The path in normal form, without the query.
    pub fn path(&self) -> &str {
        self.target.path()
    }

    /// The query, as it came, without the `?`.
    pub fn query(&self) -> Option<&str> {
        self.target.query()
    }

    /// The host: lower case, without port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Every value of the query parameter `name`, decoded; what can't be decoded stays as it came, so that a rule still sees it.
    pub fn query_values<'v>(&'v self, name: &'v str) -> impl Iterator<Item = Cow<'v, [u8]>> {
        let decode =
            |text: &'v str| path::decode_query_component(text).unwrap_or(Cow::Borrowed(text.as_bytes()));
        self.query().into_iter().flat_map(|query| query.split('&')).filter_map(move |pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (*decode(key) == *name.as_bytes()).then(|| decode(value))
        })
    }

    /// Whether the request is gRPC: see [`is_grpc`].
    pub fn is_grpc(&self) -> bool {
        is_grpc(self.headers)
    }
}

/// Whether a request is gRPC (`content-type: application/grpc`, with or without a suffix): its answers are trailers. It can be told of
/// requests that are unreadable otherwise.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.first("content-type").is_some_and(|value| {
        value
            .strip_prefix(b"application/grpc")
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn headers(extra: &[(&'static str, &'static str)]) -> HeaderMap {
        let base = [(":method", "GET"), (":path", "/a?x=1&y=%20&x=2"), (":authority", "H:1")];
        HeaderMap::from_pairs(base.into_iter().chain(extra.iter().copied()))
    }

    #[test]
    fn a_request_is_read_into_its_normal_form() {
        let map = headers(&[]);
        let request = RequestView::new(&map).unwrap();
        assert_eq!((request.method(), request.path(), request.host()), ("GET", "/a", "h"));
        assert_eq!(request.query_values("x").collect::<Vec<_>>(), [b"1".as_slice(), b"2"]);
        assert_eq!(request.query_values("y").next().unwrap().as_ref(), b" ");
    }

    #[test]
    fn what_has_no_single_reading_is_unreadable() {
        for (pairs, why) in [
            (vec![(":path", "/"), (":authority", "h")], Unreadable::Method),
            (vec![(":method", "G T"), (":path", "/"), (":authority", "h")], Unreadable::Method),
            (vec![(":method", "GET"), (":path", "/")], Unreadable::Host),
            (vec![(":method", "GET"), (":path", "/"), ("host", "a"), ("host", "b")], Unreadable::Host),
            (vec![(":method", "GET"), (":authority", "h")], Unreadable::Path(Ambiguity::NotAbsolute)),
        ] {
            let map = HeaderMap::from_pairs(pairs.clone());
            assert_eq!(RequestView::new(&map).unwrap_err(), why, "{pairs:?}");
        }
    }

    #[test]
    fn a_target_that_is_too_long_has_a_status_of_its_own() {
        let long = format!("/{}", "a".repeat(path::LONGEST));
        let map = HeaderMap::from_pairs([(":method", "GET"), (":path", &long), (":authority", "h")]);
        let unreadable = RequestView::new(&map).unwrap_err();
        assert_eq!((unreadable.status(), unreadable.reason()), (414, "uri_too_long"));
        assert_eq!((Unreadable::Host.status(), Unreadable::Host.reason()), (400, "ambiguous_host"));
    }

    #[test]
    fn grpc_is_known_by_its_content_type() {
        for (value, grpc) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            let map = headers(&[("content-type", value)]);
            assert_eq!(RequestView::new(&map).unwrap().is_grpc(), grpc, "{value}");
        }
    }
}
