//! `guard` on a real Envoy: what a request may be like, to the byte.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_integration::{
    Answer, Answers, Gateway, GatewayBuilder, Poured, Protocol, Request, Result, Sink, Streamed, raw,
    wait_until,
};

/// The edition that is told of bodies.
const MODULE: &str = "sluice-bodies.wasm";
const LIMIT: usize = 64 << 10;
const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];
/// Generous: a machine may do much else besides.
const SOON: Duration = Duration::from_secs(60);

/// A gateway in front of a sink.
fn before(sink: &Sink, edit: impl FnOnce(GatewayBuilder) -> GatewayBuilder) -> Gateway {
    let port = sink.port();
    let builder = Gateway::builder().module(MODULE).edit(move |bootstrap| {
        let endpoint = &mut bootstrap["static_resources"]["clusters"][0]["load_assignment"]["endpoints"][0];
        endpoint["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]["port_value"] = json!(port);
    });
    edit(builder).start().unwrap()
}

fn connection_manager(bootstrap: &mut Value) -> &mut Value {
    &mut bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
}

/// `guard` with a limit of 64 KiB.
fn limited(sink: &Sink) -> Gateway {
    before(sink, |builder| builder.policy("{version: 1, telemetry: {}, guard: {limits: {body: 64KiB}}}"))
}

/// Sends a body of so many bytes whose length nobody declares, in parts.
fn stream(gateway: &Gateway, protocol: Protocol, path: &str, length: usize, part: usize) -> Result<Answer> {
    let request = Streamed::open(protocol, gateway.port(), &Request::new("POST", path))?;
    let mut left = length;
    while left > 0 {
        let size = part.min(left);
        if !request.send(vec![b'x'; size]) {
            // It has been answered.
            return request.answer();
        }
        left -= size;
    }
    request.finish()
}

/// What has reached the service of the request for `path`, once that has ended.
fn poured(sink: &Sink, path: &str) -> Poured {
    let find = || sink.poured().into_iter().find(|poured| poured.path == path);
    wait_until(&format!("{path} has ended at the service"), SOON, || {
        find().is_none_or(|poured| poured.whole || poured.broken)
    })
    .unwrap();
    find().unwrap_or_default()
}

fn nothing_is_left(gateway: &Gateway) {
    wait_until("no request is left", SOON, || {
        let stat = |name: &str| gateway.envoy().stat(name).unwrap();
        stat("http.gateway.downstream_rq_active") == 0 && stat("cluster.upstream.upstream_rq_active") == 0
    })
    .unwrap();
    assert_eq!(gateway.envoy().stat("wasm.sluice.vm_reload").unwrap(), 0, "the VM had to be started again");
}

#[test]
fn the_limit_holds_to_the_byte_however_a_body_comes() {
    let sink = Sink::start(Answers::Afterwards).unwrap();
    let gateway = limited(&sink);
    for protocol in BOTH {
        for (length, status) in [(0, 200), (1, 200), (LIMIT, 200), (LIMIT + 1, 413), (4 * LIMIT, 413)] {
            let path = format!("/declared/{protocol:?}/{length}");
            let request = Request::post(&path, vec![b'x'; length]);
            let answer = gateway.new_client(protocol).send(&request).unwrap();
            assert_eq!(answer.status, status, "{path}: {}", answer.text());
            let expected = if status == 200 { length as u64 } else { 0 };
            assert_eq!(poured(&sink, &path).bytes, expected, "{path}");
            for part in [1_000, 16 << 10, 4 * LIMIT] {
                let path = format!("/streamed/{protocol:?}/{length}/{part}");
                let answer = stream(&gateway, protocol, &path, length, part).unwrap();
                assert_eq!(answer.status, status, "{path}: {}", answer.text());
                let poured = poured(&sink, &path);
                if status == 200 {
                    assert_eq!((poured.bytes, poured.whole), (length as u64, true), "{path}");
                } else {
                    assert!(poured.bytes <= LIMIT as u64 && !poured.whole, "{path}: {poured:?}");
                    assert_eq!(answer.json()["reason"], "guard.body_too_large", "{path}");
                    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
                    assert_eq!(gateway.details(&path), "guard.body_too_large", "{path}");
                    assert_eq!(gateway.decision(&path), "denied:guard.body_too_large", "{path}");
                }
            }
        }
    }
    nothing_is_left(&gateway);
    let labels = [("section", "guard"), ("outcome", "denied"), ("reason", "body_too_large")];
    wait_until("all refusals are counted", SOON, || {
        gateway.envoy().metric("sluice_decisions", &labels).is_ok_and(|count| count == 16.0)
    })
    .unwrap();
}

#[test]
fn the_same_is_refused_as_by_the_buffer_filter() {
    let (sink, other) =
        (Sink::start(Answers::Afterwards).unwrap(), Sink::start(Answers::Afterwards).unwrap());
    let ours = limited(&sink);
    let native = before(&other, |builder| {
        builder.filter_before(json!({ "name": "envoy.filters.http.buffer", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer",
            "max_request_bytes": LIMIT,
        } }))
    });
    for protocol in BOTH {
        for length in [0, 1, LIMIT - 1, LIMIT, LIMIT + 1, 2 * LIMIT] {
            let path = format!("/{protocol:?}/{length}");
            let declared = |gateway: &Gateway| {
                gateway.new_client(protocol).send(&Request::post(&path, vec![b'x'; length])).unwrap().status
            };
            assert_eq!(declared(&ours), declared(&native), "{path}, declared");
            let streamed =
                |gateway: &Gateway| stream(gateway, protocol, &path, length, 10_000).unwrap().status;
            assert_eq!(streamed(&ours), streamed(&native), "{path}, streamed");
        }
    }
}

