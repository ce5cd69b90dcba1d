//! What of a document must not be printed: a check's output goes into the logs of a build, into tickets and chats.
//!
//! Secrets are found by where they stand, not by how they look. Whatever stands where a credential belongs is one, also what got there
//! by mistake: a list in the place of text, a key as the name of a field, what an anchor names. What can't be parsed is judged by its
//! words.

mod vocabulary;

use crate::node::{Entry, Node, Value};
use crate::text::{Position, Span};
use crate::yaml::{self, Outline};
use sluice_core::document::problem::{FieldPath, Segment, nearest};
use std::collections::BTreeMap;
use vocabulary::{Kind, is_field, is_policy, kind};

/// Shorter text is found in ordinary words, and nothing so short keeps a secret.
const SHORTEST: usize = 4;

/// The secrets of one text.
#[derive(Debug, Default)]
pub struct Secrets {
    /// Whether a stretch is hidden; of those that overlap the last counts.
    painted: Vec<(Span, bool)>,
    /// What they are, by their first characters.
    texts: BTreeMap<String, Vec<String>>,
    /// From where on only names of fields are shown, in text that could not be parsed.
    unparsed: Option<Position>,
    /// Whether what is found on a line may lie a little to the right.
    shifted: bool,
}

/// What is known of a place in a document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Zone {
    /// Values are shown.
    Open,
    /// The same within `rateLimit`, where `key` says what is counted by.
    Limits,
    /// Below `from` of a provider: names of headers, cookies and parameters, not what is in them.
    Names,
    /// Where credentials are listed: only what is known to be harmless is shown.
    Credentials,
    /// Where keys are fetched from.
    Fetch,
    /// All of it is secret.
    Secret,
    /// The file is no policy document: nothing is known of it.
    Foreign,
}

impl Secrets {
    /// Finds the secrets of a document, or of what was meant to be one.
    pub fn of(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let Outline { node, broken_off, shifted, .. } = yaml::outline(&text);
        let mut secrets = Self { shifted, ..Self::default() };
        let zone = match &node.value {
            Value::Object(entries) if is_manifest(entries) => Zone::Foreign,
            Value::Object(_) => Zone::Open,
            // Not a document but perhaps a token, or a list of keys.
            _ => Zone::Credentials,
        };
        if zone.hides() {
            secrets.painted.push((node.span, true));
        }
        secrets.walk(&node, zone);
        secrets.unparsed = broken_off.and_then(|(position, path)| {
            let is_object = matches!(node.value, Value::Object(_));
            if !is_object || is_secret(&path) {
                Some(position)
            } else {
                first_sensitive_word(&text, position)
            }
        });
        secrets
    }

    fn walk(&mut self, node: &Node, zone: Zone) {
        match &node.value {
            Value::Null | Value::Boolean(_) => {}
            // One message is printed of a file that is no policy document, and it repeats nothing.
            Value::Number(_) | Value::Text(_) if zone == Zone::Foreign => {}
            Value::Number(number) => {
                if zone.hides() {
                    self.remember(&number.to_string());
                    self.remember(&number.as_f64().unwrap_or_default().to_string());
                }
            }
            Value::Text(text) => {
                if zone.hides() {
                    self.remember(text);
                }
            }
            Value::List(elements) => elements.iter().for_each(|element| self.walk(element, zone)),
            Value::Object(entries) => {
                for entry in entries {
                    let is_known =
                        is_shown(&entry.key) || (zone == Zone::Foreign && is_manifest_field(&entry.key));
                    let hides_name = zone.hides() && !is_known;
                    if hides_name {
                        self.remember(&entry.key);
                    }
                    self.painted.push((entry.key_span, hides_name));
                    let below = zone.below(&entry.key, &entry.value);
                    // With what stands before the value: an anchor, a tag.
                    let region = Span { start: entry.key_span.end, end: entry.value.span.end };
                    self.painted.push((region, below.hides()));
                    self.walk(&entry.value, below);
                }
            }
        }
    }

    fn remember(&mut self, text: &str) {
        let escaped = format!("{text:?}");
        let escaped = escaped.get(1..escaped.len().saturating_sub(1)).unwrap_or_default();
        for text in [text, escaped, text.trim()] {
            let Some(start) = beginning(text) else { continue };
            let known = self.texts.entry(start.to_owned()).or_default();
            if !known.iter().any(|known| known == text) {
                known.push(text.to_owned());
                known.sort_by_key(|text| std::cmp::Reverse(text.len()));
            }
        }
    }

