//! Hosts: one normal form, which is its own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_core::http::host::{HostPattern, normalize};

fuzz_target!(|data: &[u8]| {
    let Some(host) = normalize(data) else { return };
    assert!(!host.is_empty());
    assert!(!host.bytes().any(|byte| byte <= b' ' || byte >= 0x7f || b"/?#@\\".contains(&byte)), "{host:?}");
    assert_eq!(host, host.to_ascii_lowercase());
    let again = normalize(host.as_bytes()).expect("a normal form is a host");
    assert_eq!(again, host);
    let _ = HostPattern::new("*.example.com").expect("a pattern").matches(&host);
    if let Ok(pattern) = HostPattern::new(&host) {
        assert!(pattern.matches(&host), "{host:?}");
    }
});
