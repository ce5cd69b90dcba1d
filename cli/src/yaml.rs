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
use sluice_core::document::problem::FieldPath;
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

/// What could be read of a text, whether or not it is a document.
pub struct Outline {
    /// What there is: all of it, or what came before the reader gave up, with everything closed that was open there.
    pub node: Node,
    /// All that is wrong, up to the first syntax error.
    pub problems: Vec<Unreadable>,
    /// Where the reader gave up, if it did, and the field that it was at.
    pub broken_off: Option<(Position, FieldPath)>,
    /// Whether columns may lie a little to the left of what they speak of (see [`json_as_yaml`]).
    pub shifted: bool,
}

/// Reads as much of a document as can be read.
pub fn outline(text: &str) -> Outline {
    // The mark that some editors put before UTF-8 text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let yaml = json_as_yaml(text);
    let shifted = matches!(yaml, Cow::Owned(_));
    let mut builder = Builder::default();
    let mut end = Position { line: 1, column: 1 };
    let mut broken_off = None;
    let mut parser = Parser::new_from_str(&yaml);
    while let Some(event) = parser.next_event() {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let at = position(*error.marker());
                builder.report(Span::at(at), syntax(&error, text, at));
                broken_off = Some((end, builder.path()));
                break;
            }
        };
        let span = span_of(&span);
        if builder.take(event, span).is_break() {
            broken_off = Some((end, builder.path()));
            break;
        }
        end = end.max(span.end);
    }
    let (node, problems) = builder.finish(end);
    Outline { node, problems, broken_off, shifted }
}

/// Reads a document.
///
/// # Errors
/// All that is wrong with it up to the first syntax error.
pub fn read(text: &str) -> Result<Node, Vec<Unreadable>> {
    let Outline { node, problems, .. } = outline(text);
    if problems.is_empty() { Ok(node) } else { Err(problems) }
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

/// A syntax error in words, with what is behind the usual ones. What stands in the text is not repeated: it may be a secret.
fn syntax(error: &ScanError, text: &str, at: Position) -> String {
    let line = lines(text).nth(at.line.saturating_sub(1)).unwrap_or_default();
    let indent = line.len() - line.trim_start().len();
    let here = line.chars().nth(at.column.saturating_sub(1));
    if has_unquoted_star(line) {
        return "not YAML: text that begins with `*` goes in quotes, as in \"*.example.com\"".to_owned();
    }
    match here {
        _ if error.info().contains("unknown anchor") => return builder::NO_ANCHORS.to_owned(),
        Some(character @ ('%' | '@' | '`')) => {
            return format!("not YAML: text that begins with `{character}` goes in quotes");
        }
        Some('\t') => return NO_TABS.to_owned(),
        _ if line.get(..indent).is_some_and(|indent| indent.contains('\t')) => return NO_TABS.to_owned(),
        _ => {}
    }
    match error.info() {
        info if info.starts_with("unexpected character") => "not YAML: unexpected character".to_owned(),
        info => format!("not YAML: {info}"),
    }
}

const NO_TABS: &str = "not YAML: a tab; lines are indented with blanks";

/// Whether `*.example.com` or `*` stands on a line without quotes: YAML takes what begins with `*` for an alias.
fn has_unquoted_star(line: &str) -> bool {
    line.match_indices('*').any(|(position, _)| {
        let (before, after) = line.split_at(position);
        let after = after.get(1..).unwrap_or_default();
        before.ends_with([' ', '[', ','])
            && (after.is_empty() || after.starts_with(['.', ' ', ',', ']', '}']))
    })
}

/// The lines of a text as YAML counts them (YAML 1.2 §5.4): `\r` alone ends one, too.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let (line, after) = text.split_at(end);
        rest = after.strip_prefix("\r\n").or_else(|| after.get(1..));
        Some(line)
    })
}

fn span_of(span: &saphyr_parser::Span) -> Span {
    Span { start: position(span.start), end: position(span.end) }
}

fn position(marker: Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

#[cfg(test)]
mod tests;
