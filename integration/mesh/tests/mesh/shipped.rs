//! What `envoy-configs/istio` ships, applied as it is, and what `sluice render` writes.

use std::collections::BTreeMap;

use clap::Parser;
use serde_json::Value;
use sluice_cli::arguments::Arguments;
use sluice_cli::{Colours, Status, Streams};
use sluice_integration::tokens::Token;
use sluice_integration::{Answer, Request, Result, repository_root, wait_until};
use sluice_mesh_test::{Mesh, Plugin, REGISTRY};

use crate::asserts::{SOON, decisions, wait_for_status};
use crate::delivery::VERSION;

/// Applies an overlay of `envoy-configs/istio`, its image from the test's registry.
fn overlay(mesh: &Mesh, name: &str) -> Result<String> {
    let folder = repository_root().join("envoy-configs/istio").join(name);
    let documents = mesh.api().kubectl(&["kustomize", &folder.display().to_string()])?;
    assert!(documents.contains("oci://ghcr.io/sluice/"), "{documents}");
    Ok(documents.replace("oci://ghcr.io/sluice/", &format!("oci://{REGISTRY}/sluice/")))
}

/// Lines of a workload's JSON access log that have this path: all since the mesh began, also those of earlier scenarios.
pub(crate) fn access_log(mesh: &Mesh, workload: &str, path: &str) -> Vec<Value> {
    let log = mesh.workload(workload).log();
    let entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    entries.filter(|entry| entry["path"] == path).collect()
}

