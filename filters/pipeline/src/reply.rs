//! From a policy's answer to what goes over the wire.

use serde::Serialize;
use sluice_core::decision::reason::ReasonTable;
use sluice_core::decision::response::Edit;
use sluice_core::decision::verdict::LocalReply;
use sluice_core::http::header::{HeaderName, HeaderValue};

/// An answer, ready for the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599; for gRPC the host answers 200 with trailers.
    pub status: u16,
    /// For Envoy's response-code details: the reason, without blanks.
    pub details: String,
    /// Headers, those of the body among them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `application/problem+json` (RFC 9457), or for gRPC the plain message. Empty where the status allows none.
    pub body: Vec<u8>,
    /// The gRPC status, if the request was gRPC.
    pub grpc_status: Option<u8>,
}

/// The members of a problem (RFC 9457 §3.1), and `reason` as an extension (§3.2). `type` is left out: `about:blank`, so `title` is the
/// status' phrase.
#[derive(Serialize)]
struct ProblemDetails<'p> {
    title: &'p str,
    status: u16,
    detail: &'p str,
    reason: &'p str,
}

impl Reply {
    /// Renders a policy's answer to a request that is gRPC or not.
    pub(crate) fn render(reply: &LocalReply, reasons: &ReasonTable, grpc: bool) -> Self {
        let details = reasons.get(reply.reason).map(ToString::to_string).unwrap_or_default();
        let mut headers = reply.headers.clone();
        if grpc {
            let grpc_status = Some(reply.grpc_status.unwrap_or_else(|| grpc_status(reply.status)));
            return Self {
                status: reply.status,
                details,
                headers,
                body: reply.detail.as_bytes().to_vec(),
                grpc_status,
            };
        }
        if !has_content(reply.status) {
            return Self { status: reply.status, details, headers, body: Vec::new(), grpc_status: None };
        }
        if let Some(content) = &reply.content {
            headers.push((HeaderName::from_static("content-type"), content.media_type.clone()));
            return Self {
                status: reply.status,
                details,
                headers,
                body: content.body.clone(),
                grpc_status: None,
            };
        }
        let problem = ProblemDetails {
            title: phrase(reply.status),
            status: reply.status,
            detail: &reply.detail,
            reason: &details,
        };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        if let (Ok(name), Ok(value)) =
            (HeaderName::new("content-type"), HeaderValue::new(b"application/problem+json"))
        {
            headers.push((name, value));
        }
        Self { status: reply.status, details, headers, body, grpc_status: None }
    }
}

/// Whether an answer with this status has content, and so headers that describe it (RFC 9110 §6.4.1, §15.3.6). Answers to HEAD are
/// Envoy's business: it sends the headers alone.
const fn has_content(status: u16) -> bool {
    !matches!(status, 100..=199 | 204 | 205 | 304)
}

impl Reply {
    /// Headers that policies set on every response stand on our own answers as well, unless the answer says something else under their
    /// names.
    pub(crate) fn add_headers(&mut self, headers: &[(HeaderName, HeaderValue)]) {
        let own = self.headers.len();
        for (name, value) in headers {
            if !self.headers.iter().take(own).any(|(known, _)| known == name) {
                self.headers.push((name.clone(), value.clone()));
            }
        }
    }

    /// What follow-ups have changed about it.
    pub(crate) fn edit(&mut self, edits: Vec<Edit>) {
        for edit in edits {
            match edit {
                Edit::Remove(name) => self.headers.retain(|(known, _)| *known != name),
                Edit::Replace(name, value) => {
                    self.headers.retain(|(known, _)| *known != name);
                    self.headers.push((name, value));
                }
                Edit::Add(name, value) => self.headers.push((name, value)),
            }
        }
    }
}

/// The gRPC status for a policy's HTTP status. As Envoy maps them (grpc/status.cc), but for the answers that are decisions of a
/// policy rather than failures on the way: 400 and 414 are INVALID_ARGUMENT and 429 RESOURCE_EXHAUSTED.
const fn grpc_status(status: u16) -> u8 {
    match status {
        400 | 414 => 3,
        401 => 16,
        403 => 7,
        404 => 12,
        429 => 8,
        502..=504 => 14,
        _ => 2,
    }
}

/// The phrase of a status (RFC 9110 §15, RFC 6585): of those that policies commonly give.
const fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        418 => "I'm a teapot",
        422 => "Unprocessable Content",
        425 => "Too Early",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => match status / 100 {
            2 => "Success",
            3 => "Redirection",
            4 => "Client Error",
            _ => "Server Error",
        },
    }
}
