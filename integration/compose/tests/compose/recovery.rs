//! Each container is killed once while requests come in: the table "When something fails" of docs/compose.md.

use std::time::{Duration, Instant};

use sluice_compose_test::{Kind, Outcome, Traffic};
use sluice_integration::{Error, Result, wait_until};

use crate::{Demo, EDGE, must, start};

/// How long a container may take until it is healthy and requests are served as before.
const RECOVERY: Duration = Duration::from_secs(180);

/// How many good answers in a row mean that all is well.
const IN_A_ROW: usize = 8;

/// A container, and what good requests may see meanwhile besides good answers.
const CONTAINERS: [(&str, &[Outcome]); 11] = [
    ("edge", &[Outcome::None]),
    ("orders-sidecar", &[Outcome::Status(503), Outcome::Status(504)]),
    ("orders-v1", &[Outcome::Status(503)]),
    ("orders-v2", &[]),
    ("inventory-sidecar", &[Outcome::WithoutStock(503), Outcome::WithoutStock(504)]),
    ("inventory", &[Outcome::WithoutStock(503)]),
    ("issuer", &[]),
    ("ratelimit", &[]),
    ("redis", &[]),
    ("prometheus", &[]),
    ("jaeger", &[]),
];

pub(crate) fn check(demo: &Demo) -> Result<()> {
    let named: Vec<String> = CONTAINERS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let run: Vec<String> = start::services(demo)?.into_iter().filter(|name| name != "prepare").collect();
    must(
        "every container is killed once",
        run.iter().all(|name| named.contains(name)) && run.len() == named.len(),
    )?;
    let mut wrong = Vec::new();
    for (service, meanwhile) in CONTAINERS {
        if let Err(error) = killed(demo, service, meanwhile) {
            println!("   ✗ {service}: {error}");
            wrong.push(service);
            if !serves_well(Duration::from_secs(30))? {
                println!("   ✗ no good answers any more: the others are not killed");
                break;
            }
        }
    }
    must(format!("recovered and harmless: all ({wrong:?} not)"), wrong.is_empty())
}

/// A sidecar is stopped and stays so: Docker tries once to start the services that share its network, and gives up. Then the line of the
/// documentation helps.
pub(crate) fn a_sidecar_stopped(demo: &Demo) -> Result<()> {
    demo.project.done(&["stop", "-t", "2", "orders-sidecar"])?;
    let mut state = String::new();
    let left = wait_until("orders-v1 to leave", RECOVERY, || {
        std::thread::sleep(Duration::from_millis(200));
        state = demo.project.state("orders-v1").map(|(state, _)| state).unwrap_or_default();
        state.starts_with("exited")
    });
    must(format!("the service leaves when its network is gone for long: {state}"), left.is_ok())?;
    let traffic = Traffic::start(EDGE)?;
    wait_until("answers of each kind", RECOVERY, || {
        [Kind::Good, Kind::Anonymous, Kind::Forged].into_iter().all(|kind| traffic.outcomes(kind).len() >= 3)
    })?;
    let meanwhile = traffic.end();
    let only = |kind: Kind, status: u16| {
        meanwhile
            .get(&kind)
            .is_some_and(|outcomes| outcomes.keys().all(|outcome| *outcome == Outcome::Status(status)))
    };
    must(
        "meanwhile 503 with a credential, 401 without",
        only(Kind::Good, 503) && only(Kind::Anonymous, 401) && only(Kind::Forged, 401),
    )?;
    start::up(demo)?;
    must("`up -d` puts it right", serves_well(RECOVERY)?)
}

/// Whether good requests are all served again before `limit`.
fn serves_well(limit: Duration) -> Result<bool> {
    let traffic = Traffic::start(EDGE)?;
    let well = wait_until("good answers", limit, || {
        let outcomes = traffic.outcomes(Kind::Good);
        outcomes.len() >= IN_A_ROW
            && outcomes.iter().rev().take(IN_A_ROW).all(|outcome| *outcome == Outcome::Status(200))
    });
    traffic.end();
    Ok(well.is_ok())
}

fn killed(demo: &Demo, service: &str, meanwhile: &[Outcome]) -> Result<()> {
    let traffic = Traffic::start(EDGE)?;
    let well = |since: usize| {
        let outcomes = traffic.outcomes(Kind::Good);
        let new = outcomes.get(since..).unwrap_or_default();
        new.len() >= IN_A_ROW
            && new.iter().rev().take(IN_A_ROW).all(|outcome| *outcome == Outcome::Status(200))
    };
    wait_until("good answers before", RECOVERY, || well(0))?;
    let begun = Instant::now();
    kill(demo, service)?;
    let since = traffic.outcomes(Kind::Good).len();
    start::healthy(demo, service)?;
    let recovered = wait_until("good answers again", RECOVERY, || {
        std::thread::sleep(Duration::from_millis(100));
        well(since)
    });
    let took = begun.elapsed();
    let (state, _) = demo.project.state(service)?;
    let counted = traffic.end();
    let shown = |kind: Kind| {
        let outcomes = counted.get(&kind).into_iter().flatten();
        outcomes.map(|(outcome, count)| format!("{outcome} ×{count}")).collect::<Vec<_>>().join(", ")
    };
    println!(
        "   {service} killed: {state} and good answers after {took:.1?}\n      good requests: {}\n      anonymous: {}; forged: {}",
        shown(Kind::Good),
        shown(Kind::Anonymous),
        shown(Kind::Forged)
    );
    recovered?;
    let only = |kind: Kind, allowed: &[Outcome]| {
        counted.get(&kind).is_some_and(|outcomes| outcomes.keys().all(|outcome| allowed.contains(outcome)))
    };
    let good: Vec<Outcome> = [&[Outcome::Status(200)], meanwhile].concat();
    // Who has no good credential is told so by the edge, or has no edge to ask.
    let others = if service == "edge" {
        vec![Outcome::Status(401), Outcome::None]
    } else {
        vec![Outcome::Status(401)]
    };
    must(format!("{service}: what its clients saw is documented"), only(Kind::Good, &good))?;
    must(
        format!("{service}: nobody got in without a credential"),
        only(Kind::Anonymous, &others) && only(Kind::Forged, &others),
    )?;
    // That something was killed must have been noticed where it is in every request's way.
    let noticed = counted.get(&Kind::Good).is_some_and(|outcomes| outcomes.len() > 1);
    must(
        format!("{service}: noticed {noticed}"),
        noticed || !matches!(service, "edge" | "orders-sidecar" | "inventory-sidecar"),
    )
}

/// Ends a container's process as a crash does, and waits until another runs. (`docker kill` counts as a wish of the user's, after
/// which Docker does not start it again.)
pub(crate) fn kill(demo: &Demo, service: &str) -> Result<()> {
    let (_, pid) = demo.project.state(service)?;
    let process = i32::try_from(pid).ok().filter(|pid| *pid > 1);
    let process = process.ok_or_else(|| Error::Other(format!("{service} has no process")))?;
    // SAFETY: a plain system call, on the process of a container that this test has started.
    if unsafe { libc::kill(process, libc::SIGKILL) } != 0 {
        return Err(Error::Other(format!("can't kill process {process} of {service}")));
    }
    wait_until(&format!("{service} to be started again"), RECOVERY, || {
        std::thread::sleep(Duration::from_millis(100));
        demo.project
            .state(service)
            .is_ok_and(|(state, now)| state.starts_with("running") && now != pid && now != 0)
    })
}
