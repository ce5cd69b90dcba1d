//! `rateLimit` on a real Envoy: exact over all workers, and told to the client.

use std::net::Ipv4Addr;
use std::time::Duration;

use sluice_integration::tokens::{self, Token};
use sluice_integration::{Client, Gateway, Protocol, Reply, Request, Upstream, wait_until};

#[test]
fn the_burst_is_served_and_the_rest_is_told_when_to_come_back() {
    let gateway = Gateway::with_policy(
        "{version: 1, rateLimit: {rules: [{name: per-tenant, key: [header.x-tenant], limit: 6/h, burst: 3}]}, telemetry: {}}",
    );
    let call = |path: &str, tenant: &str| gateway.send(Request::get(path).header("x-tenant", tenant));
    for _ in 0..3 {
        let answer = call("/a", "one");
        assert_eq!(answer.status, 200);
        assert!(answer.header("ratelimit").is_some(), "{:?}", answer.headers);
    }
    let refused = call("/refused", "one");
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=600).contains(&wait), "{wait}");
    assert!(refused.header("ratelimit").unwrap().contains("r=0"), "{:?}", refused.headers);
    assert!(refused.header("ratelimit-policy").unwrap().contains("per-tenant"), "{:?}", refused.headers);
    assert_eq!(gateway.details("/refused"), "rate_limit.exceeded.rule:per-tenant");
    // Another key has its own.
    assert_eq!(call("/a", "two").status, 200);
    assert_eq!(gateway.upstream().count(), 4);
}

#[test]
fn time_gives_back_what_was_used() {
    let gateway = Gateway::with_policy(
        "{version: 1, rateLimit: {rules: [{name: all, key: [client.address], limit: 30/min, burst: 1}]}}",
    );
    // One every two seconds: on a slow machine several may pass before one comes too soon.
    for status in [200, 429, 200] {
        wait_until(&status.to_string(), Duration::from_secs(60), || gateway.get("/a").status == status)
            .unwrap();
    }
}

#[test]
fn two_workers_together_let_exactly_the_burst_through() {
    let gateway = Gateway::builder()
        .policy(
            "{version: 1, rateLimit: {rules: [{name: all, key: [header.x-tenant], limit: 1/h, burst: 100}]}}",
        )
        .concurrency(2)
        .start()
        .unwrap();
    // Many connections, so that both workers get some; HTTP/2 would keep to one.
    let requests: Vec<Request> = (0..400).map(|_| Request::get("/a").header("x-tenant", "t")).collect();
    let mut statuses: Vec<u16> = Vec::new();
    for client in (0..4).map(|_| gateway.new_client(Protocol::Http1)) {
        statuses.extend(client.send_all(&requests[..100]).into_iter().map(|answer| answer.unwrap().status));
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 100);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 300);
}

#[test]
fn a_flood_on_all_workers_at_once_gets_exactly_the_burst_of_every_key() {
    let gateway = Gateway::builder()
        .policy(
            "{version: 1, rateLimit: {rules: [{name: all, key: [header.x-tenant], limit: 1/h, burst: 200, slots: 1}]}}",
        )
        .concurrency(2)
        .start()
        .unwrap();
    // Both keys lie in one slot, which no worker has made yet.
    let passed = |tenant: &str| {
        let requests: Vec<Request> =
            (0..150).map(|_| Request::get("/a").header("x-tenant", tenant)).collect();
        let client = gateway.new_client(Protocol::Http1);
        let statuses = client.send_all(&requests).into_iter().map(|answer| answer.unwrap().status);
        statuses.filter(|status| *status == 200).count()
    };
    std::thread::scope(|scope| {
        let floods: Vec<_> = ["one", "two", "one", "two"]
            .into_iter()
            .map(|tenant| scope.spawn(move || (0..2).map(|_| passed(tenant)).sum::<usize>()))
            .collect();
        let passed: Vec<usize> = floods.into_iter().map(|flood| flood.join().unwrap()).collect();
        assert_eq!((passed[0] + passed[2], passed[1] + passed[3]), (200, 200), "{passed:?}");
    });
}

