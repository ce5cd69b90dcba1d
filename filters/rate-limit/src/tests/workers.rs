//! Several workers of one proxy: each with its own policy and its own memory, all with the same shared memory.

use super::*;
use std::cell::Cell;
use std::rc::Rc;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

struct Worker {
    stand: Stand,
    environment: SimulatedHost,
}

fn request() -> SimulatedRequest {
    SimulatedRequest::get("/").header("x-t", "a")
}

impl Worker {
    fn passes(&self) -> bool {
        self.stand.play(&request(), &self.environment).status().is_none()
    }
}

fn workers(rule: &Value, count: usize) -> Vec<Worker> {
    let first = SimulatedHost::default();
    let environments = (1..count).map(|_| first.another_worker()).collect::<Vec<_>>();
    let environments = std::iter::once(first).chain(environments);
    let begin = |environment| {
        let stand = rules(json!([rule]));
        stand.start(&environment);
        Worker { stand, environment }
    };
    environments.map(begin).collect()
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
    let environment = SimulatedHost::default().without_shared_memory();
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
    // Each worker reads before it writes, for the other has written: guesses fail, and are made ever more seldom.
    assert!((1_900..=2_060).contains(&reads) && (2_000..=2_100).contains(&writes), "{reads} + {writes}");
    let (reads, writes) = calls(5.0);
    assert!(reads + writes < 400, "{reads} + {writes}");
}

#[test]
fn one_worker_with_one_key_writes_without_reading() {
    let rule = json!({ "name": "a", "key": "header.x-t", "limit": "1000/s" });
    let worker = &workers(&rule, 1)[0];
    let before = worker.environment.shared_calls();
    for _ in 0..1_000 {
        assert!(worker.passes());
        worker.environment.advance(Duration::from_millis(2));
    }
    // The first finds nothing and creates the slot.
    let (reads, writes) = worker.environment.shared_calls();
    assert_eq!((reads - before.0, writes - before.1), (1, 1_000));
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

#[test]
fn what_time_has_given_back_is_not_handed_back_too() {
    // All workers hold leases that have run out, and the bucket is full again; then everybody comes at once.
    for count in 1..=8 {
        let rule = json!({ "name": "a", "key": "header.x-t", "limit": "1000/min", "tolerance": 5 });
        let workers = workers(&rule, count);
        let wait = |duration| workers.iter().for_each(|worker| worker.environment.advance(duration));
        for _ in 0..20 {
            workers.iter().for_each(|worker| assert!(worker.passes()));
        }
        wait(Duration::from_secs(600));
        let passed: usize = (0..2_000).map(|_| workers.iter().filter(|worker| worker.passes()).count()).sum();
        assert!(passed <= 1_050, "{passed} with {count} workers");
    }
}

#[test]
fn a_tolerance_refuses_nobody_who_stays_below_the_limit() {
    // 800/s over four workers, by turns and in bursts, against a limit of 1,000/s: leases run out all the time with some units left.
    for (burst, tolerance) in [(1_000, 5), (1_000, 50), (200, 5), (100, 5)] {
        let rule = json!({ "name": "a", "key": "header.x-t", "limit": "1000/s", "burst": burst, "tolerance": tolerance });
        let workers = workers(&rule, 4);
        for millisecond in 0..20_000 {
            workers.iter().for_each(|worker| worker.environment.advance(Duration::from_millis(1)));
            if millisecond % 5 < 4 {
                let worker = &workers[[0, 1, 2, 3, 0, 0, 2, 2][millisecond / 7 % 8]];
                assert!(worker.passes(), "{burst} {tolerance}: after {millisecond} ms");
            }
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    /// The most that the page allows within `span` nanoseconds: a bucket, and what the rate gives within the span and a lease's life.
    fn bound(burst: u64, interval: u64, life: u64, span: u64) -> usize {
        usize::try_from(burst + (span + life) / interval).unwrap()
    }

    proptest! {
        /// Bursts, pauses and changes of key over any workers: in no span of time does more pass than the page says.
        #[test]
        fn a_tolerance_is_never_exceeded(
            count in 1..7_usize,
            (rate, burst, tolerance) in (20..400_u64, 8..300_u64, 5..60_u32),
            turns in prop::collection::vec((0..7_usize, 0..40_usize, 0..2_usize, prop_oneof![Just(0), 0..50_u64, 0..3_000_u64]), 1..120),
        ) {
            let rule = json!({ "name": "a", "key": "header.x-t", "limit": format!("{rate}/s"), "burst": burst, "tolerance": tolerance });
            prop_assume!(rate * u64::from(tolerance) / 100 >= 2);
            let workers = workers(&rule, count);
            let start = workers[0].environment.now().as_nanos();
            let mut passed: [Vec<u64>; 2] = [vec![], vec![]];
            for (worker, requests, key, milliseconds) in turns {
                let worker = &workers[worker % count];
                let request = SimulatedRequest::get("/").header("x-t", ["a", "b"][key]);
                let now = worker.environment.now().as_nanos() - start;
                for _ in 0..requests {
                    if worker.stand.play(&request, &worker.environment).status().is_none() {
                        passed[key].push(now);
                    }
                }
                workers.iter().for_each(|worker| worker.environment.advance(Duration::from_millis(milliseconds)));
            }
            let interval = 1_000_000_000_u64.div_ceil(rate);
            let life = (10_000_000 * u64::from(tolerance)).min(interval * burst / 4);
            for times in passed {
                for first in 0..times.len() {
                    for last in first..times.len() {
                        let most = bound(burst, interval, life, times[last] - times[first]);
                        prop_assert!(last - first < most, "{} in {} ns", last - first + 1, times[last] - times[first]);
                    }
                }
            }
        }

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
