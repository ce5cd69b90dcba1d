//! From a [`Node`] to the document's types, with more than one error at a time.
//!
//! Serde stops at the first value that does not fit, in each object. To tell a user all of them in one go, what did not fit is taken
//! out and the rest tried again, until it fits or nothing is left. A number where text is wanted is put right instead: nothing else is
//! to be lost for its quotes.

use crate::node::{Entry, Node, Value};
use serde::de::DeserializeOwned;
use sluice_core::document::decode;
use sluice_core::document::problem::{FieldPath, Problem, Segment};
use std::cmp::Ordering;
use std::collections::HashSet;

/// How often the rest is tried again: nobody has so many wrong values in one object.
const PASSES: usize = 200;

/// What keeps a document from being read, and what could be read all the same.
#[derive(Debug)]
pub struct Misfits<T> {
    /// Every field that does not fit the document's shape, in the order of the file.
    pub problems: Vec<Problem>,
    /// The document without what did not fit.
    pub rest: Option<T>,
    /// What is not in it.
    pub removed: Vec<FieldPath>,
}

/// Reads a document as a `T`.
///
/// # Errors
/// What does not fit.
pub fn decode<T: DeserializeOwned>(document: &Node) -> Result<T, Misfits<T>> {
    let json = document.to_json();
    // The very words of the module, which stops at the first problem.
    let first = match decode::from_json::<T>(json.as_bytes()) {
        Ok(read) => return Ok(read),
        Err(first) => first,
    };
    let mut pass = Pass { document, rest: document.clone(), removed: Vec::new(), problems: Vec::new() };
    let mut read = None;
    for _ in 0..PASSES {
        match decode::all_from_json::<T>(pass.rest.to_json().as_bytes()) {
            Ok(rest) => {
                read = Some(rest);
                break;
            }
            Err(misfits) => {
                if !pass.goes_on(misfits) {
                    break;
                }
            }
        }
    }
    let Pass { removed, mut problems, .. } = pass;
    if problems.is_empty() {
        problems.push(first);
    }
    // What is wrong with text that should stand in quotes may be different once it does.
    let unquoted: HashSet<FieldPath> =
        problems.iter().filter(|problem| is_unquoted(problem)).map(|problem| problem.path.clone()).collect();
    problems.retain(|problem| is_unquoted(problem) || !unquoted.contains(&problem.path));
    problems.sort_by_key(|problem| document.locate(&problem.path, false).start);
    Err(Misfits { problems, rest: read, removed })
}

/// Whether a number, `true` or `false` stands where text is wanted.
fn is_unquoted(problem: &Problem) -> bool {
    problem.message.ends_with("; put it in quotes")
}

/// A document that is tried again and again.
struct Pass<'n> {
    document: &'n Node,
    /// Without what did not fit so far.
    rest: Node,
    removed: Vec<FieldPath>,
    problems: Vec<Problem>,
}

/// Something that does not fit: what is wrong with it in words of the whole document, and where it stands in the rest.
struct Misfit {
    problem: Problem,
    place: FieldPath,
    found: Vec<Segment>,
    missing: Option<String>,
}

