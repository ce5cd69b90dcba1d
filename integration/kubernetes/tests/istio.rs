//! What Istio's own `istioctl` makes of what we ship: its installation with our settings, its word on our resources, and what its
//! injection, which is the code of its webhook, makes of pods.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{documents, file, kustomize, sluice};
use serde_json::{Value, json};
use sluice_integration::{repository_root, tools};
use sluice_kubernetes_test::ApiServer;

/// istioctl, in the root of the repository. It is ended after five minutes: it waits for ever for a cluster that it does not find.
fn istioctl_command(server: Option<&ApiServer>, arguments: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.arg("300").arg(tools::find("istioctl").unwrap()).args(arguments).current_dir(repository_root());
    command.env("KUBECONFIG", server.map_or("/dev/null".as_ref(), ApiServer::kubeconfig));
    command
}

/// What it prints, told this on standard input; it must end well.
fn istioctl(server: Option<&ApiServer>, arguments: &[&str], input: &str) -> String {
    let mut command = istioctl_command(server, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that does not read its input ends without.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let (said, errors) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "istioctl {arguments:?}: {}\n{said}{errors}", output.status);
    said
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// A cluster with what `istioctl install` of docs/kind.md applies.
fn cluster_with_istio() -> ApiServer {
    let server = ApiServer::start().unwrap();
    server.install_istio_crds().unwrap();
    for namespace in ["istio-system", "istio-ingress", "shop"] {
        server.create_namespace(namespace).unwrap();
    }
    let settings = ["-f", "envoy-configs/istio/mesh-config.yaml", "-f", "envoy-configs/kind/istio.yaml"];
    server.apply(&istioctl(None, &[&["manifest", "generate"], &settings[..]].concat(), "")).unwrap();
    server
}

/// What injection makes of the pods of these documents, by the templates and settings that the cluster has.
fn injected(server: &ApiServer, documents: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let stored = |map: &str, key: &str| {
        let text = server
            .kubectl(&[
                "get",
                "configmap",
                map,
                "-n",
                "istio-system",
                "-o",
                &format!("jsonpath={{.data.{key}}}"),
            ])
            .unwrap();
        let path = folder.path().join(key);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (templates, values) =
        (stored("istio-sidecar-injector", "config"), stored("istio-sidecar-injector", "values"));
    let mesh = stored("istio", "mesh");
    let files = ["--injectConfigFile", &templates, "--valuesFile", &values, "--meshConfigFile", &mesh];
    let injected = istioctl(Some(server), &[&["kube-inject", "-f", "-"], &files[..]].concat(), documents);
    let workloads = self::documents(&injected).into_iter().filter(|d| d["kind"] == "Deployment");
    workloads.map(|workload| workload["spec"]["template"]["spec"].clone()).collect()
}

/// The member of that name.
fn named<'value>(list: &'value Value, name: &str) -> &'value Value {
    let members = list.as_array().into_iter().flatten();
    members
        .into_iter()
        .find(|member| member["name"] == name)
        .unwrap_or_else(|| panic!("no {name} in {list:#}"))
}

/// The container that runs the proxy: since Kubernetes 1.29 an init container that goes on running.
fn proxy(pod: &Value) -> &Value {
    let containers = ["initContainers", "containers"].into_iter().filter_map(|list| pod[list].as_array());
    containers
        .flatten()
        .find(|container| container["name"] == "istio-proxy")
        .unwrap_or_else(|| panic!("{pod:#}"))
}

