//! Sluice beside Istio's own policies: who comes first, and what the one sees of the other.

use std::collections::BTreeMap;

use serde_json::json;
use sluice_integration::tokens::{self, Token};
use sluice_integration::{Error, Request, Result, wait_until};
use sluice_mesh_test::{Mesh, Plugin};
use tokio::task::JoinHandle;

use crate::asserts::{CLIENT_READS, SOON, client_may_only_read, decisions, wait_for_status};

fn at_inventory(policy: &str) -> Result<Plugin> {
    Ok(Plugin::new("sluice", policy)?.on("inventory").server())
}

/// AuthorizationPolicy: both must agree. A plugin in AUTHN or AUTHZ speaks first; what it lets through, Istio may still deny.
pub(crate) fn authorization_policy_both_must_agree(mesh: &Mesh) -> Result<()> {
    let _own = mesh.apply(
        r#"
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: inventory, namespace: shop }
spec:
  selector: { matchLabels: { app: inventory } }
  action: ALLOW
  rules: [{ to: [{ operation: { paths: ["/inventory/*"] } }] }]
"#,
    )?;
    let _applied = mesh.install(&at_inventory(CLIENT_READS)?.phase("AUTHN"))?;
    let ask = |request: Request| mesh.call("client", "inventory", &request);
    wait_for_status(mesh, "Istio's policy", 403, || ask(Request::get("/elsewhere")))?;
    let answers = [
        (Request::get("/inventory/teapot"), 200, ""),
        (Request::get("/elsewhere"), 403, "RBAC: access denied"),
        (Request::post("/inventory/teapot", ""), 403, "authz.denied.default"),
        (Request::post("/elsewhere", ""), 403, "authz.denied.default"),
    ];
    for (request, status, said) in answers {
        let answer = ask(request.clone())?;
        assert_eq!(answer.status, status, "{request:?}");
        assert!(answer.text().contains(said), "{request:?}: {}", answer.text());
    }
    Ok(())
}

/// RequestAuthentication: Istio verifies the token, and Sluice in AUTHZ decides by the header that Istio writes from a claim.
/// In AUTHN it would decide before anything was verified, by what the client wrote.
pub(crate) fn request_authentication_verifies_and_sluice_decides(mesh: &Mesh) -> Result<()> {
    let _own = mesh.apply(&format!(
        r#"
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{ name: inventory, namespace: shop }}
spec:
  selector: {{ matchLabels: {{ app: inventory }} }}
  jwtRules:
    - issuer: "{}"
      jwks: '{}'
      outputClaimToHeaders: [{{ header: x-istio-subject, claim: sub }}]
"#,
        tokens::ISSUER,
        tokens::key_set(false)
    ))?;
    let policy = "{version: 1, authz: {default: deny, rules: [{name: alice, allow: true, match: {headers: {x-istio-subject: alice}}}]}}";
    let applied = mesh.install(&at_inventory(policy)?.phase("AUTHZ"))?;
    let ask = |request: Request| mesh.call("client", "inventory", &request);
    let get = || Request::get("/inventory/teapot");
    wait_for_status(mesh, "Istio's authentication", 401, || {
        ask(get().bearer(&Token::of("alice").expires_in(-3600).sign()))
    })?;
    assert_eq!(ask(get().bearer(&Token::of("alice").sign()))?.status, 200);
    assert_eq!(ask(get().bearer(&Token::of("bob").sign()))?.json()["reason"], "authz.denied.default");
    assert_eq!(
        ask(get())?.json()["reason"],
        "authz.denied.default",
        "Istio lets a request without a token on"
    );
    // The client's own word is overwritten, or removed where there is no token.
    let beside_a_token = get().bearer(&Token::of("bob").sign()).header("x-istio-subject", "alice");
    assert_eq!(ask(beside_a_token)?.json()["reason"], "authz.denied.default");
    assert_eq!(ask(get().header("x-istio-subject", "alice"))?.json()["reason"], "authz.denied.default");
    applied.remove_plugin("sluice")?;

    // Before Istio's authentication there is only the client's word, and it is believed.
    let _applied = mesh.install(&at_inventory(policy)?.phase("AUTHN"))?;
    assert_eq!(ask(get().bearer(&Token::of("alice").sign()))?.json()["reason"], "authz.denied.default");
    assert_eq!(ask(get().header("x-istio-subject", "alice"))?.status, 200);
    Ok(())
}

