//! What is asked of a request.

use crate::body::Watched;
use crate::media_range::MediaRange;
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::verdict::LocalReply;
use sluice_core::http::header::HeaderName;
use sluice_core::http::header_map::HeaderMap;
use sluice_core::http::request::RequestView;
use std::rc::Rc;

/// What is asked of a request. What is not there is not asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checks {
    pub(crate) methods: Option<Rc<Methods>>,
    pub(crate) uri: Option<Rc<Limit>>,
    pub(crate) query: Option<Rc<Limit>>,
    pub(crate) headers: Option<Rc<Limit>>,
    pub(crate) header_bytes: Option<Rc<Limit>>,
    pub(crate) required_headers: Option<Rc<Vec<RequiredHeader>>>,
    pub(crate) content_types: Option<Rc<ContentTypes>>,
    pub(crate) body: Option<Rc<Limit>>,
}

/// So much and no more.
#[derive(Debug)]
pub(crate) struct Limit {
    /// The most that there may be, of bytes, headers or parameters.
    pub(crate) most: u64,
    /// The answer to more.
    pub(crate) refusal: LocalReply,
}

/// Methods that are allowed.
#[derive(Debug)]
pub(crate) struct Methods {
    pub(crate) allowed: Vec<String>,
    pub(crate) refusal: LocalReply,
}

/// A header that must be there.
#[derive(Debug)]
pub(crate) struct RequiredHeader {
    pub(crate) name: HeaderName,
    pub(crate) refusal: LocalReply,
}

/// Kinds of content that are allowed.
#[derive(Debug)]
pub(crate) struct ContentTypes {
    pub(crate) allowed: Vec<MediaRange>,
    /// What may come without saying of what kind it is: nothing.
    pub(crate) untyped: Rc<Limit>,
}

/// Whether what is broken is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is.
    Enforce,
    /// It is only counted.
    Shadow,
}

/// The sizes of a request's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HeaderSizes {
    count: u64,
    bytes: u64,
}

// === impl Limit ===

impl Limit {
    fn broken_by(&self, size: u64) -> Option<&LocalReply> {
        (size > self.most).then_some(&self.refusal)
    }
}

// === impl Checks ===

impl Checks {
    /// Where nothing is said here, what `others` say.
    pub(crate) fn or(self, others: &Self) -> Self {
        Self {
            methods: self.methods.or_else(|| others.methods.clone()),
            uri: self.uri.or_else(|| others.uri.clone()),
            query: self.query.or_else(|| others.query.clone()),
            headers: self.headers.or_else(|| others.headers.clone()),
            header_bytes: self.header_bytes.or_else(|| others.header_bytes.clone()),
            required_headers: self.required_headers.or_else(|| others.required_headers.clone()),
            content_types: self.content_types.or_else(|| others.content_types.clone()),
            body: self.body.or_else(|| others.body.clone()),
        }
    }

    /// Whether nothing is asked.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(
            self,
            Self {
                methods: None,
                uri: None,
                query: None,
                headers: None,
                header_bytes: None,
                required_headers: None,
                content_types: None,
                body: None,
            }
        )
    }

    /// Asks all this of a request. Gives the answer to one that is refused; what its body must still show goes into `watched`.
    pub(crate) fn judge<'c>(
        &'c self,
        exchange: &Exchange<'_>,
        mode: Mode,
        watched: &mut Vec<Watched>,
    ) -> Option<&'c LocalReply> {
        let request = exchange.request();
        let (mut broken, declared) = (self.broken(request), content_length(request.headers()));
        match mode {
            Mode::Enforce => {
                let refusal = broken.next();
                if refusal.is_some() {
                    return refusal;
                }
            }
            Mode::Shadow => broken.for_each(|refusal| exchange.record(refusal.reason)),
        }
        if declared != Some(0) {
            let fits = |limit: &&Rc<Limit>| declared.is_none_or(|declared| declared <= limit.most);
            let limits = self.untyped(request.headers()).into_iter().chain(&self.body).filter(fits);
            watched.extend(limits.map(|limit| Watched { limit: Rc::clone(limit), mode }));
        }
        None
    }

    /// The answers to all that a request's headers break, in the order in which they are asked: the cheap first.
    fn broken<'c, 'r>(
        &'c self,
        request: &'r RequestView<'r>,
    ) -> impl Iterator<Item = &'c LocalReply> + use<'c, 'r> {
        let headers = request.headers();
        let methods = move || self.methods.as_ref()?.broken_by(request.method());
        let uri = move || self.uri.as_ref()?.broken_by(target_bytes(headers));
        let query = move || self.query.as_ref()?.broken_by(parameters(request.query()));
        let count = move || self.headers.as_ref()?.broken_by(HeaderSizes::of(headers).count);
        let bytes = move || self.header_bytes.as_ref()?.broken_by(HeaderSizes::of(headers).bytes);
        let required = move || {
            let missing = |wanted: &&RequiredHeader| headers.first(wanted.name.as_str()).is_none();
            self.required_headers.as_ref()?.iter().find(missing).map(|wanted| &wanted.refusal)
        };
        let content_types = move || self.content_types.as_ref()?.broken_by(headers);
        let body = move || self.body.as_ref()?.broken_by(content_length(headers)?);
        std::iter::once_with(methods)
            .chain(std::iter::once_with(uri))
            .chain(std::iter::once_with(query))
            .chain(std::iter::once_with(count))
            .chain(std::iter::once_with(bytes))
            .chain(std::iter::once_with(required))
            .chain(std::iter::once_with(content_types))
            .chain(std::iter::once_with(body))
            .flatten()
    }

    /// The limit for content of which nobody says what kind it is.
    fn untyped(&self, headers: &HeaderMap) -> Option<&Rc<Limit>> {
        let content_types = self.content_types.as_ref()?;
        headers.first("content-type").is_none().then_some(&content_types.untyped)
    }
}

