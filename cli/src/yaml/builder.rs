use super::{DEPTH_LIMIT, Unreadable, VALUE_LIMIT, scalar};
use crate::node::{Entry, Node, Value};
use crate::text::{Position, Span};
use saphyr_parser::{Event, ScalarStyle};
use sluice_core::document::problem::{FieldPath, Segment};
use std::collections::HashMap;
use std::ops::ControlFlow;

pub(super) const NO_ANCHORS: &str = "anchors, aliases and merge keys (`&x`, `*x`, `<<`) are not part of a policy document; name what \
                                     several rules share in `definitions` and refer to it by name";

/// Puts a parser's events together.
#[derive(Default)]
pub(super) struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    values: usize,
    problems: Vec<Unreadable>,
}

/// A list or object that has begun.
enum Open {
    List { start: Span, elements: Vec<Node> },
    Object { start: Span, entries: Vec<Entry>, known: HashMap<String, Span>, key: Option<(String, Span)> },
}

impl Builder {
    pub(super) fn report(&mut self, span: Span, message: impl Into<String>) {
        let path = self.path();
        self.problems.push(Unreadable { span, path, message: message.into() });
    }

    /// Takes the parser's next event; breaks off where nothing sensible can follow.
    pub(super) fn take(&mut self, event: Event<'_>, span: Span) -> ControlFlow<()> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.report(span, "a second document begins here; a file holds one policy document");
                    return ControlFlow::Break(());
                }
            }
            Event::Alias(_) => {
                self.report(span, NO_ANCHORS);
                return self.place(Node { span, value: Value::Null });
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_decoration(span, anchor, tag.is_some());
                return self.scalar(&text, style, span);
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_decoration(span, anchor, tag.is_some());
                return self.begin(Open::List { start: span, elements: Vec::new() }, span);
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_decoration(span, anchor, tag.is_some());
                let object =
                    Open::Object { start: span, entries: Vec::new(), known: HashMap::new(), key: None };
                return self.begin(object, span);
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let node = match self.open.pop() {
                    Some(Open::List { start, elements }) => Node {
                        span: Span { start: start.start, end: span.end },
                        value: Value::List(elements),
                    },
                    Some(Open::Object { start, entries, .. }) => Node {
                        span: Span { start: start.start, end: span.end },
                        value: Value::Object(entries),
                    },
                    None => return ControlFlow::Break(()),
                };
                return self.place(node);
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        ControlFlow::Continue(())
    }

    /// What has been read, with everything closed that is still open, and what is wrong with it.
    pub(super) fn finish(mut self, end: Position) -> (Node, Vec<Unreadable>) {
        while let Some(open) = self.open.pop() {
            let node = match open {
                Open::List { start, elements } => Node {
                    span: Span { start: start.start, end: end.max(start.start) },
                    value: Value::List(elements),
                },
                Open::Object { start, mut entries, key, .. } => {
                    entries.extend(key.map(|(key, key_span)| Entry {
                        key,
                        key_span,
                        value: Node { span: Span::at(key_span.end), value: Value::Null },
                    }));
                    Node {
                        span: Span { start: start.start, end: end.max(start.start) },
                        value: Value::Object(entries),
                    }
                }
            };
            // The limit on values has been seen to before.
            let _ = self.place(node);
        }
        (self.root.unwrap_or_else(Node::empty), self.problems)
    }

    fn refuse_decoration(&mut self, span: Span, anchor: usize, tagged: bool) {
        if anchor != 0 {
            self.report(span, NO_ANCHORS);
        }
        if tagged {
            self.report(
                span,
                "tags such as `!!str` are not part of a policy document; text that looks like something else goes in quotes",
            );
        }
    }

    fn begin(&mut self, open: Open, span: Span) -> ControlFlow<()> {
        if matches!(self.open.last(), Some(Open::Object { key: None, .. })) {
            self.report(span, "a key must be text, not a list or an object");
            return ControlFlow::Break(());
        }
        if self.open.len() >= DEPTH_LIMIT {
            self.report(span, format!("nested deeper than {DEPTH_LIMIT} levels"));
            return ControlFlow::Break(());
        }
        self.open.push(open);
        ControlFlow::Continue(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span) -> ControlFlow<()> {
        let plain = style == ScalarStyle::Plain;
        if matches!(self.open.last(), Some(Open::Object { key: None, .. })) {
            return self.key(text, plain, span);
        }
        let value = if plain { scalar::resolve(text) } else { Ok(Value::Text(text.to_owned())) };
        let value = value.unwrap_or_else(|message| {
            self.report(span, message);
            Value::Null
        });
        self.place(Node { span, value })
    }

    fn key(&mut self, text: &str, plain: bool, span: Span) -> ControlFlow<()> {
        if plain && text.is_empty() {
            self.report(span, "a key is missing before the `:`");
        }
        let mut first = None;
        if let Some(Open::Object { known, key, .. }) = self.open.last_mut() {
            first = known.insert(text.to_owned(), span);
            *key = Some((text.to_owned(), span));
        }
        if plain && text == "<<" {
            self.report(span, NO_ANCHORS);
        } else if plain && !text.is_empty() && !matches!(scalar::resolve(text), Ok(Value::Text(_))) {
            self.report(span, format!("a key must be text: write \"{text}\" in quotes"));
        }
        if let Some(first) = first {
            let (line, column) = (first.start.line, first.start.column);
            self.report(
                span,
                format!(
                    "the key `{text}` stands twice in this object, first at line {line}, column {column}"
                ),
            );
        }
        ControlFlow::Continue(())
    }

    /// Puts a finished value where it belongs.
    fn place(&mut self, node: Node) -> ControlFlow<()> {
        self.values += 1;
        if self.values > VALUE_LIMIT {
            self.report(node.span, format!("more than {VALUE_LIMIT} values"));
            return ControlFlow::Break(());
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { elements, .. }) => elements.push(node),
            Some(Open::Object { entries, key, .. }) => match key.take() {
                Some((key, key_span)) => entries.push(Entry { key, key_span, value: node }),
                // An alias in place of a key, reported already; its value follows.
                None => *key = Some((String::new(), node.span)),
            },
        }
        ControlFlow::Continue(())
    }

    /// The field that is being read.
    pub(super) fn path(&self) -> FieldPath {
        self.open
            .iter()
            .filter_map(|open| match open {
                Open::List { elements, .. } => Some(Segment::Index(elements.len())),
                Open::Object { key, .. } => key.as_ref().map(|(key, _)| Segment::Field(key.clone())),
            })
            .collect()
    }
}