/// VirtualService fault: it aborts in the caller's proxy, after a plugin there and long before one at the service.
pub(crate) fn a_fault_of_istio_aborts_at_the_caller(mesh: &Mesh) -> Result<()> {
    let _own = mesh.apply(&virtual_service(json!([
        { "match": [{ "headers": { "x-fault": { "exact": "istio" } } }],
          "fault": { "abort": { "httpStatus": 418, "percentage": { "value": 100 } } },
          "route": [{ "destination": { "host": "inventory" } }] },
        { "route": [{ "destination": { "host": "inventory" } }] },
    ])))?;
    let ask = |method: &str| {
        mesh.call(
            "client",
            "inventory",
            &Request::new(method, "/inventory/teapot").header("x-fault", "istio"),
        )
    };
    let serving = mesh.install(&at_inventory(CLIENT_READS)?)?;
    wait_for_status(mesh, "Istio's fault", 418, || ask("POST"))?;
    mesh.service("inventory").forget();
    assert_eq!(ask("POST")?.status, 418, "what the service's Sluice would have denied never reached it");
    client_may_only_read(mesh)?;
    drop(serving);

    let no_writing = "{version: 1, authz: {default: allow, rules: [{name: no-writing, deny: true, match: {methods: [POST]}}]}}";
    let _calling = mesh.install(&Plugin::new("sluice-client", no_writing)?.on("client").mode("CLIENT"))?;
    assert_eq!(
        ask("POST")?.json()["reason"],
        "authz.denied.rule:no-writing",
        "Sluice comes before Istio's fault"
    );
    assert_eq!(ask("GET")?.status, 418);
    Ok(())
}

/// Retries: the caller's proxy asks again, and Sluice at the service decides each time anew. Istio's default (without a
/// VirtualService) tries again what did not reach the service, which no answer of ours says; `retryOn: 5xx` takes an abort or an
/// unreachable key set (503) for a failure of the service, and never what was denied or limited.
pub(crate) fn retries_are_decided_one_by_one(mesh: &Mesh) -> Result<()> {
    let policy = r#"
version: 1
authz:
  default: allow
  rules: [{ name: refused, deny: true, match: { paths: [/refused] } }]
fault:
  rules: [{ name: away, match: { paths: [/away] }, abort: { status: 503, percent: 100 } }]
"#;
    let _applied = mesh.install(&at_inventory(policy)?)?;
    let ask = |path: &str| Ok::<u16, Error>(mesh.call("client", "inventory", &Request::get(path))?.status);
    let of = |section: &str, reason: &str| {
        decisions(&mesh.workload("inventory").metrics()?, section, "denied", reason)
    };
    // The last request of a round says that the counts of those before it have arrived.
    let round = |marker: &str| -> Result<(u64, u64)> {
        let counts =
            || Ok::<_, Error>((of("fault", "aborted.rule:away")?, of("authz", "denied.rule:refused")?));
        let before = counts()?;
        assert_eq!((ask("/away")?, ask("/refused")?), (503, 403), "{marker}");
        wait_until(&format!("the count of what was refused, {marker}"), SOON, || {
            counts().is_ok_and(|now| now.1 > before.1)
        })?;
        let after = counts()?;
        Ok((after.0 - before.0, after.1 - before.1))
    };
    assert_eq!(round("by default")?, (1, 1));
    let _own = mesh.apply(&virtual_service(json!([
        { "route": [{ "destination": { "host": "inventory" } }], "retries": { "attempts": 2, "retryOn": "5xx" } },
    ])))?;
    wait_until("the client to retry", SOON, || {
        let routes = mesh.workload("client").admin("/config_dump?resource=dynamic_route_configs");
        routes.is_ok_and(|routes| routes.text().contains("\"retry_on\": \"5xx\""))
    })?;
    assert_eq!(round("with retryOn: 5xx")?, (3, 1));
    Ok(())
}

fn virtual_service(http: serde_json::Value) -> String {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": { "name": "inventory", "namespace": "shop" },
        "spec": { "hosts": ["inventory"], "http": http },
    })
    .to_string()
}

