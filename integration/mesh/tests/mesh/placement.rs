//! Which proxies a plugin is for, in which direction, with what beside it.

use serde_json::json;
use sluice_integration::tokens::{Algorithm, Token};
use sluice_integration::{Request, Result, wait_until};
use sluice_mesh_test::{Mesh, Plugin, REGISTRY, SECRET_VARIABLE, secret};

use crate::asserts::{CLIENT_READS, SOON, client_may_only_read, read, write};
use crate::delivery::VERSION;

/// Turns away who sends `x-refuse`, under a rule of that name.
fn refuses(rule: &str) -> String {
    format!(
        "{{version: 1, authz: {{default: allow, rules: [{{name: {rule}, deny: true, match: {{headers: {{x-refuse: {{present: true}}}}}}}}]}}, telemetry: {{}}}}"
    )
}

/// The reason of the refusal that a call of `client` to a service gets, none if it gets through.
fn refusal(mesh: &Mesh, app: &str) -> Result<Option<String>> {
    let answer = mesh.call("client", app, &Request::get("/").header("x-refuse", "1"))?;
    assert!([200, 403].contains(&answer.status), "{}: {}", answer.status, answer.text());
    Ok(answer.json()["reason"].as_str().map(str::to_owned))
}

/// `selector`: only there.
pub(crate) fn a_selector_chooses_the_workloads(mesh: &Mesh) -> Result<()> {
    let _applied = mesh.install(&Plugin::new("sluice", &refuses("by-selector"))?.on("inventory").server())?;
    assert_eq!(refusal(mesh, "inventory")?.as_deref(), Some("authz.denied.rule:by-selector"));
    assert_eq!(refusal(mesh, "orders")?, None);
    Ok(())
}

/// `match.mode: SERVER` runs where a request arrives, `CLIENT` where it leaves, and without `match` it runs at both: a rule about
/// who calls would judge the caller's own requests too.
pub(crate) fn a_mode_chooses_the_direction(mesh: &Mesh) -> Result<()> {
    // Where it leaves, the caller is the program beside the proxy and has no certificate: a rule that asks for one denies.
    let client_reads = || Plugin::new("sluice", CLIENT_READS).map(|plugin| plugin.on("client"));
    let everywhere = mesh.install(&client_reads()?)?;
    assert_eq!(read(mesh)?.status, 403, "at its own sidecar the client is nobody");
    everywhere.remove()?;
    let serving = mesh.install(&client_reads()?.server())?;
    assert_eq!((read(mesh)?.status, write(mesh)?.status), (200, 200), "nobody calls the client");
    serving.remove()?;
    let _calling =
        mesh.install(&Plugin::new("sluice", &refuses("as-client"))?.on("client").mode("CLIENT"))?;
    mesh.service("inventory").forget();
    assert_eq!(refusal(mesh, "inventory")?.as_deref(), Some("authz.denied.rule:as-client"));
    assert!(mesh.service("inventory").received().is_empty(), "it did not leave");
    Ok(())
}

/// A gateway's listeners count as `CLIENT`: with `SERVER` a plugin never runs there, and everything gets in.
pub(crate) fn on_a_gateway_server_means_never(mesh: &Mesh) -> Result<()> {
    let _route = mesh.apply(GATEWAY)?;
    let gateway = mesh.workload("gateway");
    let ask = || {
        let at = format!("{}:80", gateway.namespace().address());
        mesh.world()
            .send(&at, &Request::get("/orders/1").header("host", "scratch.example").header("x-refuse", "1"))
    };
    crate::asserts::wait_for_status(mesh, "the gateway to route", 200, ask)?;
    let plugin =
        Plugin::new("sluice", &refuses("at-the-gateway"))?.on_the_gateway().on("istio-ingressgateway");
    let never = mesh.apply(&plugin.clone().server().document())?;
    // One that is for the gateway comes after it, and is seen: so the one before has been seen too, and left out.
    let marker = Plugin::new("marker", "version: 1")?.on_the_gateway().on("istio-ingressgateway");
    let _marker = mesh.install(&marker)?;
    assert!(!gateway.has_plugin("sluice"));
    assert_eq!(ask()?.status, 200);
    drop(never);
    let _applied = mesh.install(&plugin)?;
    let answer = ask()?;
    assert_eq!(
        (answer.status, answer.json()["reason"].as_str()),
        (403, Some("authz.denied.rule:at-the-gateway"))
    );
    Ok(())
}

