//! `api` on a real Envoy: what a client really receives of versions and of CORS.

use serde_json::json;
use sluice_integration::tokens::{self, Token};
use sluice_integration::{Answer, Gateway, Protocol, Reply, Request, Upstream, wait_until};
use std::time::Duration;

const ORIGIN: &str = "https://app.example.com";

/// An API that asks for a token, a role for `/app/admin`, and has a limit of one call for `/app/limited`; and its versions.
fn policy() -> String {
    format!(
        r#"
version: 1
authn:
  providers: [{{ name: staff, jwt: {{ issuer: "{}", audiences: [orders], keys: {{ inline: {} }} }} }}]
  rules:
    - {{ name: open, match: {{ paths: ["/v1/**", "/v0/**", "/v2/**"] }}, require: none }}
    - {{ name: all, require: {{ any: [staff] }} }}
authz:
  default: allow
  rules: [{{ name: admins, deny: true, match: {{ paths: [/app/admin] }} }}]
rateLimit:
  rules: [{{ name: once, match: {{ paths: [/app/limited], methods: [GET] }}, limit: 1/h, burst: 1 }}]
api:
  versions:
    - {{ name: v0, match: {{ paths: ["/v0/**"] }}, deprecated: "2019-01-01", sunset: "2020-01-01", successor: /v1, documentation: "https://developer.example.com/v0" }}
    - {{ name: v1, match: {{ paths: ["/v1/**"] }}, deprecated: "2023-06-30T23:59:59Z", sunset: "2500-01-01", successor: /v2 }}
    - {{ name: v2, match: {{ paths: ["/v2/**"] }} }}
  cors:
    - {{ name: app, match: {{ paths: ["/app/**", "/grpc.Service/**"] }}, origins: [{ORIGIN}, "https://*.example.org"], methods: [GET, PUT], headers: [authorization], exposeHeaders: [ratelimit], credentials: true, maxAge: 10m }}
    - {{ name: strict, match: {{ paths: ["/strict/**"] }}, origins: {ORIGIN}, otherOrigins: refuse }}
telemetry: {{ labels: [api.version] }}
"#,
        tokens::ISSUER,
        tokens::key_set(true)
    )
}

/// A service that lets every page in, by itself.
fn lax_service() -> Upstream {
    Upstream::answering("upstream", |received| {
        let mut reply = Reply::json(200, &received.to_json());
        for (name, value) in [
            ("access-control-allow-origin", "*"),
            ("access-control-allow-methods", "DELETE"),
            ("vary", "Accept-Encoding"),
            ("link", r#"</self>; rel="self""#),
        ] {
            reply.headers.push((name.to_owned(), value.to_owned()));
        }
        reply
    })
    .unwrap()
}

fn gateway() -> Gateway {
    Gateway::builder().policy(&policy()).upstream(lax_service()).start().unwrap()
}

fn ask(gateway: &Gateway, protocol: Protocol, request: &Request) -> Answer {
    gateway.new_client(protocol).send(request).unwrap()
}

/// What an answer says of CORS, in alphabetical order, each item of `vary` among it: Envoy joins the lines of that header.
fn cors(answer: &Answer) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (name, value) in &answer.headers {
        if name == "vary" {
            lines.extend(value.split(',').map(|item| format!("vary: {}", item.trim())));
        } else if name.starts_with("access-control-") {
            lines.push(format!("{name}: {value}"));
        }
    }
    lines.sort();
    lines
}

fn allowed(vary: &[&str]) -> Vec<String> {
    let own = [
        "access-control-allow-credentials: true".to_owned(),
        format!("access-control-allow-origin: {ORIGIN}"),
        "access-control-expose-headers: ratelimit".to_owned(),
    ];
    own.into_iter().chain(vary.iter().map(|vary| format!("vary: {vary}"))).collect()
}

#[test]
fn a_preflight_is_answered_before_anybody_asks_for_a_token() {
    let gateway = gateway();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let preflight = Request::new("OPTIONS", "/app/orders")
            .header("origin", ORIGIN)
            .header("access-control-request-method", "PUT")
            .header("access-control-request-headers", "authorization");
        let answer = ask(&gateway, protocol, &preflight);
        assert_eq!((answer.status, answer.body.len()), (204, 0));
        assert_eq!(
            cors(&answer),
            [
                "access-control-allow-credentials: true",
                "access-control-allow-headers: authorization",
                "access-control-allow-methods: GET, PUT",
                "access-control-allow-origin: https://app.example.com",
                "access-control-max-age: 600",
                "vary: Access-Control-Request-Headers",
                "vary: Access-Control-Request-Method",
                "vary: Origin",
            ]
        );
        let other = Request::new("OPTIONS", "/app/other")
            .header("origin", "https://evil.example")
            .header("access-control-request-method", "PUT");
        let answer = ask(&gateway, protocol, &other);
        assert_eq!(answer.status, 403);
        assert!(answer.header("access-control-allow-origin").is_none());
    }
    assert_eq!(gateway.details("/app/orders"), "api.preflight.rule:app");
    assert_eq!(gateway.details("/app/other"), "api.origin_denied.rule:app");
    assert_eq!(gateway.upstream().count(), 0, "no preflight got to the service");
}

