//! Requests that wait, for time or for the answers of calls.

use crate::stream::Kept;
use sluice_core::decision::wait::{Answer, Call, CallFailure};
use sluice_pipeline::{Pipeline, Suspended};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

/// How many requests of one worker may wait at once. Each holds its stream and its connection's slot, so without a bound a wait would be
/// a lever for whoever wants the proxy's memory.
pub const MOST_WAITING: usize = 10_000;

/// How many requests one callback lets go on at most. Each runs the other filters and, for an answer, the encoding, inside the host's loop
/// over what a callback left behind, one within the other: 400 at once were survived, 800 overflowed the stack and ended the VM.
pub const MOST_RELEASED: usize = 64;

/// A request that waits.
pub struct Waiting {
    /// When its wait ends at the latest, in monotonic nanoseconds.
    pub until: u64,
    /// What is known of it.
    pub suspended: Box<Suspended>,
    /// The policy that decides about it: it stays the same, also when another one is configured meanwhile.
    pub pipeline: Rc<Pipeline>,
    /// Where what outlives the decision goes.
    pub kept: Rc<RefCell<Kept>>,
    /// Whether what it waited for has come.
    pub ready: bool,
    /// The calls that are not answered yet, by the host's number; none for a pause.
    pub calls: Vec<(u32, Call)>,
}

/// The waiting requests of one root context, by their streams' contexts. A stream that ends takes its entry with it, so that clients who
/// come and go leave nothing behind.
#[derive(Default)]
pub struct Waits {
    waiting: HashMap<u32, Waiting>,
    /// When each wait ends: soonest first.
    times: BTreeSet<(u64, u32)>,
}

// === impl Waiting ===

impl Waiting {
    /// Its time has come: the pause is over, and calls that are not answered by now never will be.
    pub fn end(&mut self) {
        if std::mem::replace(&mut self.ready, true) {
            return;
        }
        if self.calls.is_empty() {
            self.suspended.add_pause();
        }
        for (_, call) in self.calls.drain(..) {
            self.suspended.add_answer(call, Answer::Failed(CallFailure::TimedOut));
        }
    }
}

// === impl Waits ===

impl Waits {
    /// Whether there is room for one more.
    pub fn has_room(&self) -> bool {
        self.waiting.len() < MOST_WAITING
    }

    /// Whether the request of `context` waits.
    pub fn has(&self, context: u32) -> bool {
        self.waiting.contains_key(&context)
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Has the request of `context` wait.
    pub fn add(&mut self, context: u32, waiting: Waiting) {
        // Contexts are numbered once: there is none of this number yet.
        self.remove(context);
        self.times.insert((waiting.until, context));
        self.waiting.insert(context, waiting);
    }

    /// Takes a request out: it goes on, or its stream has ended.
    pub fn remove(&mut self, context: u32) -> Option<Waiting> {
        let waiting = self.waiting.remove(&context)?;
        self.times.remove(&(waiting.until, context));
        Some(waiting)
    }

    /// A call of the request of `context` was answered. The request is taken out where that was the last.
    pub fn answer(&mut self, context: u32, token: u32, answer: Answer) -> Option<Waiting> {
        let waiting = self.waiting.get_mut(&context)?;
        let position = waiting.calls.iter().position(|(known, _)| *known == token)?;
        let (_, call) = waiting.calls.swap_remove(position);
        waiting.suspended.add_answer(call, answer);
        if !waiting.calls.is_empty() {
            return None;
        }
        waiting.ready = true;
        self.remove(context)
    }

    /// Takes out the request whose wait has ended by `now`, if there is one.
    pub fn take_due(&mut self, now: u64) -> Option<(u32, Waiting)> {
        let (until, context) = *self.times.first()?;
        if until > now {
            return None;
        }
        self.times.remove(&(until, context));
        Some((context, self.waiting.remove(&context)?))
    }

    /// When the next wait ends.
    pub fn next(&self) -> Option<u64> {
        self.times.first().map(|(until, _)| *until)
    }
}
