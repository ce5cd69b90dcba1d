//! Cookies over one and over two headers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_core::http::cookie;
use sluice_core::http::header_map::HeaderMap;

fuzz_target!(|data: (&[u8], &[u8], &str)| {
    let (first, second, name) = data;
    let map = HeaderMap::from_pairs([("cookie", first), ("cookie", second)]);
    for name in ["session", "", name] {
        for value in cookie::values(&map, name) {
            assert!(!value.contains(&b';'), "a value beyond its cookie");
        }
    }
});
