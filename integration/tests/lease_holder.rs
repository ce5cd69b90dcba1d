//! A worker ends while it fetches for all: by a trap of its VM, on a real Envoy. Another one follows when its lease is over.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sluice_integration::raw::{self, Connection};
use sluice_integration::tokens::{self, Algorithm, Token};
use sluice_integration::{Answer, Gateway, Reply, Request, Result, Upstream, module_named, wait_until};
use walrus::{ExportItem, FunctionBuilder, Module};

const LONG: Duration = Duration::from_secs(60);

/// How long a fetch may take; its lease is two seconds longer.
const TIMEOUT: Duration = Duration::from_secs(3);

const POLICY: &str = r#"{version: 1, telemetry: {}, authn: {
    providers: [{name: staff, jwt: {issuer: "https://id.sluice.demo", audiences: [orders],
        keys: {remote: {cluster: id, path: /keys, refresh: 1h, earlyRefresh: 1s, timeout: 3s, within: 20s}}}}],
    rules: [{name: open, match: {paths: ["/open"]}, require: none}, {name: rest}]}}"#;

/// The module as it is shipped, but that each part of a request's body is a trap. Nothing that we ship can be made to trap.
fn trapping_module(folder: &Path) -> PathBuf {
    let shipped = module_named("sluice-bodies.wasm").unwrap();
    let mut module = Module::from_file(&shipped).unwrap();
    let export = module.exports.iter().find(|export| export.name == "proxy_on_request_body").unwrap();
    let (export, function) = match export.item {
        ExportItem::Function(function) => (export.id(), function),
        ref other => panic!("a callback is no function: {other:?}"),
    };
    let (parameters, results) = {
        let signature = module.types.get(module.funcs.get(function).ty());
        (signature.params().to_vec(), signature.results().to_vec())
    };
    let mut builder = FunctionBuilder::new(&mut module.types, &parameters, &results);
    builder.func_body().unreachable();
    let arguments = parameters.iter().map(|kind| module.locals.add(*kind)).collect();
    let trap = builder.finish(arguments, &mut module.funcs);
    module.exports.get_mut(export).item = ExportItem::Function(trap);
    let file = folder.join("sluice-bodies-trapping.wasm");
    module.emit_wasm_file(&file).unwrap();
    file
}

/// What the issuer says: its key, and how long it takes to say it.
#[derive(Clone)]
struct Issuer(Arc<Mutex<(Algorithm, Duration)>>);

impl Issuer {
    fn start() -> (Upstream, Self) {
        let issuer = Self(Arc::new(Mutex::new((Algorithm::Es256, Duration::ZERO))));
        let says = issuer.clone();
        let upstream = Upstream::answering("id", move |_| {
            let (algorithm, after) = *says.0.lock().unwrap();
            let mut set = tokens::key_set(false);
            set["keys"].as_array_mut().unwrap().retain(|key| key["kid"] == algorithm.key_id());
            Reply { after, ..Reply::json(200, &set) }
        });
        (upstream.unwrap(), issuer)
    }

    fn says(&self, algorithm: Algorithm, after: Duration) {
        *self.0.lock().unwrap() = (algorithm, after);
    }
}

/// A connection, which stays on the worker that has accepted it. (A client of a pool may open another one whenever it likes.)
struct OnWorker(Connection);

impl OnWorker {
    fn send(&mut self, request: &Request) -> Result<Answer> {
        let mut headers: Vec<(&[u8], &[u8])> = vec![(b"host", b"sluice.demo")];
        headers.extend(request.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())));
        self.0.write(&raw::request(&request.method, request.path.as_bytes(), &headers, &request.body))?;
        self.0.read_answer()
    }
}

