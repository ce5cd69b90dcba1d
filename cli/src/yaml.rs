//! From YAML 1.2 (of which JSON is a part) to [`Node`]s.
//!
//! A policy decides who gets in, so two readers must not read it differently. What readers differ about is refused: a key that stands
//! twice, anchors and merge keys, tags, keys that are no strings, several documents in a file. Plain scalars follow the core schema of
//! YAML 1.2 (§10.3.2): `no` and `2026-01-01` are strings, `true`, `0x1F` and `1e3` are not.

mod builder;
mod scalar;

use crate::node::Node;
use crate::text::{Position, Span};
use builder::Builder;
use saphyr_parser::{Marker, Parser, ScanError};
use sluice_core::problem::FieldPath;
use std::borrow::Cow;

/// How deep lists and objects may be nested: twice what any document needs, half of what `serde_json` takes.
const DEPTH_LIMIT: usize = 64;

/// How many values a document may hold: an Envoy would be busy for seconds with more.
const VALUE_LIMIT: usize = 1_000_000;

/// What keeps a file from being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Where.
    pub span: Span,
    /// Which field it belongs to; the root where it is a matter of the text itself.
    pub path: FieldPath,
    /// What was found and what to do.
    pub message: String,
}

/// Reads a document.
///
/// # Errors
/// All that is wrong with it up to the first syntax error.
pub fn read(text: &str) -> Result<Node, Vec<Unreadable>> {
    // The mark that some editors put before UTF-8 text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = json_as_yaml(text);
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(&text);
    while let Some(event) = parser.next_event() {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                builder.report(Span::at(position(*error.marker())), syntax(&error));
                break;
            }
        };
        if builder.take(event, span_of(&span)).is_break() {
            break;
        }
    }
    builder.finish()
}

/// JSON is YAML but for one thing: it escapes a character beyond U+FFFF as two surrogates (RFC 8259 §7), `\ud83d\ude00`, where YAML
/// has `\U0001f600`. (What follows on the same line is then found two columns to the left.)
fn json_as_yaml(text: &str) -> Cow<'_, str> {
    let lower = |text: &str| text.contains("\\ud") || text.contains("\\uD");
    if !lower(text) || serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return Cow::Borrowed(text);
    }
    let mut yaml = String::with_capacity(text.len());
    let mut rest = text;
    // A backslash begins an escape, whose second character (perhaps another backslash) belongs to it.
    while let Some((before, escape)) = rest.split_once('\\') {
        yaml.push_str(before);
        yaml.push('\\');
        rest = match surrogates(escape) {
            Some((character, rest)) => {
                yaml.push_str(&format!("U{:08x}", u32::from(character)));
                rest
            }
            None => {
                let length = escape.chars().next().map_or(0, char::len_utf8);
                yaml.push_str(&escape[..length]);
                &escape[length..]
            }
        };
    }
    yaml.push_str(rest);
    Cow::Owned(yaml)
}

/// The character of `ud83d\ude00` and what follows it.
fn surrogates(escape: &str) -> Option<(char, &str)> {
    let unit = |text: &str| u16::from_str_radix(text.get(..4)?, 16).ok();
    let escape = escape.strip_prefix('u')?;
    let high = unit(escape)?;
    let second = escape.get(4..)?.strip_prefix("\\u")?;
    let character = char::decode_utf16([high, unit(second)?]).next()?.ok()?;
    (u32::from(character) > 0xffff).then_some((character, second.get(4..)?))
}

fn syntax(error: &ScanError) -> String {
    let message = format!("not YAML: {}", error.info());
    if error.info().contains("unknown anchor") { builder::NO_ANCHORS.to_owned() } else { message }
}

fn span_of(span: &saphyr_parser::Span) -> Span {
    Span { start: position(span.start), end: position(span.end) }
}

fn position(marker: Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

#[cfg(test)]
mod tests;
