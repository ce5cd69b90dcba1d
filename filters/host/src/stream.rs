//! One request: what a stream's context does.

use crate::calls::{self, HeaderMapType, HostError};
use crate::carry_out::{self, Carried};
use crate::plugin::{Plugin, Work};
use sluice_core::decision::follow_up::{BodyPart, End, Phase};
use sluice_pipeline::{FollowUps, Pipeline, Step};
use std::cell::RefCell;
use std::rc::Rc;

/// The status of the response, as a 64-bit integer.
const RESPONSE_CODE: &str = "response\0code";

/// Whether a request goes on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Continue,
    /// It waits, or is being answered.
    Pause,
}

/// What outlives a request's decision.
#[derive(Default)]
pub struct Kept {
    /// What stages left behind, with the policy that they belong to, for no other understands it. `None` where there is nothing, as for
    /// most requests.
    pub follow_ups: Option<(Rc<Pipeline>, FollowUps)>,
    /// Parts of the body that came while the request waited, as one; the host keeps them.
    pub held: Option<BodyPart>,
}

/// The request of one stream, from its headers to its end.
pub struct Stream {
    context: u32,
    plugin: Rc<Plugin>,
    pub(crate) kept: Kept,
    /// Where the same comes to once a request that waits is decided.
    kept_later: Option<Rc<RefCell<Kept>>>,
}

impl Stream {
    /// The stream of `context`.
    pub fn new(context: u32, plugin: Rc<Plugin>) -> Self {
        Self { context, plugin, kept: Kept::default(), kept_later: None }
    }

    /// Whose request it is.
    pub fn plugin(&self) -> &Rc<Plugin> {
        &self.plugin
    }

    /// The request's headers have arrived.
    pub fn on_request_headers(&mut self) -> Flow {
        let Some(pipeline) = self.plugin.pipeline_for_request() else {
            return self.refuse("not_configured", 503, HostError::NotFound);
        };
        if pipeline.is_empty() {
            return Flow::Continue;
        }
        self.plugin.environment.begin_phase();
        let mut work = self.plugin.take_work();
        let flow = self.decide(&pipeline, &mut work);
        self.plugin.give_back(work);
        flow
    }

    /// A part of the request's body has arrived, or several that the host has kept; `size` is that of all of them.
    pub fn on_request_body(&mut self, size: usize, last: bool) -> Flow {
        if self.waits() {
            // To go on with the body would let the headers go. It is judged once they are.
            if let Some(later) = &self.kept_later {
                later.borrow_mut().held = Some(BodyPart { size, last });
            }
            return Flow::Pause;
        }
        self.take_what_came_later();
        let Some((pipeline, follow_ups)) = &mut self.kept.follow_ups else { return Flow::Continue };
        let part = BodyPart { size, last };
        match carry_out::request_body(&self.plugin, pipeline, follow_ups, part) {
            Carried::GoesOn => Flow::Continue,
            Carried::Answered => Flow::Pause,
        }
    }

    /// The request's trailers have arrived: only a request that has some comes here.
    pub fn on_request_trailers(&mut self) -> Flow {
        if self.waits() {
            // To go on with the trailers would let the headers go.
            return Flow::Pause;
        }
        // They are the end of the body.
        if self.on_request_body(0, true) == Flow::Pause {
            return Flow::Pause;
        }
        let Some(pipeline) = self.plugin.pipeline() else {
            return self.refuse("not_configured", 503, HostError::NotFound);
        };
        let mut work = self.plugin.take_work();
        let flow = match change_trailers(&pipeline, &mut work) {
            Ok(()) => Flow::Continue,
            Err(error) => self.refuse("headers_unchangeable", 500, error),
        };
        self.plugin.give_back(work);
        flow
    }

    /// The response's headers have arrived; the host's own answers come through here as well.
    pub fn on_response_headers(&mut self) {
        self.take_what_came_later();
        if let Some((pipeline, follow_ups)) = &mut self.kept.follow_ups
            && follow_ups.wait_for(Phase::Response)
        {
            carry_out::response(&self.plugin, pipeline, follow_ups);
        }
    }

    /// The request is over and its access log is being written.
    pub fn on_log(&mut self) {
        self.take_what_came_later();
        // Whoever still waits is left behind by its client.
        let left = if self.kept_later.is_some() { self.plugin.leave(self.context) } else { None };
        let Some((pipeline, follow_ups)) = self.kept.follow_ups.take().or(left) else { return };
        if !follow_ups.wait_for(Phase::End) {
            return;
        }
        let code = match calls::property(RESPONSE_CODE) {
            Ok(code) => code.and_then(|code| code.try_into().ok()).map_or(0, i64::from_le_bytes),
            Err(error) => return self.plugin.faults.report("reading the response's status", error),
        };
        // A client that left before there was a response has no status.
        let status = u16::try_from(code).ok().filter(|code| *code != 0);
        self.plugin.environment.begin_phase();
        let followed = pipeline.on_end(follow_ups, End { status }, &self.plugin.environment);
        self.plugin.count_followed(&pipeline, &followed);
    }

    /// Whether the request waits.
    fn waits(&self) -> bool {
        self.kept_later.is_some() && self.plugin.is_waiting(self.context)
    }

    fn take_what_came_later(&mut self) {
        if let Some(later) = &self.kept_later {
            let later = later.take();
            self.kept.follow_ups = self.kept.follow_ups.take().or(later.follow_ups);
        }
    }

    fn decide(&mut self, pipeline: &Rc<Pipeline>, work: &mut Work) -> Flow {
        let read = calls::header_pairs(HeaderMapType::Request)
            .and_then(|buffer| work.headers.read(buffer).map_err(|_| HostError::BadArgument));
        if let Err(error) = read {
            return self.refuse("headers_unreadable", 500, error);
        }
        let mut step = pipeline.begin(&work.headers, &self.plugin.environment, &mut work.scratch);
        let decided = loop {
            match step {
                Step::Decided(decided) => break decided,
                Step::Waiting(wait, suspended) => {
                    let later = self.kept_later.get_or_insert_default();
                    match self.plugin.wait(self.context, wait, suspended, pipeline, later) {
                        None => return Flow::Pause,
                        // It can't wait: what it asked for has failed already.
                        Some(suspended) => {
                            step = pipeline.resume(suspended, &self.plugin.environment, &mut work.scratch);
                        }
                    }
                }
            }
        };
        let (carried, kept) = carry_out::decided(&self.plugin, pipeline, &work.headers, decided);
        self.kept = kept;
        match carried {
            Carried::GoesOn => Flow::Continue,
            Carried::Answered => Flow::Pause,
        }
    }

    fn refuse(&self, why: &str, status: u16, error: HostError) -> Flow {
        carry_out::refuse(&self.plugin, why, status, error);
        Flow::Pause
    }
}

/// Removes the trailers that must not go on.
fn change_trailers(pipeline: &Pipeline, work: &mut Work) -> Result<(), HostError> {
    let buffer = calls::header_pairs(HeaderMapType::RequestTrailers)?;
    work.headers.read(buffer).map_err(|_| HostError::BadArgument)?;
    for name in pipeline.on_request_trailers(&work.headers) {
        let name = std::str::from_utf8(name).map_err(|_| HostError::BadArgument)?;
        calls::remove_header(HeaderMapType::RequestTrailers, name)?;
    }
    Ok(())
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.kept_later.is_some() {
            self.plugin.leave(self.context);
        }
    }
}
