//! Runs the real `sluice`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What came of a run.
pub struct Ran {
    /// The exit status.
    pub code: i32,
    /// What it wrote to standard output.
    pub output: String,
    /// What it wrote to standard error.
    pub errors: String,
}

/// Runs `sluice` with these arguments and this standard input, in `folder`.
pub fn sluice(arguments: &[&str], input: &str, folder: &Path) -> Ran {
    sluice_with(&[], arguments, input, folder)
}

/// The same with these environment variables.
pub fn sluice_with(variables: &[(&str, &str)], arguments: &[&str], input: &str, folder: &Path) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads no input may have gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        output: String::from_utf8(output.stdout).unwrap(),
        errors: String::from_utf8(output.stderr).unwrap(),
    }
}
