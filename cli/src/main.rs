//! The process around [`sluice_cli`].

use anstream::{AutoStream, ColorChoice};
use clap::Parser;
use sluice_cli::arguments::Arguments;
use sluice_cli::{Colours, Streams};
use std::io::{BufWriter, stderr, stdin, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A terminal, unless `NO_COLOR`, `CLICOLOR` or `TERM` say otherwise.
    let colours = Colours {
        output: AutoStream::choice(&stdout()) != ColorChoice::Never,
        errors: AutoStream::choice(&stderr()) != ColorChoice::Never,
    };
    let mut streams = Streams {
        input: &mut stdin().lock(),
        output: &mut BufWriter::new(stdout().lock()),
        errors: &mut stderr().lock(),
        colours,
    };
    ExitCode::from(sluice_cli::run(&arguments, &mut streams).code())
}
