//! What a browser is told.

use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn section() -> Value {
    json!({ "cors": [
        { "name": "spa", "match": { "paths": ["/app/**"] }, "origins": ["https://app.example.com", "https://*.example.org"],
          "methods": ["GET", "PUT"], "headers": ["authorization", "content-type"], "exposeHeaders": ["x-total", "etag"],
          "credentials": true, "maxAge": "10m" },
        { "name": "strict", "match": { "paths": ["/strict/**"] }, "origins": "https://app.example.com", "otherOrigins": "refuse" },
        { "name": "private", "match": { "paths": ["/private/**"] }, "origins": "https://app.example.com", "methods": "*", "headers": "*", "privateNetwork": true },
        { "name": "public", "match": { "paths": ["/public/**"] }, "origins": "*", "exposeHeaders": "*" }
    ] })
}

fn preflight(path: &str, origin: &str) -> SimulatedRequest {
    SimulatedRequest::new("OPTIONS", path)
        .header("origin", origin)
        .header("access-control-request-method", "PUT")
}

const VARY: &str = "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

#[test]
fn a_preflight_is_answered_with_what_pages_may_send() {
    let (stand, host) = (stand(section()), SimulatedHost::default());
    let cases: [(&str, SimulatedRequest, &[&str]); 4] = [
        (
            "a listed origin",
            preflight("/app/a", "https://app.example.com"),
            &[
                "access-control-allow-credentials: true",
                "access-control-allow-headers: authorization, content-type",
                "access-control-allow-methods: GET, PUT",
                "access-control-allow-origin: https://app.example.com",
                "access-control-max-age: 600",
                VARY,
            ],
        ),
        (
            "whatever is asked for, on a private network",
            preflight("/private/a", "https://app.example.com")
                .header("access-control-request-headers", "authorization,x-trace")
                .header("access-control-request-private-network", "true"),
            &[
                "access-control-allow-headers: authorization,x-trace",
                "access-control-allow-methods: PUT",
                "access-control-allow-origin: https://app.example.com",
                "access-control-allow-private-network: true",
                VARY,
            ],
        ),
        (
            "what is asked for is no list of names",
            preflight("/private/a", "https://app.example.com")
                .header("access-control-request-headers", "a b"),
            &[
                "access-control-allow-methods: PUT",
                "access-control-allow-origin: https://app.example.com",
                VARY,
            ],
        ),
        ("every origin", preflight("/public/a", "null"), &["access-control-allow-origin: *", VARY]),
    ];
    for (what, request, expected) in cases {
        let mut played = stand.play(&request, &host);
        assert_eq!(played.status(), Some(204), "{what}");
        assert_eq!(played.respond(&host, 200, &[]), expected, "{what}");
    }
}

#[test]
fn a_preflight_of_another_origin_is_refused() {
    let (stand, host) = (stand(section()), SimulatedHost::default());
    for request in [
        preflight("/app/a", "https://evil.example"),
        preflight("/app/a", "null"),
        preflight("/app/a", "https://app.example.com").header("origin", "https://evil.example"),
    ] {
        let mut played = stand.play(&request, &host);
        assert_eq!(played.status(), Some(403));
        assert_eq!(played.decisions, ["api.origin_denied.rule:spa"]);
        assert_eq!(played.respond(&host, 200, &[]), [VARY]);
    }
}

#[test]
fn what_is_no_preflight_goes_to_the_service() {
    let (stand, host) = (stand(section()), SimulatedHost::default());
    for request in [
        SimulatedRequest::new("OPTIONS", "/app/a"),
        SimulatedRequest::new("OPTIONS", "/app/a").header("origin", "https://app.example.com"),
        SimulatedRequest::new("OPTIONS", "/app/a").header("access-control-request-method", "PUT"),
        SimulatedRequest::new("PUT", "/app/a").header("origin", "https://app.example.com"),
        preflight("/elsewhere", "https://evil.example"),
    ] {
        assert_eq!(stand.play(&request, &host).status(), None, "{request:?}");
    }
}

