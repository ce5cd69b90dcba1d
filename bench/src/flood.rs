//! The row `bad_token_flood`: what clients with good credentials notice while one address sends bad tokens.
//!
//! Here latency is what counts, and whether they are served, not processor time. Each flood is bounded in time and in number, and comes
//! from one address, which the clients with good credentials don't have.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sluice_integration::{Error, Result, ports, static_filter, tokens};

use crate::contender::start_envoy;
use crate::load::Connection;
use crate::native;
use crate::policies::rsa_key_set;
use crate::processor::Cores;
use crate::progress::Progress;
use crate::report::Line;
use crate::rows::Edition;
use crate::statistics::Estimate;
use crate::traffic::{self, Get};

/// The row's name, with which those of its lines begin.
pub const ROW: &str = "bad_token_flood";

/// How long a flood lasts; as long a quiet time comes before.
const LASTS: Duration = Duration::from_secs(3);

/// The connections of a flood.
const CONNECTIONS: usize = 8;

/// The most bad tokens of a flood.
const MOST: usize = 60_000;

/// How long a good client waits before its next request.
const PAUSE: Duration = Duration::from_millis(20);

/// The path on which Envoy's own filter asks for no token: it knows no API keys beside them.
const PARTNER_PATH: &str = "/partner";

/// The API key of the good client that has one.
const KEY: &str = "demo-key-acme";

/// Where the bad tokens come from, and where the good requests do.
const ATTACKER: &str = "198.51.100.66";
const CUSTOMER: &str = "203.0.113.7";

/// A flood.
#[derive(Clone, Copy)]
struct Flood {
    /// The `alg` of its tokens.
    algorithm: &'static str,
    /// Its name in the lines.
    name: &'static str,
    /// How many a second; `None`: as many as are answered.
    rate: Option<u32>,
}

const FLOODS: [Flood; 2] = [
    Flood { algorithm: "RS256", name: "rs256", rate: None },
    Flood { algorithm: "PS256", name: "ps256", rate: Some(600) },
];

/// The good clients, by what they show.
const KINDS: [&str; 3] = ["cached", "api_key", "fresh"];

/// What a good client has seen.
#[derive(Default)]
struct Seen {
    /// In ms.
    latencies: Vec<f64>,
    accepted: usize,
}

/// Measures all floods: lines of latency and of the share that was accepted. `ours` and `beside` are folders of modules.
pub fn measure(
    ours: Option<&Path>,
    beside: Option<&Path>,
    cores: Option<Cores>,
    progress: &mut Progress,
) -> Result<Vec<Line>> {
    progress.show(ROW, "signing");
    let fresh: Vec<String> = traffic::tokens(1_200);
    let module = |dist: &Path| vec![static_filter(&Edition::Full.path(dist), &document())];
    let mut run = |label: &str, filters: Vec<Value>| -> Result<Vec<[Seen; 3]>> {
        one_envoy(label, &filters, &fresh, cores, &mut |step| progress.show(ROW, &format!("{label}: {step}")))
    };
    let ours = ours.map(|dist| run("sluice", module(dist))).transpose()?;
    let peer = match beside {
        Some(dist) => run("beside", module(dist))?,
        None => run("native", native_filters())?,
    };
    let mut lines = Vec::new();
    for (number, flood) in FLOODS.iter().enumerate() {
        for (kind, name) in KINDS.iter().enumerate() {
            // The first are those of the quiet time.
            let of =
                |all: &[[Seen; 3]], value: fn(&Seen) -> Estimate| Some(value(&all.get(number + 1)?[kind]));
            let quiet = |value: fn(&Seen) -> Estimate| ours.as_ref().map(|all| value(&all[0][kind]));
            let mut line = |suffix: &str, value: fn(&Seen) -> Estimate, unit| {
                lines.push(Line {
                    row: format!("{ROW}_{}_{name}{suffix}", flood.name),
                    sluice: ours.as_ref().and_then(|all| of(all, value)),
                    native: of(&peer, value),
                    bare: quiet(value),
                    rounds: peer.get(number + 1).map_or(0, |seen| seen[kind].latencies.len()),
                    unit,
                });
            };
            line("", |seen| Estimate::of(&seen.latencies), "latency_ms");
            line("_p99", Seen::p99, "latency_ms");
            line("_accepted", Seen::share, "percent");
        }
    }
    Ok(lines)
}

