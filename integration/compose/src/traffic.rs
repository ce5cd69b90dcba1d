//! Steady requests, and what became of each.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use sluice_integration::tokens::TokenArguments;
use sluice_integration::{Client, Request, Result};

/// The pause between two requests of a kind: about eight a second of each.
const PAUSE: Duration = Duration::from_millis(125);

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The kinds of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// With a good token, of `orders`, which asks `inventory`.
    Good,
    /// The same without a token: must never be served.
    Anonymous,
    /// With a forged token (the public RSA key as an HMAC secret): must never be served.
    Forged,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The status.
    Status(u16),
    /// Served, but `inventory` answered its service with this status.
    WithoutStock(u16),
    /// No answer: not connected, reset, or not in time.
    None,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Status(status) => write!(f, "{status}"),
            Outcome::WithoutStock(status) => write!(f, "200 (stock: {status})"),
            Outcome::None => f.write_str("no answer"),
        }
    }
}

type Record = Arc<Mutex<Vec<(Kind, Outcome)>>>;

/// Requests of every kind to the edge, one after the other, until it is stopped.
pub struct Traffic {
    record: Record,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// Starts it.
    ///
    /// # Errors
    /// When a token can't be made.
    pub fn start(edge: u16) -> Result<Self> {
        let path = "/orders/7?with=stock";
        let token = |arguments: &str| TokenArguments::read(arguments)?.mint();
        let requests = [
            (Kind::Good, Request::get(path).bearer(&token("--sub alice --scope orders:read")?)),
            (Kind::Anonymous, Request::get(path)),
            (
                Kind::Forged,
                Request::get(path).bearer(&token("--sub alice --scope orders:read --confuse-algorithms")?),
            ),
        ];
        let (record, stop) = (Record::default(), Arc::new(AtomicBool::new(false)));
        let threads = requests
            .into_iter()
            .map(|(kind, request)| {
                let (record, stop) = (record.clone(), stop.clone());
                std::thread::spawn(move || {
                    let client = Client::new(edge).with_limit(LIMIT);
                    while !stop.load(Ordering::Relaxed) {
                        let outcome = outcome(&client, &request);
                        record.lock().unwrap_or_else(PoisonError::into_inner).push((kind, outcome));
                        std::thread::sleep(PAUSE);
                    }
                })
            })
            .collect();
        Ok(Self { record, stop, threads })
    }

    /// What became of the requests of a kind, in order.
    pub fn outcomes(&self, kind: Kind) -> Vec<Outcome> {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.iter().filter(|(of, _)| *of == kind).map(|(_, outcome)| *outcome).collect()
    }

    /// Ends it, and gives what became of all, counted.
    pub fn end(mut self) -> BTreeMap<Kind, BTreeMap<Outcome, usize>> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        let mut counted: BTreeMap<Kind, BTreeMap<Outcome, usize>> = BTreeMap::new();
        for (kind, outcome) in self.record.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let count = counted.entry(*kind).or_default().entry(*outcome).or_default();
            *count = count.saturating_add(1);
        }
        counted
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn outcome(client: &Client, request: &Request) -> Outcome {
    match client.send(request) {
        Err(_) => Outcome::None,
        Ok(answer) if answer.status == 200 => match answer.json()["stock"]["status"].as_u64() {
            Some(200) => Outcome::Status(200),
            other => Outcome::WithoutStock(other.and_then(|status| status.try_into().ok()).unwrap_or(0)),
        },
        Ok(answer) => Outcome::Status(answer.status),
    }
}
