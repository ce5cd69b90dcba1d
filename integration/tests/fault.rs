//! `fault` on a real Envoy: what if.

use std::time::Duration;

use sluice_integration::{Gateway, Protocol, Request, raw, wait_until};

#[test]
fn an_abort_answers_with_its_status_and_its_reason() {
    let gateway = Gateway::with_policy(
        "{version: 1, fault: {rules: [{name: teapot, match: {headers: {x-chaos: abort}}, abort: {status: 418, percent: 100}}]}, telemetry: {}}",
    );
    assert_eq!(gateway.get("/a").status, 200);
    let answer = gateway.send(Request::get("/b").header("x-chaos", "abort"));
    assert_eq!(answer.status, 418);
    assert!(gateway.details("/b").starts_with("fault."), "{}", gateway.details("/b"));
    assert_eq!(gateway.upstream().count(), 1);
}

#[test]
fn a_delay_holds_the_request_and_then_lets_it_go_on_unchanged() {
    let gateway = Gateway::with_policy(
        "{version: 1, fault: {rules: [{name: slow, match: {paths: [/slow]}, delay: {fixed: 1s, percent: 100}}]}, telemetry: {}}",
    );
    let answer = gateway.send(Request::post("/slow", "body").header("x-a", "b"));
    assert_eq!(answer.status, 200);
    assert!(answer.took >= Duration::from_secs(1), "{:?}", answer.took);
    assert_eq!(gateway.upstream().last().body, b"body");
    assert_eq!(gateway.upstream().last().header("x-a").as_deref(), Some("b"));
    assert_eq!(gateway.get("/fast").status, 200);
    assert!(gateway.decision("/slow").contains("fault.delayed.rule:slow"), "{}", gateway.decision("/slow"));
    assert!(!gateway.decision("/fast").contains("fault"), "{}", gateway.decision("/fast"));
}

#[test]
fn a_percentage_takes_about_that_share() {
    // Envoy itself answers what is not aborted: a service that a busy machine keeps from answering is a 503 too.
    let gateway = Gateway::builder()
        .policy("{version: 1, fault: {rules: [{name: some, abort: {status: 503, percent: 30}}]}}")
        .direct_response()
        .start()
        .unwrap();
    let requests = vec![Request::get("/a"); 1000];
    let answers = gateway.new_client(Protocol::Http2).send_all(&requests);
    let aborted = answers.into_iter().filter(|answer| answer.as_ref().unwrap().status == 503).count();
    // Binomial(1000, 0.3): mean 300, standard deviation 14.5; eight of them are never left by chance.
    assert!((184..=416).contains(&aborted), "{aborted}");
}

#[test]
fn a_thousand_delayed_streams_that_end_together_are_all_answered() {
    let gateway = Gateway::with_policy(
        "{version: 1, fault: {rules: [{name: slow, match: {paths: [/slow]}, delay: {fixed: 1s, percent: 100}}, {name: gone, match: {paths: [/gone]}, delay: {fixed: 1s, percent: 100}, abort: {status: 418, percent: 100}}]}}",
    );
    for (path, status) in [("/slow", 200), ("/gone", 418)] {
        let requests = vec![Request::get(path); 1000];
        // 100 streams on each connection, as Envoy's default limit of concurrent streams allows far more.
        let answers =
            gateway.new_client(Protocol::Http2).with_limit(Duration::from_secs(120)).send_all(&requests);
        let answered = answers
            .iter()
            .filter(|answer| answer.as_ref().is_ok_and(|answer| answer.status == status))
            .count();
        assert_eq!(
            answered,
            1000,
            "{path}: {:?}",
            answers.iter().find(|answer| !answer.as_ref().is_ok_and(|a| a.status == status))
        );
    }
    assert_eq!(gateway.get("/a").status, 200);
    assert_eq!(gateway.envoy().stat("wasm.sluice.vm_reload").unwrap(), 0, "the VM had to be started again");
}

#[test]
fn a_client_that_leaves_while_it_is_delayed_leaves_nothing_behind() {
    let gateway = Gateway::with_policy(
        "{version: 1, fault: {rules: [{name: slow, match: {paths: [/slow]}, delay: {fixed: 8s, percent: 100}}]}}",
    );
    let active = |count: u64| {
        wait_until(&format!("{count} active requests"), Duration::from_secs(60), || {
            gateway.envoy().stat("http.gateway.downstream_rq_active").unwrap() == count
        })
        .unwrap();
    };
    let request = raw::request("GET", b"/slow", &[], b"");
    let leaving: Vec<_> = (0..100)
        .map(|_| {
            let mut connection = raw::Connection::open(gateway.port()).unwrap();
            connection.write(&request).unwrap();
            connection
        })
        .collect();
    active(100);
    drop(leaving);
    active(0);
    // One that came later and stays: when it is answered, the time of all others is over as well.
    assert_eq!(gateway.get("/slow").status, 200);
    assert_eq!(gateway.upstream().count(), 1, "a request was let go on after its client had left");
    active(0);
}

#[test]
fn an_answer_whose_status_has_no_content_has_none_on_the_wire() {
    let statuses = [200, 204, 205, 304, 404];
    let rules: Vec<String> = statuses
        .iter()
        .map(|status| format!("{{name: s{status}, match: {{paths: [/{status}]}}, abort: {{status: {status}, percent: 100}}}}"))
        .collect();
    let gateway = Gateway::with_policy(&format!("{{version: 1, fault: {{rules: [{}]}}}}", rules.join(", ")));
    for protocol in [Protocol::Http1, Protocol::Http2] {
        // One connection for all: whatever is left over on it would be taken for the next answer.
        let client = gateway.new_client(protocol);
        for status in statuses {
            for method in ["GET", "HEAD", "POST"] {
                let answer = client.send(&Request::new(method, &format!("/{status}"))).unwrap();
                let what = format!("{protocol:?} {method} {status}: {:?}", answer.headers);
                assert_eq!(answer.status, status, "{what}");
                let content = ![204, 205, 304].contains(&status);
                assert_eq!(!answer.body.is_empty(), content && method != "HEAD", "{what}");
                assert_eq!(answer.header("content-type").is_some(), content, "{what}");
                let length = answer.header("content-length");
                match status {
                    // RFC 9110 §8.6: not with 204; with 304, only what a 200 would have.
                    204 | 304 => assert_eq!(length, None, "{what}"),
                    // §15.3.6: no content, and that may be said.
                    205 => assert!(matches!(length, None | Some("0")), "{what}"),
                    _ => assert_ne!(length, Some("0"), "{what}"),
                }
            }
        }
    }
}
