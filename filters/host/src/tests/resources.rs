//! Shared resources: several workers' plugins on one host, shown by the keys of an issuer.

use super::*;
use crate::callouts::GRACE;
use crate::waits::{MOST_FOR_NEWER, MOST_RELEASED};
use sluice_core::decision::wait::Call;

/// A token of this issuer that names the key `a`; its signature is nobody's. `{"alg":"ES256","kid":"a"}`,
/// `{"iss":"https://id.example.com"}`.
const TOKEN: &str = concat!(
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY29tIn0.",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
);

const DOCUMENT: &str = r#"{ "version": 1, "authn": { "providers": [{ "name": "staff", "jwt": {
    "issuer": "https://id.example.com", "anyAudience": true,
    "keys": { "remote": { "cluster": "id", "path": "/keys", "refresh": "100s" } }
} }] } }"#;

/// The key `a`: that of RFC 7515 §A.3.
fn keys(kid: &str) -> String {
    format!(
        r#"{{"keys":[{{"kty":"EC","kid":"{kid}","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}}]}}"#
    )
}

/// Workers of one proxy, on a fresh host.
fn workers(count: usize) -> Vec<Rc<Plugin>> {
    let configuration = DOCUMENT.as_bytes().to_vec();
    stand_in::install(StandIn { configuration, now: SECOND, ..StandIn::default() });
    (0..count)
        .map(|_| {
            let plugin = Rc::new(Plugin::default());
            assert!(plugin.on_configure(), "{:?}", stand_in::with(|host| host.lines.clone()));
            plugin
        })
        .collect()
}

fn worker() -> Rc<Plugin> {
    workers(1).remove(0)
}

fn pass(milliseconds: u64) {
    stand_in::with(|host| host.now += milliseconds * MILLISECOND);
}

/// A request with [`TOKEN`].
fn show(plugin: &Rc<Plugin>, context: u32) -> (Stream, Flow) {
    stand_in::with(|host| {
        host.request = request("/", &[("authorization", &format!("Bearer {TOKEN}"))]);
        host.effective = context;
    });
    let mut stream = Stream::new(context, Rc::clone(plugin));
    let flow = stream.on_request_headers();
    (stream, flow)
}

fn sent() -> u32 {
    stand_in::with(|host| u32::try_from(host.sent.len()).unwrap())
}

fn answer(plugin: &Plugin, token: u32, status: &str, body: &str) {
    stand_in::with(|host| {
        host.answer = (vec![(b":status".to_vec(), status.as_bytes().to_vec())], body.as_bytes().to_vec());
    });
    plugin.on_http_answer(token, 1, body.len());
}

/// The answers since the last call: context, status, details.
fn answers() -> Vec<(u32, u16, String)> {
    let answers = stand_in::with(|host| std::mem::take(&mut host.answers));
    answers.into_iter().map(|(context, status, details, _)| (context, status, details)).collect()
}

fn gauge(name: &str) -> Option<u64> {
    stand_in::with(|host| host.gauges.get(&format!("{name}.resource.authn_staff")).copied())
}

#[test]
fn keys_are_fetched_before_anybody_asks_and_not_while_a_configuration_is_only_tried() {
    let plugin = worker();
    assert_eq!((sent(), plugin.fetching()), (0, (1, 0)));
    assert_eq!(stand_in::with(|host| host.tick_period), Some(1));
    assert!(tick(&plugin));
    assert_eq!((sent(), plugin.fetching()), (1, (1, 1)));
    answer(&plugin, 1, "200", &keys("a"));
    assert_eq!(plugin.fetching(), (1, 0));
    let (_stream, flow) = show(&plugin, 7);
    assert_eq!(flow, Flow::Pause);
    assert_eq!(answers(), [(7, 401, "authn.signature_invalid".to_owned())], "it did not have to wait");
    // The counts are handed over, and then there is nothing to do for a long time.
    tick(&plugin);
    let period = stand_in::with(|host| host.tick_period).unwrap();
    assert!((75_000..=90_000).contains(&period), "{period}");
    assert_eq!(counter("sluice_resources.resource.authn_staff.outcome.fetched"), 1);
    assert_eq!(counter("sluice_callouts.cluster.id.outcome.answered"), 1);
    assert_eq!(
        (gauge("sluice_resource_state"), gauge("sluice_resource_fetched_timestamp_seconds")),
        (Some(1), Some(1))
    );
    assert_eq!(gauge("sluice_resource_bytes"), Some(keys("a").len() as u64));
}

