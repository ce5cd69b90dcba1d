//! The decision of `compose`.

use crate::PLACE;
use serde::Deserialize;
use sluice_core::decision::compile::Stage;
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::place::Place;
use sluice_core::decision::reason::ReasonId;
use sluice_core::decision::verdict::{Content, LocalReply, Mutations, Verdict};
use sluice_core::decision::wait::{Answer, Call, CallFailure, HttpCall, Wait};
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::rule::attribute::Attribute;
use sluice_core::rule::head::Head;
use sluice_core::rule::template::{Encoding, Template};
use std::rc::Rc;
use std::time::Duration;

/// The compiled section.
#[derive(Debug)]
pub(crate) struct ComposePolicy {
    pub(crate) rules: Vec<Rule>,
}

/// A compiled rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) head: Head,
    pub(crate) within: Duration,
    pub(crate) parts: Vec<Part>,
    pub(crate) forward: Vec<HeaderName>,
    pub(crate) reasons: Reasons,
}

/// A compiled part.
#[derive(Debug)]
pub(crate) struct Part {
    /// `"member":`.
    pub(crate) member: String,
    pub(crate) cluster: Rc<str>,
    pub(crate) authority: Rc<str>,
    pub(crate) path: Template,
    pub(crate) optional: bool,
}

/// The names of a rule's decisions.
#[derive(Debug)]
pub(crate) struct Reasons {
    pub(crate) composed: ReasonId,
    pub(crate) timed_out: ReasonId,
    pub(crate) failed: ReasonId,
    pub(crate) not_tried: ReasonId,
    pub(crate) refused: ReasonId,
    pub(crate) missing_value: ReasonId,
}

/// Why a part that is not optional gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    Failed(CallFailure),
    /// A status that is no success.
    Status(u16),
    /// Something else than JSON.
    NotJson,
}

// === impl Stage for ComposePolicy ===

impl Stage for ComposePolicy {
    fn place(&self) -> Place {
        PLACE
    }

    fn asks_client_address(&self) -> bool {
        let parts = self.rules.iter().flat_map(|rule| &rule.parts);
        parts.flat_map(|part| part.path.attributes()).any(|attribute| *attribute == Attribute::ClientAddress)
    }

    fn waits(&self) -> bool {
        true
    }

    fn clusters(&self) -> Vec<Rc<str>> {
        self.rules.iter().flat_map(|rule| &rule.parts).map(|part| Rc::clone(&part.cluster)).collect()
    }

    fn decide(&self, exchange: &mut Exchange<'_>, mutations: &mut Mutations) -> Verdict {
        let exchange = &*exchange;
        let method = exchange.request().method();
        if method != "GET" && method != "HEAD" {
            exchange.note(|| format!("{method} is never composed: only GET and HEAD are"));
            return Verdict::Continue;
        }
        for rule in &self.rules {
            if !rule.head.applies(exchange) {
                continue;
            }
            return Verdict::from(rule.compose(exchange, mutations));
        }
        Verdict::Continue
    }
}

// === impl Rule ===

