mod bodies;
mod sections;

use super::*;
use serde_json::{Value, json};
use sluice_core::decision::verdict::Verdict;
use sluice_core::simulation::{Played, SimulatedHost, SimulatedRequest, Stand};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn stand(section: Value) -> Stand {
    Stand::new::<GuardSection>("guard", section).unwrap_or_else(|problems| panic!("{problems}"))
}

fn play(stand: &Stand, request: &SimulatedRequest) -> Played {
    stand.play(request, &SimulatedHost::default())
}

fn get(path: &str) -> SimulatedRequest {
    SimulatedRequest::get(path)
}

fn post(length: u64) -> SimulatedRequest {
    SimulatedRequest::new("POST", "/").header("content-length", length.to_string())
}

/// Status and reason of what came of a request.
fn outcome(section: Value, request: &SimulatedRequest) -> (Option<u16>, Vec<String>) {
    let played = play(&stand(section), request);
    (played.status(), played.decisions)
}

#[test]
fn each_limit_holds_to_the_last_unit() {
    let path = |length: usize| format!("/{}", "a".repeat(length - 1));
    let headers = |count: usize| (0..count).fold(get("/"), |request, _| request.header("x", "y"));
    let query = |count: usize| get(&format!("/?{}", vec!["a=1"; count].join("&")));
    let bytes = |count: usize| get("/").header("x", "y".repeat(count - 1));
    for (limits, fits, breaks, status, reason) in [
        (json!({ "uri": "9B" }), get(&path(9)), get(&path(10)), 414, "uri_too_long"),
        (json!({ "uri": "9B" }), get("/1?345789"), get("/1?3457890"), 414, "uri_too_long"),
        (json!({ "query": 3 }), query(3), query(4), 400, "too_many_parameters"),
        (json!({ "query": 0 }), get("/?"), get("/?a"), 400, "too_many_parameters"),
        (json!({ "headers": 7 }), headers(7), headers(8), 431, "too_many_headers"),
        (json!({ "headerBytes": "1KiB" }), bytes(1024), bytes(1025), 431, "headers_too_large"),
        (json!({ "body": "1MiB" }), post(1 << 20), post((1 << 20) + 1), 413, "body_too_large"),
        (json!({ "body": "0B" }), post(0), post(1), 413, "body_too_large"),
    ] {
        let section = json!({ "limits": limits });
        assert_eq!(outcome(section.clone(), &fits), (None, vec![]), "{limits}");
        let refused = (Some(status), vec![format!("guard.{reason}")]);
        assert_eq!(outcome(section, &breaks), refused, "{limits}");
    }
}

#[test]
fn a_method_that_is_not_listed_gets_the_list() {
    let section = json!({ "methods": ["GET", "HEAD"] });
    for (method, status) in [("GET", None), ("HEAD", None), ("POST", Some(405)), ("get", Some(405))] {
        let played = play(&stand(section.clone()), &SimulatedRequest::new(method, "/"));
        assert_eq!(played.status(), status, "{method}");
        assert_eq!(played.reply_header("allow"), status.map(|_| "GET, HEAD".to_owned()), "{method}");
    }
}

#[test]
fn content_of_another_kind_gets_the_kinds_that_are_taken() {
    let section = json!({ "contentTypes": ["application/json", "text/*"] });
    for (request, status) in [
        (get("/"), None),
        (post(0), None),
        (post(1), Some(415)),
        (post(1).header("content-type", "application/json; charset=utf-8"), None),
        (post(1).header("content-type", "text/csv"), None),
        (post(1).header("content-type", "application/xml"), Some(415)),
        (post(1).header("content-type", "text/csv").header("content-type", "image/png"), Some(415)),
        // What is said of no content must be allowed all the same: it may still come.
        (get("/").header("content-type", "application/xml"), Some(415)),
    ] {
        let played = play(&stand(section.clone()), &request);
        assert_eq!(played.status(), status, "{request:?}");
        let accept = status.map(|_| "application/json, text/*".to_owned());
        assert_eq!(played.reply_header("accept"), accept, "{request:?}");
    }
}

#[test]
fn the_first_required_header_that_is_missing_is_named() {
    let section = json!({ "requiredHeaders": ["X-Request-Id", "x-tenant"] });
    let named = |request: &SimulatedRequest| match play(&stand(section.clone()), request).verdict {
        Verdict::Respond(reply) => format!("{} {}", reply.status, reply.detail),
        other => format!("{other:?}"),
    };
    assert_eq!(named(&get("/").header("x-tenant", "a")), "400 The header `x-request-id` is missing.");
    assert_eq!(named(&get("/").header("x-request-id", "a")), "400 The header `x-tenant` is missing.");
    assert_eq!(named(&get("/").header("x-request-id", "a").header("x-tenant", "b")), "Continue");
}