#[test]
fn one_worker_fetches_for_all_and_those_who_wait_go_on_everywhere() {
    let workers = workers(4);
    let streams: Vec<_> = workers.iter().zip(7..).map(|(plugin, context)| show(plugin, context)).collect();
    assert!(streams.iter().all(|(_, flow)| *flow == Flow::Pause));
    pass(1);
    workers.iter().for_each(|plugin| plugin.on_tick());
    assert_eq!(sent(), 1);
    assert!(answers().is_empty());
    answer(&workers[0], 1, "200", &keys("a"));
    pass(20);
    workers.iter().for_each(|plugin| plugin.on_tick());
    let mut answered = answers();
    answered.sort();
    let expected: Vec<_> =
        (7..11).map(|context| (context, 401, "authn.signature_invalid".to_owned())).collect();
    assert_eq!(answered, expected);
    for plugin in &workers {
        assert_eq!((plugin.waiting(), plugin.fetching()), ((0, 0), (1, 0)));
    }
    // And at the next time again only one.
    pass(95_000);
    workers.iter().for_each(|plugin| plugin.on_tick());
    assert_eq!(sent(), 2);
}

#[test]
fn who_waits_is_answered_when_its_time_is_over_and_what_comes_later_finds_nobody() {
    let plugin = worker();
    let (_stream, _) = show(&plugin, 7);
    tick(&plugin);
    pass(1_998);
    plugin.on_tick();
    assert!(answers().is_empty());
    pass(2);
    plugin.on_tick();
    assert_eq!(answers(), [(7, 503, "authn.keys_unavailable".to_owned())]);
    answer(&plugin, 1, "200", &keys("a"));
    assert!(answers().is_empty());
    assert_eq!((plugin.waiting(), plugin.fetching()), ((0, 0), (1, 0)));
    let (_stream, _) = show(&plugin, 8);
    assert_eq!(answers(), [(8, 401, "authn.signature_invalid".to_owned())]);
}

#[test]
fn a_first_asker_that_leaves_strands_nobody() {
    let plugin = worker();
    let (first, _) = show(&plugin, 7);
    tick(&plugin);
    let (_second, _) = show(&plugin, 8);
    drop(first);
    answer(&plugin, 1, "200", &keys("a"));
    tick(&plugin);
    assert_eq!(answers(), [(8, 401, "authn.signature_invalid".to_owned())]);
    // All leave, and it is fetched all the same.
    let plugin = worker();
    drop(show(&plugin, 7));
    tick(&plugin);
    answer(&plugin, 1, "200", &keys("a"));
    answer(&plugin, 1, "200", &keys("a"));
    assert_eq!((plugin.waiting(), plugin.fetching(), answers().len()), ((0, 0), (1, 0), 0));
}

#[test]
fn a_thousand_that_wait_are_released_in_portions() {
    let plugin = worker();
    let streams: Vec<_> = (0..1_000).map(|context| show(&plugin, context).0).collect();
    tick(&plugin);
    assert_eq!(sent(), 1);
    answer(&plugin, 1, "200", &keys("a"));
    let mut answered = Vec::new();
    while plugin.waiting().0 > 0 {
        assert!(tick(&plugin));
        let portion = answers();
        assert!(portion.len() <= MOST_RELEASED);
        answered.extend(portion.into_iter().map(|(context, ..)| context));
    }
    answered.sort_unstable();
    assert_eq!(answered, (0..1_000).collect::<Vec<_>>());
    drop(streams);
}

#[test]
fn a_fetch_that_can_not_even_begin_is_tried_again_while_somebody_waits() {
    let plugin = worker();
    stand_in::with(|host| host.failing.insert("http_call"));
    let (_stream, _) = show(&plugin, 7);
    for _ in 0..2 {
        assert!(tick(&plugin));
    }
    assert!(answers().is_empty());
    stand_in::with(|host| host.failing.clear());
    while sent() == 0 {
        assert!(tick(&plugin));
    }
    answer(&plugin, 1, "200", &keys("a"));
    tick(&plugin);
    assert_eq!(answers(), [(7, 401, "authn.signature_invalid".to_owned())]);
    let lines: Vec<String> = stand_in::with(|host| host.lines.iter().map(|(_, line)| line.clone()).collect());
    assert_eq!(
        lines,
        [
            "sluice: the resource `authn.staff`: can't be fetched: the proxy does not take the call; is there such a cluster?",
            "sluice: the resource `authn.staff`: can be fetched again"
        ]
    );
    while tick(&plugin) && counter("sluice_resources.resource.authn_staff.outcome.fetched") == 0 {}
    assert!(counter("sluice_resources.resource.authn_staff.outcome.refused") >= 1);
}

#[test]
fn a_fetch_that_the_host_never_ends_is_given_up_and_tried_again() {
    let plugin = worker();
    tick(&plugin);
    pass(5_000);
    stand_in::with(|host| host.now += GRACE);
    plugin.on_tick();
    assert_eq!((plugin.waiting(), plugin.fetching()), ((0, 0), (1, 0)));
    pass(250);
    plugin.on_tick();
    assert_eq!(sent(), 2);
    answer(&plugin, 2, "200", &keys("a"));
    assert_eq!(gauge("sluice_resource_state"), Some(1));
}

