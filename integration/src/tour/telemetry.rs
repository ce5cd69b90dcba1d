//! `telemetry`: what happened.

use std::time::Duration;

use super::call::Call;
use super::walk::{Walk, check, headers_in};
use crate::{Proxy, Result, wait_until};

pub(super) fn steps(walk: &mut Walk) -> Result<()> {
    walk.chapter("Telemetry: what happened");
    let call = Call::get("/orders/7?with=stock").token("--sub alice --scope orders:read");
    walk.step(
        "One request is one trace, at the edge, in both sidecars and in both services",
        &call,
        |seen| {
            let trace_of = |traceparent: &str| traceparent.split('-').nth(1).unwrap_or("-").to_owned();
            let at = |proxy| trace_of(seen.logged(proxy)["traceparent"].as_str().unwrap_or_default());
            let edge = at(Proxy::Edge);
            let body = seen.answer.json();
            let services = [&body["received"], &body["stock"]["answer"]["received"]]
                .map(|received| headers_in(received, "traceparent").first().map(|value| trace_of(value)));
            vec![
                check(format!("trace id {edge}"), edge.len() == 32),
                check("the same in both sidecars", at(Proxy::Orders) == edge && at(Proxy::Inventory) == edge),
                check(
                    "the same in both services",
                    services.iter().all(|trace| trace.as_ref() == Some(&edge)),
                ),
            ]
        },
    )?;
    let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    walk.step(
        "A trace that the caller has begun goes on",
        &call.clone().header("traceparent", given),
        |seen| {
            let traceparent =
                seen.logged(Proxy::Inventory)["traceparent"].as_str().unwrap_or_default().to_owned();
            vec![
                seen.status(200),
                check(
                    "its id is in inventory's log",
                    traceparent.contains("0af7651916cd43dd8448eb211c80319c"),
                ),
            ]
        },
    )?;
    let line = walk.lines().metrics.clone();
    walk.several("Decisions are counted, with section, outcome and reason as labels", &line, |walk| {
        let expected = [
            ("authn", "denied"),
            ("authz", "denied"),
            ("rate_limit", "denied"),
            ("routing", "changed"),
            ("fault", "denied"),
            ("fault", "changed"),
        ];
        let counted = |lines: &[String], (section, outcome): (&str, &str)| {
            let wanted = [format!("section=\"{section}\""), format!("outcome=\"{outcome}\"")];
            lines.iter().any(|line| wanted.iter().all(|label| line.contains(label)))
        };
        // The module hands its counts to Envoy once a second.
        let mut lines: Vec<String> = Vec::new();
        let _ = wait_until("the counts", Duration::from_secs(30), || {
            let metrics = walk.demo().edge_metrics().unwrap_or_default();
            lines = metrics.lines().filter(|line| line.starts_with("sluice_")).map(str::to_owned).collect();
            expected.iter().all(|decision| counted(&lines, *decision))
        });
        let mut checks: Vec<_> = expected
            .map(|decision| check(format!("{} {}", decision.0, decision.1), counted(&lines, decision)))
            .into();
        let by_partner = |line: &String| {
            line.starts_with("sluice_requests{")
                && line.contains("consumer=\"acme\"")
                && line.contains("code_class=\"2xx\"")
        };
        checks.push(check("answers by partner", lines.iter().any(by_partner)));
        let shown = lines.iter().take(8).cloned().collect();
        Ok((shown, checks))
    })?;
    let access_log = "The access log says, as JSON, what was decided and why";
    let Some(line) = walk.lines().access_log.clone() else {
        walk.leave_out(
            access_log,
            "a container can't read the log of another: docker compose logs --no-log-prefix edge",
        );
        return Ok(());
    };
    let denied = Call::get("/orders/7");
    walk.several(access_log, &line, |walk| {
        let seen = walk.send(&denied)?;
        let entry = seen.logged(Proxy::Edge);
        let has = |field: &str, text: &str| entry[field].as_str().is_some_and(|value| value.contains(text));
        Ok((
            vec![entry.to_string()],
            vec![
                check("its status", entry["status"] == 401),
                check("its reason", has("details", "authn.")),
                check("the decision", has("decision", "authn.")),
            ],
        ))
    })
}
