//! The tour, as a user runs it, and the one step that a container can't do.

use std::process::Stdio;

use sluice_integration::{Client, Error, Request, Result, wait_until_some};

use crate::{Demo, EDGE, must};

/// How many steps there are at least: those of the demo, but for the one that is left out, and five of what only this has.
const STEPS: u32 = 50;

pub(crate) fn check(demo: &Demo) -> Result<()> {
    let mut command = demo.project.command(&["run", "--rm", "-T", "tour"]);
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().map_err(|e| Error::Other(format!("docker-compose run tour: {e}")))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{said}");
    let summary = said.lines().find(|line| line.ends_with("steps held")).unwrap_or("no summary").to_owned();
    let numbers: Vec<u32> = summary.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    must(
        format!("the tour: {summary}"),
        output.status.success() && matches!(numbers.as_slice(), [held, all] if held == all && *all >= STEPS),
    )?;
    let left_out: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("left out: ")).collect();
    must(
        format!("left out: {left_out:?}"),
        left_out == ["The access log says, as JSON, what was decided and why"],
    )?;
    access_log(demo)
}

/// The step that is left out: the line of a denied request in the edge's log.
fn access_log(demo: &Demo) -> Result<()> {
    let answer = Client::new(EDGE).send(&Request::get("/orders/7"))?;
    let id = answer.header("x-request-id").unwrap_or_default().to_owned();
    let line = wait_until_some("the line in the edge's log", std::time::Duration::from_secs(60), || {
        demo.project.json_log("edge").ok()?.into_iter().find(|line| line["request_id"] == id.as_str())
    })?;
    println!("   {line}");
    must(
        "the access log has status, details and decision",
        line["status"] == 401
            && line["details"].as_str().is_some_and(|details| details.contains("authn."))
            && line["decision"].as_str().is_some_and(|decision| decision.starts_with("denied:authn.")),
    )
}
