//! Keys that are fetched, on a real Envoy: an issuer that counts who asks, rotates its keys, is slow, dead, wrong or away.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_integration::tokens::{self, Algorithm, Token};
use sluice_integration::{Gateway, GatewayBuilder, Protocol, Reply, Request, Upstream, wait_until};

const LONG: Duration = Duration::from_secs(60);
const RS256: &str = "demo-rs256";
const ES256: &str = "demo-es256";

/// What the issuer says.
#[derive(Clone)]
struct Issuer {
    /// The `kid`s of the keys that it publishes.
    kids: Vec<&'static str>,
    status: u16,
    after: Duration,
    /// In place of the keys.
    body: Option<Vec<u8>>,
    /// Whether it knows ETags.
    tags: bool,
    cache_control: Option<&'static str>,
}

#[derive(Clone)]
struct Control(Arc<Mutex<Issuer>>);

impl Control {
    fn set(&self, change: impl FnOnce(&mut Issuer)) {
        change(&mut self.0.lock().unwrap());
    }
}

fn issuer(kids: &[&'static str]) -> (Upstream, Control) {
    let (status, after, body, cache_control) = (200, Duration::ZERO, None, None);
    let issuer = Issuer { kids: kids.to_vec(), status, after, body, tags: false, cache_control };
    let control = Control(Arc::new(Mutex::new(issuer)));
    let state = control.clone();
    let upstream = Upstream::answering("id", move |request| {
        let issuer = state.0.lock().unwrap().clone();
        if request.path == "/.well-known/openid-configuration" {
            let metadata = json!({ "issuer": tokens::ISSUER, "jwks_uri": "https://id.sluice.demo/keys" });
            return Reply::json(200, &metadata);
        }
        let all = tokens::key_set(false);
        let has = |key: &&Value| issuer.kids.iter().any(|kid| key["kid"] == *kid);
        let keys: Vec<&Value> = all["keys"].as_array().unwrap().iter().filter(has).collect();
        let mut reply = Reply::json(issuer.status, &json!({ "keys": keys }));
        reply.after = issuer.after;
        let tag = format!("\"{}\"", issuer.kids.join("-"));
        if issuer.tags && request.header("if-none-match").as_ref() == Some(&tag) {
            (reply.status, reply.body) = (304, Vec::new());
        }
        if issuer.tags {
            reply.headers.push(("etag".to_owned(), tag));
        }
        reply
            .headers
            .extend(issuer.cache_control.map(|value| ("cache-control".to_owned(), value.to_owned())));
        if let Some(body) = issuer.body {
            reply.body = body;
        }
        reply
    });
    (upstream.unwrap(), control)
}

fn policy(keys: &str) -> String {
    format!(
        r#"{{version: 1, telemetry: {{}}, authn: {{providers: [{{name: staff, jwt: {{
            issuer: "https://id.sluice.demo", audiences: [orders], keys: {keys}}}}}],
            rules: [{{name: open, match: {{paths: ["/open"]}}, require: none}}, {{name: rest}}]}}}}"#
    )
}

fn remote(more: &str) -> String {
    policy(&format!("{{remote: {{cluster: id, path: /keys{more}}}}}"))
}

fn gateway(policy: &str, upstream: Upstream, edit: impl FnOnce(GatewayBuilder) -> GatewayBuilder) -> Gateway {
    edit(Gateway::builder().policy(policy).further_upstream(upstream)).start().unwrap()
}

fn token(algorithm: Algorithm) -> String {
    Token::of("alice").signed_with(algorithm).sign()
}

fn request(algorithm: Algorithm) -> Request {
    Request::get("/a").bearer(&token(algorithm))
}

/// How often the issuer was asked for keys.
fn asked(gateway: &Gateway) -> usize {
    gateway.upstream_named("id").received().iter().filter(|request| request.path == "/keys").count()
}

