//! What is shipped for Istio is what `sluice render` makes, and a real API server with Istio's kinds takes every part of it, unknown fields
//! being errors.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

mod common;

use std::process::Command;
use std::time::Duration;

use common::{documents, file, kustomize, sluice, value};
use serde_json::Value;
use sluice_integration::{Client, Process, Request, envoy_binary, ports};
use sluice_kubernetes_test::ApiServer;

const IMAGE: &str = "oci://ghcr.io/sluice/sluice:0.1.0";

/// The folder of each shipped policy for Istio, and what `sluice render wasm-plugin` is to be told for the same.
const SHIPPED: [(&str, &[&str]); 3] = [
    ("edge", &["--namespace", "istio-ingress", "--selector", "istio=ingressgateway", "--gateway"]),
    ("sidecar/orders", &["--name", "sluice-orders", "--namespace", "shop", "--selector", "app=orders"]),
    (
        "sidecar/inventory",
        &["--name", "sluice-inventory", "--namespace", "shop", "--selector", "app=inventory"],
    ),
];

fn server() -> ApiServer {
    let server = ApiServer::start().unwrap();
    server.install_istio_crds().unwrap();
    for namespace in ["istio-ingress", "shop", "sluice-registry"] {
        server.create_namespace(namespace).unwrap();
    }
    server
}

#[test]
fn the_shipped_patches_are_what_is_rendered_from_the_documents_beside_them() {
    for (folder, _) in SHIPPED {
        let folder = format!("envoy-configs/istio/{folder}");
        let rendered = sluice(&folder, &["render", "wasm-plugin", "policy.yaml", "--patch"]);
        assert_eq!(
            file(&format!("{folder}/policy.patch.yaml")),
            rendered,
            "in {folder}: sluice render wasm-plugin policy.yaml --patch > policy.patch.yaml"
        );
    }
}

#[test]
fn the_overlays_come_to_what_is_rendered_in_one_step() {
    for (folder, options) in SHIPPED {
        let overlay = folder.split('/').next().unwrap();
        let mut arguments = vec!["render", "wasm-plugin", "policy.yaml", "--image", IMAGE];
        arguments.extend_from_slice(options);
        let mut rendered = value(&sluice(&format!("envoy-configs/istio/{folder}"), &arguments));
        // All from one base, so that all have its name for the plugin.
        rendered["spec"]["pluginName"] = Value::from("sluice");
        let built = documents(&kustomize(&format!("envoy-configs/istio/{overlay}")));
        let same = |plugin: &&Value| {
            plugin["kind"] == "WasmPlugin" && plugin["metadata"]["name"] == rendered["metadata"]["name"]
        };
        assert_eq!(built.iter().find(same).unwrap(), &rendered, "{folder}");
    }
}

#[test]
fn the_labels_in_a_mesh_are_those_of_the_edge() {
    let map = value(&file("envoy-configs/istio/stats-tags/config-map.yaml"));
    let bootstrap: Value =
        serde_json::from_str(map["data"]["custom_bootstrap.json"].as_str().unwrap()).unwrap();
    let edge = file("envoy-configs/edge/envoy.yaml");
    let tags = bootstrap["stats_config"]["stats_tags"].as_array().unwrap();
    assert_eq!(tags.len(), edge.matches("tag_name:").count());
    for tag in tags {
        let line = format!(
            "{{ tag_name: {}, regex: '{}' }}",
            tag["tag_name"].as_str().unwrap(),
            tag["regex"].as_str().unwrap()
        );
        assert!(edge.contains(&line), "{line}");
    }
}

