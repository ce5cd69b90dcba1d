use crate::RateLimitSection;
use serde_json::{Value, json};
use sluice_core::caller::identity::Identity;
use sluice_core::decision::compile::Compiler;
use sluice_core::decision::environment::{Environment, UnixTime};
use sluice_core::simulation::{Played, SimulatedHost, SimulatedRequest, Stand};
use std::time::Duration;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn compiler() -> Compiler {
    Compiler { shared_seed: 7, ..Compiler::default() }
}

fn section(section: Value) -> Stand {
    Stand::with_compiler::<RateLimitSection>("rateLimit", section, compiler()).unwrap()
}

fn rules(rules: Value) -> Stand {
    section(json!({ "rules": rules }))
}

fn problems(rule: Value) -> String {
    match Stand::with_compiler::<RateLimitSection>("rateLimit", json!({ "rules": [rule] }), compiler()) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

/// How many of `count` requests pass.
fn passing(stand: &Stand, request: &SimulatedRequest, environment: &SimulatedHost, count: usize) -> usize {
    (0..count).filter(|_| stand.play(request, environment).status().is_none()).count()
}

fn response_header(played: &Played, name: &str) -> Option<String> {
    let mut headers = played.mutations.response_headers().iter();
    let (_, value) = headers.find(|(known, _)| known.as_str() == name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn consumer(name: &str, plan: &str) -> Identity {
    Identity {
        consumer: Some(name.to_owned()),
        attributes: [("plan".to_owned(), plan.to_owned())].into(),
        ..Identity::default()
    }
}

fn from(address: &str) -> SimulatedHost {
    SimulatedHost::default().with_peer_address(address)
}

/// The same connection from elsewhere: the shared memory is that of `environment`.
fn worker(environment: &SimulatedHost, address: &str) -> SimulatedHost {
    environment.another_worker().with_peer_address(address)
}

#[test]
fn the_burst_passes_then_the_rate_and_each_key_has_its_own() {
    let stand = rules(json!([{ "name": "a", "key": ["header.x-tenant"], "limit": "10/s", "burst": 3 }]));
    let environment = SimulatedHost::default();
    let tenant = |name: &str| SimulatedRequest::get("/").header("x-tenant", name);
    assert_eq!(passing(&stand, &tenant("one"), &environment, 5), 3);
    assert_eq!(passing(&stand, &tenant("two"), &environment, 5), 3);
    environment.advance(Duration::from_millis(100));
    assert_eq!(passing(&stand, &tenant("one"), &environment, 5), 1);
    environment.advance(Duration::from_secs(60));
    assert_eq!(passing(&stand, &tenant("one"), &environment, 5), 3);
}

#[test]
fn the_burst_is_the_limits_count_by_default_and_no_key_is_one_bucket() {
    let stand = rules(json!([{ "name": "a", "limit": "4/min" }]));
    let environment = SimulatedHost::default();
    assert_eq!(passing(&stand, &SimulatedRequest::get("/a"), &environment, 3), 3);
    assert_eq!(passing(&stand, &SimulatedRequest::get("/b"), &environment, 3), 1);
}

#[test]
fn a_refused_client_is_told_when_to_come_back() {
    let stand = rules(json!([{ "name": "per-key", "limit": "6/min", "burst": 2 }]));
    let environment = SimulatedHost::default();
    let play = || stand.play(&SimulatedRequest::get("/"), &environment);
    let first = play();
    assert_eq!(
        response_header(&first, "ratelimit-policy").as_deref(),
        Some(r#""per-key";q=6;w=60;sluice-burst=2"#)
    );
    assert_eq!(response_header(&first, "ratelimit").as_deref(), Some(r#""per-key";r=1;t=10"#));
    assert_eq!(first.decisions, [""; 0], "what passes is no decision");
    environment.advance(Duration::from_millis(500));
    assert_eq!(response_header(&play(), "ratelimit").as_deref(), Some(r#""per-key";r=0;t=10"#));
    let refused = play();
    assert_eq!(
        (refused.status(), refused.decisions.as_slice()),
        (Some(429), &["rate_limit.exceeded.rule:per-key".to_owned()][..])
    );
    assert_eq!(refused.reply_header("retry-after").as_deref(), Some("10"), "9.5 s, rounded up");
    assert_eq!(refused.reply_header("ratelimit").as_deref(), Some(r#""per-key";r=0;t=10"#));
    assert_eq!(
        refused.reply_header("ratelimit-policy").as_deref(),
        Some(r#""per-key";q=6;w=60;sluice-burst=2"#)
    );
    environment.advance(Duration::from_millis(9_499));
    assert_eq!(play().reply_header("retry-after").as_deref(), Some("1"), "1 ms, rounded up");
    environment.advance(Duration::from_millis(1));
    assert_eq!(play().status(), None);
}

#[test]
fn headers_may_be_left_out_but_for_retry_after() {
    let stand = section(json!({ "headers": false, "rules": [{ "name": "a", "limit": "1/s" }] }));
    let environment = SimulatedHost::default();
    let passed = stand.play(&SimulatedRequest::get("/"), &environment);
    assert_eq!((passed.status(), passed.mutations.response_headers()), (None, &[][..]));
    let refused = stand.play(&SimulatedRequest::get("/"), &environment);
    assert_eq!(refused.reply_header("retry-after").as_deref(), Some("1"));
    assert_eq!((refused.reply_header("ratelimit"), refused.reply_header("ratelimit-policy")), (None, None));
}

#[test]
fn a_rule_counts_only_what_it_is_about() {
    let stand = rules(json!([
        { "name": "a", "match": { "paths": "/a" }, "limit": "1/h" },
        { "name": "b", "when": { "consumers": "acme" }, "limit": "2/h" },
    ]));
    let environment = SimulatedHost::default();
    assert_eq!(passing(&stand, &SimulatedRequest::get("/x"), &environment, 9), 9);
    assert_eq!(passing(&stand, &SimulatedRequest::get("/a"), &environment, 9), 1);
    assert_eq!(
        passing(&stand, &SimulatedRequest::get("/x").identity(consumer("acme", "")), &environment, 9),
        2
    );
    assert_eq!(
        passing(&stand, &SimulatedRequest::get("/x").identity(consumer("other", "")), &environment, 9),
        9
    );
}

#[test]
fn what_one_rule_refuses_takes_nothing_from_another() {
    for order in [["all", "each"], ["each", "all"]] {
        let rule = |name: &str| match name {
            "all" => json!({ "name": "all", "limit": "10/h" }),
            _ => json!({ "name": "each", "key": "header.x-tenant", "limit": "2/h" }),
        };
        let stand = rules(json!([rule(order[0]), rule(order[1])]));
        let environment = SimulatedHost::default();
        // A flood of one tenant leaves the others what all have together.
        assert_eq!(
            passing(&stand, &SimulatedRequest::get("/").header("x-tenant", "flood"), &environment, 100),
            2
        );
        let mut others = 0;
        for tenant in ["a", "b", "c", "d", "e"] {
            others +=
                passing(&stand, &SimulatedRequest::get("/").header("x-tenant", tenant), &environment, 9);
        }
        assert_eq!(others, 8, "{order:?}");
    }
}

#[test]
fn the_tightest_rule_is_told_and_of_refusals_the_longest() {
    let stand = rules(json!([
        { "name": "second", "limit": "2/s" },
        { "name": "minute", "limit": "6/min" },
        { "name": "watched", "limit": "1/h", "shadow": true },
    ]));
    let environment = SimulatedHost::default();
    let play = || stand.play(&SimulatedRequest::get("/"), &environment);
    assert_eq!(response_header(&play(), "ratelimit").as_deref(), Some(r#""second";r=1;t=1"#));
    for seconds in [1, 1, 1] {
        environment.advance(Duration::from_secs(seconds));
        play();
    }
    environment.advance(Duration::from_secs(1));
    assert_eq!(
        response_header(&play(), "ratelimit").as_deref(),
        Some(r#""minute";r=1;t=6"#),
        "a tie: the longer wait"
    );
    let last = play();
    assert_eq!(response_header(&last, "ratelimit").as_deref(), Some(r#""minute";r=0;t=6"#));
    let refused = play();
    assert_eq!(refused.decisions.last().unwrap(), "rate_limit.exceeded.rule:minute");
}

#[test]
fn limits_that_need_an_identity_are_asked_after_it_is_known_and_both_are_told() {
    let stand = rules(json!([
        { "name": "address", "key": ["client.address"], "limit": "9/h" },
        { "name": "consumer", "key": ["identity.consumer"], "limit": "3/h" },
    ]));
    let environment = from("192.0.2.1");
    let request = SimulatedRequest::get("/").identity(consumer("acme", ""));
    let played = stand.play(&request, &environment);
    assert_eq!(
        response_header(&played, "ratelimit").as_deref(),
        Some(r#""address";r=8;t=400, "consumer";r=2;t=1200"#)
    );
    assert_eq!(
        response_header(&played, "ratelimit-policy").as_deref(),
        Some(r#""address";q=9;w=3600, "consumer";q=3;w=3600"#)
    );
    assert_eq!(passing(&stand, &request, &environment, 9), 2);
    let other = SimulatedRequest::get("/").identity(consumer("globex", ""));
    let played = stand.play(&other, &environment);
    assert_eq!(
        played.decisions,
        ["rate_limit.exceeded.rule:address"],
        "asked first, and so used up by what was refused later"
    );
}

#[test]
fn by_gives_other_limits_to_some_and_what_they_took_stays_taken() {
    let stand = rules(json!([{
        "name": "a", "key": ["identity.consumer"], "limit": "1/h",
        "by": { "identity.attributes.plan": { "gold": "5/h", "silver": { "limit": "10/h", "burst": 3 } } },
    }]));
    let environment = SimulatedHost::default();
    for (name, plan, expected) in [
        ("a", "gold", 5),
        ("b", "silver", 3),
        ("c", "free", 1),
        ("a", "free", 0),
        ("a", "gold", 0),
        ("c", "silver", 2),
        ("c", "gold", 2),
        ("c", "free", 0),
    ] {
        let request = SimulatedRequest::get("/").identity(consumer(name, plan));
        assert_eq!(passing(&stand, &request, &environment, 9), expected, "{name} {plan}");
    }
}

#[test]
fn keys_of_several_values_are_told_apart_whatever_the_values_are() {
    let stand = rules(json!([{ "name": "a", "key": ["header.x-a", "header.x-b"], "limit": "1/h" }]));
    let environment = SimulatedHost::default();
    let pairs = [
        (Some("a"), Some("b")),
        (Some("ab"), Some("")),
        (Some(""), Some("ab")),
        (Some("a"), None),
        (None, Some("a")),
        (None, None),
        (Some(""), None),
    ];
    for (a, b) in pairs {
        let mut request = SimulatedRequest::get("/");
        for (name, value) in [("x-a", a), ("x-b", b)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        assert_eq!(passing(&stand, &request, &environment, 3), 1, "{a:?} {b:?}");
    }
}

#[test]
fn requests_without_the_key_share_a_bucket_or_are_skipped_or_denied() {
    for (on_missing_key, passes, decision) in
        [("share", 2, Some("exceeded")), ("skip", 9, None), ("deny", 0, Some("missing_key"))]
    {
        let stand = rules(
            json!([{ "name": "a", "key": "header.x-t", "limit": "2/h", "onMissingKey": on_missing_key }]),
        );
        let environment = SimulatedHost::default();
        assert_eq!(passing(&stand, &SimulatedRequest::get("/"), &environment, 9), passes, "{on_missing_key}");
        let last = stand.play(&SimulatedRequest::get("/"), &environment);
        let expected = decision.map(|decision| format!("rate_limit.{decision}.rule:a"));
        assert_eq!(last.decisions.first(), expected.as_ref());
        if on_missing_key == "deny" {
            assert_eq!((last.status(), last.reply_header("retry-after")), (Some(403), None));
        }
        assert_eq!(passing(&stand, &SimulatedRequest::get("/").header("x-t", "x"), &environment, 9), 2);
    }
}

#[test]
fn an_ipv6_client_is_a_network_and_an_ipv4_client_an_address() {
    for (prefix, one, two, shared) in [
        (None, "2001:db8::1", "2001:db8::ffff:2", true),
        (None, "2001:db8::1", "2001:db8:0:1::1", false),
        (Some(128), "2001:db8::1", "2001:db8::2", false),
        (Some(48), "2001:db8::1", "2001:db8:0:1::1", true),
        (Some(1), "::1", "7fff::", true),
        (None, "192.0.2.1", "192.0.2.2", false),
        (None, "192.0.2.1", "::ffff:192.0.2.1", true),
    ] {
        let mut rule = json!({ "name": "a", "key": "client.address", "limit": "1/h" });
        if let Some(prefix) = prefix {
            rule["ipv6Prefix"] = json!(prefix);
        }
        let stand = rules(json!([rule]));
        let first = from(one);
        assert_eq!(passing(&stand, &SimulatedRequest::get("/"), &first, 2), 1);
        let passes = passing(&stand, &SimulatedRequest::get("/"), &worker(&first, two), 2);
        assert_eq!(passes, usize::from(!shared), "{one} {two} /{prefix:?}");
    }
}

#[test]
fn dear_requests_take_more() {
    let stand = rules(json!([{ "name": "a", "limit": "10/h", "cost": 4 }]));
    let environment = SimulatedHost::default();
    assert_eq!(passing(&stand, &SimulatedRequest::get("/"), &environment, 9), 2);
    environment.advance(Duration::from_secs(3 * 360));
    assert_eq!(passing(&stand, &SimulatedRequest::get("/"), &environment, 9), 1, "2 were left, 3 came back");
}

#[test]
fn shadow_counts_and_limits_nobody() {
    let rule = json!({ "name": "a", "limit": "1/h" });
    let mut shadowed = rule.clone();
    shadowed["shadow"] = json!(true);
    for section_json in [json!({ "rules": [shadowed] }), json!({ "shadow": true, "rules": [rule] })] {
        let stand = section(section_json);
        let environment = SimulatedHost::default();
        let first = stand.play(&SimulatedRequest::get("/"), &environment);
        assert_eq!(
            (first.status(), first.decisions.len(), first.mutations.response_headers().len()),
            (None, 0, 0)
        );
        let second = stand.play(&SimulatedRequest::get("/"), &environment);
        assert_eq!(
            (second.status(), second.decisions),
            (None, vec!["rate_limit.exceeded.rule:a".to_owned()])
        );
    }
}

#[test]
fn a_refused_key_is_refused_again_without_asking_the_host() {
    let stand = rules(json!([{ "name": "a", "key": "header.x-t", "limit": "1/s" }]));
    let environment = SimulatedHost::default();
    let request = SimulatedRequest::get("/").header("x-t", "a");
    assert_eq!(passing(&stand, &request, &environment, 2), 1);
    let before = environment.shared_calls();
    assert_eq!(passing(&stand, &request, &environment, 100), 0);
    assert_eq!(environment.shared_calls(), before);
    environment.advance(Duration::from_secs(1));
    assert_eq!(passing(&stand, &request, &environment, 2), 1);
}

#[test]
fn a_clock_that_is_set_back_locks_nobody_out() {
    for key in [json!("header.x-t"), json!("request.method")] {
        let stand = rules(json!([{ "name": "a", "key": key, "limit": "1/s", "burst": 3, "slots": 1 }]));
        let environment = SimulatedHost::default();
        let tenant = |name: &str| SimulatedRequest::get("/").header("x-t", name);
        for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            passing(&stand, &tenant(name), &environment, 9);
        }
        let earlier = UnixTime::from_nanos(environment.now().as_nanos() - 3_600_000_000_000);
        let environment = environment.another_worker().at(earlier);
        assert_eq!(passing(&stand, &tenant("a"), &environment, 9), 0, "as good as empty");
        assert_eq!(passing(&stand, &tenant("new"), &environment, 9), 0, "in a crowded slot too");
        environment.advance(Duration::from_secs(1));
        assert_eq!(passing(&stand, &tenant("a"), &environment, 9), 1, "and then filled as ever");
    }
}

#[test]
fn memory_is_bounded_by_the_slots_whatever_clients_send() {
    let stand = rules(json!([{ "name": "a", "key": "header.x-t", "limit": "1/h", "slots": 8 }]));
    let environment = SimulatedHost::default();
    for tenant in 0..1_000 {
        stand.play(&SimulatedRequest::get("/").header("x-t", tenant.to_string()), &environment);
    }
    let sizes = environment.shared_sizes();
    // And the directory.
    assert_eq!(sizes.len(), 8 + 1);
    assert!(sizes.iter().all(|(name, size)| name.starts_with("sluice/rl2/") && *size <= 196), "{sizes:?}");
}

#[test]
fn crowded_slots_never_let_more_through_than_their_buckets_hold() {
    // 64 tenants in one slot of 8: together they get what 8 buckets hold, and who is refused for a stranger's sake is counted apart.
    let stand = rules(json!([{ "name": "a", "key": "header.x-t", "limit": "5/h", "slots": 1 }]));
    let environment = SimulatedHost::default();
    let (mut passed, mut crowded) = (0, 0);
    for round in 0..20 {
        for tenant in 0..64 {
            let request = SimulatedRequest::get("/").header("x-t", tenant.to_string());
            let played = stand.play(&request, &environment);
            passed += usize::from(played.status().is_none());
            crowded +=
                usize::from(played.decisions.iter().any(|reason| reason == "rate_limit.crowded.rule:a"));
        }
        assert!(passed <= 8 * 5, "{passed} in round {round}");
    }
    assert_eq!(passed, 8 * 5);
    assert!(crowded > 0);
}

#[test]
fn an_update_keeps_what_was_taken_whatever_it_changes_but_the_rule_and_its_key() {
    let rule = |change: Value| {
        let mut rule = json!({ "name": "a", "key": "header.x-t", "limit": "5/day" });
        rule.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        rules(json!([{ "name": "other", "match": { "paths": "/other" }, "limit": "100/h" }, rule]))
    };
    let request = SimulatedRequest::get("/").header("x-t", "a").header("x-plan", "gold");
    for (change, left) in [
        (json!({}), 0),
        (json!({ "limit": "7/day" }), 2),
        (json!({ "limit": "3/day" }), 0),
        (json!({ "limit": "9/h" }), 4),
        (json!({ "limit": "5/day", "burst": 8 }), 3),
        (json!({ "burst": 2 }), 0),
        (json!({ "cost": 2 }), 0),
        (json!({ "onMissingKey": "deny", "shadow": false }), 0),
        (json!({ "by": { "header.x-plan": { "silver": "9/day" } } }), 0),
        (json!({ "by": { "header.x-plan": { "gold": "6/day" } } }), 1),
        (json!({ "tolerance": 50, "limit": "8/day" }), 3),
        // Another rule, another key, another table.
        (json!({ "name": "b" }), 5),
        (json!({ "key": ["header.x-t", "header.x-u"] }), 5),
        (json!({ "slots": 8 }), 5),
    ] {
        let environment = SimulatedHost::default();
        let (before, after) = (rule(json!({})), rule(change.clone()));
        before.start(&environment);
        assert_eq!(passing(&before, &request, &environment, 9), 5);
        after.start(&environment);
        before.end(&environment);
        assert_eq!(passing(&after, &request, &environment, 9), left, "{change}");
    }
}

#[test]
fn a_limit_that_is_lowered_and_raised_again_gives_nothing_back() {
    let environment = SimulatedHost::default();
    let request = SimulatedRequest::get("/").header("x-t", "a");
    let pass = |limit: &str| {
        let stand = rules(json!([{ "name": "a", "key": "header.x-t", "limit": limit }]));
        stand.start(&environment);
        let passed = passing(&stand, &request, &environment, 30);
        stand.end(&environment);
        passed
    };
    let passed = ["10/day", "5/day", "10/day", "1/h", "2/day", "12/day"].map(pass);
    assert_eq!(passed, [10, 0, 0, 0, 0, 2]);
}

#[test]
fn whoever_changes_between_plans_takes_from_one_bucket() {
    let stand = rules(json!([{
        "name": "a", "key": ["identity.consumer"], "limit": "5/h", "slots": 1,
        "by": { "identity.attributes.plan": { "gold": "1000/h", "silver": "10/s" } },
    }]));
    let environment = SimulatedHost::default();
    let play = |plan: &str, count| {
        passing(&stand, &SimulatedRequest::get("/").identity(consumer("a", plan)), &environment, count)
    };
    assert_eq!(play("gold", 2_000), 1_000);
    for _ in 0..5 {
        // A refusal under the small limit must not make the bucket of the large one fuller.
        assert_eq!((play("free", 3), play("silver", 3), play("gold", 3)), (0, 0, 0));
    }
}

#[test]
fn a_newcomer_in_a_slot_crowded_by_slower_limits_makes_nobodys_bucket_full() {
    // The newcomer's bucket would fill in a second; those that it finds in hours.
    let stand = rules(json!([{
        "name": "a", "key": ["identity.consumer"], "limit": "5/h", "slots": 1,
        "by": { "identity.attributes.plan": { "gold": "5/s" } },
    }]));
    let environment = SimulatedHost::default();
    let play = |name: &str, plan: &str| {
        passing(&stand, &SimulatedRequest::get("/").identity(consumer(name, plan)), &environment, 9)
    };
    let free = ["a", "b", "c", "d", "e", "f", "g", "h"];
    assert_eq!(free.map(|name| play(name, "free")), [5; 8]);
    assert_eq!(play("new", "gold"), 0);
    environment.advance(Duration::from_secs(5));
    play("new", "gold");
    assert_eq!(free.map(|name| play(name, "free")), [0; 8]);
}

#[test]
fn memory_of_rules_that_are_gone_is_used_again() {
    let environment = SimulatedHost::default();
    let mut serving: Option<Stand> = None;
    let mut sizes = Vec::new();
    for update in 0..50 {
        let next = rules(json!([
            { "name": format!("renamed-{update}"), "key": "header.x-t", "limit": format!("{}/day", update + 1), "slots": 512 },
            { "name": "stays", "key": "header.x-t", "limit": format!("{}/day", 60 - update), "slots": 512 },
        ]));
        next.start(&environment);
        if let Some(former) = serving.take() {
            former.end(&environment);
        }
        for tenant in 0..3_000 {
            next.play(&SimulatedRequest::get("/").header("x-t", tenant.to_string()), &environment);
        }
        serving = Some(next);
        environment.advance(Duration::from_secs(3));
        sizes.push(environment.shared_sizes().len());
    }
    // The two rules, one that has just gone, and the directory.
    assert!(sizes.iter().all(|count| *count <= 3 * 512 + 1), "{sizes:?}");
    let last = environment.shared_sizes();
    assert!(
        last.iter().all(|(name, size)| name.len() <= 22 && (*size <= 196 || name.ends_with("blocks"))),
        "{last:?}"
    );
}

#[test]
fn many_workers_and_documents_share_a_rule_and_leave_each_other_what_is_theirs() {
    let first = SimulatedHost::default();
    let request = SimulatedRequest::get("/").header("x-t", "a");
    let rule = |name: &str| json!({ "name": name, "key": "header.x-t", "limit": "5/day" });
    let workers: Vec<(Stand, SimulatedHost)> = (0..4)
        .map(|number| {
            let documents =
                if number < 2 { json!([rule("a"), rule("b")]) } else { json!([rule("c"), rule("b")]) };
            (rules(documents), first.another_worker())
        })
        .collect();
    for (stand, environment) in &workers {
        stand.start(environment);
    }
    let pass = |worker: usize| passing(&workers[worker].0, &request, &workers[worker].1, 9);
    assert_eq!(pass(0), 5);
    assert_eq!([pass(1), pass(2), pass(3)], [0, 0, 0], "`b` is one rule in both documents");
    // One document goes, with all of its workers; a new one comes. What stays has lost nothing.
    for (stand, environment) in &workers[..2] {
        stand.end(environment);
    }
    first.advance(Duration::from_secs(60));
    let new = rules(json!([rule("d"), rule("e")]));
    new.start(&first);
    assert_eq!(passing(&new, &request, &first, 9), 5);
    assert_eq!([pass(2), pass(3)], [0, 0]);
    assert_eq!(passing(&new, &request, &first, 9), 0);
}

#[test]
fn rules_that_could_not_hold_are_problems() {
    for (rule, expected) in [
        (json!({ "name": "a" }), "missing field `limit`"),
        (json!({ "name": "a", "limit": "0/s" }), "allows nothing"),
        (json!({ "name": "a", "limit": "1/s", "scope": "global" }), "unknown value `global`"),
        (json!({ "name": "a", "limit": "1/s", "burst": 0 }), "rateLimit.rules[0].burst: is 0"),
        (
            json!({ "name": "a", "limit": "9/s", "burst": 3, "cost": 4 }),
            "rules[0].burst: is 3, less than the 4",
        ),
        (
            json!({ "name": "a", "limit": "3/s", "cost": 4 }),
            "rules[0].burst: is by default 3, less than the 4",
        ),
        (json!({ "name": "a", "limit": "9/s", "cost": 0 }), "rules[0].cost: a request that takes nothing"),
        (json!({ "name": "a", "limit": "1/day", "burst": 4000 }), "more than ten years"),
        (
            json!({ "name": "a", "limit": "1/s", "key": ["identity.consumr"] }),
            "did you mean `identity.consumer`?",
        ),
        (json!({ "name": "a", "limit": "1/s", "key": [] }), "rules[0].key: an empty list"),
        (
            json!({ "name": "a", "limit": "1/s", "key": ["path.id"] }),
            "rules[0].key[0]: `id` is not a `{name}` in `match.paths`",
        ),
        (
            json!({ "name": "a", "limit": "1/s", "key": ["request.host", "request.host"] }),
            "rules[0].key[1]: `request.host` stands twice",
        ),
        (json!({ "name": "a", "limit": "1/s", "slots": 8 }), "rules[0].slots: does nothing without `key`"),
        (
            json!({ "name": "a", "limit": "1/s", "onMissingKey": "deny" }),
            "onMissingKey: does nothing without `key`",
        ),
        (
            json!({ "name": "a", "limit": "1/s", "key": "client.address", "slots": 0 }),
            "rules[0].slots: 0 is not from 1",
        ),
        (
            json!({ "name": "a", "limit": "1/s", "key": "client.address", "ipv6Prefix": 129 }),
            "rules[0].ipv6Prefix: 129 is not",
        ),
        (
            json!({ "name": "a", "limit": "1/s", "key": "request.host", "ipv6Prefix": 64 }),
            "ipv6Prefix: does nothing without `client.address`",
        ),
        (json!({ "name": "a", "limit": "1/s", "by": { "request.host": {} } }), "lists no value"),
        (
            json!({ "name": "a", "limit": "1/s", "by": { "request.host": { "a": "fast" } } }),
            "\"fast\" is not a rate",
        ),
        (
            json!({ "name": "a", "limit": "1/s", "by": { "request.host": { "a": { "limit": "1/s", "burst": 0 } } } }),
            "burst: is 0",
        ),
        (
            json!({ "name": "a", "limit": "10/s", "tolerance": 10 }),
            "rules[0].tolerance: 10 % of 10/s is less than two requests",
        ),
        (json!({ "name": "a", "limit": "1/s", "limits": 3 }), "did you mean `limit`?"),
    ] {
        let found = problems(rule.clone());
        assert!(found.contains(expected), "{rule}: {found}");
    }
    assert_eq!(
        problems(json!({ "name": "a", "limit": "1/s", "match": { "paths": "/a/{id}" }, "key": ["path.id"] })),
        ""
    );
}

mod workers;
