//! Several workers over one shared memory, with a clock and a server that the test plays.

use super::*;
use crate::decision::environment::Environment;
use crate::decision::wait::{Answer, CallFailure, HttpAnswer, HttpCall};
use crate::http::header_map::HeaderMap;
use crate::simulation::SimulatedHost;
use proptest::prelude::*;
use std::rc::Rc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn schedule() -> Schedule {
    Schedule {
        refresh: 100 * SECOND,
        shortest: 10 * SECOND,
        longest: 1_000 * SECOND,
        early: 30 * SECOND,
        stale: 500 * SECOND,
        timeout: 5 * SECOND,
        within: 2 * SECOND,
        most_bytes: 64,
    }
}

fn location(path: &str) -> Location {
    Location { cluster: "id".into(), authority: "id.example.com".into(), path: path.into() }
}

fn number(bytes: &[u8]) -> Result<Parsed<u64>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    let value = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
    Ok(Parsed { value, remarks: Vec::new() })
}

fn declare(follow: Option<Follow>) -> Resource<u64> {
    Resource::declare("test.number", Source { first: location("/n"), follow }, schedule(), number)
}

/// One worker of a proxy.
struct Worker {
    host: SimulatedHost,
    resource: Resource<u64>,
    keeper: Keeper,
}

impl Worker {
    fn on(host: SimulatedHost, follow: Option<Follow>) -> Self {
        let resource = declare(follow);
        let keeper = Keeper::new(&resource.fetched(), &host);
        Self { host, resource, keeper }
    }

    fn tick(&mut self) -> Option<HttpCall> {
        self.keeper.tick(false, &self.host).call.map(|(_, call)| call)
    }

    fn next(&mut self, waited_for: bool) -> Option<crate::decision::environment::UnixTime> {
        self.keeper.tick(waited_for, &self.host).next
    }

    fn find(&self) -> Option<u64> {
        self.resource.find(&self.host).map(|value| *value)
    }

    fn answer(&mut self, answer: &Answer) -> Turn {
        let ticket = self.keeper.fetching().unwrap_or_default();
        self.keeper.answered(ticket, answer, &self.host)
    }

    fn outcome(&mut self, answer: &Answer) -> &'static str {
        self.answer(answer).event.map_or("none", |event| event.outcome)
    }
}

fn workers(count: u64) -> Vec<Worker> {
    let first = SimulatedHost::default();
    let others: Vec<SimulatedHost> = (1..count).map(|_| first.another_worker()).collect();
    std::iter::once(first).chain(others).map(|host| Worker::on(host, None)).collect()
}

fn advance(workers: &[Worker], by: Duration) {
    workers.iter().for_each(|worker| worker.host.advance(by));
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let headers = HeaderMap::from_pairs(headers.iter().copied());
    Answer::Http(HttpAnswer { status, headers, body: body.as_bytes().to_vec() })
}

fn good(body: &str) -> Answer {
    answer(200, &[("etag", "\"a\"")], body)
}

