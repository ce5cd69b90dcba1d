use super::message::{Descriptor, Entry, METHOD, RateLimitRequest, SERVICE};
use super::simulation::SimulatedService;
use crate::RateLimitSection;
use prost::Message;
use serde_json::{Value, json};
use sluice_core::caller::identity::Identity;
use sluice_core::decision::compile::Compiler;
use sluice_core::decision::environment::Environment;
use sluice_core::decision::wait::{Call, GrpcCall};
use sluice_core::simulation::{Played, SimulatedHost, SimulatedRequest, Stand};
use std::time::Duration;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

mod failures;
#[cfg(not(target_arch = "wasm32"))]
mod model;
mod sections;

fn rules(rules: Value) -> Stand {
    let compiler = Compiler { shared_seed: 7, ..Compiler::default() };
    let section = json!({ "rules": rules });
    Stand::with_compiler::<RateLimitSection>("rateLimit", section, compiler).unwrap()
}

/// A rule of `scope: fleet` with these changes.
fn fleet(change: Value) -> Value {
    let mut rule = json!({
        "name": "a", "key": ["identity.consumer"], "limit": "5/min", "scope": "fleet",
        "service": { "cluster": "ratelimit", "expectedProxies": 2, "timeout": "50ms" }
    });
    rule.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    rule
}

fn grpc(call: &Call) -> &GrpcCall {
    match call {
        Call::Grpc(call) => call,
        Call::Http(_) => panic!("{call}"),
    }
}

fn request_of(call: &Call) -> RateLimitRequest {
    RateLimitRequest::decode(&*grpc(call).message).unwrap()
}

/// The entries of a descriptor, as `key=value`.
fn entries(descriptor: &Descriptor) -> Vec<String> {
    descriptor.entries.iter().map(|Entry { key, value }| format!("{key}={value}")).collect()
}

fn acme() -> SimulatedRequest {
    SimulatedRequest::get("/").identity(Identity { consumer: Some("acme".to_owned()), ..Identity::default() })
}

fn play(stand: &Stand, host: &SimulatedHost, service: &mut SimulatedService) -> Played {
    stand.play_with(&acme(), host, |call| service.answer(grpc(call), host.now()))
}

fn header(played: &Played, name: &str) -> Option<String> {
    let found = played.mutations.response_headers().iter().find(|(known, _)| known.as_str() == name);
    found.map(|(_, value)| String::from_utf8(value.as_bytes().to_vec()).unwrap())
}

/// The start of a minute, half a second in.
fn host() -> SimulatedHost {
    let host = SimulatedHost::default();
    host.advance(Duration::from_millis(1_800_000_000_500));
    host
}

#[test]
fn the_service_is_asked_and_decides() {
    let (stand, host, mut service) = (rules(json!([fleet(json!({}))])), host(), SimulatedService::default());
    let first = play(&stand, &host, &mut service);
    assert_eq!((first.status(), first.decisions.as_slice()), (None, &[][..] as &[String]));
    let [call] = first.calls.as_slice() else { panic!("{:?}", first.calls) };
    let call = grpc(call);
    assert_eq!((&*call.cluster, &*call.service, &*call.method), ("ratelimit", SERVICE, METHOD));
    assert_eq!(call.timeout, Duration::from_millis(50));
    let request = request_of(&first.calls[0]);
    assert_eq!((request.domain.as_str(), request.hits_addend), ("sluice", 1));
    assert_eq!(entries(&request.descriptors[0]), ["rule=a", "identity.consumer=acme"]);
    let limit = request.descriptors[0].limit.unwrap();
    assert_eq!((limit.requests_per_unit, limit.unit), (5, 2));
    // What the service says, in the words of limits of the proxy's own.
    assert_eq!(header(&first, "ratelimit-policy").as_deref(), Some("\"a\";q=5;w=60"));
    assert_eq!(header(&first, "ratelimit").as_deref(), Some("\"a\";r=4;t=60"));
    for _ in 0..4 {
        assert_eq!(play(&stand, &host, &mut service).status(), None);
    }
    host.advance(Duration::from_secs(10));
    let over = play(&stand, &host, &mut service);
    assert_eq!(
        (over.status(), over.decisions.as_slice()),
        (Some(429), &["rate_limit.exceeded.rule:a".to_owned()][..])
    );
    assert_eq!(over.reply_header("retry-after").as_deref(), Some("50"));
    assert_eq!(over.reply_header("ratelimit").as_deref(), Some("\"a\";r=0;t=50"));
}