/// Gateway and sidecars: a user's token is verified at the gateway, her name is believed by `orders`' sidecar because of the
/// gateway's certificate, `orders` calls `inventory` through both sidecars, which lets only `orders` in. One trace, a decision in each log.
pub(crate) fn the_overlays_protect_the_shop(mesh: &Mesh) -> Result<()> {
    mesh.registry().push_images()?;
    let _sidecars = mesh.apply(&overlay(mesh, "sidecar")?)?;
    let _edge = mesh.apply(&overlay(mesh, "edge")?)?;
    for (workload, plugin) in [
        ("orders-v1", "sluice-orders"),
        ("orders-v2", "sluice-orders"),
        ("inventory", "sluice-inventory"),
        ("gateway", "sluice"),
    ] {
        wait_until(&format!("{plugin} at {workload}"), SOON, || {
            mesh.workload(workload).has_plugin(plugin) && mesh.workload(workload).is_settled()
        })?;
    }
    let gateway = format!("{}:80", mesh.workload("gateway").namespace().address());
    let at_the_gateway =
        |request: Request| mesh.world().send(&gateway, &request.header("host", "shop.example"));
    let token = Token::of("alice").scope("orders:read").roles(&["reader"]).sign();
    wait_for_status(mesh, "the shop to be open", 200, || {
        at_the_gateway(Request::get("/orders/1").bearer(&token))
    })?;
    let beta = Token::of("bob").scope("orders:read").claim("tier", "beta").sign();
    wait_until("a way to the version for beta testers", SOON, || {
        let answer = at_the_gateway(Request::get("/orders/2").bearer(&beta));
        answer.is_ok_and(|answer| answer.json()["at"] == "orders-v2")
    })?;
    let logged = |workload: &str, path: &str| {
        access_log(mesh, workload, path).iter().any(|entry| entry["decision"].is_string())
    };
    wait_until("decisions in the gateway's access log", SOON, || {
        at_the_gateway(Request::get("/logged")).is_ok() && logged("gateway", "/logged")
    })?;
    wait_until("decisions in inventory's access log", SOON, || {
        mesh.call("client", "inventory", &Request::get("/logged")).is_ok() && logged("inventory", "/logged")
    })?;
    mesh.wait_until_settled()?;

    let call =
        format!("/orders/7?call=inventory.shop:8080@{}/inventory/teapot", mesh.address_of("inventory"));
    let answer = at_the_gateway(Request::get(&call).bearer(&token).header("x-roles", "admin"))?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let arrived = answer.json();
    assert_eq!(header(&arrived, "x-user"), ["alice"], "whom the gateway found");
    assert_eq!(header(&arrived, "x-roles"), ["reader"], "and not what the client wrote");
    assert!(header(&arrived, "authorization").is_empty(), "the token stays at the gateway");
    assert_eq!(arrived["called"]["status"], 200, "{arrived}");
    let stock = &arrived["called"]["answer"];
    assert_eq!(header(stock, "x-user"), ["alice"], "orders is believed, too");

    // One trace over gateway, orders' sidecar and inventory's.
    let trace = |value: &Value| {
        header(value, "traceparent").first().and_then(|t| t.split('-').nth(1).map(str::to_owned))
    };
    assert!(trace(&arrived).is_some_and(|id| id.len() == 32), "{arrived}");
    assert_eq!(trace(&arrived), trace(stock));
    // By its trace: other scenarios have asked for the same paths. The log has no query, where keys may be.
    let of_the_trace = |entry: &Value| {
        trace(&arrived).is_some()
            && entry["traceparent"].as_str().and_then(|t| t.split('-').nth(1)) == trace(&arrived).as_deref()
    };
    let mut decided = BTreeMap::new();
    wait_until("the access logs", SOON, || {
        decided = [("gateway", "/orders/7"), ("inventory", "/inventory/teapot")]
            .into_iter()
            .filter_map(|(workload, path)| {
                Some((workload, access_log(mesh, workload, path).into_iter().find(of_the_trace)?))
            })
            .collect();
        decided.len() == 2
    })?;
    assert_eq!(decided["gateway"]["decision"], "allowed:authz.allowed.rule:read");
    assert_eq!(decided["inventory"]["decision"], "allowed:authz.allowed.rule:orders-reads");
    assert_eq!(decided["inventory"]["peer"], "spiffe://cluster.local/ns/shop/sa/orders");

    // What is not allowed ends where it should.
    let refused =
        |answer: Answer| (answer.status, answer.json()["reason"].as_str().unwrap_or_default().to_owned());
    assert_eq!(refused(at_the_gateway(Request::get("/orders/1"))?), (401, "authn.missing".to_owned()));
    assert_eq!(
        refused(at_the_gateway(Request::post("/orders", "{}").bearer(&token))?),
        (403, "authz.denied.default".to_owned())
    );
    assert_eq!(
        at_the_gateway(Request::get("/orders/1").bearer(&beta))?.json()["at"],
        "orders-v2",
        "routed by a claim"
    );
    // Within the mesh: the client has a certificate of it, and is neither the gateway nor orders.
    for app in ["orders", "inventory"] {
        let answer = mesh.call("client", app, &Request::get("/orders/1").header("x-user", "alice"))?;
        assert_eq!(refused(answer), (403, "authz.denied.default".to_owned()), "{app}");
    }
    // And the decisions of both layers in what Prometheus is given.
    for (workload, reason) in [("gateway", "allowed.rule:read"), ("inventory", "allowed.rule:orders-reads")] {
        wait_until(&format!("{reason} in the metrics of {workload}"), SOON, || {
            let metrics = mesh.workload(workload).metrics();
            metrics
                .and_then(|metrics| decisions(&metrics, "authz", "allowed", reason))
                .is_ok_and(|count| count > 0)
        })?;
    }
    Ok(())
}

/// The values of a header in what a service has echoed.
pub(crate) fn header(echo: &Value, name: &str) -> Vec<String> {
    let headers = echo["headers"].as_array().into_iter().flatten();
    headers.filter(|pair| pair[0] == name).filter_map(|pair| pair[1].as_str().map(str::to_owned)).collect()
}

/// What `sluice render` prints.
pub(crate) fn render(arguments: &[&str]) -> Result<String> {
    let arguments =
        Arguments::try_parse_from([&["sluice", "render"], arguments].concat()).map_err(|e| e.to_string())?;
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut streams = Streams {
        input: &mut std::io::empty(),
        output: &mut output,
        errors: &mut errors,
        colours: Colours::default(),
    };
    let status = sluice_cli::run(&arguments, &mut streams);
    assert_eq!(status, Status::Fine, "{}", String::from_utf8_lossy(&errors));
    String::from_utf8(output).map_err(|e| e.to_string().into())
}

