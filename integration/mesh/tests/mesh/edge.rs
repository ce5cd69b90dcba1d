//! Our own Envoy in front of the mesh.

use serde_json::Value;
use sluice_integration::tokens::Token;
use sluice_integration::{Request, Result, repository_root, wait_until};
use sluice_mesh_test::{Applied, Edge, INGRESS, Mesh, Plugin, Toward};

use crate::asserts::{SOON, decisions};
use crate::shipped::{header, render};

/// The policy that the demo's sidecar of a service has, in this mesh's trust domain.
fn policy(service: &str) -> Result<String> {
    let file = repository_root().join(format!("envoy-configs/sidecar/{service}.policy.yaml"));
    let policy = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let here = policy.replace("spiffe://sluice.demo/", "spiffe://cluster.local/");
    assert_ne!(policy, here, "the demo's trust domain");
    Ok(here)
}

/// A policy at a service's sidecars, and what `sluice render` adds beside it: the header that has all URIs of a peer's certificate.
fn at_the_sidecars_of<'mesh>(mesh: &'mesh Mesh, service: &str, policy: &str) -> Result<[Applied<'mesh>; 2]> {
    let plugin = Plugin::new(service, policy)?.on(service).server().phase("AUTHN");
    with_all_names_of_the_peer(
        mesh,
        &plugin,
        policy,
        &["-n", "shop", "-l", &format!("app={service}")],
        service,
    )
}

/// The same at the gateway.
fn at_the_gateway<'mesh>(mesh: &'mesh Mesh, policy: &str) -> Result<[Applied<'mesh>; 2]> {
    let app = "istio-ingressgateway";
    let plugin = Plugin::new("at-the-gateway", policy)?.phase("AUTHN").on_the_gateway().on(app);
    let pods = ["-n", INGRESS, "-l", "istio=ingressgateway", "--gateway"];
    with_all_names_of_the_peer(mesh, &plugin, policy, &pods, app)
}

fn with_all_names_of_the_peer<'mesh>(
    mesh: &'mesh Mesh,
    plugin: &Plugin,
    policy: &str,
    pods: &[&str],
    app: &str,
) -> Result<[Applied<'mesh>; 2]> {
    let file = mesh.directory().join(format!("{}.policy.yaml", plugin.name()));
    std::fs::write(&file, policy).map_err(|e| format!("{}: {e}", file.display()))?;
    let file = file.display().to_string();
    let filter =
        render(&[&["envoy-filter", &file, "--beside-wasm-plugin", "--name", plugin.name()], pods].concat())?;
    let applied = [mesh.apply(&filter)?, mesh.install(plugin)?];
    for workload in mesh.instances(app) {
        wait_until(&format!("the filter beside the plugin at {}", workload.plan().name), SOON, || {
            workload.serves_with("x-sluice-peer-identity") && workload.is_settled()
        })?;
    }
    Ok(applied)
}

/// The inventory's stock as `orders` asks for it, on the way of a request to `orders`.
fn orders_calling_inventory(mesh: &Mesh) -> String {
    format!("/orders/7?call=inventory.shop:8080@{}/inventory/teapot", mesh.address_of("inventory"))
}

/// A request of alice's through the edge: what the services got of it, and of whom, and the trace. `caller` is whose
/// certificate `orders` sees.
fn alice_reads_an_order(mesh: &Mesh, edge: &Edge, caller: &str) -> Result<()> {
    let token = alice();
    // What was applied comes to the proxies one after the other: the way is open once all of them have it.
    wait_until("the way to orders-v1", SOON, || {
        let answer = edge.send(mesh, &Request::get("/orders/1").bearer(&token));
        answer.is_ok_and(|answer| answer.status == 200 && answer.json()["at"] == "orders-v1")
    })?;
    mesh.wait_until_settled()?;
    let asked = Request::get(&orders_calling_inventory(mesh)).bearer(&token).header("x-user", "mallory");
    let answer = edge.send(mesh, &asked)?;
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), edge.access_log());
    let arrived = answer.json();
    assert_eq!(arrived["at"], "orders-v1");
    // The identity that the edge has proven is what the rules behind it and the services get.
    assert_eq!(
        (header(&arrived, "x-user"), header(&arrived, "x-roles")),
        (vec!["alice".to_owned()], vec!["reader".to_owned()])
    );
    assert!(header(&arrived, "authorization").is_empty(), "the token stays at the edge");
    let stock = &arrived["called"];
    assert_eq!(
        (&stock["status"], header(&stock["answer"], "x-user")),
        (&200.into(), vec!["alice".to_owned()]),
        "{arrived}"
    );

    // Which certificates were shown on the way: to orders, and by orders to inventory.
    let peer = |echo: &Value| header(echo, "x-forwarded-client-cert").join(",");
    assert!(peer(&arrived).contains(&format!("URI={caller}")), "{}", peer(&arrived));
    assert!(
        peer(&stock["answer"]).contains("URI=spiffe://cluster.local/ns/shop/sa/orders"),
        "{}",
        peer(&stock["answer"])
    );

    // One trace: the edge began it, both services were told, and the edge's log has it.
    let trace = |text: &str| text.split('-').nth(1).map(str::to_owned);
    let traces: Vec<Option<String>> = [&arrived, &stock["answer"]]
        .map(|echo| header(echo, "traceparent").first().and_then(|text| trace(text)))
        .to_vec();
    assert!(traces[0].is_some() && traces[0] == traces[1], "{traces:?}");
    let mut logged = Value::Null;
    wait_until("the edge's access log", SOON, || {
        let entries = edge.access_log();
        let mut entries = entries.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let ours = |entry: &Value| entry["traceparent"].as_str().and_then(trace) == traces[0];
        logged = entries.find(ours).unwrap_or_default();
        !logged.is_null()
    })?;
    assert_eq!(
        (&logged["status"], &logged["decision"]),
        (&200.into(), &"allowed:authz.allowed.rule:read".into()),
        "{logged}"
    );
    Ok(())
}

