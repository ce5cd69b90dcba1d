//! What is counted, and when the host is told.

use super::Plugin;
use crate::calls;
use crate::counters::{Counters, FLUSH_AFTER, decision_counter};
use sluice_core::decision::reason::ReasonId;
use sluice_pipeline::{Followed, Pipeline};
use std::rc::Rc;

impl Plugin {
    /// Counts decisions of `pipeline`.
    pub fn count(&self, pipeline: &Rc<Pipeline>, decisions: &[ReasonId]) {
        if decisions.is_empty() {
            return;
        }
        let current = self.pipeline.borrow().as_ref().is_some_and(|current| Rc::ptr_eq(current, pipeline));
        let mut counters = self.counters.borrow_mut();
        for reason in decisions {
            if current {
                counters.count(*reason);
            } else if let Some(reason) = pipeline.reasons().get(*reason) {
                // A request that has waited is decided by the policy that it began with, whose ids mean nothing to the new one.
                counters.count_named(decision_counter(reason));
            }
        }
        self.schedule_flush(&mut counters);
    }

    /// Counts under a name.
    pub fn count_named(&self, name: String) {
        self.count_named_by(name, 1);
    }

    /// Counts what follow-ups of `pipeline` have decided.
    pub fn count_followed(&self, pipeline: &Rc<Pipeline>, followed: &Followed) {
        self.count(pipeline, &followed.decisions);
        followed.counters.iter().for_each(|counter| self.count_named(counter.clone()));
    }

    pub(super) fn count_named_by(&self, name: String, by: u64) {
        let mut counters = self.counters.borrow_mut();
        counters.count_named_by(name, by);
        self.schedule_flush(&mut counters);
    }

    /// Counts something that only the host layer knows of.
    pub fn count_event(&self, event: &str) {
        self.count_named(format!("sluice_host_events.event.{event}"));
    }

    pub(super) fn schedule_flush(&self, counters: &mut Counters) {
        if counters.due().is_some() {
            return;
        }
        let armed = calls::monotonic_nanoseconds().and_then(|now| {
            let due = now.saturating_add(FLUSH_AFTER);
            self.timer.arm(now, due).map(|()| counters.set_due(due))
        });
        self.faults.note("setting the timer", armed);
    }

    pub(super) fn flush(&self) {
        let pipeline = self.pipeline.borrow();
        if let Some(pipeline) = pipeline.as_ref() {
            let flushed = self.counters.borrow_mut().flush(pipeline.reasons());
            self.faults.note("counting", flushed);
        }
    }
}
