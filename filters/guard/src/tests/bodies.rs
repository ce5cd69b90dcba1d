//! Bodies that are counted while they pass.

use super::*;
use sluice_core::decision::follow_up::{Aftermath, BodyPart, BodyVerdict, FollowUp, Phase, Phases};
use sluice_core::decision::response::Response;
use sluice_core::http::header_map::HeaderMap;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// What became of a body that came in parts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sent {
    /// The status of the answer, if there was one.
    status: Option<u16>,
    /// How many bytes reached the service.
    passed: usize,
    /// The decisions that were only counted.
    decisions: Vec<String>,
}

/// Sends a body in parts of these sizes.
fn send(stand: &Stand, follow_ups: &mut [Box<dyn FollowUp>], sizes: &[usize]) -> Sent {
    let host = SimulatedHost::default();
    let mut sent = Sent::default();
    for (position, size) in sizes.iter().enumerate() {
        let part = BodyPart { size: *size, last: position + 1 == sizes.len() };
        let mut aftermath = Aftermath::new(&host);
        for follow_up in follow_ups.iter_mut() {
            if let BodyVerdict::Respond(reply) = follow_up.on_request_body(part, &mut aftermath) {
                sent.status = Some(reply.status);
            }
        }
        sent.decisions.extend(aftermath.finish().0.into_iter().map(|id| stand.reason(id)));
        if sent.status.is_some() {
            break;
        }
        sent.passed += size;
    }
    sent
}

/// A request that lets its body come, and what came of that.
fn play_body(section: &Value, request: &SimulatedRequest, sizes: &[usize]) -> Sent {
    let stand = stand(section.clone());
    let mut played = play(&stand, request);
    assert_eq!(played.verdict, Verdict::Continue, "{request:?}");
    send(&stand, &mut played.follow_ups, sizes)
}

fn respond(follow_ups: &mut [Box<dyn FollowUp>], status: u16) {
    let (host, headers) = (SimulatedHost::default(), HeaderMap::default());
    for follow_up in follow_ups.iter_mut().filter(|one| one.phases().has(Phase::Response)) {
        follow_up.on_response(&mut Response::new(status, &headers), &mut Aftermath::new(&host));
    }
}

fn streamed() -> SimulatedRequest {
    SimulatedRequest::new("POST", "/")
}

#[test]
fn the_byte_above_the_limit_is_answered_and_its_part_does_not_pass() {
    let section = json!({ "limits": { "body": "10B" } });
    for (sizes, status, passed) in [
        (vec![], None, 0),
        (vec![0], None, 0),
        (vec![10], None, 10),
        (vec![11], Some(413), 0),
        (vec![5, 5, 0], None, 10),
        (vec![5, 5, 1], Some(413), 10),
        (vec![9, 2], Some(413), 9),
        (vec![usize::MAX, usize::MAX], Some(413), 0),
    ] {
        let sent = play_body(&section, &streamed(), &sizes);
        assert_eq!(sent, Sent { status, passed, decisions: vec![] }, "{sizes:?}");
    }
}

#[test]
fn a_declared_length_is_not_believed() {
    let section = json!({ "limits": { "body": "10B" } });
    let lying = SimulatedRequest::new("POST", "/").header("content-length", "3");
    assert_eq!(play_body(&section, &lying, &[3, 8]).status, Some(413));
    let unreadable = SimulatedRequest::new("POST", "/").header("content-length", "3, 3");
    assert_eq!(play_body(&section, &unreadable, &[11]).status, Some(413));
}

#[test]
fn the_body_of_any_method_is_counted() {
    let section = json!({ "limits": { "body": "10B" } });
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "BREW"] {
        assert_eq!(
            play_body(&section, &SimulatedRequest::new(method, "/"), &[11]).status,
            Some(413),
            "{method}"
        );
    }
}

#[test]
fn what_has_no_body_leaves_nothing_behind() {
    for section in [
        json!({ "limits": { "uri": "1KiB", "headers": 50 }, "methods": "POST" }),
        json!({ "limits": { "body": "10B" }, "contentTypes": "text/*" }),
    ] {
        let request = SimulatedRequest::new("POST", "/").header("content-length", "0");
        assert!(play(&stand(section.clone()), &request).follow_ups.is_empty(), "{section}");
    }
    let without_limit =
        json!({ "limits": { "body": "1B" }, "rules": [{ "name": "all", "limits": { "body": "none" } }] });
    assert!(play(&stand(without_limit), &streamed()).follow_ups.is_empty());
}