#[test]
fn a_client_that_asks_first_is_refused_before_it_sends() {
    let sink = Sink::start(Answers::Afterwards).unwrap();
    let policy = "{version: 1, guard: {limits: {body: 64KiB}}}";
    let asks = |length: usize| {
        format!("POST /asks HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n")
    };
    // Without it Envoy says 100 by itself, before any filter is asked.
    let told = before(&sink, |builder| {
        builder
            .policy(policy)
            .edit(|bootstrap| connection_manager(bootstrap)["proxy_100_continue"] = json!(true))
    });
    assert_eq!(told.send_raw(asks(LIMIT + 1).as_bytes()).unwrap().status, 413);
    let untold = before(&sink, |builder| builder.policy(policy));
    let answers = untold.send_raw(asks(LIMIT + 1).as_bytes()).unwrap();
    assert_eq!(answers.status, 100);
    assert!(answers.text().starts_with("HTTP/1.1 413 "), "{}", answers.text());
    assert_eq!(sink.poured(), []);
}

#[test]
fn a_client_that_sends_on_reads_why_it_is_refused() {
    let sink = Sink::start(Answers::Afterwards).unwrap();
    let gateway = limited(&sink);
    for protocol in BOTH {
        let answer = stream(&gateway, protocol, "/much", 64 << 20, 64 << 10).unwrap();
        assert_eq!(
            (answer.status, &answer.json()["reason"]),
            (413, &json!("guard.body_too_large")),
            "{protocol:?}"
        );
    }
    nothing_is_left(&gateway);
}

#[test]
fn large_bodies_pass_without_being_kept() {
    const LARGE: usize = 100 << 20;
    let sink = Sink::start(Answers::Afterwards).unwrap();
    let policy = r#"
version: 1
guard: { limits: { body: 64KiB }, rules: [{ name: uploads, match: { paths: ["/uploads/**"] }, limits: { body: 200MiB } }] }
fault: { rules: [{ name: slow, match: { paths: [/uploads/slow] }, delay: { fixed: 1s, percent: 100 } }] }
"#;
    let gateway = before(&sink, |builder| builder.policy(policy));
    let resident = || gateway.envoy().usage().unwrap().resident;
    assert_eq!(stream(&gateway, Protocol::Http1, "/uploads/first", LIMIT, LIMIT).unwrap().status, 200);
    let beginning = resident();
    for protocol in BOTH {
        for path in ["/uploads/fast", "/uploads/slow"] {
            let answer = stream(&gateway, protocol, path, LARGE, 64 << 10).unwrap();
            assert_eq!(answer.status, 200, "{protocol:?} {path}: {}", answer.text());
            // Kept, one body alone would be more.
            let grown = resident().saturating_sub(beginning);
            assert!(grown < (LARGE as u64) / 2, "{protocol:?} {path}: {grown} bytes more");
        }
    }
    assert!(sink.poured().iter().skip(1).all(|poured| poured.bytes == LARGE as u64 && poured.whole));
}

