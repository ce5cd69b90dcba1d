//! `scope: fleet` on real Envoys: limits that envoyproxy/ratelimit counts in a Redis, both real.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sluice_integration::{
    Answer, Gateway, GatewayBuilder, Protocol, RateLimitService, Reply, Request, Upstream, wait_until,
};

/// The service knows the domain, and no limit: those come with the requests.
const CONFIGURATION: &str = "domain: sluice\n";

/// How long to wait for what will come.
const IN_TIME: Duration = Duration::from_secs(60);

/// A window that ends once in years, so that no test sees two.
fn policy(limit: u32, service: &str) -> String {
    format!(
        "{{version: 1, telemetry: {{}}, rateLimit: {{rules: [{{name: all, match: {{paths: ['/limited/**']}}, \
         key: [request.host], limit: {limit}/year, scope: fleet, service: {{cluster: ratelimit, {service}}}}}]}}}}"
    )
}

fn builder(policy: &str, port: u16) -> GatewayBuilder {
    Gateway::builder().policy(policy).http2_cluster("ratelimit", port)
}

fn gateway(policy: &str, port: u16) -> Gateway {
    builder(policy, port).start().unwrap()
}

/// What the answers to `count` requests at once are, over several connections.
fn flood(gateway: &Gateway, count: usize) -> Vec<u16> {
    let requests = vec![Request::get("/limited/a"); count];
    let answers = gateway.new_client(Protocol::Http1).send_all(&requests);
    answers.into_iter().map(|answer| answer.unwrap().status).collect()
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|known| **known == status).count()
}

fn calls(gateway: &Gateway) -> u64 {
    gateway.envoy().stat("cluster.ratelimit.upstream_rq_total").unwrap()
}

/// How often a reason was counted so far.
fn reasons(gateway: &Gateway, reason: &str) -> u64 {
    let stats = gateway.envoy().stats().unwrap();
    let named = stats.iter().filter(|(name, _)| name.ends_with(&format!(".reason.{reason}.rule:all")));
    named.map(|(_, count)| *count).sum()
}

fn wait_for_reason(gateway: &Gateway, reason: &str) {
    wait_until(reason, IN_TIME, || reasons(gateway, reason) > 0).unwrap();
}

fn limited(gateway: &Gateway) -> Answer {
    gateway.get("/limited/a")
}

#[test]
fn two_proxies_share_one_limit_exactly() {
    let service = RateLimitService::start(CONFIGURATION).unwrap();
    let policy = policy(60, "timeout: 5s, expectedProxies: 2");
    let two = [1, 2].map(|workers| builder(&policy, service.port()).concurrency(workers).start().unwrap());
    let first = limited(&two[0]);
    assert_eq!((first.status, first.header("ratelimit-policy")), (200, Some("\"all\";q=60;w=31536000")));
    assert!(first.header("ratelimit").unwrap().starts_with("\"all\";r=59;t="), "{:?}", first.headers);
    let second = limited(&two[1]);
    assert!(second.header("ratelimit").unwrap().starts_with("\"all\";r=58;t="), "{:?}", second.headers);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let floods: Vec<_> = two
            .iter()
            .flat_map(|gateway| [gateway; 2])
            .map(|gateway| scope.spawn(|| flood(gateway, 60)))
            .collect();
        floods.into_iter().flat_map(|flood| flood.join().unwrap()).collect()
    });
    assert_eq!((count(&statuses, 200), count(&statuses, 429)), (58, 182));
    // The names are what the page says, and the host stands in plain text.
    let counters = service.counters().unwrap();
    let [counter] = counters.as_slice() else { panic!("{counters:?}") };
    assert!(counter.starts_with("sluice_rule_all_request.host_127.0.0.1_"), "{counter}");
    let refused = two[0].get("/limited/refused");
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 1);
    assert_eq!(two[0].details("/limited/refused"), "rate_limit.exceeded.rule:all");
    // What is known to be over its limit costs no call.
    let before = calls(&two[0]);
    assert_eq!(count(&flood(&two[0], 200), 429), 200);
    assert_eq!(calls(&two[0]), before);
    // Nobody else is asked about.
    assert_eq!(two[0].get("/other").status, 200);
}

