//! Waiting with a deadline.

use std::time::{Duration, Instant};

use crate::{Error, Result};

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks again and again until `look` says true; an error that names `what` after `limit`.
pub fn wait_until(what: &str, limit: Duration, mut look: impl FnMut() -> bool) -> Result<()> {
    wait_until_some(what, limit, || look().then_some(()))
}

/// Looks again and again until `look` gives something; an error that names `what` after `limit`.
pub fn wait_until_some<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            return Err(Error::NotInTime { what: what.to_owned(), log: String::new() });
        }
        std::thread::sleep(PAUSE);
    }
}