#[test]
fn a_slow_body_is_counted_byte_by_byte_and_a_client_that_leaves_leaves_nothing() {
    let sink = Sink::start(Answers::Afterwards).unwrap();
    let gateway = before(&sink, |builder| builder.policy("{version: 1, guard: {limits: {body: 50B}}}"));
    for protocol in BOTH {
        let path = format!("/slow/{protocol:?}");
        let request = Streamed::open(protocol, gateway.port(), &Request::new("POST", &path)).unwrap();
        let bytes =
            || sink.poured().iter().find(|poured| poured.path == path).map_or(0, |poured| poured.bytes);
        for sent in 1..=50 {
            assert!(request.send("x"));
            // One after the other: each is a part of its own.
            wait_until(&format!("{sent} bytes are there"), SOON, || bytes() == sent).unwrap();
        }
        assert!(!request.is_answered());
        request.send("x");
        assert_eq!(request.answer().unwrap().status, 413);
        assert_eq!(poured(&sink, &path), Poured { path, bytes: 50, whole: false, broken: true });

        let path = format!("/leaves/{protocol:?}");
        let request = Streamed::open(protocol, gateway.port(), &Request::new("POST", &path)).unwrap();
        assert!(request.send(vec![b'x'; 20]));
        wait_until("20 bytes are there", SOON, || {
            sink.poured().iter().any(|poured| poured.path == path && poured.bytes == 20)
        })
        .unwrap();
        drop(request);
        assert_eq!(poured(&sink, &path), Poured { path, bytes: 20, whole: false, broken: true });
    }
    nothing_is_left(&gateway);
}

/// While a request waits, its body stays in Envoy or in the client. However Envoy is told to do that, each byte is counted, none is lost,
/// and the wait is as long as it should be.
#[test]
fn a_body_that_comes_while_the_request_waits_is_counted_and_does_not_cut_the_wait_short() {
    const DELAY: Duration = Duration::from_millis(800);
    let policy = r#"
version: 1
telemetry: {}
guard: { limits: { body: 64KiB } }
fault: { rules: [{ name: slow, delay: { fixed: 800ms, percent: 100 } }] }
"#;
    for stops_all in [None, Some(false), Some(true)] {
        let sink = Sink::start(Answers::Afterwards).unwrap();
        let gateway = before(&sink, |builder| {
            builder.policy(policy).edit(move |bootstrap| {
                if let Some(allowed) = stops_all {
                    let filter = &mut connection_manager(bootstrap)["http_filters"][0];
                    filter["typed_config"]["config"]["allow_on_headers_stop_iteration"] = json!(allowed);
                }
            })
        });
        for protocol in BOTH {
            for (length, status) in [(0, 200), (1, 200), (LIMIT, 200), (LIMIT + 1, 413), (16 * LIMIT, 413)] {
                let what = format!("/{protocol:?}/{length}/{stops_all:?}");
                let answer = stream(&gateway, protocol, &what, length, 1_000).unwrap();
                assert_eq!(answer.status, status, "{what}: {}", answer.text());
                let poured = poured(&sink, &what);
                if status == 200 {
                    assert!(answer.took >= DELAY, "{what}: {:?}", answer.took);
                    assert_eq!((poured.bytes, poured.whole), (length as u64, true), "{what}");
                } else {
                    assert!(poured.bytes <= LIMIT as u64 && !poured.whole, "{what}: {poured:?}");
                    assert_eq!(gateway.details(&what), "guard.body_too_large", "{what}");
                }
            }
        }
        nothing_is_left(&gateway);
    }
}