#[test]
fn a_service_that_hangs_dies_and_comes_back_stops_nobody_and_is_trusted_again() {
    let mut service = RateLimitService::start(CONFIGURATION).unwrap();
    // A proxy's share is enough for all that is asked while the service is away.
    let gateway = gateway(&policy(1_000_000, "timeout: 200ms, expectedProxies: 2"), service.port());
    assert!(limited(&gateway).header("ratelimit-policy").unwrap().contains("q=1000000;"));
    let decides_itself = || limited(&gateway).header("ratelimit-policy").unwrap().contains("q=500000;");
    let service_decides = || limited(&gateway).header("ratelimit-policy").unwrap().contains("q=1000000;");

    service.service().freeze();
    let statuses = flood(&gateway, 40);
    assert_eq!(count(&statuses, 200), 40, "{statuses:?}");
    wait_for_reason(&gateway, "service_timed_out");
    assert!(decides_itself());
    service.service().thaw();
    wait_until("the service to decide again", IN_TIME, service_decides).unwrap();

    service.kill();
    let statuses = flood(&gateway, 40);
    assert_eq!(count(&statuses, 200), 40, "{statuses:?}");
    wait_for_reason(&gateway, "service_unreachable");
    service.restart().unwrap();
    wait_until("the service to decide again", IN_TIME, service_decides).unwrap();

    service.kill_redis();
    wait_until("the service to fail without its Redis", IN_TIME, || {
        assert_eq!(limited(&gateway).status, 200);
        reasons(&gateway, "service_grpc_error") > 0
    })
    .unwrap();
    service.restart_redis().unwrap();
    wait_until("the service to decide again", IN_TIME, service_decides).unwrap();
    assert_eq!(gateway.envoy().stat("wasm.sluice.vm_reload").unwrap(), 0);
}

#[test]
fn while_the_service_is_away_the_proxy_gives_no_more_than_its_share() {
    let mut service = RateLimitService::start(CONFIGURATION).unwrap();
    service.kill();
    let gateway = builder(&policy(40, "timeout: 5s, expectedProxies: 4"), service.port())
        .concurrency(2)
        .start()
        .unwrap();
    let statuses = flood(&gateway, 100);
    assert_eq!((count(&statuses, 200), count(&statuses, 429)), (10, 90), "{statuses:?}");
    assert_eq!(gateway.get("/limited/refused").status, 429);
    assert_eq!(gateway.details("/limited/refused"), "rate_limit.share_exceeded.rule:all");
    // The circuit spares it.
    wait_for_reason(&gateway, "service_not_tried");
}

#[test]
fn who_prefers_it_lets_all_through_or_none_while_it_is_away() {
    let mut service = RateLimitService::start(CONFIGURATION).unwrap();
    service.kill();
    for (on_failure, status) in [("allow", 200), ("deny", 503)] {
        let policy = policy(1, &format!("timeout: 5s, onFailure: {on_failure}"));
        let gateway = gateway(&policy, service.port());
        assert_eq!(count(&flood(&gateway, 30), status), 30, "{on_failure}");
        let answer = limited(&gateway);
        assert_eq!(answer.header("retry-after"), (status == 503).then_some("1"));
        if status == 503 {
            assert_eq!(gateway.details("/limited/a"), "rate_limit.unavailable.rule:all");
        }
    }
}

#[test]
fn a_service_that_does_not_know_the_domain_leaves_nobody_unlimited() {
    let service = RateLimitService::start("domain: another\n").unwrap();
    let gateway = gateway(&policy(40, "timeout: 5s, expectedProxies: 4"), service.port());
    assert_eq!(count(&flood(&gateway, 30), 200), 10);
    wait_for_reason(&gateway, "service_without_limit");
}