#[test]
fn another_worker_takes_over_when_one_dies() {
    let workers = workers(2);
    pass(1);
    workers[0].on_tick();
    workers[1].on_tick();
    assert_eq!(sent(), 1);
    // No goodbye: its VM has trapped.
    let period = stand_in::with(|host| host.tick_period);
    pass(u64::from(period.unwrap()));
    workers[1].on_tick();
    assert_eq!(sent(), 2);
    answer(&workers[1], 2, "200", &keys("a"));
    let (_stream, _) = show(&workers[1], 7);
    assert_eq!(answers(), [(7, 401, "authn.signature_invalid".to_owned())]);
}

#[test]
fn a_worker_that_retires_hands_its_fetch_on() {
    let workers = workers(2);
    pass(1);
    workers[0].on_tick();
    workers[0].retire();
    pass(1);
    workers[1].on_tick();
    assert_eq!(sent(), 2);
}

#[test]
fn after_an_update_the_keys_are_there_and_who_waits_gets_what_the_old_policy_asked_for() {
    let plugin = worker();
    let (_waiting, _) = show(&plugin, 7);
    tick(&plugin);
    stand_in::with(|host| host.configuration = DOCUMENT.replace("100s", "200s").into_bytes());
    assert!(plugin.on_configure());
    answer(&plugin, 1, "200", &keys("a"));
    tick(&plugin);
    assert_eq!(answers(), [(7, 401, "authn.signature_invalid".to_owned())]);
    let (_stream, _) = show(&plugin, 8);
    assert_eq!(answers(), [(8, 401, "authn.signature_invalid".to_owned())]);
    // A plugin of its own, as Envoy makes one for each update.
    let successor = Rc::new(Plugin::default());
    assert!(successor.on_configure());
    let (_stream, _) = show(&successor, 9);
    assert_eq!(answers(), [(9, 401, "authn.signature_invalid".to_owned())]);
    assert_eq!(sent(), 1);
    // Without the provider nothing is kept.
    stand_in::with(|host| host.configuration = br#"{ "version": 1 }"#.to_vec());
    assert!(plugin.on_configure());
    plugin.on_tick();
    assert_eq!(plugin.fetching(), (0, 0));
}

#[test]
fn those_who_name_unknown_keys_wait_in_bounded_number() {
    let plugin = worker();
    tick(&plugin);
    answer(&plugin, 1, "200", &keys("b"));
    let (_stream, _) = show(&plugin, 7);
    assert_eq!(answers(), [(7, 401, "authn.unknown_key".to_owned())], "just fetched");
    pass(10_000);
    let most = u32::try_from(MOST_FOR_NEWER).unwrap();
    let streams: Vec<_> = (0..most).map(|context| show(&plugin, context + 10).0).collect();
    assert!(answers().is_empty());
    let (_more, _) = show(&plugin, 8);
    assert_eq!(answers(), [(8, 401, "authn.unknown_key".to_owned())]);
    tick(&plugin);
    assert_eq!(sent(), 2);
    answer(&plugin, 2, "200", &keys("a"));
    while plugin.waiting().0 > 0 {
        assert!(tick(&plugin));
    }
    let answered = answers();
    assert_eq!(answered.len(), MOST_FOR_NEWER);
    assert!(
        answered
            .iter()
            .all(|(_, status, details)| (*status, details.as_str()) == (401, "authn.signature_invalid"))
    );
    drop(streams);
}

#[test]
fn who_waits_in_vain_for_a_new_key_is_not_told_that_there_is_none() {
    let plugin = worker();
    tick(&plugin);
    answer(&plugin, 1, "200", &keys("b"));
    pass(10_000);
    let (_stream, _) = show(&plugin, 7);
    tick(&plugin);
    assert_eq!(sent(), 2);
    // The issuer hangs.
    pass(2_000);
    plugin.on_tick();
    assert_eq!(answers(), [(7, 503, "authn.keys_unavailable".to_owned())]);
    answer(&plugin, 2, "200", &keys("b"));
    let (_stream, _) = show(&plugin, 8);
    assert_eq!(answers(), [(8, 401, "authn.unknown_key".to_owned())]);
}

#[test]
fn a_fetch_is_the_root_contexts_with_its_own_timeout() {
    let plugin = worker();
    tick(&plugin);
    stand_in::with(|host| {
        let [Call::Http(call)] = &host.sent[..] else { panic!() };
        assert_eq!(
            (&*call.cluster, &*call.authority, &*call.path, &*call.method),
            ("id", "id", "/keys", "GET")
        );
        assert_eq!(call.timeout.as_secs(), 5);
        assert_eq!(host.effective, 0);
    });
}

/// What may happen to some requests and workers.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Arrives(usize),
    Answered(usize, u8),
    Leaves(usize),
    Passes(u64),
    Ticks(usize),
    Updated(usize),
    Dies(usize),
}

