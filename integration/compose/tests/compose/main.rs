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

const PARTS: [(&str, Part); 10] = [
    ("hardening", hardening::check),
    ("tour", walk::check),
    ("dashboards", dashboards::check),
    ("policies", policies::check),
    ("without-ratelimit", quotas::without_the_service),
    ("quota", quotas::check),
    ("documentation", documentation::check),
    ("without-redis", quotas::without_redis),
    ("recovery", recovery::check),
    ("a-sidecar-stopped", recovery::a_sidecar_stopped),
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
    let demo = Demo { engine: &engine, project: Project::by("docker-compose", &engine)? };
    say("images", started, || start::images(&demo))?;
    let wanted_here = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    let first = walk_through(&demo, "", started, wanted_here);
    if !wanted.is_empty() {
        return first;
    }
    // The same by the other version of Compose, and with the module that was built here instead of the image's.
    let project = Project::by("docker-compose-v2", &engine)?.with("SLUICE_MODULE_DIR", "./dist");
    let demo = Demo { engine: &engine, project };
    let second = walk_through(&demo, "Compose v2: ", started, |name| ["hardening", "tour"].contains(&name));
    println!("\n{:.0?} in all", started.elapsed());
    first.and(second)
}

/// Starts everything, does the wanted parts, and takes everything down.
fn walk_through(demo: &Demo, by: &str, started: Instant, wanted: impl Fn(&str) -> bool) -> Result<()> {
    let outcome = say(&format!("{by}start"), started, || start::up(demo)).and_then(|()| {
        let mut failed = Vec::new();
        for (name, part) in PARTS.into_iter().filter(|(name, _)| wanted(name)) {
            if let Err(error) = say(&format!("{by}{name}"), started, || part(demo)) {
                println!("✗ {by}{name}: {error}");
                failed.push(format!("{by}{name}"));
            }
        }
        if failed.is_empty() {
            Ok(())
        } else {
            Err(Error::Other(format!("did not hold: {}", failed.join(", "))))
        }
    });
    if outcome.is_err() {
        tell(demo)?;
    }
    let down = say(&format!("{by}down"), started, || {
        demo.project.done(&["down", "-v", "--remove-orphans", "-t", "2"])?;
        must("nothing is left", start::left(demo)?.is_empty())
    });
    outcome.and(down)
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
