//! Documents: read or refused with a reason, and what was read can be asked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_core::decision::wait::{Answer, CallFailure};
use sluice_core::http::header_map::HeaderMap;
use sluice_fuzz::environment;
use sluice_pipeline::{Pipeline, Seeds};

fuzz_target!(|data: &[u8]| {
    match Pipeline::from_json(data, Seeds { local: 1, shared: 2 }) {
        Ok(pipeline) => {
            let headers = HeaderMap::from_pairs([
                (":method", "GET"),
                (":path", "/orders/1?a=b"),
                (":authority", "api.example.com"),
                ("authorization", "Bearer a.b.c"),
                ("x-api-key", "k"),
                ("cookie", "session=1"),
            ]);
            let _ = pipeline.decide(&headers, &environment());
            let _ =
                pipeline.explain(&headers, &environment(), None, |_| Answer::Failed(CallFailure::TimedOut));
        }
        Err(problems) => assert!(!problems.to_string().is_empty(), "refused without a reason"),
    }
});