#[test]
fn a_response_says_who_may_read_it_in_place_of_what_the_service_said() {
    let (stand, host) = (stand(section()), SimulatedHost::default());
    let services = [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
        ("vary", "Accept-Encoding"),
        ("etag", "1"),
    ];
    let cases: [(&str, Option<&str>, &[&str]); 5] = [
        (
            "/app/a",
            Some("https://a.b.example.org"),
            &[
                "access-control-allow-credentials: true",
                "access-control-allow-origin: https://a.b.example.org",
                "access-control-expose-headers: x-total, etag",
                "etag: 1",
                "vary: Accept-Encoding",
                "vary: Origin",
            ],
        ),
        ("/app/a", Some("https://evil.example"), &["etag: 1", "vary: Accept-Encoding", "vary: Origin"]),
        ("/app/a", None, &["etag: 1", "vary: Accept-Encoding", "vary: Origin"]),
        (
            "/public/a",
            Some("https://evil.example"),
            &[
                "access-control-allow-origin: *",
                "access-control-expose-headers: *",
                "etag: 1",
                "vary: Accept-Encoding",
            ],
        ),
        (
            "/elsewhere",
            Some("https://evil.example"),
            &[
                "access-control-allow-credentials: true",
                "access-control-allow-origin: *",
                "etag: 1",
                "vary: Accept-Encoding",
            ],
        ),
    ];
    for (path, origin, expected) in cases {
        let mut request = SimulatedRequest::get(path);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let mut played = stand.play(&request, &host);
        assert_eq!(played.status(), None);
        assert_eq!(played.respond(&host, 200, &services), expected, "{path} {origin:?}");
    }
}

#[test]
fn vary_is_not_said_twice() {
    let (stand, host) = (stand(section()), SimulatedHost::default());
    for vary in ["origin", "Accept, Origin", "*"] {
        let mut played = stand.play(&SimulatedRequest::get("/app/a"), &host);
        assert_eq!(played.respond(&host, 200, &[("vary", vary)]), [format!("vary: {vary}")]);
    }
}

#[test]
fn other_origins_pass_or_are_refused_as_the_rule_says_but_never_the_services_own() {
    let (stand, host) = (stand(section()), SimulatedHost::default());
    for (path, origin, status, decisions) in [
        ("/app/a", "https://evil.example", None, vec!["api.other_origin.rule:spa"]),
        ("/app/a", "https://app.example.com", None, vec![]),
        ("/strict/a", "https://evil.example", Some(403), vec!["api.origin_denied.rule:strict"]),
        ("/strict/a", "null", Some(403), vec!["api.origin_denied.rule:strict"]),
        ("/strict/a", "https://app.example.com", None, vec![]),
        ("/strict/a", "https://api.example.com", None, vec!["api.other_origin.rule:strict"]),
        (
            "/strict/a",
            "https://api.example.com.evil.example",
            Some(403),
            vec!["api.origin_denied.rule:strict"],
        ),
    ] {
        let played = stand.play(&SimulatedRequest::new("POST", path).header("origin", origin), &host);
        assert_eq!(
            (played.status(), played.decisions),
            (status, decisions.iter().map(ToString::to_string).collect()),
            "{path} {origin}"
        );
    }
}

#[test]
fn in_shadow_nothing_is_answered_and_nothing_said() {
    let (host, mut section) = (SimulatedHost::default(), section());
    section["shadow"] = json!(true);
    let stand = stand(section);
    for (request, decision) in [
        (preflight("/app/a", "https://app.example.com"), "api.preflight.rule:spa"),
        (preflight("/app/a", "https://evil.example"), "api.origin_denied.rule:spa"),
        (
            SimulatedRequest::get("/strict/a").header("origin", "https://evil.example"),
            "api.origin_denied.rule:strict",
        ),
    ] {
        let played = stand.play(&request, &host);
        assert_eq!(played.status(), None);
        assert_eq!(played.decisions, [decision]);
        assert!(played.follow_ups.is_empty());
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever a client sends as its origin, none but the listed ones is ever let in.
        #[test]
        fn an_origin_is_let_in_only_if_it_is_listed(origin in "(https?://)?[a-z.:/@#]{0,12}(app)?[.]?example[.](com|org)[a-z.:/0-9]{0,6}") {
            let host = SimulatedHost::default();
            let mut played = stand(section()).play(&SimulatedRequest::get("/app/a").header("origin", &origin), &host);
            let said = played.respond(&host, 200, &[]);
            let let_in = said.iter().any(|line| line.starts_with("access-control-allow-origin"));
            let below = origin
                .strip_prefix("https://")
                .and_then(|rest| rest.strip_suffix(".example.org"))
                .is_some_and(|labels| labels.split('.').all(|label| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric())));
            prop_assert_eq!(let_in, origin == "https://app.example.com" || below, "{}", origin);
        }
    }
}
