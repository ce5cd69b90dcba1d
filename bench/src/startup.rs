//! What the module costs once: its size, the start of a VM, memory for each worker.

use std::path::Path;
use std::time::Instant;

use serde_json::Value;
use sluice_integration::{Envoy, Error, Result, ports, static_filter};

use crate::contender::start_envoy;
use crate::load::Connection;
use crate::progress::Progress;
use crate::report::Line;
use crate::rows::{Edition, edge};
use crate::statistics::{Estimate, median};
use crate::traffic::{CLIENTS, users};

/// The workers of the larger Envoy when memory is compared.
const WORKERS: u32 = 4;

/// The connections when memory is compared: so many that every worker gets some.
const CONNECTIONS: usize = 64;

/// The requests on each of these connections.
const REQUESTS: usize = 100;

/// The bytes of a module.
pub fn module_bytes(name: &str, edition: Edition, dist: &Path) -> Result<Line> {
    let file = edition.path(dist);
    let size = std::fs::metadata(&file).map_err(|e| Error::file("can't read", &file, e))?.len();
    Ok(line(name, Estimate { median: size as f64, spread: 0.0 }, 1, "bytes"))
}

/// How much later an Envoy with the module and the document of the row `edge` answers its first request, in ms.
/// `beside` is another folder's full module, which starts in turns with ours; it stands in place of native.
pub fn vm_start(
    name: &str,
    dist: &Path,
    edition: Edition,
    beside: Option<&Path>,
    starts: usize,
    progress: &mut Progress,
) -> Result<Line> {
    let filter = |module: &Path| [static_filter(module, &edge().json())];
    let ours = filter(&edition.path(dist));
    let theirs = beside.map(|dist| filter(&Edition::Full.path(dist)));
    let requests = users(1);
    let (mut with, mut without, mut with_theirs) = (Vec::new(), Vec::new(), Vec::new());
    for start in 0..starts {
        progress.show(name, &format!("start {} of {starts}", start + 1));
        with.push(until_first_answer("start-sluice", &ours, &requests[0])?);
        without.push(until_first_answer("start-bare", &[], &requests[0])?);
        if let Some(theirs) = &theirs {
            with_theirs.push(until_first_answer("start-beside", theirs, &requests[0])?);
        }
    }
    let native = theirs.map(|_| Estimate::of_differences(&with_theirs, &without));
    Ok(Line { native, ..line(name, Estimate::of_differences(&with, &without), starts, "ms") })
}

fn until_first_answer(name: &str, filters: &[Value], request: &[u8]) -> Result<f64> {
    let port = ports::free();
    let begin = Instant::now();
    let _envoy = start_envoy(name, port, filters, 1)?;
    let answer = Connection::open(port)?.exchange(request)?;
    let elapsed = begin.elapsed();
    if answer.status != 200 {
        return Err(Error::Other(format!("the first answer was not 200:\n{}", answer.head)));
    }
    Ok(elapsed.as_secs_f64() * 1e3)
}

/// How much more resident memory each further worker takes with the module and the document of the row `edge`, in bytes: the
/// growth from one worker to [`WORKERS`], less the growth of an Envoy without filters.
pub fn rss_per_worker(name: &str, dist: &Path, starts: usize, progress: &mut Progress) -> Result<Line> {
    let ours = [static_filter(&Edition::Full.path(dist), &edge().json())];
    let requests = users(CLIENTS);
    let mut values = Vec::new();
    for start in 0..starts {
        progress.show(name, &format!("start {} of {starts}", start + 1));
        let growth = |label: &str, filters: &[Value]| -> Result<f64> {
            let one = resident(&format!("{label}-1"), filters, 1, &requests)?;
            let several = resident(&format!("{label}-{WORKERS}"), filters, WORKERS, &requests)?;
            Ok((several - one) / f64::from(WORKERS - 1))
        };
        values.push(growth("memory-sluice", &ours)? - growth("memory-bare", &[])?);
    }
    Ok(line(name, Estimate { median: median(&values), ..Estimate::of(&values) }, starts, "bytes"))
}

/// The resident memory after some requests to every worker.
fn resident(name: &str, filters: &[Value], workers: u32, requests: &[Vec<u8>]) -> Result<f64> {
    let port = ports::free();
    let envoy: Envoy = start_envoy(name, port, filters, workers)?;
    let mut connections =
        (0..CONNECTIONS).map(|_| Connection::open(port)).collect::<Result<Vec<Connection>>>()?;
    for number in 0..REQUESTS {
        for (index, connection) in connections.iter_mut().enumerate() {
            let answer = connection.exchange(&requests[(number * CONNECTIONS + index) % requests.len()])?;
            if answer.status != 200 {
                return Err(Error::Other(format!("an answer was not 200:\n{}", answer.head)));
            }
        }
    }
    Ok(envoy.usage()?.resident as f64)
}

fn line(name: &str, value: Estimate, rounds: usize, unit: &'static str) -> Line {
    Line { row: name.to_owned(), sluice: Some(value), native: None, bare: None, rounds, unit }
}
