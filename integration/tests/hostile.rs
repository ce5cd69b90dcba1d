//! What no honest client sends: no panic, no hanging stream, no header that nobody meant, no undecided 5xx, and the next request is
//! served as before.

use std::time::Duration;

use sluice_integration::tokens::{self, Algorithm, Token};
use sluice_integration::{Answer, Gateway, Protocol, Request, raw, wait_until};

/// Every section, each reading something that a client sends.
fn everything() -> String {
    format!(
        r#"
version: 1
client: {{ address: {{ trustedHops: 1 }} }}
authn:
  providers:
    - name: staff
      jwt:
        issuer: https://id.sluice.demo
        audiences: [orders]
        keys: {{ inline: {keys} }}
        from: [{{ header: authorization, scheme: Bearer }}, {{ cookie: token }}, {{ query: token }}]
        forward: {{ headers: {{ x-user: sub, x-roles: roles, x-team: team.name }}, token: keep }}
    - name: partners
      apiKey:
        from: [{{ header: x-api-key }}, {{ query: key }}]
        keys: [{{ id: acme, sha256: 8649cdebee753898fd50e01408a9e438aa5090249bc3e51b65f33dce973b0873, consumer: acme }}]
        forward: {{ headers: {{ x-consumer: consumer }}, key: keep }}
  rules:
    - {{ name: closed, match: {{ paths: ["/closed/**"] }}, require: {{ any: [staff, partners] }} }}
    - {{ name: rest, require: {{ optional: [staff, partners] }} }}
authz:
  default: deny
  rules:
    - {{ name: deny-by-header, deny: true, match: {{ headers: {{ x-tenant: {{ contains: evil }} }}, query: {{ q: {{ prefix: evil }} }}, cookies: {{ c: {{ suffix: evil }} }} }} }}
    - {{ name: all, allow: true }}
rateLimit:
  rules:
    - {{ name: by-header, key: [header.x-tenant], limit: 1000000/s, burst: 1000000 }}
    - {{ name: by-cookie, key: [cookie.session, query.q], limit: 1000000/s, burst: 1000000 }}
    - {{ name: by-address, key: [client.address], limit: 1000000/s, burst: 1000000 }}
    - {{ name: by-user, key: [identity.principal], limit: 1000000/s, burst: 1000000 }}
routing:
  rules:
    - {{ name: header, match: {{ headers: {{ x-version: v2 }} }}, subset: v2 }}
    - {{ name: sticky, split: {{ sticky: cookie.session, to: [{{ subset: v2, percent: 50 }}, {{ subset: v1, percent: 50 }}] }} }}
fault:
  rules:
    - {{ name: chaos, match: {{ headers: {{ x-chaos: abort }} }}, abort: {{ status: 418, percent: 100 }} }}
telemetry: {{}}
"#,
        keys = tokens::key_set(true)
    )
}

/// A status that a policy or Envoy's own parser decides on (426: a line feed alone makes it read another version of HTTP).
fn assert_decided(answer: &Answer, what: &str) {
    assert!(
        matches!(answer.status, 200 | 400 | 401 | 403 | 404 | 405 | 413 | 414 | 418 | 426 | 429 | 431),
        "{what}: {} {}",
        answer.status,
        answer.text()
    );
}

fn assert_unharmed(gateway: &Gateway) {
    let good = gateway.send(Request::get("/closed/a").bearer(&Token::of("alice").sign()));
    assert_eq!(good.status, 200, "{}", good.text());
    assert_eq!(gateway.envoy().stat("wasm.sluice.vm_reload").unwrap(), 0, "the VM had to be started again");
    let log = gateway.envoy().log();
    assert!(!log.contains("panicked") && !log.contains("Function: "), "{log}");
    wait_until("all streams to end", Duration::from_secs(60), || {
        gateway.envoy().stat("http.gateway.downstream_rq_active").unwrap() == 0
    })
    .expect("a stream hangs");
}

fn gateway() -> Gateway {
    Gateway::builder().policy(&everything()).version("v2").start().unwrap()
}