#[test]
fn the_clients_address_is_the_connections_whatever_it_writes() {
    let gateway = Gateway::with_policy(
        "{version: 1, client: {address: {peerHeader: x-sluice-peer}}, rateLimit: {rules: [{name: a, key: [client.address], limit: 1/h, burst: 1}]}}",
    );
    let (one, two) = (Ipv4Addr::new(127, 0, 0, 5), Ipv4Addr::new(127, 0, 0, 6));
    let from = |address, request: &Request| {
        Client::from_address(address, gateway.port()).send(request).unwrap().status
    };
    assert_eq!(from(one, &Request::get("/a")), 200);
    assert_eq!(from(two, &Request::get("/a")), 200);
    for header in ["x-forwarded-for", "x-sluice-peer", "x-real-ip"] {
        assert_eq!(from(one, &Request::get("/a").header(header, "10.1.2.3")), 429, "{header}");
    }
}

#[test]
fn a_claim_is_a_key_once_it_is_proven() {
    let policy = format!(
        r#"
version: 1
authn:
  providers:
    - name: staff
      jwt: {{ issuer: "https://id.sluice.demo", audiences: [orders], keys: {{ inline: {} }} }}
  rules: [{{ name: all, require: {{ any: [staff] }} }}]
rateLimit:
  rules: [{{ name: per-team, key: [identity.claims.team], limit: 1/h, burst: 2 }}]
"#,
        tokens::key_set(false)
    );
    let gateway = Gateway::with_policy(&policy);
    let call = |user: &str, team: &str| {
        gateway.send(Request::get("/a").bearer(&Token::of(user).claim("team", team).sign())).status
    };
    assert_eq!([call("a", "red"), call("b", "red"), call("c", "red")], [200, 200, 429]);
    assert_eq!(call("a", "blue"), 200);
    // Who proves nothing is refused before anything is counted.
    assert_eq!(gateway.get("/a").status, 401);
}

#[test]
fn a_tolerance_lets_no_more_through_at_once_than_the_page_says() {
    let gateway = Gateway::builder()
        .policy(
            "{version: 1, rateLimit: {headers: false, rules: [{name: all, limit: 100/h, burst: 100, tolerance: 5}]}}",
        )
        .concurrency(4)
        .direct_response()
        .start()
        .unwrap();
    let passed = std::thread::scope(|scope| {
        let floods: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let requests = vec![Request::get("/"); 40];
                    let answers = gateway.new_client(Protocol::Http1).send_all(&requests);
                    answers.into_iter().filter(|answer| answer.as_ref().unwrap().status == 200).count()
                })
            })
            .collect();
        floods.into_iter().map(|flood| flood.join().unwrap()).sum::<usize>()
    });
    // A bucket, and what the rate gives within the test and three minutes, a lease's life; a unit comes every 36 seconds. What workers hold
    // when the bucket is empty may go unused, four of them up to five units each.
    assert!((80..=107).contains(&passed), "{passed}");
}

/// Envoy runs all filters again for the request that it makes of a redirect, and no filter can tell it from a client's: the page says that it
/// is counted again.
#[test]
fn an_internal_redirect_is_counted_twice_as_the_page_says() {
    let upstream = Upstream::answering("upstream", |received| {
        let mut reply = Reply { status: 200, headers: Vec::new(), body: Vec::new(), after: Duration::ZERO };
        if received.path == "/old" {
            reply.status = 302;
            reply.headers.push(("location".to_owned(), "http://localhost/new".to_owned()));
        }
        reply
    })
    .unwrap();
    let gateway = Gateway::builder()
        .policy("{version: 1, rateLimit: {rules: [{name: all, limit: 4/h}]}}")
        .upstream(upstream)
        .edit(|bootstrap| {
            let manager =
                &mut bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0];
            let routes =
                manager["typed_config"]["route_config"]["virtual_hosts"][0]["routes"].as_array_mut().unwrap();
            for route in routes {
                if let Some(action) = route.get_mut("route") {
                    action["internal_redirect_policy"] = serde_json::json!({ "max_internal_redirects": 1 });
                }
            }
        })
        .start()
        .unwrap();
    let call = |path: &str| gateway.send(Request::get(path).header("host", "localhost")).status;
    assert_eq!((call("/old"), gateway.upstream().last().path.as_str()), (200, "/new"));
    assert_eq!([call("/new"), call("/new"), call("/new")], [200, 200, 429]);
}
