//! A document of ten thousand rules is replaced while the proxy serves: it is compiled in slices, and the policy that it replaces serves meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sluice_integration::{Client, Gateway, Protocol, Request, wait_until};

const PATIENCE: Duration = Duration::from_secs(60);

/// Ten thousand rules about paths, and one that lets in who names this generation, or `x-always`.
fn policy(generation: usize) -> String {
    let rules: Vec<String> = (0..10_000)
        .map(|tenant| {
            format!(
                r#"{{"name":"tenant-{tenant}","allow":true,"match":{{"paths":["/tenants/{tenant}/**"]}}}}"#
            )
        })
        .collect();
    format!(
        r#"{{"version":1,"authz":{{"default":"deny","rules":[{},
            {{"name":"always","allow":true,"match":{{"headers":{{"x-always":"yes"}}}}}},
            {{"name":"generation","allow":true,"match":{{"headers":{{"x-generation":"{generation}"}}}}}}]}}}}"#,
        rules.join(",")
    )
}

fn status(client: &Client, generation: usize) -> u16 {
    let request = Request::get("/").header("x-generation", generation.to_string());
    client.send(&request).unwrap_or_else(|error| panic!("{error}")).status
}

/// Sends requests without a break, each on a connection that is kept, as long as `act` runs. Each must be answered: those that every
/// policy lets in by 200, those that none does by 403.
fn under_load<T>(gateway: &Gateway, act: impl FnOnce() -> T) -> T {
    let running = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let client = gateway.new_client(if number == 0 { Protocol::Http2 } else { Protocol::Http1 });
                let running = &running;
                scope.spawn(move || {
                    let always = [
                        (Request::get("/").header("x-always", "yes"), 200),
                        (Request::get("/tenants/9999/orders"), 200),
                        (Request::get("/"), 403),
                    ];
                    let mut served = 0;
                    while running.load(Ordering::Relaxed) {
                        for (request, status) in &always {
                            let answer = client.send(request).unwrap_or_else(|error| panic!("{error}"));
                            assert_eq!(answer.status, *status, "{request:?}");
                            served += 1;
                        }
                    }
                    served
                })
            })
            .collect();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        running.store(false, Ordering::Relaxed);
        let served: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert!(served > 0);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// How many lines of the log say that the configuration was compiled at once, and in how many slices the others say that it was.
fn compiled(gateway: &Gateway) -> (usize, Vec<usize>) {
    let log = gateway.envoy().log();
    let slices = log.lines().filter_map(|line| line.split_once("configuration compiled in slices: "));
    let slices = slices.map(|(_, count)| count.split_whitespace().next().unwrap().parse().unwrap());
    (log.matches("configuration compiled at once").count(), slices.collect())
}

#[test]
fn the_old_policy_serves_until_the_new_one_is_compiled() {
    for workers in [1, 2] {
        let builder = Gateway::builder().policy(&policy(0)).concurrency(workers).ecds();
        let gateway = builder.start().unwrap();
        // Each of the connections that are kept belongs to one worker.
        let clients: Vec<Client> = (0..8).map(|_| gateway.new_client(Protocol::Http1)).collect();
        gateway.envoy().admin_post("/logging?wasm=debug").unwrap();
        under_load(&gateway, || {
            clients.iter().for_each(|client| assert_eq!((status(client, 0), status(client, 1)), (200, 403)));
            assert!(gateway.reload(&policy(1)).unwrap());
            for client in &clients {
                // The old policy, and from some request on the new one.
                wait_until("the new policy", PATIENCE, || status(client, 1) == 200).unwrap();
                for _ in 0..20 {
                    assert_eq!((status(client, 0), status(client, 1)), (403, 200));
                }
            }
        });
        // The trial of Envoy's main thread, which comes first, was at once; the main thread itself and the workers took slices.
        let threads = usize::try_from(workers).unwrap() + 1;
        wait_until("all threads", PATIENCE, || compiled(&gateway).1.len() == threads).unwrap();
        let (at_once, slices) = compiled(&gateway);
        assert_eq!(at_once, 1);
        assert!(slices.iter().all(|slices| *slices > 4), "{slices:?}");
        let log = gateway.envoy().log();
        assert!(log.find("compiled at once") < log.find("compiled in slices"));
        assert_eq!(gateway.envoy().log().matches("internal fault").count(), 0);
    }
}

#[test]
fn updates_in_a_row_end_with_the_last_and_a_broken_one_changes_nothing() {
    let gateway = Gateway::builder().policy(&policy(0)).concurrency(2).ecds().start().unwrap();
    let clients: Vec<Client> = (0..8).map(|_| gateway.new_client(Protocol::Http1)).collect();
    under_load(&gateway, || {
        clients.iter().for_each(|client| assert_eq!(status(client, 0), 200));
        for generation in 1..=4 {
            assert!(gateway.reload(&policy(generation)).unwrap());
        }
        for client in &clients {
            wait_until("the last policy", PATIENCE, || status(client, 4) == 200).unwrap();
        }
        // The last rule of a long list is wrong.
        let broken = policy(5).replace(r#""name":"generation","allow":true"#, r#""name":"generation""#);
        assert!(!gateway.reload(&broken).unwrap());
        gateway.envoy().log_line("authz.rules[10001]", PATIENCE).unwrap();
        for client in clients.iter().cycle().take(40) {
            assert_eq!((status(client, 4), status(client, 5), status(client, 3)), (200, 403, 403));
        }
        // Back to one that was there before.
        assert!(gateway.reload(&policy(0)).unwrap());
        for client in &clients {
            wait_until("the first policy", PATIENCE, || status(client, 0) == 200).unwrap();
            assert_eq!(status(client, 4), 403);
        }
    });
}