impl Rule {
    fn compose(&self, exchange: &Exchange<'_>, mutations: &Mutations) -> Result<Verdict, Wait> {
        let headers = self.forwarded(exchange, mutations);
        let mut calls = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let Some(path) = part.path.render(exchange, self.head.selector, Encoding::Path) else {
                exchange.note(|| format!("rule `{}`: {} lacks a value", self.head.name, part.path.as_str()));
                let detail = "The request lacks a value that the answer is made from.";
                return Ok(self.refuse(400, self.reasons.missing_value, detail));
            };
            calls.push(part.call(&path, headers.clone(), self.within));
        }
        let answers = exchange.ask_all(&calls)?;
        // Brackets, a comma a part, and what the parts say.
        let mut body = b"{".to_vec();
        for (part, answer) in self.parts.iter().zip(&answers) {
            if body.len() > 1 {
                body.push(b',');
            }
            body.extend(part.member.as_bytes());
            match json_of(answer) {
                Ok(json) => body.extend(json),
                Err(missing) if part.optional => {
                    exchange.note(|| format!("the optional part {} null: {missing:?}", part.member));
                    body.extend(b"null");
                }
                Err(missing) => {
                    exchange.note(|| format!("the part {} fails: {missing:?}", part.member));
                    return Ok(self.missing(missing));
                }
            }
        }
        body.push(b'}');
        exchange.note(|| format!("rule `{}`: composed of {} parts", self.head.name, self.parts.len()));
        let mut reply = LocalReply::new(200, self.reasons.composed, "");
        reply.content = Some(Content { media_type: HeaderValue::from_static("application/json"), body });
        // It may be about the caller, and it is as fresh as its parts: nobody between shall keep it.
        Ok(Verdict::Respond(
            reply.with_header(HeaderName::from_static("cache-control"), HeaderValue::from_static("no-store")),
        ))
    }

    /// The headers that the parts get: what the service would have got.
    fn forwarded(&self, exchange: &Exchange<'_>, mutations: &Mutations) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers =
            vec![(HeaderName::from_static("accept"), HeaderValue::from_static("application/json"))];
        for name in &self.forward {
            let set = mutations.request_headers().iter().find(|(known, _)| known == name);
            let value = match set {
                Some((_, value)) => value.clone(),
                None => exchange
                    .request()
                    .headers()
                    .joined(name.as_str())
                    .and_then(|value| HeaderValue::new(value.trim_ascii()).ok()),
            };
            headers.extend(value.map(|value| (name.clone(), value)));
        }
        headers
    }

    fn missing(&self, missing: Missing) -> Verdict {
        let Reasons { timed_out, failed, not_tried, refused, .. } = &self.reasons;
        match missing {
            Missing::Failed(CallFailure::TimedOut) => {
                self.refuse(504, *timed_out, "A service that the answer is made from takes too long.")
            }
            Missing::Failed(CallFailure::NotTried) => {
                let reply =
                    LocalReply::new(503, *not_tried, "A service that the answer is made from is away.");
                let name = HeaderName::from_static("retry-after");
                Verdict::Respond(reply.with_header(name, HeaderValue::from_number(1)))
            }
            // What the service says to the caller: not found, not allowed.
            Missing::Status(status @ (403 | 404 | 410 | 429)) => {
                self.refuse(status, *refused, "A service that the answer is made from refuses.")
            }
            Missing::Failed(_) | Missing::Status(_) | Missing::NotJson => {
                self.refuse(502, *failed, "A service that the answer is made from fails.")
            }
        }
    }

    fn refuse(&self, status: u16, reason: ReasonId, detail: &'static str) -> Verdict {
        Verdict::Respond(LocalReply::new(status, reason, detail))
    }
}

// === impl Part ===

impl Part {
    fn call(&self, path: &str, headers: Vec<(HeaderName, HeaderValue)>, timeout: Duration) -> Call {
        Call::Http(HttpCall {
            cluster: Rc::clone(&self.cluster),
            method: "GET".into(),
            authority: Rc::clone(&self.authority),
            path: path.into(),
            headers,
            body: Rc::from([].as_slice()),
            timeout,
        })
    }
}

/// The JSON of an answer, as it stands: numbers keep all their digits.
fn json_of(answer: &Answer) -> Result<&[u8], Missing> {
    match answer {
        Answer::Failed(failure) => Err(Missing::Failed(*failure)),
        Answer::Grpc(_) => Err(Missing::NotJson),
        Answer::Http(answer) if !answer.is_success() => Err(Missing::Status(answer.status)),
        Answer::Http(answer) => {
            let body = answer.body.trim_ascii();
            let mut reader = serde_json::Deserializer::from_slice(body);
            let read = serde::de::IgnoredAny::deserialize(&mut reader).and_then(|_| reader.end());
            // `IgnoredAny` looks at the form alone; that text is UTF-8 is for us to see.
            if read.is_ok() && std::str::from_utf8(body).is_ok() { Ok(body) } else { Err(Missing::NotJson) }
        }
    }
}
