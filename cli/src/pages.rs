//! What is made of what the command knows of itself: completions of shells, manual pages.

use crate::Status;
use crate::arguments::Arguments;
use crate::failure::Failure;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use std::io::Write;

/// Prints the script with which `shell` completes.
pub(crate) fn completions(shell: Shell, output: &mut dyn Write) -> Result<Status, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "sluice", &mut script);
    output.write_all(&script)?;
    Ok(Status::Fine)
}

/// Prints the page about the command that these names lead to.
pub(crate) fn manual(names: &[String], output: &mut dyn Write) -> Result<Status, Failure> {
    let mut command = Arguments::command();
    command.build();
    for name in names {
        let inner = command.find_subcommand(name).cloned();
        let known = || command.get_subcommands().map(Command::get_name).collect::<Vec<_>>().join(", ");
        command = inner.ok_or_else(|| match known() {
            known if known.is_empty() => {
                Failure::new(format!("`{}` has no commands of its own", command.get_name()))
            }
            known => Failure::new(format!("no command `{name}`; there are {known}")),
        })?;
    }
    let mut page = Vec::new();
    // `sluice-render-envoy`, as pages of commands within a command are named.
    let title =
        std::iter::once("sluice").chain(names.iter().map(String::as_str)).collect::<Vec<_>>().join("-");
    Man::new(command).title(title).render(&mut page)?;
    output.write_all(&page)?;
    Ok(Status::Fine)
}
