//! The same inputs to Sluice and to Envoy's native filters: any different decision fails.

use std::net::Ipv4Addr;

use serde_json::{Value, json};
use sluice_integration::tokens::{self, Algorithm, Token};
use sluice_integration::{Client, Gateway, Request, raw};

/// A native filter of Envoy.
fn native(name: &str, message: &str, mut config: Value) -> Value {
    config["@type"] = format!("type.googleapis.com/envoy.extensions.filters.http.{message}").into();
    json!({ "name": format!("envoy.filters.http.{name}"), "typed_config": config })
}

/// Tokens good and bad in every way in which the two might differ, each with what it is.
fn tokens_of_every_kind() -> Vec<(String, String)> {
    let mut corpus = Vec::new();
    let mut add = |what: String, token: String| corpus.push((what, token));
    for algorithm in Algorithm::ALL {
        let token = || Token::of("alice").signed_with(algorithm);
        let claims: [(&str, Value); 19] = [
            ("exp", Value::Null),
            ("exp", json!(tokens::now() - 30)),
            ("exp", json!(tokens::now() - 90)),
            ("exp", json!(tokens::now() + 5)),
            ("exp", json!("soon")),
            ("exp", json!(0)),
            ("nbf", json!(tokens::now() - 5)),
            ("nbf", json!(tokens::now() + 30)),
            ("nbf", json!(tokens::now() + 90)),
            ("nbf", json!("now")),
            ("iss", Value::Null),
            ("iss", json!("https://id.sluice.demo/")),
            ("iss", json!("")),
            ("aud", Value::Null),
            ("aud", json!("billing")),
            ("aud", json!(["billing", "orders"])),
            ("aud", json!(["billing"])),
            ("aud", json!([])),
            ("aud", json!("orders ")),
        ];
        add(format!("{algorithm:?}"), token().sign());
        for (name, value) in claims {
            add(format!("{algorithm:?} {name}={value}"), token().claim(name, value.clone()).sign());
        }
        let headers: [(&str, Value); 10] = [
            ("kid", json!("nobody")),
            ("kid", json!("demo-rs256")),
            ("kid", json!("")),
            ("alg", json!("none")),
            ("alg", json!("HS256")),
            ("alg", json!("RS256")),
            ("alg", json!("ES256")),
            ("alg", json!("es256")),
            ("alg", Value::Null),
            ("typ", json!("at+jwt")),
        ];
        for (name, value) in headers {
            add(format!("{algorithm:?} header {name}={value}"), token().header(name, value.clone()).sign());
        }
        let good = token().sign();
        let (input, signature) = good.rsplit_once('.').unwrap();
        add(format!("{algorithm:?} unsigned"), format!("{input}."));
        add(format!("{algorithm:?} zeros"), format!("{input}.{}", "A".repeat(signature.len())));
        add(format!("{algorithm:?} padded"), format!("{good}="));
        add(format!("{algorithm:?} short"), good[..good.len() - 8].to_owned());
        add(format!("{algorithm:?} long"), format!("{good}AAAA"));
        add(format!("{algorithm:?} four parts"), format!("{good}.AAAA"));
        add(
            format!("{algorithm:?} swapped"),
            format!(
                "{}.{signature}",
                Token::of("bob").signed_with(algorithm).sign().rsplit_once('.').unwrap().0
            ),
        );
    }
    add("confusion".to_owned(), tokens::algorithm_confusion("alice"));
    add("empty".to_owned(), String::new());
    add("dots".to_owned(), "..".to_owned());
    add("word".to_owned(), "token".to_owned());
    corpus
}

#[test]
fn tokens_are_judged_as_by_jwt_authn() {
    let policy = format!(
        r#"
version: 1
authn:
  providers: [{{ name: staff, jwt: {{ issuer: "{}", audiences: [orders], keys: {{ inline: {} }} }} }}]
"#,
        tokens::ISSUER,
        tokens::key_set(true)
    );
    let sluice = Gateway::with_policy(&policy);
    let envoy = Gateway::builder()
        .filter_before(native(
            "jwt_authn",
            "jwt_authn.v3.JwtAuthentication",
            json!({
                "providers": { "staff": {
                    "issuer": tokens::ISSUER,
                    "audiences": ["orders"],
                    "local_jwks": { "inline_string": tokens::key_set(true).to_string() },
                    "require_expiration": true,
                    "clock_skew_seconds": 60,
                } },
                "rules": [{ "match": { "prefix": "/" }, "requires": { "provider_name": "staff" } }],
            }),
        ))
        .start()
        .unwrap();
    // Where we are stricter, on purpose: an empty `kid` names no key of the set, and Base64url in a token has no padding (RFC 7515 §2).
    let stricter = |what: &str| what.ends_with("header kid=\"\"") || what.ends_with("padded");
    let mut different = Vec::new();
    for (what, token) in tokens_of_every_kind() {
        let request = Request::get("/a").bearer(&token);
        let (ours, native) = (sluice.send(request.clone()).status, envoy.send(request).status);
        // 401 and 403 are the same decision: jwt_authn says 403 of a wrong audience.
        let refused = |status: u16| matches!(status, 401 | 403);
        if !(ours == native || refused(ours) && refused(native) || refused(ours) && stricter(&what)) {
            different.push(format!("{what}: sluice {ours}, jwt_authn {native}"));
        }
    }
    assert!(different.is_empty(), "{different:#?}");
}

