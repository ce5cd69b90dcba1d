//! What goes wrong between module and host. It never should; where it does, somebody must learn of it, but not once per request.

use crate::calls::{self, HostError};
use std::cell::Cell;

/// How long faults are silent after one was logged, in nanoseconds.
const SILENCE: u64 = 60_000_000_000;

/// Reports faults of one root context, at most one a minute.
#[derive(Debug, Default)]
pub struct Faults {
    silent_until: Cell<u64>,
    unreported: Cell<u64>,
}

impl Faults {
    /// The host failed at `what`. Nothing of a request may be in it.
    pub fn report(&self, what: &str, error: HostError) {
        let now = calls::monotonic_nanoseconds().unwrap_or_default();
        if now < self.silent_until.get() {
            self.unreported.set(self.unreported.get().saturating_add(1));
            return;
        }
        self.silent_until.set(now.saturating_add(SILENCE));
        let more = match self.unreported.take() {
            0 => String::new(),
            more => format!(" (and {more} faults more since the last that was reported)"),
        };
        log::error!("internal fault: {what}: {error}{more}");
    }

    /// Reports a call's failure, if it failed.
    pub fn note(&self, what: &str, result: Result<(), HostError>) {
        if let Err(error) = result {
            self.report(what, error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::stand_in::{self, StandIn};

    #[test]
    fn faults_are_reported_once_a_minute_with_the_number_of_the_others() {
        stand_in::install(StandIn { now: 1, ..StandIn::default() });
        crate::logger::follow_level();
        let faults = Faults::default();
        for _ in 0..3 {
            faults.report("test", HostError::BadArgument);
        }
        stand_in::with(|host| host.now = SILENCE + 1);
        faults.note("test", Err(HostError::Status(10)));
        faults.note("test", Ok(()));
        let lines =
            stand_in::with(|host| host.lines.iter().map(|(_, line)| line.clone()).collect::<Vec<_>>());
        assert_eq!(
            lines,
            [
                "sluice: internal fault: test: bad argument",
                "sluice: internal fault: test: status 10 (and 2 faults more since the last that was reported)",
            ]
        );
    }
}