#[test]
fn content_without_a_type_is_refused_when_it_comes() {
    let section = json!({ "contentTypes": "application/json" });
    assert_eq!(play_body(&section, &streamed(), &[0, 0]).status, None, "no content, no type");
    assert_eq!(play_body(&section, &streamed(), &[0, 1]).status, Some(415));
    let typed = streamed().header("content-type", "application/json");
    assert_eq!(play_body(&section, &typed, &[1, 1]).status, None);
}

#[test]
fn shadow_counts_once_and_lets_pass() {
    let section = json!({
        "limits": { "body": "20B" },
        "rules": [{ "name": "next", "shadow": true, "limits": { "body": "10B" } }],
    });
    let counted = vec!["guard.body_too_large.rule:next".to_owned()];
    for (sizes, status, passed, decisions) in [
        (vec![10], None, 10, vec![]),
        (vec![10, 1, 9], None, 20, counted.clone()),
        (vec![10, 1, 9, 1], Some(413), 20, counted.clone()),
        (vec![21], Some(413), 0, counted.clone()),
    ] {
        assert_eq!(play_body(&section, &streamed(), &sizes), Sent { status, passed, decisions }, "{sizes:?}");
    }
    // What was declared has been counted already.
    let declared = SimulatedRequest::new("POST", "/").header("content-length", "11");
    assert_eq!(play_body(&section, &declared, &[11]).decisions, Vec::<String>::new());
}

#[test]
fn a_tunnel_has_no_body_once_the_service_has_agreed_to_it() {
    let stand = stand(json!({ "limits": { "body": "10B" }, "contentTypes": "application/json" }));
    let upgrade = |method: &str| {
        SimulatedRequest::new(method, "/").header("upgrade", "websocket").header("connection", "upgrade")
    };
    for (request, response, lifted) in [
        (upgrade("GET"), 101, true),
        (upgrade("POST"), 101, true),
        (upgrade("GET"), 200, false),
        (upgrade("GET"), 426, false),
        (SimulatedRequest::new("CONNECT", "/"), 200, true),
        (SimulatedRequest::new("CONNECT", "/"), 502, false),
    ] {
        let mut played = play(&stand, &request.clone().header("content-type", "application/json"));
        assert_eq!(send(&stand, &mut played.follow_ups, &[10]).status, None, "{request:?}");
        respond(&mut played.follow_ups, response);
        let sent = send(&stand, &mut played.follow_ups, &[1000]);
        assert_eq!(sent.status.is_none(), lifted, "{request:?} {response}");
    }
    // Nobody who asks for none is told of the response.
    let phases = play(&stand, &streamed()).follow_ups[0].phases();
    assert_eq!(phases, Phases::of(&[Phase::RequestBody]));
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However a body is cut, the same is decided, and no more than the limit passes.
        #[test]
        fn any_chunking_of_a_body_gives_the_same_decision(
            limit in 0_usize..200,
            sizes in proptest::collection::vec(0_usize..60, 0..12),
            shadow in 0_usize..200,
        ) {
            let section = json!({
                "limits": { "body": format!("{limit}B") },
                "rules": [{ "name": "next", "shadow": true, "limits": { "body": format!("{shadow}B") } }],
            });
            let total: usize = sizes.iter().sum();
            let (parts, whole) = (play_body(&section, &streamed(), &sizes), play_body(&section, &streamed(), &[total]));
            prop_assert_eq!(parts.status, (total > limit).then_some(413));
            prop_assert_eq!(whole.status, parts.status);
            prop_assert!(parts.passed <= limit);
            // A shadowed limit below the enforced one is always met first.
            if shadow <= limit || total <= limit {
                prop_assert_eq!(&parts.decisions, &whole.decisions);
                prop_assert_eq!(parts.decisions.len(), usize::from(total > shadow));
            }
        }

        /// What is declared truthfully is decided as what is counted.
        #[test]
        fn a_declared_body_is_decided_as_a_counted_one(limit in 0_u64..50, length in 0_u64..100) {
            let stand = stand(json!({ "limits": { "body": format!("{limit}B") } }));
            let declared = play(&stand, &post(length)).status();
            let mut played = play(&stand, &streamed());
            let counted = send(&stand, &mut played.follow_ups, &[length as usize]).status;
            prop_assert_eq!(declared, counted);
        }
    }
}
