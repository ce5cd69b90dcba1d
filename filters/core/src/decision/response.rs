//! A response's headers as follow-ups see and change them.

use crate::http::header::{HeaderName, HeaderValue};
use crate::http::header_map::HeaderMap;

/// The headers of a response, with the changes that follow-ups have asked for so far: who comes later sees what came before.
#[derive(Debug)]
pub struct Response<'r> {
    status: u16,
    headers: &'r HeaderMap,
    changes: Vec<Changed>,
}

/// What is changed about the headers of one name.
#[derive(Debug)]
struct Changed {
    name: HeaderName,
    /// Whether those stay that the response came with.
    keeps: bool,
    /// What it is to have besides.
    values: Vec<HeaderValue>,
}

/// One step from the headers that a response came with to those that it is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// None of this name.
    Remove(HeaderName),
    /// This one in place of all of its name.
    Replace(HeaderName, HeaderValue),
    /// This one besides.
    Add(HeaderName, HeaderValue),
}

// === impl Response ===

impl<'r> Response<'r> {
    /// A response of this status that came with `headers`.
    pub const fn new(status: u16, headers: &'r HeaderMap) -> Self {
        Self { status, headers, changes: Vec::new() }
    }

    /// The status.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Every value of the header `name` (in lower case), in order.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s [u8]> {
        let changed = self.changes.iter().find(|changed| changed.name.as_str() == name);
        let kept = changed.is_none_or(|changed| changed.keeps).then(|| self.headers.all(name));
        let added = changed.into_iter().flat_map(|changed| &changed.values);
        kept.into_iter().flatten().chain(added.map(HeaderValue::as_bytes))
    }

    /// Whether it has a header `name` (in lower case).
    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Whether an item of the list `name` (RFC 9110 §5.6.1) is `item`, without regard to case.
    pub fn lists(&self, name: &str, item: &str) -> bool {
        let is_it = |listed: &[u8]| listed.trim_ascii().eq_ignore_ascii_case(item.as_bytes());
        self.all(name).any(|value| value.split(|byte| *byte == b',').any(is_it))
    }

    /// It is to have this one header of the name.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        let changed = self.change(name);
        (changed.keeps, changed.values) = (false, vec![value]);
    }

    /// It is to have this header besides.
    pub fn add(&mut self, name: HeaderName, value: HeaderValue) {
        self.change(name).values.push(value);
    }

    /// It is to have no header of the name.
    pub fn remove(&mut self, name: HeaderName) {
        let changed = self.change(name);
        (changed.keeps, changed.values) = (false, Vec::new());
    }

    fn change(&mut self, name: HeaderName) -> &mut Changed {
        let position = self.changes.iter().position(|changed| changed.name == name);
        let position = position.unwrap_or(self.changes.len());
        if position == self.changes.len() {
            self.changes.push(Changed { name, keeps: true, values: Vec::new() });
        }
        // Pushed if it was not there.
        #[allow(clippy::indexing_slicing, reason = "the position was found, or is that of the one pushed")]
        &mut self.changes[position]
    }

    /// What is to be done: only what changes something.
    pub fn into_edits(self) -> Vec<Edit> {
        let mut edits = Vec::new();
        for Changed { name, keeps, values } in self.changes {
            let mut present = self.headers.all(name.as_str());
            let (first, second) = (present.next(), present.next());
            drop(present);
            let mut values = values.into_iter();
            if !keeps && first.is_some() {
                match values.next() {
                    None => edits.push(Edit::Remove(name.clone())),
                    Some(value) if second.is_none() && first == Some(value.as_bytes()) => {}
                    Some(value) => edits.push(Edit::Replace(name.clone(), value)),
                }
            }
            edits.extend(values.map(|value| Edit::Add(name.clone(), value)));
        }
        edits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn name(name: &'static str) -> HeaderName {
        HeaderName::from_static(name)
    }

    fn value(value: &str) -> HeaderValue {
        HeaderValue::new(value.as_bytes()).unwrap()
    }

    #[test]
    fn only_what_changes_something_is_done() {
        type Change = fn(&mut Response<'_>);
        let cases: [(&str, Change, Vec<Edit>); 9] = [
            ("set what is absent", |r| r.set(name("x"), value("1")), vec![Edit::Add(name("x"), value("1"))]),
            ("set what is so already", |r| r.set(name("one"), value("a")), vec![]),
            (
                "set what is otherwise",
                |r| r.set(name("one"), value("b")),
                vec![Edit::Replace(name("one"), value("b"))],
            ),
            (
                "set what stands twice",
                |r| r.set(name("two"), value("a")),
                vec![Edit::Replace(name("two"), value("a"))],
            ),
            ("remove what is absent", |r| r.remove(name("x")), vec![]),
            ("remove what stands twice", |r| r.remove(name("two")), vec![Edit::Remove(name("two"))]),
            ("add", |r| r.add(name("one"), value("a")), vec![Edit::Add(name("one"), value("a"))]),
            (
                "remove, then add twice",
                |r| {
                    r.remove(name("one"));
                    r.add(name("one"), value("b"));
                    r.add(name("one"), value("c"));
                },
                vec![Edit::Replace(name("one"), value("b")), Edit::Add(name("one"), value("c"))],
            ),
            (
                "add, then set",
                |r| {
                    r.add(name("one"), value("b"));
                    r.set(name("one"), value("c"));
                },
                vec![Edit::Replace(name("one"), value("c"))],
            ),
        ];
        let headers = HeaderMap::from_pairs([("one", "a"), ("two", "a"), ("two", "b")]);
        for (what, change, expected) in cases {
            let mut response = Response::new(200, &headers);
            change(&mut response);
            assert_eq!(response.into_edits(), expected, "{what}");
        }
    }

    #[test]
    fn a_change_shows_at_once() {
        let headers = HeaderMap::from_pairs([("vary", "Accept, accept-encoding"), ("etag", "1")]);
        let mut response = Response::new(200, &headers);
        assert!(response.lists("vary", "Accept-Encoding") && !response.lists("vary", "Origin"));
        response.add(name("vary"), value("Origin"));
        assert!(response.lists("vary", "origin") && response.lists("vary", "accept"));
        assert_eq!(response.all("vary").count(), 2);
        response.remove(name("etag"));
        assert!(!response.has("etag"));
        response.set(name("vary"), value("*"));
        assert_eq!(response.all("vary").collect::<Vec<_>>(), [b"*"]);
    }
}
