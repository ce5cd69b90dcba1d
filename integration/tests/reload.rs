//! A policy is replaced while the proxy serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sluice_integration::{Gateway, Protocol, Request, wait_until};

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
        gateway.envoy().log_line(path, Duration::from_secs(3)).unwrap();
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

    let reload = |generations: std::ops::RangeInclusive<usize>| {
        for generation in generations {
            assert!(gateway.reload(&policy(generation)).unwrap(), "generation {generation}");
            let answer = gateway.send(Request::get("/").header("x-generation", generation.to_string()));
            assert_eq!(answer.status, 200, "generation {generation}");
        }
    };
    // What the first reloads allocate stays for good reasons (metrics are kept for ever); the hundred after them must add nothing.
    reload(1..=20);
    let before = gateway.envoy().usage().unwrap();
    reload(21..=120);
    running.store(false, Ordering::Relaxed);
    load.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(wrong.load(Ordering::Relaxed), 0, "of {}", served.load(Ordering::Relaxed));
    assert!(served.load(Ordering::Relaxed) > 500);

    let after = gateway.envoy().usage().unwrap();
    let growth = after.resident.saturating_sub(before.resident) >> 20;
    assert!(growth < 24, "{growth} MiB more after a hundred reloads");
    // Old configurations' timers have ended: an idle proxy is idle.
    std::thread::sleep(Duration::from_millis(500));
    let idle = gateway.envoy().usage().unwrap().processor;
    std::thread::sleep(Duration::from_secs(2));
    let used = gateway.envoy().usage().unwrap().processor - idle;
    assert!(used < Duration::from_millis(200), "{used:?} in two idle seconds");
}

#[test]
fn a_proxy_without_its_first_policy_lets_nothing_through_until_it_comes() {
    let gateway = Gateway::builder().policy("{version: 1, nonsense: {}}").ecds().start().unwrap();
    assert_eq!(gateway.get("/").status, 500);
    assert_eq!(gateway.upstream().count(), 0);
    assert!(gateway.reload("{version: 1}").unwrap());
    wait_until("an answer", Duration::from_secs(5), || gateway.get("/").status == 200).unwrap();
}