fn happening() -> impl proptest::strategy::Strategy<Value = Happening> {
    use proptest::prelude::*;
    prop_oneof![
        4 => any::<usize>().prop_map(Happening::Arrives),
        4 => (any::<usize>(), 0_u8..6).prop_map(|(call, what)| Happening::Answered(call, what)),
        2 => any::<usize>().prop_map(Happening::Leaves),
        3 => (0_u64..8_000).prop_map(Happening::Passes),
        6 => any::<usize>().prop_map(Happening::Ticks),
        1 => any::<usize>().prop_map(Happening::Updated),
        1 => any::<usize>().prop_map(Happening::Dies),
    ]
}

proptest::proptest! {
    /// Whatever happens in whatever order over three workers: each request ends exactly once, and all tables end empty.
    #[test]
    fn each_request_ends_once_and_nothing_is_left(
        happenings in proptest::collection::vec(happening(), 1..80),
    ) {
        let mut plugins = workers(3);
        // Who made which call.
        let mut calls: Vec<usize> = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        let mut streams: Vec<(u32, usize, Option<Stream>)> = Vec::new();
        let mut dead: std::collections::HashSet<u32> = std::collections::HashSet::new();
        let pick = |number: usize, of: usize| number.checked_rem(of);
        let note_calls = |calls: &mut Vec<usize>, open: &mut Vec<usize>, who: usize| {
            while calls.len() < sent() as usize {
                calls.push(who);
                open.push(calls.len());
            }
        };
        for happening in happenings {
            match happening {
                Happening::Arrives(number) => {
                    let who = number % 3;
                    let context = u32::try_from(streams.len()).unwrap() + 10;
                    let (stream, _) = show(&plugins[who], context);
                    streams.push((context, who, Some(stream)));
                }
                Happening::Answered(number, what) => {
                    if let Some(position) = pick(number, open.len()) {
                        let call = open.remove(position);
                        let token = u32::try_from(call).unwrap();
                        let plugin = &plugins[calls[call - 1]];
                        match what {
                            0 => plugin.on_http_answer(token, 0, 0),
                            1 => answer(plugin, token, "200", "garbage"),
                            2 => answer(plugin, token, "503", "no healthy upstream"),
                            3 => {
                                answer(plugin, token, "200", &keys("a"));
                                answer(plugin, token, "200", &keys("b"));
                            }
                            // The host forgets it.
                            4 => {}
                            _ => answer(plugin, token, "200", &keys("a")),
                        }
                    }
                }
                Happening::Leaves(number) => {
                    if let Some(position) = pick(number, streams.len()) {
                        streams[position].2 = None;
                    }
                }
                Happening::Passes(milliseconds) => pass(milliseconds),
                Happening::Ticks(number) => {
                    let who = number % 3;
                    plugins[who].on_tick();
                    note_calls(&mut calls, &mut open, who);
                }
                Happening::Updated(number) => assert!(plugins[number % 3].on_configure()),
                Happening::Dies(number) => {
                    let who = number % 3;
                    // A trap: nothing of the VM runs any more, its streams end in the host.
                    for (context, _, stream) in streams.iter_mut().filter(|(_, owner, _)| *owner == who) {
                        dead.insert(*context);
                        std::mem::forget(stream.take());
                    }
                    open.retain(|call| calls[*call - 1] != who);
                    let fresh = Rc::new(Plugin::default());
                    assert!(fresh.on_configure());
                    std::mem::forget(std::mem::replace(&mut plugins[who], fresh));
                }
            }
        }
        // All goes well from now on.
        for _ in 0..60 {
            pass(1_000);
            for (who, plugin) in plugins.iter().enumerate() {
                plugin.on_tick();
                note_calls(&mut calls, &mut open, who);
            }
            for call in std::mem::take(&mut open) {
                answer(&plugins[calls[call - 1]], u32::try_from(call).unwrap(), "200", &keys("a"));
            }
        }
        let ended: Vec<u32> = answers().into_iter().map(|(context, ..)| context).collect();
        for (context, _, stream) in &streams {
            let times = ended.iter().filter(|ended| *ended == context).count();
            let must = usize::from(stream.is_some() && !dead.contains(context));
            proptest::prop_assert!(times <= 1 && times >= must, "{}: {}", context, times);
        }
        for plugin in &plugins {
            proptest::prop_assert_eq!((plugin.waiting(), plugin.fetching()), ((0, 0), (1, 0)));
        }
    }
}
