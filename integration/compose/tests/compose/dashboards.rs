//! What Grafana would show: every expression of the dashboard has data in the Prometheus that runs.

use std::time::Duration;

use serde_json::Value;
use sluice_compose_test::promql::queries;
use sluice_integration::{Client, Error, Request, Result, repository_root, wait_until};

use crate::{Demo, must};

/// The port of Prometheus, as docker-compose.yml publishes it.
const PROMETHEUS: u16 = 9090;

pub(crate) fn check(_: &Demo) -> Result<()> {
    let file = repository_root().join("envoy-configs/compose/grafana/dashboards/sluice.json");
    let text = std::fs::read_to_string(&file).map_err(|e| Error::file("can't read", &file, e))?;
    let dashboard: Value =
        serde_json::from_str(&text).map_err(|e| Error::Other(format!("the dashboard: {e}")))?;
    let queries = queries(&dashboard);
    must(format!("{} expressions", queries.len()), queries.len() >= 12)?;
    for query in queries {
        let mut series = Vec::new();
        // Rates need two scrapes.
        let there = wait_until("data", Duration::from_secs(60), || {
            series = ask(&query.expression).unwrap_or_default();
            let there = series.iter().any(|one| one["value"][1].as_str().is_some_and(|value| value != "NaN"));
            if !there {
                std::thread::sleep(Duration::from_millis(500));
            }
            there
        });
        must(format!("{}: {} series ({})", query.panel, series.len(), query.expression), there.is_ok())?;
    }
    let up = ask("up{job=\"envoy\"} == 1")?;
    must(format!("three proxies are scraped: {}", up.len()), up.len() == 3)
}

/// The series of an instant query.
fn ask(expression: &str) -> Result<Vec<Value>> {
    let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer =
        Client::new(PROMETHEUS).send(&Request::get(&format!("/api/v1/query?query={encoded}")))?.json();
    let series = answer["data"]["result"].as_array().cloned();
    series.ok_or_else(|| Error::Other(format!("Prometheus can't answer {expression}: {answer}")))
}