fn header(call: &HttpCall, name: &str) -> Option<String> {
    let found = call.headers.iter().find(|(known, _)| known.as_str() == name);
    found.map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[test]
fn one_worker_fetches_and_all_have_it() {
    let mut workers = workers(4);
    assert!(workers.iter().all(|worker| worker.find().is_none()));
    let calls: Vec<_> = workers.iter_mut().filter_map(Worker::tick).collect();
    let [call] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!((&*call.path, &*call.authority, call.timeout), ("/n", "id.example.com", 5 * SECOND));
    assert_eq!(header(call, "if-none-match"), None);
    assert_eq!(workers[0].outcome(&good("7")), "fetched");
    advance(&workers, SECOND);
    assert!(workers.iter().all(|worker| worker.find() == Some(7)));
    // Nobody has anything to do until it is old.
    for _ in 0..79 {
        assert!(workers.iter_mut().all(|worker| worker.tick().is_none()));
        advance(&workers, SECOND);
    }
    advance(&workers, 10 * SECOND);
    let fetching: Vec<bool> = workers.iter_mut().map(|worker| worker.tick().is_some()).collect();
    assert_eq!(fetching, [true, false, false, false]);
}

#[test]
fn a_keeper_says_when_it_is_to_be_asked_again_and_then_there_is_something_to_do() {
    let mut workers = workers(2);
    assert!(workers[0].tick().is_some());
    // The other waits for the end of the lease, or looks soon where somebody waits.
    let now = workers[1].host.now();
    assert_eq!(workers[1].next(false), Some(now.after(7 * SECOND)));
    assert_eq!(workers[1].next(true), Some(now.after(Duration::from_millis(20))));
    let next = workers[0].answer(&good("7")).next.unwrap();
    let wait = next.since(now);
    assert!((80 * SECOND..=90 * SECOND).contains(&wait), "{wait:?}");
    advance(&workers, wait - Duration::from_millis(1));
    assert!(workers[1].tick().is_none());
    advance(&workers, Duration::from_millis(1));
    assert!(workers[1].tick().is_some());
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let mut workers = workers(2);
    workers[0].tick().unwrap();
    workers[0].answer(&good("7"));
    advance(&workers, 95 * SECOND);
    let call = workers[1].tick().unwrap();
    assert_eq!(header(&call, "if-none-match").as_deref(), Some("\"a\""));
    assert_eq!(workers[1].outcome(&answer(304, &[("cache-control", "max-age=50")], "")), "unchanged");
    // It is as fresh as the answer said.
    advance(&workers, 39 * SECOND);
    assert!(workers[0].tick().is_none());
    advance(&workers, 6 * SECOND);
    assert!(workers[0].tick().is_some());
    // The same from a server without ETags is not read again either.
    assert_eq!(workers[0].outcome(&answer(200, &[], "7")), "unchanged");
    assert!(workers.iter().all(|worker| worker.find() == Some(7)));
    advance(&workers, 95 * SECOND);
    assert_eq!(header(&workers[0].tick().unwrap(), "if-none-match"), None);
    // Nobody asked whether it has changed.
    assert_eq!(workers[0].outcome(&answer(304, &[], "")), "status");
}

#[test]
fn max_age_counts_within_the_bounds_of_the_document() {
    for (said, least, most) in [("max-age=1", 8, 9), ("max-age=200", 160, 180), ("max-age=999999", 800, 900)]
    {
        let mut workers = workers(1);
        workers[0].tick().unwrap();
        let now = workers[0].host.now();
        let turn = workers[0].answer(&answer(200, &[("cache-control", said)], "7"));
        let wait = turn.next.unwrap().since(now);
        assert!((least * SECOND..=most * SECOND).contains(&wait), "{said}: {wait:?}");
    }
}

#[test]
fn an_answer_that_is_no_good_never_replaces_a_good_value() {
    let large = "1".repeat(65);
    for (bad, outcome) in [
        (answer(200, &[], "seven"), "unreadable"),
        (answer(200, &[], ""), "unreadable"),
        (answer(200, &[], &large), "unreadable"),
        (answer(500, &[], "8"), "status"),
        (answer(204, &[], ""), "status"),
        (answer(301, &[("location", "http://evil")], "8"), "status"),
        (Answer::Failed(CallFailure::TimedOut), "timed_out"),
        (Answer::Failed(CallFailure::Unreachable), "unreachable"),
        (Answer::Failed(CallFailure::Refused), "refused"),
        (Answer::Failed(CallFailure::TooLarge), "too_large"),
    ] {
        let mut workers = workers(2);
        workers[0].tick().unwrap();
        workers[0].answer(&good("7"));
        advance(&workers, 95 * SECOND);
        workers[1].tick().unwrap();
        let event = workers[1].answer(&bad).event.unwrap();
        assert_eq!((event.outcome, event.lines.len()), (outcome, 1), "said once: {event:?}");
        // Stale for as long as the document allows, and not longer.
        advance(&workers, 504 * SECOND);
        assert!(workers.iter().all(|worker| worker.find() == Some(7)), "{outcome}");
        advance(&workers, 2 * SECOND);
        assert!(workers.iter().all(|worker| worker.find().is_none()), "{outcome}");
        assert_eq!(workers[0].keeper.state(workers[0].host.now()), 3);
        // And the issuer is back.
        workers[0].tick().unwrap();
        let event = workers[0].answer(&good("8")).event.unwrap();
        assert_eq!((event.outcome, &event.lines[..]), ("fetched", &["can be fetched again".to_owned()][..]));
        advance(&workers, SECOND);
        assert!(workers.iter().all(|worker| worker.find() == Some(8)));
    }
}

#[test]
fn failures_are_tried_again_less_and_less_often() {
    let mut workers = workers(2);
    workers[0].tick().unwrap();
    workers[0].answer(&good("7"));
    advance(&workers, 100 * SECOND);
    let mut tries = 0;
    // Eight minutes of an issuer that is away: pauses of at most 0.25, 0.5, 1, … 60 s, each at least half as long.
    for _ in 0..(480 * 20) {
        for worker in &mut workers {
            if worker.tick().is_some() {
                tries += 1;
                worker.answer(&Answer::Failed(CallFailure::Unreachable));
            }
        }
        advance(&workers, Duration::from_millis(50));
    }
    assert!((14..=28).contains(&tries), "{tries}");
}

#[test]
fn nobody_waits_where_it_is_in_vain() {
    let mut workers = workers(1);
    let worker = &mut workers[0];
    for failures in 0..3 {
        let awaited = worker.resource.awaited().expect("somebody waits");
        assert!(!worker.keeper.has_come(&awaited, worker.host.now()), "{failures}");
        worker.host.advance(SECOND);
        worker.tick().unwrap();
        worker.answer(&Answer::Failed(CallFailure::Unreachable));
    }
    assert_eq!(worker.resource.awaited(), None);
    assert!((1..=5).contains(&worker.resource.unavailable(worker.host.now()).retry_after.as_secs()));
}

#[test]
fn who_misses_something_has_it_fetched_early_but_not_too_often() {
    let mut workers = workers(2);
    workers[0].tick().unwrap();
    workers[0].answer(&good("7"));
    advance(&workers, SECOND);
    let missing = |worker: &Worker| {
        worker.resource.look(&worker.host);
        worker.resource.awaited_newer(worker.host.now())
    };
    assert_eq!(missing(&workers[1]), None, "it was fetched a second ago");
    assert!(workers[1].tick().is_none());
    advance(&workers, 30 * SECOND);
    let awaited = missing(&workers[1]).unwrap();
    assert!(!workers[1].keeper.has_come(&awaited, workers[1].host.now()));
    assert!(workers[1].tick().is_some());
    // Others wait for the same fetch.
    assert!(missing(&workers[0]).is_some() && workers[0].tick().is_none());
    workers[1].answer(&good("8"));
    assert!(workers[1].keeper.has_come(&awaited, workers[1].host.now()));
    assert_eq!(missing(&workers[0]), None);
    assert_eq!(workers[0].find(), Some(8), "it has looked at once");
    // A flood of those who miss something has it fetched once in the time.
    let mut fetches = 0;
    for _ in 0..300 {
        advance(&workers, Duration::from_millis(100));
        for worker in &mut workers {
            missing(worker);
            if worker.tick().is_some() {
                fetches += 1;
                worker.answer(&good("8"));
            }
        }
    }
    assert_eq!(fetches, 1);
}

#[test]
fn a_holder_that_dies_is_followed_by_another_and_is_not_heard_any_more() {
    let mut workers = workers(2);
    assert!(workers[0].tick().is_some());
    advance(&workers, 6 * SECOND);
    assert!(workers[1].tick().is_none());
    advance(&workers, SECOND);
    assert!(workers[1].tick().is_some());
    // It comes back to life.
    assert_eq!(workers[0].outcome(&good("7")), "none");
    assert_eq!(workers[1].outcome(&good("8")), "fetched");
    advance(&workers, SECOND);
    assert!(workers.iter().all(|worker| worker.find() == Some(8)));
}

#[test]
fn who_leaves_hands_its_turn_on() {
    let mut workers = workers(2);
    assert!(workers[0].tick().is_some());
    let Worker { mut keeper, host, .. } = workers.remove(0);
    keeper.leave(&host);
    assert!(workers[0].tick().is_some());
}

#[test]
fn a_new_policy_finds_what_its_predecessor_had() {
    let mut workers = workers(1);
    workers[0].tick().unwrap();
    workers[0].answer(&good("7"));
    let mut successor = Worker::on(workers[0].host.another_worker(), None);
    assert_eq!(successor.find(), Some(7));
    assert!(successor.tick().is_none());
    // In the same worker, under the same keeper.
    let resource = declare(None);
    workers[0].keeper.adopt(&resource.fetched());
    assert!(workers[0].tick().is_none());
    assert_eq!(resource.find(&workers[0].host).as_deref(), Some(&7));
    assert!(!workers[0].keeper.is_idle());
}

#[test]
fn each_policy_reads_by_itself_what_is_fetched_once() {
    let mut workers = workers(1);
    let worker = &mut workers[0];
    let picky = Resource::declare(
        "test.picky",
        Source { first: location("/n"), follow: None },
        schedule(),
        |bytes| {
            let parsed = number(bytes)?;
            if parsed.value % 2 == 0 { Ok(parsed) } else { Err("odd".to_owned()) }
        },
    );
    worker.keeper.adopt(&picky.fetched());
    worker.tick().unwrap();
    assert_eq!(worker.outcome(&good("8")), "fetched");
    worker.host.advance(95 * SECOND);
    worker.tick().unwrap();
    assert_eq!(worker.outcome(&good("7")), "fetched");
    worker.host.advance(SECOND);
    assert_eq!((worker.find(), picky.find(&worker.host).as_deref()), (Some(7), Some(&8)));
}

#[test]
fn without_shared_memory_each_worker_fetches_for_itself() {
    let mut worker = Worker::on(SimulatedHost::default().without_shared_memory(), None);
    worker.tick().unwrap();
    assert_eq!(worker.outcome(&good("7")), "fetched");
    assert_eq!(worker.find(), Some(7));
    worker.host.advance(70 * SECOND);
    assert!(worker.tick().is_none());
    worker.host.advance(30 * SECOND);
    assert!(worker.tick().is_some());
    worker.answer(&Answer::Failed(CallFailure::Unreachable));
    assert_eq!(worker.find(), Some(7));
}

#[test]
fn a_value_that_somebody_else_has_overwritten_is_fetched_again() {
    let mut workers = workers(2);
    workers[0].tick().unwrap();
    workers[0].answer(&good("7"));
    let key = workers[0].keeper.key().clone();
    workers[0].host.leave(&format!("sluice/resource/1/value {key}"), b"whatever");
    advance(&workers, 2 * SECOND);
    assert_eq!((workers[0].find(), workers[1].find()), (Some(7), None));
    let call = workers[1].tick().unwrap();
    assert_eq!(header(&call, "if-none-match"), None, "a 304 would confirm what is not there");
    assert_eq!(workers[1].outcome(&good("7")), "fetched");
    assert_eq!(workers[1].find(), Some(7));
    workers[0].host.leave(&format!("sluice/resource/1/record {key}"), b"whatever");
    assert!(workers[0].tick().is_some());
}

#[test]
fn a_clock_that_was_set_back_does_not_stop_anything() {
    let mut workers = workers(1);
    workers[0].tick().unwrap();
    workers[0].answer(&good("7"));
    let past = crate::decision::environment::UnixTime::from_seconds(1_000);
    let host = workers[0].host.another_worker().at(past);
    let mut worker = Worker::on(host, None);
    assert!(worker.tick().is_some());
}

fn follow() -> Follow {
    let read = |bytes: &[u8]| {
        let path = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
        if path.starts_with('/') { Ok(location(path)) } else { Err(format!("{path:?} is not a path")) }
    };
    Follow { cluster: "id".into(), identity: "test".into(), read: Rc::new(read) }
}

#[test]
fn a_document_may_lead_to_the_value() {
    let mut worker = Worker::on(SimulatedHost::default(), Some(follow()));
    assert_eq!(&*worker.tick().unwrap().path, "/n");
    let (_, call) = worker.answer(&answer(200, &[("etag", "\"d\"")], "/keys")).call.unwrap();
    assert_eq!((&*call.path, worker.outcome(&good("7"))), ("/keys", "fetched"));
    assert_eq!(worker.find(), Some(7));
    // Both are confirmed by their ETags.
    worker.host.advance(95 * SECOND);
    assert_eq!(header(&worker.tick().unwrap(), "if-none-match").as_deref(), Some("\"d\""));
    let (_, call) = worker.answer(&answer(304, &[], "")).call.unwrap();
    assert_eq!((&*call.path, header(&call, "if-none-match").as_deref()), ("/keys", Some("\"a\"")));
    assert_eq!(worker.outcome(&answer(304, &[], "")), "unchanged");
    // It leads elsewhere: another value's ETag means nothing there.
    worker.host.advance(95 * SECOND);
    worker.tick().unwrap();
    let (_, call) = worker.answer(&answer(200, &[], "/others")).call.unwrap();
    assert_eq!((&*call.path, header(&call, "if-none-match")), ("/others", None));
    assert_eq!(worker.outcome(&good("8")), "fetched");
    // It leads astray.
    worker.host.advance(95 * SECOND);
    worker.tick().unwrap();
    assert_eq!(worker.outcome(&answer(200, &[], "nowhere")), "unreadable");
    assert_eq!(worker.find(), Some(8));
}

#[test]
fn what_is_supplied_by_hand_is_there_for_good() {
    let resource = declare(None);
    assert!(resource.fetched().supply(b"x").is_err());
    resource.fetched().supply(b"7").unwrap();
    let host = SimulatedHost::default();
    host.advance(1_000_000 * SECOND);
    assert_eq!(resource.find(&host).as_deref(), Some(&7));
    assert_eq!(resource.awaited_newer(host.now()), None);
}

/// What may happen.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Ticks(usize),
    /// The n-th call under way is answered.
    Answered(usize, Kind),
    Passes(u64),
    /// A worker's VM ends without a word; another takes its place.
    Dies(usize),
    /// A worker's policy is replaced.
    Replaced(usize),
    Misses(usize),
    /// The server has something new.
    Changes,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Good,
    Garbage,
    Failed,
    Twice,
}

