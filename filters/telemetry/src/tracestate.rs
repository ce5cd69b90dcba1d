//! `tracestate` (W3C Trace Context §3.3): what tracing systems say about a trace, `vendor=opaque,other@tenant=opaque`.

use sluice_core::header_map::HeaderMap;

/// §3.3.1.1: a list has at most so many members.
const MOST_MEMBERS: usize = 32;

/// Whether a request's `tracestate`, all of its headers together, is as the standard has it. Without one: yes. Where it is not, the
/// standard says to discard the whole of it.
pub fn is_valid(headers: &HeaderMap) -> bool {
    let mut keys: Vec<&[u8]> = Vec::new();
    for member in headers.all("tracestate").flat_map(|line| line.split(|byte| *byte == b',')) {
        let member = trim_blanks(member);
        // §3.3.1.1: empty members are allowed, and mean nothing.
        if member.is_empty() {
            continue;
        }
        let Some(equals) = member.iter().position(|byte| *byte == b'=') else { return false };
        let Some((key, value)) = member.split_at_checked(equals) else { return false };
        let value = value.get(1..).unwrap_or_default();
        if !is_key(key) || !is_value(value) || keys.contains(&key) || keys.len() >= MOST_MEMBERS {
            return false;
        }
        keys.push(key);
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

/// §3.3.1.3.1: a key of one part, at most 256 long; or `tenant@system`, at most 241 and 14. A key may begin with a digit: Level 2
/// allows it, and Level 1 in a tenant.
fn is_key(key: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(byte);
    let part = |text: &[u8], longest: usize, digit_first: bool| {
        let starts_well = text
            .first()
            .is_some_and(|byte| byte.is_ascii_lowercase() || (digit_first && byte.is_ascii_digit()));
        starts_well && text.len() <= longest && text.iter().all(allowed)
    };
    match key.iter().position(|byte| *byte == b'@') {
        None => part(key, 256, true),
        Some(at) => key.split_at_checked(at).is_some_and(|(tenant, system)| {
            part(tenant, 241, true) && part(system.get(1..).unwrap_or_default(), 14, false)
        }),
    }
}

/// §3.3.1.3.2: 1 to 256 printable ASCII characters, without comma and equals sign.
fn is_value(value: &[u8]) -> bool {
    let allowed = |byte: &u8| (b' '..=b'~').contains(byte) && !b",=".contains(byte);
    (1..=256).contains(&value.len()) && value.iter().all(allowed)
}
