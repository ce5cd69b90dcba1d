//! Our own Envoy in front of the mesh.

use serde_json::Value;
use sluice_integration::tokens::Token;
use sluice_integration::{Request, Result, repository_root, wait_until};
use sluice_mesh_test::{Edge, Mesh, Plugin};

use crate::asserts::{SOON, decisions};
use crate::shipped::header;

/// The policy that the demo's sidecar of a service has, in this mesh's trust domain.
fn policy_of_the_demo(service: &str) -> Result<Plugin> {
    let file = repository_root().join(format!("envoy-configs/sidecar/{service}.policy.yaml"));
    let policy = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let here = policy.replace("spiffe://sluice.demo/", "spiffe://cluster.local/");
    assert_ne!(policy, here, "the demo's trust domain");
    Ok(Plugin::new(service, &here)?.on(service).server().phase("AUTHN"))
}

/// One request passes edge → orders' sidecar → orders → its sidecar → inventory's sidecar → inventory.
pub(crate) fn one_request_passes_edge_and_three_sidecars(mesh: &Mesh) -> Result<()> {
    let _orders = mesh.install(&policy_of_the_demo("orders")?)?;
    let _inventory = mesh.install(&policy_of_the_demo("inventory")?)?;
    let edge = Edge::start(mesh)?;
    for service in ["orders-v1", "orders-v2", "inventory"] {
        mesh.service(service).forget();
    }

    let call =
        format!("/orders/7?call=inventory.shop:8080@{}/inventory/teapot", mesh.address_of("inventory"));
    let token = Token::of("alice").scope("orders:read").roles(&["reader"]).sign();
    let answer = edge.send(mesh, &Request::get(&call).bearer(&token).header("x-user", "mallory"))?;
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), edge.access_log());
    let arrived = answer.json();
    assert_eq!(arrived["at"], "orders-v1");
    // The identity that the edge has proven is what the sidecars' rules and the services get.
    assert_eq!(
        (header(&arrived, "x-user"), header(&arrived, "x-roles")),
        (vec!["alice".to_owned()], vec!["reader".to_owned()])
    );
    let stock = &arrived["called"];
    assert_eq!(
        (&stock["status"], header(&stock["answer"], "x-user")),
        (&200.into(), vec!["alice".to_owned()]),
        "{arrived}"
    );

    // Which certificates were shown on the way: edge to orders, orders to inventory.
    let peer = |echo: &Value| header(echo, "x-forwarded-client-cert").join(",");
    assert!(peer(&arrived).contains("URI=spiffe://cluster.local/ns/shop/sa/edge"), "{}", peer(&arrived));
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
        logged =
            edge.access_log().lines().find_map(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        !logged.is_null()
    })?;
    assert_eq!(logged["decision"], "allowed:authz.allowed.rule:read", "{logged}");
    assert_eq!(logged["traceparent"].as_str().and_then(trace), traces[0]);

    // Each layer decides for itself, and says so.
    let refused = edge.send(mesh, &Request::get("/orders/7"))?;
    assert_eq!(
        (refused.status, refused.json()["reason"].as_str()),
        (401, Some("authn.missing")),
        "by the edge"
    );
    let stock = edge.send(mesh, &Request::get("/inventory/teapot").bearer(&token))?;
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
    let at = |workload: &str| mesh.workload(workload).metrics();
    let counted = |metrics: Result<String>, section: &str, outcome: &str, reason: &str| {
        metrics.and_then(|metrics| decisions(&metrics, section, outcome, reason)).unwrap_or_default() > 0
    };
    wait_until("the decisions of all layers in their metrics", SOON, || {
        counted(edge.metrics(), "authz", "allowed", "allowed.rule:read")
            && counted(edge.metrics(), "authn", "denied", "missing")
            && counted(at("orders-v1"), "authn", "allowed", "ok.provider:edge")
            && counted(at("orders-v1"), "authz", "allowed", "allowed.rule:from-the-edge")
            && counted(at("inventory"), "authz", "allowed", "allowed.rule:orders-reads")
            && counted(at("inventory"), "authz", "denied", "denied.default")
    })
}
