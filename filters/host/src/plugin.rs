//! One configuration in one worker: what a root context does.

mod configuration;
mod counts;
mod waiting;

use crate::callouts::{Asker, Callouts, Ended};
use crate::calls;
use crate::counters::Counters;
use crate::environment::HostEnvironment;
use crate::faults::Faults;
use crate::loading::Loading;
use crate::logger;
use crate::resources::Resources;
use crate::succession::Succession;
use crate::timer::Timer;
use crate::waits::{MOST_RELEASED, Waits};
use sluice_core::http::header_map::HeaderMap;
use sluice_pipeline::{Pipeline, Scratch};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A root context's state. Streams hold it with an `Rc`: on an update their old policy serves them to the end.
#[derive(Default)]
pub struct Plugin {
    /// The root context's number.
    context: u32,
    pipeline: RefCell<Option<Rc<Pipeline>>>,
    /// The host, as policies see it.
    pub environment: HostEnvironment,
    /// Reports what the host fails at.
    pub faults: Faults,
    work: Cell<Work>,
    counters: RefCell<Counters>,
    pub(crate) waits: RefCell<Waits>,
    pub(crate) resources: RefCell<Resources>,
    callouts: RefCell<Callouts>,
    pub(crate) loading: Loading,
    pub(crate) succession: Succession,
    /// Whether the policy is another's to end.
    borrowed: Cell<bool>,
    timer: Timer,
    /// When the policy is to begin; `None` once it has.
    begins: Cell<Option<u64>>,
}

/// Memory that requests use one after another.
#[derive(Debug, Default)]
pub struct Work {
    /// The request's headers.
    pub headers: HeaderMap,
    /// The pipeline's own.
    pub scratch: Scratch,
}

impl Plugin {
    /// The state of the root context of this number.
    pub fn new(context: u32) -> Self {
        Self { context, ..Self::default() }
    }

    /// The root context's number.
    pub(crate) const fn context(&self) -> u32 {
        self.context
    }

    /// The policy; `None` before a configuration was accepted.
    pub fn pipeline(&self) -> Option<Rc<Pipeline>> {
        self.pipeline.borrow().clone()
    }

    /// The policy by which a request is served that has just come. The document's own, where it must not be another's.
    pub fn pipeline_for_request(&self) -> Option<Rc<Pipeline>> {
        if !self.is_idle() && !self.succession.admits() {
            self.load_all();
            if self.succession.is_adopted() {
                return None;
            }
        }
        self.pipeline()
    }

    /// Whether requests need not be looked at.
    pub fn is_idle(&self) -> bool {
        !self.succession.is_adopted()
            && self.pipeline.borrow().as_ref().is_some_and(|pipeline| pipeline.is_empty())
    }

    /// Memory for a request, to be [given back](Self::give_back).
    pub fn take_work(&self) -> Work {
        self.work.take()
    }

    /// Takes a request's memory back; its headers, credentials among them, go.
    pub fn give_back(&self, mut work: Work) {
        drop(work.headers.take_buffer());
        self.work.set(work);
    }

    /// The timer has fired.
    pub fn on_tick(&self) {
        self.environment.begin_phase();
        let now = match calls::monotonic_nanoseconds() {
            Ok(now) => now,
            // The timer stays as it is, and fires again.
            Err(error) => return self.faults.report("reading the clock", error),
        };
        if self.counters.borrow().due().is_some_and(|due| due <= now) {
            self.flush();
            logger::follow_level();
        }
        if self.begins.get().is_some_and(|due| due <= now) {
            self.begins.set(None);
            if let Some(pipeline) = self.pipeline() {
                pipeline.start(&self.environment);
            }
        }
        let given_up = self.callouts.borrow_mut().give_up(now);
        self.timer.fired();
        if self.loading.due().is_some_and(|due| due <= now) {
            self.load_slice();
        }
        for Ended { asker, answer, counters } in given_up {
            for (name, by) in counters {
                self.count_named_by(name, by);
            }
            // A request's wait ends by itself.
            if let Asker::Resource(ticket) = asker {
                self.on_resource_answer(ticket, &answer, now);
            }
        }
        self.tend_resources(now);
        // One at a time: nothing here is borrowed while the host is called.
        for _ in 0..MOST_RELEASED {
            let Some((context, mut waiting)) = self.waits.borrow_mut().take_due(now) else { break };
            waiting.end();
            self.go_on(context, waiting, now);
        }
        // To go on with a request has made its context the effective one.
        let _ = calls::set_effective_context(self.context);
        let next = [
            self.waits.borrow().next(),
            self.callouts.borrow().next(),
            self.resources.borrow().next(),
            self.counters.borrow().due(),
            self.begins.get(),
            self.loading.due(),
        ];
        self.faults.note("setting the timer", self.timer.rearm(now, next.into_iter().flatten().min()));
    }

    /// The root context goes: Envoy has drained its streams.
    pub fn retire(&self) {
        self.flush();
        self.stop_loading();
        if let Some(pipeline) = self.pipeline.take() {
            self.let_go(pipeline, !self.borrowed.get());
        }
        self.leave_resources();
        self.timer.stop();
    }

    /// Has the timer fire at `until` at the latest. Says whether it will.
    pub(crate) fn arm(&self, now: u64, until: u64) -> bool {
        let armed = self.timer.arm(now, until);
        self.faults.note("setting the timer", armed);
        armed.is_ok()
    }
}
