//! The normal form of a request's path, and the refusal of paths that two servers could read differently.
//!
//! Envoy hands `:path` over as it came (unless the connection manager normalises it, as the shipped configurations do). Rules match
//! the *normal form*: the part before `?`, percent-encoded unreserved characters decoded, other percent-encodings in upper case
//! (RFC 3986 §6.2.2). What has no single reading is refused before any rule is asked: a rule about `/admin` must not be dodged
//! by `/%2e/admin`, `//admin`, `/x/..;/admin`, `/admin%2f`, `/%2561dmin` (decoded twice) or `/%c1%a1dmin` (overlong UTF-8).

use std::borrow::Cow;
use std::fmt;

/// The longest path that is looked at, in bytes; Envoy's own limit for all headers together is 60 KiB.
pub const LONGEST: usize = 16 * 1024;

/// A path in normal form and the query behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NormalPath<'r> {
    path: Cow<'r, str>,
    query: Option<&'r str>,
}

impl NormalPath<'_> {
    /// The path: begins with `/` (or is `*`, RFC 9112 §3.2.4).
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What stands behind the first `?`, as it came.
    pub fn query(&self) -> Option<&str> {
        self.query
    }
}

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguity {
    /// It neither begins with `/` nor is `*`.
    NotAbsolute,
    /// A byte that RFC 3986 doesn't allow in a path: a control, a space, a backslash, a `#`, or one above 0x7E.
    ForbiddenByte,
    /// `%` without two hexadecimal digits.
    BadEncoding,
    /// `%2F`, `%5C`, or an encoded control character or line separator: decoded by some servers and not by others.
    EncodedDelimiter,
    /// An encoded percent sign before what reads as an encoding itself (`%2561`, `%25u0061`): a server that decodes twice reads another
    /// path.
    DoubleEncoding,
    /// Encoded bytes that are no UTF-8 (RFC 3629 §3): some servers read overlong forms and lone bytes as characters, others do not.
    NotUtf8,
    /// `//`.
    EmptySegment,
    /// `.` or `..` as a segment, encoded or not.
    DotSegment,
    /// `;` in a segment: some servers cut there (path parameters), others don't.
    PathParameter,
    /// Longer than [`LONGEST`].
    TooLong,
}

impl fmt::Display for Ambiguity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Ambiguity::NotAbsolute => "the path does not begin with a slash",
            Ambiguity::ForbiddenByte => "the path holds a byte that RFC 3986 does not allow there",
            Ambiguity::BadEncoding => "the path holds a percent sign without two hexadecimal digits",
            Ambiguity::EncodedDelimiter => "the path holds an encoded slash, backslash or control character",
            Ambiguity::DoubleEncoding => "the path holds an encoding that is encoded itself (%25)",
            Ambiguity::NotUtf8 => "the path holds encoded bytes that are no UTF-8",
            Ambiguity::EmptySegment => "the path holds an empty segment (//)",
            Ambiguity::DotSegment => "the path holds a dot segment (/./ or /../)",
            Ambiguity::PathParameter => "the path holds a path parameter (;)",
            Ambiguity::TooLong => "the path is too long",
        })
    }
}

/// The normal form of `target` (`:path` as it came).
///
/// # Errors
/// Why there is no single reading of it.
pub fn normalize(target: &[u8]) -> Result<NormalPath<'_>, Ambiguity> {
    if target.len() > LONGEST {
        return Err(Ambiguity::TooLong);
    }
    let Plain { query, path_is_plain } = look_over(target).ok_or(Ambiguity::ForbiddenByte)?;
    let target = std::str::from_utf8(target).map_err(|_| Ambiguity::ForbiddenByte)?;
    let (path, query) = match query.and_then(|mark| target.split_at_checked(mark)) {
        Some((path, query)) => (path, query.get(1..)),
        None => (target, None),
    };
    if path == "*" {
        return Ok(NormalPath { path: Cow::Borrowed(path), query });
    }
    if !path.starts_with('/') {
        return Err(Ambiguity::NotAbsolute);
    }
    if path_is_plain {
        return Ok(NormalPath { path: Cow::Borrowed(path), query });
    }
    let path = if path.contains('%') { Cow::Owned(decode(path)?) } else { Cow::Borrowed(path) };
    if path.contains(';') {
        return Err(Ambiguity::PathParameter);
    }
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            // One empty segment may end a path: a trailing slash.
            "" if segments.peek().is_some() => return Err(Ambiguity::EmptySegment),
            "." | ".." => return Err(Ambiguity::DotSegment),
            _ => {}
        }
    }
    Ok(NormalPath { path, query })
}

