//! Commands that are run to their end.

use std::process::Command;

use sluice_integration::{Error, Result};

/// What a command said, and whether it succeeded.
#[derive(Debug)]
pub struct Output {
    /// Whether its status was 0.
    pub success: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// All that it said.
    pub fn both(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Its standard output.
    ///
    /// # Errors
    /// When it has failed: with what it said.
    pub fn succeeded(self, what: &str) -> Result<String> {
        if self.success {
            Ok(self.stdout)
        } else {
            Err(Error::Other(format!("{what} failed:\n{}", self.both())))
        }
    }
}

/// Runs a command to its end, without input.
///
/// # Errors
/// When it can't be started.
pub fn run(command: &mut Command) -> Result<Output> {
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|e| Error::file("can't start", command.get_program().as_ref(), e))?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Output { success: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) })
}
