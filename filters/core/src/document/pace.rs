//! Long work in slices. A document may have a hundred thousand entries, and while a worker compiles it, it serves nobody.
//!
//! Work that is in proportion to the document is an `async fn` that says after each entry that it has done a [step](Pace::step). Whoever
//! has it done, [polls](poll) it slice by slice, or [at once](at_once).

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// How long slices of work are.
#[derive(Clone, Default)]
pub struct Pace(Option<Rc<Slices>>);

struct Slices {
    is_over: Box<dyn Fn() -> bool>,
    steps: Cell<u32>,
}

/// After so many steps it is asked whether the slice is over: to read the clock costs about as much as a small step.
pub const STEPS: u32 = 8;

/// A step that is done, and the pause behind it if there is one.
#[must_use = "a pause is to be awaited"]
#[derive(Debug)]
pub struct Step {
    pauses: bool,
}

// === impl Pace ===

impl Pace {
    /// Without a pause.
    pub fn unbroken() -> Self {
        Self(None)
    }

    /// With a pause wherever `is_over` says so, which is asked every [`STEPS`] steps.
    pub fn in_slices(is_over: impl Fn() -> bool + 'static) -> Self {
        Self(Some(Rc::new(Slices { is_over: Box::new(is_over), steps: Cell::new(0) })))
    }

    /// A step is done. A step is an entry, and takes microseconds.
    pub fn step(&self) -> Step {
        let Some(slices) = &self.0 else { return Step { pauses: false } };
        let steps = slices.steps.get().saturating_add(1);
        let asks = steps >= STEPS;
        slices.steps.set(if asks { 0 } else { steps });
        Step { pauses: asks && (slices.is_over)() }
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.0.is_some() { "in slices" } else { "unbroken" })
    }
}

// === impl Step ===

impl Future for Step {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::take(&mut self.pauses) { Poll::Pending } else { Poll::Ready(()) }
    }
}

/// Does a slice of `work`. Nobody is woken: whoever calls this calls it again.
pub fn poll<F: Future + ?Sized>(work: Pin<&mut F>) -> Poll<F::Output> {
    work.poll(&mut Context::from_waker(Waker::noop()))
}

/// Does all of `work`.
pub fn at_once<F: Future>(work: F) -> F::Output {
    let mut work = pin!(work);
    loop {
        if let Poll::Ready(done) = poll(work.as_mut()) {
            return done;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Work of so many steps.
    async fn work(steps: u32, pace: Pace, done: Rc<Cell<u32>>) {
        for _ in 0..steps {
            done.set(done.get() + 1);
            pace.step().await;
        }
    }

    #[test]
    fn a_slice_ends_with_the_first_look_at_the_clock_that_says_so() {
        let (done, clock) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let read = clock.clone();
        // A clock that goes on by one whenever it is read: a slice has three reads.
        let pace = Pace::in_slices(move || {
            read.set(read.get() + 1);
            read.get() % 3 == 0
        });
        let mut work = pin!(work(100, pace, done.clone()));
        let mut slices = Vec::new();
        loop {
            let before = done.get();
            let polled = poll(work.as_mut());
            slices.push(done.get() - before);
            if polled.is_ready() {
                break;
            }
        }
        assert_eq!(slices, [24, 24, 24, 24, 4]);
        assert_eq!(clock.get(), 100 / STEPS);
    }

    #[test]
    fn work_at_once_has_no_pause() {
        let done = Rc::new(Cell::new(0));
        let mut whole = pin!(work(100, Pace::unbroken(), done.clone()));
        assert!(poll(whole.as_mut()).is_ready());
        at_once(work(100, Pace::in_slices(|| true), done.clone()));
        assert_eq!(done.get(), 200);
    }
}