#[test]
fn a_flood_over_the_limit_costs_no_calls_until_the_window_ends() {
    let (stand, host, mut service) =
        (rules(json!([fleet(json!({ "limit": "2/min" }))])), host(), SimulatedService::default());
    let mut statuses = Vec::new();
    for _ in 0..100 {
        statuses.push(play(&stand, &host, &mut service).status());
    }
    assert_eq!(statuses.iter().filter(|status| status.is_none()).count(), 2);
    assert_eq!(service.asked(), 3);
    // To the end of the minute: 59.5 s.
    host.advance(Duration::from_millis(59_499));
    let late = play(&stand, &host, &mut service);
    assert_eq!((late.status(), late.reply_header("retry-after").as_deref()), (Some(429), Some("1")));
    assert_eq!((late.calls.len(), service.asked()), (0, 3));
    host.advance(Duration::from_millis(1));
    assert_eq!(play(&stand, &host, &mut service).status(), None);
    // Another key is asked about.
    let other = SimulatedRequest::get("/");
    assert_eq!(stand.play_with(&other, &host, |call| service.answer(grpc(call), host.now())).calls.len(), 1);
}

#[test]
fn rules_that_share_a_service_share_a_call_and_others_do_not() {
    let stand = rules(json!([
        fleet(json!({ "name": "a" })),
        fleet(json!({ "name": "b", "limit": "9/s" })),
        fleet(json!({ "name": "dear", "cost": 3, "limit": "9/s" })),
        fleet(
            json!({ "name": "elsewhere", "service": { "cluster": "other", "expectedProxies": 1, "domain": "d" } })
        ),
        fleet(json!({ "name": "not-this", "match": { "paths": ["/x"] } })),
    ]));
    let (host, mut service) = (host(), SimulatedService::default());
    let played = play(&stand, &host, &mut service);
    let asked: Vec<_> = played
        .calls
        .iter()
        .map(|call| {
            let request = request_of(call);
            let rules: Vec<_> =
                request.descriptors.iter().map(|descriptor| descriptor.entries[0].value.clone()).collect();
            (call.cluster().to_owned(), request.domain, request.hits_addend, rules.join(" "))
        })
        .collect();
    let row = |cluster: &str, domain: &str, hits, rules: &str| {
        (cluster.to_owned(), domain.to_owned(), hits, rules.to_owned())
    };
    assert_eq!(
        asked,
        [
            row("ratelimit", "sluice", 1, "a b"),
            row("ratelimit", "sluice", 3, "dear"),
            row("other", "d", 1, "elsewhere")
        ]
    );
    // Of all that pass, the tightest is told: 4 of 5, not 8 or 6 of 9.
    assert_eq!(header(&played, "ratelimit").as_deref(), Some("\"a\";r=4;t=60"));
}

#[test]
fn values_that_may_be_secret_or_read_as_several_entries_are_hashed() {
    let key = json!([
        "client.address",
        "header.x-api-key",
        "query.q",
        "path.id",
        "request.host",
        "identity.consumer"
    ]);
    let rule = |key: &Value| fleet(json!({ "key": key, "match": { "paths": ["/p/{id}"] } }));
    let sent = |key: &Value, request: &SimulatedRequest, address: &str| {
        let host = host().with_peer_address(address);
        let mut service = SimulatedService::default();
        let played = rules(json!([rule(key)]))
            .play_with(request, &host, |call| service.answer(grpc(call), host.now()));
        entries(&request_of(&played.calls[0]).descriptors[0])
    };
    let request = SimulatedRequest::get("/p/a_request.host_b?q=1").header("x-api-key", "secret");
    let all = sent(&key, &request, "2001:db8:1:2:3::4");
    assert_eq!(
        all[..3],
        [
            "rule=a",
            "client.address=2001:db8:1:2::/64",
            "header.x-api-key=sha256:2bb80d537b1da3e38bd30361aa855686"
        ]
    );
    assert!(all[3].starts_with("query.q=sha256:") && all[4].starts_with("path.id=sha256:"), "{all:?}");
    assert_eq!(
        all[5..],
        ["request.host=api.example.com", "identity.consumer="],
        "nobody is proven: no value"
    );
    assert!(!all.concat().contains("secret"));
    assert_eq!(
        sent(&json!(["client.address"]), &request, "::ffff:192.0.2.7"),
        ["rule=a", "client.address=192.0.2.7"]
    );
    assert_eq!(
        sent(&json!(["path.id"]), &SimulatedRequest::get("/p/7"), "192.0.2.7"),
        ["rule=a", "path.id=7"]
    );
}