/// Istio's agent hands Envoy the file of `sidecar.istio.io/bootstrapOverride` as `--config-yaml`, which is merged into its own bootstrap.
#[test]
fn envoy_takes_the_labels_beside_those_of_its_own_bootstrap() {
    let map = value(&file("envoy-configs/istio/stats-tags/config-map.yaml"));
    let admin = ports::free();
    let folder = tempfile::tempdir().unwrap();
    let bootstrap = folder.path().join("envoy.yaml");
    let own = format!(
        "admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {admin} }} }} }}\nstats_config: {{ stats_tags: [{{ tag_name: own, regex: '^own(\\.(.+))' }}] }}\n"
    );
    std::fs::write(&bootstrap, own).unwrap();
    let mut command = Command::new(envoy_binary().unwrap());
    command.arg("-c").arg(&bootstrap).args(["--disable-hot-restart", "--log-level", "error"]);
    command.arg("--config-yaml").arg(map["data"]["custom_bootstrap.json"].as_str().unwrap());
    let mut envoy = Process::start("envoy", command, folder.path()).unwrap();
    let dump = || Client::new(admin).send(&Request::get("/config_dump")).ok();
    envoy.wait_ready(Duration::from_secs(180), || dump().is_some_and(|answer| answer.status == 200)).unwrap();
    let text = dump().unwrap().text();
    let tags: Vec<&str> =
        text.lines().filter_map(|line| line.trim().strip_prefix("\"tag_name\": \"")).collect();
    assert_eq!(
        tags,
        ["own\",", "section\",", "outcome\",", "reason\",", "code_class\",", "provider\",", "consumer\","]
    );
}

#[test]
fn the_api_server_takes_all_that_is_shipped_and_stores_the_policies_as_they_are() {
    let server = server();
    for folder in ["istio/edge", "istio/sidecar", "istio/stats-tags", "kind/edge", "kind/sidecar"] {
        let mut built = kustomize(&format!("envoy-configs/{folder}"));
        if folder == "istio/stats-tags" {
            built =
                built.replace("  name: sluice-stats-tags", "  name: sluice-stats-tags\n  namespace: shop");
        }
        let applied = server.apply(&built).unwrap();
        assert_eq!(applied.lines().count(), documents(&built).len(), "{applied}");
    }
    for name in ["namespaces", "services"] {
        let text = file(&format!("envoy-configs/kind/{name}.yaml"));
        assert_eq!(server.apply(&text).unwrap().lines().count(), documents(&text).len());
    }
    server.apply(&file("envoy-configs/kind/registry.yaml").replace("ADDRESS", "192.0.2.1")).unwrap();

    for (folder, options) in SHIPPED {
        let name = if folder == "edge" { "sluice" } else { options[1] };
        let namespace = if folder == "edge" { "istio-ingress" } else { "shop" };
        let stored = server.kubectl(&["get", "wasmplugin", name, "-n", namespace, "-o", "json"]).unwrap();
        let stored: Value = serde_json::from_str(&stored).unwrap();
        let document = value(&file(&format!("envoy-configs/istio/{folder}/policy.yaml")));
        assert_eq!(stored["spec"]["pluginConfig"], document, "{folder}");
    }
}

#[test]
fn the_api_server_takes_every_form_that_is_rendered() {
    let server = server();
    let folder = "cli/tests/istio";
    for name in [
        "wasm-plugin",
        "wasm-plugin-gateway",
        "wasm-plugin-url",
        "envoy-filter",
        "envoy-filter-file",
        "envoy-filter-beside",
    ] {
        let form = file(&format!("{folder}/{name}.yaml"));
        server.apply(&form).unwrap_or_else(|refused| panic!("{name}: {refused}"));
        server.delete(&form).unwrap();
    }
    let patch = server.apply(&file(&format!("{folder}/wasm-plugin-patch.yaml"))).unwrap_err().to_string();
    assert!(patch.contains("spec.url"), "a patch is no whole resource: {patch}");
}

