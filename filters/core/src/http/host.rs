//! The host that a request names, in the form that rules match, and the patterns that match it.

use serde::de::{self, Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;

/// The host of an `:authority` (or `host`) value: lower case, no port, no final dot. `None` where the value is no host at all.
pub fn normalize(authority: &[u8]) -> Option<Cow<'_, str>> {
    let authority = std::str::from_utf8(authority).ok()?;
    if authority.starts_with('[') {
        return ipv6_literal(authority).map(Cow::Owned);
    }
    // Nearly all are plain: one look at each byte.
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    if (1..=255).contains(&authority.len()) && authority.bytes().all(plain) && !has_empty_label(authority) {
        return Some(Cow::Borrowed(authority));
    }
    let host = match authority.split_once(':') {
        Some((host, port)) => {
            valid_port_number(port)?;
            host
        }
        None => authority,
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if host.len() > 255 || !host.bytes().all(allowed) || has_empty_label(host) {
        return None;
    }
    Some(if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    })
}

/// An IPv6 literal (RFC 3986 §3.2.2) keeps its brackets; of its many spellings one (RFC 5952).
fn ipv6_literal(authority: &str) -> Option<String> {
    let (literal, port) = authority.strip_prefix('[')?.split_once(']')?;
    valid_port(port)?;
    literal.parse::<Ipv6Addr>().ok().map(|address| format!("[{address}]"))
}

/// No name has an empty label (RFC 1034 §3.1) but for the root behind a final dot: some servers would drop the dots of `example.com..`.
fn has_empty_label(host: &str) -> bool {
    host.split('.').any(str::is_empty)
}

fn valid_port(port: &str) -> Option<()> {
    if port.is_empty() { Some(()) } else { valid_port_number(port.strip_prefix(':')?) }
}

fn valid_port_number(port: &str) -> Option<()> {
    (port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit())).then_some(())
}

/// A host in a `match`: `api.example.com`, or `*.example.com` for every host below `example.com` (not itself).
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host.
    Exact(String),
    /// Any host that ends so; the text begins with a dot.
    Below(String),
}

impl HostPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// A sentence that says what a host pattern may be.
    pub fn new(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not a host: write `api.example.com` or `*.example.com`, without scheme, port and path"
            )
        };
        if text == "*" {
            return Err(
                "`*` is not a host: leave `hosts` out for every host, or write `*.example.com`".to_owned()
            );
        }
        let (below, host) = match text.strip_prefix("*.") {
            Some(host) => (true, host),
            None => (false, text),
        };
        // A port or a final dot would be dropped in silence; an address may be written in many ways.
        let unchanged = |normal: &Cow<'_, str>| normal.len() == host.len() || host.ends_with(']');
        let host = normalize(host.as_bytes()).filter(unchanged).ok_or_else(wrong)?;
        Ok(if below { Self::Below(format!(".{host}")) } else { Self::Exact(host.into_owned()) })
    }

    /// Whether it matches a host in normal form.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(exact) => host == exact,
            Self::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
        }
    }

    /// Whether every host that `narrow` matches is matched by this.
    pub(crate) fn includes(&self, narrow: &Self) -> bool {
        match (self, narrow) {
            (_, Self::Exact(host)) => self.matches(host),
            (Self::Below(wide), Self::Below(narrow)) => narrow.ends_with(wide.as_str()),
            (Self::Exact(_), Self::Below(_)) => false,
        }
    }

    /// Whether no host matches both.
    pub(crate) fn is_disjoint(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Below(left), Self::Below(right)) => {
                !left.ends_with(right.as_str()) && !right.ends_with(left.as_str())
            }
            (pattern, Self::Exact(host)) | (Self::Exact(host), pattern) => !pattern.matches(host),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => out.write_str(host),
            Self::Below(suffix) => write!(out, "*{suffix}"),
        }
    }
}

impl fmt::Debug for HostPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl<'de> Deserialize<'de> for HostPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for HostPattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HostPattern".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A host without port, `api.example.com`, or all hosts below one, `*.example.com`."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn hosts_have_one_form() {
        for (authority, host) in [
            ("api.example.com", Some("api.example.com")),
            ("API.Example.com:8443", Some("api.example.com")),
            ("api.example.com.", Some("api.example.com")),
            ("[2001:DB8::1]:80", Some("[2001:db8::1]")),
            ("127.0.0.1:10000", Some("127.0.0.1")),
            ("[2001:db8:0:0:0:0:0:1]", Some("[2001:db8::1]")),
            ("under_score.example.com", Some("under_score.example.com")),
            // Found by fuzzing: one dot was taken off, and what was left was no normal form.
            ("api.example.com..", None),
            (".example.com", None),
            ("a..b", None),
            (".", None),
            ("a[b]", None),
            ("[a]", None),
            ("[127.0.0.1]", None),
            ("", None),
            (":80", None),
            ("user@api.example.com", None),
            ("a b", None),
            ("a/b", None),
            ("a:b", None),
            ("[::1", None),
            ("[::1]x", None),
        ] {
            assert_eq!(normalize(authority.as_bytes()).as_deref(), host, "{authority}");
        }
    }

    #[test]
    fn patterns_include_and_exclude_each_other() {
        for (wide, narrow, includes, disjoint) in [
            ("*.example.com", "a.example.com", true, false),
            ("*.example.com", "*.a.example.com", true, false),
            ("*.example.com", "*.example.com", true, false),
            ("*.example.com", "example.com", false, true),
            ("*.a.example.com", "*.example.com", false, false),
            ("*.a.com", "*.b.com", false, true),
            ("*.ple.com", "*.example.com", false, true),
            ("a.com", "a.com", true, false),
            ("a.com", "b.com", false, true),
        ] {
            let (left, right) = (HostPattern::new(wide).unwrap(), HostPattern::new(narrow).unwrap());
            assert_eq!(
                (left.includes(&right), left.is_disjoint(&right)),
                (includes, disjoint),
                "{wide} {narrow}"
            );
        }
    }

    #[test]
    fn a_star_stands_for_what_is_below() {
        let pattern = HostPattern::new("*.Example.com").unwrap();
        assert!(pattern.matches("a.example.com") && pattern.matches("a.b.example.com"));
        assert!(!pattern.matches("example.com") && !pattern.matches("badexample.com"));
        for wrong in ["", "*", "*.", "a.*.com", "https://a", "a:80", "a/b", "a.", "[::1]:80"] {
            assert!(HostPattern::new(wrong).is_err(), "{wrong}");
        }
        assert!(HostPattern::new("[2001:DB8:0::1]").unwrap().matches("[2001:db8::1]"));
    }
}