/// The same rules for Sluice and for two RBAC filters, one that denies and one that allows.
fn judges() -> (Gateway, Gateway) {
    let sluice = Gateway::with_policy(
        r#"
version: 1
client: { address: { peerHeader: x-sluice-peer } }
authz:
  default: deny
  rules:
    - { name: no-tea, deny: true, match: { headers: { x-drink: { contains: tea } } } }
    - { name: no-children, deny: true, match: { headers: { x-age: child } } }
    - { name: open, allow: true, match: { paths: [/open] } }
    - { name: tenant, allow: true, match: { paths: ["/orders/**"], methods: [GET, HEAD], headers: { x-tenant: [a, b] } } }
    - { name: prefix, allow: true, match: { hosts: [api.example], headers: { x-plan: { prefix: gold } } } }
    - { name: office, allow: true, match: { paths: ["/admin/**"], client: { cidrs: [127.0.0.2/32, 127.0.1.0/24] }, not: { methods: [DELETE] } } }
"#,
    );
    let header = |name: &str, matcher: Value| json!({ "header": { "name": name, "string_match": matcher } });
    let any_of = |rules: Value| json!({ "or_rules": { "rules": rules } });
    let all_of = |rules: Value| json!({ "and_rules": { "rules": rules } });
    let path = |matcher: Value| json!({ "url_path": { "path": matcher } });
    let anyone = json!([{ "any": true }]);
    let ip = |address: &str, length: u8| json!({ "direct_remote_ip": { "address_prefix": address, "prefix_len": length } });
    let rbac = |action: &str, policies: Value| {
        native("rbac", "rbac.v3.RBAC", json!({ "rules": { "action": action, "policies": policies } }))
    };
    let envoy = Gateway::builder()
        .filter_before(rbac(
            "DENY",
            json!({ "no-tea": { "principals": anyone, "permissions": [
                header("x-drink", json!({ "contains": "tea" })), header("x-age", json!({ "exact": "child" })),
            ] } }),
        ))
        .filter_before(rbac(
            "ALLOW",
            json!({
                "open": { "principals": anyone, "permissions": [path(json!({ "exact": "/open" }))] },
                "tenant": { "principals": anyone, "permissions": [all_of(json!([
                    path(json!({ "prefix": "/orders/" })),
                    any_of(json!([header(":method", json!({ "exact": "GET" })), header(":method", json!({ "exact": "HEAD" }))])),
                    any_of(json!([header("x-tenant", json!({ "exact": "a" })), header("x-tenant", json!({ "exact": "b" }))])),
                ]))] },
                "prefix": { "principals": anyone, "permissions": [all_of(json!([
                    header(":authority", json!({ "exact": "api.example" })), header("x-plan", json!({ "prefix": "gold" })),
                ]))] },
                "office": {
                    "principals": [ip("127.0.0.2", 32), ip("127.0.1.0", 24)],
                    "permissions": [all_of(json!([
                        path(json!({ "prefix": "/admin/" })),
                        { "not_rule": header(":method", json!({ "exact": "DELETE" })) },
                    ]))],
                },
            }),
        ))
        .start()
        .unwrap();
    (sluice, envoy)
}

