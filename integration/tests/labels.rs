//! `telemetry.labels` on a real Envoy: responses counted by what the document names, and by nothing that a client sends.

use std::time::{Duration, Instant};

use sluice_integration::{Gateway, Request, raw, wait_until};

const POLICY: &str = r#"
version: 1
authn:
  providers:
    - name: partners
      apiKey:
        keys:
          - { id: acme-2026, sha256: 8649cdebee753898fd50e01408a9e438aa5090249bc3e51b65f33dce973b0873, consumer: acme }
          - { id: globex-2026, sha256: 0aef9a797b1f4523f91fe6c361cd0df88248789ca6cb8cad188d5030ac2f717e, consumer: globex }
  rules:
    - { name: all, require: { optional: [partners] } }
fault:
  rules:
    - { name: slow, match: { paths: [/slow] }, delay: { fixed: 60s, percent: 100 } }
telemetry:
  labels: [identity.consumer]
"#;

/// Counts reach Envoy once a second: waits until they are there.
fn eventually(gateway: &Gateway, labels: &[(&str, &str)], expected: f64) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let found = gateway.envoy().metric("sluice_requests", labels).unwrap();
        if found == expected {
            return;
        }
        let metrics = gateway.envoy().prometheus().unwrap();
        let ours: Vec<&str> = metrics.lines().filter(|line| line.starts_with("sluice_requests")).collect();
        assert!(
            Instant::now() < end && found < expected,
            "{labels:?}: {found} in place of {expected}; {ours:#?}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn responses_are_counted_by_class_and_consumer() {
    let gateway = Gateway::with_policy(POLICY);
    for (key, count) in
        [(Some("demo-key-acme"), 3), (Some("demo-key-globex"), 2), (Some("wrong"), 4), (None, 5)]
    {
        for _ in 0..count {
            let request = Request::get("/a");
            gateway.send(match key {
                Some(key) => request.header("x-api-key", key),
                None => request,
            });
        }
    }
    for (labels, expected) in [
        ([("code_class", "2xx"), ("consumer", "acme")], 3.0),
        ([("code_class", "2xx"), ("consumer", "globex")], 2.0),
        ([("code_class", "4xx"), ("consumer", "none")], 4.0),
        ([("code_class", "2xx"), ("consumer", "none")], 5.0),
    ] {
        eventually(&gateway, &labels, expected);
    }
}

#[test]
fn a_client_that_leaves_before_the_answer_is_counted_without_a_class() {
    let gateway = Gateway::with_policy(POLICY);
    let leaving: Vec<_> = (0..3)
        .map(|_| {
            let mut connection = raw::Connection::open(gateway.port()).unwrap();
            connection.write(&raw::request("GET", b"/slow", &[], b"")).unwrap();
            connection
        })
        .collect();
    wait_until("three requests to wait", Duration::from_secs(60), || {
        gateway.envoy().stat("http.gateway.downstream_rq_active").unwrap() == 3
    })
    .unwrap();
    drop(leaving);
    eventually(&gateway, &[("code_class", "none"), ("consumer", "none")], 3.0);
}
