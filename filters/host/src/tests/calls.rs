//! Requests that wait for the answers of clusters.

use super::*;
use crate::callouts::{GRACE, MOST_IN_FLIGHT};

const COMPOSED: &str = r#"{ "version": 1, "compose": { "rules": [{
    "name": "page", "match": { "paths": ["/page"] }, "within": "1s",
    "parts": { "a": { "cluster": "one", "path": "/a" }, "b": { "cluster": "two", "path": "/b", "optional": true } }
}] } }"#;

/// The host tells of an answer with this status and body, by its number.
fn answer(plugin: &Plugin, token: u32, status: &str, body: &str) {
    stand_in::with(|host| {
        host.answer = (vec![(b":status".to_vec(), status.as_bytes().to_vec())], body.as_bytes().to_vec());
    });
    plugin.on_http_answer(token, 1, body.len());
}

fn answers() -> Vec<(u32, u16, String, String)> {
    let answers = stand_in::with(|host| std::mem::take(&mut host.answers));
    let text = |body: Vec<u8>| String::from_utf8(body).unwrap();
    answers
        .into_iter()
        .map(|(context, status, details, body)| (context, status, details, text(body)))
        .collect()
}

/// All tables of the plugin are empty.
fn assert_at_rest(plugin: &Plugin) {
    assert_eq!(plugin.waiting(), (0, 0));
}

