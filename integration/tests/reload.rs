//! A policy is replaced while the proxy serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sluice_integration::{Gateway, Protocol, Request, wait_until};

/// What Envoy has allocated, in bytes: the VMs' own memory is not among it, but the data that they share is.
fn allocated(gateway: &Gateway) -> u64 {
    gateway.envoy().admin("/memory").unwrap().json()["allocated"].as_str().unwrap().parse().unwrap()
}

/// Lets in who names this generation, or `x-always`.
fn policy(generation: usize) -> String {
    format!(
        r#"{{version: 1, authz: {{default: deny, rules: [
            {{name: always, allow: true, match: {{headers: {{x-always: "yes"}}}}}},
            {{name: generation, allow: true, match: {{headers: {{x-generation: "{generation}"}}}}}}]}}, telemetry: {{}}}}"#
    )
}

#[test]
fn a_new_policy_decides_from_the_next_request_and_a_broken_one_never() {
    let gateway = Gateway::builder().policy(&policy(0)).concurrency(2).ecds().start().unwrap();
    let status = |generation: usize| {
        gateway.send(Request::get("/").header("x-generation", generation.to_string())).status
    };
    assert_eq!((status(0), status(1)), (200, 403));
    assert!(gateway.reload(&policy(1)).unwrap());
    assert_eq!((status(0), status(1)), (403, 200));
    for (broken, path) in [
        ("{version: 1, authz: {default: deny, rulez: []}}", "authz.rulez"),
        ("{version: 2}", "version"),
        ("{version: 1, authz: {default: perhaps}}", "authz.default"),
    ] {
        assert!(!gateway.reload(broken).unwrap(), "{broken}");
        gateway.envoy().log_line(path, Duration::from_secs(60)).unwrap();
        assert_eq!((status(0), status(1)), (403, 200), "{broken}");
    }
    assert!(!gateway.reload_text("not JSON").unwrap());
    assert!(gateway.reload(&policy(2)).unwrap());
    assert_eq!((status(1), status(2)), (403, 200));
}

#[test]
fn a_hundred_reloads_under_load_fail_no_request_and_leave_nothing_behind() {
    let gateway = Arc::new(Gateway::builder().policy(&policy(0)).concurrency(2).ecds().start().unwrap());
    let running = Arc::new(AtomicBool::new(true));
    let (served, wrong) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let load: Vec<_> = (0..3)
        .map(|number| {
            let client = gateway.new_client(if number == 0 { Protocol::Http2 } else { Protocol::Http1 });
            let (running, served, wrong) = (running.clone(), served.clone(), wrong.clone());
            std::thread::spawn(move || {
                let always = Request::get("/").header("x-always", "yes");
                let never = Request::get("/");
                while running.load(Ordering::Relaxed) {
                    for (request, status) in [(&always, 200), (&never, 403)] {
                        match client.send(request) {
                            Ok(answer) if answer.status == status => served.fetch_add(1, Ordering::Relaxed),
                            _ => wrong.fetch_add(1, Ordering::Relaxed),
                        };
                    }
                    std::thread::sleep(Duration::from_millis(2));
                }
            })
        })
        .collect();

    let answered = || served.load(Ordering::Relaxed) + wrong.load(Ordering::Relaxed);
    let reload = |generations: std::ops::RangeInclusive<usize>| {
        for generation in generations {
            assert!(gateway.reload(&policy(generation)).unwrap(), "generation {generation}");
            let answer = gateway.send(Request::get("/").header("x-generation", generation.to_string()));
            assert_eq!(answer.status, 200, "generation {generation}");
            // Each generation serves some of the load, however slow the machine is.
            let before = answered();
            wait_until("more requests", Duration::from_secs(60), || answered() >= before + 5).unwrap();
        }
    };
    // What the first reloads allocate stays for good reasons (metrics are kept for ever); the hundred after them must add nothing.
    reload(1..=20);
    let before = gateway.envoy().usage().unwrap();
    reload(21..=120);
    running.store(false, Ordering::Relaxed);
    load.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(wrong.load(Ordering::Relaxed), 0, "of {}", served.load(Ordering::Relaxed));

    let after = gateway.envoy().usage().unwrap();
    let growth = after.resident.saturating_sub(before.resident) >> 20;
    assert!(growth < 24, "{growth} MiB more after a hundred reloads");
    // Old configurations' timers have ended: an idle proxy is idle.
    let mut used = Duration::MAX;
    wait_until("an idle proxy", Duration::from_secs(60), || {
        let before = gateway.envoy().usage().unwrap().processor;
        std::thread::sleep(Duration::from_secs(2));
        used = gateway.envoy().usage().unwrap().processor - before;
        used < Duration::from_millis(200)
    })
    .unwrap_or_else(|_| panic!("{used:?} in two idle seconds"));
}