fn alice() -> String {
    Token::of("alice").scope("orders:read").roles(&["reader"]).sign()
}

/// Whether such a decision was counted, by a proxy or by all instances of a service together.
fn counted(metrics: Result<String>, section: &str, outcome: &str, reason: &str) -> bool {
    metrics.and_then(|metrics| decisions(&metrics, section, outcome, reason)).unwrap_or_default() > 0
}

/// One request passes edge → orders' sidecar → orders → its sidecar → inventory's sidecar → inventory.
pub(crate) fn one_request_passes_edge_and_three_sidecars(mesh: &Mesh) -> Result<()> {
    let _orders = at_the_sidecars_of(mesh, "orders", &policy("orders")?)?;
    let _inventory = at_the_sidecars_of(mesh, "inventory", &policy("inventory")?)?;
    let edge = Edge::start(mesh, Toward::Sidecars)?;
    alice_reads_an_order(mesh, &edge, "spiffe://cluster.local/ns/shop/sa/edge")?;

    // Each layer decides for itself, and says so.
    let refused = edge.send(mesh, &Request::get("/orders/7"))?;
    assert_eq!(
        (refused.status, refused.json()["reason"].as_str()),
        (401, Some("authn.missing")),
        "by the edge"
    );
    let stock = edge.send(mesh, &Request::get("/inventory/teapot").bearer(&alice()))?;
    assert_eq!(
        (stock.status, stock.json()["reason"].as_str()),
        (403, Some("authz.denied.default")),
        "by inventory's sidecar"
    );
    let direct = mesh.call("client", "orders", &Request::get("/orders/7").header("x-user", "alice"))?;
    assert_eq!(
        (direct.status, direct.json()["reason"].as_str()),
        (403, Some("authz.denied.default")),
        "by orders' sidecar"
    );
    wait_until("the decisions of all layers in their metrics", SOON, || {
        counted(edge.metrics(), "authz", "allowed", "allowed.rule:read")
            && counted(edge.metrics(), "authn", "denied", "missing")
            && counted(mesh.metrics("orders"), "authn", "allowed", "ok.provider:edge")
            && counted(mesh.metrics("orders"), "authz", "allowed", "allowed.rule:from-the-edge")
            && counted(mesh.metrics("inventory"), "authz", "allowed", "allowed.rule:orders-reads")
            && counted(mesh.metrics("inventory"), "authz", "denied", "denied.default")
    })
}

/// Where the mesh's gateway takes mutual TLS alone, and so sees who the edge is.
const GATEWAY: &str = r#"
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: behind-the-edge, namespace: istio-ingress }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 443, name: https, protocol: HTTPS }, hosts: ["*"], tls: { mode: ISTIO_MUTUAL } }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: behind-the-edge, namespace: istio-ingress }
spec:
  hosts: ["*"]
  gateways: [behind-the-edge]
  http: [{ route: [{ destination: { host: orders.shop.svc.cluster.local, port: { number: 8080 }, subset: v1 } }] }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: behind-the-edge, namespace: istio-ingress }
spec: { host: orders.shop.svc.cluster.local, subsets: [{ name: v1, labels: { version: v1 } }] }
"#;

/// The same by way of the mesh's gateway: edge → gateway → orders' sidecar → orders → its sidecar → inventory's sidecar →
/// inventory. The gateway believes the edge and the sidecar the gateway, each because of the other's certificate.
pub(crate) fn one_request_passes_edge_gateway_and_three_sidecars(mesh: &Mesh) -> Result<()> {
    let gateway = mesh.workload("gateway").plan().identity();
    let _route = mesh.apply(GATEWAY)?;
    let _gateway = at_the_gateway(mesh, &policy("orders")?)?;
    let orders = policy("orders")?.replace("spiffe://cluster.local/ns/shop/sa/edge", &gateway);
    let _orders = at_the_sidecars_of(mesh, "orders", &orders)?;
    let _inventory = at_the_sidecars_of(mesh, "inventory", &policy("inventory")?)?;
    let edge = Edge::start(mesh, Toward::Gateway)?;
    alice_reads_an_order(mesh, &edge, &gateway)?;

    // Nobody else of the mesh comes past the gateway.
    let claims_to_be_alice = Request::get("/orders/7").header("x-user", "alice");
    let direct = mesh.call("client", "orders", &claims_to_be_alice)?;
    assert_eq!((direct.status, direct.json()["reason"].as_str()), (403, Some("authz.denied.default")));
    // The edge's requests go to one version of orders by a rule, the client's to either.
    wait_until("the decisions of all layers in their metrics", SOON, || {
        counted(edge.metrics(), "authz", "allowed", "allowed.rule:read")
            && counted(mesh.metrics("istio-ingressgateway"), "authn", "allowed", "ok.provider:edge")
            && counted(mesh.metrics("istio-ingressgateway"), "authz", "allowed", "allowed.rule:from-the-edge")
            && counted(mesh.metrics("orders"), "authn", "allowed", "ok.provider:edge")
            && counted(mesh.metrics("orders"), "authz", "denied", "denied.default")
            && counted(mesh.metrics("inventory"), "authz", "allowed", "allowed.rule:orders-reads")
    })
}
