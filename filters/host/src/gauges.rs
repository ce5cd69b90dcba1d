//! Gauges: numbers that go up and down, one of each name in the whole proxy.

use crate::calls::{self, HostResult};
use std::cell::RefCell;
use std::collections::HashMap;

thread_local! {
    /// The host's ids of the gauges of this VM, and what this VM set them to last, by name: see `counters`.
    static GAUGES: RefCell<HashMap<String, (u32, Option<u64>)>> = RefCell::default();
}

/// Sets the gauge of this name. Nothing is called where this VM has set it to the same.
///
/// # Errors
/// Where the host refuses.
pub fn set(name: &str, value: u64) -> HostResult<()> {
    GAUGES.with(|gauges| {
        let mut gauges = gauges.borrow_mut();
        let (id, last) = match gauges.get(name) {
            Some(known) => *known,
            None => (calls::define_gauge(name)?, None),
        };
        if last != Some(value) {
            calls::record_gauge(id, value)?;
        }
        gauges.insert(name.to_owned(), (id, Some(value)));
        Ok(())
    })
}