    /// `message` without the secrets.
    pub fn redact(&self, message: &str) -> String {
        let mut shown = String::with_capacity(message.len());
        let mut rest = message;
        while let Some(character) = rest.chars().next() {
            let secret = beginning(rest)
                .and_then(|start| self.texts.get(start))
                .and_then(|texts| texts.iter().find(|text| rest.starts_with(text.as_str())));
            let length = match secret {
                Some(secret) => {
                    shown.push_str("***");
                    secret.len()
                }
                None => {
                    shown.push(character);
                    character.len_utf8()
                }
            };
            rest = rest.get(length..).unwrap_or_default();
        }
        shown
    }

    /// Line `number` (from 1) of the text, with `*` for what is secret.
    pub fn line(&self, number: usize, line: &str) -> String {
        let characters: Vec<char> = line.chars().collect();
        let mut hidden: Vec<bool> = vec![false; characters.len()];
        let mut secret_until = None;
        for (span, hides) in &self.painted {
            if span.start.line > number || span.end.line < number || (self.shifted && !hides) {
                continue;
            }
            let from = if span.start.line < number { 0 } else { span.start.column.saturating_sub(1) };
            let to = if span.end.line > number || self.shifted {
                usize::MAX
            } else {
                span.end.column.saturating_sub(1)
            };
            let (from, to) = (from.min(characters.len()), to.min(characters.len()));
            if from < to {
                hidden.get_mut(from..to).unwrap_or_default().fill(*hides);
                if *hides {
                    secret_until = secret_until.max(Some(to));
                }
            }
        }
        // A comment behind a secret may say what it was before.
        let behind = |from: usize| characters.get(from..)?.iter().position(|character| *character == '#');
        if let Some(comment) = secret_until.and_then(|until| behind(until).map(|mark| until + mark)) {
            hidden.get_mut(comment..).unwrap_or_default().fill(true);
        }
        self.hide_unparsed(number, line, &mut hidden);
        let shown = characters.iter().zip(&hidden).enumerate().map(|(position, (character, hidden))| {
            let beside = |position: Option<usize>| {
                position
                    .and_then(|position| characters.get(position))
                    .is_some_and(|other| !other.is_whitespace())
            };
            let stays = match character {
                '{' | '}' | '[' | ']' | ',' | ':' | '"' | '\'' | '|' | '>' | '#' => true,
                // The mark of a list's element.
                '-' => !beside(position.checked_sub(1)) && !beside(position.checked_add(1)),
                other => other.is_whitespace(),
            };
            if *hidden && !stays { '*' } else { *character }
        });
        shown.collect()
    }

    /// Hides all but names of fields from where text could not be parsed and a credential may stand.
    fn hide_unparsed(&self, number: usize, line: &str, hidden: &mut [bool]) {
        let Some(from) = self.unparsed.filter(|from| from.line <= number) else { return };
        let begin = if number == from.line { from.column.saturating_sub(1) } else { 0 };
        for (position, word) in words(line) {
            let end = position + word.chars().count();
            if end > begin && !is_field(word) {
                hidden.get_mut(position..end).unwrap_or_default().fill(true);
            }
        }
    }
}

// === impl Zone ===

impl Zone {
    fn hides(self) -> bool {
        matches!(self, Zone::Credentials | Zone::Secret | Zone::Foreign)
    }

