use super::*;
use serde_json::json;
use sluice_core::decision::verdict::Verdict;
use sluice_core::decision::wait::{Answer, Call, CallFailure, HttpAnswer};
use sluice_core::http::header_map::HeaderMap;
use sluice_core::simulation::{Played, SimulatedHost, SimulatedRequest, Stand};
use std::time::Duration;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn overview() -> serde_json::Value {
    json!({ "rules": [{
        "name": "overview", "match": { "paths": ["/overview/{id}"] }, "within": "800ms",
        "parts": {
            "order": { "cluster": "orders", "path": "/orders/{path.id}?user={query.user}", "authority": "orders.shop" },
            "stock": { "cluster": "inventory", "path": "/inventory/{path.id}", "optional": true }
        },
        "forward": ["x-user", "traceparent"]
    }] })
}

fn stand(section: serde_json::Value) -> Stand {
    Stand::new::<ComposeSection>("compose", section).unwrap_or_else(|problems| panic!("{problems}"))
}

fn http(status: u16, body: &str) -> Answer {
    Answer::Http(HttpAnswer { status, headers: HeaderMap::default(), body: body.as_bytes().to_vec() })
}

fn play(request: &SimulatedRequest, order: fn() -> Answer, stock: fn() -> Answer) -> Played {
    stand(overview()).play_with(request, &SimulatedHost::default(), |call| match call.cluster() {
        "orders" => order(),
        _ => stock(),
    })
}

fn get() -> SimulatedRequest {
    SimulatedRequest::get("/overview/7?user=a%26b")
}

fn body(played: &Played) -> String {
    let Verdict::Respond(reply) = &played.verdict else { panic!("{:?}", played.verdict) };
    String::from_utf8(reply.content.as_ref().unwrap().body.clone()).unwrap()
}

#[test]
fn the_parts_are_called_at_once_and_become_members_as_they_stand() {
    let request =
        get().header("x-user", "alice").header("traceparent", "00-1-2-01").header("cookie", "secret");
    let played = play(
        &request,
        || http(200, "  {\"id\": 12345678901234567890123, \"id\": 1.0}\n"),
        || http(203, "[3,\"é\"]"),
    );
    assert_eq!(
        body(&played),
        "{\"order\":{\"id\": 12345678901234567890123, \"id\": 1.0},\"stock\":[3,\"é\"]}"
    );
    assert_eq!(played.status(), Some(200));
    assert_eq!(played.decisions, ["compose.composed.rule:overview"]);
    assert_eq!(played.reply_header("cache-control").as_deref(), Some("no-store"));
    let calls: Vec<_> = played
        .calls
        .iter()
        .map(|call| match call {
            Call::Http(call) => call,
            Call::Grpc(_) => panic!("{call}"),
        })
        .collect();
    let lines: Vec<_> = calls.iter().map(|call| (&*call.authority, &*call.path, call.timeout)).collect();
    let within = Duration::from_millis(800);
    assert_eq!(
        lines,
        [("orders.shop", "/orders/7?user=a%26b", within), ("inventory", "/inventory/7", within)]
    );
    let names: Vec<_> = calls[0].headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["accept", "x-user", "traceparent"], "nothing else of the client's");
}

#[test]
fn what_fails_decides_the_answer_unless_it_is_optional() {
    let fine = || http(200, "1");
    for (order, stock, status, reason) in [
        (fine as fn() -> Answer, (|| http(500, "1")) as fn() -> Answer, 200, "composed"),
        (fine, || Answer::Failed(CallFailure::TimedOut), 200, "composed"),
        (|| Answer::Failed(CallFailure::TimedOut), fine, 504, "part_timed_out"),
        (|| Answer::Failed(CallFailure::Unreachable), fine, 502, "part_failed"),
        (|| Answer::Failed(CallFailure::NotTried), fine, 503, "part_not_tried"),
        (|| http(404, "{}"), fine, 404, "part_refused"),
        (|| http(401, "{}"), fine, 502, "part_failed"),
        (|| http(302, "{}"), fine, 502, "part_failed"),
        (|| http(200, "<html>"), fine, 502, "part_failed"),
        (|| http(200, "{\"a\":1} x"), fine, 502, "part_failed"),
        (|| http(200, ""), fine, 502, "part_failed"),
    ] {
        let played = play(&get(), order, stock);
        assert_eq!(played.status(), Some(status), "{reason}");
        assert_eq!(played.decisions, [format!("compose.{reason}.rule:overview")]);
    }
    assert_eq!(body(&play(&get(), fine, || http(200, "no"))), "{\"order\":1,\"stock\":null}");
}

#[test]
fn text_that_is_not_utf8_is_no_json() {
    let broken = || {
        Answer::Http(HttpAnswer { status: 200, headers: HeaderMap::default(), body: b"\"\xff\"".to_vec() })
    };
    assert_eq!(play(&get(), broken, || http(200, "1")).status(), Some(502));
}

#[test]
fn only_get_and_head_of_the_rules_path_are_composed() {
    for request in [
        SimulatedRequest::new("POST", "/overview/7?user=a"),
        SimulatedRequest::get("/overview"),
        SimulatedRequest::get("/overview/7/x?user=a"),
    ] {
        let played = play(&request, || http(200, "1"), || http(200, "1"));
        assert_eq!((played.status(), played.calls.len()), (None, 0), "{request:?}");
    }
    let head = SimulatedRequest::new("HEAD", "/overview/7?user=a");
    assert_eq!(play(&head, || http(200, "1"), || http(200, "1")).status(), Some(200));
}

#[test]
fn a_value_that_is_missing_is_the_clients_mistake() {
    let played = play(&SimulatedRequest::get("/overview/7"), || http(200, "1"), || http(200, "1"));
    assert_eq!(played.status(), Some(400));
    assert!(played.calls.is_empty());
}

#[test]
fn what_is_wrong_with_a_section_is_told_by_its_field() {
    let rule = |change: fn(&mut serde_json::Value)| {
        let mut section = overview();
        change(&mut section["rules"][0]);
        match Stand::new::<ComposeSection>("compose", section) {
            Ok(_) => "none".to_owned(),
            Err(problems) => problems.to_string(),
        }
    };
    for (change, expected) in [
        (
            (|rule| rule["within"] = json!("2m")) as fn(&mut serde_json::Value),
            "rules[0].within: 2m is not a time",
        ),
        (|rule| rule["parts"] = json!({}), "rules[0].parts: 0 parts"),
        (
            |rule| rule["parts"]["order"]["path"] = json!("orders"),
            "parts.order.path: \"orders\" is not a path",
        ),
        (
            |rule| rule["parts"]["order"]["path"] = json!("/{path.nr}"),
            "`nr` is not a `{name}` in `match.paths`",
        ),
        (|rule| rule["parts"]["order"]["path"] = json!("/{path.id"), "a brace without its other"),
        (|rule| rule["parts"]["order"]["cluster"] = json!(""), "parts.order.cluster: empty"),
        (|rule| rule["forward"] = json!(["Content-Length"]), "forward[0]: `content-length` follows"),
        (|rule| rule["part"] = json!({}), "did you mean `parts`?"),
    ] {
        let found = rule(change);
        assert!(found.contains(expected), "{expected}\n{found}");
    }
}
