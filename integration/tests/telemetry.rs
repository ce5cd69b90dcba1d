//! `telemetry` on a real Envoy: traces, metrics, the access log.

use std::time::Duration;

use serde_json::json;
use sluice_integration::tokens::Token;
use sluice_integration::{Gateway, Mesh, Protocol, Proxy, Request, Upstream, wait_until, wait_until_some};

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
    let metric = |labels: &[(&str, &str)]| gateway.envoy().metric("sluice_decisions", labels).unwrap();
    let counted = |outcome: &str, count: f64| {
        wait_until("the counts", Duration::from_secs(60), || metric(&[("outcome", outcome)]) >= count)
            .unwrap();
    };
    counted("allowed", 2.0);
    counted("denied", 4.0);
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
    counted("denied", 54.0);
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
    wait_until("the counts", Duration::from_secs(60), || metric(&[]) >= 2.0).unwrap();
    assert_eq!(metric(&[("code_class", "2xx"), ("consumer", "acme")]), 1.0);
    assert_eq!(metric(&[("code_class", "4xx"), ("consumer", "none")]), 1.0);
}

const TRACE: &str = "12345678901234567890123456789012";

/// The trace that an answer names: the metric `trace` of `server-timing`.
fn told(answer: &sluice_integration::Answer) -> Option<&str> {
    answer.header("server-timing")?.strip_prefix("trace;desc=")
}

#[test]
fn a_refused_request_has_its_new_trace_in_the_log_and_in_the_answer() {
    let gateway = Gateway::with_policy(
        r#"
version: 1
authz:
  default: allow
  rules: [{ name: closed, deny: true, match: { paths: ["/closed/**"] } }]
fault: { rules: [{ name: later, match: { paths: [/later] }, delay: { fixed: 50ms, percent: 100 }, abort: { status: 503, percent: 100 } }] }
telemetry: { trace: { context: restart } }
"#,
    );
    let sent = format!("00-{TRACE}-1234567890123456-01");
    // By a rule; without a single reading; after a delay; over gRPC.
    for (path, status, kind) in [
        ("/closed/a", 403, "text/plain"),
        ("/closed/b;x", 400, "text/plain"),
        ("/later", 503, "text/plain"),
        ("/closed/grpc", 200, "application/grpc"),
    ] {
        for traceparent in [Some(sent.as_str()), None] {
            let mut request = Request::get(path).header("content-type", kind);
            if let Some(traceparent) = traceparent {
                request = request.header("traceparent", traceparent).header("tracestate", "a=1");
            }
            let answer = gateway.send(request);
            assert_eq!(answer.status, status, "{path}");
            let told = told(&answer).unwrap_or_else(|| panic!("{path}: {:?}", answer.headers)).to_owned();
            assert_ne!(parts(&told)[1], TRACE, "{path}");
            gateway.envoy().access_log_entry(|entry| entry["traceparent"] == told.as_str()).unwrap();
        }
    }
    assert_eq!(gateway.upstream().count(), 0);
    // What goes on tells the service.
    assert_eq!(told(&gateway.send(Request::get("/open").header("traceparent", &sent))), None);
    assert_ne!(parts(&gateway.upstream().last().header("traceparent").unwrap())[1], TRACE);
    wait_until("the counts", Duration::from_secs(5), || {
        gateway.envoy().metric("sluice_decisions", &[("reason", "trace_restarted")]).unwrap() >= 5.0
    })
    .unwrap();
    assert_eq!(gateway.envoy().metric("sluice_decisions", &[("reason", "trace_restarted")]).unwrap(), 5.0);
    assert_eq!(gateway.envoy().metric("sluice_decisions", &[("reason", "trace_started")]).unwrap(), 4.0);
}

#[test]
fn a_refusal_that_continues_a_trace_leaves_it_as_it_is() {
    let gateway = Gateway::with_policy(POLICY);
    let sent = format!("00-{TRACE}-1234567890123456-01");
    let answer = gateway.send(Request::get("/closed/a").header("traceparent", &sent));
    assert_eq!((answer.status, told(&answer)), (403, None));
    assert_eq!(gateway.logged("/closed/a", "traceparent"), sent);
}