/// The quiet time and each flood on one Envoy: what the good clients have seen.
fn one_envoy(
    label: &str,
    filters: &[Value],
    fresh: &[String],
    cores: Option<Cores>,
    show: &mut dyn FnMut(&str),
) -> Result<Vec<[Seen; 3]>> {
    show("starting");
    let port = ports::free();
    let mut envoy = start_envoy(&format!("{ROW}-{label}"), port, filters, 1)?;
    if let Some(cores) = cores {
        cores.pin_envoy(envoy.process().id())?;
    }
    let known = good(&fresh[0]);
    let forged = from(ATTACKER, Get::path("/orders").token(&bad_token("RS256", "probe")));
    for (what, request, status) in [("a good token", &known, 200), ("a forged one", &forged, 401)] {
        let answer = Connection::open(port)?.exchange(request)?;
        if answer.status != status {
            return Err(Error::Other(format!("not measured: {what} was answered with\n{}", answer.head)));
        }
    }
    let parts = fresh[1..].chunks(fresh.len() / (1 + FLOODS.len()));
    let mut all = Vec::new();
    for (flood, own) in std::iter::once(None).chain(FLOODS.iter().map(Some)).zip(parts) {
        show(flood.map_or("quiet", |flood| flood.name));
        all.push(one_flood(port, flood, &known, own, cores)?);
        // What the flood has spent comes back; the next one has nothing of it.
        std::thread::sleep(Duration::from_millis(1_500));
    }
    Ok(all)
}

/// The good clients, each on a thread of its own, and beside them the flood, if any.
fn one_flood(
    port: u16,
    flood: Option<&Flood>,
    known: &[u8],
    fresh: &[String],
    cores: Option<Cores>,
) -> Result<[Seen; 3]> {
    let end = Instant::now() + LASTS;
    let sent = AtomicUsize::new(0);
    let pin = || {
        if let Some(cores) = cores {
            cores.pin_load();
        }
    };
    std::thread::scope(|scope| {
        let attackers: Vec<_> = flood
            .into_iter()
            .flat_map(|flood| (0..CONNECTIONS).map(move |_| flood))
            .map(|flood| {
                let sent = &sent;
                scope.spawn(move || {
                    pin();
                    attack(port, flood, sent, end)
                })
            })
            .collect();
        let key = from(CUSTOMER, Get::path(PARTNER_PATH).header("x-api-key", KEY));
        let clients = [
            scope.spawn(|| {
                pin();
                client(port, end, std::iter::repeat(known.to_vec()))
            }),
            scope.spawn(|| {
                pin();
                client(port, end, std::iter::repeat(key))
            }),
            scope.spawn(|| {
                pin();
                client(port, end, fresh.iter().map(|token| good(token)))
            }),
        ];
        let panicked = || Error::Other("the load generator panicked".to_owned());
        let mut seen = Vec::new();
        for client in clients {
            seen.push(client.join().map_err(|_| panicked())??);
        }
        for attacker in attackers {
            attacker.join().map_err(|_| panicked())??;
        }
        seen.try_into().map_err(|_| panicked())
    })
}