/// Status and reason.
fn outcome(gateway: &Gateway, request: Request) -> (u16, String) {
    let answer = gateway.send(request);
    let reason = if answer.status == 200 {
        String::new()
    } else {
        answer.json()["reason"].as_str().unwrap().to_owned()
    };
    (answer.status, reason)
}

fn accepted() -> (u16, String) {
    (200, String::new())
}

fn refused(status: u16, reason: &str) -> (u16, String) {
    (status, format!("authn.{reason}"))
}

fn stat(gateway: &Gateway, name: &str) -> u64 {
    let stats = gateway.envoy().stats().unwrap();
    let found = stats.iter().find(|(known, _)| known.ends_with(name));
    found.map(|(_, value)| *value).unwrap_or_default()
}

/// Connections, until each worker has had some, each with a request that has to be accepted.
fn on_all_workers(gateway: &Gateway, workers: u32, algorithm: Algorithm) {
    let token = token(algorithm);
    wait_until("connections on every worker", LONG, || {
        let answer = gateway.new_client(Protocol::Http1).send(&Request::get("/a").bearer(&token)).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let stats = gateway.envoy().stats().unwrap();
        (0..workers).all(|worker| {
            let name = format!("worker_{worker}.downstream_cx_total");
            stats.iter().any(|(known, count)| {
                known.starts_with("listener.")
                    && !known.starts_with("listener.admin")
                    && known.ends_with(&name)
                    && *count > 0
            })
        })
    })
    .unwrap();
}

#[test]
fn keys_are_fetched_once_by_the_proxy_and_all_workers_have_them() {
    for workers in [1, 2, 4] {
        let (upstream, _control) = issuer(&[RS256, ES256]);
        let gateway = gateway(&remote(""), upstream, |builder| builder.concurrency(workers));
        on_all_workers(&gateway, workers, Algorithm::Es256);
        on_all_workers(&gateway, workers, Algorithm::Rs256);
        assert_eq!(asked(&gateway), 1, "{workers} workers");
        assert_eq!(stat(&gateway, "sluice_resource_state.resource.authn_staff"), 1);
        wait_until("the counter", LONG, || {
            stat(&gateway, "sluice_resources.resource.authn_staff.outcome.fetched") == 1
        })
        .unwrap();
    }
}

#[test]
fn keys_are_fetched_once_an_interval_whether_anybody_asks_or_not() {
    for workers in [1, 2, 4] {
        let (upstream, _control) = issuer(&[ES256]);
        let gateway = gateway(&remote(", refresh: 2s"), upstream, |builder| builder.concurrency(workers));
        let begun = Instant::now();
        on_all_workers(&gateway, workers, Algorithm::Es256);
        wait_until("six fetches", LONG, || asked(&gateway) >= 6).unwrap();
        // Each comes when at least eight tenths of two seconds are over.
        let intervals = begun.elapsed().as_millis() / 1_600;
        let most = usize::try_from(intervals).unwrap() + 2;
        assert!(asked(&gateway) <= most, "{} in {:?}, {workers} workers", asked(&gateway), begun.elapsed());
    }
}

#[test]
fn what_has_not_changed_is_confirmed_by_its_etag() {
    let (upstream, control) = issuer(&[ES256]);
    control.set(|issuer| {
        issuer.tags = true;
        issuer.cache_control = Some("max-age=1");
    });
    let gateway = gateway(&remote(", shortestRefresh: 1s"), upstream, |builder| builder.concurrency(2));
    wait_until("four fetches", LONG, || asked(&gateway) >= 4).unwrap();
    let received = gateway.upstream_named("id").received();
    let tags: Vec<_> = received.iter().map(|request| request.header("if-none-match")).collect();
    assert_eq!(tags[0], None);
    assert!(tags[1..].iter().all(|tag| tag.as_deref() == Some("\"demo-es256\"")), "{tags:?}");
    assert_eq!(outcome(&gateway, request(Algorithm::Es256)), accepted());
    wait_until("counters", LONG, || {
        stat(&gateway, "sluice_resources.resource.authn_staff.outcome.unchanged") >= 3
    })
    .unwrap();
    assert_eq!(stat(&gateway, "sluice_resources.resource.authn_staff.outcome.fetched"), 1);
    // A rotation is seen with the next fetch.
    control.set(|issuer| issuer.kids = vec![RS256]);
    wait_until("the new keys", LONG, || outcome(&gateway, request(Algorithm::Rs256)) == accepted()).unwrap();
    assert_eq!(outcome(&gateway, request(Algorithm::Es256)), refused(401, "unknown_key"));
}