#[test]
fn a_request_waits_for_all_answers_and_is_then_answered_once() {
    let plugin = plugin(COMPOSED);
    let (_stream, flow) = send(&plugin, 7, "/page");
    assert_eq!(flow, Flow::Pause);
    assert_eq!(plugin.waiting(), (1, 2));
    answer(&plugin, 2, "200", "2");
    assert!(answers().is_empty());
    answer(&plugin, 1, "200", "1");
    let [(7, 200, details, body)] = &answers()[..] else { panic!() };
    assert_eq!((details.as_str(), body.as_str()), ("compose.composed.rule:page", r#"{"a":1,"b":2}"#));
    // Twice told is once told.
    answer(&plugin, 1, "200", "1");
    assert!(answers().is_empty());
    assert_at_rest(&plugin);
    tick(&plugin);
    assert_eq!(counter("sluice_callouts.cluster.one.outcome.answered"), 1);
    assert_eq!(counter("sluice_decisions.section.compose.outcome.answered.reason.composed.rule:page"), 1);
}

#[test]
fn other_paths_wait_for_nothing() {
    let plugin = plugin(COMPOSED);
    assert_eq!(send(&plugin, 7, "/other").1, Flow::Continue);
    assert!(stand_in::with(|host| host.sent.is_empty()));
}

#[test]
fn a_client_that_leaves_takes_its_wait_along_and_the_answers_find_nobody() {
    let plugin = plugin(COMPOSED);
    let (stream, _) = send(&plugin, 7, "/page");
    drop(stream);
    assert_eq!(plugin.waiting(), (0, 2));
    answer(&plugin, 1, "200", "1");
    answer(&plugin, 2, "200", "1");
    assert!(answers().is_empty());
    assert_at_rest(&plugin);
}

#[test]
fn a_call_that_the_host_never_ends_is_given_up() {
    let plugin = plugin(COMPOSED);
    let (_stream, _) = send(&plugin, 7, "/page");
    answer(&plugin, 2, "200", "2");
    stand_in::with(|host| host.now += SECOND + GRACE);
    plugin.on_tick();
    assert_eq!(answers()[0].1, 504);
    assert_at_rest(&plugin);
    assert_eq!(stand_in::with(|host| host.tick_period), Some(1_000), "counts wait, nothing else");
}

#[test]
fn failures_of_the_proxy_are_no_answers_of_the_service() {
    for (status, body, expected) in [
        ("503", "no healthy upstream", 502),
        ("503", "upstream connect error or disconnect/reset before headers. reset reason: …", 502),
        ("504", "upstream request timeout", 504),
        ("503", "we are closed", 502),
        ("404", "{}", 404),
        ("abc", "{}", 502),
    ] {
        let plugin = plugin(COMPOSED);
        let (_stream, _) = send(&plugin, 7, "/page");
        answer(&plugin, 2, "200", "2");
        answer(&plugin, 1, status, body);
        assert_eq!(answers()[0].1, expected, "{status} {body}");
        assert_at_rest(&plugin);
    }
    // Without headers it has failed; a timeout is known by the time it took.
    for (passed, expected) in [(0, 502), (SECOND, 504)] {
        let plugin = plugin(COMPOSED);
        let (_stream, _) = send(&plugin, 7, "/page");
        answer(&plugin, 2, "200", "2");
        stand_in::with(|host| host.now += passed);
        plugin.on_http_answer(1, 0, 0);
        assert_eq!(answers()[0].1, expected);
    }
}

#[test]
fn an_answer_that_is_too_large_is_not_read() {
    let plugin = plugin(COMPOSED);
    let (_stream, _) = send(&plugin, 7, "/page");
    answer(&plugin, 2, "200", "2");
    plugin.on_http_answer(1, 1, (4 << 20) + 1);
    assert_eq!(answers()[0].1, 502);
}

#[test]
fn where_no_call_can_be_made_the_request_is_decided_at_once() {
    let plugin = plugin(COMPOSED);
    stand_in::with(|host| host.failing.insert("http_call"));
    let (_stream, flow) = send(&plugin, 7, "/page");
    assert_eq!(flow, Flow::Pause);
    assert_eq!(answers()[0].1, 502);
    assert_at_rest(&plugin);
}

#[test]
fn beyond_the_bound_of_a_cluster_no_call_is_made() {
    let plugin = plugin(COMPOSED);
    let streams: Vec<_> = (0..MOST_IN_FLIGHT).map(|context| send(&plugin, context, "/page").0).collect();
    let (_more, _) = send(&plugin, MOST_IN_FLIGHT, "/page");
    assert_eq!(answers()[0].1, 503);
    drop(streams);
}

#[test]
fn a_request_goes_on_with_its_own_policy_after_an_update() {
    let plugin = plugin(COMPOSED);
    let (_stream, _) = send(&plugin, 7, "/page");
    stand_in::with(|host| host.configuration = br#"{ "version": 1 }"#.to_vec());
    assert!(plugin.on_configure());
    answer(&plugin, 1, "200", "1");
    answer(&plugin, 2, "200", "1");
    assert_eq!(answers()[0].1, 200);
    tick(&plugin);
    assert_eq!(counter("sluice_decisions.section.compose.outcome.answered.reason.composed.rule:page"), 1);
}

/// A step of what may happen to some requests.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Arrives,
    /// The n-th call that is under way is answered, fails, or is answered twice.
    Answered(usize, bool),
    Twice(usize),
    Leaves(usize),
    Passes(u64),
    Ticks,
    Updated,
    /// The n-th client's stream goes without the module being told.
    Vanishes(usize),
}

fn happening() -> impl proptest::strategy::Strategy<Value = Happening> {
    use proptest::prelude::*;
    prop_oneof![
        3 => Just(Happening::Arrives),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(call, fine)| Happening::Answered(call, fine)),
        1 => any::<usize>().prop_map(Happening::Twice),
        2 => any::<usize>().prop_map(Happening::Leaves),
        2 => (0_u64..2_500).prop_map(Happening::Passes),
        2 => Just(Happening::Ticks),
        1 => Just(Happening::Updated),
        1 => any::<usize>().prop_map(Happening::Vanishes),
    ]
}

proptest::proptest! {
    /// Whatever happens in whatever order: each request ends exactly once, and all tables end empty.
    #[test]
    fn each_request_ends_once_and_nothing_is_left(
        happenings in proptest::collection::vec(happening(), 1..60),
    ) {
        let document = COMPOSED.replace(
            r#""compose""#,
            r#""fault": { "rules": [{ "name": "slow", "match": { "headers": { "x-slow": "1" } }, "delay": { "fixed": "100ms", "percent": 100 } }] }, "compose""#,
        );
        let plugin = plugin(&document);
        let mut streams: Vec<(u32, Option<Stream>)> = Vec::new();
        let mut told: std::collections::HashSet<u32> = std::collections::HashSet::new();
        let mut vanished: std::collections::HashSet<u32> = std::collections::HashSet::new();
        let pick = |number: usize, of: usize| number.checked_rem(of);
        for happening in happenings {
            let sent = stand_in::with(|host| host.sent.len());
            match happening {
                Happening::Arrives => {
                    let context = u32::try_from(streams.len()).unwrap() + 10;
                    stand_in::with(|host| {
                        let slow: &[(&str, &str)] = if context % 2 == 0 { &[("x-slow", "1")] } else { &[] };
                        host.request = request("/page", slow);
                        host.effective = context;
                    });
                    let mut stream = Stream::new(context, Rc::clone(&plugin));
                    stream.on_request_headers();
                    streams.push((context, Some(stream)));
                }
                Happening::Answered(number, fine) => {
                    let open: Vec<u32> = (1..=u32::try_from(sent).unwrap()).filter(|token| !told.contains(token)).collect();
                    if let Some(token) = pick(number, open.len()).map(|position| open[position]) {
                        told.insert(token);
                        if fine { answer(&plugin, token, "200", "1") } else { plugin.on_http_answer(token, 0, 0) }
                    }
                }
                Happening::Twice(number) => {
                    if let Some(token) = pick(number, sent) {
                        let token = u32::try_from(token).unwrap() + 1;
                        told.insert(token);
                        answer(&plugin, token, "200", "1");
                        answer(&plugin, token, "200", "1");
                    }
                }
                Happening::Leaves(number) => {
                    if let Some(position) = pick(number, streams.len()) {
                        streams[position].1 = None;
                    }
                }
                Happening::Vanishes(number) => {
                    if let Some(position) = pick(number, streams.len()) {
                        let context = streams[position].0;
                        vanished.insert(context);
                        stand_in::with(|host| host.gone.insert(context));
                    }
                }
                Happening::Passes(milliseconds) => stand_in::with(|host| host.now += milliseconds * MILLISECOND),
                Happening::Ticks => plugin.on_tick(),
                Happening::Updated => {
                    stand_in::with(|host| host.configuration = document.as_bytes().to_vec());
                    assert!(plugin.on_configure());
                }
            }
        }
        // The host ends what it began; what it lost is given up.
        for _ in 0..10 {
            stand_in::with(|host| host.now += 3 * SECOND);
            plugin.on_tick();
        }
        let ended: Vec<u32> = stand_in::with(|host| {
            host.answers.iter().map(|(context, ..)| *context).chain(host.continued.iter().copied()).collect()
        });
        for (context, stream) in &streams {
            let times = ended.iter().filter(|ended| *ended == context).count();
            let must = usize::from(stream.is_some() && !vanished.contains(context));
            assert!(times <= 1 && times >= must, "{context}: {times}");
        }
        assert_eq!(plugin.waiting(), (0, 0));
    }
}
