//! How long an answer says that it is fresh (RFC 9111 §4.2, §5.2.2).

use crate::http::header_map::HeaderMap;
use std::time::Duration;

/// The `max-age` of `Cache-Control`, less the `Age` that the answer came with; zero for `no-store` and `no-cache`. `None` where the
/// answer does not say.
pub(crate) fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let mut said = None;
    for directive in headers.all("cache-control").flat_map(|value| value.split(|byte| *byte == b',')) {
        let directive = directive.trim_ascii();
        if directive.eq_ignore_ascii_case(b"no-store") || directive.eq_ignore_ascii_case(b"no-cache") {
            return Some(Duration::ZERO);
        }
        let mut parts = directive.splitn(2, |byte| *byte == b'=');
        if parts.next().is_some_and(|name| name.eq_ignore_ascii_case(b"max-age")) {
            let value = parts.next().unwrap_or_default().trim_ascii();
            // What can't be read is stale (RFC 9111 §4.2.1); the shorter of two counts.
            let seconds = seconds(
                value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value),
            );
            let seconds = seconds.unwrap_or(0);
            said = Some(said.map_or(seconds, |known: u64| known.min(seconds)));
        }
    }
    let age = headers.first("age").and_then(seconds).unwrap_or(0);
    said.map(|said| Duration::from_secs(said.saturating_sub(age)))
}

/// Delta-seconds (RFC 9111 §1.2.2): too large a number is a very large one.
fn seconds(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(text).ok()?.parse().ok().or(Some(u64::from(u32::MAX)))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn cache_control_is_read_as_rfc_9111_has_it() {
        for (headers, seconds) in [
            (vec![], None),
            (vec![("cache-control", "public")], None),
            (vec![("cache-control", "max-age=300")], Some(300)),
            (vec![("cache-control", "public, Max-Age=300, must-revalidate")], Some(300)),
            (vec![("cache-control", "max-age=\"300\"")], Some(300)),
            (vec![("cache-control", "s-maxage=1, max-age=300"), ("age", "100")], Some(200)),
            (vec![("cache-control", "max-age=300"), ("age", "400")], Some(0)),
            (vec![("cache-control", "max-age=300"), ("cache-control", "max-age=60")], Some(60)),
            (vec![("cache-control", "max-age=300, no-store")], Some(0)),
            (vec![("cache-control", "no-cache")], Some(0)),
            (vec![("cache-control", "max-age=soon")], Some(0)),
            (vec![("cache-control", "max-age=-1")], Some(0)),
            (vec![("cache-control", "max-age=99999999999999999999999")], Some(u64::from(u32::MAX))),
        ] {
            let map = HeaderMap::from_pairs(headers.iter().copied());
            assert_eq!(max_age(&map), seconds.map(Duration::from_secs), "{headers:?}");
        }
    }
}