#[test]
fn an_issuer_is_found_by_its_metadata() {
    let (upstream, _control) = issuer(&[ES256]);
    let gateway = gateway(&policy("{discovery: {cluster: id}}"), upstream, |builder| builder);
    assert_eq!(outcome(&gateway, request(Algorithm::Es256)), accepted());
    let received = gateway.upstream_named("id").received();
    let asked: Vec<_> =
        received.iter().map(|request| (request.path.as_str(), request.header("host").unwrap())).collect();
    let host = "id.sluice.demo".to_owned();
    assert_eq!(asked, [("/.well-known/openid-configuration", host.clone()), ("/keys", host)]);
}

#[test]
fn keys_rotate_under_load_and_no_valid_request_is_lost() {
    let (upstream, control) = issuer(&[ES256]);
    let gateway = gateway(&remote(", earlyRefresh: 1s"), upstream, |builder| builder.concurrency(2));
    assert_eq!(outcome(&gateway, request(Algorithm::Es256)), accepted());
    let old = token(Algorithm::Es256);
    std::thread::scope(|scope| {
        let mut rotated = None;
        for round in 0..6 {
            let batch = |algorithm| {
                // Each token is a new one, so that none is remembered.
                let requests: Vec<Request> = (0..40)
                    .map(|number| {
                        let token =
                            Token::of(&format!("user-{round}-{number}")).signed_with(algorithm).sign();
                        Request::get("/a").bearer(&token)
                    })
                    .collect();
                let client =
                    gateway.new_client(if round % 2 == 0 { Protocol::Http1 } else { Protocol::Http2 });
                scope.spawn(move || client.with_limit(LONG).send_all(&requests))
            };
            let before = batch(Algorithm::Es256);
            if round == 3 {
                // The next fetch may come early again.
                std::thread::sleep(Duration::from_millis(1_100));
                control.set(|issuer| {
                    issuer.kids = vec![ES256, RS256];
                    issuer.after = Duration::from_millis(300);
                });
                rotated = Some(batch(Algorithm::Rs256));
            }
            for answer in before.join().unwrap() {
                assert_eq!(answer.unwrap().status, 200);
            }
        }
        for answer in rotated.unwrap().join().unwrap() {
            let answer = answer.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    });
    assert_eq!(asked(&gateway), 2, "one early fetch for all");
    // The old key goes: what it signed is accepted no longer, though it was just before.
    let old_request = || Request::get("/a").bearer(&old);
    assert_eq!(outcome(&gateway, old_request()), accepted());
    control.set(|issuer| issuer.kids = vec![RS256]);
    wait_until("the key is gone", LONG, || {
        // A token of a key that nobody has makes it look.
        let unknown = Token::of("alice").header("kid", "made-up").sign();
        gateway.send(Request::get("/a").bearer(&unknown));
        outcome(&gateway, old_request()) == refused(401, "unknown_key")
    })
    .unwrap();
    assert_eq!(outcome(&gateway, request(Algorithm::Rs256)), accepted());
}

#[test]
fn a_flood_of_made_up_keys_does_not_reach_the_issuer() {
    let (upstream, _control) = issuer(&[ES256]);
    let gateway = gateway(&remote(", earlyRefresh: 1h"), upstream, |builder| builder.concurrency(2));
    assert_eq!(outcome(&gateway, request(Algorithm::Es256)), accepted());
    let requests: Vec<Request> = (0..2_000)
        .map(|number| Request::get("/a").bearer(&Token::of("x").header("kid", format!("k{number}")).sign()))
        .collect();
    for answer in gateway.new_client(Protocol::Http2).with_limit(LONG).send_all(&requests) {
        assert_eq!(answer.unwrap().status, 401);
    }
    assert_eq!(asked(&gateway), 1);
}

#[test]
fn an_issuer_that_is_away_is_503_with_a_time_to_come_again_and_keys_come_when_it_is_back() {
    // Before anybody can ask it.
    let (mut upstream, _control) = issuer(&[ES256]);
    upstream.stop();
    let mut gateway = gateway(&remote(""), upstream, |builder| builder.concurrency(2));
    let new = |gateway: &Gateway| outcome(gateway, request(Algorithm::Es256));
    let answer = gateway.send(request(Algorithm::Es256));
    assert_eq!((answer.status, &answer.json()["reason"]), (503, &json!("authn.keys_unavailable")));
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=5).contains(&seconds), "{seconds}");
    assert_eq!(gateway.get("/open").status, 200, "nobody else is concerned");
    gateway.upstream_mut("id").restart().unwrap();
    wait_until("keys", LONG, || new(&gateway) == accepted()).unwrap();
    gateway.envoy().log_line("the resource `authn.staff`: can't be fetched", LONG).unwrap();
}

