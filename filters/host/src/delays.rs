//! Requests that wait.

use sluice_pipeline::Reply;
use std::collections::BTreeMap;

/// How many requests of one worker may wait at once. Each holds its stream and its connection's slot, so without a bound a delay would be
/// a lever for whoever wants the proxy's memory.
pub const MOST_WAITING: usize = 10_000;

/// How many requests a tick releases at most. A release runs the other filters and, for an answer, the encoding, inside the host's loop
/// over what a callback left behind, one within the other: 400 at once were survived, 800 overflowed the stack and ended the VM.
pub const MOST_RELEASED: usize = 64;

/// When a request's waiting ends, and whose it is. Monotonic nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    /// When it ends.
    pub until: u64,
    /// The stream's context.
    pub context: u32,
}

/// The waiting requests of one root context, soonest first; the answer of those that are not to go on. A tree rather than a heap: a stream
/// that ends takes its entry with it, so that clients who come and go leave nothing behind.
#[derive(Debug, Default)]
pub struct Delays {
    waiting: BTreeMap<Waiting, Option<Reply>>,
}

/// [`MOST_WAITING`] wait already; the answer comes back.
#[derive(Debug, PartialEq, Eq)]
pub struct Full(pub Option<Reply>);

impl Delays {
    /// Has a request wait.
    ///
    /// # Errors
    /// [`Full`].
    pub fn add(&mut self, waiting: Waiting, then: Option<Reply>) -> Result<(), Full> {
        if self.waiting.len() >= MOST_WAITING {
            return Err(Full(then));
        }
        self.waiting.insert(waiting, then);
        Ok(())
    }

    /// Forgets a request: its stream has ended.
    pub fn remove(&mut self, waiting: &Waiting) {
        self.waiting.remove(waiting);
    }

    /// Takes out the requests whose waiting has ended by `now`, at most [`MOST_RELEASED`].
    pub fn take_due(&mut self, now: u64) -> Vec<(u32, Option<Reply>)> {
        let mut due = Vec::new();
        while due.len() < MOST_RELEASED {
            match self.waiting.first_entry() {
                Some(first) if first.key().until <= now => {
                    let (waiting, then) = first.remove_entry();
                    due.push((waiting.context, then));
                }
                _ => break,
            }
        }
        due
    }

    /// When the next request's waiting ends.
    pub fn next(&self) -> Option<u64> {
        self.waiting.first_key_value().map(|(waiting, _)| waiting.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_released_in_the_order_of_their_deadlines_and_not_before() {
        let mut delays = Delays::default();
        for (until, context) in [(30, 1), (10, 2), (20, 3), (10, 1)] {
            delays.add(Waiting { until, context }, None).unwrap();
        }
        let contexts = |due: Vec<(u32, Option<Reply>)>| due.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
        assert_eq!(delays.next(), Some(10));
        assert!(delays.take_due(9).is_empty());
        assert_eq!(contexts(delays.take_due(20)), [1, 2, 3]);
        assert_eq!(delays.next(), Some(30));
        delays.remove(&Waiting { until: 30, context: 1 });
        assert_eq!(delays.next(), None);
    }

    #[test]
    fn no_more_are_released_at_once_than_the_host_survives() {
        let mut delays = Delays::default();
        for context in 0..1_000 {
            delays.add(Waiting { until: 1, context }, None).unwrap();
        }
        let mut released = Vec::new();
        while delays.next().is_some() {
            let due = delays.take_due(1);
            assert!(due.len() <= MOST_RELEASED);
            released.extend(due.into_iter().map(|(context, _)| context));
        }
        assert_eq!(released, (0..1_000).collect::<Vec<_>>());
    }

    #[test]
    fn no_more_wait_than_the_bound() {
        let mut delays = Delays::default();
        for context in 0..u32::try_from(MOST_WAITING).unwrap() {
            delays.add(Waiting { until: 1, context }, None).unwrap();
        }
        assert_eq!(delays.add(Waiting { until: 1, context: u32::MAX }, None), Err(Full(None)));
        delays.remove(&Waiting { until: 1, context: 7 });
        assert_eq!(delays.add(Waiting { until: 1, context: u32::MAX }, None), Ok(()));
    }
}