/// Told not to hold the body back itself, Envoy keeps what comes meanwhile, up to its own limit, and refuses more. The page says so.
#[test]
fn a_large_body_that_comes_during_a_wait_needs_a_plugin_that_stops_all() {
    let policy = r#"
version: 1
guard: { limits: { body: 200MiB } }
fault: { rules: [{ name: slow, delay: { fixed: 2s, percent: 100 } }] }
"#;
    for (stops_headers_only, status, details) in
        [(false, 200, "via_upstream"), (true, 413, "request_payload_too_large")]
    {
        let sink = Sink::start(Answers::Afterwards).unwrap();
        let gateway = before(&sink, |builder| {
            builder.policy(policy).edit(move |bootstrap| {
                let filter = &mut connection_manager(bootstrap)["http_filters"][0];
                filter["typed_config"]["config"]["allow_on_headers_stop_iteration"] =
                    json!(stops_headers_only);
            })
        });
        let answer = stream(&gateway, Protocol::Http1, "/large", 8 << 20, 64 << 10).unwrap();
        assert_eq!(
            (answer.status, gateway.details("/large").as_str()),
            (status, details),
            "{stops_headers_only}"
        );
    }
}

#[test]
fn once_the_response_has_begun_the_stream_is_reset() {
    let sink = Sink::start(Answers::AtOnce).unwrap();
    // A limit has headers for the response: others than `guard` wait for it.
    let policy =
        "{version: 1, guard: {limits: {body: 64KiB}}, rateLimit: {rules: [{name: all, limit: 1000000/s}]}}";
    let gateway = before(&sink, |builder| builder.policy(policy));
    for protocol in BOTH {
        let path = format!("/begun/{protocol:?}");
        let request = Streamed::open(protocol, gateway.port(), &Request::new("POST", &path)).unwrap();
        assert!(request.send(vec![b'x'; LIMIT]));
        wait_until("the service has all that may come, and has begun to answer", SOON, || {
            sink.poured().iter().any(|poured| poured.path == path && poured.bytes == LIMIT as u64)
                && gateway.envoy().stat("cluster.upstream.upstream_rq_total").unwrap() > 0
        })
        .unwrap();
        wait_until("the body is cut off", SOON, || !request.send("x") || request.is_answered()).unwrap();
        let answer = request.answer();
        assert!(answer.is_err(), "{protocol:?}: {answer:?}");
        assert_eq!(poured(&sink, &path), Poured { path, bytes: LIMIT as u64, whole: false, broken: true });
    }
    nothing_is_left(&gateway);
}

#[test]
fn a_tunnel_has_no_limit_once_it_stands() {
    let sink = Sink::start(Answers::AsTunnel).unwrap();
    let gateway = before(&sink, |builder| {
        builder.policy("{version: 1, guard: {limits: {body: 64KiB}}}").edit(|bootstrap| {
            connection_manager(bootstrap)["upgrade_configs"] = json!([{ "upgrade_type": "websocket" }]);
        })
    });
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, gateway.port())).unwrap();
    connection.set_read_timeout(Some(SOON)).unwrap();
    connection
        .write_all(b"GET /tunnel HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    connection.write_all(&vec![b'x'; 10 * LIMIT]).unwrap();
    wait_until("all of it is there", SOON, || {
        sink.poured().first().is_some_and(|poured| poured.bytes == 10 * LIMIT as u64)
    })
    .unwrap();
}

#[test]
fn what_a_request_says_of_itself_is_judged_before_all_else() {
    let gateway = Gateway::builder()
        .module(MODULE)
        .policy(
            r#"
version: 1
telemetry: {}
guard:
  limits: { uri: 1KiB, query: 5, headers: 20, headerBytes: 4KiB, body: 1KiB }
  methods: [GET, HEAD, POST]
  contentTypes: [application/json, application/grpc]
  requiredHeaders: [x-tenant]
authz: { default: deny }
"#,
        )
        .start()
        .unwrap();
    let get = |path: &str| Request::get(path).header("x-tenant", "a");
    let post = || Request::post("/post", "{}").header("x-tenant", "a");
    let many = (0..30).fold(get("/many"), |request, number| request.header(&format!("x-{number}"), "a"));
    for (what, request, status, reason) in [
        ("uri", get(&format!("/uri?{}", "a".repeat(1024))), 414, "uri_too_long"),
        ("query", get("/query?a&b&c&d&e&f"), 400, "too_many_parameters"),
        ("headers", many, 431, "too_many_headers"),
        ("bytes", get("/bytes").header("x-long", vec![b'a'; 4096]), 431, "headers_too_large"),
        ("method", Request::new("DELETE", "/method").header("x-tenant", "a"), 405, "method_not_allowed"),
        ("required", Request::get("/required"), 400, "header_missing"),
        ("type", post().header("content-type", "text/csv"), 415, "unsupported_content_type"),
        ("no type", post(), 415, "unsupported_content_type"),
    ] {
        for protocol in BOTH {
            let answer = gateway.new_client(protocol).send(&request).unwrap();
            assert_eq!(answer.status, status, "{what} {protocol:?}: {}", answer.text());
            assert_eq!(answer.json()["reason"], format!("guard.{reason}"), "{what} {protocol:?}");
            let listed = |name: &str| answer.header(name).map(str::to_owned);
            assert_eq!(listed("allow"), (status == 405).then(|| "GET, HEAD, POST".to_owned()), "{what}");
            let accept = (status == 415).then(|| "application/json, application/grpc".to_owned());
            assert_eq!(listed("accept"), accept, "{what}");
        }
    }
    // All is well: the next section is asked.
    assert_eq!(gateway.send(get("/a?b=c")).status, 403);
    assert_eq!(gateway.send(post().header("content-type", "application/json; charset=utf-8")).status, 403);
    assert_eq!(gateway.upstream().count(), 0);
}

