//! Paths: what has a single reading has a normal form, and that is its own normal form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_core::http::path::normalize;
use sluice_core::rule::selector::PathPattern;

fuzz_target!(|data: &[u8]| {
    let Ok(target) = normalize(data) else { return };
    let path = target.path();
    // `OPTIONS *` (RFC 9110 §7.1).
    if path == "*" {
        return;
    }
    assert!(path.starts_with('/'));
    assert!(!path.contains("//") && !path.contains("/./") && !path.contains("/../"), "{path:?}");
    assert!(
        !path.ends_with("/..") && !path.ends_with("/.") && !path.contains([';', '\\', '?', '#', '\0']),
        "{path:?}"
    );
    let again = normalize(path.as_bytes()).expect("a normal form has a single reading");
    assert_eq!(again.path(), path, "normalising twice is normalising once");
    for pattern in ["/", "/**", "/a/{id}", "/*/b", "/orders/**"] {
        let pattern = PathPattern::new(pattern).expect("a pattern");
        let matches = pattern.matches(path);
        assert!(matches || pattern.capture(path, "id").is_none(), "a capture without a match");
    }
    // A literal path as a pattern matches itself, where it can be written as one.
    if let Ok(pattern) = PathPattern::new(path) {
        assert!(pattern.matches(path), "{path:?}");
    }
});