#[test]
fn what_the_proxy_itself_refuses_is_not_asked_and_what_the_service_refuses_takes_nothing_here() {
    let stand = rules(json!([
        { "name": "own", "key": ["identity.consumer"], "limit": "3/h" },
        fleet(json!({ "limit": "2/min" })),
    ]));
    let (host, mut service) = (host(), SimulatedService::default());
    let statuses: Vec<_> = (0..4).map(|_| play(&stand, &host, &mut service).status()).collect();
    assert_eq!(statuses, [None, None, Some(429), Some(429)]);
    // The service refused two; so one of the proxy's own three is left.
    host.advance(Duration::from_millis(59_500));
    assert_eq!(play(&stand, &host, &mut service).status(), None);
    let asked = service.asked();
    let refused = play(&stand, &host, &mut service);
    assert_eq!(refused.decisions, ["rate_limit.exceeded.rule:own"]);
    assert_eq!((refused.calls.len(), service.asked()), (0, asked));
}

#[test]
fn a_rule_in_shadow_asks_and_limits_nobody() {
    let stand = rules(json!([fleet(json!({ "limit": "1/min", "shadow": true }))]));
    let (host, mut service) = (host(), SimulatedService::default());
    let mut decisions = Vec::new();
    for _ in 0..5 {
        let played = play(&stand, &host, &mut service);
        assert_eq!((played.status(), header(&played, "ratelimit")), (None, None));
        decisions.extend(played.decisions);
    }
    assert_eq!(decisions, ["rate_limit.exceeded.rule:a"; 4]);
    assert_eq!(service.asked(), 2, "what is known needs no call");
    // Beside an enforced rule it goes along, and refuses nothing.
    let stand = rules(json!([
        fleet(json!({ "limit": "1/min", "shadow": true })),
        fleet(json!({ "name": "b", "limit": "3/min" }))
    ]));
    let mut service = SimulatedService::default();
    let statuses: Vec<_> = (0..4).map(|_| play(&stand, &host, &mut service).status()).collect();
    assert_eq!(statuses, [None, None, None, Some(429)]);
}

#[test]
fn plans_are_limits_of_one_counter() {
    let stand = rules(json!([fleet(json!({ "by": { "identity.attributes.plan": { "gold": "8/min" } } }))]));
    let (host, mut service) = (host(), SimulatedService::default());
    let mut passed = |plan: &str| {
        let identity = Identity {
            consumer: Some("acme".to_owned()),
            attributes: [("plan".to_owned(), plan.to_owned())].into(),
            ..Identity::default()
        };
        let request = SimulatedRequest::get("/").identity(identity);
        let mut play = || stand.play_with(&request, &host, |call| service.answer(grpc(call), host.now()));
        (0..10).filter(|_| play().status().is_none()).count()
    };
    assert_eq!(
        (passed("free"), passed("gold"), passed("free")),
        (5, 2, 0),
        "the refused one counts in the service"
    );
}

#[test]
fn an_answer_that_has_come_counts_whatever_others_have_found_out_meanwhile() {
    // Two requests are under way at once for the last unit: the second is refused, and comes first.
    let stand = rules(json!([fleet(json!({ "limit": "1/min" }))]));
    let (host, mut service) = (host(), SimulatedService::default());
    let outer = stand.play_with(&acme(), &host, |call| {
        let answer = service.answer(grpc(call), host.now());
        let inner = stand.play_with(&acme(), &host, |call| service.answer(grpc(call), host.now()));
        assert_eq!(inner.status(), Some(429));
        answer
    });
    assert_eq!(outer.status(), None, "its unit is taken, so it passes");
    assert_eq!(service.asked(), 2);
}