fn happening() -> impl Strategy<Value = Happening> {
    let kind = prop_oneof![4 => Just(Kind::Good), 1 => Just(Kind::Garbage), 1 => Just(Kind::Failed), 1 => Just(Kind::Twice)];
    prop_oneof![
        6 => any::<usize>().prop_map(Happening::Ticks),
        4 => (any::<usize>(), kind).prop_map(|(call, kind)| Happening::Answered(call, kind)),
        3 => (0_u64..20_000).prop_map(Happening::Passes),
        1 => any::<usize>().prop_map(Happening::Dies),
        1 => any::<usize>().prop_map(Happening::Replaced),
        1 => any::<usize>().prop_map(Happening::Misses),
        1 => Just(Happening::Changes),
    ]
}

/// What the server says now, to a call that may know it already.
fn served(call: &HttpCall, version: u64) -> Answer {
    let tag = format!("\"{version}\"");
    if header(call, "if-none-match").as_deref() == Some(&*tag) {
        answer(304, &[("etag", &tag)], "")
    } else {
        answer(200, &[("etag", &tag)], &version.to_string())
    }
}

proptest! {
    /// Whatever happens in whatever order: never two fetch at once but where a lease has run out, no value goes back or is made up, and
    /// in the end all have the newest.
    #[test]
    fn workers_agree(happenings in proptest::collection::vec(happening(), 1..120)) {
        let mut workers = workers(3);
        let mut under_way: Vec<(usize, HttpCall, u64, u64)> = Vec::new();
        let mut version = 1_u64;
        let mut seen = [0_u64; 3];
        for happening in happenings {
            let count = workers.len();
            match happening {
                Happening::Ticks(number) => {
                    let position = number % count;
                    let now = workers[position].host.now();
                    if let Some(call) = workers[position].tick() {
                        let ticket = workers[position].keeper.fetching().unwrap();
                        let live = under_way.iter().filter(|(_, _, began, _)| now.as_nanos() < began + 7_000_000_000);
                        prop_assert_eq!(live.count(), 0, "two fetch at once");
                        under_way.push((position, call, now.as_nanos(), ticket));
                    }
                }
                Happening::Answered(number, kind) => {
                    if under_way.is_empty() { continue; }
                    let (position, call, _, ticket) = under_way.remove(number % under_way.len());
                    let answer = match kind {
                        Kind::Good | Kind::Twice => served(&call, version),
                        Kind::Garbage => answer(200, &[], "garbage"),
                        Kind::Failed => Answer::Failed(CallFailure::Unreachable),
                    };
                    let Worker { keeper, host, .. } = &mut workers[position];
                    keeper.answered(ticket, &answer, host);
                    if matches!(kind, Kind::Twice) {
                        let again = keeper.answered(ticket, &answer, host);
                        prop_assert!(again.event.is_none() && again.call.is_none());
                    }
                }
                Happening::Passes(milliseconds) => advance(&workers, Duration::from_millis(milliseconds)),
                Happening::Dies(number) => {
                    let position = number % count;
                    let host = workers[position].host.another_worker();
                    workers[position] = Worker::on(host, None);
                    under_way.retain(|(owner, ..)| *owner != position);
                    // Its lease goes on for a while.
                    seen[position] = 0;
                }
                Happening::Replaced(number) => {
                    let worker = &mut workers[number % count];
                    worker.resource = declare(None);
                    worker.keeper.adopt(&worker.resource.fetched());
                    seen[number % count] = 0;
                }
                Happening::Misses(number) => {
                    let worker = &workers[number % count];
                    worker.resource.look(&worker.host);
                    worker.resource.awaited_newer(worker.host.now());
                }
                Happening::Changes => version += 1,
            }
            for (worker, seen) in workers.iter().zip(&mut seen) {
                if let Some(found) = worker.find() {
                    prop_assert!(found >= *seen && found <= version, "{found} after {seen}, of {version}");
                    *seen = found;
                }
            }
        }
        // All goes well from now on; what is under way never ends.
        for _ in 0..400 {
            for worker in &mut workers {
                if let Some(call) = worker.tick() {
                    worker.answer(&served(&call, version));
                }
            }
            advance(&workers, SECOND);
        }
        for worker in &mut workers {
            prop_assert_eq!(worker.find(), Some(version));
            prop_assert_eq!(worker.keeper.fetching(), None);
            prop_assert_eq!(worker.keeper.record().lease, None);
        }
    }
}