#[test]
fn an_answer_that_is_none_decides_nothing() {
    let frame = |message: &[u8]| [&[0, 0, 0, 0, u8::try_from(message.len()).unwrap()], message].concat();
    let ok = ("grpc-status".to_owned(), "0".to_owned());
    for (what, status, headers, body, reason) in [
        ("no message of ours", 200, vec![ok.clone()], frame(b"\x0a\xff\xff\xff\xff"), "service_unreadable"),
        ("an empty message", 200, vec![ok.clone()], frame(b""), "service_unreadable"),
        (
            "an error",
            200,
            vec![("grpc-status".to_owned(), "13".to_owned())],
            frame(b""),
            "service_grpc_error",
        ),
        ("no frame", 200, vec![ok], b"<html>".to_vec(), "service_grpc_error"),
        ("an HTTP error", 404, vec![], b"<html>".to_vec(), "service_grpc_error"),
    ] {
        let garbage = Upstream::answering("garbage", move |_| Reply {
            status,
            headers: [("content-type".to_owned(), "application/grpc".to_owned())]
                .into_iter()
                .chain(headers.clone())
                .collect(),
            body: body.clone(),
            after: Duration::ZERO,
        })
        .unwrap();
        let gateway = gateway(&policy(40, "timeout: 5s, expectedProxies: 4"), garbage.port());
        let statuses = flood(&gateway, 30);
        assert_eq!((count(&statuses, 200), count(&statuses, 429)), (10, 20), "{what}");
        wait_for_reason(&gateway, reason);
        let asked = garbage.last();
        assert_eq!(asked.path, "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit");
    }
}

/// Clients never stop while the service is slowed, hung, killed and started again, its Redis lost, and the document replaced.
#[test]
fn under_load_every_request_is_decided_whatever_becomes_of_the_service() {
    let mut service = RateLimitService::start(CONFIGURATION).unwrap();
    // More than all that are sent: whatever decides lets them pass.
    let policy = policy(100_000_000, "timeout: 100ms, expectedProxies: 4");
    let gateway = builder(&policy, service.port()).concurrency(2).ecds().start().unwrap();
    let stop = AtomicBool::new(false);
    let statuses = std::thread::scope(|scope| {
        let clients: Vec<_> = [Protocol::Http1, Protocol::Http2]
            .map(|protocol| {
                let (gateway, stop) = (&gateway, &stop);
                scope.spawn(move || {
                    let client = gateway.new_client(protocol).with_limit(IN_TIME);
                    let mut statuses = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let answers = client.send_all(&vec![Request::get("/limited/a"); 20]);
                        // One that hangs would end by the client's own limit, as an error.
                        statuses.extend(answers.into_iter().map(|answer| answer.unwrap().status));
                    }
                    statuses
                })
            })
            .into_iter()
            .collect();
        let mut disturb = || -> sluice_integration::Result<()> {
            // How often the service has not decided, for whatever reason.
            let undecided = || {
                let stats = gateway.envoy().stats().unwrap_or_default();
                stats
                    .iter()
                    .filter(|(name, _)| name.contains(".reason.service_"))
                    .map(|(_, count)| count)
                    .sum::<u64>()
            };
            let more = |what: &str| {
                let before = undecided();
                wait_until(what, IN_TIME, || undecided() > before)
            };
            for _ in 0..2 {
                service.service().freeze();
                more("requests while the service hangs")?;
                assert!(gateway.reload(&policy)?);
                service.service().thaw();
                service.kill();
                more("requests while the service is gone")?;
                service.restart()?;
                service.redis().freeze();
                more("requests while its Redis hangs")?;
                service.redis().thaw();
                service.kill_redis();
                service.restart_redis()?;
            }
            Ok(())
        };
        let disturbed = disturb();
        stop.store(true, Ordering::Relaxed);
        let statuses: Vec<u16> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        disturbed.unwrap();
        statuses
    });
    assert!(!statuses.is_empty());
    assert_eq!(count(&statuses, 200), statuses.len(), "{:?}", statuses.iter().collect::<BTreeSet<_>>());
    wait_until("no request is left", IN_TIME, || {
        gateway.envoy().stat("http.gateway.downstream_rq_active").is_ok_and(|active| active == 0)
    })
    .unwrap();
    assert_eq!(gateway.envoy().stat("wasm.sluice.vm_reload").unwrap(), 0);
}
