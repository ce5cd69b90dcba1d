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
    /// Since when changes can be taken back, if a stage is being asked that may wait.
    begun: Option<Begun>,
}

/// What was there before a stage was asked: to take its changes back without a copy of all others.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Begun {
    request: usize,
    response: usize,
    clear_route_cache: bool,
    replaced: Vec<Replaced>,
}

/// A header, by its position, that had another value before.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Replaced {
    Request(usize, Option<HeaderValue>),
    Response(usize, HeaderValue),
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
        match self.response.iter_mut().enumerate().find(|(_, (known, _))| *known == name) {
            Some((at, (_, old))) => {
                let old = std::mem::replace(old, value);
                if let Some(begun) = &mut self.begun {
                    begun.replaced.push(Replaced::Response(at, old));
                }
            }
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

    /// What comes from here on can be taken back, until it is kept.
    pub(crate) fn begin(&mut self) {
        self.begun = Some(Begun {
            request: self.request.len(),
            response: self.response.len(),
            clear_route_cache: self.clear_route_cache,
            replaced: Vec::new(),
        });
    }

    /// Keeps what came since [`Mutations::begin`].
    pub(crate) fn keep(&mut self) {
        self.begun = None;
    }

    /// Takes back what came since [`Mutations::begin`].
    pub(crate) fn take_back(&mut self) {
        let Some(begun) = self.begun.take() else { return };
        self.request.truncate(begun.request);
        self.response.truncate(begun.response);
        self.clear_route_cache = begun.clear_route_cache;
        // The last first: of a name that was replaced twice the first value is the one from before.
        for replaced in begun.replaced.into_iter().rev() {
            match replaced {
                Replaced::Request(at, value) => {
                    if let Some((_, now)) = self.request.get_mut(at) {
                        *now = value;
                    }
                }
                Replaced::Response(at, value) => {
                    if let Some((_, now)) = self.response.get_mut(at) {
                        *now = value;
                    }
                }
            }
        }
    }

    /// Whether Envoy shall choose the route anew.
    pub fn clears_route_cache(&self) -> bool {
        self.clear_route_cache
    }

    fn put(&mut self, name: HeaderName, value: Option<HeaderValue>) {
        match self.request.iter_mut().enumerate().find(|(_, (known, _))| *known == name) {
            Some((at, (_, old))) => {
                let old = std::mem::replace(old, value);
                if let Some(begun) = &mut self.begun {
                    begun.replaced.push(Replaced::Request(at, old));
                }
            }
            None => self.request.push((name, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn what_a_stage_asked_for_is_taken_back_or_kept_whole() {
        let name = HeaderName::from_static;
        let value = HeaderValue::from_static;
        let mut mutations = Mutations::default();
        mutations.set_request_header(name("x-user"), value("alice"));
        mutations.remove_request_header(name("x-old"));
        mutations.set_response_header(name("ratelimit"), value("first"));
        let before = mutations.clone();
        let ask = |mutations: &mut Mutations| {
            mutations.begin();
            assert_eq!(
                mutations,
                &Mutations { begun: mutations.begun.clone(), ..before.clone() },
                "a stage sees what came before"
            );
            mutations.set_request_header(name("x-user"), value("bob"));
            mutations.remove_request_header(name("x-user"));
            mutations.set_request_header(name("x-old"), value("back"));
            mutations.set_request_header(name("x-new"), value("one"));
            mutations.set_request_header(name("x-new"), value("two"));
            mutations.set_response_header(name("ratelimit"), value("first, second"));
            mutations.set_response_header(name("etag"), value("1"));
            mutations.set_response_header(name("etag"), value("2"));
            mutations.clear_route_cache();
        };

        ask(&mut mutations);
        mutations.take_back();
        assert_eq!(mutations, before);

        ask(&mut mutations);
        mutations.keep();
        let kept = mutations.clone();
        mutations.take_back();
        assert_eq!(mutations, kept, "nothing is left to be taken back");
        assert_eq!(
            mutations.request_headers(),
            [
                (name("x-user"), None),
                (name("x-old"), Some(value("back"))),
                (name("x-new"), Some(value("two")))
            ]
        );
        assert!(mutations.clears_route_cache());
    }
}
