use super::*;
use serde_json::json;
use sluice_core::caller::identity::Identity;
use sluice_core::decision::compile::Compiler;
use sluice_core::decision::verdict::{Mutations, Verdict};
use sluice_core::http::header::HeaderValue;
use sluice_core::simulation::{Played, SimulatedHost, SimulatedRequest, Stand};
use std::time::Duration;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn stand(section: serde_json::Value) -> Stand {
    Stand::new::<FaultSection>("fault", section).unwrap_or_else(|problems| panic!("{problems}"))
}

fn problems(section: serde_json::Value) -> String {
    match Stand::new::<FaultSection>("fault", section) {
        Ok(_) => "none".to_owned(),
        Err(problems) => problems.to_string(),
    }
}

fn play(stand: &Stand, request: &SimulatedRequest) -> Played {
    let played = stand.play(request, &SimulatedHost::default());
    assert_eq!(played.mutations, Mutations::default(), "faults change no header");
    played
}

/// What happened, in short: the delay in milliseconds, the status.
fn outcome(played: &Played) -> (Option<u64>, Option<u16>) {
    let delay = (!played.paused.is_zero()).then_some(played.paused.as_millis() as u64);
    (delay, played.status())
}

#[test]
fn delay_and_abort_are_drawn_apart_and_the_abort_follows_the_delay() {
    let section = |delay: f64, abort: f64| {
        json!({ "rules": [{ "name": "chaos",
            "delay": { "fixed": "250ms", "percent": delay }, "abort": { "status": 418, "percent": abort } }] })
    };
    for (delay, abort, expected, decisions) in [
        (0.0, 0.0, (None, None), vec![]),
        (100.0, 0.0, (Some(250), None), vec!["fault.delayed.rule:chaos"]),
        (0.0, 100.0, (None, Some(418)), vec!["fault.aborted.rule:chaos"]),
        (100.0, 100.0, (Some(250), Some(418)), vec!["fault.delayed.rule:chaos", "fault.aborted.rule:chaos"]),
    ] {
        let played = play(&stand(section(delay, abort)), &SimulatedRequest::get("/"));
        assert_eq!(outcome(&played), expected, "{delay} {abort}");
        assert_eq!(played.decisions, decisions, "{delay} {abort}");
    }
}

#[test]
fn shares_are_kept_and_independent() {
    let stand = stand(json!({ "rules": [{ "name": "chaos",
        "delay": { "fixed": "5s", "percent": 30 }, "abort": { "status": 503, "percent": 10 } }] }));
    let environment = SimulatedHost::default();
    let (mut delayed, mut aborted, mut both) = (0, 0, 0);
    for _ in 0..20_000 {
        match outcome(&stand.play(&SimulatedRequest::get("/"), &environment)) {
            (Some(_), Some(_)) => both += 1,
            (Some(_), None) => delayed += 1,
            (None, Some(_)) => aborted += 1,
            (None, None) => {}
        }
    }
    // Expected 5400, 1400 and 600 of 20,000; the draws are the same in every run.
    assert!((5_150..=5_650).contains(&delayed), "{delayed}");
    assert!((1_250..=1_550).contains(&aborted), "{aborted}");
    assert!((500..=700).contains(&both), "{both}");
}

#[test]
fn a_small_share_takes_exactly_the_draws_below_it() {
    let stand =
        stand(json!({ "rules": [{ "name": "rare", "abort": { "status": 503, "percent": 0.0001 } }] }));
    let status =
        |draw| stand.play(&SimulatedRequest::get("/"), &SimulatedHost::default().with_random(draw)).status();
    assert_eq!(status(0), Some(503));
    assert_eq!(status(u64::MAX / 1_000_000), Some(503));
    assert_eq!(status(u64::MAX / 1_000_000 + 2), None);
    assert_eq!(status(u64::MAX), None);
}

#[test]
fn the_first_rule_that_matches_decides_even_for_nothing() {
    let tester = Identity { roles: vec!["tester".to_owned()], ..Identity::default() };
    let stand = stand(json!({ "rules": [
        { "name": "off", "match": { "paths": "/off" }, "abort": { "status": 500, "percent": 0 } },
        { "name": "asked", "match": { "headers": { "x-chaos": "abort" } }, "when": { "roles": "tester" },
          "abort": { "status": 503, "percent": 100 } },
        { "name": "slow", "match": { "paths": ["/slow", "/off"] }, "delay": { "fixed": "1s", "percent": 100 } }
    ] }));
    for (request, expected) in [
        (SimulatedRequest::get("/"), (None, None)),
        (SimulatedRequest::get("/off"), (None, None)),
        (SimulatedRequest::get("/slow"), (Some(1000), None)),
        (SimulatedRequest::get("/slow").header("x-chaos", "abort"), (Some(1000), None)),
        (
            SimulatedRequest::get("/slow").header("x-chaos", "abort").identity(tester.clone()),
            (None, Some(503)),
        ),
        (SimulatedRequest::get("/off").header("x-chaos", "abort").identity(tester), (None, None)),
    ] {
        assert_eq!(outcome(&play(&stand, &request)), expected, "{request:?}");
    }
}