#[test]
fn a_page_may_read_every_answer_whoever_gave_it() {
    let mut gateway = gateway();
    let token = Token::of("alice").sign();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let from_page = |path: &str| Request::get(path).header("origin", ORIGIN);
        // The service's, in place of what it said itself.
        let answer = ask(&gateway, protocol, &from_page("/app/a").bearer(&token));
        assert_eq!((answer.status, cors(&answer)), (200, allowed(&["Accept-Encoding", "Origin"])));
        // Ours: no token, denied.
        let answer = ask(&gateway, protocol, &from_page("/app/a"));
        assert_eq!((answer.status, cors(&answer)), (401, allowed(&["Origin"])));
        assert!(answer.header("www-authenticate").is_some());
        let answer = ask(&gateway, protocol, &from_page("/app/admin").bearer(&token));
        assert_eq!((answer.status, cors(&answer)), (403, allowed(&["Origin"])));
    }
    // Ours, before authentication: the limit.
    let limited = || ask(&gateway, Protocol::Http1, &Request::get("/app/limited").header("origin", ORIGIN));
    limited();
    let answer = limited();
    assert_eq!((answer.status, cors(&answer)), (429, allowed(&["Origin"])));
    // Envoy's own.
    gateway.upstream_mut("upstream").stop();
    let answer = gateway.send(Request::get("/app/a").header("origin", ORIGIN).bearer(&token));
    assert_eq!((answer.status, cors(&answer)), (503, allowed(&["Origin"])));
}

#[test]
fn other_pages_pass_without_a_word_or_are_refused_and_a_cache_is_told_in_any_case() {
    let gateway = gateway();
    let token = Token::of("alice").sign();
    for origin in
        [Some("https://evil.example"), Some("https://app.example.com.evil.example"), Some("null"), None]
    {
        let mut request = Request::get("/app/a").bearer(&token);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let answer = gateway.send(request);
        assert_eq!(
            (answer.status, cors(&answer)),
            (200, vec!["vary: Accept-Encoding".to_owned(), "vary: Origin".to_owned()])
        );
    }
    let refused = Request::post("/strict/a", "{}").bearer(&token).header("origin", "https://evil.example");
    assert_eq!(gateway.send(refused).status, 403);
    assert_eq!(gateway.details("/strict/a"), "api.origin_denied.rule:strict");
    // Where no rule says anything the service's word stands.
    let answer = gateway.send(Request::get("/v2/a").header("origin", ORIGIN));
    assert_eq!(answer.headers_named("access-control-allow-origin"), ["*"]);
}

#[test]
fn a_deprecated_version_says_so_and_one_that_ended_is_gone() {
    let gateway = gateway();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let answer = ask(&gateway, protocol, &Request::get("/v1/orders"));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("deprecation"), Some("@1688169599"));
        assert_eq!(answer.header("sunset"), Some("Fri, 01 Jan 2500 00:00:00 GMT"));
        let mut links = answer.headers_named("link");
        links.sort_unstable();
        assert_eq!(links, [r#"</self>; rel="self""#, r#"</v2>; rel="successor-version""#]);
        let answer = ask(&gateway, protocol, &Request::get("/v0/orders"));
        assert_eq!(answer.status, 410);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.json()["reason"], "api.gone.version:v0");
        assert_eq!(answer.header("deprecation"), Some("@1546300800"));
        assert_eq!(answer.header("sunset"), Some("Wed, 01 Jan 2020 00:00:00 GMT"));
        assert_eq!(
            answer.headers_named("link"),
            [
                r#"<https://developer.example.com/v0>; rel="deprecation""#,
                r#"<https://developer.example.com/v0>; rel="sunset""#,
                r#"</v1>; rel="successor-version""#,
            ]
        );
        let answer = ask(&gateway, protocol, &Request::get("/v2/orders"));
        assert!(answer.header("deprecation").is_none() && answer.header("sunset").is_none());
    }
    assert_eq!(gateway.details("/v0/orders"), "api.gone.version:v0");
    assert_eq!(gateway.upstream().count(), 4);
}

#[test]
fn grpc_clients_and_their_pages_are_told_in_their_own_way() {
    let gateway = gateway();
    let call = |path: &str| {
        Request::post(path, [0, 0, 0, 0, 0])
            .header("content-type", "application/grpc")
            .header("te", "trailers")
    };
    let answer = ask(&gateway, Protocol::Http2, &call("/v0/Get"));
    // A trailers-only answer: UNIMPLEMENTED.
    assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("12")));
    assert_eq!(answer.header("sunset"), Some("Wed, 01 Jan 2020 00:00:00 GMT"));
    let answer = ask(&gateway, Protocol::Http2, &call("/grpc.Service/Get").header("origin", ORIGIN));
    assert_eq!((answer.status, answer.header("grpc-status")), (200, Some("16")));
    assert_eq!(cors(&answer), allowed(&["Origin"]));
}

