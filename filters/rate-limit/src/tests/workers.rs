//! Several workers of one proxy: each with its own policy and its own memory, all with the same shared memory.

use super::*;
use std::cell::Cell;
use std::rc::Rc;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

struct Worker {
    stand: Stand,
    environment: FakeEnvironment,
}

fn request() -> FakeRequest {
    FakeRequest::get("/").header("x-t", "a")
}

impl Worker {
    fn passes(&self) -> bool {
        self.stand.play(&request(), &self.environment).status().is_none()
    }
}

fn workers(rule: &Value, count: usize) -> Vec<Worker> {
    let first = FakeEnvironment::default();
    let environments = (1..count).map(|_| first.another_worker()).collect::<Vec<_>>();
    let environments = std::iter::once(first).chain(environments);
    environments.map(|environment| Worker { stand: rules(json!([rule])), environment }).collect()
}

#[test]
fn all_workers_together_let_exactly_the_limit_through() {
    let rule = json!({ "name": "a", "key": "header.x-t", "limit": "10/s", "burst": 25 });
    let workers = workers(&rule, 4);
    let mut passed = 0;
    for round in 0..400_u64 {
        passed += workers.iter().filter(|worker| worker.passes()).count();
        workers.iter().for_each(|worker| worker.environment.advance(Duration::from_millis(10)));
        // 25 at once, and one more every 100 ms; those that came before the first advance are at 0 ms.
        let given = 25 + usize::try_from(round * 10 / 100).unwrap();
        assert!(passed <= given, "{passed} of {given} after {round} rounds");
    }
    assert_eq!(passed, 25 + 39);
}

#[test]
fn it_is_exact_whoever_comes_between_a_read_and_a_write() {
    for slot_exists in [false, true] {
        let rule = json!({ "name": "a", "key": "header.x-t", "limit": "1/h", "burst": 50 });
        let mut workers = workers(&rule, 2);
        let (other, one) = (workers.pop().unwrap(), workers.pop().unwrap());
        let passed = Rc::new(Cell::new(0));
        if slot_exists {
            passed.set(usize::from(one.passes()));
        }
        // Before every other write of one worker, the other answers a whole request.
        let (counter, turn) = (Rc::clone(&passed), Cell::new(0_u32));
        one.environment.before_shared_set(move || {
            turn.set(turn.get() + 1);
            if turn.get() % 2 == 1 && other.passes() {
                counter.set(counter.get() + 1);
            }
        });
        for _ in 0..60 {
            if one.passes() {
                passed.set(passed.get() + 1);
            }
        }
        assert_eq!(passed.get(), 50, "slot exists: {slot_exists}");
    }
}

#[test]
fn a_slot_that_others_change_again_and_again_is_given_up_after_three_tries() {
    for (on_contention, status, decisions) in
        [("deny", Some(429), vec!["rate_limit.contended.rule:a"]), ("allow", None, vec![])]
    {
        let rule = json!({ "name": "a", "key": "header.x-t", "limit": "1/h", "burst": 50, "onContention": on_contention });
        let mut workers = workers(&rule, 2);
        let (other, one) = (workers.pop().unwrap(), workers.pop().unwrap());
        let between = Rc::new(Cell::new(0));
        let count = Rc::clone(&between);
        one.environment.before_shared_set(move || {
            count.set(count.get() + 1);
            other.passes();
        });
        let played = one.stand.play(&request(), &one.environment);
        assert_eq!((played.status(), between.get()), (status, 3));
        assert_eq!(played.decisions, decisions);
        if status.is_some() {
            assert_eq!(played.reply_header("retry-after").as_deref(), Some("1"));
        }
    }
}

