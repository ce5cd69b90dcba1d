//! The harness itself, on a real Envoy without the module.

use serde_json::json;
use sluice_integration::{Gateway, Protocol, Request, Upstream, raw};

fn header_mutation() -> serde_json::Value {
    json!({
        "name": "envoy.filters.http.header_mutation",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": { "request_mutations": [{ "append": { "header": { "key": "x-seen", "value": "yes" } } }] },
        },
    })
}

#[test]
fn a_gateway_forwards_records_and_logs() {
    let gateway = Gateway::builder().filter_before(header_mutation()).start().unwrap();
    let answer = gateway.send(Request::get("/orders/7?x=1").header("x-two", "a").header("x-two", "b"));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["path"], "/orders/7?x=1");
    let arrived = gateway.upstream().last();
    assert_eq!(arrived.headers_named("x-two"), ["a", "b"]);
    assert_eq!(arrived.header("x-seen").as_deref(), Some("yes"));
    assert_eq!(arrived.header("x-sluice-peer").as_deref(), Some("127.0.0.1"));
    assert_eq!(gateway.details("/orders/7?x=1"), "via_upstream");
    assert_eq!(gateway.envoy().stat("http.gateway.downstream_rq_2xx").unwrap(), 1);
    assert!(
        gateway.envoy().metric("envoy_http_downstream_rq_xx", &[("envoy_response_code_class", "2")]).unwrap()
            >= 1.0
    );
    assert!(gateway.envoy().usage().unwrap().resident > 10 << 20);
}

#[test]
fn a_client_can_neither_choose_a_subset_nor_its_own_address() {
    let gateway = Gateway::builder().version("v2").cluster("other").start().unwrap();
    for header in ["x-sluice-subset", "X-Sluice-Subset"] {
        assert_eq!(gateway.send(Request::get("/").header(header, "v2")).json()["at"], "upstream");
    }
    assert_eq!(gateway.send(Request::get("/").header("x-sluice-cluster", "other")).json()["at"], "upstream");
    gateway.send(Request::get("/").header("x-sluice-peer", "192.0.2.1"));
    assert_eq!(gateway.upstream().last().headers_named("x-sluice-peer"), ["127.0.0.1"]);
    // With an underscore for a hyphen it would be another header, which some servers read as the same.
    assert_eq!(gateway.send(Request::get("/").header("x_sluice_subset", "v2")).status, 400);
}

#[test]
fn http_2_and_raw_bytes_reach_the_upstream() {
    let gateway = Gateway::builder().start().unwrap();
    let client = gateway.new_client(Protocol::Http2);
    assert_eq!(client.send(&Request::post("/h2", "body")).unwrap().json()["body"], "body");
    let bytes = raw::request("POST", b"/raw", &[(b"x-bytes", b"\xff\x80")], b"body");
    assert_eq!(gateway.send_raw(&bytes).unwrap().status, 200);
    let arrived = gateway.upstream().last();
    assert!(arrived.headers.contains(&("x-bytes".to_owned(), b"\xff\x80".to_vec())));
    assert_eq!(arrived.body, b"body");
}

#[test]
fn a_stopped_upstream_gives_503_and_serves_again_when_restarted() {
    let mut gateway = Gateway::builder().start().unwrap();
    assert_eq!(gateway.get("/").status, 200);
    gateway.upstream_mut("upstream").stop();
    assert_eq!(gateway.get("/").status, 503);
    gateway.upstream_mut("upstream").restart().unwrap();
    assert_eq!(gateway.get("/").status, 200);
}

#[test]
fn an_upstream_answers_as_told() {
    let upstream = Upstream::answering("teapot", |request| {
        sluice_integration::Reply::json(418, &json!({"you": request.path}))
    })
    .unwrap();
    let gateway = Gateway::builder().upstream(upstream).start().unwrap();
    let answer = gateway.get("/tea");
    assert_eq!((answer.status, answer.json()), (418, json!({"you": "/tea"})));
}

#[test]
fn a_broken_bootstrap_is_reported_with_envoys_own_words() {
    let error = match Gateway::builder().edit(|bootstrap| bootstrap["no_such_field"] = json!(1)).start() {
        Ok(_) => panic!("started"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains("no_such_field"), "{error}");
}
