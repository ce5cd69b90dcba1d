//! `traceparent` (W3C Trace Context §3.2): `00-<trace id>-<parent id>-<flags>`, all in lower-case hexadecimal.

use std::fmt;

/// A valid `traceparent`, or a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The upper and the lower half: 128 bits at once are slow in a 32-bit VM.
    trace_id: [u64; 2],
    parent_id: u64,
    flags: u8,
}

/// The length of version 00: 2 + 32 + 16 + 2 digits and three hyphens. Later versions begin the same (§4.3).
const LENGTH: usize = 55;

/// The trace is recorded by who started it (§3.2.3.3.1).
const SAMPLED: u8 = 1;

/// The trace id is random, at least its last seven bytes (Level 2, §3.2.3.3.2).
const RANDOM: u8 = 2;

impl TraceParent {
    /// Reads a header's value. `None` for anything that the standard says to take for absent: unknown forms, upper case, ids of zeros
    /// only, the version `ff`. Versions after 00 are read as far as 00 goes, as §4.3 has it.
    pub fn parse(value: &[u8]) -> Option<Self> {
        // Optional white space around a value is no part of it (RFC 9110 §5.5).
        let value = value.trim_ascii();
        let (fields, more) = value.split_at_checked(LENGTH)?;
        let mut fields = fields.split(|byte| *byte == b'-');
        let version = hexadecimal(fields.next()?, 2)?;
        let (upper, lower) = fields.next()?.split_at_checked(16)?;
        let trace_id = [hexadecimal(upper, 16)?, hexadecimal(lower, 16)?];
        let parent_id = hexadecimal(fields.next()?, 16)?;
        let flags = hexadecimal(fields.next()?, 2)?;
        let known = match version {
            0xff => false,
            0 => more.is_empty(),
            _ => matches!(more.first(), None | Some(b'-')),
        };
        if !known || fields.next().is_some() || trace_id == [0, 0] || parent_id == 0 {
            return None;
        }
        Some(Self { trace_id, parent_id, flags: u8::try_from(flags).ok()? })
    }

    /// The beginning of a trace, from random numbers, and so with the flag that says it. Zeros, which would be invalid, become ones.
    pub fn start(random: [u64; 3], sampled: bool) -> Self {
        let [upper, lower, parent] = random;
        let lower = if upper == 0 { lower.max(1) } else { lower };
        Self {
            trace_id: [upper, lower],
            parent_id: parent.max(1),
            flags: if sampled { RANDOM | SAMPLED } else { RANDOM },
        }
    }

    /// The trace: its upper and its lower 64 bits.
    pub fn trace_id(&self) -> [u64; 2] {
        self.trace_id
    }

    /// Whether the trace is recorded by who started it.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Whether who made the trace id says that it is random.
    pub fn is_random(&self) -> bool {
        self.flags & RANDOM != 0
    }

    /// The header's value. By hand: the standard library's hexadecimal formatting was an eighth of all that the module did for a request.
    pub fn to_text(&self) -> [u8; LENGTH] {
        let [upper, lower] = self.trace_id;
        let ids = [upper, lower, self.parent_id].into_iter().flat_map(u64::to_be_bytes);
        let bytes = [0].into_iter().chain(ids).chain([self.flags]);
        let digits = bytes.flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]);
        let mut text = [b'-'; LENGTH];
        let places = text.iter_mut().enumerate().filter(|(place, _)| ![2, 35, 52].contains(place));
        places.zip(digits).for_each(|((_, place), digit)| *place = digit);
        text
    }
}

const fn digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0'.wrapping_add(nibble) } else { (b'a' - 10).wrapping_add(nibble) }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&String::from_utf8_lossy(&self.to_text()))
    }
}

/// Exactly `digits` lower-case hexadecimal digits, at most 16.
fn hexadecimal(text: &[u8], digits: usize) -> Option<u64> {
    if text.len() != digits {
        return None;
    }
    let mut number: u64 = 0;
    for byte in text {
        let digit = match byte {
            b'0'..=b'9' => byte.wrapping_sub(b'0'),
            b'a'..=b'f' => byte.wrapping_sub(b'a').wrapping_add(10),
            _ => return None,
        };
        number = (number << 4) | u64::from(digit);
    }
    Some(number)
}
