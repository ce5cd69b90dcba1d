//! One row: its Envoys side by side, measured in turns.

use std::path::Path;

use sluice_integration::Result;

use crate::contender::Contender;
use crate::processor::Cores;
use crate::progress::Progress;
use crate::report::Line;
use crate::rows::Row;
use crate::statistics::Estimate;

/// How much a row is measured.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// The rounds.
    pub rounds: usize,
    /// The requests of a round, to each Envoy.
    pub requests: usize,
}

/// The modules that take part.
#[derive(Debug, Clone, Copy)]
pub struct Modules<'m> {
    /// The folder of those that are measured; none: only Envoy's own filters are.
    pub ours: Option<&'m Path>,
    /// The folder of those that take the place of Envoy's own filters, to compare two builds.
    pub beside: Option<&'m Path>,
}

/// Measures a row: a line for each of its peers, or one without a peer.
///
/// In each round every Envoy gets the same number of the same requests, one Envoy after the other, and the next round begins with
/// another one: what disturbs the machine for longer than a round disturbs all alike. An Envoy without filters takes part; what
/// another one used more than it *in the same round* is the cost of its filters.
pub fn measure(
    row: &Row,
    modules: Modules<'_>,
    bare: &mut Contender,
    effort: Effort,
    cores: Option<Cores>,
    progress: &mut Progress,
) -> Result<Vec<Line>> {
    progress.show(row.name, "starting");
    let requests = (row.traffic)();
    // Ours, if there is a module, then the peers.
    let mut contenders = Vec::new();
    let named = [("sluice", modules.ours), ("beside", modules.beside)];
    for (label, dist) in named.iter().filter_map(|(label, dist)| Some((label, (*dist)?))) {
        let ours = Contender::start(&format!("{}-{label}", row.name), &[row.filter(dist)], cores)?;
        ours.check(&row.probes_of_ours())?;
        contenders.push(ours);
    }
    let peers = if modules.beside.is_some() { &[] } else { row.peers };
    for peer in peers {
        let native = Contender::start(&format!("{}-native", peer.row), &(peer.filters)(), cores)?;
        native.check(&row.probes_of_peer(peer))?;
        contenders.push(native);
    }

    let mut all: Vec<&mut Contender> = std::iter::once(bare).chain(&mut contenders).collect();
    let samples = std::thread::scope(|scope| {
        // A thread of its own, so that nothing else is bound to its core.
        let load = scope.spawn(|| {
            if let Some(cores) = cores {
                cores.pin_load();
            }
            in_turns(&mut all, &requests, effort, &mut |step| progress.show(row.name, step))
        });
        load.join().unwrap_or_else(|_| Err("the load generator panicked".into()))
    })?;

    let above_bare = |who: usize| samples.get(who).map(|own| Estimate::of_differences(own, &samples[0]));
    let ours = if modules.ours.is_some() { above_bare(1) } else { None };
    let first_peer = if modules.ours.is_some() { 2 } else { 1 };
    let line = |name: &str, peer: Option<usize>| Line {
        row: name.to_owned(),
        sluice: ours,
        native: peer.and_then(|peer| above_bare(first_peer + peer)),
        bare: Some(Estimate::of(&samples[0])),
        rounds: effort.rounds,
        unit: "us",
    };
    if peers.is_empty() {
        return Ok(vec![line(row.name, modules.beside.map(|_| 0))]);
    }
    Ok(peers.iter().enumerate().map(|(index, peer)| line(peer.row, Some(index))).collect())
}

/// The µs of every Envoy in every round.
fn in_turns(
    contenders: &mut [&mut Contender],
    requests: &[Vec<u8>],
    effort: Effort,
    show: &mut (impl FnMut(&str) + Send),
) -> Result<Vec<Vec<f64>>> {
    show("warming up");
    // v8 compiles a function well only after it has run often enough.
    for contender in &mut *contenders {
        contender.measure(requests, effort.requests * 2)?;
    }
    let count = contenders.len();
    let mut samples = vec![Vec::with_capacity(effort.rounds); count];
    for round in 0..effort.rounds {
        show(&format!("round {} of {}", round + 1, effort.rounds));
        for turn in 0..count {
            let who = (turn + round) % count;
            samples[who].push(contenders[who].measure(requests, effort.requests)?);
        }
    }
    Ok(samples)
}