#[test]
fn the_version_is_a_label_of_metrics() {
    let gateway = gateway();
    for (path, version) in [("/v1/a", "v1"), ("/v0/a", "v0"), ("/other", "none")] {
        gateway.get(path);
        let class = match version {
            "v1" => "2xx",
            _ => "4xx",
        };
        let name = format!("sluice_requests.code_class.{class}.version.{version}");
        wait_until(&name, Duration::from_secs(30), || {
            let stats = gateway.envoy().stats().unwrap_or_default();
            stats.iter().any(|(stat, value)| stat.contains(&name) && *value == 1)
        })
        .unwrap();
    }
}

#[test]
fn a_module_that_is_not_told_of_what_a_document_needs_refuses_it() {
    let refused = Gateway::builder()
        .module("sluice-headers.wasm")
        .policy("{version: 1, telemetry: {labels: []}}")
        .start();
    let error = refused.err().expect("it is not told of the end of requests").to_string();
    assert!(
        error.contains("telemetry.labels: needs a module that is told of the end of requests"),
        "{error}"
    );
    let taken = Gateway::builder()
        .module("sluice-headers.wasm")
        .policy("{version: 1, api: {cors: [{name: all, origins: '*'}]}}");
    let answer = taken.start().unwrap().send(Request::get("/a").header("origin", ORIGIN));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}

/// The same rules for Sluice and for Envoy's `cors` filter: preflights, and what pages may read, whatever the origin.
#[test]
fn pages_are_let_in_as_by_envoys_cors_filter() {
    let ours = Gateway::with_policy(
        r#"{version: 1, api: {cors: [{name: a, origins: ["https://app.example.com", "https://*.example.org"],
            methods: [GET, PUT], headers: [authorization, x-a], exposeHeaders: [x-b], credentials: true, maxAge: 10m, privateNetwork: true}]}}"#,
    );
    let native = Gateway::builder()
        .filter_before(json!({
            "name": "envoy.filters.http.cors",
            "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors" },
        }))
        .edit(|bootstrap| {
            let hosts = bootstrap
                .pointer_mut("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0")
                .unwrap();
            hosts["typed_per_filter_config"] = json!({ "envoy.filters.http.cors": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
                "allow_origin_string_match": [
                    { "exact": "https://app.example.com" },
                    { "safe_regex": { "regex": r"https://([a-z0-9_-]+\.)+example\.org" } },
                ],
                "allow_methods": "GET, PUT",
                "allow_headers": "authorization, x-a",
                "expose_headers": "x-b",
                "max_age": "600",
                "allow_credentials": true,
                "allow_private_network_access": true,
                // A preflight that is refused is answered, as ours is.
                "forward_not_matching_preflights": false,
            } });
        })
        .start()
        .unwrap();
    let origins = [
        "https://app.example.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://APP.example.com",
        "https://a.example.org",
        "https://a.b.example.org",
        "https://example.org",
        "https://.example.org",
        "https://a.example.org.evil.example",
        "https://evil.example/.example.org",
        "null",
        "*",
    ];
    let (mut different, mut let_in) = (Vec::new(), 0);
    for origin in origins {
        for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
            for asks in [None, Some("PUT")] {
                for private in [false, true] {
                    let mut request = Request::new(method, "/a").header("origin", origin);
                    if let Some(asked) = asks {
                        request = request.header("access-control-request-method", asked);
                    }
                    if private {
                        request = request.header("access-control-request-private-network", "true");
                    }
                    let told = |gateway: &Gateway| {
                        gateway.upstream().forget();
                        let answer = gateway.send(request.clone());
                        let mut said = cors(&answer);
                        // Envoy's filter never says `vary`: a cache could hand one origin's answer to another.
                        said.retain(|line| !line.starts_with("vary"));
                        // It says what pages may send to those that may send nothing, and in answer to a preflight what they may read: no
                        // browser looks at either.
                        if !said.iter().any(|line| line.starts_with("access-control-allow-origin")) {
                            said.clear();
                        }
                        if method == "OPTIONS" && asks.is_some() {
                            said.retain(|line| !line.starts_with("access-control-expose"));
                        }
                        (said, gateway.upstream().count())
                    };
                    let (ours, theirs) = (told(&ours), told(&native));
                    let_in += usize::from(!theirs.0.is_empty());
                    if ours != theirs {
                        different.push(format!(
                            "{method} {origin} {asks:?} {private}: sluice {ours:?}, cors {theirs:?}"
                        ));
                    }
                }
            }
        }
    }
    assert!(different.is_empty(), "{different:#?}");
    assert!(let_in > 30, "{let_in}");
}