    /// What is known of `value`, which stands here under `name`.
    fn below(self, name: &str, value: &Node) -> Self {
        match (self, kind(name)) {
            (Zone::Foreign, _) if matches!(name, "apiVersion" | "kind" | "metadata" | "name") => Zone::Open,
            (Zone::Foreign, _) => Zone::Foreign,
            // `k: { environment: NAME }` says where a secret is.
            (Zone::Secret, _) if name == "environment" && value.text().is_some_and(is_variable) => Zone::Open,
            (Zone::Secret, _) => Zone::Secret,
            (Zone::Names, _) | (_, Kind::Names) => Zone::Names,
            (Zone::Credentials, Kind::Other)
                if is_fetch(name) && value.entries().iter().any(|entry| entry.key == "cluster") =>
            {
                Zone::Fetch
            }
            (Zone::Fetch, Kind::Other | Kind::Harmless | Kind::Credentials) => Zone::Fetch,
            (Zone::Open, Kind::Other) if name == "rateLimit" => Zone::Limits,
            (Zone::Limits, Kind::Secret) if name == "key" => Zone::Limits,
            // `forward.token`, `forward.key`.
            (_, Kind::Secret) if matches!(value.text(), Some("keep" | "remove")) => Zone::Open,
            (_, Kind::Secret) => Zone::Secret,
            (_, Kind::Credentials) => Zone::Credentials,
            (Zone::Credentials, Kind::Harmless) => Zone::Open,
            (Zone::Credentials, Kind::Other) => Zone::Secret,
            (Zone::Limits, _) => Zone::Limits,
            (Zone::Open, _) => Zone::Open,
        }
    }
}

/// Where in the text from `position` on a word ends behind which credentials stand.
fn first_sensitive_word(text: &str, position: Position) -> Option<Position> {
    for (index, line) in yaml::lines(text).enumerate().skip(position.line.saturating_sub(1)) {
        let begin = if index + 1 == position.line { position.column.saturating_sub(1) } else { 0 };
        for (start, word) in words(line) {
            let end = start + word.chars().count();
            if end > begin && matches!(kind(word), Kind::Secret | Kind::Credentials) {
                return Some(Position { line: index + 1, column: end + 1 });
            }
        }
    }
    None
}

/// The words of a line, each with its place in characters.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |character: char| {
        !(character.is_whitespace()
            || matches!(character, '{' | '}' | '[' | ']' | ',' | ':' | '"' | '\'' | '#' | '='))
    };
    let mut position = 0;
    line.split_inclusive(move |character: char| !is_word(character)).filter_map(move |piece| {
        let start = position;
        position += piece.chars().count();
        let word = piece.trim_end_matches(|character: char| !is_word(character));
        (!word.is_empty()).then_some((start, word))
    })
}

/// The first characters of a text that is long enough to be a secret.
fn beginning(text: &str) -> Option<&str> {
    let (last, character) = text.char_indices().nth(SHORTEST - 1)?;
    text.get(..last + character.len_utf8())
}

/// Whether the field at `path` is one whose values are secret.
pub fn is_secret(path: &FieldPath) -> bool {
    let names: Vec<&str> = path
        .segments()
        .iter()
        .filter_map(|segment| match segment {
            Segment::Field(name) => Some(name.as_str()),
            Segment::Index(_) => None,
        })
        .collect();
    if names.first() == Some(&"rateLimit") && names.last() == Some(&"key") {
        return false;
    }
    let harmless = names.last().is_some_and(|name| matches!(kind(name), Kind::Harmless | Kind::Names));
    !harmless && names.iter().any(|name| matches!(kind(name), Kind::Secret | Kind::Credentials))
}

/// A name that may be shown among credentials: a field's, or one that was probably meant to be a field's.
fn is_shown(name: &str) -> bool {
    /// Names of fields are no longer.
    const LONGEST: usize = 16;
    let plain = || name.len() <= LONGEST && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_field(name)
        || (plain()
            && nearest(name, ["sha256", "consumer", "attributes", "roles", "scopes", "expires", "notBefore"])
                .is_some())
}

/// `keys.remote` and `keys.discovery` hold no key.
fn is_fetch(name: &str) -> bool {
    matches!(name, "remote" | "discovery")
}

/// What Kubernetes' objects and Envoy's configurations begin with.
const MANIFEST: [&str; 6] =
    ["apiVersion", "kind", "static_resources", "staticResources", "dynamic_resources", "resources"];

/// Whether a file is Kubernetes' or Envoy's, and no policy document.
pub fn is_manifest(entries: &[Entry]) -> bool {
    !is_policy(entries) && entries.iter().any(|entry| MANIFEST.contains(&entry.key.as_str()))
}

fn is_manifest_field(name: &str) -> bool {
    MANIFEST.contains(&name)
        || matches!(name, "metadata" | "name" | "namespace" | "spec" | "data" | "selector" | "pluginConfig")
}

fn is_variable(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests;
