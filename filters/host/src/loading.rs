//! An update is compiled in slices, between which the worker serves by the policy that it had.

use crate::calls;
use crate::plugin::Plugin;
use crate::succession;
use sluice_core::document::pace::{self, Pace};
use sluice_core::document::problem::Problems;
use sluice_pipeline::{Pipeline, Seeds};
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

/// How long a slice takes, in nanoseconds: less than half of what an update may cost any request. A slice ends with a step, and some steps (a list
/// that is sorted, a table that grows) take a millisecond or two.
pub const SLICE: u64 = 2_000_000;

/// How long others have before the next slice, in nanoseconds. (Envoy's timer takes a few milliseconds.)
const PAUSE: u64 = 1_000_000;

/// A document of so many bytes is compiled at once: it takes about two milliseconds.
pub const SHORT: usize = 16 << 10;

/// A policy that decides fewer things is cleared away at once.
const SMALL: usize = 256;

type Work<T> = RefCell<Option<Pin<Box<dyn Future<Output = T>>>>>;

/// What a plugin does in slices.
#[derive(Default)]
pub struct Loading {
    compiling: Work<Result<Pipeline, Problems>>,
    clearing: Work<()>,
    /// When the slice ends; all that is left is one where there is none.
    until: Rc<Cell<Option<u64>>>,
    /// When the next slice is due.
    due: Cell<Option<u64>>,
    /// How many slices the document has taken so far.
    slices: Cell<u32>,
}

// === impl Loading ===

impl Loading {
    /// When the next slice is due; `None` where nothing is to be done.
    pub(crate) fn due(&self) -> Option<u64> {
        self.due.get()
    }

    fn pace(&self) -> Pace {
        let until = Rc::clone(&self.until);
        Pace::in_slices(move || {
            until.get().is_some_and(|until| calls::monotonic_nanoseconds().is_ok_and(|now| now >= until))
        })
    }

    fn is_busy(&self) -> bool {
        self.compiling.borrow().is_some() || self.clearing.borrow().is_some()
    }
}

fn go_on<T>(work: &Work<T>) -> Option<T> {
    let mut doing = work.take()?;
    match pace::poll(doing.as_mut()) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => {
            work.replace(Some(doing));
            None
        }
    }
}

// === impl Plugin ===

impl Plugin {
    /// Serves by the policy of `former` until this document, which is known to be right, is compiled. What has been done since `began` belongs to
    /// the first slice.
    pub(crate) fn load(&self, former: &Plugin, configuration: Vec<u8>, seeds: Seeds, began: Option<u64>) {
        self.adopt(former);
        let compiling = Pipeline::from_proven_json(configuration, seeds, self.loading.pace());
        self.loading.compiling.replace(Some(Box::pin(compiling)));
        self.loading.slices.set(0);
        self.load_slice_from(began);
    }

    /// Does a slice of what is to be done, and arms the timer for the next.
    pub(crate) fn load_slice(&self) {
        self.load_slice_from(calls::monotonic_nanoseconds().ok());
    }

    fn load_slice_from(&self, began: Option<u64>) {
        let Some(now) = began else { return self.load_all() };
        self.loading.until.set(Some(now.saturating_add(SLICE)));
        self.loading.slices.set(self.loading.slices.get().saturating_add(1));
        match go_on(&self.loading.compiling) {
            Some(compiled) => self.loaded(compiled),
            None if self.loading.compiling.borrow().is_none() => {
                go_on(&self.loading.clearing);
            }
            None => {}
        }
        self.loading.due.set(None);
        if self.loading.is_busy() {
            let now = calls::monotonic_nanoseconds().unwrap_or(now);
            let due = now.saturating_add(PAUSE);
            self.loading.due.set(Some(due));
            if !self.arm(now, due) {
                self.load_all();
            }
        }
    }

    /// Does all that is left at once.
    pub(crate) fn load_all(&self) {
        self.loading.until.set(None);
        self.loading.due.set(None);
        if let Some(compiled) = go_on(&self.loading.compiling) {
            self.loaded(compiled);
        }
        go_on(&self.loading.clearing);
    }

    fn loaded(&self, compiled: Result<Pipeline, Problems>) {
        let lacking = match &compiled {
            Ok(pipeline) => {
                self.environment.begin_phase();
                pipeline.lacks(&self.environment).into_iter().collect()
            }
            Err(problems) => problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        };
        if let (Ok(pipeline), []) = (compiled, lacking.as_slice()) {
            log::debug!("configuration compiled in slices: {}", self.loading.slices.get());
            return self.install(pipeline);
        }
        // Another VM has compiled these very bytes by this very code. Whatever this is, the policy that is there serves on.
        for problem in lacking {
            log::error!("configuration accepted, but not compiled; the old policy serves on: {problem}");
        }
        self.count_event("not_compiled");
    }

    /// Nobody in this plugin asks `former` any more. `owned`: it is this plugin's to end.
    pub(crate) fn let_go(&self, former: Rc<Pipeline>, owned: bool) {
        if owned {
            let is_heir = |other: &Plugin| {
                !std::ptr::eq(other, self)
                    && other.pipeline().is_some_and(|pipeline| Rc::ptr_eq(&pipeline, &former))
            };
            match succession::find(is_heir) {
                Some(heir) => heir.inherit(self.has_begun()),
                None => {
                    self.environment.begin_phase();
                    former.end(&self.environment);
                }
            }
        }
        // Whoever holds it last clears it away. A stream does so at once.
        let Some(former) = Rc::into_inner(former).filter(|former| former.reasons().len() > SMALL) else {
            return;
        };
        let serves = |other: &Plugin| other.pipeline().is_some() && other.loading.clearing.borrow().is_none();
        let Some(plugin) = succession::find(serves) else { return };
        let clearing = former.clear_away(plugin.loading.pace());
        plugin.loading.clearing.replace(Some(Box::pin(clearing)));
        let now = calls::monotonic_nanoseconds().unwrap_or_default();
        let due = now.saturating_add(PAUSE);
        plugin.loading.due.set(Some(due));
        if !plugin.arm(now, due) {
            plugin.load_all();
        }
    }

    /// The root context goes.
    pub(crate) fn stop_loading(&self) {
        self.loading.compiling.replace(None);
        self.loading.clearing.replace(None);
        self.loading.due.set(None);
    }
}