/// Two connections of each worker, by its number.
fn on_each_worker(gateway: &Gateway, workers: usize) -> Vec<[OnWorker; 2]> {
    let accepted = || -> Vec<u64> {
        let stats = gateway.envoy().stats().unwrap();
        let of = |worker: usize| {
            let end = format!("worker_{worker}.downstream_cx_total");
            let ours = |name: &str| {
                name.starts_with("listener.") && !name.starts_with("listener.admin") && name.ends_with(&end)
            };
            stats.iter().filter(|(name, _)| ours(name)).map(|(_, count)| *count).sum()
        };
        (0..workers).map(of).collect()
    };
    let mut found: Vec<Vec<OnWorker>> = (0..workers).map(|_| Vec::new()).collect();
    wait_until("two connections of each worker", LONG, || {
        let before = accepted();
        let mut connection = OnWorker(Connection::open(gateway.port()).unwrap().with_limit(LONG));
        let served = connection.send(&Request::get("/open")).is_ok_and(|answer| answer.status == 200);
        let after = accepted();
        let grown: Vec<usize> = (0..workers).filter(|worker| after[*worker] > before[*worker]).collect();
        if let [worker] = grown[..]
            && served
        {
            found[worker].push(connection);
        }
        found.iter().all(|connections| connections.len() >= 2)
    })
    .unwrap();
    found
        .into_iter()
        .map(|connections| connections.into_iter().take(2).collect::<Vec<_>>().try_into().ok().unwrap())
        .collect()
}

fn signed_with(algorithm: Algorithm) -> Request {
    Request::get("/a").bearer(&Token::of("alice").signed_with(algorithm).sign())
}

#[test]
fn when_the_vm_of_the_worker_that_fetches_traps_another_worker_fetches() {
    let folder = tempfile::tempdir().unwrap();
    let module = trapping_module(folder.path());
    for workers in [1, 2, 4] {
        let (upstream, issuer) = Issuer::start();
        let gateway = Gateway::builder()
            .module(&module)
            .policy(POLICY)
            .further_upstream(upstream)
            .concurrency(u32::try_from(workers).unwrap())
            .start()
            .unwrap();
        let asked = || gateway.upstream_named("id").count();
        let mut clients = on_each_worker(&gateway, workers);
        for [client, _] in &mut clients {
            assert_eq!(client.send(&signed_with(Algorithm::Es256)).unwrap().status, 200);
        }
        assert_eq!(asked(), 1, "{workers} workers");

        // The issuer has another key, and hangs. Who asks for it, the worker 0, fetches; nothing else is due for an hour.
        issuer.says(Algorithm::Rs256, LONG);
        let [mut asking, mut killing] = clients.remove(0);
        std::thread::spawn(move || {
            // Refused until it may be asked early. Then it waits, and ends with the VM.
            while asking.send(&signed_with(Algorithm::Rs256)).is_ok_and(|answer| answer.status == 401) {}
        });
        wait_until("a fetch that hangs", LONG, || asked() == 2).unwrap();
        let fetching = Instant::now();

        // The worker 0 ends, by a request on a connection of its own.
        let died = killing.send(&Request::post("/open", "a body"));
        assert!(died.is_err() || died.is_ok_and(|answer| answer.status >= 500));
        gateway.envoy().log_line("unreachable", LONG).unwrap();

        // Another worker (where there is one alone, its next VM) has the key once it has fetched: when the lease is over.
        issuer.says(Algorithm::Rs256, Duration::ZERO);
        let mut others = clients.pop().unwrap_or_else(|| on_each_worker(&gateway, workers).remove(0));
        let mut last = Answer::default();
        wait_until("the key", LONG, || {
            last = others[0].send(&signed_with(Algorithm::Rs256)).unwrap_or_default();
            last.status == 200
        })
        .unwrap_or_else(|error| panic!("{workers} workers: {error}: {}", last.text()));
        assert_eq!(asked(), 3, "{workers} workers");
        let took = fetching.elapsed();
        assert!(took >= TIMEOUT, "{workers} workers: the lease was not waited for: {took:?}");

        // All have it now, the one that died too, in a new VM, and nobody has fetched again.
        for [mut client, _] in on_each_worker(&gateway, workers) {
            assert_eq!(client.send(&signed_with(Algorithm::Rs256)).unwrap().status, 200);
        }
        assert_eq!(asked(), 3, "{workers} workers");
        // The fetch of the dead has no end that anybody could have counted.
        let counted = |outcome: &str| {
            let end = format!("sluice_resources.resource.authn_staff.outcome.{outcome}");
            let stats = gateway.envoy().stats().unwrap();
            stats.iter().filter(|(name, _)| name.ends_with(&end)).map(|(_, count)| *count).sum::<u64>()
        };
        wait_until("the counter", LONG, || counted("fetched") == 2).unwrap();
        assert_eq!(counted("timed_out"), 0, "{workers} workers");
    }
}
