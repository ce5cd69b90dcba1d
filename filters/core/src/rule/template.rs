//! Text with references to facts of a request in braces: `/orders/{path.id}`.

use crate::decision::compile::Compiler;
use crate::decision::exchange::Exchange;
use crate::document::problem::FieldPath;
use crate::rule::attribute::Attribute;
use crate::rule::selector::SelectorId;
use serde::de::{self, Deserialize, Deserializer};
use std::fmt;

/// Text with references. `{{` and `}}` stand for braces.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Template {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Piece {
    Text(String),
    Value(Attribute),
}

/// What becomes of values that are put into a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// For a path and its query: all but unreserved characters (RFC 3986 §2.3) are percent-encoded.
    Path,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A sentence: a brace without its other, or what is no reference.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(position) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at_checked(position).unwrap_or((rest, ""));
            plain.push_str(before);
            if let Some(after) = brace.strip_prefix("{{") {
                plain.push('{');
                rest = after;
            } else if let Some(after) = brace.strip_prefix("}}") {
                plain.push('}');
                rest = after;
            } else if let Some((name, after)) = brace.strip_prefix('{').and_then(|rest| rest.split_once('}'))
            {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Value(Attribute::new(name)?));
                rest = after;
            } else {
                return Err(format!(
                    "{text:?} has a brace without its other; a brace itself is written twice"
                ));
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self { text: text.to_owned(), pieces })
    }

    /// The template as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The references in it.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Value(attribute) => Some(attribute),
            Piece::Text(_) => None,
        })
    }

    /// The text for a request, where the rule's `match` is `selector`. `None` where the request lacks a value, or has an empty one.
    pub fn render(
        &self,
        exchange: &Exchange<'_>,
        selector: SelectorId,
        encoding: Encoding,
    ) -> Option<String> {
        let mut text = String::with_capacity(self.text.len());
        for piece in &self.pieces {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Value(attribute) => {
                    let value = attribute.resolve(exchange, selector).filter(|value| !value.is_empty())?;
                    // The path's own segments stand in their normal form already: what is encoded there stays so.
                    let encoded = matches!(attribute, Attribute::PathCapture(_) | Attribute::Path);
                    match encoding {
                        Encoding::Path => percent_encode(&value, encoded, &mut text),
                    }
                }
            }
        }
        Some(text)
    }

    /// Reports references to captures that the rule's `match` does not have.
    pub fn check_captures(&self, selector: SelectorId, path: &FieldPath, compiler: &mut Compiler) {
        for attribute in self.attributes() {
            let Attribute::PathCapture(name) = attribute else { continue };
            let captures = compiler.selectors.captures(selector);
            if !captures.contains(&name.as_str()) {
                compiler.problems.unknown_name(path, "a `{name}` in `match.paths`", name, captures);
            }
        }
    }
}

fn percent_encode(value: &[u8], keeps_encoded: bool, text: &mut String) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble & 0xf)).copied().unwrap_or('0');
    for byte in value.iter().copied() {
        let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if unreserved || (keeps_encoded && byte == b'%') {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push(digit(byte >> 4));
            text.push(digit(byte));
        }
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, out)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Template {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Template".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "Text with references to facts of the request in braces: `/orders/{path.id}`. A brace itself is written twice."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn references_stand_in_braces_and_braces_twice() {
        let template = Template::new("/a{{b}}/{path.id}?x={query.q}").unwrap();
        let names: Vec<String> = template.attributes().map(ToString::to_string).collect();
        assert_eq!(names, ["path.id", "query.q"]);
        assert_eq!(template.pieces[0], Piece::Text("/a{b}/".to_owned()));
        for wrong in ["/{path.id", "/}", "/{}", "/{pathid}", "/{identity.x}"] {
            assert!(Template::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_value_adds_a_segment_or_a_parameter() {
        let encoded = |value: &[u8], keeps| {
            let mut text = String::new();
            percent_encode(value, keeps, &mut text);
            text
        };
        assert_eq!(encoded(b"a/../b?c=d&e#f", false), "a%2F..%2Fb%3Fc%3Dd%26e%23f");
        assert_eq!(encoded("é\r\n".as_bytes(), false), "%C3%A9%0D%0A");
        assert_eq!(encoded(b"a%20b", true), "a%20b");
        assert_eq!(encoded(b"a%20b", false), "a%2520b");
    }
}
