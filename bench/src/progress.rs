//! One line on standard error that says where we are.

use std::io::{IsTerminal, Write};
use std::time::Instant;

/// What is shown while it is measured.
pub struct Progress {
    begin: Instant,
    terminal: bool,
    shown: Option<String>,
}

impl Progress {
    /// Begins to count the time.
    pub fn begin() -> Self {
        Self { begin: Instant::now(), terminal: std::io::stderr().is_terminal(), shown: None }
    }

    /// Shows the row and its step: on a terminal each step, elsewhere each row.
    pub fn show(&mut self, row: &str, step: &str) {
        let seconds = self.begin.elapsed().as_secs();
        let mut error = std::io::stderr().lock();
        // Progress that can't be shown is no reason to stop.
        if self.terminal {
            let _ = write!(error, "\r\x1b[K{seconds:>4} s  {row}: {step}");
            let _ = error.flush();
        } else if self.shown.as_deref() != Some(row) {
            let _ = writeln!(error, "{seconds:>4} s  {row}");
        }
        self.shown = Some(row.to_owned());
    }

    /// Shows a sentence that stays.
    pub fn say(&mut self, sentence: &str) {
        self.clear();
        eprintln!("{sentence}");
        self.shown = None;
    }

    /// Removes the line.
    pub fn clear(&mut self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
    }

    /// The seconds since it began.
    pub fn seconds(&self) -> u64 {
        self.begin.elapsed().as_secs()
    }
}
