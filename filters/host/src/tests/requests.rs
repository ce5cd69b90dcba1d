//! How a request passes through, and what becomes of it where the host fails.

use super::*;
use crate::calls::LogLevel;

fn answers() -> Vec<(u32, u16, String, Vec<u8>)> {
    stand_in::with(|host| std::mem::take(&mut host.answers))
}

#[test]
fn an_empty_document_costs_no_host_call() {
    let plugin = plugin(r#"{ "version": 1 }"#);
    assert!(plugin.is_idle());
    let (mut stream, flow) = send(&plugin, 2, "/");
    stream.on_response_headers();
    stream.on_log();
    drop(stream);
    assert_eq!(flow, Flow::Continue);
    stand_in::with(|host| assert!(host.called.is_empty(), "{:?}", host.called));
}

#[test]
fn an_answer_names_its_reason_everywhere() {
    let plugin = plugin(DOCUMENT);
    let (mut stream, flow) = send(&plugin, 2, "/abort");
    assert_eq!(flow, Flow::Pause);
    let answers = answers();
    let [(2, 503, details, body)] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!(details, "fault.aborted.rule:abort");
    assert!(String::from_utf8_lossy(body).contains(r#""reason":"fault.aborted.rule:abort""#), "{body:?}");
    stand_in::with(|host| {
        let published = host.properties.get("sluice.decision").unwrap();
        assert_eq!(published, b"denied:fault.aborted.rule:abort");
        host.properties.insert("response\0code".to_owned(), 503_i64.to_le_bytes().to_vec());
    });
    stream.on_log();
    assert!(tick(&plugin));
    assert_eq!(counter("sluice_decisions.section.fault.outcome.denied.reason.aborted.rule:abort"), 1);
    assert_eq!(counter("sluice_requests.code_class.5xx"), 1);
}

#[test]
fn at_debug_each_decision_is_told_without_what_may_be_secret() {
    let plugin = plugin(DOCUMENT);
    let lines = || stand_in::with(|host| std::mem::take(&mut host.lines));
    send(&plugin, 2, "/canary?token=secret");
    lines();
    stand_in::with(|host| host.log_level = Some(1));
    crate::logger::follow_level();
    send(&plugin, 3, "/canary?token=secret");
    send(&plugin, 4, "/abort\n?token=secret");
    send(&plugin, 5, "/abort?token=secret");
    let told: Vec<String> = lines().into_iter().map(|(_, line)| line).collect();
    assert_eq!(
        told,
        [
            "sluice: GET api.example.com/canary: goes on, changed routing.routed.rule:canary.to:canary, sets x-sluice-cluster",
            "sluice: GET api.example.com/abort\\n: answered 400, denied request.ambiguous_path",
            "sluice: GET api.example.com/abort: answered 503, allowed routing.default, denied fault.aborted.rule:abort",
        ]
    );
}

#[test]
fn counts_wait_for_the_timer_which_then_stops() {
    let plugin = plugin(DOCUMENT);
    for context in 2..12 {
        send(&plugin, context, "/abort").0.on_log();
    }
    let name = "sluice_decisions.section.fault.outcome.denied.reason.aborted.rule:abort";
    assert_eq!(counter(name), 0);
    assert_eq!(stand_in::with(|host| host.tick_changes), 1, "one timer for all");
    assert!(tick(&plugin));
    assert_eq!(counter(name), 10);
    assert!(!tick(&plugin), "idle, so off");
}

#[test]
fn headers_that_only_the_policy_may_write_are_removed_and_set() {
    let plugin = plugin(DOCUMENT);
    for (path, sent, arrives) in [
        ("/", Some("victim"), None),
        ("/", None, None),
        ("/canary", Some("victim"), Some("canary")),
        ("/canary", None, Some("canary")),
    ] {
        let sent: Vec<_> = sent.map(|value| ("x-sluice-cluster", value)).into_iter().collect();
        stand_in::with(|host| host.request = request(path, &sent));
        assert_eq!(Stream::new(2, Rc::clone(&plugin)).on_request_headers(), Flow::Continue);
        let arrived = stand_in::with(|host| {
            let found = host.request.iter().filter(|(name, _)| name == b"x-sluice-cluster");
            found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect::<Vec<_>>()
        });
        assert_eq!(arrived, Vec::from_iter(arrives), "{path} {sent:?}");
    }
}

#[test]
fn a_request_whose_forged_header_stays_does_not_go_on() {
    let plugin = plugin(DOCUMENT);
    stand_in::with(|host| {
        host.request = request("/", &[("x-sluice-cluster", "victim")]);
        host.failing.insert("remove_header");
    });
    let mut stream = Stream::new(2, Rc::clone(&plugin));
    assert_eq!(stream.on_request_headers(), Flow::Pause);
    let answers = answers();
    assert!(matches!(answers.as_slice(), [(_, 500, details, _)] if details == "host.headers_unchangeable"));
}

#[test]
fn trailers_pass_but_for_those_that_the_document_protects() {
    let plugin = plugin(DOCUMENT);
    for (failing, flow) in
        [(None, Flow::Continue), (Some("header_pairs"), Flow::Pause), (Some("remove_header"), Flow::Pause)]
    {
        stand_in::with(|host| {
            host.request = request("/", &[]);
            host.trailers = [("grpc-status", "0"), ("x-sluice-cluster", "a"), ("x.sluice_subset", "b")]
                .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
                .to_vec();
        });
        let mut stream = Stream::new(2, Rc::clone(&plugin));
        assert_eq!(stream.on_request_headers(), Flow::Continue);
        stand_in::with(|host| host.failing.extend(failing));
        assert_eq!(stream.on_request_trailers(), flow, "{failing:?}");
        let left = stand_in::with(|host| {
            host.failing.clear();
            host.trailers
                .iter()
                .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
                .collect::<Vec<_>>()
        });
        assert_eq!(left == ["grpc-status"], flow == Flow::Continue, "{left:?}");
        assert_eq!(answers().len(), usize::from(flow == Flow::Pause));
    }
}

#[test]
fn trailers_do_not_let_a_waiting_request_go() {
    let plugin = plugin(DOCUMENT);
    let (mut stream, flow) = send(&plugin, 2, "/delay");
    assert_eq!((flow, stream.on_request_trailers()), (Flow::Pause, Flow::Pause));
}

#[test]
fn headers_that_cannot_be_read_are_answered() {
    let plugin = plugin(DOCUMENT);
    for raw in [b"\x01".to_vec(), vec![0xff; 64]] {
        stand_in::with(|host| host.raw_request = Some(raw));
        assert_eq!(Stream::new(2, Rc::clone(&plugin)).on_request_headers(), Flow::Pause);
    }
    stand_in::with(|host| host.failing.insert("header_pairs"));
    assert_eq!(Stream::new(2, Rc::clone(&plugin)).on_request_headers(), Flow::Pause);
    let answers = answers();
    assert_eq!(answers.len(), 3);
    for (_, status, details, _) in answers {
        assert_eq!((status, details.as_str()), (500, "host.headers_unreadable"));
    }
    tick(&plugin);
    assert_eq!(counter("sluice_host_events.event.headers_unreadable"), 3);
    let faults =
        stand_in::with(|host| host.lines.iter().filter(|(level, _)| *level == LogLevel::Error).count());
    assert_eq!(faults, 1, "one line a minute");
}

#[test]
fn no_single_failing_call_makes_a_request_hang() {
    let calls = [
        "unix_nanoseconds",
        "monotonic_nanoseconds",
        "set_tick_period",
        "header_pairs",
        "add_header",
        "replace_header",
        "remove_header",
        "send_local_response",
        "set_property",
        "define_counter",
        "increment_counter",
        "call_foreign_function",
        "log",
        "fill_random",
        "property",
        "shared_data",
        "set_shared_data",
        "continue_request",
        "close_request",
        "http_call",
        "grpc_call",
        "http_call_body",
        "grpc_message",
    ];
    for call in calls {
        for path in ["/", "/abort", "/delay", "/both", "/canary"] {
            let plugin = plugin(DOCUMENT);
            stand_in::with(|host| host.failing.insert(call));
            let (stream, flow) = send(&plugin, 2, path);
            for _ in 0..3 {
                tick(&plugin);
            }
            let settled =
                stand_in::with(|host| host.answers.len() + host.continued.len() + host.closed.len());
            match flow {
                Flow::Continue => assert_eq!(settled, 0, "{call} {path}"),
                Flow::Pause => assert_eq!(settled, 1, "{call} {path}"),
            }
            drop(stream);
        }
    }
}

#[test]
fn a_waiting_request_that_cannot_be_turned_to_is_tried_again() {
    let plugin = plugin(DOCUMENT);
    let (_stream, _) = send(&plugin, 7, "/both");
    stand_in::with(|host| host.failing.insert("set_effective_context"));
    for _ in 0..3 {
        assert!(tick(&plugin));
    }
    assert!(answers().is_empty());
    stand_in::with(|host| host.failing.clear());
    assert!(tick(&plugin));
    assert_eq!(answers().len(), 1);
    assert_eq!(plugin.waiting(), (0, 0));
}