// === impl Methods ===

impl Methods {
    fn broken_by(&self, method: &str) -> Option<&LocalReply> {
        let allowed = self.allowed.iter().any(|allowed| allowed == method);
        (!allowed).then_some(&self.refusal)
    }
}

// === impl ContentTypes ===

impl ContentTypes {
    /// A type that is given must be allowed, whether content follows or not. Content without one is refused, which shows at once where its
    /// length is declared.
    fn broken_by(&self, headers: &HeaderMap) -> Option<&LocalReply> {
        let mut given = headers.all("content-type").peekable();
        if given.peek().is_none() {
            return self.untyped.broken_by(content_length(headers)?);
        }
        let takes = |given: &[u8]| self.allowed.iter().any(|range| range.takes(given));
        given.any(|given| !takes(given)).then_some(&self.untyped.refusal)
    }
}

// === impl HeaderSizes ===

impl HeaderSizes {
    fn of(headers: &HeaderMap) -> Self {
        let mut sizes = Self { count: 0, bytes: 0 };
        for (name, value) in headers.iter().filter(|(name, _)| name.first() != Some(&b':')) {
            sizes.count = sizes.count.saturating_add(1);
            sizes.bytes = sizes.bytes.saturating_add(size(name)).saturating_add(size(value));
        }
        sizes
    }
}

/// What is measured of a request, for `sluice explain`.
pub(crate) fn describe(request: &RequestView<'_>) -> String {
    let headers = request.headers();
    let HeaderSizes { count, bytes } = HeaderSizes::of(headers);
    let body = match content_length(headers) {
        Some(length) => format!("of {length} bytes, as declared"),
        None => "of no declared length".to_owned(),
    };
    let parameters = parameters(request.query());
    format!(
        "path and query of {} bytes, {parameters} parameters, {count} headers of {bytes} bytes, a body {body}",
        target_bytes(headers)
    )
}

fn size(bytes: &[u8]) -> u64 {
    bytes.len() as u64
}

fn target_bytes(headers: &HeaderMap) -> u64 {
    headers.first(":path").map_or(0, size)
}

/// How many parameters a query has: what stands between `&`, if anything does.
fn parameters(query: Option<&str>) -> u64 {
    let given = query.unwrap_or_default().split('&').filter(|parameter| !parameter.is_empty());
    given.fold(0, |count, _| count.saturating_add(1))
}

/// The declared length of the body (RFC 9110 §8.6), the largest where several are given. `None` where there is none that can be read: Envoy
/// lets no such request through, and its body is counted.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    let read = |value: &[u8]| {
        let digits = value.trim_ascii();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        // More than fits is more than any limit.
        Some(digits.iter().fold(0_u64, |number, digit| {
            number.saturating_mul(10).saturating_add(u64::from(digit.saturating_sub(b'0')))
        }))
    };
    headers.all("content-length").filter_map(read).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_declared_length_is_read_as_digits_alone() {
        for (values, length) in [
            (vec![], None),
            (vec!["0"], Some(0)),
            (vec!["17"], Some(17)),
            (vec!["017"], Some(17)),
            (vec!["18446744073709551615"], Some(u64::MAX)),
            (vec!["99999999999999999999999"], Some(u64::MAX)),
            (vec!["5", "7"], Some(7)),
            (vec!["x", "7"], Some(7)),
            (vec![""], None),
            (vec!["-1"], None),
            (vec!["+1"], None),
            (vec!["1e3"], None),
            (vec!["5, 5"], None),
        ] {
            let headers = HeaderMap::from_pairs(values.iter().map(|value| ("content-length", value)));
            assert_eq!(content_length(&headers), length, "{values:?}");
        }
    }

    #[test]
    fn parameters_are_what_stands_between_ampersands() {
        for (query, count) in [
            (None, 0),
            (Some(""), 0),
            (Some("a"), 1),
            (Some("a=1&b=2"), 2),
            (Some("a=1&&b=2&"), 2),
            (Some("a=1&a=1&a=1"), 3),
            (Some("a=1;b=2"), 1),
        ] {
            assert_eq!(parameters(query), count, "{query:?}");
        }
    }

    #[test]
    fn pseudo_headers_are_no_headers() {
        let headers = HeaderMap::from_pairs([(":method", "GET"), (":path", "/a"), ("x", "12"), ("yy", "")]);
        assert_eq!(HeaderSizes::of(&headers), HeaderSizes { count: 2, bytes: 5 });
        assert_eq!(target_bytes(&headers), 2);
    }
}
