//! The command: `sluice-trim list | trim | dist`.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sluice_metadata::Metadata;
use sluice_trim::dist::{self, Layout};
use sluice_trim::edition::EDITIONS;
use sluice_trim::listing;
use sluice_trim::trim::trim;

/// Looks into WebAssembly modules, trims them, and makes those of dist/.
#[derive(Parser)]
#[command(name = "sluice-trim", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists a module's sections with their sizes, its imports, its exports and its metadata.
    List { module: PathBuf },
    /// Removes exports, what became unreachable, and debugging sections; prints the sizes.
    Trim {
        /// The module to read.
        input: PathBuf,
        /// The module to write.
        output: PathBuf,
        /// The exports to keep, separated by commas; one that the module lacks is an error.
        #[arg(long, value_delimiter = ',', required = true)]
        keep: Vec<String>,
        /// What the module shall say about itself: {"version": …, "edition": …, "sections": […], "callbacks": […]}.
        #[arg(long)]
        metadata: Option<String>,
    },
    /// Builds the modules of dist/ whose sources have changed.
    Dist {
        /// The root of the checkout.
        #[arg(long, default_value = ".")]
        root: PathBuf,
        /// Only these editions, such as `sluice-auth`; all without it.
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Box<dyn Error>> {
    match command {
        Command::List { module } => print!("{}", listing::list(&read(&module)?)?),
        Command::Trim { input, output, keep, metadata } => {
            let module = read(&input)?;
            let keep: BTreeSet<&str> = keep.iter().map(String::as_str).collect();
            let metadata = metadata.as_deref().map(serde_json::from_str::<Metadata>).transpose();
            let metadata = metadata.map_err(|error| format!("--metadata: {error}"))?;
            let trimmed = trim(&module, &keep, metadata.as_ref())?;
            fs::write(&output, &trimmed.module).map_err(|error| format!("{}: {error}", output.display()))?;
            println!("{} bytes -> {} bytes", module.len(), trimmed.module.len());
            println!("functions: {} -> {}", trimmed.functions.0, trimmed.functions.1);
            println!("exports removed: {}", trimmed.removed_exports.join(", "));
        }
        Command::Dist { root, only } => {
            let known = EDITIONS.map(|edition| edition.name);
            if let Some(unknown) = only.iter().find(|name| !known.contains(&name.as_str())) {
                return Err(format!("there is no edition {unknown}; there are {}", known.join(", ")).into());
            }
            let chosen: Vec<_> = EDITIONS
                .into_iter()
                .filter(|edition| only.is_empty() || only.iter().any(|name| name == edition.name))
                .collect();
            let root = root.canonicalize().map_err(|error| format!("{}: {error}", root.display()))?;
            dist::build(&Layout::of_checkout(&root), &chosen, env!("CARGO_PKG_VERSION"))?;
        }
    }
    Ok(())
}

fn read(file: &PathBuf) -> Result<Vec<u8>, Box<dyn Error>> {
    fs::read(file).map_err(|error| format!("{}: {error}", file.display()).into())
}
