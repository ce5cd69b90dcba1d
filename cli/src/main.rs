//! The process around [`sluice_cli`].

use clap::Parser;
use sluice_cli::arguments::Arguments;
use sluice_cli::{Colours, Streams};
use std::io::{BufWriter, stderr, stdin, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut streams = Streams {
        input: &mut stdin().lock(),
        output: &mut BufWriter::new(stdout().lock()),
        errors: &mut stderr().lock(),
        colours: Colours::of_this_process(),
    };
    ExitCode::from(sluice_cli::run(&arguments, &mut streams).code())
}