/// What one look over a target's bytes tells.
struct Plain {
    /// Where the query's `?` stands.
    query: Option<usize>,
    /// Whether the path is in normal form as it stands: no percent sign, no semicolon, no segment that is empty or begins with a dot.
    path_is_plain: bool,
}

/// Looks at each byte once: nearly all paths are plain, and searching for one thing after another costs more than all else here.
/// `None` where a byte is neither visible ASCII nor allowed; in the query too: Envoy forwards such bytes as they are, and no rule could
/// speak of them.
fn look_over(target: &[u8]) -> Option<Plain> {
    let mut plain = Plain { query: None, path_is_plain: true };
    let mut previous = 0;
    for (position, byte) in target.iter().copied().enumerate() {
        match byte {
            0..=0x20 | 0x7f.. | b'\\' | b'#' => return None,
            _ if plain.query.is_some() => {}
            b'?' => plain.query = Some(position),
            b'%' | b';' => plain.path_is_plain = false,
            b'/' | b'.' if previous == b'/' => plain.path_is_plain = false,
            _ => {}
        }
        previous = byte;
    }
    Some(plain)
}

fn decode(path: &str) -> Result<String, Ambiguity> {
    let mut normal = String::with_capacity(path.len());
    // What a server reads that decodes everything once.
    let mut plain = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            normal.push(char::from(byte));
            plain.push(byte);
            continue;
        }
        let (high, low) = (bytes.next(), bytes.next());
        let value = hexadecimal(high).zip(hexadecimal(low)).ok_or(Ambiguity::BadEncoding)?;
        let decoded = (value.0 << 4) | value.1;
        plain.push(decoded);
        match decoded {
            b'/' | b'\\' | 0..=0x1f | 0x7f => return Err(Ambiguity::EncodedDelimiter),
            // `;` decoded by one server and cut at by the next.
            b';' => return Err(Ambiguity::PathParameter),
            b'-' | b'.' | b'_' | b'~' => normal.push(char::from(decoded)),
            _ if decoded.is_ascii_alphanumeric() => normal.push(char::from(decoded)),
            _ => {
                normal.push('%');
                normal.extend(
                    [high, low].into_iter().flatten().map(|digit| char::from(digit.to_ascii_uppercase())),
                );
            }
        }
    }
    let plain = std::str::from_utf8(&plain).map_err(|_| Ambiguity::NotUtf8)?;
    // Line separators end a line for some: U+0085 is among the controls, these two are not.
    if plain.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err(Ambiguity::EncodedDelimiter);
    }
    if plain.split('%').skip(1).any(begins_as_an_encoding) {
        return Err(Ambiguity::DoubleEncoding);
    }
    Ok(normal)
}

/// Whether a percent sign before `text` makes an encoding: of RFC 3986 §2.1, or `%uXXXX`, which some servers read.
fn begins_as_an_encoding(text: &str) -> bool {
    let digits =
        |text: &str, count: usize| text.bytes().take(count).filter(u8::is_ascii_hexdigit).count() == count;
    digits(text, 2) || text.strip_prefix(['u', 'U']).is_some_and(|rest| digits(rest, 4))
}

fn hexadecimal(digit: Option<u8>) -> Option<u8> {
    match digit? {
        digit @ b'0'..=b'9' => digit.checked_sub(b'0'),
        digit @ b'a'..=b'f' => digit.checked_sub(b'a' - 10),
        digit @ b'A'..=b'F' => digit.checked_sub(b'A' - 10),
        _ => None,
    }
}