/// DestinationRule with subsets: a routing rule of Sluice at the caller chooses one, by a header that a VirtualService matches.
pub(crate) fn a_routing_rule_chooses_a_subset_of_istios(mesh: &Mesh) -> Result<()> {
    let _own = mesh.apply(ORDERS)?;
    let policy = r#"
version: 1
routing:
  rules: [{ name: preview, match: { cookies: { preview: "on" } }, subset: v2 }]
"#;
    let _applied = mesh.install(&Plugin::new("sluice", policy)?.on("client").mode("CLIENT"))?;
    let at = |cookie: &str| -> Result<String> {
        let request = Request::get("/orders/1").header("cookie", cookie);
        Ok(mesh.call("client", "orders", &request)?.json()["at"].as_str().unwrap_or_default().to_owned())
    };
    wait_until("the subsets", SOON, || {
        at("preview=on").is_ok_and(|at| at == "orders-v2") && at("").is_ok_and(|at| at == "orders-v1")
    })?;
    for _ in 0..10 {
        assert_eq!((at("preview=on")?.as_str(), at("preview=off")?.as_str()), ("orders-v2", "orders-v1"));
    }
    // A client that names the subset itself is not heard: Sluice removes the header before its rules.
    let forged = mesh.call("client", "orders", &Request::get("/").header("x-sluice-subset", "v2"))?;
    assert_eq!(forged.json()["at"], "orders-v1");
    Ok(())
}

const ORDERS: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: orders, namespace: shop }
spec:
  hosts: [orders]
  http:
    - match: [{ headers: { x-sluice-subset: { exact: v2 } } }]
      route: [{ destination: { host: orders, subset: v2 } }]
    - route: [{ destination: { host: orders, subset: v1 } }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: orders, namespace: shop }
spec:
  host: orders
  subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]
";

/// DestinationRule with LEAST_REQUEST and outlier detection: an instance that fails is left out, whoever said so; what Sluice
/// denies is no failure, what it aborts with 5xx is one.
pub(crate) fn outlier_detection_counts_aborts_and_not_denials(mesh: &Mesh) -> Result<()> {
    let _own = mesh.apply(
        "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: orders, namespace: shop }
spec:
  host: orders
  trafficPolicy:
    loadBalancer: { simple: LEAST_REQUEST }
    outlierDetection: { consecutive5xxErrors: 3, interval: 100ms, baseEjectionTime: 60s, maxEjectionPercent: 50 }
",
    )?;
    // Only the instance v1 has this: it denies POST, and aborts what asks for it.
    let policy = r#"
version: 1
authz: { default: allow, rules: [{ name: no-writing, deny: true, match: { methods: [POST] } }] }
fault: { rules: [{ name: on-request, match: { headers: { x-chaos: abort } }, abort: { status: 500, percent: 100 } }] }
"#;
    let plugin = Plugin::new("sluice", policy)?
        .server()
        .with("selector", json!({ "matchLabels": { "app": "orders", "version": "v1" } }));
    let _applied = mesh.apply(&plugin.document())?;
    wait_until("the plugin at orders-v1", SOON, || {
        let v1 = mesh.workload("orders-v1");
        v1.has_plugin("sluice") && v1.is_settled() && !mesh.workload("orders-v2").has_plugin("sluice")
    })?;
    let client = mesh.workload("client");
    wait_until("the rule at the client", SOON, || {
        let clusters =
            client.admin("/config_dump?resource=dynamic_active_clusters").map(|answer| answer.text());
        clusters.is_ok_and(|clusters| {
            clusters.contains("outlier_detection") && clusters.contains("LEAST_REQUEST")
        }) || client.admin("/clusters").is_ok_and(|answer| answer.text().contains("outlier"))
    })?;
    // Either instance may be chosen each time: asks until `enough` of those that have answered, and gives how often each has.
    let ask_until = |request: &Request, enough: &dyn Fn(&Answers) -> bool| -> Result<()> {
        let mut seen = Answers::default();
        // That one of two is left out of so many by chance does not happen (2⁻³⁰⁰).
        for _ in 0..300 {
            let answer = mesh.call("client", "orders", request)?;
            let by = answer.json()["at"].as_str().map_or(answer.status.to_string(), str::to_owned);
            *seen.0.entry(by).or_default() += 1;
            if enough(&seen) {
                return Ok(());
            }
        }
        panic!("{request:?}: {:?}", seen.0)
    };
    // More than the three in a row that would leave it out.
    ask_until(&Request::post("/orders", ""), &|seen| seen.of("403") >= 6 && seen.of("orders-v2") >= 3)?;
    // Nobody is left out for denying.
    ask_until(&Request::get("/orders/1"), &|seen| seen.of("orders-v1") >= 3 && seen.of("orders-v2") >= 3)?;
    ask_until(&Request::get("/orders/1").header("x-chaos", "abort"), &|seen| seen.of("500") >= 3)?;
    wait_until("orders-v1 to be left out", SOON, || {
        let asked = (0..20).map(|_| mesh.call("client", "orders", &Request::get("/orders/1")));
        asked.into_iter().all(|answer| answer.is_ok_and(|answer| answer.json()["at"] == "orders-v2"))
    })
}

