//! `compose` on a real Envoy: one answer from several services.

use std::time::Duration;

use serde_json::json;
use sluice_integration::{Gateway, GatewayBuilder, Protocol, Reply, Request, Upstream};

const POLICY: &str = r#"
version: 1
telemetry: {}
compose:
  rules:
    - name: overview
      match: { paths: ["/overview/{id}"] }
      within: 2s
      parts:
        order: { cluster: upstream, path: "/orders/{path.id}" }
        stock: { cluster: stock, path: "/inventory/{path.id}?of={query.user}", authority: stock.example.com, optional: true }
      forward: [x-user, traceparent]
"#;

fn gateway(edit: impl FnOnce(GatewayBuilder) -> GatewayBuilder) -> Gateway {
    edit(Gateway::builder().policy(POLICY).cluster("stock")).start().unwrap()
}

#[test]
fn the_parts_are_members_of_one_object_and_get_what_the_service_would() {
    let gateway = gateway(|builder| builder);
    let asked = Request::get("/overview/7?user=a%2Fb").header("x-user", "alice").header("cookie", "secret=1");
    let answer = gateway.send(asked);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let parts = answer.json();
    assert_eq!((&parts["order"]["at"], &parts["order"]["path"]), (&json!("upstream"), &json!("/orders/7")));
    assert_eq!(
        (&parts["stock"]["at"], &parts["stock"]["path"]),
        (&json!("stock"), &json!("/inventory/7?of=a%2Fb"))
    );
    let headers = parts["stock"]["headers"].to_string();
    assert!(headers.contains(r#"["x-user","alice"]"#) && headers.contains("traceparent"), "{headers}");
    assert!(headers.contains("stock.example.com") && !headers.contains("secret"), "{headers}");
    assert!(gateway.details("/overview/7?user=a%2Fb").starts_with("compose.composed"));
}

#[test]
fn over_http_2_and_for_head_it_is_the_same() {
    let gateway = gateway(|builder| builder);
    let client = gateway.new_client(Protocol::Http2);
    let answer = client.send_all(&[Request::get("/overview/7?user=a")]).remove(0).unwrap();
    assert_eq!(answer.json()["order"]["at"], "upstream");
    let head = client.send_all(&[Request::new("HEAD", "/overview/7?user=a")]).remove(0).unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn a_service_that_is_dead_slow_lying_or_huge_decides_as_documented() {
    let reply = |status, body: &[u8], after| Reply {
        status,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.to_vec(),
        after: Duration::from_millis(after),
    };
    let huge = vec![b'1'; (4 << 20) + 1];
    for (what, reply, status, reason) in [
        ("slow", reply(200, b"1", 10_000), 504, "part_timed_out"),
        ("broken", reply(500, b"1", 0), 502, "part_failed"),
        ("lying", reply(200, b"<html>", 0), 502, "part_failed"),
        ("huge", reply(200, &huge, 0), 502, "part_failed"),
        ("not found", reply(404, b"{}", 0), 404, "part_refused"),
    ] {
        let upstream = Upstream::answering("upstream", move |_| reply.clone());
        let gateway = gateway(|builder| builder.upstream(upstream.unwrap()));
        let answer = gateway.get("/overview/7?user=a");
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert_eq!(answer.json()["reason"], format!("compose.{reason}.rule:overview"), "{what}");
    }
}

#[test]
fn a_dead_service_is_null_where_it_is_optional_and_comes_back() {
    let mut gateway = gateway(|builder| builder);
    gateway.upstream_mut("stock").stop();
    let answer = gateway.get("/overview/7?user=a");
    assert_eq!((answer.status, &answer.json()["stock"]), (200, &json!(null)));
    gateway.upstream_mut("stock").restart().unwrap();
    assert_eq!(gateway.get("/overview/7?user=a").json()["stock"]["at"], "stock");
}

#[test]
fn an_unknown_cluster_fails_like_a_dead_one() {
    let policy = POLICY.replace("cluster: upstream", "cluster: nobody");
    let gateway = Gateway::builder().policy(&policy).cluster("stock").start().unwrap();
    assert_eq!(gateway.get("/overview/7?user=a").status, 502);
    assert_eq!(gateway.get("/other").status, 200);
}

/// A thousand wait at once while half of the clients leave and the document is replaced again and again.
#[test]
fn a_thousand_that_wait_end_once_each_and_leave_nothing_behind() {
    let slow = |name: &'static str| {
        Upstream::answering(name, move |_| Reply {
            after: Duration::from_millis(1_500),
            ..Reply::json(200, &json!({ "at": name }))
        })
    };
    let policy = POLICY.replace("within: 2s", "within: 20s");
    let gateway = Gateway::builder()
        .policy(&policy)
        .upstream(slow("upstream").unwrap())
        .ecds()
        .edit(|bootstrap| {
            // Envoy's own limits are 1024 connections and requests to a cluster; a thousand connections take a busy machine long.
            for cluster in bootstrap["static_resources"]["clusters"].as_array_mut().unwrap() {
                cluster["connect_timeout"] = json!("15s");
                cluster["circuit_breakers"] = json!({ "thresholds": [{
                    "max_connections": 10_000, "max_requests": 10_000, "max_pending_requests": 10_000,
                }] });
            }
        })
        .start()
        .unwrap();
    let requests = vec![Request::get("/overview/7?user=a"); 500];
    std::thread::scope(|scope| {
        let staying = scope.spawn(|| {
            gateway.new_client(Protocol::Http2).with_limit(Duration::from_secs(60)).send_all(&requests)
        });
        let leaving = scope.spawn(|| {
            gateway.new_client(Protocol::Http2).with_limit(Duration::from_millis(300)).send_all(&requests)
        });
        for _ in 0..10 {
            assert!(gateway.reload(&policy).unwrap());
        }
        for answer in staying.join().unwrap() {
            let answer = answer.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let left = leaving.join().unwrap();
        assert!(left.iter().any(Result::is_err), "nobody left: the test shows nothing");
    });
    assert_eq!(gateway.get("/other").status, 200);
    sluice_integration::wait_until("no request is left", Duration::from_secs(30), || {
        gateway.envoy().stat("http.gateway.downstream_rq_active").is_ok_and(|active| active == 0)
            && gateway.envoy().stat("cluster.upstream.upstream_rq_active").is_ok_and(|active| active == 0)
    })
    .unwrap();
    assert_eq!(gateway.envoy().stat("wasm.sluice.vm_reload").unwrap(), 0, "the VM had to be started again");
}
