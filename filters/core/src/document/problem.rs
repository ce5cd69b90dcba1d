//! Errors of a document: each says which field, what was found, and what would be right.

use std::fmt;

/// Where a field stands in the document, such as `authn.rules[2].match.paths[0]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldPath {
    segments: Vec<Segment>,
    untold: bool,
}

/// One step of a [`FieldPath`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// The field of an object, by name.
    Field(String),
    /// The element of a list, from 0.
    Index(usize),
}

impl FieldPath {
    /// The document itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// A path of which nothing will be told, and so are all within it: for a document in which nothing is wrong. It takes no memory.
    pub fn untold() -> Self {
        Self { segments: Vec::new(), untold: true }
    }

    // Called for every field of every type while the document is compiled, and never while requests are served: once in the module, not
    // once for each caller. So are the others that are never inlined.

    /// The field `name` of this object.
    #[inline(never)]
    pub fn field(&self, name: &str) -> Self {
        if self.untold {
            return Self::untold();
        }
        self.then(Segment::Field(name.to_owned()))
    }

    /// The element at `position` (from 0) of this list.
    #[inline(never)]
    pub fn index(&self, position: usize) -> Self {
        self.then(Segment::Index(position))
    }

    /// The steps from the document's root.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn then(&self, segment: Segment) -> Self {
        if self.untold {
            return Self::untold();
        }
        let mut segments = self.segments.clone();
        segments.push(segment);
        Self { segments, untold: false }
    }
}

impl FromIterator<Segment> for FieldPath {
    fn from_iter<I: IntoIterator<Item = Segment>>(segments: I) -> Self {
        Self { segments: segments.into_iter().collect(), untold: false }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segments.is_empty() {
            return out.write_str("the document");
        }
        for (position, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(out, "[{index}]")?,
                // A name that holds a dot or a bracket (a header map may have any) is quoted, so that the path stays readable one way.
                Segment::Field(name) if name.contains(['.', '[', ']', ' ', '"']) => {
                    write!(out, "[{name:?}]")?
                }
                Segment::Field(name) if position == 0 => out.write_str(name)?,
                Segment::Field(name) => write!(out, ".{name}")?,
            }
        }
        Ok(())
    }
}

/// One thing that is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field that is wrong.
    pub path: FieldPath,
    /// What was found and what is allowed: a sentence that a person can act on.
    pub message: String,
    /// The nearest right name, where a name was wrong.
    pub suggestion: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.path, self.message)?;
        if let Some(suggestion) = &self.suggestion {
            write!(out, "; did you mean `{suggestion}`?")?;
        }
        Ok(())
    }
}

/// How many names a message lists.
const MOST_LISTED: usize = 20;
/// How many problems get a suggestion.
const MOST_SUGGESTIONS: usize = 100;

/// All that was found wrong with a document, and apart from that what may not be meant as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Problems {
    /// Notes that the field at `path` is wrong.
    pub fn report(&mut self, path: &FieldPath, message: impl Into<String>) {
        self.add(path, message.into(), None);
    }

    /// Notes that the field at `path` is allowed, but may not do what is meant: the document is served nevertheless.
    pub fn warn(&mut self, path: &FieldPath, message: impl Into<String>) {
        self.add_warning(path, message.into());
    }

    #[cold]
    #[inline(never)]
    fn add(&mut self, path: &FieldPath, message: String, suggestion: Option<String>) {
        self.list.push(Problem { path: path.clone(), message, suggestion });
    }

    #[cold]
    #[inline(never)]
    fn add_warning(&mut self, path: &FieldPath, message: String) {
        self.warnings.push(Problem { path: path.clone(), message, suggestion: None });
    }

    /// Notes a reference to a name that nothing defines. `kind` says what it should have named: "a role", "a provider".
    pub fn unknown_name<'n>(
        &mut self,
        path: &FieldPath,
        kind: &str,
        found: &str,
        known: impl IntoIterator<Item = &'n str>,
    ) {
        self.add_unknown_name(path, kind, found, &known.into_iter().collect::<Vec<&str>>());
    }

    #[cold]
    #[inline(never)]
    fn add_unknown_name(&mut self, path: &FieldPath, kind: &str, found: &str, known: &[&str]) {
        let listed = known.get(..MOST_LISTED).unwrap_or(known);
        let message = if known.len() > listed.len() {
            format!(
                "`{found}` is not {kind} of this document; there are {}, such as {}",
                known.len(),
                quoted_list(listed.iter().copied())
            )
        } else if known.is_empty() {
            format!("`{found}` is not {kind} of this document, which defines none")
        } else {
            format!(
                "`{found}` is not {kind} of this document; there are {}",
                quoted_list(known.iter().copied())
            )
        };
        // Whoever has so many problems has no use for one more suggestion, each of which costs a look at all names.
        let suggestion =
            if self.list.len() < MOST_SUGGESTIONS { nearest(found, known.iter().copied()) } else { None };
        self.add(path, message, suggestion.map(str::to_owned));
    }

    /// Adds a problem made elsewhere.
    pub fn push(&mut self, problem: Problem) {
        self.list.push(problem);
    }

    /// Adds what was found elsewhere.
    pub fn append(&mut self, others: Self) {
        self.list.extend(others.list);
        self.warnings.extend(others.warnings);
    }

    /// Whether nothing was found wrong; there may be [warnings](Self::warnings).
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What is allowed and may yet not be meant, in the order in which it was found.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Takes the warnings out.
    pub fn take_warnings(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.warnings)
    }

    /// The problems, in the order in which they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self { list: vec![problem], warnings: Vec::new() }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.list.iter().enumerate() {
            if position > 0 {
                out.write_str("\n")?;
            }
            write!(out, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The known name that was probably meant, if one is near.
pub fn nearest<'n>(found: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    nearest_of(found, &mut known.into_iter())
}

#[cold]
#[inline(never)]
fn nearest_of<'n>(found: &str, known: &mut dyn Iterator<Item = &'n str>) -> Option<&'n str> {
    let found = found.to_ascii_lowercase();
    known
        .map(|name| (strsim::jaro_winkler(&found, &name.to_ascii_lowercase()), name))
        .filter(|(similarity, _)| *similarity >= 0.8)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| name)
}

/// `a`, `b` and `c`, each in backquotes.
pub fn quoted_list<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    quoted(&mut names.into_iter())
}

#[cold]
#[inline(never)]
fn quoted(names: &mut dyn Iterator<Item = &str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests;