#[test]
fn content_that_comes_without_a_type_and_a_length_is_refused() {
    let sink = Sink::start(Answers::Afterwards).unwrap();
    let gateway =
        before(&sink, |builder| builder.policy("{version: 1, guard: {contentTypes: application/json}}"));
    for protocol in BOTH {
        assert_eq!(stream(&gateway, protocol, "/none", 0, 1).unwrap().status, 200, "{protocol:?}");
        assert_eq!(stream(&gateway, protocol, "/some", 1, 1).unwrap().status, 415, "{protocol:?}");
    }
    assert!(sink.poured().iter().all(|poured| poured.bytes == 0));
}

#[test]
fn a_grpc_client_reads_resource_exhausted() {
    let sink = Sink::start(Answers::Afterwards).unwrap();
    let gateway = limited(&sink);
    let request = Request::new("POST", "/shop.Orders/Upload").header("content-type", "application/grpc");
    let streamed = Streamed::open(Protocol::Http2, gateway.port(), &request).unwrap();
    while streamed.send(vec![0; 8 << 10]) && !streamed.is_answered() {}
    let answer = streamed.answer().unwrap();
    assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("8")), "{:?}", answer.headers);
    let message = answer.header("grpc-message").unwrap_or_default();
    assert!(message.contains("too large") || message.contains("too%20large"), "{message}");
    assert!(answer.body.is_empty());
}

#[test]
fn shadow_counts_and_lets_all_pass() {
    let sink = Sink::start(Answers::Afterwards).unwrap();
    let gateway = before(&sink, |builder| {
        builder.policy("{version: 1, telemetry: {}, guard: {shadow: true, limits: {body: 64KiB}}}")
    });
    assert_eq!(stream(&gateway, Protocol::Http1, "/streamed", 3 * LIMIT, 10_000).unwrap().status, 200);
    assert_eq!(gateway.send(Request::post("/declared", vec![b'x'; 2 * LIMIT])).status, 200);
    assert!(sink.poured().iter().all(|poured| poured.whole), "{:?}", sink.poured());
    let labels = [("section", "guard"), ("outcome", "shadow"), ("reason", "body_too_large")];
    wait_until("both are counted, each once", SOON, || {
        gateway.envoy().metric("sluice_decisions", &labels).is_ok_and(|count| count == 2.0)
    })
    .unwrap();
}

#[test]
fn trailers_and_a_body_of_get_are_counted_as_any() {
    let sink = Sink::start(Answers::Afterwards).unwrap();
    let gateway = limited(&sink);
    for (extra, status) in [(0, 200), (1, 413)] {
        let body = "x".repeat(LIMIT + extra);
        let chunked = format!(
            "GET /trailers HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\nx-end: 1\r\n\r\n",
            body.len()
        );
        assert_eq!(raw::send(gateway.port(), chunked.as_bytes()).unwrap().status, status);
        let client = gateway.new_client(Protocol::Http2);
        let request = Request { body: body.into_bytes(), ..Request::get("/trailers") }.trailer("x-end", "1");
        assert_eq!(client.send(&request).unwrap().status, status);
    }
    nothing_is_left(&gateway);
}
