//! The proxies' configurations here are those of the demo, and what a network of containers adds: nothing else, so that a change there
//! is not forgotten here.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use sluice_integration::certificates::{Authority, identity};
use sluice_integration::{Proxy, envoy_binary, repository_root};

use crate::{read, yaml};

/// Where two documents differ: paths, in which an element of a list goes by its name where it has one. A list of elements without
/// names is compared as a whole.
fn differences(here: &Value, there: &Value, path: &str, found: &mut BTreeSet<String>) {
    match (here, there) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for key in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
                match (ours.get(key), theirs.get(key)) {
                    (Some(one), Some(other)) => differences(one, other, &format!("{path}/{key}"), found),
                    _ => {
                        found.insert(format!("{path}/{key}"));
                    }
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs))
            if ours.iter().chain(theirs).all(|item| item["name"].is_string()) =>
        {
            let named =
                |list: &[Value], name: &Value| list.iter().find(|item| item["name"] == *name).cloned();
            for name in ours.iter().chain(theirs).map(|item| &item["name"]) {
                let path = format!("{path}/{}", name.as_str().unwrap_or_default());
                match (named(ours, name), named(theirs, name)) {
                    (Some(one), Some(other)) => differences(&one, &other, &path, found),
                    _ => {
                        found.insert(path);
                    }
                }
            }
            // What is in both comes in the same order.
            let order = |list: &[Value], other: &[Value]| -> Vec<Value> {
                let names = list.iter().map(|item| item["name"].clone());
                names.filter(|name| other.iter().any(|item| item["name"] == *name)).collect()
            };
            if order(ours, theirs) != order(theirs, ours) {
                found.insert(format!("{path} (order)"));
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (index, (one, other)) in ours.iter().zip(theirs).enumerate() {
                differences(one, other, &format!("{path}/{index}"), found);
            }
        }
        (ours, theirs) if ours == theirs => {}
        _ => {
            found.insert(path.to_owned());
        }
    }
}

/// The differences, with what every one of the proxies has here taken off: addresses, paths of files, spans, metrics.
fn beyond_the_expected(compose: &str, demo: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    differences(&yaml(compose), &yaml(demo), "", &mut found);
    let expected = |path: &String| {
        [
            "/address/socket_address/address",
            "/address/socket_address/port_value",
            "/tracing",
            "/layered_runtime",
        ]
        .iter()
        .any(|end| path.ends_with(end))
            || ["/listeners/metrics", "/clusters/admin", "/clusters/jaeger"]
                .iter()
                .any(|end| path.ends_with(end))
            || (path.contains("/common_tls_context/") && path.ends_with("/filename"))
            || path.ends_with("/config_source/path_config_source/path")
    };
    found.retain(|path| !expected(path));
    found
}

const HTTP: &str = "/static_resources/listeners/edge/filter_chains/0/filters/envoy.filters.network.http_connection_manager/typed_config";

#[test]
fn the_edge_adds_its_quota_and_finds_its_peers_by_name() {
    let found = beyond_the_expected("envoy-configs/compose/edge.envoy.yaml", Proxy::Edge.bootstrap());
    let expected = [
        format!("{HTTP}/http_filters/envoy.filters.http.ratelimit"),
        format!("{HTTP}/local_reply_config/mappers"),
        format!("{HTTP}/route_config/virtual_hosts/shop/routes/bulk"),
        "/static_resources/clusters/inventory/cluster_type".to_owned(),
        "/static_resources/clusters/inventory/type".to_owned(),
        "/static_resources/clusters/issuer/cluster_type".to_owned(),
        "/static_resources/clusters/issuer/type".to_owned(),
        "/static_resources/clusters/orders/cluster_type".to_owned(),
        "/static_resources/clusters/orders/type".to_owned(),
        "/static_resources/clusters/ratelimit".to_owned(),
    ];
    assert_eq!(found, BTreeSet::from(expected));
    // The demo's own mapper is still there, after the quota's.
    let mappers = |file: &str| {
        let mut pointer = yaml(file);
        pointer
            .pointer_mut(&format!(
                "{}/local_reply_config/mappers",
                HTTP.replace("listeners/edge", "listeners/0")
                    .replace("filters/envoy.filters.network.http_connection_manager", "filters/0",)
            ))
            .map(Value::take)
            .unwrap()
    };
    assert_eq!(mappers("envoy-configs/compose/edge.envoy.yaml")[1], mappers(Proxy::Edge.bootstrap())[0]);
}

#[test]
fn the_sidecars_add_nothing_but_where_their_peers_are() {
    let found =
        beyond_the_expected("envoy-configs/compose/inventory.envoy.yaml", Proxy::Inventory.bootstrap());
    assert_eq!(found, BTreeSet::new());
    let found = beyond_the_expected("envoy-configs/compose/orders.envoy.yaml", Proxy::Orders.bootstrap());
    let expected = ["cluster_type", "type"].map(|key| format!("/static_resources/clusters/inventory/{key}"));
    assert_eq!(found, BTreeSet::from(expected));
}

#[test]
fn the_policies_leave_the_trace_to_envoy_and_know_the_quota() {
    for proxy in Proxy::ALL {
        let mut found = BTreeSet::new();
        let file = format!("envoy-configs/compose/{}.policy.yaml", proxy.name());
        differences(&yaml(&file), &yaml(proxy.policy()), "", &mut found);
        let mut expected = BTreeSet::from(["/telemetry/trace".to_owned()]);
        if proxy == Proxy::Edge {
            expected.extend(
                [
                    "/rateLimit/rules/bulk-here",
                    "/rateLimit/rules/per-partner/match/not",
                    "/rateLimit/rules/reports",
                    "/rateLimit/service",
                ]
                .map(str::to_owned),
            );
        }
        assert_eq!(found, expected, "{file}");
        assert_eq!(yaml(&file)["telemetry"]["trace"]["context"], "off", "{file}");
    }
}

#[test]
fn envoy_accepts_every_bootstrap_without_a_warning() {
    let root = tempfile::tempdir().unwrap();
    let authority = Authority::new().unwrap();
    for proxy in Proxy::ALL {
        let folder = root.path().join(proxy.name());
        authority.issue(proxy.name(), &identity(proxy.name()), &folder).unwrap();
        std::fs::write(folder.join("policy.ecds.yaml"), "resources: []").unwrap();
        let bootstrap = read(&format!("envoy-configs/compose/{}.envoy.yaml", proxy.name()));
        let file = folder.join("envoy.yaml");
        std::fs::write(&file, bootstrap.replace("/etc/sluice", &folder.display().to_string())).unwrap();
        let output = Command::new(envoy_binary().unwrap())
            .current_dir(repository_root())
            .args(["--mode", "validate", "--disable-hot-restart", "--log-level", "warning", "--config-path"])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && !said.contains("[warning]"), "{}: {said}", proxy.name());
    }
}

#[test]
fn differences_are_found_wherever_they_are() {
    let documents = [
        r#"{a: 1, b: [{name: x, c: 1}, {name: y}], d: [1, 2], e: [{f: 1}]}"#,
        r#"{a: 2, b: [{name: y}, {name: x, c: 2}, {name: z}], d: [1], e: [{f: 2}], g: 1}"#,
    ]
    .map(|text| sluice_integration::document::from_yaml(text).unwrap());
    let mut found = BTreeSet::new();
    differences(&documents[0], &documents[1], "", &mut found);
    assert_eq!(
        found,
        BTreeSet::from(["/a", "/b (order)", "/b/x/c", "/b/z", "/d", "/e/0/f", "/g"].map(str::to_owned))
    );
}
