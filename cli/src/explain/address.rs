//! What a URL and an identity of a peer say.

/// A URL as a request has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestUrl {
    /// `http` or `https`.
    pub scheme: String,
    /// Host, perhaps with a port.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

impl std::str::FromStr for RequestUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || "write a whole URL such as `https://api.example.com/orders/7?x=1`, or `--path`".to_owned();
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let scheme = scheme.to_ascii_lowercase();
        if !matches!(scheme.as_str(), "http" | "https") {
            return Err(wrong());
        }
        // The fragment stays with the client (RFC 9110 §7.1).
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.is_empty() || authority.contains(char::is_whitespace) {
            return Err(wrong());
        }
        if authority.contains('@') {
            return Err("a URL with a user or a password; requests say it in `authorization`".to_owned());
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { scheme, authority: authority.to_owned(), path })
    }
}

/// Reads a SPIFFE ID (SPIFFE-ID §2): `spiffe://`, a trust domain in lower case, and segments of letters, digits, `.`, `-` and `_`.
///
/// # Errors
/// A sentence.
pub fn spiffe_id(text: &str) -> Result<String, String> {
    let wrong =
        |why: &str| Err(format!("{why}; write a SPIFFE ID such as `spiffe://example.com/ns/shop/sa/orders`"));
    let Some(rest) = text.strip_prefix("spiffe://") else { return wrong("does not begin with `spiffe://`") };
    let mut parts = rest.split('/');
    let domain = parts.next().unwrap_or_default();
    let of_domain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_');
    if domain.is_empty() || !domain.bytes().all(of_domain) {
        return wrong("the trust domain has lower-case letters, digits, `.`, `-` and `_` alone");
    }
    let of_path = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    for segment in parts {
        if segment.is_empty() || matches!(segment, "." | "..") || !segment.bytes().all(of_path) {
            return wrong(
                "a segment of the path is empty, or has something else than letters, digits, `.`, `-` and `_`",
            );
        }
    }
    if text.len() > 2048 {
        return wrong("longer than 2048 bytes");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_sets_scheme_host_and_path() {
        for (url, scheme, authority, path) in [
            ("https://api.example.com/orders/7?x=1", "https", "api.example.com", "/orders/7?x=1"),
            ("HTTP://a:8080", "http", "a:8080", "/"),
            ("https://a?x=/y#z", "https", "a", "/?x=/y"),
            ("https://[2001:db8::1]:1/x", "https", "[2001:db8::1]:1", "/x"),
        ] {
            let expected = RequestUrl {
                scheme: scheme.to_owned(),
                authority: authority.to_owned(),
                path: path.to_owned(),
            };
            assert_eq!(url.parse(), Ok(expected), "{url}");
        }
        for wrong in
            ["", "/orders", "api.example.com/x", "ftp://a/", "https://", "https:///x", "https://u:p@a/"]
        {
            assert!(wrong.parse::<RequestUrl>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_peer_is_a_spiffe_id() {
        for right in ["spiffe://example.com/ns/shop/sa/orders", "spiffe://a", "spiffe://a.b_c-1/X.y"] {
            assert!(spiffe_id(right).is_ok(), "{right}");
        }
        for wrong in [
            "foo",
            "spiffe://",
            "spiffe:///a",
            "spiffe://A/b",
            "spiffe://a/",
            "spiffe://a//b",
            "spiffe://a/b/..",
            "spiffe://a/**",
            "spiffe://a/%62",
            "https://a/b",
            "spiffe://a/b c",
        ] {
            assert!(spiffe_id(wrong).is_err(), "{wrong}");
        }
    }
}
