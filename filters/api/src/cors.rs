//! CORS, as the Fetch standard has it (https://fetch.spec.whatwg.org/#http-cors-protocol).
//!
//! The browser asks, by headers of the request, and keeps the answer from a page that the headers of the response don't let in. So a server
//! only says whom it lets in, and must say it on every response: also on a 401, for a page must read that it has to log in.

use crate::origin::OriginPattern;
use sluice_core::decision::reason::ReasonId;
use sluice_core::decision::response::Response;
use sluice_core::decision::verdict::LocalReply;
use sluice_core::http::header::{HeaderName, HeaderValue, is_token};
use sluice_core::http::header_map::{HeaderMap, Single};
use sluice_core::http::request::RequestView;
use sluice_core::rule::head::Head;

/// What a service says of its own: the document's word replaces it whole.
const RESPONSE_HEADERS: [&str; 7] = [
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-expose-headers",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-max-age",
    "access-control-allow-private-network",
];

/// A compiled rule.
#[derive(Debug)]
pub(crate) struct Cors {
    pub(crate) head: Head,
    pub(crate) origins: Vec<OriginPattern>,
    pub(crate) methods: Allowed,
    pub(crate) headers: Allowed,
    pub(crate) expose: Option<HeaderValue>,
    pub(crate) max_age: Option<HeaderValue>,
    pub(crate) credentials: bool,
    pub(crate) private_network: bool,
    pub(crate) refuses_others: bool,
    pub(crate) shadow: bool,
    pub(crate) reasons: Reasons,
}

/// Why a request was answered, or not.
#[derive(Debug)]
pub(crate) struct Reasons {
    pub(crate) preflight: ReasonId,
    pub(crate) origin_denied: ReasonId,
    pub(crate) other_origin: ReasonId,
}

/// What a page may send.
#[derive(Debug)]
pub(crate) enum Allowed {
    /// What browsers send without asking, and nothing else.
    Nothing,
    /// These.
    Listed(HeaderValue),
    /// Whatever is asked for. `*` itself means nothing with credentials, and never `authorization`.
    Asked,
}

/// Where a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// From no page, or from one whose browser need not ask.
    None,
    /// From a page that may, with what allows it.
    Allowed(HeaderValue),
    /// From another.
    Other,
}

/// A browser asks before it sends a request (Fetch, "CORS-preflight request").
pub(crate) fn is_preflight(request: &RequestView<'_>) -> bool {
    let headers = request.headers();
    request.method() == "OPTIONS"
        && headers.first("origin").is_some()
        && headers.first("access-control-request-method").is_some()
}

impl Cors {
    /// Where the request comes from.
    pub(crate) fn origin(&self, headers: &HeaderMap) -> Origin {
        let origin = match headers.single("origin") {
            Single::Absent => return Origin::None,
            Single::Once(origin) => origin,
            // No browser sends two.
            Single::Repeated => return Origin::Other,
        };
        if self.allows_all() && !self.credentials {
            return Origin::Allowed(HeaderValue::from_static("*"));
        }
        if !self.origins.iter().any(|pattern| pattern.matches(origin)) {
            return Origin::Other;
        }
        HeaderValue::new(origin).map_or(Origin::Other, Origin::Allowed)
    }

    /// Whether the request is refused for where it comes from: not a page of the service's own host, which sends its origin with a POST.
    pub(crate) fn refuses(&self, headers: &HeaderMap) -> bool {
        self.refuses_others && self.origin(headers) == Origin::Other && !is_same_origin(headers)
    }

    fn allows_all(&self) -> bool {
        self.origins.contains(&OriginPattern::Any)
    }

    /// Says on a response who may read it.
    pub(crate) fn mark(&self, origin: &Origin, response: &mut Response<'_>) {
        for name in RESPONSE_HEADERS {
            if response.has(name) {
                response.remove(HeaderName::from_static(name));
            }
        }
        // Also where no page asked: a cache must not give that response to one.
        if !self.allows_all() && !response.lists("vary", "origin") && !response.lists("vary", "*") {
            response.add(HeaderName::from_static("vary"), HeaderValue::from_static("Origin"));
        }
        if let Origin::Allowed(origin) = origin {
            for (name, value) in self.of_any_response(origin) {
                response.set(name, value);
            }
            if let Some(expose) = &self.expose {
                response.set(HeaderName::from_static("access-control-expose-headers"), expose.clone());
            }
        }
    }

    fn of_any_response(&self, origin: &HeaderValue) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = vec![(HeaderName::from_static("access-control-allow-origin"), origin.clone())];
        if self.credentials {
            let name = HeaderName::from_static("access-control-allow-credentials");
            headers.push((name, HeaderValue::from_static("true")));
        }
        headers
    }

    /// The answer to a preflight.
    pub(crate) fn answer(&self, headers: &HeaderMap) -> LocalReply {
        let vary = (HeaderName::from_static("vary"), HeaderValue::from_static(VARY));
        let Origin::Allowed(origin) = self.origin(headers) else {
            let detail = "Pages of this origin may not call this.";
            return LocalReply::new(403, self.reasons.origin_denied, detail).with_header(vary.0, vary.1);
        };
        let mut reply = LocalReply::new(204, self.reasons.preflight, "");
        reply.headers = self.of_any_response(&origin);
        reply.headers.push(vary);
        let mut say = |name: &'static str, value: Option<HeaderValue>| {
            reply.headers.extend(value.map(|value| (HeaderName::from_static(name), value)));
        };
        let asked = |name| self_asked(headers, name);
        say("access-control-allow-methods", self.methods.say(|| asked("access-control-request-method")));
        say("access-control-allow-headers", self.headers.say(|| asked("access-control-request-headers")));
        say("access-control-max-age", self.max_age.clone());
        let private = headers.first("access-control-request-private-network") == Some(b"true");
        let allowed = (private && self.private_network).then(|| HeaderValue::from_static("true"));
        say("access-control-allow-private-network", allowed);
        reply
    }
}

/// By what the answer to a preflight differs.
const VARY: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

/// What a preflight asks for, if that is a list of tokens.
fn self_asked(headers: &HeaderMap, name: &str) -> Option<HeaderValue> {
    let Single::Once(asked) = headers.single(name) else { return None };
    let is_item = |item: &[u8]| {
        let item = item.trim_ascii();
        !item.is_empty() && item.iter().all(|byte| is_token(*byte))
    };
    asked.split(|byte| *byte == b',').all(is_item).then(|| HeaderValue::new(asked).ok())?
}

/// Whether the origin is the host that is called, by whichever scheme the proxy is reached.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let (Single::Once(origin), Some(authority)) = (headers.single("origin"), headers.first(":authority"))
    else {
        return false;
    };
    let host = origin.strip_prefix(b"https://").or_else(|| origin.strip_prefix(b"http://"));
    host.is_some_and(|host| host.eq_ignore_ascii_case(authority))
}

impl Allowed {
    fn say(&self, asked: impl FnOnce() -> Option<HeaderValue>) -> Option<HeaderValue> {
        match self {
            Self::Nothing => None,
            Self::Listed(list) => Some(list.clone()),
            Self::Asked => asked(),
        }
    }
}
