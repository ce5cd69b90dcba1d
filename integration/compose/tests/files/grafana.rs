//! What Grafana is given. It is not run here; that its expressions have data is seen by the other test.

use std::collections::BTreeSet;

use serde_json::Value;
use sluice_compose_test::promql::queries;

use crate::{read, yaml};

const FOLDER: &str = "envoy-configs/compose/grafana";

fn dashboard() -> Value {
    serde_json::from_str(&read(&format!("{FOLDER}/dashboards/sluice.json"))).unwrap()
}

#[test]
fn every_panel_asks_the_data_source_that_is_provisioned() {
    let sources = yaml(&format!("{FOLDER}/provisioning/datasources/sluice.yaml"));
    let source = |uid: &str| {
        let all = sources["datasources"].as_array().unwrap();
        all.iter()
            .find(|source| source["uid"] == uid)
            .cloned()
            .unwrap_or_else(|| panic!("no data source {uid}"))
    };
    // The services of docker-compose.yml by their names and ports.
    assert_eq!(source("prometheus")["url"], "http://prometheus:9090");
    assert_eq!(source("jaeger")["url"], "http://jaeger:16686");
    for panel in dashboard()["panels"].as_array().unwrap() {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{}", panel["title"]);
        for uid in targets.iter().chain([panel]).map(|of| of["datasource"]["uid"].as_str().unwrap()) {
            assert_eq!(source(uid)["type"], "prometheus", "{}", panel["title"]);
        }
    }
}

#[test]
fn the_dashboards_are_where_their_provider_looks() {
    let provider = yaml(&format!("{FOLDER}/provisioning/dashboards/sluice.yaml"));
    let path = provider["providers"][0]["options"]["path"].as_str().unwrap().to_owned();
    let compose = read("docker-compose.yml");
    assert!(compose.contains(&format!("./{FOLDER}/dashboards:{path}:ro")));
    assert!(compose.contains(&format!("./{FOLDER}/provisioning:/etc/grafana/provisioning:ro")));
    assert!(compose.contains(&format!("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH: {path}/sluice.json")));
}

#[test]
fn panels_have_ids_of_their_own_and_do_not_overlap() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut cells = BTreeSet::new();
    for panel in panels {
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(x < 24 && cells.insert((x, y)), "{} at {x}, {y}", panel["title"]);
            }
        }
    }
}

#[test]
fn the_dashboard_shows_what_the_documentation_says() {
    let expressions: Vec<String> = queries(&dashboard()).into_iter().map(|query| query.expression).collect();
    for wanted in [
        "section, outcome",
        "reason",
        "downstream_rq_total",
        "downstream_rq_time_bucket",
        "ratelimit_over_limit",
    ] {
        assert!(expressions.iter().any(|expression| expression.contains(wanted)), "{wanted}");
    }
}
