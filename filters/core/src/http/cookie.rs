//! Cookies of a request (RFC 6265 §5.4), read without allocation.

use crate::http::header_map::HeaderMap;
use crate::http::path::decode_query_component;

/// Every value of the cookie `name`, over all `cookie` headers (HTTP/2 may split them, RFC 9113 §8.2.3), in order.
pub fn values<'m>(headers: &'m HeaderMap, name: &'m str) -> impl Iterator<Item = &'m [u8]> {
    headers.all("cookie").flat_map(|line| line.split(|byte| *byte == b';')).filter_map(move |pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (key, value) = pair.split_at_checked(equals)?;
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        // RFC 6265 §4.1.1: a value may stand in quotes.
        let bare = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
        (key.trim_ascii() == name.as_bytes()).then_some(bare)
    })
}

/// Whether a server may take the cookie that came as `key` for `name`: some decode percent-encodings in names, and take all bytes but
/// letters and digits for the same.
pub fn is_spelt(name: &str, key: &[u8]) -> bool {
    let decoded = std::str::from_utf8(key).ok().and_then(decode_query_component);
    let key = decoded.as_deref().unwrap_or(key);
    let plain = |byte: &u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'_' };
    name.len() == key.len() && name.as_bytes().iter().map(plain).eq(key.iter().map(plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn servers_read_several_names_as_one() {
        for (key, same) in [
            ("access_token", true),
            ("access.token", true),
            ("access%5ftoken", true),
            ("%61ccess_token", true),
            ("access token", true),
            ("Access_Token", true),
            ("access_tokens", false),
            ("access%token", true),
            ("access_%zz", false),
        ] {
            assert_eq!(is_spelt("access_token", key.as_bytes()), same, "{key}");
        }
    }

    #[test]
    fn cookies_are_found_over_lines_and_quotes() {
        let map =
            HeaderMap::from_pairs([("cookie", "a=1; b=\"two\";a=3"), ("cookie", " c=x=y ;novalue; =z")]);
        let all = |name| {
            values(&map, name).map(|value| String::from_utf8_lossy(value).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(all("a"), ["1", "3"]);
        assert_eq!(all("b"), ["two"]);
        assert_eq!(all("c"), ["x=y"]);
        assert!(all("novalue").is_empty());
    }
}
