//! `make compose-test`: docker-compose.yml is started as a user starts it, walked through, and broken.
//!
//! One run, in the order below: it takes minutes to start all this. Each part prints what it does; all that fail are told at the
//! end. Parts named on the command line are run alone (`cargo test -p sluice-compose-test --test compose -- recovery`).

mod dashboards;
mod documentation;
mod hardening;
mod policies;
mod quotas;
mod recovery;
mod start;
mod walk;

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use sluice_compose_test::{Engine, Project, isolation};
use sluice_integration::{Error, Result, interrupted, repository_root};

/// A part of the test.
type Part = fn(&Demo) -> Result<()>;

/// What every part is given.
pub(crate) struct Demo<'e> {
    pub(crate) engine: &'e Engine,
    pub(crate) project: Project<'e>,
}

/// The port of the edge, as docker-compose.yml publishes it.
pub(crate) const EDGE: u16 = 10000;

const PARTS: [(&str, Part); 9] = [
    ("hardening", hardening::check),
    ("tour", walk::check),
    ("dashboards", dashboards::check),
    ("policies", policies::check),
    ("without-ratelimit", quotas::without_the_service),
    ("quota", quotas::check),
    ("documentation", documentation::check),
    ("without-redis", quotas::without_redis),
    ("recovery", recovery::check),
];

fn main() -> ExitCode {
    let outcome = if Engine::is_given() { Ok(()) } else { isolation::enter() };
    // After this the process has other threads.
    match outcome.and_then(|()| interrupted::or(test)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\ncompose-test: {error}");
            ExitCode::FAILURE
        }
    }
}

fn test() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let started = Instant::now();
    let engine = say("engine", started, || Engine::start(&repository_root().join("target/compose-test")))?;
    let demo = Demo { engine: &engine, project: Project::new(&engine)? };
    let outcome = everything(&demo, &wanted, started);
    if outcome.is_err() {
        tell(&demo)?;
    }
    let down =
        say("down", started, || demo.project.done(&["down", "-v", "--remove-orphans", "-t", "2"]).map(drop));
    outcome.and(down)
}

fn everything(demo: &Demo, wanted: &[String], started: Instant) -> Result<()> {
    say("images", started, || start::images(demo))?;
    say("start", started, || start::up(demo))?;
    let mut failed = Vec::new();
    for (name, part) in PARTS {
        if !wanted.is_empty() && !wanted.iter().any(|one| one == name) {
            continue;
        }
        if let Err(error) = say(name, started, || part(demo)) {
            println!("✗ {name}: {error}");
            failed.push(name);
        }
    }
    if failed.is_empty() {
        println!("\nall parts held ({:.0?})", started.elapsed());
        return Ok(());
    }
    Err(Error::Other(format!("did not hold: {}", failed.join(", "))))
}

/// What the containers are and said, for whoever looks into a failure.
fn tell(demo: &Demo) -> Result<()> {
    for service in start::services(demo)? {
        let state = demo.project.inspect(&service).map(|inspected| inspected["State"].to_string());
        let log = demo.project.run(&["logs", "--no-color", "--tail", "15", &service])?;
        println!("── {service}: {}", excerpt(&state.unwrap_or_else(|e| e.to_string())));
        log.both().lines().for_each(|line| println!("{}", excerpt(line)));
    }
    println!("── the end of the engine's log");
    let log = demo.engine.log();
    log.lines().filter(|line| !line.contains("level=info")).for_each(|line| println!("{}", excerpt(line)));
    Ok(())
}

fn excerpt(line: &str) -> String {
    line.chars().take(400).collect()
}

fn say<T>(name: &str, started: Instant, act: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("\n══ {name} ({:.0?})", started.elapsed());
    let _ = std::io::stdout().flush();
    act()
}

/// What must be so; an error that says what is not.
pub(crate) fn must(what: impl std::fmt::Display, holds: bool) -> Result<()> {
    if holds {
        println!("   ✓ {what}");
        Ok(())
    } else {
        Err(Error::Other(format!("not so: {what}")))
    }
}