#[test]
fn the_api_server_refuses_what_is_misspelled() {
    let server = server();
    let plugin = file("cli/tests/istio/wasm-plugin.yaml");
    let filter = file("cli/tests/istio/envoy-filter.yaml");
    let services = file("envoy-configs/kind/services.yaml");
    let sidecar = kustomize("envoy-configs/istio/sidecar");
    let edge = kustomize("envoy-configs/istio/edge");
    for (good, from, to, said) in [
        (&plugin, "failStrategy:", "failStrategie:", ".spec.failStrategie: field not declared in schema"),
        (&plugin, "FAIL_RELOAD", "FAIL_LATER", "Unsupported value: \"FAIL_LATER\""),
        (&plugin, "phase: AUTHN", "phase: AUTH", "Unsupported value: \"AUTH\""),
        (&plugin, "mode: SERVER", "mode: INBOUND", "Unsupported value: \"INBOUND\""),
        (&plugin, "oci://", "ftp://", "url must have schema one of [http, https, file, oci]"),
        (
            &plugin,
            "  selector:",
            "  targetRefs: [{ kind: Gateway, name: shop }]\n  selector:",
            "only one of targetRefs or selector can be set",
        ),
        (&filter, "configPatches:", "configPatch:", ".spec.configPatch: field not declared in schema"),
        (&filter, "INSERT_FIRST", "INSERT_ZEROTH", "Unsupported value: \"INSERT_ZEROTH\""),
        (&filter, "SIDECAR_INBOUND", "SIDECAR", "Unsupported value: \"SIDECAR\""),
        (
            &services,
            "readOnlyRootFilesystem",
            "readonlyRootFilesystem",
            "readonlyRootFilesystem: field not declared in schema",
        ),
        (&sidecar, "STRICT", "STRICTLY", "Unsupported value: \"STRICTLY\""),
        (&sidecar, "accessLogging:", "accessLoging:", ".spec.accessLoging: field not declared in schema"),
        (&edge, "directResponse:", "directAnswer:", "directAnswer: field not declared in schema"),
    ] {
        assert!(good.contains(from), "{from}");
        let refused = server.apply(&good.replace(from, to)).unwrap_err().to_string();
        assert!(refused.contains(said), "{from} → {to}: {refused}");
    }
    // And the same without the mistakes is taken.
    for good in [plugin, filter, services, sidecar, edge] {
        server.apply(&good).unwrap();
    }
}

#[test]
fn the_sizes_that_check_warns_about_are_those_that_the_api_server_refuses() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let plugin = |networks: usize| {
        let list: Vec<String> =
            (0..networks).map(|n| format!("10.{}.{}.{}/32", n >> 16, (n >> 8) & 255, n & 255)).collect();
        let document = format!(
            "version: 1\ndefinitions: {{ ipLists: {{ many: {{ cidrs: [{}] }} }} }}\n",
            list.join(", ")
        );
        let path = folder.path().join("policy.yaml");
        std::fs::write(&path, document).unwrap();
        let checked = sluice(".", &["check", path.to_str().unwrap()]);
        let rendered =
            sluice(".", &["render", "wasm-plugin", path.to_str().unwrap(), "-n", "shop", "--image", IMAGE]);
        let written = folder.path().join("plugin.yaml");
        std::fs::write(&written, &rendered).unwrap();
        (checked, rendered, written)
    };
    let client_side = |written: &std::path::Path| server.kubectl(&["apply", "-f", written.to_str().unwrap()]);

    let (checked, _, written) = plugin(13_500);
    assert!(checked.contains("is close to the 256 KiB"), "{checked}");
    client_side(&written).unwrap();

    let (checked, rendered, written) = plugin(18_000);
    assert!(checked.contains("needs `kubectl apply --server-side`"), "{checked}");
    let refused = client_side(&written).unwrap_err().to_string();
    assert!(refused.contains("metadata.annotations: Too long"), "{refused}");
    server.delete(&rendered).unwrap();
    server.apply(&rendered).unwrap();

    let (checked, rendered, _) = plugin(110_000);
    assert!(checked.contains("is more than the 1.5 MiB"), "{checked}");
    let refused = server.apply(&rendered).unwrap_err().to_string();
    assert!(refused.contains("request is too large"), "{refused}");
}
