//! What a stage leaves behind for later phases of a request: its body, the response, its end.
//!
//! A stage decides on the request's headers. Where that is not all, it gives [`Exchange::follow_up`] a [`FollowUp`], which the host calls
//! when the phase comes. Like a stage, a follow-up is pure: it sees what it is given, says what is to happen, and calls no host. It keeps
//! what it needs of the request, for the request's headers are out of reach by then.
//!
//! Follow-ups of a request body are called in the order of their stages, those of the response and of the end in the reverse order, as a
//! response passes the filters of a proxy.
//!
//! [`Exchange::follow_up`]: crate::decision::exchange::Exchange::follow_up

use crate::decision::environment::Environment;
use crate::decision::reason::ReasonId;
use crate::decision::response::Response;
use crate::decision::verdict::LocalReply;
use std::fmt;

/// A phase that comes after the request's headers. A module that is told of none is cheaper: each costs on every request (the body: on
/// every part), so a section says which it needs ([`Compiler::need`]) and a module without it refuses the document.
///
/// [`Compiler::need`]: crate::decision::compile::Compiler::need
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Parts of the request's body come.
    RequestBody,
    /// The response's headers come.
    Response,
    /// The request is over, and its access log is written.
    End,
}

/// A set of phases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases(u8);

/// What is to happen to a request later. Only the methods of the [phases](Self::phases) that it names are called.
pub trait FollowUp: fmt::Debug {
    /// Which phases it waits for.
    fn phases(&self) -> Phases;

    /// A part of the request's body has come, and goes on to the service unless this is answered. Not called any more once somebody has
    /// answered.
    fn on_request_body(&mut self, part: BodyPart, aftermath: &mut Aftermath<'_>) -> BodyVerdict {
        let _ = (part, aftermath);
        BodyVerdict::Continue
    }

    /// The response's headers have come: the service's, the proxy's own, or those of an answer of ours. They may be changed.
    fn on_response(&mut self, response: &mut Response<'_>, aftermath: &mut Aftermath<'_>) {
        let _ = (response, aftermath);
    }

    /// The request is over. Called at most once, and for every request whose follow-up waits for it: also where the client has left.
    fn on_end(&mut self, end: End, aftermath: &mut Aftermath<'_>) {
        let _ = (end, aftermath);
    }
}

/// A part of a body. An empty body has no part; of one that trailers follow, the last is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BodyPart {
    /// Its size in bytes. Each byte is told once.
    pub size: usize,
    /// Whether it is the last.
    pub last: bool,
}

/// What becomes of a part of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyVerdict {
    /// It goes on.
    Continue,
    /// The request is answered here. What went on before can't be called back: the service sees its request break off.
    Respond(LocalReply),
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// The status that the client got; `None` where it left before there was one.
    pub status: Option<u16>,
}

/// What a follow-up may do besides.
pub struct Aftermath<'a> {
    environment: &'a dyn Environment,
    decisions: Vec<ReasonId>,
    counters: Vec<String>,
}

// === impl Phase ===

impl Phase {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::RequestBody, Self::Response, Self::End];

    /// The function that a module exports to be told of it (Proxy-Wasm ABI 0.2.1).
    pub const fn export(self) -> &'static str {
        match self {
            Self::RequestBody => "proxy_on_request_body",
            Self::Response => "proxy_on_response_headers",
            Self::End => "proxy_on_log",
        }
    }

    /// For people, after "is not told of".
    pub const fn title(self) -> &'static str {
        match self {
            Self::RequestBody => "request bodies",
            Self::Response => "responses",
            Self::End => "the end of requests",
        }
    }
}

// === impl Phases ===

impl Phases {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self::of(&Phase::ALL);

    /// These.
    pub const fn of(phases: &[Phase]) -> Self {
        let mut bits = 0;
        let mut rest = phases;
        while let [phase, others @ ..] = rest {
            bits |= phase.bit();
            rest = others;
        }
        Self(bits)
    }

    /// Whether `phase` is among them.
    pub const fn has(self, phase: Phase) -> bool {
        self.0 & phase.bit() != 0
    }

    /// Whether all of `others` are among them.
    pub const fn has_all(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// With `phase` besides.
    pub const fn insert(&mut self, phase: Phase) {
        self.0 |= phase.bit();
    }

    /// `phase` where it is among them, and no other.
    #[must_use]
    pub const fn only(self, phase: Phase) -> Self {
        Self(self.0 & phase.bit())
    }

    /// Those that are left once `phase` is over.
    #[must_use]
    pub const fn without(self, phase: Phase) -> Self {
        Self(self.0 & !phase.bit())
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }
}

impl Phase {
    const fn bit(self) -> u8 {
        match self {
            Self::RequestBody => 1,
            Self::Response => 2,
            Self::End => 4,
        }
    }
}

// === impl Aftermath ===

impl<'a> Aftermath<'a> {
    /// With this host.
    pub const fn new(environment: &'a dyn Environment) -> Self {
        Self { environment, decisions: Vec::new(), counters: Vec::new() }
    }

    /// The host.
    pub fn environment(&self) -> &'a dyn Environment {
        self.environment
    }

    /// A decision has been made: it is counted. The reason of an answer is recorded by the pipeline.
    pub fn record(&mut self, reason: ReasonId) {
        self.decisions.push(reason);
    }

    /// Adds one to the counter of this name, of which there must be a bounded number.
    pub fn count(&mut self, counter: String) {
        self.counters.push(counter);
    }

    /// The decisions, and the counters.
    pub fn finish(self) -> (Vec<ReasonId>, Vec<String>) {
        (self.decisions, self.counters)
    }
}
