//! A document that is compiled in slices decides as one that is compiled at once.

use super::*;
use proptest::prelude::*;
use sluice_core::document::pace::{self, Pace, STEPS};
use sluice_core::document::problem::Problems;
use std::cell::Cell;
use std::rc::Rc;

/// A rule of which the parts are drawn. `number` makes its path its own, so that no other rule takes all of its requests.
fn rule(number: usize, draw: u32) -> Value {
    let mut matches = json!({ "paths": [format!("/p{number}/**"), format!("/q/{number}")] });
    if draw & 1 != 0 {
        matches["methods"] = json!(["GET", "PUT"]);
    }
    if draw & 2 != 0 {
        matches["headers"] = json!({ "x-a": "1" });
    }
    if draw & 4 != 0 {
        matches["hosts"] = json!(["*.example.com"]);
    }
    if draw & 8 != 0 {
        matches["client"] = json!({ "ipLists": ["list"] });
    }
    let mut rule = json!({ "name": format!("r{number}"), "match": matches, "shadow": draw & 16 != 0 });
    rule[if draw & 32 != 0 { "deny" } else { "allow" }] = json!(true);
    if draw & 64 != 0 {
        rule["when"] = json!({ "consumers": [format!("c{}", number % 3)] });
    }
    rule
}

fn document(draws: &[u32], networks: usize, keys: usize) -> Value {
    let digest = |number: usize| match number {
        // That of `secret`.
        0 => "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b".to_owned(),
        _ => format!("{number:064x}"),
    };
    let networks: Vec<String> =
        (0..networks).map(|number| format!("10.{}.{}.0/24", number / 256, number % 256)).collect();
    let keys: Vec<Value> = (0..keys)
        .map(|number| json!({ "id": format!("k{number}"), "sha256": digest(number), "consumer": format!("c{number}") }))
        .collect();
    let rules: Vec<Value> = draws.iter().enumerate().map(|(number, draw)| rule(number, *draw)).collect();
    json!({
        "version": 1,
        "client": { "address": { "trustedHops": 1 } },
        "definitions": { "ipLists": { "list": { "cidrs": networks } } },
        "authn": { "providers": [{ "name": "p", "apiKey": { "keys": keys } }],
            "rules": [{ "name": "all", "require": { "optional": ["p"] } }] },
        "authz": { "default": "allow", "rules": rules },
        "telemetry": {}
    })
}

/// Compiles in slices, each as short as can be, and tells how many they were.
fn in_slices(json: &[u8]) -> (Result<Pipeline, Problems>, usize) {
    let slices = Rc::new(Cell::new(0));
    let counted = Rc::clone(&slices);
    let pace = Pace::in_slices(move || {
        counted.set(counted.get() + 1);
        true
    });
    let compiled = pace::at_once(Pipeline::from_proven_json(json.to_vec(), SEEDS, pace));
    (compiled, slices.get())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn slices_make_the_same_policy(
        draws in prop::collection::vec(0u32..128, 0..160),
        networks in 1usize..150,
        keys in 3usize..150,
        requests in prop::collection::vec((0usize..170, 0u32..32), 30),
    ) {
        let document = document(&draws, networks, keys);
        let Ok(whole) = compile(&document) else { return Ok(()) };
        let (sliced, _) = in_slices(document.to_string().as_bytes());
        let sliced = sliced.unwrap();
        prop_assert!(whole.reasons().iter().eq(sliced.reasons().iter()));
        prop_assert_eq!(whole.clusters(), sliced.clusters());
        prop_assert_eq!(whole.phases(), sliced.phases());
        prop_assert!(whole.written_headers().eq(sliced.written_headers()));
        for (number, draw) in requests {
            let path = if draw & 1 != 0 { format!("/p{number}/x") } else { format!("/q/{number}") };
            let mut extra = vec![("x-forwarded-for", if draw & 2 != 0 { "10.0.7.1" } else { "192.0.2.1" })];
            if draw & 4 != 0 {
                extra.push(("x-a", "1"));
            }
            if draw & 8 != 0 {
                extra.push(("x-api-key", "secret"));
            }
            let decided = |pipeline: &Pipeline| {
                let decided = pipeline.decide(&request(&path, &extra), &SimulatedHost::default());
                (status(&decided), reasons(pipeline, &decided), decided.summary)
            };
            prop_assert_eq!(decided(&whole), decided(&sliced));
        }
    }
}

/// Every loop that is in proportion to the document does a step for each entry, and after [`STEPS`] of them a slice can end.
#[test]
fn a_slice_is_short_whatever_the_document() {
    let none: Vec<u32> = vec![0; 2_000];
    // A rule has eight values; it is read, compiled, and cleared away, and so is its `match`. A network is one value, and is read and
    // cleared away; a key has four, and is read, compiled and cleared away.
    for (document, steps) in [
        (document(&none, 1, 3), 2_000 * (8 + 4)),
        (document(&[], 2_000, 3), 2_000 * (1 + 2)),
        (document(&[], 1, 2_000), 2_000 * (4 + 3)),
    ] {
        let (compiled, slices) = in_slices(document.to_string().as_bytes());
        let least = steps / usize::try_from(STEPS).unwrap();
        assert!(compiled.is_ok() && slices >= least, "{slices} slices, {least} expected");
        let cleared = Rc::new(Cell::new(0));
        let counted = Rc::clone(&cleared);
        let pace = Pace::in_slices(move || {
            counted.set(counted.get() + 1);
            true
        });
        pace::at_once(compiled.unwrap().clear_away(pace));
        let least = if document["authz"]["rules"].as_array().unwrap().is_empty() { 0 } else { 2_000 * 3 / 8 };
        assert!(cleared.get() >= least, "{cleared:?}");
    }
}

#[test]
fn what_was_never_proven_is_still_no_panic_and_no_policy() {
    let json = document(&[1, 2, 64, 127], 100, 100).to_string();
    for end in (0..json.len()).step_by(7) {
        assert!(in_slices(&json.as_bytes()[..end]).0.is_err());
    }
    for broken in [
        json.replacen("\"k77\"", "77", 1),
        json.replacen("10.0.77.0/24", "10.0.77.1/24", 1),
        json.replacen("\"allow\":true", "\"allow\":false", 1),
        json.replacen("\"version\":1", "\"version\":2", 1),
        json.replacen("\"ipLists\":[\"list\"]", "\"ipLists\":[\"other\"]", 1),
    ] {
        assert_ne!(broken, json);
        assert!(in_slices(broken.as_bytes()).0.is_err(), "{broken}");
    }
}