#[test]
fn what_is_in_shadow_is_drawn_and_counted_and_harms_nobody() {
    let rule = |name: &str, shadow: bool| {
        json!({ "name": name, "shadow": shadow, "delay": { "fixed": "1s", "percent": 100 },
            "abort": { "status": 503, "percent": 100 } })
    };
    let both = ["fault.delayed.rule:a", "fault.aborted.rule:a"];
    for (section, expected, decisions) in [
        (json!({ "rules": [rule("a", true)] }), (None, None), both.to_vec()),
        (json!({ "shadow": true, "rules": [rule("a", false)] }), (None, None), both.to_vec()),
        (
            json!({ "rules": [rule("a", true), { "name": "b", "abort": { "status": 500, "percent": 100 } }] }),
            (None, Some(500)),
            [&both[..], &["fault.aborted.rule:b"]].concat(),
        ),
        (
            json!({ "rules": [{ "name": "a", "shadow": true, "abort": { "status": 503, "percent": 100 } }] }),
            (None, None),
            vec!["fault.aborted.rule:a"],
        ),
    ] {
        let played = play(&stand(section.clone()), &SimulatedRequest::get("/"));
        assert_eq!(outcome(&played), expected, "{section}");
        assert_eq!(played.decisions, decisions, "{section}");
    }
}

#[test]
fn an_answer_has_the_headers_that_its_status_asks_for() {
    let reply = |status: u16, headers: serde_json::Value| {
        let section = json!({ "rules": [{ "name": "a", "abort": { "status": status, "percent": 100, "headers": headers } }] });
        let challenges = vec![HeaderValue::new(b"Bearer").unwrap()];
        let compiler = Compiler { challenges, ..Compiler::default() };
        let stand = Stand::with_compiler::<FaultSection>("fault", section, compiler).unwrap();
        play(&stand, &SimulatedRequest::get("/"))
    };
    for (status, headers, name, expected) in [
        (503, json!({}), "retry-after", Some("1")),
        (429, json!({}), "retry-after", Some("1")),
        (503, json!({ "Retry-After": "7" }), "retry-after", Some("7")),
        (500, json!({}), "retry-after", None),
        (401, json!({}), "www-authenticate", Some("Bearer")),
        (401, json!({ "www-authenticate": "Basic" }), "www-authenticate", Some("Basic")),
        (403, json!({}), "www-authenticate", None),
        (405, json!({ "allow": "GET" }), "allow", Some("GET")),
    ] {
        let played = reply(status, headers.clone());
        assert_eq!(played.reply_header(name).as_deref(), expected, "{status} {headers}");
    }
}

#[test]
fn grpc_gets_the_status_that_is_named() {
    let grpc_status = |abort: serde_json::Value| {
        let stand = stand(json!({ "rules": [{ "name": "a", "abort": abort }] }));
        match play(&stand, &SimulatedRequest::get("/")).verdict {
            Verdict::Respond(reply) => reply.grpc_status,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(grpc_status(json!({ "status": 503, "percent": 100 })), None);
    assert_eq!(grpc_status(json!({ "status": 503, "percent": 100, "grpcStatus": 4 })), Some(4));
}

#[test]
fn delays_last_as_written() {
    for (fixed, expected) in [
        ("1ms", Duration::from_millis(1)),
        ("1500us", Duration::from_micros(1500)),
        ("5m", Duration::from_secs(300)),
    ] {
        let stand = stand(json!({ "rules": [{ "name": "a", "delay": { "fixed": fixed, "percent": 100 } }] }));
        let played = play(&stand, &SimulatedRequest::get("/"));
        assert_eq!((played.verdict, played.paused), (Verdict::Continue, expected));
    }
}

#[test]
fn what_is_wrong_with_a_section_is_told_by_its_field() {
    let rule = |fields: serde_json::Value| {
        let mut rule = json!({ "name": "a" });
        rule.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({ "rules": [rule] })
    };
    for (section, expected) in [
        (rule(json!({})), "fault.rules[0]: does nothing: it needs `delay`, `abort` or both"),
        (rule(json!({ "delay": { "fixed": "1s" } })), "fault.rules[0].delay: missing field `percent`"),
        (rule(json!({ "delay": { "percent": 1 } })), "fault.rules[0].delay: missing field `fixed`"),
        (
            rule(json!({ "delay": { "fixed": "6m", "percent": 1 } })),
            "fault.rules[0].delay.fixed: 6m is not a delay",
        ),
        (
            rule(json!({ "delay": { "fixed": "10us", "percent": 1 } })),
            "fault.rules[0].delay.fixed: 10us is not a delay",
        ),
        (rule(json!({ "delay": { "fixed": "soon", "percent": 1 } })), "is not a duration"),
        (rule(json!({ "abort": { "percent": 1 } })), "fault.rules[0].abort: missing field `status`"),
        (
            rule(json!({ "abort": { "status": 99, "percent": 1 } })),
            "fault.rules[0].abort.status: 99 is not a final status",
        ),
        (rule(json!({ "abort": { "status": 503, "percent": 101 } })), "101 is not a percentage"),
        (
            rule(json!({ "abort": { "status": 503, "percent": 1, "grpcStatus": 17 } })),
            "fault.rules[0].abort.grpcStatus: 17 is not the gRPC status of an error",
        ),
        (
            rule(json!({ "abort": { "status": 503, "percent": 1, "headers": { "content-length": "3" } } })),
            "fault.rules[0].abort.headers.content-length: `content-length` follows from the answer itself",
        ),
        (
            rule(json!({ "abort": { "status": 503, "percent": 1, "headers": { "x": "a\r\nb" } } })),
            "must hold no control character",
        ),
        (rule(json!({ "abrot": {} })), "did you mean `abort`?"),
        (
            json!({ "rules": [
                { "name": "a", "abort": { "status": 503, "percent": 1 } },
                { "name": "b", "match": { "paths": "/" }, "abort": { "status": 503, "percent": 1 } } ] }),
            "fault.rules[1]: `b` is never asked",
        ),
    ] {
        let found = problems(section.clone());
        assert!(found.contains(expected), "{section}\n{found}");
    }
}
