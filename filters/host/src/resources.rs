//! What is fetched for the policies of one root context: the keepers of [`sluice_core::resource`], with calls, timer, log and metrics.

use crate::callouts::Asker;
use crate::calls;
use crate::gauges;
use crate::plugin::Plugin;
use crate::waits::Waits;
use sluice_core::decision::environment::{Environment, UnixTime};
use sluice_core::decision::wait::{Answer, Call};
use sluice_core::resource::{Event, Fetched, Keeper, Turn};
use std::rc::Rc;

/// The keepers of one root context, a source each.
#[derive(Default)]
pub struct Resources {
    kept: Vec<Kept>,
}

struct Kept {
    keeper: Keeper,
    /// When it is to be asked, in monotonic nanoseconds.
    next: u64,
}

// === impl Resources ===

impl Resources {
    /// Keeps these as well, as of `next`. What nobody needs any more goes with the next tick.
    pub fn adopt(&mut self, resources: &[Rc<dyn Fetched>], next: u64, environment: &dyn Environment) {
        for resource in resources {
            match self.kept.iter_mut().find(|kept| kept.keeper.key() == resource.key()) {
                Some(kept) => {
                    kept.keeper.adopt(resource);
                    kept.next = kept.next.min(next);
                }
                None => self.kept.push(Kept { keeper: Keeper::new(resource, environment), next }),
            }
        }
    }

    /// Somebody waits for the resource of this key: it is to be looked at by `now`. Whether it is kept at all.
    pub fn hasten(&mut self, key: &str, now: u64) -> bool {
        let kept = self.kept.iter_mut().find(|kept| **kept.keeper.key() == *key);
        kept.map(|kept| kept.next = kept.next.min(now)).is_some()
    }

    /// When the next is due.
    pub fn next(&self) -> Option<u64> {
        self.kept.iter().map(|kept| kept.next).min()
    }

    /// How many sources are kept, and how many of them are being fetched.
    pub fn len(&self) -> (usize, usize) {
        (self.kept.len(), self.kept.iter().filter(|kept| kept.keeper.fetching().is_some()).count())
    }
}

// === impl Plugin ===

impl Plugin {
    /// Cares for all resources that are due.
    pub(crate) fn tend_resources(&self, now: u64) {
        let mut resources = self.resources.borrow_mut();
        resources.kept.retain(|kept| !kept.keeper.is_idle());
        for kept in resources.kept.iter_mut().filter(|kept| kept.next <= now) {
            let waited_for = self.waits.borrow().awaits(kept.keeper.key());
            let turn = kept.keeper.tick(waited_for, &self.environment);
            self.take_turn(kept, turn, now);
        }
    }

    /// A fetch has ended.
    pub(crate) fn on_resource_answer(&self, ticket: u64, answer: &Answer, now: u64) {
        let mut resources = self.resources.borrow_mut();
        let mut kept = resources.kept.iter_mut();
        // None: its lease has run out, and nobody waits for this answer.
        if let Some(kept) = kept.find(|kept| kept.keeper.fetching() == Some(ticket)) {
            let turn = kept.keeper.answered(ticket, answer, &self.environment);
            self.take_turn(kept, turn, now);
            let next = kept.next;
            drop(resources);
            // Those who waited for it go on with the tick.
            let next = self.waits.borrow().next().map_or(next, |waiting| waiting.min(next));
            self.arm(now, next);
        }
    }

    /// The root context goes: what it fetches, others fetch.
    pub(crate) fn leave_resources(&self) {
        for kept in &mut self.resources.borrow_mut().kept {
            kept.keeper.leave(&self.environment);
        }
    }

    fn take_turn(&self, kept: &mut Kept, mut turn: Turn, now: u64) {
        let unix = self.environment.now();
        // At most one call for each step of a fetch, and one failure.
        while let Some((ticket, call)) = turn.call.take() {
            let begun =
                self.start_call(&Call::Http(call), Asker::Resource(ticket), self.context(), now, true);
            if let Err(failure) = begun {
                turn = kept.keeper.answered(ticket, &Answer::Failed(failure), &self.environment);
            }
        }
        kept.next = turn.next.map_or(u64::MAX, |next| {
            let wait = u64::try_from(next.since(unix).as_nanos()).unwrap_or(u64::MAX);
            now.saturating_add(wait)
        });
        if let Some(event) = turn.event {
            self.report_event(&kept.keeper, event);
        }
        self.show(&kept.keeper, unix);
        wake(&mut self.waits.borrow_mut(), &kept.keeper, unix, now);
    }

    fn report_event(&self, keeper: &Keeper, Event { outcome, lines, size }: Event) {
        let name = calls::plain(keeper.name());
        self.count_named(format!("sluice_resources.resource.{name}.outcome.{outcome}"));
        for line in lines {
            // Said once for each turn of events; the counters tell it as well.
            log::warn!("the resource `{}`: {line}", keeper.name());
        }
        if let Some(size) = size {
            let size = u64::try_from(size).unwrap_or(u64::MAX);
            self.faults.note(
                "setting a gauge",
                gauges::set(&format!("sluice_resource_bytes.resource.{name}"), size),
            );
        }
    }

    /// What is known of the resource. All workers say the same: a gauge is one for the whole process.
    fn show(&self, keeper: &Keeper, now: UnixTime) {
        let name = calls::plain(keeper.name());
        let state = gauges::set(&format!("sluice_resource_state.resource.{name}"), keeper.state(now));
        let fetched = keeper.record().fetched.as_seconds();
        let fetched =
            gauges::set(&format!("sluice_resource_fetched_timestamp_seconds.resource.{name}"), fetched);
        self.faults.note("setting a gauge", state.and(fetched));
    }
}

/// Has the requests go on that wait for what has come.
fn wake(waits: &mut Waits, keeper: &Keeper, unix: UnixTime, now: u64) {
    waits.wake(now, |awaited| awaited.key == *keeper.key() && keeper.has_come(awaited, unix));
}