/// The cases of the working group's own tests (github.com/w3c/trace-context, `test/test.py` as of June 2026, `SPEC_LEVEL=2`) as this
/// repository writes them down: what arrives, and whether the trace and its state go on. They can't be installed from a registry, and
/// their code is not ours to commit. They want of a service that makes spans a new parent id; a proxy that makes none keeps it.
#[test]
fn the_cases_of_the_working_group() {
    let gateway = Gateway::with_policy("{version: 1, telemetry: {}}");
    let client = gateway.new_client(Protocol::Http1);
    let valid = format!("00-{TRACE}-1234567890123456-01");
    let goes_on = |headers: &[(&str, &str)]| {
        let request =
            headers.iter().fold(Request::get("/"), |request, (name, value)| request.header(name, value));
        assert_eq!(client.send(&request).unwrap().status, 200);
        let received = gateway.upstream().last();
        let traceparent = received.headers_named("traceparent");
        assert_eq!(traceparent.len(), 1, "{headers:?}");
        let goes_on = traceparent[0].contains(TRACE);
        let sent: Vec<&str> = headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("tracestate"))
            .map(|(_, value)| value.trim())
            .collect();
        let state: Vec<String> =
            received.headers_named("tracestate").iter().map(|line| line.trim().to_owned()).collect();
        if !goes_on {
            assert_eq!(state, [""; 0], "{headers:?}: the state goes with its trace");
            assert!(
                matches!(parts(&traceparent[0])[3].as_str(), "03"),
                "{traceparent:?}: random, and says so"
            );
        }
        (goes_on, !sent.is_empty() && sent == state)
    };
    let trace_goes_on = |value: &str| goes_on(&[("traceparent", value)]).0;
    assert!(!goes_on(&[]).0);
    for (value, expected) in [
        (valid.clone(), true),
        (format!("{valid}."), false),
        (format!("{valid}-what-the-future-will-be-like"), false),
        (format!("cc-{TRACE}-1234567890123456-01"), true),
        (format!("cc-{TRACE}-1234567890123456-01-what-the-future-will-be-like"), true),
        (format!("cc-{TRACE}-1234567890123456-01.what-the-future-will-be-like"), false),
        (format!("ff-{TRACE}-1234567890123456-01"), false),
        (format!(".0-{TRACE}-1234567890123456-01"), false),
        (format!("0.-{TRACE}-1234567890123456-01"), false),
        (format!("000-{TRACE}-1234567890123456-01"), false),
        (format!("0000-{TRACE}-1234567890123456-01"), false),
        (format!("0-{TRACE}-1234567890123456-01"), false),
        ("00-00000000000000000000000000000000-1234567890123456-01".to_owned(), false),
        ("00-.2345678901234567890123456789012-1234567890123456-01".to_owned(), false),
        ("00-1234567890123456789012345678901.-1234567890123456-01".to_owned(), false),
        (format!("00-{TRACE}3-1234567890123456-01"), false),
        ("00-1234567890123456789012345678901-1234567890123456-01".to_owned(), false),
        (format!("00-{TRACE}-0000000000000000-01"), false),
        (format!("00-{TRACE}-.234567890123456-01"), false),
        (format!("00-{TRACE}-123456789012345.-01"), false),
        (format!("00-{TRACE}-12345678901234567-01"), false),
        (format!("00-{TRACE}-123456789012345-01"), false),
        (format!("00-{TRACE}-1234567890123456-.0"), false),
        (format!("00-{TRACE}-1234567890123456-0."), false),
        (format!("00-{TRACE}-1234567890123456-001"), false),
        (format!("00-{TRACE}-1234567890123456-1"), false),
        // The random flag is kept.
        (format!("00-{TRACE}-1234567890123456-02"), true),
        // Blanks around a value.
        (format!(" {valid}"), true),
        (format!("\t{valid}"), true),
        (format!("{valid} "), true),
        (format!("{valid}\t"), true),
        (format!("\t {valid} \t"), true),
    ] {
        assert_eq!(trace_goes_on(&value), expected, "{value:?}");
    }
    let other = valid.replace(TRACE, "12345678901234567890123456789011");
    assert!(!goes_on(&[("traceparent", &other), ("traceparent", &valid)]).0);
    for (name, expected) in [
        ("trace-parent", false),
        ("trace.parent", false),
        ("TraceParent", true),
        ("TrAcEpArEnT", true),
        ("TRACEPARENT", true),
    ] {
        assert_eq!(goes_on(&[(name, &valid)]).0, expected, "{name}");
    }
    for state in ["foo=1", "foo=1,bar=2"] {
        assert_eq!(goes_on(&[("tracestate", state)]), (false, false));
    }
    let state_goes_on = |lines: &[&str]| {
        let mut headers = vec![("traceparent", valid.as_str())];
        headers.extend(lines.iter().map(|line| ("tracestate", *line)));
        let (trace, state) = goes_on(&headers);
        assert!(trace, "{lines:?}: no tracestate ends a trace");
        state
    };
    let members = |numbers: std::ops::RangeInclusive<u32>| {
        numbers.map(|number| format!("bar{number:02}={number:02}")).collect::<Vec<_>>().join(",")
    };
    let (key, value) =
        ("abcdefghijklmnopqrstuvwxyz0123456789_-*/@", " !\"#$%&'()*+-./0123456789:;<>?@AZ[\\]^_`az{|}~");
    for (lines, expected) in [
        (vec!["foo=1,bar=2".to_owned()], true),
        (vec!["foo=1".to_owned(), String::new()], true),
        (vec![String::new(), "foo=1".to_owned()], true),
        (vec!["foo=1,bar=2".to_owned(), "rojo=1,congo=2".to_owned(), "baz=3".to_owned()], true),
        (vec!["foo=1,foo=1".to_owned()], true),
        (vec!["foo=1,foo=2".to_owned()], true),
        (vec!["foo=1".to_owned(), "foo=1".to_owned()], true),
        (vec!["foo=1".to_owned(), "foo=2".to_owned()], true),
        (vec![format!("{key}={value}")], true),
        (vec!["foo=1 \t , \t bar=2, \t baz=3".to_owned()], true),
        (vec!["foo=1\t \t,\t \tbar=2,\t \tbaz=3".to_owned()], true),
        (vec![" foo=1".to_owned()], true),
        (vec!["\t foo=1 \t".to_owned()], true),
        (vec!["foo =1".to_owned()], false),
        (vec!["FOO=1".to_owned()], false),
        (vec!["foo.bar=1".to_owned()], false),
        (vec!["foo@=1,bar=2".to_owned()], true),
        (vec!["@foo=1,bar=2".to_owned()], false),
        (vec!["foo@@bar=1,bar=2".to_owned()], true),
        (vec!["foo@bar@baz=1,bar=2".to_owned()], true),
        (vec![members(1..=10), members(11..=20), members(21..=30), members(31..=32)], true),
        (vec![members(1..=10), members(11..=20), members(21..=30), members(31..=33)], false),
        (vec!["foo=1".to_owned(), format!("{}=1", "z".repeat(256))], true),
        (vec!["foo=1".to_owned(), format!("{}=1", "z".repeat(257))], false),
        (vec!["foo=1".to_owned(), format!("{}@{}=1", "t".repeat(241), "v".repeat(14))], true),
        (vec!["foo=1".to_owned(), format!("{}@v=1", "t".repeat(242))], true),
        (vec!["foo=1".to_owned(), format!("t@{}=1", "v".repeat(15))], true),
        (vec!["foo=bar=baz".to_owned()], false),
        (vec!["foo=,bar=3".to_owned()], false),
    ] {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(state_goes_on(&lines), expected, "{lines:?}");
    }
    for (name, expected) in
        [("trace-state", false), ("trace.state", false), ("TraceState", true), ("TRACESTATE", true)]
    {
        assert_eq!(goes_on(&[("traceparent", &valid), (name, "foo=1")]), (true, expected), "{name}");
    }
    assert!(goes_on(&[("traceparent", &valid), ("tracestate", "")]).0);
}