/// `sluice render envoy-filter`: module and policy without a WasmPlugin, pulled by the agent all the same; a VM that starts again
/// after 10 ms; the decision in the access log.
pub(crate) fn an_envoy_filter_in_place_of_a_plugin(mesh: &Mesh) -> Result<()> {
    mesh.registry().push_images()?;
    let policy = mesh.directory().join("inventory.policy.yaml");
    std::fs::write(&policy, crate::asserts::CLIENT_READS).map_err(|e| e.to_string())?;
    let image = format!("oci://{REGISTRY}/sluice/sluice:{VERSION}");
    let filter = render(&[
        "envoy-filter",
        &policy.display().to_string(),
        "-n",
        "shop",
        "-l",
        "app=inventory",
        "--image",
        &image,
        "--access-log",
        "--restart-interval",
        "25",
    ])?;
    let _applied = mesh.apply(&filter)?;
    wait_for_status(mesh, "the filter to decide", 403, || crate::asserts::write(mesh))?;
    crate::asserts::client_may_only_read(mesh)?;
    let ecds = mesh.workload("inventory").admin("/config_dump?resource=ecds_filters")?.text();
    assert!(ecds.contains("\"base_interval\": \"0.025s\""), "{ecds}");
    assert_eq!(mesh.call("client", "inventory", &Request::post("/only-here", ""))?.status, 403);
    wait_until("the decision in the access log", SOON, || {
        let entries = access_log(mesh, "inventory", "/only-here");
        entries.iter().any(|entry| entry["decision"] == "denied:authz.denied.default")
    })
}

/// `--beside-wasm-plugin`: the gateway's Envoy overwrites the header from which the policy takes the client's address, so that
/// nobody can claim another, and logs what the plugin has decided.
pub(crate) fn an_envoy_filter_beside_a_plugin(mesh: &Mesh) -> Result<()> {
    let policy = r#"
version: 1
client: { address: { peerHeader: x-sluice-peer } }
definitions: { ipLists: { world: { cidrs: [10.77.0.1/32] } } }
authz:
  default: deny
  rules: [{ name: not-the-world, deny: true, match: { client: { ipLists: [world] } } }, { name: others, allow: true }]
telemetry: {}
"#;
    let file = mesh.directory().join("gateway.policy.yaml");
    std::fs::write(&file, policy).map_err(|e| e.to_string())?;
    let file = file.display().to_string();
    let filter = render(&[
        "envoy-filter",
        &file,
        "-n",
        "istio-ingress",
        "-l",
        "istio=ingressgateway",
        "--gateway",
        "--beside-wasm-plugin",
        "--access-log",
    ])?;
    let _route = mesh.apply(crate::placement::GATEWAY)?;
    let _filter = mesh.apply(&filter)?;
    let _applied =
        mesh.install(&Plugin::new("sluice", policy)?.on_the_gateway().on("istio-ingressgateway"))?;
    let gateway = format!("{}:80", mesh.workload("gateway").namespace().address());
    let ask = |path: &str| {
        Request::get(path).header("host", "scratch.example").header("x-sluice-peer", "192.0.2.7")
    };
    let from_the_world = || mesh.world().send(&gateway, &ask("/from-the-world"));
    wait_for_status(mesh, "the world to be turned away", 403, from_the_world)?;
    assert_eq!(from_the_world()?.json()["reason"], "authz.denied.rule:not-the-world");
    // From another address: the outgoing traffic of the client's namespace is its sidecar's, which comes from there.
    let other = mesh.workload("client").namespace().send(&gateway, &ask("/from-the-client"))?;
    assert_eq!(other.status, 200, "{}", other.text());
    wait_until("the decisions in the gateway's log", SOON, || {
        let decided = |path: &str, decision: &str| {
            access_log(mesh, "gateway", path).iter().any(|entry| entry["decision"] == decision)
        };
        decided("/from-the-world", "denied:authz.denied.rule:not-the-world")
            && decided("/from-the-client", "allowed:authz.allowed.rule:others")
    })
}
