//! Conditions of a `match` that no request can meet, though each looks fine by itself.

use super::config::Match;
use super::index::SelectorBuilder;
use super::value::ValueMatch;
use crate::document::problem::{FieldPath, Problems};
use crate::http::header::HeaderName;

/// Headers that never reach a filter, and why.
const ABSENT: [(&str, &str); 4] = [
    ("host", "Envoy makes `:authority` of it. Ask `hosts` instead"),
    ("keep-alive", "Envoy removes it, since it is about one connection"),
    ("proxy-connection", "Envoy removes it, since it is about one connection"),
    ("transfer-encoding", "Envoy removes it, since it is about one connection"),
];
/// Headers that reach a filter with one value alone.
const RARE: [(&str, &str); 2] = [("connection", "upgrade"), ("te", "trailers")];

/// Why no request that reaches a filter has the header `name`; `None` where one may have it.
pub fn never_arrives(name: &HeaderName) -> Option<&'static str> {
    ABSENT.iter().find(|(known, _)| *known == name.as_str()).map(|(_, why)| *why)
}

impl SelectorBuilder {
    /// Looks at the values of headers, query parameters and cookies of a `match` at `path`.
    pub(super) fn check_values(&self, wanted: &Match, path: &FieldPath, problems: &mut Problems) {
        for (name, value) in wanted.headers.iter() {
            let path = path.field("headers").field(name.as_str());
            self.check_header_name(name, value, &path, problems);
            check_possible(value, &path, problems);
            for (kind, text) in value.texts() {
                if let Some(why) = never_in_header(kind, text) {
                    problems.report(&path, format!("{text:?} never matches: {why}"));
                }
            }
        }
        for (name, value) in wanted.query.iter() {
            let path = path.field("query").field(name);
            check_possible(value, &path, problems);
            for text in value.texts().map(|(_, text)| text).chain([name.as_str()]) {
                if holds_an_encoding(text) {
                    let message = format!(
                        "{text:?} looks encoded, but names and values are decoded before they are compared"
                    );
                    problems.warn(&path, message);
                }
            }
        }
        for (name, value) in wanted.cookies.iter() {
            let path = path.field("cookies").field(name);
            check_possible(value, &path, problems);
            if name.is_empty() || name.trim() != name || name.contains(['=', ';']) {
                problems.report(&path, format!("{name:?} never matches: no cookie has such a name"));
            }
            for (_, text) in value.texts() {
                if text.contains(';') || text.bytes().any(|byte| byte.is_ascii_control()) {
                    problems.report(&path, format!("{text:?} never matches: no cookie has such a value"));
                }
            }
        }
    }

    fn check_header_name(
        &self,
        name: &HeaderName,
        value: &ValueMatch,
        path: &FieldPath,
        problems: &mut Problems,
    ) {
        let rare = RARE.iter().find(|(known, _)| *known == name.as_str()).map(|(_, only)| *only);
        if let Some(why) = never_arrives(name) {
            let does = if value.is_absence() { "always holds" } else { "never matches" };
            problems.report(path, format!("{does}: `{name}` never reaches a filter; {why}"));
        } else if let Some(only) = rare.filter(|only| {
            let meant = |text: &str| text.to_ascii_lowercase().contains(only);
            value.texts().next().is_some() && !value.texts().any(|(_, text)| meant(text))
        }) {
            problems.warn(path, format!("Envoy removes `{name}` before filters see it, but for `{only}`"));
        } else if name.as_str() == "cookie" {
            problems.warn(
                path,
                "all cookies stand in this header, in one line or several: ask `cookies` for one by its name",
            );
        } else if let Some(owner) = self.written_by(name) {
            problems.warn(
                path,
                format!("`{name}` is written by {owner} after all rules are asked: here it is what the client sent, unproven"),
            );
        }
    }
}

fn check_possible(value: &ValueMatch, path: &FieldPath, problems: &mut Problems) {
    if value.is_impossible() {
        problems.report(path, "never matches: no value of `exact` meets the other conditions");
    }
}

/// Why no value of a header is, begins with, ends with or holds `text`.
fn never_in_header(kind: &str, text: &str) -> Option<&'static str> {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bytes = text.as_bytes();
    if bytes.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Some("no header may hold a control character");
    }
    let at_begin = matches!(kind, "exact" | "prefix") && blank(bytes.first());
    let at_end = matches!(kind, "exact" | "suffix") && blank(bytes.last());
    (at_begin || at_end).then_some("blanks around the value of a header are no part of it")
}

/// Whether it holds a percent-encoding.
fn holds_an_encoding(text: &str) -> bool {
    text.split('%').skip(1).any(|rest| {
        let mut digits = rest.bytes().take(2);
        digits.len() == 2 && digits.all(|digit| digit.is_ascii_hexdigit())
    })
}