#[test]
fn every_byte_in_every_header_that_a_policy_reads() {
    let gateway = gateway();
    let good = Token::of("alice").sign();
    let bearer = format!("Bearer {good}");
    let cookie = format!("token={good}; session=abc; c=d");
    let headers: [(&[u8], &[u8]); 13] = [
        (b"authorization", bearer.as_bytes()),
        (b"authorization", b"Basic YTpi"),
        (b"x-api-key", b"demo-key-acme"),
        (b"cookie", cookie.as_bytes()),
        (b"x-tenant", b"tenant"),
        (b"x-version", b"v2"),
        (b"x-chaos", b"abort"),
        (b"x-forwarded-for", b"192.0.2.1"),
        (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        (b"tracestate", b"a=b,c=d"),
        (b"x-user", b"root"),
        (b"content-type", b"application/grpc"),
        (b"host", b"api.example"),
    ];
    for (name, value) in headers {
        let mut connection = raw::Connection::open(gateway.port()).unwrap();
        for byte in 0..=255u8 {
            for position in [0, value.len() / 2, value.len()] {
                let mut odd = value.to_vec();
                odd.insert(position, byte);
                let what = format!("{} with {byte:#04x} at {position}", String::from_utf8_lossy(name));
                let sent = connection.write(&raw::request("GET", b"/closed/a", &[(name, &odd)], b""));
                let answer = sent.and_then(|()| connection.read_answer());
                match answer {
                    Ok(answer) => {
                        assert_decided(&answer, &what);
                        // What Envoy's parser refuses, it refuses by closing.
                        if answer.header("connection") == Some("close") {
                            connection = raw::Connection::open(gateway.port()).unwrap();
                        }
                    }
                    Err(error) => panic!("{what}: {error}"),
                }
            }
        }
    }
    for received in gateway.upstream().received() {
        for (name, value) in &received.headers {
            assert!(!value.contains(&b'\n') && !value.contains(&b'\r'), "{name}");
        }
        let user = received.headers_named("x-user");
        assert!(user.is_empty() || user == ["alice"], "{user:?}");
    }
    assert_unharmed(&gateway);
}

#[test]
fn every_byte_in_the_path_and_the_query() {
    let gateway = gateway();
    for byte in 0..=255u8 {
        for template in [&b"/a?b"[..], b"/closed/a?q=ab", b"/a?token=a.b.c", b"/a?key=demo"] {
            for position in 1..=template.len() {
                let mut path = template.to_vec();
                path.insert(position, byte);
                let what = String::from_utf8_lossy(&path).into_owned();
                let answer = raw::Connection::open(gateway.port()).and_then(|mut connection| {
                    connection.write(&raw::request("GET", &path, &[], b""))?;
                    connection.read_answer()
                });
                assert_decided(&answer.unwrap_or_else(|e| panic!("{what:?}: {e}")), &what);
            }
        }
    }
    for path in [
        "/%",
        "/%0",
        "/%00",
        "/%ff",
        "/a?q=%",
        "/a?q=%zz",
        "/a?q=%ff%fe",
        "/a?&&==&=",
        "/a?q",
        "*",
        "http://other/a",
        "/a?q=%e2%82",
    ] {
        let answer = gateway.send_raw(&raw::request("GET", path.as_bytes(), &[], b"")).unwrap();
        assert_decided(&answer, path);
    }
    assert_unharmed(&gateway);
}

#[test]
fn the_same_header_many_times_and_headers_of_every_length() {
    let gateway = gateway();
    let long = vec![b'a'; 50_000];
    for name in [
        &b"authorization"[..],
        b"x-api-key",
        b"cookie",
        b"x-tenant",
        b"traceparent",
        b"x-forwarded-for",
        b"x-user",
        b"tracestate",
    ] {
        for times in [2, 10, 90] {
            let headers: Vec<(&[u8], &[u8])> = (0..times).map(|_| (name, &b"value"[..])).collect();
            let answer = gateway.send_raw(&raw::request("GET", b"/a", &headers, b"")).unwrap();
            assert_decided(&answer, &format!("{} {times} times", String::from_utf8_lossy(name)));
        }
        for length in [0, 1, 1023, 8192, 8193, 50_000] {
            let answer =
                gateway.send_raw(&raw::request("GET", b"/a", &[(name, &long[..length])], b"")).unwrap();
            assert_decided(&answer, &format!("{} of {length} bytes", String::from_utf8_lossy(name)));
        }
    }
    let segments = format!("/{}", "a/".repeat(10_000));
    assert_decided(
        &gateway.send_raw(&raw::request("GET", segments.as_bytes(), &[], b"")).unwrap(),
        "many segments",
    );
    let query = format!("/a?{}", "q=1&".repeat(10_000));
    assert_decided(
        &gateway.send_raw(&raw::request("GET", query.as_bytes(), &[], b"")).unwrap(),
        "many parameters",
    );
    let cookies = "c=1; ".repeat(10_000);
    let answer =
        gateway.send_raw(&raw::request("GET", b"/a", &[(b"cookie", cookies.as_bytes())], b"")).unwrap();
    assert_decided(&answer, "many cookies");
    assert_unharmed(&gateway);
}

#[test]
fn a_claim_with_a_line_break_makes_no_header() {
    let gateway = gateway();
    for evil in [
        "a\r\nx-evil: 1",
        "a\nx-evil: 1",
        "a\r\n\r\nHTTP/1.1 200 OK",
        "\0",
        "\u{1}",
        "é",
        "𝕏",
        "a\tb",
        " a ",
        "",
        "a,b",
        "\u{85}",
    ] {
        for token in [
            Token::of(evil),
            Token::of("alice").roles(&[evil, "b"]),
            Token::of("alice").claim("team", serde_json::json!({ "name": evil })),
            Token::of("alice").scope(evil),
        ] {
            gateway.upstream().forget();
            let answer = gateway.send(Request::get("/closed/a").bearer(&token.sign()));
            assert_decided(&answer, evil);
            assert_eq!(answer.header("x-evil"), None, "{evil:?}");
            for received in gateway.upstream().received() {
                assert_eq!(received.header("x-evil"), None, "{evil:?}");
                for name in ["x-user", "x-roles", "x-team"] {
                    assert!(received.headers_named(name).len() <= 1, "{evil:?} in {name}");
                }
            }
        }
    }
    assert_unharmed(&gateway);
}

#[test]
fn a_flood_of_bad_tokens_does_not_stop_the_good_ones() {
    let gateway = gateway();
    let bad: Vec<Request> = (0..2000)
        .map(|number| {
            let token = Token::of(&format!("mallory-{number}")).signed_with(Algorithm::Es256).sign();
            let (input, _) = token.rsplit_once('.').unwrap();
            Request::get("/closed/a").bearer(&format!("{input}.{}", "A".repeat(86)))
        })
        .collect();
    let client = gateway.new_client(Protocol::Http2).with_limit(Duration::from_secs(120));
    let answers = client.send_all(&bad);
    for answer in &answers {
        let answer = answer.as_ref().unwrap();
        // 503 is the verification budget's own decision, and says so.
        let decided = answer.status == 401 || (answer.status == 503 && answer.text().contains("authn."));
        assert!(decided, "{} {}", answer.status, answer.text());
    }
    assert_eq!(gateway.upstream().count(), 0);
    // What the flood has used up comes back.
    let good = Request::get("/closed/a").bearer(&Token::of("alice").sign());
    wait_until("a good token to pass", Duration::from_secs(60), || gateway.send(good.clone()).status == 200)
        .unwrap();
    assert_unharmed(&gateway);
}

#[test]
fn grpc_requests_get_trailers_and_never_json() {
    let gateway = gateway();
    let request = Request::post("/closed/Service/Method", "")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let answer = gateway.new_client(Protocol::Http2).send(&request).unwrap();
    assert_eq!(answer.status, 200);
    // 16 is UNAUTHENTICATED.
    assert_eq!(answer.header("grpc-status"), Some("16"));
    let message = answer.header("grpc-message").unwrap();
    assert!(!message.is_empty() && !message.contains('{') && !message.contains("%7B"), "{message}");
    assert_unharmed(&gateway);
}

#[test]
fn a_wrong_document_stops_envoy_and_the_log_says_where_it_is_wrong() {
    for (document, path) in [
        ("{version: 1, authz: {default: maybe}}", "authz.default"),
        (
            "{version: 1, rateLimit: {rules: [{name: a, key: [client.adress], limit: 1/s}]}}",
            "rateLimit.rules[0].key[0]",
        ),
        ("{version: 1, autz: {}}", "autz"),
        ("{version: 3}", "version"),
        ("{}", "version"),
        ("[]", ""),
    ] {
        let error = match Gateway::builder().policy(document).start() {
            Ok(_) => panic!("{document} was accepted"),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(path) && error.contains("sluice"), "{document}: {error}");
    }
}

#[test]
fn a_huge_document_loads() {
    let rules: Vec<String> = (0..3000)
        .map(|number| format!("{{name: r{number}, allow: true, match: {{paths: [\"/p{number}/**\"], client: {{cidrs: [10.{}.{}.0/24]}}}}}}", number / 250, number % 250))
        .collect();
    let gateway = Gateway::with_policy(&format!(
        "{{version: 1, authz: {{default: deny, rules: [{}, {{name: last, allow: true, match: {{paths: [/last]}}}}]}}}}",
        rules.join(", ")
    ));
    assert_eq!(gateway.get("/last").status, 200);
    assert_eq!(gateway.get("/p2999/x").status, 403);
}
