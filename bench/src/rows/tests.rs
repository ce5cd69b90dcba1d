//! On real Envoys, with the modules of `dist/`: that the rows can be measured.

use super::*;
use crate::contender::Contender;
use sluice_integration::repository_root;
use std::collections::BTreeSet;

#[test]
fn what_is_compared_does_the_same_work() {
    let dist = repository_root().join("dist").canonicalize().expect("dist/, which `make build` fills");
    // The others have the documents of these in another edition.
    for row in ROWS.iter().filter(|row| !row.peers.is_empty()) {
        let requests: Vec<_> = (row.traffic)().into_iter().take(100).collect();
        let mut ours = Contender::start(&format!("test-{}", row.name), &[row.filter(&dist)], None)
            .unwrap_or_else(|e| panic!("{}: {e}", row.name));
        ours.check(&row.probes_of_ours()).unwrap_or_else(|e| panic!("{}: {e}", row.name));
        ours.measure(&requests, 200).unwrap_or_else(|e| panic!("{}: {e}", row.name));
        for peer in row.peers {
            let mut native = Contender::start(&format!("test-{}-native", peer.row), &(peer.filters)(), None)
                .unwrap_or_else(|e| panic!("{}: {e}", peer.row));
            native.check(&row.probes_of_peer(peer)).unwrap_or_else(|e| panic!("{}: {e}", peer.row));
            native.measure(&requests, 200).unwrap_or_else(|e| panic!("{}: {e}", peer.row));
        }
    }
}

#[test]
fn every_line_of_the_results_has_its_own_name() {
    let names: Vec<&str> = ROWS
        .iter()
        .flat_map(|row| match row.peers {
            [] => vec![row.name],
            peers => peers.iter().map(|peer| peer.row).collect(),
        })
        .collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
}
