//! The one loop over a document's stages: in the proxy, in `sluice explain` and in tests, from the beginning or after a wait.

use crate::decision::compile::Stage;
use crate::decision::exchange::Exchange;
use crate::decision::verdict::{Mutations, Verdict};

/// Looks on while stages are asked, for those who want every step.
pub trait Observer {
    /// Whether this stage is to be asked at all.
    fn asks(&mut self, stage: &dyn Stage, exchange: &Exchange<'_>) -> bool {
        let _ = (stage, exchange);
        true
    }

    /// The stage has given this verdict.
    fn decided(&mut self, stage: &dyn Stage, verdict: &Verdict, exchange: &Exchange<'_>) {
        let _ = (stage, verdict, exchange);
    }
}

/// Nobody looks on.
impl Observer for () {}

/// Asks `stages` in order, from the one at position `from`, until one does not let the request go on. Gives its verdict and its position;
/// for [`Verdict::Wait`] the stage at that position is to be asked again, and it is as if it had not been asked yet.
pub fn run(
    stages: &[Box<dyn Stage>],
    from: usize,
    exchange: &mut Exchange<'_>,
    mutations: &mut Mutations,
    observer: &mut impl Observer,
) -> (Verdict, usize) {
    for (position, stage) in stages.iter().enumerate().skip(from) {
        if !observer.asks(stage.as_ref(), exchange) {
            continue;
        }
        // What a stage asks for counts only once it has decided. Only one that may wait pays for that.
        let progress = stage.waits().then(|| {
            mutations.begin();
            exchange.progress()
        });
        exchange.rewind();
        let verdict = stage.decide(exchange, mutations);
        match (&verdict, progress) {
            (Verdict::Wait(_), Some(progress)) => {
                mutations.take_back();
                exchange.go_back_to(progress);
            }
            (Verdict::Wait(_), None) => debug_assert!(false, "a stage that waits says so: Stage::waits"),
            _ => mutations.keep(),
        }
        observer.decided(stage.as_ref(), &verdict, exchange);
        match verdict {
            Verdict::Continue => exchange.forget_known(),
            verdict => return (verdict, position),
        }
    }
    (Verdict::Continue, stages.len())
}
