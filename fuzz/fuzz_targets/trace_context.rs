//! `traceparent` and `tracestate`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_core::http::header_map::HeaderMap;
use sluice_telemetry::traceparent::TraceParent;
use sluice_telemetry::tracestate;

fuzz_target!(|data: &[u8]| {
    if let Some(parent) = TraceParent::parse(data) {
        assert_ne!(parent.trace_id(), [0, 0]);
        assert_eq!(TraceParent::parse(parent.to_string().as_bytes()), Some(parent));
        if data.starts_with(b"00") {
            assert_eq!(parent.to_string().as_bytes(), data.trim_ascii());
        }
    }
    let whole = HeaderMap::from_pairs([("tracestate", data)]);
    let valid = tracestate::is_valid(&whole);
    // Split over two headers at any comma it is the same list.
    if let Some(comma) = data.iter().position(|byte| *byte == b',') {
        let split =
            HeaderMap::from_pairs([("tracestate", &data[..comma]), ("tracestate", &data[comma + 1..])]);
        assert_eq!(tracestate::is_valid(&split), valid);
    }
});
