//! Whatever the service answers and whenever, decisions are those of a model.

use super::*;
use proptest::prelude::*;
use sluice_core::decision::wait::{Answer, CallFailure};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

#[derive(Clone, Copy, Debug)]
enum Event {
    /// A request of a key, and what comes of the call.
    Request(u8, Service),
    /// Time passes, in milliseconds.
    Pass(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Answers,
    /// It counts, but its answer comes too late.
    CountsAndFails,
    Fails(CallFailure),
    Garbage,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let service = prop_oneof![
        6 => Just(Service::Answers),
        1 => Just(Service::CountsAndFails),
        1 => Just(Service::Fails(CallFailure::TimedOut)),
        1 => Just(Service::Fails(CallFailure::NotTried)),
        1 => Just(Service::Fails(CallFailure::GrpcStatus(13))),
        1 => Just(Service::Garbage),
    ];
    let event = prop_oneof![
        8 => (0_u8..3, service).prop_map(|(key, service)| Event::Request(key, service)),
        1 => (1_u64..20_000).prop_map(Event::Pass),
    ];
    prop::collection::vec(event, 1..120)
}

/// What the service has counted, and what the share has given; times are in milliseconds.
#[derive(Default)]
struct Model {
    counted: HashMap<(u8, u64), u64>,
    /// When each key's bucket of the share is full again.
    share_full_at: HashMap<u8, u64>,
    /// From when until when a key is known to be over the limit.
    known: HashMap<u8, (u64, u64)>,
}

const LIMIT: u64 = 6;
const WINDOW: u64 = 60_000;
const TIMEOUT: u64 = 50;
/// 6/min for two proxies: three at once, one in 20 s.
const SHARE: u64 = 3;
const INTERVAL: u64 = 20_000;

impl Model {
    /// Whether the request passes, and whether the service is called.
    fn request(&mut self, key: u8, service: Service, now: u64) -> (bool, bool) {
        if self.known.get(&key).is_some_and(|(from, until)| (*from..*until).contains(&now)) {
            return (false, false);
        }
        let window = now / WINDOW;
        if matches!(service, Service::Answers | Service::CountsAndFails) {
            *self.counted.entry((key, window)).or_default() += 1;
        }
        if service == Service::Answers {
            let over = self.counted[&(key, window)] > LIMIT;
            if over {
                let seconds_left = WINDOW / 1_000 - (now / 1_000) % (WINDOW / 1_000);
                let asked = now - TIMEOUT;
                self.known.insert(key, (now, asked - asked % 1_000 + seconds_left * 1_000));
            }
            return (!over, true);
        }
        let full_at = self.share_full_at.get(&key).copied().unwrap_or(0).max(now);
        let passes = full_at + INTERVAL <= now + SHARE * INTERVAL;
        if passes {
            self.share_full_at.insert(key, full_at + INTERVAL);
        }
        (passes, true)
    }
}

proptest! {
    #[test]
    fn decisions_are_those_of_a_model(events in events()) {
        let stand = rules(json!([fleet(json!({ "limit": "6/min", "slots": 64 }))]));
        let (host, mut service, mut model) = (host(), SimulatedService::default(), Model::default());
        for event in events {
            let now = host.now().as_nanos() / 1_000_000;
            let (key, answers) = match event {
                Event::Pass(milliseconds) => {
                    host.advance(Duration::from_millis(milliseconds));
                    continue;
                }
                Event::Request(key, answers) => (key, answers),
            };
            let identity = Identity { consumer: Some(format!("c{key}")), ..Identity::default() };
            let request = SimulatedRequest::get("/").identity(identity);
            let played = stand.play_with(&request, &host, |call| {
                let counted = matches!(answers, Service::Answers | Service::CountsAndFails)
                    .then(|| service.answer(grpc(call), host.now()));
                match (answers, counted) {
                    (Service::Answers, Some(answer)) => answer,
                    (Service::Fails(failure), _) => Answer::Failed(failure),
                    (Service::Garbage, _) => Answer::Grpc(vec![0x12, 0xff]),
                    _ => Answer::Failed(CallFailure::TimedOut),
                }
            });
            let (passes, called) = model.request(key, answers, now);
            prop_assert_eq!(
                (played.status(), played.calls.len()),
                ((!passes).then_some(429), usize::from(called)),
                "{:?} at {}", event, now
            );
        }
    }

    /// Requests of one key are under way at the same time, each begun while others wait: as many pass as the limit is, or as were asked
    /// about.
    #[test]
    fn no_order_of_answers_lets_more_or_fewer_through(order in prop::collection::vec(any::<bool>(), 1..40)) {
        let stand = rules(json!([fleet(json!({ "limit": "6/min" }))]));
        let (host, service, passed) = (host(), RefCell::new(SimulatedService::default()), Cell::new(0));
        nested(&stand, &host, &service, &order, &passed);
        prop_assert_eq!(passed.get(), service.borrow().asked().min(LIMIT));
    }
}

/// Plays requests; after one that says so the others begin, and end, while it waits.
fn nested(
    stand: &Stand,
    host: &SimulatedHost,
    service: &RefCell<SimulatedService>,
    order: &[bool],
    passed: &Cell<u64>,
) {
    let Some((within, rest)) = order.split_first() else { return };
    let mut begun = false;
    let played = stand.play_with(&acme(), host, |call| {
        let answer = service.borrow_mut().answer(grpc(call), host.now());
        if *within {
            nested(stand, host, service, rest, passed);
            begun = true;
        }
        answer
    });
    passed.set(passed.get() + u64::from(played.status().is_none()));
    if !begun {
        nested(stand, host, service, rest, passed);
    }
}