/// A way through the gateway to `orders`, for one host.
pub(crate) const GATEWAY: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: scratch, namespace: istio-ingress }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: [scratch.example] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: scratch, namespace: istio-ingress }
spec:
  hosts: [scratch.example]
  gateways: [scratch]
  http: [{ route: [{ destination: { host: orders.shop.svc.cluster.local, port: { number: 8080 } } }] }]
";

/// A module with one filter beside the suite, as another plugin.
pub(crate) fn a_module_of_one_filter_beside_the_suite(mesh: &Mesh) -> Result<()> {
    mesh.registry().push_images()?;
    let suite = Plugin::new("sluice", CLIENT_READS)?.on("inventory").server().phase("AUTHN");
    let fault = "{version: 1, fault: {rules: [{name: on-request, match: {headers: {x-chaos: abort}}, abort: {status: 418, percent: 100}}]}}";
    let faults = Plugin::new("faults", fault)?
        .on("inventory")
        .server()
        .phase("STATS")
        .url(&format!("oci://{REGISTRY}/sluice/sluice-fault:{VERSION}"));
    let _suite = mesh.install(&suite)?;
    let _faults = mesh.install(&faults)?;
    client_may_only_read(mesh)?;
    let chaos = |method: &str| {
        mesh.call(
            "client",
            "inventory",
            &Request::new(method, "/inventory/teapot").header("x-chaos", "abort"),
        )
    };
    let aborted = chaos("GET")?;
    assert_eq!(
        (aborted.status, aborted.json()["reason"].as_str()),
        (418, Some("fault.aborted.rule:on-request"))
    );
    assert_eq!(chaos("POST")?.json()["reason"], "authz.denied.default", "what is denied is not aborted");
    Ok(())
}

/// The policy names a secret that only the environment of the container `istio-proxy` has; it is seen nowhere.
pub(crate) fn a_secret_from_the_environment_of_the_proxy(mesh: &Mesh) -> Result<()> {
    let policy = include_str!("../../../../docs/examples/shared-secret.yaml");
    let env = json!({ "env": [{ "name": SECRET_VARIABLE, "valueFrom": "HOST" }] });
    let plugin = Plugin::new("sluice", policy)?.on("inventory").server().with("vmConfig", env);
    let _applied = mesh.install(&plugin)?;
    let ask = |token: &str| {
        mesh.call("client", "inventory", &Request::get("/inventory/teapot").bearer(token))
            .map(|answer| answer.status)
    };
    let token = Token::of("alice").signed_with(Algorithm::Hs256).sign();
    assert_eq!(ask(&token)?, 200);
    assert_eq!(ask(&Token::of("alice").sign())?, 401, "of another key");
    assert_eq!(read(mesh)?.status, 401, "without a token");
    let dump = mesh.workload("inventory").admin("/config_dump")?.text();
    assert!(dump.contains(SECRET_VARIABLE), "{dump}");
    assert!(!dump.contains(&secret()), "the configuration names the secret and does not have it");
    assert!(!mesh.workload("inventory").log().contains(&secret()));
    // The agent takes Istio's own variables out where it fetches the module. Here there is nothing to fetch, and the number of
    // the resource stays in: every change of a policy makes a new VM, where with `oci://` the old one takes the new policy.
    assert!(dump.contains("ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION"), "{dump}");
    Ok(())
}

/// Without its secret a policy does not load, and nothing passes; the log says what is missing.
pub(crate) fn a_secret_that_is_missing(mesh: &Mesh) -> Result<()> {
    let policy = include_str!("../../../../docs/examples/shared-secret.yaml");
    let applied = mesh.install(&Plugin::new("sluice", policy)?.on("inventory").server())?;
    wait_until("inventory to log what is missing", SOON, || {
        mesh.workload("inventory").log().contains("there is no environment variable `SLUICE_STAFF_SECRET`")
    })?;
    mesh.service("inventory").forget();
    let token = Token::of("alice").signed_with(Algorithm::Hs256).sign();
    let request = Request::get("/inventory/teapot").bearer(&token);
    assert_eq!(mesh.call("client", "inventory", &request)?.status, 500);
    assert!(mesh.service("inventory").received().is_empty());
    applied.remove()
}
