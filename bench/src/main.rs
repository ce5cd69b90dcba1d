//! `make bench`: what a request costs in Envoy's processor time, with the module and with Envoy's own filters.
//!
//! The method and the rows are explained in docs/benchmarks.md.

mod arguments;
mod bootstrap;
mod comparison;
mod contender;
mod flood;
mod load;
mod machine;
mod native;
mod policies;
mod probe;
mod processor;
mod progress;
mod report;
mod rows;
mod service;
mod startup;
mod statistics;
mod traffic;
mod update;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use sluice_integration::{Error, Result, interrupted, repository_root};

use arguments::Arguments;
use comparison::{Effort, Modules};
use contender::Contender;
use processor::Cores;
use progress::Progress;
use report::Line;
use rows::{Edition, ROWS};

/// The rows that are not about requests, and what they are.
const STARTUP_ROWS: [(&str, &str); 6] = [
    ("vm_start_ms", "how much later the first answer comes because of the module, in ms"),
    ("vm_start_ms_host_signatures", "the same with sluice-host-signatures.wasm"),
    ("module_bytes_host_signatures", "the size of sluice-host-signatures.wasm"),
    ("module_bytes", "the size of sluice.wasm"),
    ("module_bytes_headers", "the size of sluice-headers.wasm"),
    ("rss_per_worker", "memory that each further worker takes for the module, in bytes"),
];

/// The row whose lines are about latency.
const FLOOD_ROW: (&str, &str) = (
    flood::ROW,
    "while one address sends bad tokens (RS256, PS256): the latency of good requests in ms, and how many are accepted; beside jwt_authn",
);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        list();
        return ExitCode::SUCCESS;
    }
    match interrupted::or(|| run(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    for row in ROWS {
        println!("{:22}  {}", row.name, row.about);
    }
    let updates = update::ROWS.map(|(name, about, _)| (name, about));
    for (name, about) in STARTUP_ROWS.into_iter().chain(updates).chain([FLOOD_ROW]) {
        println!("{name:22}  {about}");
    }
}

/// Measures all rows that are wanted; true if each could be.
fn run(arguments: &Arguments) -> Result<bool> {
    let dist = if arguments.native_only { None } else { Some(folder(arguments.dist.as_deref(), arguments)?) };
    let beside = arguments.beside.as_deref().map(|beside| folder(Some(beside), arguments)).transpose()?;
    let modules = Modules { ours: dist.as_deref(), beside: beside.as_deref() };
    let mut progress = Progress::begin();
    for line in machine::describe() {
        progress.say(&line);
    }
    let mut lines = Vec::new();
    let mut failures = Vec::new();
    let mut keep = |row: &str, outcome: Result<Vec<Line>>, progress: &mut Progress| match outcome {
        Ok(measured) => lines.extend(measured),
        Err(error) => {
            progress.say(&format!("{row}: {error}"));
            failures.push(row.to_owned());
        }
    };

    if let Some(dist) = &dist {
        let starts = arguments.starts();
        for (name, _) in STARTUP_ROWS.into_iter().filter(|(name, _)| arguments.wants(name)) {
            let measured = match name {
                "vm_start_ms" => {
                    startup::vm_start(name, dist, Edition::Full, modules.beside, starts, &mut progress)
                }
                "vm_start_ms_host_signatures" => {
                    let edition = Edition::HostSignatures;
                    startup::vm_start(name, dist, edition, modules.beside, starts, &mut progress)
                }
                "module_bytes_host_signatures" => startup::module_bytes(name, Edition::HostSignatures, dist),
                "rss_per_worker" => startup::rss_per_worker(name, dist, starts.min(3), &mut progress),
                "module_bytes_headers" => startup::module_bytes(name, Edition::Headers, dist),
                _ => startup::module_bytes(name, Edition::Full, dist),
            };
            keep(name, measured.map(|line| vec![line]), &mut progress);
        }
    }

    if let Some(dist) = &dist {
        for (name, _, document) in update::ROWS.into_iter().filter(|(name, ..)| arguments.wants(name)) {
            let updates = arguments.starts();
            let measured = update::measure(name, document, dist, modules.beside, updates, &mut progress);
            keep(name, measured.map(|line| vec![line]), &mut progress);
        }
    }

    let cores = Cores::choose();
    if arguments.wants(flood::ROW) {
        let measured = flood::measure(modules.ours, modules.beside, cores, &mut progress);
        keep(flood::ROW, measured, &mut progress);
    }
    let mut bare = Contender::start("bare", &[], cores)?;
    let effort = Effort { rounds: arguments.rounds(), requests: arguments.requests() };
    for row in ROWS {
        // Without a module, a row without a peer has nothing to measure.
        let something = dist.is_some() || !row.peers.is_empty();
        if arguments.wants(row.name) && something {
            let outcome = comparison::measure(row, modules, &mut bare, effort, cores, &mut progress);
            keep(row.name, outcome, &mut progress);
        }
    }

    progress.clear();
    println!("{}", report::table(&lines));
    println!(
        "µs of Envoy's processor time per request above `bare`, an Envoy without filters; median ± median deviation."
    );
    if let Some(beside) = &beside {
        println!("In place of native: the modules of {}.", beside.display());
    }
    let file = contender::directory().join("results.json");
    report::write(&lines, &file)?;
    println!("{} s; results: {}", progress.seconds(), shown(&file));
    if !failures.is_empty() {
        println!("not measured: {}", failures.join(", "));
    }
    Ok(failures.is_empty())
}

/// A folder, `dist/` unless another is named, which must have the modules of the rows that are wanted.
fn folder(named: Option<&Path>, arguments: &Arguments) -> Result<PathBuf> {
    let dist = named.map_or_else(|| repository_root().join("dist"), Path::to_owned);
    let dist = dist.canonicalize().unwrap_or(dist);
    // Starts and updates are measured with the full one.
    let of_rows = ROWS.iter().filter(|row| arguments.wants(row.name)).map(|row| row.edition);
    for edition in std::iter::once(Edition::Full).chain(of_rows) {
        if !edition.path(&dist).is_file() {
            return Err(Error::Missing {
                what: edition.path(&dist).display().to_string(),
                remedy: "run `make build`; or measure only Envoy's own filters with --native-only".to_owned(),
            });
        }
    }
    Ok(dist)
}

/// A path as a person at the repository's root would type it.
fn shown(file: &Path) -> String {
    let root = repository_root();
    file.strip_prefix(&root).unwrap_or(file).display().to_string()
}