impl Pass<'_> {
    /// Takes in what did not fit, and puts the rest in order for another try; false if that is not possible.
    fn goes_on(&mut self, misfits: Vec<Problem>) -> bool {
        let mut misfits: Vec<Misfit> = misfits.into_iter().map(|problem| self.misfit(problem)).collect();
        for misfit in &misfits {
            // What was meant by a misspelt name is not missing.
            if let (Some(meant), Some((_, parents))) =
                (&misfit.problem.suggestion, misfit.place.segments().split_last())
            {
                self.removed.push(parents.iter().cloned().collect::<FieldPath>().field(meant));
            }
        }
        // Something is wrong within these, or was.
        let around: HashSet<&[Segment]> = self
            .removed
            .iter()
            .chain(misfits.iter().map(|misfit| &misfit.place))
            .flat_map(|path| (0..path.segments().len()).filter_map(|length| path.segments().get(..length)))
            .collect();
        let removed: HashSet<&FieldPath> = self.removed.iter().collect();
        // Whether a problem may only be there because something that it is about is out of the way: a field that is missing, a list
        // that is empty.
        let follows = |misfit: &Misfit| match &misfit.missing {
            Some(field) => removed.contains(&misfit.problem.path.field(field)),
            None => around.contains(misfit.problem.path.segments()),
        };
        let consequences: Vec<bool> = misfits.iter().map(follows).collect();
        // What follows from something else may be right once that is out of the way.
        if consequences.iter().any(|follows| !follows) {
            let mut consequences = consequences.iter();
            misfits.retain(|_| consequences.next() == Some(&false));
            self.problems.extend(misfits.iter().map(|misfit| misfit.problem.clone()));
        }
        // Those behind first, so that places stay right.
        misfits.sort_by(|left, right| backwards(&left.found, &right.found));
        let mut changed = false;
        for Misfit { problem, place, found, missing } in misfits {
            changed |= match missing {
                // Without it nothing else could be told about the document.
                Some(field) if found.is_empty() && field == "version" => stand_in(&mut self.rest, field),
                _ if is_unquoted(&problem) => quote(&mut self.rest, &found),
                _ => {
                    let removed = remove(&mut self.rest, &found);
                    self.removed.push(place);
                    removed
                }
            };
        }
        changed
    }

    fn misfit(&self, mut problem: Problem) -> Misfit {
        let found = existing(&self.rest, problem.path.segments()).to_vec();
        let place = original_path(self.document, &self.rest, &found);
        let beyond = problem.path.segments().get(found.len()..).unwrap_or_default();
        problem.path = place.segments().iter().chain(beyond).cloned().collect();
        let missing = missing_field(&problem.message).map(str::to_owned);
        Misfit { problem, place, found, missing }
    }
}

/// Of two places in a document the one that is to be changed first.
fn backwards(left: &[Segment], right: &[Segment]) -> Ordering {
    for (left, right) in left.iter().zip(right) {
        let order = match (left, right) {
            (Segment::Index(left), Segment::Index(right)) => right.cmp(left),
            (Segment::Field(left), Segment::Field(right)) => right.cmp(left),
            (Segment::Field(_), Segment::Index(_)) => Ordering::Less,
            (Segment::Index(_), Segment::Field(_)) => Ordering::Greater,
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    right.len().cmp(&left.len())
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
                // Elements stand in the order of the file.
                let elements = original.elements();
                let position = elements.partition_point(|element| element.span.start < next.span.start);
                result = result.index(position);
                elements.get(position)
            }
        };
        let Some(found) = found else { break };
        (original, rest) = (found, next);
    }
    result
}

/// The name in serde's "missing field `name`".
fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// Makes text of the thing at `path`, as if it stood in quotes.
fn quote(document: &mut Node, path: &[Segment]) -> bool {
    let Some(node) = at(document, path) else { return false };
    let text = match &node.value {
        Value::Number(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        _ => return false,
    };
    node.value = Value::Text(text);
    true
}

fn at<'n>(document: &'n mut Node, path: &[Segment]) -> Option<&'n mut Node> {
    let mut node = document;
    for segment in path {
        node = match (segment, &mut node.value) {
            (Segment::Field(key), Value::Object(entries)) => {
                entries.iter_mut().find(|entry| entry.key == *key).map(|entry| &mut entry.value)?
            }
            (Segment::Index(position), Value::List(elements)) => elements.get_mut(*position)?,
            _ => return None,
        };
    }
    Some(node)
}

/// Takes out the thing at `path`; false for the document itself.
fn remove(document: &mut Node, path: &[Segment]) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    let Some(node) = at(document, parents) else { return false };
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
fn stand_in(document: &mut Node, field: String) -> bool {
    let span = document.span;
    let Value::Object(entries) = &mut document.value else { return false };
    let value = Node { span, value: Value::Number(1.into()) };
    entries.push(Entry { key: field, key_span: span, value });
    true
}

#[cfg(test)]
mod tests;