#[test]
fn istio_is_installed_with_our_settings() {
    let server = cluster_with_istio();
    let mesh = server
        .kubectl(&["get", "configmap", "istio", "-n", "istio-system", "-o", r"jsonpath={.data.mesh}"])
        .unwrap();
    let mesh = common::value(&mesh);
    let log = named(&mesh["extensionProviders"], "sluice-access-log");
    assert_eq!(
        log["envoyFileAccessLog"]["logFormat"]["labels"]["decision"],
        "%FILTER_STATE(wasm.sluice.decision:PLAIN)%"
    );
    // The account of the gateway is what the sidecars' policies believe.
    let account = server
        .kubectl(&[
            "get",
            "deployment",
            "istio-ingressgateway",
            "-n",
            "istio-ingress",
            "-o",
            "jsonpath={.spec.template.spec.serviceAccountName} {.spec.template.metadata.labels.istio}",
        ])
        .unwrap();
    let (account, label) = account.split_once(' ').unwrap();
    assert_eq!(label, "ingressgateway", "what the gateway's plugin selects");
    for service in ["orders", "inventory"] {
        let policy = file(&format!("envoy-configs/istio/sidecar/{service}/policy.yaml"));
        let believed = format!("spiffe://cluster.local/ns/istio-ingress/sa/{account}");
        assert_eq!(policy.contains(&believed), service == "orders", "{service}: {believed}");
    }

    // The demo's pods: labels for our metrics, and the registry that speaks plain HTTP.
    let pods = injected(&server, &file("envoy-configs/kind/services.yaml"));
    assert_eq!(pods.len(), 3);
    for pod in &pods {
        let proxy = proxy(pod);
        let variable = |name: &str| &named(&proxy["env"], name)["value"];
        assert_eq!(variable("ISTIO_BOOTSTRAP_OVERRIDE"), "/etc/istio/custom-bootstrap/custom_bootstrap.json");
        assert_eq!(variable("WASM_INSECURE_REGISTRIES"), "registry.sluice-registry.svc.cluster.local:5000");
        let tags = &named(&pod["volumes"], "custom-bootstrap-volume")["configMap"]["name"];
        assert_eq!(tags, "sluice-stats-tags");
    }

    // As docs/istio.md has it: a file of the proxy's own, for `file:///`.
    let mut volumes = documents(&file("envoy-configs/kind/services.yaml"))
        .into_iter()
        .find(|document| document["kind"] == "Deployment")
        .unwrap();
    volumes["spec"]["template"]["metadata"]["annotations"] = json!({
        "sidecar.istio.io/userVolume": r#"[{"name": "modules", "configMap": {"name": "modules"}}]"#,
        "sidecar.istio.io/userVolumeMount": r#"[{"name": "modules", "mountPath": "/etc/sluice", "readOnly": true}]"#,
    });
    let pods = injected(&server, &volumes.to_string());
    assert_eq!(named(&pods[0]["volumes"], "modules")["configMap"]["name"], "modules");
    assert_eq!(named(&proxy(&pods[0])["volumeMounts"], "modules")["mountPath"], "/etc/sluice");

    // A Secret in the proxy's environment, and not in the service's.
    let page = file("docs/istio.md");
    let patch =
        page.split("```yaml\n# kubectl patch deployment").nth(1).unwrap().split("\n```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let patch_file = folder.path().join("patch.yaml");
    std::fs::write(&patch_file, format!("#{patch}")).unwrap();
    server.apply(&file("envoy-configs/kind/services.yaml")).unwrap();
    let deployment = ["deployment", "inventory-v1", "-n", "shop", "-o", "json"];
    let patched = ["patch", "--patch-file", patch_file.to_str().unwrap()];
    let patched = server.kubectl(&[&patched[..], &deployment[..]].concat()).unwrap();
    let pods = injected(&server, &patched);
    let proxy = proxy(&pods[0]);
    let secret = &named(&proxy["env"], "SLUICE_STAFF_SECRET")["valueFrom"]["secretKeyRef"];
    assert_eq!((&secret["name"], &secret["key"]), (&"staff".into(), &"secret".into()), "{proxy:#}");
    assert!(proxy["image"].as_str().is_some_and(|image| image.contains("proxyv2")), "{proxy:#}");
    assert!(proxy["args"].as_array().is_some_and(|arguments| arguments.contains(&"sidecar".into())));
    let service =
        pods[0]["containers"].as_array().unwrap().iter().find(|c| c["name"] == "inventory").unwrap();
    assert!(!service.to_string().contains("SLUICE_STAFF_SECRET"), "{service:#}");
}

/// What `validate` and `analyze` of istioctl find wrong with a file, hints included.
fn complaints(path: &Path) -> [Option<String>; 2] {
    let path = path.to_str().unwrap();
    // It warns of every EnvoyFilter, for being one.
    let of_all = "--suppress=IST0133=EnvoyFilter shop/sluice";
    [
        &["validate", "-f", path][..],
        &["analyze", "-A", "--use-kube=false", "--failure-threshold=Info", of_all, path],
    ]
    .map(|arguments| {
        let output = istioctl_command(None, arguments).output().unwrap();
        (!output.status.success()).then(|| text(output.stdout) + &text(output.stderr))
    })
}

#[test]
fn istioctl_finds_nothing_wrong_with_what_we_ship() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, documents: &str| {
        let path = folder.path().join(name).with_extension("yaml");
        std::fs::write(&path, documents).unwrap();
        path
    };
    let image = ["--image", "oci://ghcr.io/sluice/sluice:0.1.0", "-n", "shop", "-l", "app=orders"];
    let rendered =
        |form: &str| sluice(".", &[&["render", form, "docs/examples/partners.yaml"], &image[..]].concat());
    let shipped = [
        ("edge", kustomize("envoy-configs/istio/edge")),
        ("sidecar", kustomize("envoy-configs/istio/sidecar")),
        ("kind-edge", kustomize("envoy-configs/kind/edge")),
        ("kind-sidecar", kustomize("envoy-configs/kind/sidecar")),
        ("wasm-plugin", rendered("wasm-plugin")),
        ("envoy-filter", rendered("envoy-filter")),
    ];
    for (name, documents) in &shipped {
        assert_eq!(complaints(&write(name, documents)), [None, None], "{name}");
    }
    // It would say so: of a value that there is not, and of a gateway that there is not.
    let wrong = rendered("wasm-plugin").replace("phase: AUTHN", "phase: EARLY");
    let [refused, _] = complaints(&write("wrong-phase", &wrong));
    assert!(refused.as_ref().is_some_and(|said| said.contains("EARLY")), "{refused:?}");
    let wrong = shipped[0].1.replace("  gateways:\n  - shop\n", "  gateways:\n  - nowhere\n");
    let [_, refused] = complaints(&write("no-gateway", &wrong));
    assert!(refused.as_ref().is_some_and(|said| said.contains("IST0101")), "{refused:?}");
}
