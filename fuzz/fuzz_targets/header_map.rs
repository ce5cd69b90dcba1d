//! The buffer in which the host hands over all headers, and the view of a request that follows from it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_core::http::header_map::{HeaderMap, Single};
use sluice_core::http::request::RequestView;

fuzz_target!(|data: &[u8]| {
    let mut map = HeaderMap::default();
    let read = map.read(data.to_vec());
    assert!(read.is_ok() || map.is_empty(), "half a map");
    assert_eq!(map.iter().count(), map.len());
    for (name, value) in map.iter() {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        let count = map.all(name).count();
        match map.single(name) {
            Single::Absent => panic!("{name:?} is there"),
            Single::Once(only) => assert!(count == 1 && only == value),
            Single::Repeated => assert!(count > 1),
        }
        assert!(map.joined(name).is_some_and(|joined| joined.len() >= value.len()));
    }
    if let Ok(request) = RequestView::new(&map) {
        assert!(request.path().starts_with('/') || request.path() == "*", "{:?}", request.path());
        assert!(!request.host().is_empty() && request.host() == request.host().to_ascii_lowercase());
        for name in ["", "a", "id"] {
            request.query_values(name).for_each(drop);
        }
        let _ = request.is_grpc();
    }
});
