//! Where a program runs: in the network namespace of the test, or in a named one.

use std::path::Path;
use std::process::Command;

use sluice_integration::{Result, tools};

/// A network namespace as `ip netns` names them, with its loopback interface up; `None` is that of this process.
#[derive(Debug, Clone)]
pub(crate) struct Namespace(pub(crate) Option<String>);

impl Namespace {
    /// A command that runs `program` there. `ip netns exec` becomes the program: its process id is the program's, and what the
    /// kernel was told about the death of its parent still holds.
    pub(crate) fn command(&self, program: &Path) -> Result<Command> {
        let Some(name) = &self.0 else { return Ok(Command::new(program)) };
        let mut command = Command::new(tools::find("ip")?);
        command.args(["netns", "exec", name]).arg(program);
        Ok(command)
    }
}
