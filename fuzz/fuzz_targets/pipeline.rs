//! Whole requests, byte by byte, through all policies.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_core::http::header_map::HeaderMap;
use sluice_fuzz::{decide, pipeline};
use sluice_pipeline::Pipeline;
use std::cell::OnceCell;

thread_local! {
    static PIPELINE: OnceCell<Pipeline> = const { OnceCell::new() };
}

/// Names that some policy reads or removes.
const NAMES: [&str; 18] = [
    "authorization",
    "x-api-key",
    "cookie",
    "x-forwarded-for",
    "x-user",
    "x-consumer",
    "x-roles",
    "x_user",
    "x-sluice-cluster",
    "x_sluice_subset",
    "x-sluice-peer",
    "x-tenant",
    "x-chaos",
    "x-version",
    "traceparent",
    "tracestate",
    "content-type",
    "host",
];

/// The places of names in [`NAMES`], each with a value.
type Others<'d> = Vec<(u8, &'d [u8])>;

fuzz_target!(|data: (&[u8], &[u8], &[u8], Others<'_>)| {
    let (method, path, authority, others) = data;
    let mut pairs: Vec<(&[u8], &[u8])> =
        vec![(b":method", method), (b":path", path), (b":authority", authority)];
    for (name, value) in &others {
        let name = NAMES[usize::from(*name) % NAMES.len()];
        pairs.push((name.as_bytes(), value));
    }
    PIPELINE.with(|once| {
        decide(once.get_or_init(pipeline), &HeaderMap::from_pairs(pairs));
    });
});