/// Envoy's own tracer (OpenTelemetry) reads the context before any filter runs and writes `traceparent` once all have run, so that nothing
/// that a filter does to it reaches the service, where the client's trace id and its mark arrive. The page says to leave it to Envoy.
#[test]
fn under_envoys_own_tracer_a_restart_reaches_the_log_but_not_the_service() {
    let collector = Upstream::start("collector").unwrap();
    let port = collector.port();
    let gateway = Gateway::builder()
        .policy(
            "{version: 1, telemetry: {trace: {context: restart}}, authz: {default: allow, rules: [{name: closed, deny: true, match: {paths: [/closed]}}]}}",
        )
        .edit(move |bootstrap| {
            let listener = &mut bootstrap["static_resources"]["listeners"][0];
            listener["filter_chains"][0]["filters"][0]["typed_config"]["tracing"] = json!({
                "provider": {
                    "name": "envoy.tracers.opentelemetry",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
                        "service_name": "gateway",
                        "http_service": { "http_uri": {
                            "uri": format!("http://127.0.0.1:{port}/v1/traces"), "cluster": "collector", "timeout": "1s",
                        } },
                    },
                },
            });
            bootstrap["static_resources"]["clusters"].as_array_mut().unwrap().push(json!({
                "name": "collector", "type": "STATIC", "load_assignment": { "cluster_name": "collector", "endpoints": [{
                    "lb_endpoints": [{ "endpoint": { "address": { "socket_address": { "address": "127.0.0.1", "port_value": port } } } }],
                }] },
            }));
        })
        .start()
        .unwrap();
    let sent = format!("00-{TRACE}-1234567890123456-01");
    assert_eq!(gateway.send(Request::get("/open").header("traceparent", &sent)).status, 200);
    let arrived = gateway.upstream().last().headers_named("traceparent");
    assert_eq!(arrived.len(), 1);
    assert_eq!(
        parts(&arrived[0])[1],
        TRACE,
        "the restarted trace has reached the service: the page is to be changed"
    );
    // A refusal passes no router, and so keeps what the module has written.
    let answer = gateway.send(Request::get("/closed").header("traceparent", &sent));
    assert_eq!(answer.status, 403);
    let told = told(&answer).unwrap().to_owned();
    assert_ne!(parts(&told)[1], TRACE);
    assert_eq!(gateway.logged("/closed", "traceparent"), told);
}