/// How often a service has answered, by its name, and how often a proxy, by the status.
#[derive(Default)]
struct Answers(BTreeMap<String, usize>);

impl Answers {
    fn of(&self, who: &str) -> usize {
        self.0.get(who).copied().unwrap_or_default()
    }
}

/// LEAST_REQUEST: the instance that answers sooner gets more, with a Sluice at both.
pub(crate) fn least_request_prefers_the_quicker_instance(mesh: &Mesh) -> Result<()> {
    let _own = mesh.apply(
        "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: orders, namespace: shop }
spec: { host: orders, trafficPolicy: { loadBalancer: { simple: LEAST_REQUEST } } }
",
    )?;
    let _applied = mesh.install(&Plugin::new("sluice", CLIENT_READS)?.on("orders").server())?;
    // The one does not answer at all, so it is the busier one from its first request on, at any speed of the machine.
    let (slow, quick) = (mesh.service("orders-v1"), mesh.service("orders-v2"));
    slow.forget();
    quick.forget();
    slow.hold();
    let mut waiting = Vec::new();
    let begin = || mesh.begin_call("client", "orders", &Request::get("/orders/1"));
    for _ in 0..REQUESTS {
        // One after the other: the next one goes off when the one before was answered, or is held.
        let (held, call) = (slow.received().len(), begin());
        wait_until("a request to be answered or held", SOON, || {
            call.is_finished() || slow.received().len() > held
        })?;
        waiting.push(call);
    }
    let (held, answered) = (slow.received().len(), quick.received().len());
    slow.release();
    // Two hosts are drawn for each request, and the same one may be drawn twice: a quarter of the requests, give or take 9 (one
    // standard deviation of 400). In turn or at random it would be half of them.
    assert_eq!(held + answered, REQUESTS);
    assert!(held < REQUESTS * 3 / 8, "{held} of {REQUESTS} went to the instance that answers nothing");
    wait_until("all requests to end", SOON, || waiting.iter().all(JoinHandle::is_finished))
}

/// Enough to tell a quarter from a half.
const REQUESTS: usize = 400;

/// PeerAuthentication: under `STRICT` nobody without a certificate gets as far as a policy. Under `PERMISSIVE` plain connections do,
/// have no peer, and a rule that asks for one is not theirs.
pub(crate) fn permissive_connections_have_no_peer(mesh: &Mesh) -> Result<()> {
    let _applied = mesh.install(&at_inventory(CLIENT_READS)?)?;
    client_may_only_read(mesh)?;
    let plain = format!("{}:8080", mesh.workload("inventory").namespace().address());
    let from_outside = || {
        mesh.world().send(&plain, &Request::get("/inventory/teapot").header("host", "inventory.shop:8080"))
    };
    assert!(from_outside().is_err(), "STRICT");
    let _own = mesh.apply(
        "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: inventory, namespace: shop }
spec: { selector: { matchLabels: { app: inventory } }, mtls: { mode: PERMISSIVE } }
",
    )?;
    wait_for_status(mesh, "a plain connection to get as far as the policy", 403, from_outside)?;
    assert_eq!(from_outside()?.json()["reason"], "authz.denied.default");
    client_may_only_read(mesh)
}