/// Sends bad tokens on one connection until `end`.
fn attack(port: u16, flood: &Flood, sent: &AtomicUsize, end: Instant) -> Result<()> {
    let mut connection = Connection::open(port)?;
    let mut due = Instant::now();
    while Instant::now() < end {
        let number = sent.fetch_add(1, Ordering::Relaxed);
        if number >= MOST {
            break;
        }
        let token = bad_token(flood.algorithm, &format!("{}-{number}", flood.name));
        let answer = connection.exchange(&from(ATTACKER, Get::path("/orders").token(&token)))?;
        if !matches!(answer.status, 401 | 503) {
            return Err(Error::Other(format!("a bad token was answered with\n{}", answer.head)));
        }
        if let Some(rate) = flood.rate {
            due += Duration::from_secs(CONNECTIONS as u64) / rate;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
    Ok(())
}

/// A client with good credentials: a request, the answer, a pause.
fn client(port: u16, end: Instant, requests: impl Iterator<Item = Vec<u8>>) -> Result<Seen> {
    let mut connection = Connection::open(port)?;
    let mut seen = Seen::default();
    for request in requests {
        if Instant::now() >= end {
            break;
        }
        let begin = Instant::now();
        let answer = connection.exchange(&request)?;
        seen.latencies.push(begin.elapsed().as_secs_f64() * 1e3);
        seen.accepted += usize::from(answer.status == 200);
        std::thread::sleep(PAUSE);
    }
    Ok(seen)
}

fn good(token: &str) -> Vec<u8> {
    from(CUSTOMER, Get::path("/orders").token(token))
}

/// The request as a load balancer passes it on from that address.
fn from(address: &str, request: Get) -> Vec<u8> {
    request.header("x-forwarded-for", address).bytes()
}

/// A token of the demo's issuer whose signature is wrong.
fn bad_token(algorithm: &str, id: &str) -> String {
    let header = json!({ "alg": algorithm, "kid": "demo-rs256", "typ": "JWT" });
    let claims = json!({
        "iss": tokens::ISSUER, "aud": tokens::AUDIENCE, "sub": "mallory", "exp": tokens::now() + 600, "jti": id,
    });
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode([7; 256]))
}

/// The RSA key for both algorithms.
fn key_set() -> Value {
    let mut set = rsa_key_set();
    for key in set["keys"].as_array_mut().into_iter().flatten() {
        key.as_object_mut().map(|key| key.remove("alg"));
    }
    set
}

/// Ours, with the budget that is the default.
fn document() -> String {
    json!({
        "version": 1,
        "client": { "address": { "trustedHops": 1 } },
        "authn": { "providers": [
            { "name": "staff", "jwt": {
                "issuer": tokens::ISSUER,
                "audiences": [tokens::AUDIENCE],
                "algorithms": ["RS256", "PS256"],
                "keys": { "inline": key_set() },
            } },
            { "name": "partners", "apiKey": { "keys": [{
                "id": "acme", "sha256": "8649cdebee753898fd50e01408a9e438aa5090249bc3e51b65f33dce973b0873",
            }] } },
        ] },
    })
    .to_string()
}

/// Envoy's own filter with its cache. Where ours takes an API key, it asks for nothing.
fn native_filters() -> Vec<Value> {
    let mut filter = native::jwt_authn(native::Tokens { cache: true, ..native::Tokens::default() });
    let configuration = &mut filter["typed_config"];
    configuration["providers"]["staff"]["local_jwks"] = json!({ "inline_string": key_set().to_string() });
    if let Some(rules) = configuration["rules"].as_array_mut() {
        rules.insert(0, json!({ "match": { "prefix": PARTNER_PATH } }));
    }
    vec![filter]
}

// === impl Seen ===

impl Seen {
    fn p99(&self) -> Estimate {
        let mut sorted = self.latencies.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.get(sorted.len().saturating_mul(99) / 100).or(sorted.last());
        Estimate { median: last.copied().unwrap_or(f64::NAN), spread: 0.0 }
    }

    /// How many in a hundred were answered with 200.
    fn share(&self) -> Estimate {
        Estimate { median: 100.0 * self.accepted as f64 / self.latencies.len() as f64, spread: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_integration::repository_root;

    #[test]
    fn on_real_envoys_all_good_requests_are_answered_and_those_of_ours_accepted() {
        let dist = repository_root().join("dist").canonicalize().expect("dist/, which `make build` fills");
        let lines = measure(Some(&dist), None, None, &mut Progress::begin()).unwrap();
        assert_eq!(lines.len(), FLOODS.len() * KINDS.len() * 3);
        for line in lines.iter().filter(|line| line.unit == "percent") {
            assert_eq!(line.sluice.map(|share| share.median), Some(100.0), "{}", line.row);
        }
    }
}
