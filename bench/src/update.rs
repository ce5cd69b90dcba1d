//! How long a request is kept waiting, at worst, while a long document is replaced.

use std::path::Path;
use std::thread::scope;
use std::time::{Duration, Instant};

use sluice_integration::{Error, Gateway, Result};

use crate::load::Connection;
use crate::progress::Progress;
use crate::report::Line;
use crate::rows::Edition;
use crate::statistics::Estimate;
use crate::traffic::Get;

/// A row's name, what it is about, and its document by generation.
pub type Row = (&'static str, &'static str, fn(usize) -> String);

/// The rows.
pub const ROWS: [Row; 4] = [
    (
        "update_delay_rules",
        "the longest delay of a request while 10,000 rules about paths are replaced, in ms",
        rules,
    ),
    ("update_delay_when", "the same for 10,000 rules about paths and callers", rules_about_callers),
    ("update_delay_networks", "the same for a list of 100,000 networks", networks),
    ("update_delay_keys", "the same for 10,000 API keys", keys),
];

/// The client rests so long between requests, so that the worker is free most of the time.
const REST: Duration = Duration::from_micros(200);

/// So long after the new policy has answered, what is left of the old one is cleared away.
const AFTERWARDS: Duration = Duration::from_millis(300);

/// An update that has not come by then never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures a row: of each update the longest delay, with this folder's module and another's in turns. `bare` is the longest delay in as long
/// a time without an update.
pub fn measure(
    name: &str,
    document: fn(usize) -> String,
    dist: &Path,
    beside: Option<&Path>,
    updates: usize,
    progress: &mut Progress,
) -> Result<Line> {
    let start = |dist: &Path| -> Result<Served> {
        let builder = Gateway::builder().policy(&document(0)).module(Edition::Full.path(dist));
        let gateway = builder.ecds().direct_response().start()?;
        let connection = Connection::open(gateway.port())?;
        Ok(Served { gateway, connection })
    };
    let mut ours = start(dist)?;
    let mut theirs = beside.map(start).transpose()?;
    let (mut with, mut without, mut with_theirs) = (Vec::new(), Vec::new(), Vec::new());
    for generation in 1..=updates {
        progress.show(name, &format!("update {generation} of {updates}"));
        let (delay, lasted) = ours.update(&document(generation), generation)?;
        with.push(delay);
        without.push(ours.longest_within(lasted)?);
        if let Some(theirs) = &mut theirs {
            with_theirs.push(theirs.update(&document(generation), generation)?.0);
        }
    }
    Ok(Line {
        row: name.to_owned(),
        sluice: Some(Estimate::of(&with)),
        native: (!with_theirs.is_empty()).then(|| Estimate::of(&with_theirs)),
        bare: Some(Estimate::of(&without)),
        rounds: updates,
        unit: "ms",
    })
}

/// An Envoy with one worker, and a connection to it.
struct Served {
    gateway: Gateway,
    connection: Connection,
}

impl Served {
    /// Replaces the document. The longest delay in ms, and how long it took.
    fn update(&mut self, document: &str, generation: usize) -> Result<(f64, Duration)> {
        let Self { gateway, connection } = self;
        let request = Get::path("/").header("x-generation", &generation.to_string()).bytes();
        let begin = Instant::now();
        scope(|scope| {
            let taken = scope.spawn(|| gateway.reload_text(document));
            let (mut longest, mut until) = (Duration::ZERO, None);
            while until.is_none_or(|until| Instant::now() < until) {
                let (delay, status) = exchange(connection, &request)?;
                longest = longest.max(delay);
                if status == 200 && until.is_none() {
                    until = Some(Instant::now() + AFTERWARDS);
                }
                if begin.elapsed() > PATIENCE {
                    return Err(Error::Other("the new policy has not answered".to_owned()));
                }
            }
            match taken.join() {
                Ok(Ok(true)) => Ok((longest.as_secs_f64() * 1e3, begin.elapsed())),
                Ok(Err(error)) => Err(error),
                _ => Err(Error::Other("the document was refused".to_owned())),
            }
        })
    }

    /// The longest delay in ms while nothing is replaced.
    fn longest_within(&mut self, time: Duration) -> Result<f64> {
        let request = Get::path("/").header("x-generation", "none").bytes();
        let (begin, mut longest) = (Instant::now(), Duration::ZERO);
        while begin.elapsed() < time {
            longest = longest.max(exchange(&mut self.connection, &request)?.0);
        }
        Ok(longest.as_secs_f64() * 1e3)
    }
}

fn exchange(connection: &mut Connection, request: &[u8]) -> Result<(Duration, u16)> {
    std::thread::sleep(REST);
    let begin = Instant::now();
    let answer = connection.exchange(request)?;
    Ok((begin.elapsed(), answer.status))
}

/// A document with these sections, which lets in who names this generation.
fn document(sections: &str, rules: &str, generation: usize) -> String {
    format!(
        r#"{{"version":1,{sections}"authz":{{"default":"deny","rules":[{rules}{{"name":"generation","allow":true,"match":{{"headers":{{"x-generation":"{generation}"}}}}}}]}}}}"#
    )
}

fn rules(generation: usize) -> String {
    let rules = (0..10_000).map(|tenant| {
        format!(r#"{{"name":"tenant-{tenant}","allow":true,"match":{{"paths":["/tenants/{tenant}/**"]}}}},"#)
    });
    document("", &rules.collect::<String>(), generation)
}

fn rules_about_callers(generation: usize) -> String {
    let rules = (0..10_000).map(|tenant| {
        format!(
            r#"{{"name":"tenant-{tenant}","allow":true,"match":{{"paths":["/tenants/{tenant}/**"]}},"when":{{"peers":["spiffe://example.com/ns/tenant-{tenant}/**"]}}}},"#
        )
    });
    document("", &rules.collect::<String>(), generation)
}

fn networks(generation: usize) -> String {
    let networks: Vec<String> = (0..100_000)
        .map(|number| format!(r#""10.{}.{}.{}/31""#, number >> 15, (number >> 7) & 255, (number * 2) & 255))
        .collect();
    let lists = format!(r#""definitions":{{"ipLists":{{"denied":{{"cidrs":[{}]}}}}}},"#, networks.join(","));
    let rule = r#"{"name":"denied","deny":true,"match":{"client":{"ipLists":["denied"]}}},"#;
    document(&lists, rule, generation)
}

fn keys(generation: usize) -> String {
    let keys: Vec<String> = (1..=10_000u128)
        .map(|number| {
            let digest = number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            format!(r#"{{"id":"key-{number}","sha256":"{digest:064x}","consumer":"consumer-{number}"}}"#)
        })
        .collect();
    let authn = format!(
        r#""authn":{{"providers":[{{"name":"partners","apiKey":{{"keys":[{}]}}}}],"rules":[{{"name":"all","require":{{"optional":["partners"]}}}}]}},"#,
        keys.join(",")
    );
    document(&authn, "", generation)
}
