//! How clients get tokens for what lies behind the proxy: OAuth 2.0 Protected Resource Metadata (RFC 9728).

use sluice_core::decision::reason::ReasonId;
use sluice_core::decision::verdict::{Content, LocalReply};
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::http::request::RequestView;

/// Where the document lies (RFC 9728 §3); the path of the resource follows.
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// A compiled resource.
#[derive(Debug)]
pub struct ProtectedResource {
    /// The host of its URL, as [`RequestView::host`] has it.
    pub host: String,
    /// The path of its URL without a slash at the end; empty for all paths.
    pub path: String,
    /// The path of its document.
    pub metadata_path: String,
    /// The URL of its document, for challenges.
    pub metadata_url: String,
    /// Its document.
    pub document: Vec<u8>,
    /// The reason of an answer with the document.
    pub served: ReasonId,
}

/// A request for a document, which needs no credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// For the document.
    Document,
    /// By a browser, whether another site's script may ask for it.
    Preflight,
}

impl ProtectedResource {
    /// The resource that a request is for: of those around it the innermost.
    pub fn of_request<'r>(resources: &'r [Self], request: &RequestView<'_>) -> Option<&'r Self> {
        let around = resources.iter().filter(|resource| resource.has(request));
        around.max_by_key(|resource| resource.path.len())
    }

    /// The answer to a request for the document of one of `resources`.
    pub fn answer(resources: &[Self], request: &RequestView<'_>) -> Option<LocalReply> {
        let asked = match request.method() {
            "GET" | "HEAD" => Asked::Document,
            "OPTIONS" if request.headers().first("access-control-request-method").is_some() => {
                Asked::Preflight
            }
            _ => return None,
        };
        let is_meant =
            |resource: &&Self| resource.metadata_path == request.path() && resource.host == request.host();
        Some(resources.iter().find(is_meant)?.reply(asked))
    }

    fn has(&self, request: &RequestView<'_>) -> bool {
        let below = request.path().strip_prefix(self.path.as_str());
        self.host == request.host() && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Anybody may read it, a browser's script of any site as well: there is no secret in it, and no credential makes it another.
    fn reply(&self, asked: Asked) -> LocalReply {
        let header = |name, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let mut reply = LocalReply::new(200, self.served, "");
        let (media_type, body) = match asked {
            Asked::Document => {
                reply.headers.push(header("cache-control", "max-age=300"));
                ("application/json", self.document.clone())
            }
            Asked::Preflight => {
                reply.headers.push(header("access-control-allow-methods", "GET, HEAD"));
                reply.headers.push(header("access-control-allow-headers", "*"));
                ("text/plain", Vec::new())
            }
        };
        reply.content = Some(Content { media_type: HeaderValue::from_static(media_type), body });
        reply.headers.push(header("access-control-allow-origin", "*"));
        reply
    }
}

#[cfg(test)]
mod tests;
