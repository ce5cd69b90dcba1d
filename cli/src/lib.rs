//! The `sluice` command, as a library: everything but the process.
//!
//! Documents are read by [`yaml`] into [`node`]s, which know where everything stands; [`structure`] and [`compile`] bring them into the
//! types of the pipeline, the very code that runs in the proxy. Each command has a module of its name: [`check`], [`explain`],
//! [`schema`], [`render`], [`keys`].

pub mod arguments;
pub mod check;
pub mod compile;
pub mod explain;
pub mod failure;
mod foreign;
pub mod keys;
pub mod node;
mod pages;
pub mod render;
mod report;
pub mod schema;
pub mod secrets;
pub mod source;
pub mod structure;
pub mod text;
pub mod yaml;

use anstream::{AutoStream, ColorChoice};
use arguments::{Arguments, Command};
use failure::Failure;
use std::io::{Read, Write, stderr, stdout};

/// What a command reads and writes.
pub struct Streams<'s> {
    /// Standard input, for files named `-`.
    pub input: &'s mut dyn Read,
    /// Results.
    pub output: &'s mut dyn Write,
    /// What keeps a command from giving a result.
    pub errors: &'s mut dyn Write,
    /// Whether each of the two is a terminal that shows colours.
    pub colours: Colours,
}

/// Where colours are shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Colours {
    /// On the output.
    pub output: bool,
    /// On the error output.
    pub errors: bool,
}

impl Colours {
    /// On terminals, unless `NO_COLOR`, `CLICOLOR` or `TERM` say otherwise.
    pub fn of_this_process() -> Self {
        Self {
            output: AutoStream::choice(&stdout()) != ColorChoice::Never,
            errors: AutoStream::choice(&stderr()) != ColorChoice::Never,
        }
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All is fine.
    Fine,
    /// A document is wrong.
    Wrong,
    /// The command line is wrong, or a file can't be read or written.
    Failed,
}

impl Status {
    /// The exit status.
    pub const fn code(self) -> u8 {
        match self {
            Status::Fine => 0,
            Status::Wrong => 1,
            Status::Failed => 2,
        }
    }
}

/// Runs a command.
pub fn run(arguments: &Arguments, streams: &mut Streams<'_>) -> Status {
    let result = match &arguments.command {
        Command::Check(arguments) => check::run(arguments, streams),
        Command::Explain(arguments) => explain::run(arguments, streams),
        Command::Schema => {
            writeln!(streams.output, "{:#}", schema::schema()).map(|()| Status::Fine).map_err(Failure::from)
        }
        Command::Completions { shell } => pages::completions(*shell, streams.output),
        Command::Man { command } => pages::manual(command, streams.output),
        Command::Keys { command } => keys::run(command, streams),
        Command::Render { target } => render::run(target, streams),
    };
    let result = result.and_then(|status| Ok(streams.output.flush().map(|()| status)?));
    result.unwrap_or_else(|failure| {
        if failure.is_unheard() {
            // Whoever read the output has seen enough, as `head` does.
            return Status::Fine;
        }
        // Where not even this can be written, the exit status says it.
        let _ = writeln!(streams.errors, "sluice: {failure}");
        Status::Failed
    })
}
