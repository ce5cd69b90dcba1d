//! Routes that leave the filter out: what clients may not write does not reach a service there either, with what `sluice render envoy
//! --connection-manager` prints.

use std::process::Command;

use serde_json::{Value, json};
use sluice_integration::{Gateway, GatewayBuilder, Received, Request, repository_root};

/// With a name of so many parts that the regular expression of its spellings is as long as Envoy takes it.
const POLICY: &str = r"
version: 1
authn:
  providers:
    - name: partners
      apiKey:
        keys: [{ id: acme, sha256: 8649cdebee753898fd50e01408a9e438aa5090249bc3e51b65f33dce973b0873 }]
        forward: { headers: { x-user: id, x-a-b-c-d-e-f-g: id, x-ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-a: id } }
  rules:
    - { name: rest, require: { any: [partners] } }
routing:
  rules: [{ name: v2, match: { paths: [/v2] }, subset: v2 }]
";

const WRITTEN: [&str; 5] = [
    "x-user",
    "x-sluice-subset",
    "x-sluice-cluster",
    "x-a-b-c-d-e-f-g",
    "x-ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-ab-a",
];

/// An Envoy whose connection manager has nothing of its own against such headers, and whose routes for `/open` leave the filter out.
fn gateway() -> GatewayBuilder {
    Gateway::builder().policy(POLICY).version("v2").edit(|bootstrap| {
        let manager = connection_manager(bootstrap);
        for option in ["common_http_protocol_options", "early_header_mutation_extensions"] {
            manager.remove(option);
        }
        let routes = manager["route_config"]["virtual_hosts"][0]["routes"].as_array_mut().unwrap();
        let open: Vec<Value> = routes
            .iter()
            .map(|route| {
                let mut route = route.clone();
                route["match"]["prefix"] = json!("/open");
                route["typed_per_filter_config"] = json!({
                    "sluice": { "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": true },
                });
                route
            })
            .collect();
        routes.splice(0..0, open);
    })
}

fn connection_manager(bootstrap: &mut Value) -> &mut serde_json::Map<String, Value> {
    bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        .as_object_mut()
        .unwrap()
}

/// What `sluice render envoy --connection-manager` prints.
fn rendered() -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    std::fs::write(&file, POLICY).unwrap();
    let output = Command::new(repository_root().join("dist/sluice"))
        .args(["render", "envoy", "--connection-manager", "--format", "json"])
        .arg(&file)
        .output()
        .expect("dist/sluice is made by `make build`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A request with each of the headers, each `-` as `separator`.
fn forged(path: &str, separator: &str) -> Request {
    let request = Request::get(path).header("x-other", "kept");
    WRITTEN.iter().fold(request, |request, name| {
        let value = if *name == "x-sluice-subset" { "v2" } else { "admin" };
        request.header(&name.replace('-', separator), value)
    })
}

/// The names of headers that came and that a server may take for one of ours.
fn taken_for_ours(received: &Received) -> Vec<String> {
    let folded = |name: &str| name.replace(|byte: char| !byte.is_ascii_alphanumeric(), "_");
    let names = received.headers.iter().map(|(name, _)| name.to_lowercase());
    names.filter(|came| WRITTEN.iter().any(|own| folded(own) == folded(came))).collect()
}

#[test]
fn without_the_removal_a_client_chooses_on_a_route_that_leaves_the_filter_out() {
    let gateway = gateway().start().unwrap();
    let answer =
        gateway.send(Request::get("/open/a").header("x-sluice-subset", "v2").header("x-user", "admin"));
    assert_eq!((answer.status, answer.json()["at"].as_str().unwrap()), (200, "v2"));
    assert_eq!(gateway.upstream_named("v2").last().header("x-user").as_deref(), Some("admin"));
}

#[test]
fn with_it_nothing_that_a_client_wrote_arrives() {
    let gateway = gateway()
        .edit(|bootstrap| {
            let manager = connection_manager(bootstrap);
            manager.extend(rendered().as_object().unwrap().clone());
        })
        .start()
        .unwrap();
    for separator in ["-", ".", "~", "!", "+", "^", "|"] {
        let answer = gateway.send(forged("/open/a", separator));
        assert_eq!((answer.status, answer.json()["at"].as_str().unwrap()), (200, "upstream"), "{separator}");
        let received = gateway.upstream().last();
        assert_eq!(taken_for_ours(&received), Vec::<String>::new(), "{separator}");
        assert_eq!(received.header("x-other").as_deref(), Some("kept"));
    }
    assert_eq!(gateway.send(forged("/open/a", "_")).status, 400);
    assert_eq!(gateway.upstream_named("v2").count(), 0);

    // Where the filter runs it writes them, and the route is chosen by its word.
    let answer = gateway.send(forged("/v2", "-").header("x-api-key", "demo-key-acme"));
    assert_eq!((answer.status, answer.json()["at"].as_str().unwrap()), (200, "v2"));
    assert_eq!(gateway.upstream_named("v2").last().headers_named("x-user"), ["acme"]);
}
