//! What a policy decides to do with a request.

use crate::decision::reason::ReasonId;
use crate::decision::wait::Wait;
use crate::http::header::{HeaderName, HeaderValue};
use std::borrow::Cow;

/// What a policy decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request goes on to the next policy.
    Continue,
    /// The request is answered here.
    Respond(LocalReply),
    /// Something is missing: the stage is asked again once it has come.
    Wait(Wait),
}

/// So that a stage can use `?` on what it asks for.
impl From<Result<Verdict, Wait>> for Verdict {
    fn from(result: Result<Verdict, Wait>) -> Self {
        result.unwrap_or_else(Verdict::Wait)
    }
}

/// An answer that a policy gives in place of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalReply {
    /// 200 to 599.
    pub status: u16,
    /// Why: in the response-code details, in the body, in metrics and logs.
    pub reason: ReasonId,
    /// A sentence for the client. It must not tell what an attacker could use, nor repeat what a client sent.
    pub detail: Cow<'static, str>,
    /// Headers besides those of the body: `www-authenticate`, `retry-after`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The gRPC status for a gRPC request; `None`: the one that goes with `status`.
    pub grpc_status: Option<u8>,
    /// The body, where it is no problem document.
    pub content: Option<Content>,
}

/// The body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its `content-type`.
    pub media_type: HeaderValue,
    /// The body itself.
    pub body: Vec<u8>,
}

impl LocalReply {
    /// An answer without further headers.
    pub fn new(status: u16, reason: ReasonId, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, reason, detail: detail.into(), headers: Vec::new(), grpc_status: None, content: None }
    }

    /// With this header besides.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// The changes that all policies of a request asked for; applied once, when all have been asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mutations {
    request: Vec<(HeaderName, Option<HeaderValue>)>,
    response: Vec<(HeaderName, HeaderValue)>,
    clear_route_cache: bool,
}

impl Mutations {
    /// The request's header `name` shall have this one value, whatever it had.
    pub fn set_request_header(&mut self, name: HeaderName, value: HeaderValue) {
        self.put(name, Some(value));
    }

    /// The request shall have no header `name`.
    pub fn remove_request_header(&mut self, name: HeaderName) {
        self.put(name, None);
    }

    /// The response, if it comes from the service, shall have this header besides its own.
    pub fn set_response_header(&mut self, name: HeaderName, value: HeaderValue) {
        match self.response.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.response.push((name, value)),
        }
    }

    /// Envoy shall choose the route anew, after the changes.
    pub fn clear_route_cache(&mut self) {
        self.clear_route_cache = true;
    }

    /// The request's headers to set (`Some`) and to remove (`None`); each name once, the last word on it.
    pub fn request_headers(&self) -> &[(HeaderName, Option<HeaderValue>)] {
        &self.request
    }

    /// The response's headers to set.
    pub fn response_headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.response
    }

    /// Takes the response's headers out.
    pub fn take_response_headers(&mut self) -> Vec<(HeaderName, HeaderValue)> {
        std::mem::take(&mut self.response)
    }

    /// Of all changes only those of the request's headers that `keep` names: what holds for a request that is answered here. It does not
    /// go on, so nothing that was proven about it belongs into it, but the access log shows its headers.
    #[must_use]
    pub fn only_request_headers(mut self, keep: impl Fn(&HeaderName) -> bool) -> Self {
        self.request.retain(|(name, _)| keep(name));
        Self { request: self.request, ..Self::default() }
    }

    /// Whether Envoy shall choose the route anew.
    pub fn clears_route_cache(&self) -> bool {
        self.clear_route_cache
    }

    fn put(&mut self, name: HeaderName, value: Option<HeaderValue>) {
        match self.request.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.request.push((name, value)),
        }
    }
}
