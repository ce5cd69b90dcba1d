//! The service is slow, away, wrong, or knows nothing of us.

use super::*;
use crate::fleet::message::{DescriptorStatus, OK, RateLimitResponse};
use sluice_core::decision::wait::{Answer, CallFailure};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn failing(stand: &Stand, host: &SimulatedHost, answer: impl Fn() -> Answer) -> Played {
    stand.play_with(&acme(), host, |_| answer())
}

fn unlimited() -> Answer {
    let status = DescriptorStatus { code: OK, ..DescriptorStatus::default() };
    Answer::Grpc(RateLimitResponse { overall_code: OK, statuses: vec![status] }.encode_to_vec())
}

#[test]
fn the_proxys_share_stands_in_whatever_is_wrong_and_says_what() {
    type Case = (fn() -> Answer, &'static str);
    let cases: [Case; 9] = [
        (|| Answer::Failed(CallFailure::TimedOut), "service_timed_out"),
        (|| Answer::Failed(CallFailure::Unreachable), "service_unreachable"),
        (|| Answer::Failed(CallFailure::Refused), "service_refused"),
        (|| Answer::Failed(CallFailure::NotTried), "service_not_tried"),
        (|| Answer::Failed(CallFailure::TooLarge), "service_answer_too_large"),
        (|| Answer::Failed(CallFailure::GrpcStatus(2)), "service_grpc_error"),
        (|| Answer::Grpc(b"<html>".to_vec()), "service_unreadable"),
        (|| Answer::Grpc(Vec::new()), "service_unreadable"),
        (unlimited, "service_without_limit"),
    ];
    for (answer, reason) in cases {
        // Of 5/min for two proxies, one gives 2 at once, and one in 24 s.
        let (stand, host) = (rules(json!([fleet(json!({}))])), host());
        let failed = format!("rate_limit.{reason}.rule:a");
        let first = failing(&stand, &host, answer);
        assert_eq!((first.status(), first.decisions.as_slice()), (None, &[failed.clone()][..]), "{reason}");
        assert_eq!(header(&first, "ratelimit-policy").as_deref(), Some("\"a\";q=2;w=60"));
        assert_eq!(failing(&stand, &host, answer).status(), None);
        let over = failing(&stand, &host, answer);
        assert_eq!(over.status(), Some(429));
        assert_eq!(over.decisions, [failed, "rate_limit.share_exceeded.rule:a".to_owned()]);
        assert_eq!(over.reply_header("retry-after").as_deref(), Some("24"));
        // Each request asks: the circuit is what spares the service.
        assert_eq!(over.calls.len(), 1);
        host.advance(Duration::from_secs(24));
        assert_eq!(failing(&stand, &host, answer).status(), None);
    }
}

#[test]
fn who_prefers_it_lets_all_through_or_none() {
    let service =
        |on_failure: &str| json!({ "service": { "cluster": "ratelimit", "onFailure": on_failure } });
    let failed = "rate_limit.service_timed_out.rule:a".to_owned();
    let slow = || Answer::Failed(CallFailure::TimedOut);
    let (stand, host) = (rules(json!([fleet(service("allow"))])), host());
    for _ in 0..20 {
        let played = failing(&stand, &host, slow);
        assert_eq!((played.status(), played.decisions), (None, vec![failed.clone()]));
    }
    let unavailable = "rate_limit.unavailable.rule:a".to_owned();
    let stand = rules(json!([fleet(service("deny"))]));
    let played = failing(&stand, &host, slow);
    assert_eq!((played.status(), played.reply_header("retry-after").as_deref()), (Some(503), Some("1")));
    assert_eq!(played.decisions, [failed.clone(), unavailable.clone()]);
    // In shadow nobody is refused.
    let mut shadowed = fleet(service("deny"));
    shadowed["shadow"] = json!(true);
    let played = failing(&rules(json!([shadowed])), &host, slow);
    assert_eq!((played.status(), played.decisions), (None, vec![failed, unavailable]));
}

#[test]
fn one_service_of_two_may_fail() {
    let dead = json!({ "cluster": "dead", "expectedProxies": 2 });
    let stand = rules(json!([
        fleet(json!({ "limit": "3/min" })),
        fleet(json!({ "name": "b", "limit": "4/min", "service": dead })),
    ]));
    let (host, mut service) = (host(), SimulatedService::default());
    let mut play = || {
        stand.play_with(&acme(), &host, |call| match call.cluster() {
            "dead" => Answer::Failed(CallFailure::Unreachable),
            _ => service.answer(grpc(call), host.now()),
        })
    };
    let statuses: Vec<_> = (0..3).map(|_| play().status()).collect();
    assert_eq!(statuses, [None, None, Some(429)], "the share of b is 2");
    let over = play();
    assert!(over.decisions.contains(&"rate_limit.exceeded.rule:a".to_owned()), "{:?}", over.decisions);
}

#[test]
fn a_service_that_knows_one_descriptor_of_two_decides_about_that_one() {
    let stand = rules(json!([fleet(json!({})), fleet(json!({ "name": "b" }))]));
    let (host, mut service) = (host(), SimulatedService::default());
    let played = stand.play_with(&acme(), &host, |call| {
        let Answer::Grpc(message) = service.answer(grpc(call), host.now()) else { panic!("no answer") };
        let mut response = RateLimitResponse::decode(message.as_slice()).unwrap();
        response.statuses[1].current_limit = None;
        Answer::Grpc(response.encode_to_vec())
    });
    assert_eq!(played.decisions, ["rate_limit.service_without_limit.rule:b"]);
    assert_eq!(header(&played, "ratelimit").as_deref(), Some("\"b\";r=1;t=24"), "of its share");
}

#[test]
fn without_shared_memory_the_share_is_each_workers() {
    let (stand, host) = (rules(json!([fleet(json!({}))])), host().without_shared_memory());
    let away = || Answer::Failed(CallFailure::Unreachable);
    let statuses: Vec<_> = (0..3).map(|_| failing(&stand, &host, away).status()).collect();
    assert_eq!(statuses, [None, None, Some(429)]);
}

#[test]
fn a_share_is_never_less_than_one_request() {
    for (limit, proxies, cost, at_once, policy) in [
        ("100/s", 4, 1, 25, "\"a\";q=25;w=1"),
        ("10/s", 4, 1, 2, "\"a\";q=2;w=1"),
        ("2/s", 8, 1, 1, "\"a\";q=1;w=4"),
        ("10/min", 20, 1, 1, "\"a\";q=1;w=120"),
        ("10/min", 5, 4, 1, "\"a\";q=2;w=60;sluice-burst=4"),
        ("10000/month", 10, 1, 1_000, "\"a\";q=1000;w=2592000"),
    ] {
        let service = json!({ "cluster": "r", "expectedProxies": proxies });
        let change = json!({ "limit": limit, "cost": cost, "service": service });
        let (stand, host) = (rules(json!([fleet(change)])), host());
        let away = || Answer::Failed(CallFailure::Unreachable);
        let first = failing(&stand, &host, away);
        assert_eq!(header(&first, "ratelimit-policy").as_deref(), Some(policy), "{limit}");
        let passed = 1 + (0..at_once).filter(|_| failing(&stand, &host, away).status().is_none()).count();
        assert_eq!(passed, at_once, "{limit} over {proxies}");
    }
}
