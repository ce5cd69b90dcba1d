//! Images, and `docker-compose up`.

use std::time::{Duration, Instant};

use sluice_compose_test::{dot_env, stand_ins};
use sluice_integration::{Error, Result, repository_root, wait_until};

use crate::{Demo, must};

/// How long everything may take to be healthy: three Envoys compile the module, on a machine that may have two cores.
const HEALTHY: Duration = Duration::from_secs(300);

/// What is not run: Grafana's programs are not to be had where images aren't. What it is given is tested all the same.
const LEFT_OUT: [&str; 1] = ["grafana"];

/// The images: ours from `dist/images`, others' pulled into a given engine, or stand-ins in an engine of our own.
pub(crate) fn images(demo: &Demo) -> Result<()> {
    let environment = dot_env()?;
    let named = |variable: &str| {
        environment.get(variable).ok_or_else(|| Error::Other(format!(".env does not name {variable}")))
    };
    let file = repository_root().join("dist/images/sluice-demo.tar");
    if !file.is_file() {
        return Err(Error::Missing {
            what: file.display().to_string(),
            remedy: "run `make images`, or `tools/build-images demo`".to_owned(),
        });
    }
    let said = demo.engine.docker(&["load", "-q", "-i", &file.display().to_string()])?;
    let loaded = said.trim().trim_start_matches("Loaded image: ").to_owned();
    let ours = format!("{}/sluice-demo:{}", named("SLUICE_REGISTRY")?, named("SLUICE_VERSION")?);
    if loaded != ours {
        demo.engine.docker(&["tag", &loaded, &ours])?;
    }
    println!("   {ours}: dist/images/sluice-demo.tar");
    if !demo.engine.is_own() {
        let services = services(demo)?;
        let mut pull = vec!["pull"];
        pull.extend(
            services.iter().map(String::as_str).filter(|service| service != &"prepare" && !is_ours(service)),
        );
        demo.project.done(&pull)?;
        return Ok(());
    }
    for stand_in in stand_ins::all()? {
        let image = named(stand_in.variable)?;
        let begun = Instant::now();
        stand_in.make(demo.engine, image)?;
        println!("   {image}: a stand-in with the real program ({:.1?})", begun.elapsed());
    }
    Ok(())
}

fn is_ours(service: &str) -> bool {
    ["orders-v1", "orders-v2", "inventory", "issuer"].contains(&service)
}

/// The services that are run.
pub(crate) fn services(demo: &Demo) -> Result<Vec<String>> {
    let named = demo.project.done(&["config", "--services"])?;
    let mut services: Vec<String> = named.lines().map(str::to_owned).collect();
    services.retain(|service| !LEFT_OUT.contains(&service.as_str()) && service != "tour");
    services.sort();
    Ok(services)
}

/// Starts all, as a user does, and waits until all are healthy.
pub(crate) fn up(demo: &Demo) -> Result<()> {
    let services = services(demo)?;
    let mut arguments = vec!["up", "-d"];
    arguments.extend(services.iter().map(String::as_str));
    let begun = Instant::now();
    let up = demo.project.run(&arguments)?;
    let prepared = demo.project.done(&["logs", "--no-color", "prepare"])?;
    print!("{prepared}");
    up.succeeded("docker-compose up")?;
    let folder = if demo.project.has("SLUICE_MODULE_DIR") { "/modules-of-the-host" } else { "/modules" };
    must(
        format!("the modules come from {folder}"),
        prepared.lines().any(|line| line.ends_with(&format!("modules: {folder}"))),
    )?;
    for service in services.iter().filter(|service| *service != "prepare") {
        healthy(demo, service)?;
    }
    let (prepared, _) = demo.project.state("prepare")?;
    must(format!("all healthy after {:.0?}, prepare: {prepared}", begun.elapsed()), prepared == "exited none")
}

/// Waits until a service is healthy.
pub(crate) fn healthy(demo: &Demo, service: &str) -> Result<()> {
    let mut last = String::new();
    wait_until(&format!("{service} to be healthy"), HEALTHY, || {
        last = demo.project.state(service).map(|(state, _)| state).unwrap_or_default();
        if last != "running healthy" {
            std::thread::sleep(Duration::from_millis(300));
        }
        last == "running healthy"
    })
    .map_err(|e| Error::Other(format!("{e} (it is {last})")))
}

/// Containers, volumes and networks of the project that there still are.
pub(crate) fn left(demo: &Demo) -> Result<Vec<String>> {
    let mut left = Vec::new();
    for what in [&["ps", "-aq"][..], &["volume", "ls", "-q"], &["network", "ls", "-q"]] {
        let filter = ["--filter", "label=com.docker.compose.project=sluice-compose-test"];
        let ids = demo.engine.docker(&[what, &filter].concat())?;
        left.extend(ids.lines().map(str::to_owned));
    }
    Ok(left)
}
