//! Envoy's log behind the facade `log`, so that all crates log in the same way: `log::debug!`, `log::warn!`.
//!
//! The level is that of Envoy's own logger `wasm` (`--component-log-level wasm:debug`, or `POST /logging?wasm=debug` on the administration
//! interface). It is asked for when a configuration arrives and whenever counters are settled, once a second where there is traffic. What
//! is off costs a branch.

use crate::calls::{self, LogLevel};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::cell::Cell;

thread_local! {
    /// A module has one thread. Tests have many, each with a host of its own.
    static LEVEL: Cell<LevelFilter> = const { Cell::new(LevelFilter::Info) };
}

/// See the module.
struct EnvoysLog;

impl Log for EnvoysLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= LEVEL.get()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            Level::Trace => LogLevel::Trace,
            Level::Debug => LogLevel::Debug,
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
        };
        // Where even logging fails there is nobody left to tell.
        let _ = calls::log(level, &format!("sluice: {}", record.args()));
    }

    fn flush(&self) {}
}

/// Installs the logger, once in the life of a module, and follows Envoy's level.
pub fn follow_level() {
    // Refused when it is installed already, which is what is wanted.
    if log::set_logger(&EnvoysLog).is_ok() {
        log::set_max_level(LevelFilter::Trace);
    }
    // Where the host can't tell, the level stays.
    if let Ok(level) = calls::log_level() {
        LEVEL.set(filter(level));
    }
}

/// The filter for a level as the ABI numbers it: trace, debug, info, warn, error, critical, off.
const fn filter(level: u32) -> LevelFilter {
    match level {
        0 => LevelFilter::Trace,
        1 => LevelFilter::Debug,
        2 => LevelFilter::Info,
        3 => LevelFilter::Warn,
        4 => LevelFilter::Error,
        _ => LevelFilter::Off,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::stand_in::{self, StandIn};

    #[test]
    fn what_is_below_envoys_level_is_not_logged() {
        stand_in::install(StandIn::default());
        for (level, expected) in [
            (0, vec!["sluice: debug", "sluice: info", "sluice: error"]),
            (1, vec!["sluice: debug", "sluice: info", "sluice: error"]),
            (2, vec!["sluice: info", "sluice: error"]),
            (4, vec!["sluice: error"]),
            (6, vec![]),
        ] {
            stand_in::with(|host| host.log_level = Some(level));
            follow_level();
            log::debug!("debug");
            log::info!("info");
            log::error!("error");
            let lines = stand_in::with(|host| std::mem::take(&mut host.lines));
            let lines: Vec<&str> = lines.iter().map(|(_, line)| line.as_str()).collect();
            assert_eq!(lines, expected, "level {level}");
        }
    }
}
