//! `telemetry` on a real Envoy: traces, metrics, the access log.

use std::time::Duration;

use sluice_integration::{Gateway, Request, wait_until};

const POLICY: &str = r#"
version: 1
authz:
  default: deny
  rules:
    - { name: open, allow: true, match: { paths: ["/open/**"] } }
    - { name: closed, deny: true, match: { paths: ["/closed/**"] } }
telemetry: {}
"#;

/// `00-<trace id>-<parent id>-<flags>` (W3C Trace Context §3.2).
fn parts(traceparent: &str) -> Vec<String> {
    let parts: Vec<String> = traceparent.split('-').map(str::to_owned).collect();
    let hex = |part: &String, length: usize| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    assert!(
        parts.len() == 4 && parts[0] == "00" && hex(&parts[1], 32) && hex(&parts[2], 16) && hex(&parts[3], 2),
        "{traceparent}"
    );
    assert!(parts[1].bytes().any(|b| b != b'0') && parts[2].bytes().any(|b| b != b'0'), "{traceparent}");
    parts
}

#[test]
fn a_trace_begins_where_there_is_none() {
    let gateway = Gateway::with_policy(POLICY);
    gateway.get("/open/a");
    let first = gateway.upstream().last().headers_named("traceparent");
    gateway.get("/open/b");
    let second = gateway.upstream().last().headers_named("traceparent");
    assert_eq!((first.len(), second.len()), (1, 1));
    assert_ne!(parts(&first[0])[1], parts(&second[0])[1]);
    assert_eq!(gateway.logged("/open/b", "traceparent"), second[0]);
}

#[test]
fn a_trace_that_has_begun_goes_on_and_one_that_is_malformed_does_not() {
    let gateway = Gateway::with_policy(POLICY);
    let id = "0af7651916cd43dd8448eb211c80319c";
    let sent = |value: &str| {
        gateway.send(Request::get("/open/a").header("traceparent", value).header("tracestate", "a=b"));
        gateway.upstream().last().headers_named("traceparent")
    };
    let good = sent(&format!("00-{id}-b7ad6b7169203331-01"));
    assert_eq!(good.len(), 1);
    assert_eq!(parts(&good[0])[1], id);
    assert_eq!(parts(&good[0])[3], "01");
    assert_eq!(gateway.upstream().last().header("tracestate").as_deref(), Some("a=b"));
    for wrong in [
        "",
        "x",
        "00",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
    ] {
        let made = sent(wrong);
        assert_eq!(made.len(), 1, "{wrong:?}");
        assert_ne!(parts(&made[0])[1], id, "{wrong:?}");
    }
}

#[test]
fn decisions_are_counted_with_bounded_labels() {
    let gateway = Gateway::with_policy(POLICY);
    for path in ["/open/a", "/open/b", "/closed/a", "/else/a", "/else/b", "/else/c"] {
        gateway.get(path);
    }
    // The module hands its counts to Envoy once a second.
    wait_until("the counts", Duration::from_secs(5), || {
        gateway.envoy().metric("sluice_decisions", &[("outcome", "denied")]).unwrap() >= 4.0
    })
    .unwrap();
    let metric = |labels: &[(&str, &str)]| gateway.envoy().metric("sluice_decisions", labels).unwrap();
    let metrics = gateway.envoy().prometheus().unwrap();
    let ours: Vec<&str> = metrics.lines().filter(|line| line.contains("sluice")).collect();
    assert_eq!(metric(&[("section", "authz"), ("outcome", "allowed")]), 2.0, "{ours:#?}");
    assert_eq!(metric(&[("section", "authz"), ("outcome", "denied")]), 4.0, "{ours:#?}");
    assert_eq!(metric(&[("outcome", "denied"), ("reason", "denied.rule:closed")]), 1.0, "{ours:#?}");
    let series = |metrics: &str| metrics.lines().filter(|line| line.starts_with("sluice_")).count();
    let before = series(&metrics);
    for number in 0..50 {
        gateway.send(Request::get(&format!("/else/{number}")).header("x-user", format!("user-{number}")));
    }
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(series(&gateway.envoy().prometheus().unwrap()), before, "what a client sends made new series");
}

#[test]
fn the_access_log_says_what_was_decided() {
    let gateway = Gateway::with_policy(POLICY);
    gateway.get("/open/a");
    gateway.get("/closed/a");
    assert_eq!(gateway.details("/open/a"), "via_upstream");
    assert!(
        gateway.decision("/open/a").starts_with("allowed:authz.allowed."),
        "{}",
        gateway.decision("/open/a")
    );
    assert_eq!(gateway.details("/closed/a"), "authz.denied.rule:closed");
    assert_eq!(gateway.decision("/closed/a"), "denied:authz.denied.rule:closed");
}

#[test]
fn responses_are_counted_by_class_and_label() {
    let gateway = Gateway::with_policy(
        r#"
version: 1
authn:
  providers:
    - name: partners
      apiKey: { keys: [{ id: a, sha256: 8649cdebee753898fd50e01408a9e438aa5090249bc3e51b65f33dce973b0873, consumer: acme }] }
telemetry: { labels: [identity.consumer] }
"#,
    );
    assert_eq!(gateway.send(Request::get("/a").header("x-api-key", "demo-key-acme")).status, 200);
    assert_eq!(gateway.get("/a").status, 401);
    let metric = |labels: &[(&str, &str)]| gateway.envoy().metric("sluice_requests", labels).unwrap();
    wait_until("the counts", Duration::from_secs(5), || metric(&[]) >= 2.0).unwrap();
    assert_eq!(metric(&[("code_class", "2xx"), ("consumer", "acme")]), 1.0);
    assert_eq!(metric(&[("code_class", "4xx"), ("consumer", "none")]), 1.0);
}
