//! A document as it stands in its file: what JSON can say, with the place of every key and value.

use crate::text::{Position, Span};
use sluice_core::document::problem::{FieldPath, Segment};
use std::collections::HashSet;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What a document can say: what JSON can. Objects keep the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Number(serde_json::Number),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// An object.
    Object(Vec<Entry>),
}

/// A field of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its name.
    pub key: String,
    /// Where its name stands.
    pub key_span: Span,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// The fields of an object; none for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Object(entries) => entries,
            _ => &[],
        }
    }

    /// The elements of a list; none for anything else.
    pub fn elements(&self) -> &[Node] {
        match &self.value {
            Value::List(elements) => elements,
            _ => &[],
        }
    }

    /// The value of the field `key`.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The text of a string.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Where to point for a problem with the field at `path`. With `of_name`, the problem is with the field's name and not with its
    /// value. A field that does not exist (it is missing) is stood in for by the nearest thing around it.
    pub fn locate(&self, path: &FieldPath, of_name: bool) -> Span {
        let mut node = self;
        let mut name: Option<Span> = None;
        for segment in path.segments() {
            let next = match segment {
                Segment::Field(key) => node.entries().iter().find(|entry| entry.key == *key).map(|entry| {
                    name = Some(entry.key_span);
                    &entry.value
                }),
                Segment::Index(position) => node.elements().get(*position).inspect(|_| name = None),
            };
            match next {
                Some(next) => node = next,
                None => return node.handle(name),
            }
        }
        match name {
            Some(name) if of_name => name,
            name => node.handle(name),
        }
    }

    /// What stands for the whole: a scalar itself; of a list or object, which may go on for pages, its name or its beginning.
    fn handle(&self, name: Option<Span>) -> Span {
        match (&self.value, name) {
            (Value::List(_) | Value::Object(_), Some(name)) => name,
            (Value::Object(entries), None) => entries.first().map_or(self.span, |first| first.key_span),
            (Value::List(_), None) => Span::at(self.span.start),
            _ => self.span,
        }
    }

    /// The same with every field once in its object: the first of its name.
    #[must_use]
    pub fn without_repeated(&self) -> Self {
        let value = match &self.value {
            Value::List(elements) => Value::List(elements.iter().map(Self::without_repeated).collect()),
            Value::Object(entries) => {
                let mut known = HashSet::new();
                let firsts = entries.iter().filter(|entry| known.insert(entry.key.as_str()));
                let once = |entry: &Entry| Entry { value: entry.value.without_repeated(), ..entry.clone() };
                Value::Object(firsts.map(once).collect())
            }
            other => other.clone(),
        };
        Self { span: self.span, value }
    }

    /// The document as JSON text, its fields in the order of the file.
    pub fn to_json(&self) -> String {
        let mut json = String::new();
        self.write_json(&mut json);
        json
    }

    fn write_json(&self, json: &mut String) {
        match &self.value {
            Value::Null => json.push_str("null"),
            Value::Boolean(flag) => json.push_str(if *flag { "true" } else { "false" }),
            Value::Number(number) => json.push_str(&number.to_string()),
            Value::Text(text) => write_text(text, json),
            Value::List(elements) => {
                json.push('[');
                for (position, element) in elements.iter().enumerate() {
                    if position > 0 {
                        json.push(',');
                    }
                    element.write_json(json);
                }
                json.push(']');
            }
            Value::Object(entries) => {
                json.push('{');
                for (position, entry) in entries.iter().enumerate() {
                    if position > 0 {
                        json.push(',');
                    }
                    write_text(&entry.key, json);
                    json.push(':');
                    entry.value.write_json(json);
                }
                json.push('}');
            }
        }
    }

    /// The document as JSON text for people: what is short stands on one line.
    pub fn to_json_lines(&self) -> String {
        let mut json = String::new();
        self.write_json_lines(0, &mut json);
        json
    }

    fn write_json_lines(&self, indent: usize, json: &mut String) {
        const SHORT: usize = 100;
        let whole = self.to_json();
        let children: Vec<(Option<&str>, &Node)> = match &self.value {
            Value::List(elements) => elements.iter().map(|element| (None, element)).collect(),
            Value::Object(entries) => {
                entries.iter().map(|entry| (Some(entry.key.as_str()), &entry.value)).collect()
            }
            _ => Vec::new(),
        };
        if children.is_empty() || (whole.len() <= SHORT && indent > 0) {
            json.push_str(&whole);
            return;
        }
        let (opening, closing) = if matches!(self.value, Value::List(_)) { ('[', ']') } else { ('{', '}') };
        json.push(opening);
        for (position, (key, value)) in children.into_iter().enumerate() {
            json.push_str(if position > 0 { ",\n" } else { "\n" });
            json.extend(std::iter::repeat_n(' ', indent + 2));
            if let Some(key) = key {
                write_text(key, json);
                json.push_str(": ");
            }
            value.write_json_lines(indent + 2, json);
        }
        json.push('\n');
        json.extend(std::iter::repeat_n(' ', indent));
        json.push(closing);
    }

    /// An empty document.
    pub fn empty() -> Self {
        Self { span: Span::at(Position { line: 1, column: 1 }), value: Value::Null }
    }
}

fn write_text(text: &str, json: &mut String) {
    json.push_str(&serde_json::Value::from(text).to_string());
}
