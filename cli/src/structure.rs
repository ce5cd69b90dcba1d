//! From a [`Node`] to the document's types, with more than one error at a time.
//!
//! Serde stops at the first thing that does not fit. To tell a user all of them in one go, what did not fit is taken out and the rest
//! tried again, until it fits or nothing is left.

use crate::node::{Entry, Node, Value};
use serde::de::DeserializeOwned;
use sluice_core::decode;
use sluice_core::problem::{FieldPath, Problem, Segment};

/// Nobody reads more at a time, and each costs a pass.
const LIMIT: usize = 50;

/// Reads a document as a `T`.
///
/// # Errors
/// Every field that does not fit the document's shape, in the order of the file.
pub fn decode<T: DeserializeOwned>(document: &Node) -> Result<T, Vec<Problem>> {
    let mut rest = document.clone();
    let mut removed: Vec<FieldPath> = Vec::new();
    let mut problems: Vec<Problem> = Vec::new();
    while problems.len() < LIMIT {
        let mut problem = match decode::from_json::<T>(rest.to_json().as_bytes()) {
            Ok(decoded) if problems.is_empty() => return Ok(decoded),
            Ok(_) => break,
            Err(problem) => problem,
        };
        let found = existing(&rest, problem.path.segments()).to_vec();
        let place = original_path(document, &rest, &found);
        problem.message = plain(problem.message);
        let missing = missing_field(&problem.message).map(str::to_owned);
        let beyond = problem.path.segments().get(found.len()..).unwrap_or_default();
        problem.path = place.segments().iter().chain(beyond).cloned().collect();
        // What was meant by a misspelled name is not missing.
        if let (Some(meant), Some((_, parents))) = (&problem.suggestion, place.segments().split_last()) {
            removed.push(parents.iter().cloned().collect::<FieldPath>().field(meant));
        }
        if !is_consequence(&problem.path, missing.as_deref(), &removed) {
            problems.push(problem);
        }
        match missing {
            // Without it nothing else could be told about the document.
            Some(field) if found.is_empty() && field == "version" => stand_in(&mut rest, field),
            _ if remove(&mut rest, &found) => removed.push(place),
            _ => break,
        }
    }
    problems.sort_by_key(|problem| document.locate(&problem.path, false).start);
    Err(problems)
}

/// As much of `path` as exists in `node`.
fn existing<'p>(node: &Node, path: &'p [Segment]) -> &'p [Segment] {
    let mut node = node;
    for (length, segment) in path.iter().enumerate() {
        match child(node, segment) {
            Some(next) => node = next,
            None => return path.get(..length).unwrap_or_default(),
        }
    }
    path
}

fn child<'n>(node: &'n Node, segment: &Segment) -> Option<&'n Node> {
    match segment {
        Segment::Field(key) => node.get(key),
        Segment::Index(position) => node.elements().get(*position),
    }
}

/// Where the thing at `path` of `rest`, from which elements have been removed, stands in the whole document. An element is known
/// again by its place in the file.
fn original_path(document: &Node, rest: &Node, path: &[Segment]) -> FieldPath {
    let (mut original, mut rest) = (document, rest);
    let mut result = FieldPath::root();
    for segment in path {
        let Some(next) = child(rest, segment) else { break };
        let found = match segment {
            Segment::Field(key) => {
                result = result.field(key);
                original.get(key)
            }
            Segment::Index(_) => {
                let position = original.elements().iter().position(|element| element.span == next.span);
                result = result.index(position.unwrap_or_default());
                original.elements().get(position.unwrap_or_default())
            }
        };
        let Some(found) = found else { break };
        (original, rest) = (found, next);
    }
    result
}

/// Serde speaks of its data model and of Rust's types, users of documents speak of lists, objects and ranges.
fn plain(message: String) -> String {
    const FOUND: [(&str, &str); 3] = [
        ("invalid type: map", "invalid type: an object"),
        ("invalid type: sequence", "invalid type: a list"),
        ("invalid type: null", "invalid type: nothing (null)"),
    ];
    const EXPECTED: [(&str, &str); 8] = [
        ("u8", "a whole number from 0 to 255"),
        ("u16", "a whole number from 0 to 65535"),
        ("u32", "a whole number from 0 to 4294967295"),
        ("u64", "a whole number, 0 or more"),
        ("usize", "a whole number, 0 or more"),
        ("f64", "a number"),
        ("a sequence", "a list"),
        ("a map", "an object"),
    ];
    let Some((found, expected)) = message.rsplit_once(", expected ") else { return message };
    let as_told = |table: &[(&str, &str)], text: &str| {
        table.iter().find(|(told, _)| *told == text).map(|(_, plain)| (*plain).to_owned())
    };
    let found = as_told(&FOUND, found).unwrap_or_else(|| found.to_owned());
    let expected = match expected.strip_prefix("struct ") {
        Some(_) => "an object".to_owned(),
        None => as_told(&EXPECTED, expected).unwrap_or_else(|| expected.to_owned()),
    };
    format!("{found}, expected {expected}")
}

/// The name in serde's "missing field `name`".
fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// Whether a problem may only be there because something that it is about has been taken out: a field that is missing now, a list
/// that is empty now.
fn is_consequence(path: &FieldPath, missing: Option<&str>, removed: &[FieldPath]) -> bool {
    match missing {
        Some(field) => removed.contains(&path.field(field)),
        None => removed.iter().any(|removed| {
            removed.segments().len() > path.segments().len()
                && removed.segments().starts_with(path.segments())
        }),
    }
}

/// Takes out the thing at `path`; false for the document itself.
fn remove(document: &mut Node, path: &[Segment]) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    let mut node = document;
    for segment in parents {
        let next = match (segment, &mut node.value) {
            (Segment::Field(key), Value::Object(entries)) => {
                entries.iter_mut().find(|entry| entry.key == *key).map(|entry| &mut entry.value)
            }
            (Segment::Index(position), Value::List(elements)) => elements.get_mut(*position),
            _ => None,
        };
        match next {
            Some(next) => node = next,
            None => return false,
        }
    }
    match (last, &mut node.value) {
        (Segment::Field(key), Value::Object(entries)) => {
            let before = entries.len();
            entries.retain(|entry| entry.key != *key);
            entries.len() < before
        }
        (Segment::Index(position), Value::List(elements)) if *position < elements.len() => {
            elements.remove(*position);
            true
        }
        _ => false,
    }
}

/// Puts a `1` in the place of a field that the document lacks.
fn stand_in(document: &mut Node, field: String) {
    let span = document.span;
    if let Value::Object(entries) = &mut document.value {
        let value = Node { span, value: Value::Number(1.into()) };
        entries.push(Entry { key: field, key_span: span, value });
    }
}

#[cfg(test)]
mod tests;