#[test]
fn requests_are_judged_as_by_rbac() {
    let (sluice, envoy) = judges();
    let methods = ["GET", "POST", "DELETE"];
    let paths = [
        "/open",
        "/open/",
        "/open?x=/orders/1",
        "/orders/1",
        "/orders",
        "/orders/",
        "/orders/1?y",
        "/admin/x",
        "/ORDERS/1",
    ];
    let hosts = ["api.example", "other.example"];
    let headers: [&[(&str, &str)]; 9] = [
        &[],
        &[("x-tenant", "a")],
        &[("x-tenant", "A")],
        &[("x-tenant", "ab")],
        &[("x-tenant", "a,b")],
        &[("x-tenant", "a"), ("x-drink", "green tea")],
        &[("x-tenant", ""), ("x-plan", "golden")],
        &[("x-plan", "silver,gold")],
        &[("x-plan", "gold"), ("x-drink", "steak")],
    ];
    let sources = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 1, 9)];
    let clients = |port: u16| sources.map(|source| Client::from_address(source, port));
    let (ours, theirs) = (clients(sluice.port()), clients(envoy.port()));
    let (mut different, mut allowed, mut asked) = (Vec::new(), 0, 0);
    for (position, source) in sources.iter().enumerate() {
        for method in methods {
            for path in paths {
                for host in hosts {
                    for list in headers {
                        let mut request = Request::new(method, path).header("host", host);
                        for (name, value) in list {
                            request = request.header(name, value);
                        }
                        let status = |client: &Client| client.send(&request).unwrap().status;
                        let (ours, theirs) = (status(&ours[position]), status(&theirs[position]));
                        asked += 1;
                        allowed += usize::from(theirs == 200);
                        if ours != theirs {
                            different.push(format!(
                                "{source} {method} {host}{path} {list:?}: sluice {ours}, rbac {theirs}"
                            ));
                        }
                    }
                }
            }
        }
    }
    assert!(different.is_empty(), "{} of {asked}: {different:#?}", different.len());
    // The comparison means something only if both answers are frequent.
    assert!(allowed > asked / 20 && allowed < asked - asked / 20, "{allowed} of {asked} allowed");
}

/// Envoy 1.40 looks at each value by itself and takes a matcher to match if one value does. Anything else would let a second
/// header of the same name hide the first from a rule that denies.
#[test]
fn a_header_that_comes_twice_is_judged_as_by_rbac() {
    let (sluice, envoy) = judges();
    let lists: [&[(&str, &str)]; 8] = [
        &[("x-tenant", "a"), ("x-tenant", "b")],
        &[("x-tenant", "c"), ("x-tenant", "a")],
        &[("x-tenant", "c"), ("x-tenant", "d")],
        &[("x-plan", "silver"), ("x-plan", "gold")],
        &[("x-plan", "gold"), ("x-plan", "silver")],
        &[("x-plan", "gold"), ("x-drink", "coffee"), ("x-drink", "green tea")],
        &[("x-plan", "gold"), ("x-drink", "te"), ("x-drink", "a")],
        &[("x-plan", "gold"), ("x-age", "child"), ("x-age", "old")],
    ];
    let mut different = Vec::new();
    for list in lists {
        let mut request = Request::get("/orders/1").header("host", "api.example");
        for (name, value) in list {
            request = request.header(name, value);
        }
        let (ours, theirs) = (sluice.send(request.clone()).status, envoy.send(request).status);
        if ours != theirs {
            different.push(format!("{list:?}: sluice {ours}, rbac {theirs}"));
        }
    }
    assert!(different.is_empty(), "{different:#?}");
}

#[test]
fn a_burst_is_cut_off_where_local_ratelimit_cuts_it() {
    let sluice = Gateway::with_policy(
        "{version: 1, rateLimit: {rules: [{name: all, key: [client.address], limit: 10/h, burst: 10}]}}",
    );
    let envoy = Gateway::builder()
        .filter_before(native(
            "local_ratelimit",
            "local_ratelimit.v3.LocalRateLimit",
            json!({
                "stat_prefix": "limit",
                "token_bucket": { "max_tokens": 10, "tokens_per_fill": 10, "fill_interval": "3600s" },
                "filter_enabled": { "default_value": { "numerator": 100 } },
                "filter_enforced": { "default_value": { "numerator": 100 } },
            }),
        ))
        .start()
        .unwrap();
    let statuses = |gateway: &Gateway| (0..20).map(|_| gateway.get("/a").status).collect::<Vec<_>>();
    assert_eq!(statuses(&sluice), statuses(&envoy));
}

#[test]
fn odd_header_bytes_are_passed_on_as_without_a_filter() {
    let sluice =
        Gateway::with_policy("{version: 1, telemetry: {}, authz: {rules: [{name: all, allow: true}]}}");
    let bare = Gateway::builder().start().unwrap();
    for byte in 0..=255u8 {
        let value = [b'a', byte, b'b'];
        let bytes = raw::request("GET", b"/a", &[(b"x-odd", &value)], b"");
        let outcome = |gateway: &Gateway| {
            gateway.upstream().forget();
            let status = gateway.send_raw(&bytes).map_or(0, |answer| answer.status);
            let arrived: Vec<Vec<u8>> = gateway
                .upstream()
                .received()
                .iter()
                .flat_map(|request| {
                    request
                        .headers
                        .iter()
                        .filter(|(name, _)| name == "x-odd")
                        .map(|(_, value)| value.clone())
                        .collect::<Vec<_>>()
                })
                .collect();
            (status, arrived)
        };
        assert_eq!(outcome(&sluice), outcome(&bare), "byte {byte:#04x}");
    }
}