#[test]
fn a_proxy_without_its_first_policy_lets_nothing_through_until_it_comes() {
    let gateway = Gateway::builder().policy("{version: 1, nonsense: {}}").ecds().start().unwrap();
    assert_eq!(gateway.get("/").status, 500);
    assert_eq!(gateway.upstream().count(), 0);
    assert!(gateway.reload("{version: 1}").unwrap());
    wait_until("an answer", Duration::from_secs(60), || gateway.get("/").status == 200).unwrap();
}

#[test]
fn limits_keep_what_was_taken_over_an_update() {
    let policy = |rule: &str| {
        format!("{{version: 1, rateLimit: {{rules: [{{name: daily, key: [header.x-user], {rule}}}]}}}}")
    };
    let gateway = Gateway::builder().policy(&policy("limit: 5/day")).concurrency(2).ecds().start().unwrap();
    let passing = |count: usize| {
        // Each on a connection of its own, so that both workers get some.
        let call = || {
            gateway
                .new_client(Protocol::Http1)
                .send(&Request::get("/").header("x-user", "a").header("x-plan", "silver"))
        };
        (0..count).filter(|_| call().unwrap().status == 200).count()
    };
    assert_eq!(passing(12), 5);
    for (rule, more) in [
        ("limit: 5/day, by: {header.x-plan: {gold: 100/day}}", 0),
        ("limit: 5/day, by: {header.x-plan: {silver: 8/day}}", 3),
        ("limit: 5/day", 0),
        ("limit: 20/day", 12),
        ("limit: 20/day, burst: 22", 2),
        ("limit: 100/day, burst: 3", 0),
    ] {
        assert!(gateway.reload(&policy(rule)).unwrap());
        assert_eq!(passing(14), more, "{rule}");
    }
}

#[test]
fn updates_of_limits_use_the_memory_of_rules_that_are_gone() {
    let policy = |generation: usize| {
        format!(
            "{{version: 1, rateLimit: {{headers: false, rules: [
                {{name: renamed-{generation}, key: [header.x-user], limit: {0}/day, slots: 2048}},
                {{name: stays, key: [header.x-user], limit: {0}/day, slots: 2048}}]}}}}",
            1_000 + generation
        )
    };
    let gateway =
        Gateway::builder().policy(&policy(0)).concurrency(2).direct_response().ecds().start().unwrap();
    let fill = || {
        let requests: Vec<Request> =
            (0..4_000).map(|user| Request::get("/").header("x-user", user.to_string())).collect();
        let answers =
            gateway.new_client(Protocol::Http2).with_limit(Duration::from_secs(30)).send_all(&requests);
        assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200)));
    };
    let update = |generations: std::ops::RangeInclusive<usize>| {
        for generation in generations {
            assert!(gateway.reload(&policy(generation)).unwrap(), "generation {generation}");
            fill();
        }
    };
    fill();
    update(1..=6);
    let before = allocated(&gateway);
    update(7..=30);
    // What a rule that is gone leaves is free a second later; until then the next may take fresh slots. A table of these is half a MiB: 24 more,
    // or 48 if a changed limit made a new one, too, would be 12 or 24.
    let growth = allocated(&gateway).saturating_sub(before);
    assert!(growth < 4 << 20, "{growth} bytes more after 24 updates");
}