#[test]
fn a_key_in_the_query_is_in_no_line_of_the_log() {
    let gateway = Gateway::with_policy(
        r#"
version: 1
authn:
  providers:
    - name: partners
      apiKey:
        from: [{ query: api_key }]
        keys: [{ id: a, sha256: 8649cdebee753898fd50e01408a9e438aa5090249bc3e51b65f33dce973b0873, consumer: acme }]
  rules: [{ name: all, require: { any: [partners] } }]
telemetry: {}
"#,
    );
    assert_eq!(gateway.get("/in?api_key=demo-key-acme").status, 200);
    assert_eq!(gateway.get("/out?a=b&api_key=demo-key-wrong").status, 401);
    assert_eq!(gateway.get("/odd;x?api_key=demo-key-acme").status, 400);
    for path in ["/in", "/out", "/odd;x"] {
        assert_eq!(gateway.logged(path, "path"), path);
    }
    let logs = [std::fs::read_to_string(gateway.envoy().access_log_file()).unwrap(), gateway.envoy().log()];
    assert!(logs.iter().all(|log| !log.contains("demo-key")), "{logs:?}");
}

#[test]
fn a_refusal_of_the_sidecar_is_found_by_the_edges_trace_and_no_log_of_the_mesh_holds_a_query() {
    let mesh = Mesh::for_test("telemetry");
    let token = Token::of("alice").scope("orders:read").sign();
    let request =
        Request::get("/inventory/7?api_key=demo-key-acme").bearer(&token).header("traceparent", "00-x");
    let answer = mesh.send(&request).unwrap();
    assert_eq!(answer.status, 403, "the sidecar lets only `orders` in: {answer:?}");
    let logged = |proxy: Proxy| {
        mesh.envoy(proxy).access_log_entry(|entry| entry["path"] == "/inventory/7").unwrap()["traceparent"]
            .clone()
    };
    let (edge, sidecar) = (logged(Proxy::Edge), logged(Proxy::Inventory));
    assert_eq!(parts(edge.as_str().unwrap())[1], parts(sidecar.as_str().unwrap())[1]);
    // What the edge refuses itself tells the client.
    let refused = mesh.send(&Request::get("/orders/7?api_key=demo-key-acme")).unwrap();
    assert_eq!(refused.status, 401);
    let entry = mesh.envoy(Proxy::Edge).access_log_entry(|entry| entry["path"] == "/orders/7").unwrap();
    assert_eq!(told(&refused), entry["traceparent"].as_str());
    for proxy in Proxy::ALL {
        let envoy = mesh.envoy(proxy);
        let logs = [std::fs::read_to_string(envoy.access_log_file()).unwrap(), envoy.log()];
        assert!(logs.iter().all(|log| !log.contains("demo-key")), "{}: {logs:?}", proxy.name());
    }
}

#[test]
fn envoys_log_level_says_whether_decisions_are_told() {
    let gateway = Gateway::with_policy(
        "{version: 1, fault: {rules: [{name: a, match: {paths: [/a]}, abort: {status: 418, percent: 100}}]}}",
    );
    gateway.get("/a?token=5up3rh1dd3n");
    gateway.envoy().admin_post("/logging?wasm=debug").unwrap();
    // The module asks for the level once a second.
    let line = wait_until_some("a decision in the log", Duration::from_secs(60), || {
        gateway.get("/a?token=5up3rh1dd3n");
        gateway.envoy().log().lines().find(|line| line.contains("sluice: GET")).map(str::to_owned)
    });
    let line = line.unwrap();
    assert!(line.ends_with("/a: answered 418, denied fault.aborted.rule:a"), "{line}");
    assert!(!gateway.envoy().log().contains("5up3rh1dd3n"));
}
