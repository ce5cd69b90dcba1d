//! Requests that wait, for time, for the answers of calls, or for a shared resource.

use crate::stream::Kept;
use sluice_core::decision::wait::{Answer, Call, CallFailure};
use sluice_core::resource::Awaited;
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

/// How many of them may wait for a newer value of a resource that is there, such as for a key that nobody knows yet.
pub const MOST_FOR_NEWER: usize = 1_000;

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
    /// What it waits for.
    pub awaits: Awaits,
}

/// What a request waits for.
#[derive(Debug)]
pub enum Awaits {
    /// That time passes.
    Pause,
    /// The calls that are not answered yet, by the host's number.
    Calls(Vec<(u32, Call)>),
    /// A shared resource.
    Resource(Awaited),
}

/// The waiting requests of one root context, by their streams' contexts. A stream that ends takes its entry with it, so that clients who
/// come and go leave nothing behind.
#[derive(Default)]
pub struct Waits {
    waiting: HashMap<u32, Waiting>,
    /// How many of them wait for a newer value of a resource.
    for_newer: usize,
    /// When each wait ends: soonest first.
    times: BTreeSet<(u64, u32)>,
}

// === impl Waiting ===

impl Waiting {
    fn is_for_newer(&self) -> bool {
        matches!(&self.awaits, Awaits::Resource(awaited) if awaited.newer_than.is_some())
    }

    /// Its time has come: the pause is over, and calls that are not answered by now never will be.
    pub fn end(&mut self) {
        if std::mem::replace(&mut self.ready, true) {
            return;
        }
        match std::mem::replace(&mut self.awaits, Awaits::Pause) {
            Awaits::Pause => self.suspended.add_pause(),
            Awaits::Resource(awaited) => self.suspended.add_waited(awaited),
            Awaits::Calls(calls) => {
                for (_, call) in calls {
                    self.suspended.add_answer(call, Answer::Failed(CallFailure::TimedOut));
                }
            }
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
        if waiting.is_for_newer() {
            self.for_newer = self.for_newer.saturating_add(1);
        }
        self.times.insert((waiting.until, context));
        self.waiting.insert(context, waiting);
    }

    /// Takes a request out: it goes on, or its stream has ended.
    pub fn remove(&mut self, context: u32) -> Option<Waiting> {
        let waiting = self.waiting.remove(&context)?;
        self.times.remove(&(waiting.until, context));
        if waiting.is_for_newer() {
            self.for_newer = self.for_newer.saturating_sub(1);
        }
        Some(waiting)
    }

    /// Whether there is room for one more that waits for a newer value of a resource: whoever makes up tokens can have as many wait.
    pub fn has_room_for_newer(&self) -> bool {
        self.for_newer < MOST_FOR_NEWER
    }

    /// Whether anybody waits for the resource of this key.
    pub fn awaits(&self, key: &str) -> bool {
        self.awaited().any(|(_, awaited)| *awaited.key == *key)
    }

    /// Has the requests whose resource `has_come` go on: it is their turn now.
    pub fn wake(&mut self, now: u64, has_come: impl Fn(&Awaited) -> bool) {
        let woken: Vec<u32> =
            self.awaited().filter(|(_, awaited)| has_come(awaited)).map(|(context, _)| context).collect();
        for context in woken {
            if let Some(waiting) = self.remove(context) {
                let until = waiting.until.min(now);
                self.add(context, Waiting { until, ..waiting });
            }
        }
    }

    fn awaited(&self) -> impl Iterator<Item = (u32, &Awaited)> {
        self.waiting.iter().filter_map(|(context, waiting)| match &waiting.awaits {
            Awaits::Resource(awaited) => Some((*context, awaited)),
            Awaits::Pause | Awaits::Calls(_) => None,
        })
    }

    /// A call of the request of `context` was answered. The request is taken out where that was the last.
    pub fn answer(&mut self, context: u32, token: u32, answer: Answer) -> Option<Waiting> {
        let waiting = self.waiting.get_mut(&context)?;
        let Awaits::Calls(calls) = &mut waiting.awaits else { return None };
        let position = calls.iter().position(|(known, _)| *known == token)?;
        let (_, call) = calls.swap_remove(position);
        waiting.suspended.add_answer(call, answer);
        if !calls.is_empty() {
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
        // An entry that has no request goes as well.
        self.times.remove(&(until, context));
        Some((context, self.remove(context)?))
    }

    /// When the next wait ends.
    pub fn next(&self) -> Option<u64> {
        self.times.first().map(|(until, _)| *until)
    }
}
