//! What one stage has found out by waiting, and what chance gave it: all that it needs to be asked again with the same outcome.

use crate::decision::wait::{Answer, Call};
use crate::resource::Awaited;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// How many draws are kept without memory of their own: no stage that never waits should pay for one that does.
const INLINE: usize = 4;

/// What is known to the stage that is being asked. Reading goes from the beginning each time that it is asked.
#[derive(Debug, Default)]
pub(crate) struct Known {
    answers: Vec<(Call, Rc<Answer>)>,
    /// Resources that were waited for, whatever came of it.
    waited: Vec<Awaited>,
    pauses: u32,
    draws: Draws,
    next_pause: Cell<u32>,
    next_draw: Cell<usize>,
}

#[derive(Debug, Default)]
struct Draws {
    count: Cell<usize>,
    first: [Cell<u64>; INLINE],
    more: RefCell<Vec<u64>>,
}

// === impl Known ===

impl Known {
    /// The answer to `call`, once it is there.
    pub(crate) fn answer(&self, call: &Call) -> Option<&Rc<Answer>> {
        self.answers.iter().find(|(known, _)| known == call).map(|(_, answer)| answer)
    }

    /// Whether any call has been answered.
    pub(crate) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Whether the stage has waited for this resource: for the first value of it, or for a newer one.
    pub(crate) fn has_waited(&self, key: &str, for_newer: bool) -> bool {
        self.waited.iter().any(|waited| *waited.key == *key && waited.newer_than.is_some() == for_newer)
    }

    /// The wait for a resource is over.
    pub(crate) fn add_waited(&mut self, awaited: Awaited) {
        self.waited.push(awaited);
    }

    /// Whether the pause that the stage comes to is over.
    pub(crate) fn next_pause_is_over(&self) -> bool {
        let next = self.next_pause.get();
        self.next_pause.set(next.saturating_add(1));
        next < self.pauses
    }

    /// The stage's next draw: the same as when it was asked before, or `fresh`.
    pub(crate) fn draw(&self, fresh: impl FnOnce() -> u64) -> u64 {
        let next = self.next_draw.get();
        self.next_draw.set(next.saturating_add(1));
        if next < self.draws.count.get() {
            return self.draws.get(next);
        }
        let drawn = fresh();
        self.draws.push(drawn);
        drawn
    }

    /// A call was answered.
    pub(crate) fn add_answer(&mut self, call: Call, answer: Answer) {
        self.answers.push((call, Rc::new(answer)));
    }

    /// A pause is over.
    pub(crate) fn add_pause(&mut self) {
        self.pauses = self.pauses.saturating_add(1);
    }

    /// The stage is asked again.
    pub(crate) fn rewind(&self) {
        self.next_pause.set(0);
        self.next_draw.set(0);
    }

    /// The next stage is asked: nothing of this one is its business.
    pub(crate) fn clear(&mut self) {
        self.answers.clear();
        self.waited.clear();
        self.pauses = 0;
        self.draws.count.set(0);
        self.draws.more.get_mut().clear();
        self.rewind();
    }
}

// === impl Draws ===

impl Draws {
    fn get(&self, position: usize) -> u64 {
        match self.first.get(position) {
            Some(draw) => draw.get(),
            None => self.more.borrow().get(position.saturating_sub(INLINE)).copied().unwrap_or_default(),
        }
    }

    fn push(&self, draw: u64) {
        let position = self.count.get();
        self.count.set(position.saturating_add(1));
        match self.first.get(position) {
            Some(place) => place.set(draw),
            None => self.more.borrow_mut().push(draw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::wait::{CallFailure, GrpcCall};
    use std::time::Duration;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn draws_are_the_same_when_the_stage_is_asked_again_however_many_there_are() {
        let mut known = Known::default();
        let counter = Cell::new(0);
        let fresh = || {
            counter.set(counter.get() + 1);
            counter.get()
        };
        let first: Vec<u64> = (0..7).map(|_| known.draw(fresh)).collect();
        known.rewind();
        let again: Vec<u64> = (0..9).map(|_| known.draw(fresh)).collect();
        assert_eq!(first, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(again, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        known.clear();
        assert_eq!(known.draw(fresh), 10);
    }

    #[test]
    fn pauses_are_over_one_after_the_other() {
        let mut known = Known::default();
        assert!(!known.next_pause_is_over());
        known.add_pause();
        known.rewind();
        assert!(known.next_pause_is_over() && !known.next_pause_is_over());
    }

    #[test]
    fn an_answer_belongs_to_its_call() {
        let call = |method: &str| {
            Call::Grpc(GrpcCall {
                cluster: "limits".into(),
                service: "s".into(),
                method: method.into(),
                message: Rc::from([1_u8].as_slice()),
                timeout: Duration::from_millis(20),
            })
        };
        let mut known = Known::default();
        known.add_answer(call("a"), Answer::Failed(CallFailure::TimedOut));
        assert!(matches!(
            known.answer(&call("a")).map(AsRef::as_ref),
            Some(Answer::Failed(CallFailure::TimedOut))
        ));
        assert!(known.answer(&call("b")).is_none());
    }
}
