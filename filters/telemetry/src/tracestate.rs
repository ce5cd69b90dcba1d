//! `tracestate` (W3C Trace Context Level 2, §3.3): what tracing systems say about a trace, `vendor=opaque,tenant@vendor=opaque`.

use sluice_core::http::header_map::HeaderMap;

/// §3.3.1.1: a list has at most so many members.
const MOST_MEMBERS: usize = 32;

/// Whether a request's `tracestate`, all of its headers together, is as the standard has it. Without one: yes. Where it is not, the
/// standard says to discard the whole of it. A key that stands there twice is no reason to: whoever adds a member must not make one,
/// but whoever passes it on may keep both (Level 2 §3.5, and the tests of the working group).
pub fn is_valid(headers: &HeaderMap) -> bool {
    let mut members: usize = 0;
    for member in headers.all("tracestate").flat_map(|line| line.split(|byte| *byte == b',')) {
        let member = trim_blanks(member);
        // §3.3.1.1: empty members are allowed, and mean nothing.
        if member.is_empty() {
            continue;
        }
        let Some(equals) = member.iter().position(|byte| *byte == b'=') else { return false };
        let Some((key, value)) = member.split_at_checked(equals) else { return false };
        let value = value.get(1..).unwrap_or_default();
        members = members.saturating_add(1);
        if !is_key(key) || !is_value(value) || members > MOST_MEMBERS {
            return false;
        }
    }
    true
}

/// Blanks and tabs only: `trim_ascii` would take line breaks, which can't be here, for blanks.
fn trim_blanks(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last.saturating_add(1));
    text.get(start..end).unwrap_or_default()
}

/// §3.3.1.3.1: 1 to 256 lower-case letters, digits and `_-*/@`, of which the first is a letter or a digit. (In Level 1, `@` stood once, between
/// a tenant and a system.)
fn is_key(key: &[u8]) -> bool {
    let begins = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let allowed = |byte: &u8| begins(byte) || b"_-*/@".contains(byte);
    key.len() <= 256 && key.first().is_some_and(begins) && key.iter().all(allowed)
}

/// §3.3.1.3.2: 1 to 256 printable ASCII characters, without comma and equals sign, of which the last is no blank (those around a
/// member are no part of it).
fn is_value(value: &[u8]) -> bool {
    let allowed = |byte: &u8| (b' '..=b'~').contains(byte) && !b",=".contains(byte);
    (1..=256).contains(&value.len()) && value.iter().all(allowed)
}
