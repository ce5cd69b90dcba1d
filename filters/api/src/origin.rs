//! Which origins are which.
//!
//! Browsers send an origin in one form only (RFC 6454 §6.2, and the URL standard's serialisation): scheme, `://`, host in lower case, and the
//! port where it is not the scheme's own. So it is compared byte by byte, and whatever else comes is no browser's.

use serde::de::{self, Deserialize, Deserializer};

/// The longest origin that is looked at: a host has at most 253 characters.
const LONGEST: usize = 300;

/// An origin, or a pattern of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPattern {
    /// `*`: every origin.
    Any,
    /// `null`: what pages without an origin send, such as local files and sandboxed frames.
    Null,
    /// `https://app.example.com`, `https://*.example.com:8443`, `http://localhost:*`.
    Site(Site),
}

/// Scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// With `://`.
    scheme: String,
    /// The host; behind `*` its end, with the dot.
    host: String,
    /// Whether anything may stand before `host`.
    below: bool,
    port: Port,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Port {
    /// The scheme's own: none is written.
    Default,
    Any,
    Exactly(String),
}

impl OriginPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// A sentence that says what it may be.
    pub fn new(text: &str) -> Result<Self, String> {
        match text {
            "*" => Ok(Self::Any),
            "null" => Ok(Self::Null),
            _ => Site::new(text).map(Self::Site),
        }
    }

    /// Whether `origin`, as a browser sent it, is such a one.
    pub fn matches(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Null => origin == b"null",
            Self::Site(site) => site.matches(origin),
        }
    }
}

impl Site {
    fn new(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "{text:?} is not an origin: {why}; write `https://app.example.com`, `https://*.example.com`, `http://localhost:*`, `null`, or `*` for all"
            )
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
        let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
        if !scheme.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
            || !scheme.bytes().all(letters)
        {
            return Err(wrong("its scheme is none, or not in lower case"));
        }
        if rest.contains(['/', '?', '#', '@']) {
            return Err(wrong("it ends with its host or port"));
        }
        if rest.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(wrong("browsers send it in lower case"));
        }
        // The colons of an IPv6 address stand in brackets.
        let port_at = rest.rfind(':').filter(|at| !rest.get(*at..).unwrap_or_default().contains(']'));
        let (host, port) = match port_at.and_then(|at| rest.split_at_checked(at)) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => (rest, None),
        };
        let port = match port {
            None => Port::Default,
            Some("*") => Port::Any,
            Some(number) => {
                let valid =
                    number.parse::<u16>().is_ok_and(|parsed| parsed != 0 && parsed.to_string() == number);
                if !valid {
                    return Err(wrong("its port is none"));
                }
                if matches!((scheme, number), ("https", "443") | ("http", "80")) {
                    return Err(wrong("browsers leave out the scheme's own port"));
                }
                Port::Exactly(number.to_owned())
            }
        };
        let (host, below) = match host.strip_prefix('*') {
            Some(end) if end.starts_with('.') => (end, true),
            Some(_) => return Err(wrong("`*` stands for whole labels, before a dot")),
            None => (host, false),
        };
        let labels = host.strip_prefix('.').filter(|_| below).unwrap_or(host);
        let is_address = !below && labels.starts_with('[') && labels.ends_with(']');
        if !is_address && (labels.is_empty() || !labels.split('.').all(is_label)) {
            return Err(wrong("its host is none"));
        }
        if below && !labels.contains('.') && scheme == "https" {
            return Err(wrong("that would be all of a top-level domain"));
        }
        Ok(Self { scheme: format!("{scheme}://"), host: host.to_owned(), below, port })
    }

    fn matches(&self, origin: &[u8]) -> bool {
        if origin.len() > LONGEST {
            return false;
        }
        let Some(rest) = origin.strip_prefix(self.scheme.as_bytes()) else { return false };
        let rest = match &self.port {
            Port::Default => rest,
            Port::Exactly(port) => {
                let end = rest.strip_suffix(port.as_bytes()).and_then(|rest| rest.strip_suffix(b":"));
                let Some(rest) = end else { return false };
                rest
            }
            Port::Any => {
                let digits = rest.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
                let (host, _) =
                    rest.split_at_checked(rest.len().saturating_sub(digits)).unwrap_or((rest, b""));
                match host.strip_suffix(b":") {
                    Some(host) if (1..=5).contains(&digits) => host,
                    // None is one, too.
                    _ => rest,
                }
            }
        };
        if !self.below {
            return rest == self.host.as_bytes();
        }
        let Some(labels) = rest.strip_suffix(self.host.as_bytes()) else { return false };
        std::str::from_utf8(labels).is_ok_and(|labels| labels.split('.').all(is_label))
    }
}

fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    (1..=63).contains(&label.len()) && label.bytes().all(allowed)
}

impl<'de> Deserialize<'de> for OriginPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for OriginPattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Origin".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "An origin, a pattern of origins, `null`, or `*`.",
            "pattern": "^(\\*|null|[a-z][a-z0-9+.-]*://[^/?#@A-Z]+)$",
            "examples": ["https://app.example.com", "https://*.example.com", "http://localhost:*"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_pattern_matches_what_browsers_send_and_nothing_like_it() {
        for (pattern, matching, other) in [
            (
                "https://app.example.com",
                &["https://app.example.com"][..],
                &[
                    "http://app.example.com",
                    "https://app.example.com:8443",
                    "https://app.example.com.evil.example",
                    "https://evil.example/https://app.example.com",
                    "https://APP.example.com",
                    "https://app.example.com/",
                    "https://app.example.com.",
                    "https://appXexample.com",
                    "null",
                    "",
                ][..],
            ),
            (
                "https://*.example.com",
                &["https://a.example.com", "https://a.b.example.com", "https://x-1.example.com"],
                &[
                    "https://example.com",
                    "https://.example.com",
                    "https://evilexample.com",
                    "https://a..example.com",
                    "https://evil.example/.example.com",
                    "https://evil.example#.example.com",
                    "https://user@a.example.com",
                    "https://a.example.com:443",
                    "https://A.example.com",
                ],
            ),
            (
                "http://localhost:*",
                &["http://localhost", "http://localhost:3000", "http://localhost:65535"],
                &[
                    "http://localhost:",
                    "http://localhost:123456",
                    "http://localhost:a",
                    "http://localhost.evil:3000",
                ],
            ),
            (
                "https://*.example.com:8443",
                &["https://a.example.com:8443"],
                &["https://a.example.com", "https://a.example.com:18443"],
            ),
            ("http://[::1]:8080", &["http://[::1]:8080"], &["http://[::1]"]),
            ("null", &["null"], &["https://null", "NULL"]),
            ("*", &["null", "https://a.example"], &[]),
        ] {
            let compiled = OriginPattern::new(pattern).unwrap();
            for origin in matching {
                assert!(compiled.matches(origin.as_bytes()), "{pattern} {origin}");
            }
            for origin in other {
                assert!(!compiled.matches(origin.as_bytes()), "{pattern} {origin}");
            }
        }
        let long = format!("https://{}.example.com", "a.".repeat(200));
        assert!(!OriginPattern::new("https://*.example.com").unwrap().matches(long.as_bytes()));
    }

    #[test]
    fn what_no_browser_sends_is_refused_with_the_reason() {
        for (text, why) in [
            ("app.example.com", "no scheme"),
            ("https://app.example.com/", "ends with its host"),
            ("https://App.example.com", "lower case"),
            ("HTTPS://app.example.com", "lower case"),
            ("https://app.example.com:443", "own port"),
            ("http://app.example.com:80", "own port"),
            ("https://app.example.com:0", "port is none"),
            ("https://app.example.com:08443", "port is none"),
            ("https://*", "whole labels"),
            ("https://*example.com", "whole labels"),
            ("https://a.*.example.com", "host is none"),
            ("https://*.com", "top-level"),
            ("https://", "host is none"),
            ("https://a b", "host is none"),
        ] {
            let error = OriginPattern::new(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