#[test]
fn a_grpc_client_reads_what_was_wrong() {
    let section = json!({
        "limits": { "uri": "9B", "body": "9B", "headers": 3 },
        "methods": "POST", "contentTypes": "application/grpc",
    });
    let grpc = |method: &str, path: &str| {
        SimulatedRequest::new(method, path).header("content-type", "application/grpc")
    };
    for (request, status) in [
        (grpc("POST", "/a").header("content-length", "10"), 8),
        (grpc("POST", "/234567890"), 8),
        (grpc("POST", "/").header("a", "1").header("b", "1").header("c", "1"), 8),
        (grpc("GET", "/"), 3),
        (post(1).header("content-type", "application/grpc-web"), 3),
    ] {
        let Verdict::Respond(reply) = play(&stand(section.clone()), &request).verdict else {
            panic!("{request:?}")
        };
        assert_eq!(reply.grpc_status, Some(status), "{request:?}");
    }
}

#[test]
fn the_first_rule_that_matches_counts_and_the_section_says_the_rest() {
    let section = json!({
        "limits": { "uri": "20B", "body": "10B" },
        "methods": ["GET", "POST"],
        "rules": [
            { "name": "uploads", "match": { "paths": ["/uploads/**"] }, "limits": { "body": "100B" }, "methods": ["POST", "PUT"] },
            { "name": "streams", "match": { "paths": ["/streams/**"] }, "limits": { "body": "none" } },
            { "name": "tight", "match": { "headers": { "x-tight": { "present": true } } }, "limits": { "uri": "6B", "body": "1B" } },
        ],
    });
    let send = |method: &str, path: &str, length: u64| {
        SimulatedRequest::new(method, path).header("content-length", length.to_string())
    };
    for (request, refused) in [
        (send("POST", "/a", 10), None),
        (send("POST", "/a", 11), Some((413, "body_too_large"))),
        (send("PUT", "/a", 1), Some((405, "method_not_allowed"))),
        (send("PUT", "/uploads/a", 100), None),
        (send("PUT", "/uploads/a", 101), Some((413, "body_too_large.rule:uploads"))),
        (send("GET", "/uploads/a", 0), Some((405, "method_not_allowed.rule:uploads"))),
        (send("PUT", "/uploads/longer-than-this", 1), Some((414, "uri_too_long"))),
        (send("POST", "/streams/a", u64::MAX), None),
        (send("POST", "/long-path", 1).header("x-tight", "1"), Some((414, "uri_too_long.rule:tight"))),
        (send("POST", "/a", 2).header("x-tight", "1"), Some((413, "body_too_large.rule:tight"))),
        (send("POST", "/uploads/a", 2).header("x-tight", "1"), None),
    ] {
        let expected = match refused {
            None => (None, vec![]),
            Some((status, reason)) => (Some(status), vec![format!("guard.{reason}")]),
        };
        assert_eq!(outcome(section.clone(), &request), expected, "{request:?}");
    }
}

#[test]
fn a_rule_in_shadow_counts_all_that_it_would_refuse_and_the_next_decides() {
    let section = |section_shadow: bool| {
        json!({
            "limits": { "body": "10B" }, "shadow": section_shadow,
            "rules": [{ "name": "next", "shadow": true, "limits": { "uri": "1B", "body": "5B" }, "methods": "GET" }],
        })
    };
    let shadowed = [
        "guard.method_not_allowed.rule:next",
        "guard.uri_too_long.rule:next",
        "guard.body_too_large.rule:next",
    ];
    let request =
        |length: u64| SimulatedRequest::new("POST", "/a").header("content-length", length.to_string());
    assert_eq!(outcome(section(false), &request(10)), (None, shadowed.map(str::to_owned).to_vec()));
    let all = [shadowed.as_slice(), &["guard.body_too_large"]].concat();
    for (shadow, status) in [(false, Some(413)), (true, None)] {
        let found = outcome(section(shadow), &request(11));
        assert_eq!(found, (status, all.iter().map(|reason| (*reason).to_owned()).collect()));
    }
}

#[test]
fn an_explanation_tells_what_was_measured() {
    let section = json!({ "limits": { "uri": "1KiB" }, "rules": [
        { "name": "uploads", "match": { "paths": ["/uploads"] }, "limits": { "body": "9B" } },
    ] });
    let notes = |request: &SimulatedRequest| play(&stand(section.clone()), request).notes.join("\n");
    let other = notes(&get("/a?b=1").header("x", "yz"));
    assert!(
        other.contains(
            "path and query of 6 bytes, 1 parameters, 1 headers of 3 bytes, a body of no declared length"
        ),
        "{other}"
    );
    assert!(other.contains("rule `uploads`: path /a"), "{other}");
    let upload = notes(&SimulatedRequest::new("POST", "/uploads").header("content-length", "7"));
    assert!(
        upload.contains("a body of 7 bytes, as declared")
            && upload.contains("rule `uploads` matches")
            && upload.contains("its body may have 9 bytes and is counted as it comes"),
        "{upload}"
    );
}