#[test]
fn who_finds_the_last_unit_taken_in_between_is_refused() {
    let rule = json!({ "name": "a", "key": "header.x-t", "limit": "1/h", "burst": 1 });
    let mut workers = workers(&rule, 2);
    let (other, one) = (workers.pop().unwrap(), workers.pop().unwrap());
    one.environment.before_shared_set(move || assert!(other.passes()));
    let played = one.stand.play(&request(), &one.environment);
    assert_eq!(played.decisions, ["rate_limit.exceeded.rule:a"]);
}

#[test]
fn without_shared_memory_each_worker_limits_by_itself() {
    let stand = rules(json!([{ "name": "a", "key": "header.x-t", "limit": "5/h" }]));
    let environment = FakeEnvironment::default().without_shared_memory();
    assert_eq!(passing(&stand, &request(), &environment, 20), 5);
}

#[test]
fn with_a_tolerance_workers_ask_seldom_and_stay_within_it() {
    let rule = json!({ "name": "a", "key": "header.x-t", "limit": "1000/s", "burst": 100, "tolerance": 5 });
    let workers = workers(&rule, 4);
    let (mut asked, mut passed, milliseconds) = (0, 0, 2_000);
    for _ in 0..milliseconds {
        // 4,000/s against a limit of 1,000/s.
        for worker in &workers {
            asked += 1;
            passed += usize::from(worker.passes());
            worker.environment.advance(Duration::from_millis(1));
        }
    }
    let exact = 100 + 2_000;
    assert!((exact * 95 / 100..=exact * 105 / 100).contains(&passed), "{passed} of {asked}");
}

#[test]
fn a_lease_saves_most_calls_where_there_is_room() {
    let calls = |tolerance: f64| {
        let rule = json!({ "name": "a", "key": "header.x-t", "limit": "1000/s", "tolerance": tolerance });
        let workers = workers(&rule, 2);
        for _ in 0..1_000 {
            for worker in &workers {
                assert!(worker.passes());
                worker.environment.advance(Duration::from_millis(2));
            }
        }
        let (reads, writes) = workers[0].environment.shared_calls();
        (reads, writes)
    };
    let (reads, writes) = calls(0.0);
    assert!((1_900..=2_000).contains(&reads) && (2_000..=2_100).contains(&writes), "{reads} + {writes}");
    let (reads, writes) = calls(5.0);
    assert!(reads + writes < 400, "{reads} + {writes}");
}

#[test]
fn one_worker_with_one_key_writes_without_reading() {
    let rule = json!({ "name": "a", "key": "header.x-t", "limit": "1000/s" });
    let worker = &workers(&rule, 1)[0];
    for _ in 0..1_000 {
        assert!(worker.passes());
        worker.environment.advance(Duration::from_millis(2));
    }
    // The first finds nothing and creates the slot, whose version the second then reads.
    assert_eq!(worker.environment.shared_calls(), (2, 1_000));
}

#[test]
fn what_a_worker_has_not_spent_it_gives_back() {
    let rule = json!({ "name": "a", "key": "header.x-t", "limit": "1000/h", "burst": 100, "tolerance": 1 });
    let workers = workers(&rule, 1);
    // Leases of up to 10 units and 36 s; the requests come further apart than that, and each takes one.
    let mut passed = 0;
    for _ in 0..300 {
        passed += usize::from(workers[0].passes());
    }
    assert_eq!(passed, 100);
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the interleaving, a conflict costs a try, never a unit: what passes and what is refused is what one worker alone
        /// would have decided.
        #[test]
        fn workers_decide_as_one_would(turns in prop::collection::vec((0..3_usize, 0..200_u64), 1..200), burst in 1..20_u64) {
            let rule = json!({ "name": "a", "key": "header.x-t", "limit": "10/s", "burst": burst });
            let (three, one) = (workers(&rule, 3), workers(&rule, 1));
            for (worker, milliseconds) in turns {
                let wait = Duration::from_millis(milliseconds);
                three.iter().chain(&one).for_each(|worker| worker.environment.advance(wait));
                prop_assert_eq!(three[worker].passes(), one[0].passes());
            }
        }
    }
}