/// Decodes a percent-encoded query component; `+` is a blank, as forms have it. `None` where an encoding is broken.
pub fn decode_query_component(text: &str) -> Option<Cow<'_, [u8]>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => (hexadecimal(bytes.next())? << 4) | hexadecimal(bytes.next())?,
            other => other,
        });
    }
    Some(Cow::Owned(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn one_path_has_one_normal_form() {
        for (target, path, query) in [
            ("/", "/", None),
            ("/orders/1", "/orders/1", None),
            ("/orders/", "/orders/", None),
            ("/%6frders/%7Ea", "/orders/~a", None),
            ("/a%20b%c3%a9", "/a%20b%C3%A9", None),
            ("/%f0%9f%a6%a5", "/%F0%9F%A6%A5", None),
            // A percent sign that begins no encoding has one reading.
            ("/100%25", "/100%25", None),
            ("/100%25-off/%25%20", "/100%25-off/%25%20", None),
            ("/c%23/what%3f", "/c%23/what%3F", None),
            ("/a?b=/../c", "/a", Some("b=/../c")),
            ("/a??", "/a", Some("?")),
            ("*", "*", None),
        ] {
            let normal = normalize(target.as_bytes()).unwrap();
            assert_eq!((normal.path(), normal.query()), (path, query), "{target}");
        }
    }

    #[test]
    fn what_two_servers_could_read_differently_is_refused() {
        use Ambiguity::*;
        for (target, why) in [
            ("", NotAbsolute),
            ("orders", NotAbsolute),
            ("http://a/b", NotAbsolute),
            ("//admin", EmptySegment),
            ("/a//b", EmptySegment),
            ("/./admin", DotSegment),
            ("/a/../admin", DotSegment),
            ("/a/%2e%2E/admin", DotSegment),
            ("/a/.", DotSegment),
            ("/a/..;/admin", PathParameter),
            ("/admin%3b", PathParameter),
            ("/a%2fadmin", EncodedDelimiter),
            ("/a%5cadmin", EncodedDelimiter),
            ("/a%00", EncodedDelimiter),
            ("/a%0d%0aset-cookie", EncodedDelimiter),
            ("/a%", BadEncoding),
            ("/a%4", BadEncoding),
            ("/a%zz", BadEncoding),
            // Decoded twice.
            ("/%2561dmin", DoubleEncoding),
            ("/%25%36%31dmin", DoubleEncoding),
            ("/%25252e", DoubleEncoding),
            ("/a%252fadmin", DoubleEncoding),
            ("/%25u0061dmin", DoubleEncoding),
            ("/%u0061dmin", BadEncoding),
            // Overlong forms, lone and missing continuations, surrogates, beyond the last character.
            ("/%c1%a1dmin", NotUtf8),
            ("/a%c0%af", NotUtf8),
            ("/%e0%80%af", NotUtf8),
            ("/%f0%80%80%af", NotUtf8),
            ("/%a1dmin", NotUtf8),
            ("/admin%ff", NotUtf8),
            ("/%c3dmin", NotUtf8),
            ("/%e2%82", NotUtf8),
            ("/%ed%a0%80", NotUtf8),
            ("/%f4%90%80%80", NotUtf8),
            // Controls and line separators outside ASCII.
            ("/a%c2%85b", EncodedDelimiter),
            ("/a%e2%80%a8b", EncodedDelimiter),
            ("/a\\b", ForbiddenByte),
            ("/a#b", ForbiddenByte),
            ("/a b", ForbiddenByte),
            ("/é", ForbiddenByte),
            ("/a?\u{7f}", ForbiddenByte),
        ] {
            assert_eq!(normalize(target.as_bytes()), Err(why), "{target}");
        }
        assert_eq!(normalize("/".repeat(LONGEST + 1).as_bytes()), Err(TooLong));
    }

    #[test]
    fn query_components_are_decoded() {
        assert_eq!(decode_query_component("a+b%20c").unwrap().as_ref(), b"a b c");
        assert_eq!(decode_query_component("%4"), None);
    }

    #[cfg(not(target_arch = "wasm32"))]
    proptest::proptest! {
        #[test]
        fn normalising_twice_changes_nothing(target in "/[a-zA-Z0-9%._~/?-]{0,40}") {
            if let Ok(once) = normalize(target.as_bytes()) {
                let twice = normalize(once.path().as_bytes()).unwrap();
                assert_eq!(once.path(), twice.path());
            }
        }

        #[test]
        fn what_is_read_is_read_the_same_when_decoded_again(target in "/([a-z/]|%[0-9a-fA-F]{2}){0,12}") {
            if let Ok(once) = normalize(target.as_bytes()) {
                let decoded = decode_query_component(once.path()).unwrap();
                let text = std::str::from_utf8(&decoded).unwrap();
                // Nothing is left that another decoding would change.
                assert!(!text.split('%').skip(1).any(begins_as_an_encoding), "{text}");
            }
        }

        #[test]
        fn no_bytes_make_it_panic(target: Vec<u8>) {
            let _ = normalize(&target);
        }
    }
}
