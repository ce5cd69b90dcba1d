//! Credentials as clients send them: whoever has none of the document's keys is not let in, and is told so properly.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_core::http::header_map::HeaderMap;
use sluice_fuzz::{decide, pipeline};
use sluice_pipeline::{Action, Pipeline};
use std::cell::OnceCell;

thread_local! {
    static PIPELINE: OnceCell<Pipeline> = const { OnceCell::new() };
}

fuzz_target!(|data: (u8, &[u8], &[u8])| {
    let (way, credential, other) = data;
    let bearer = [b"Bearer ".as_slice(), credential].concat();
    let base = [(":method", b"GET".as_slice()), (":path", b"/secret"), (":authority", b"api.example.com")];
    let mut pairs = base.to_vec();
    match way % 6 {
        0 => pairs.push(("authorization", &bearer)),
        1 => pairs.push(("authorization", credential)),
        2 => pairs.push(("x-api-key", credential)),
        3 => pairs.extend([("authorization", bearer.as_slice()), ("authorization", other)]),
        4 => pairs.extend([("authorization", bearer.as_slice()), ("x-api-key", other)]),
        _ => pairs.push(("cookie", credential)),
    }
    PIPELINE.with(|once| {
        let decided = decide(once.get_or_init(pipeline), &HeaderMap::from_pairs(pairs));
        let Action::Respond(reply) = decided.action else {
            panic!("let in with {credential:?}");
        };
        assert!(matches!(reply.status, 400 | 401 | 503), "{reply:?}");
        let challenged = reply.headers.iter().any(|(name, _)| name.as_str() == "www-authenticate");
        assert!(reply.status != 401 || challenged, "{reply:?}");
    });
});