#[test]
fn what_the_issuer_says_wrongly_never_replaces_good_keys() {
    let (upstream, control) = issuer(&[ES256]);
    let gateway = gateway(&remote(", refresh: 1s"), upstream, |builder| builder.concurrency(2));
    wait_until("keys", LONG, || outcome(&gateway, request(Algorithm::Es256)) == accepted()).unwrap();
    let huge = vec![b' '; 10 << 20];
    for (what, outcome_name, status, body) in [
        ("garbage", "unreadable", 200, Some(b"<html>".to_vec())),
        ("no keys", "unreadable", 200, Some(br#"{"keys":[]}"#.to_vec())),
        ("an error", "status", 500, None),
        ("10 MiB", "too_large", 200, Some(huge)),
    ] {
        control.set(|issuer| (issuer.status, issuer.body) = (status, body));
        let name = format!("sluice_resources.resource.authn_staff.outcome.{outcome_name}");
        let before = stat(&gateway, &name);
        wait_until(what, LONG, || stat(&gateway, &name) > before).unwrap();
        // A new token, whose signature is to be verified.
        assert_eq!(outcome(&gateway, request(Algorithm::Es256)), accepted(), "{what}");
        control.set(|issuer| (issuer.status, issuer.body) = (200, None));
        wait_until("it is back", LONG, || stat(&gateway, "sluice_resource_state.resource.authn_staff") == 1)
            .unwrap();
    }
}

#[test]
fn stale_keys_are_used_for_as_long_as_the_document_says() {
    let (upstream, _control) = issuer(&[ES256]);
    let mut gateway =
        gateway(&remote(", refresh: 1s, stale: 2s"), upstream, |builder| builder.concurrency(2));
    let known = request(Algorithm::Es256);
    assert_eq!(outcome(&gateway, known.clone()), accepted());
    gateway.upstream_mut("id").stop();
    wait_until("stale keys", LONG, || stat(&gateway, "sluice_resource_state.resource.authn_staff") == 2)
        .unwrap();
    // And then not even tokens that were verified before.
    wait_until("no keys", LONG, || outcome(&gateway, known.clone()) == refused(503, "keys_unavailable"))
        .unwrap();
    gateway.upstream_mut("id").restart().unwrap();
    wait_until("keys", LONG, || outcome(&gateway, known.clone()) == accepted()).unwrap();
}

#[test]
fn a_slow_issuer_makes_the_first_wait_and_a_flapping_one_loses_nobody() {
    let (upstream, control) = issuer(&[ES256]);
    control.set(|issuer| issuer.after = Duration::from_millis(700));
    let gateway = gateway(&remote(", refresh: 1s, timeout: 2s, within: 20s"), upstream, |builder| {
        builder.concurrency(2)
    });
    let requests = vec![request(Algorithm::Es256); 100];
    for answer in gateway.new_client(Protocol::Http2).with_limit(LONG).send_all(&requests) {
        assert_eq!(answer.unwrap().status, 200);
    }
    control.set(|issuer| issuer.after = Duration::ZERO);
    for round in 0..20 {
        control.set(|issuer| issuer.status = if round % 2 == 0 { 503 } else { 200 });
        let before = asked(&gateway);
        wait_until("a fetch", LONG, || asked(&gateway) > before).unwrap();
        assert_eq!(outcome(&gateway, request(Algorithm::Es256)), accepted(), "round {round}");
    }
}

/// A thousand wait for keys of an issuer that hangs, half of their clients leave, and the document is replaced again and again.
#[test]
fn a_thousand_that_wait_end_once_each_and_leave_nothing_behind() {
    let (upstream, control) = issuer(&[ES256]);
    control.set(|issuer| issuer.after = Duration::from_secs(2));
    let policy = remote(", timeout: 10s, within: 20s");
    let gateway = gateway(&policy, upstream, |builder| builder.ecds().concurrency(2));
    let requests = vec![request(Algorithm::Es256); 500];
    std::thread::scope(|scope| {
        let staying =
            scope.spawn(|| gateway.new_client(Protocol::Http2).with_limit(LONG).send_all(&requests));
        let leaving = scope.spawn(|| {
            gateway.new_client(Protocol::Http2).with_limit(Duration::from_millis(300)).send_all(&requests)
        });
        for generation in 0..10 {
            // Another document with the same keys.
            let policy = policy.replace("within: 20s", &format!("within: {}s", 20 + generation));
            assert!(gateway.reload(&policy).unwrap());
        }
        for answer in staying.join().unwrap() {
            let answer = answer.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let left = leaving.join().unwrap();
        assert!(left.iter().any(Result::is_err), "nobody left: the test shows nothing");
    });
    assert!(asked(&gateway) <= 12, "each document that goes hands its fetch on: {}", asked(&gateway));
    wait_until("no request is left", LONG, || {
        gateway.envoy().stat("http.gateway.downstream_rq_active").is_ok_and(|active| active == 0)
    })
    .unwrap();
    assert_eq!(gateway.envoy().stat("wasm.sluice.vm_reload").unwrap(), 0, "the VM had to be started again");
    // An idle proxy is idle.
    wait_until("an idle proxy", LONG, || {
        let before = gateway.envoy().usage().unwrap().processor;
        std::thread::sleep(Duration::from_secs(2));
        gateway.envoy().usage().unwrap().processor - before < Duration::from_millis(200)
    })
    .unwrap();
}

#[test]
fn a_new_document_has_the_keys_of_the_old_one() {
    let (upstream, _control) = issuer(&[ES256]);
    let gateway = gateway(&remote(""), upstream, |builder| builder.ecds().concurrency(2));
    on_all_workers(&gateway, 2, Algorithm::Es256);
    for generation in 0..5 {
        assert!(gateway.reload(&remote(&format!(", within: {}s", 3 + generation))).unwrap());
        assert_eq!(outcome(&gateway, request(Algorithm::Es256)), accepted());
    }
    assert_eq!(asked(&gateway), 1);
}

#[test]
fn a_cluster_that_is_not_there_fails_like_an_issuer_that_is_away() {
    let (upstream, _control) = issuer(&[ES256]);
    let policy = remote("").replace("cluster: id", "cluster: nobody");
    let gateway = gateway(&policy, upstream, |builder| builder);
    assert_eq!(outcome(&gateway, request(Algorithm::Es256)), refused(503, "keys_unavailable"));
    gateway.envoy().log_line("is there such a cluster?", LONG).unwrap();
}
