//! From a file to a compiled document, or to everything that is wrong with it.

use crate::foreign;
use crate::node::Node;
use crate::source::Source;
use crate::structure::{self, Misfits};
use crate::text::{Position, Span};
use crate::yaml::{self, Outline};
use sluice_core::decision::environment::UnixTime;
use sluice_core::document::problem::{FieldPath, Problem, Problems, Segment};
use sluice_core::document::variable::{Variable, VariableName};
use sluice_pipeline::{Document, Pipeline, Seeds};
use std::collections::HashSet;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// A proxy refuses the document.
    Error,
    /// A proxy takes it; it may not do what is meant.
    Warning,
}

/// Something that is wrong with a document, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where to look.
    pub span: Span,
    /// The field, what was found, what is allowed.
    pub problem: Problem,
}

/// A document that is fine.
pub struct Compiled {
    /// As it stands in its file.
    pub node: Node,
    /// The text that a proxy gets.
    pub json: String,
    /// As the policies read it.
    pub document: Document,
    /// Ready to decide.
    pub pipeline: Pipeline,
    /// What is allowed and may yet not be meant, in the order of the file.
    pub warnings: Vec<Finding>,
}

impl Compiled {
    /// The variables that the document refers to and that are not set here: only the proxy knows them.
    pub fn unknown_variables(&self) -> Vec<String> {
        let names = self.document.variables().into_iter().map(VariableName::as_str);
        names.filter(|name| matches!(known_here(name), Variable::Unknown)).map(str::to_owned).collect()
    }
}

/// Reads and compiles a document just as the module in the proxy does.
///
/// # Errors
/// All that is wrong with it, in the order of the file, and the warnings that there are so far. What fields refer to is looked at as
/// far as the fields have the right form.
pub fn compile(source: &Source) -> Result<Compiled, Vec<Finding>> {
    let text = std::str::from_utf8(&source.bytes)
        .map_err(|error| vec![not_text(&source.bytes, error.valid_up_to())])?;
    let Outline { node, problems, broken_off, .. } = yaml::outline(text);
    if broken_off.is_some() {
        return Err(problems.into_iter().map(unreadable).collect());
    }
    if let Some(problem) = foreign::other_document(&node) {
        return Err(located(&node, vec![problem], Vec::new()));
    }
    if !problems.is_empty() {
        return Err(beside(&node, problems));
    }
    let document: Document = structure::decode(&node).map_err(|misfits| all(&node, misfits))?;
    let pipeline = of_document(&document).map_err(|mut problems| {
        let warnings = problems.take_warnings();
        located(&node, problems.iter().cloned().collect(), warnings)
    })?;
    let warnings = located(&node, Vec::new(), pipeline.warnings().to_vec());
    Ok(Compiled { json: node.to_json(), node, document, pipeline, warnings })
}

/// What can't be read as it stands, and what else is wrong: nothing within the former.
fn beside(node: &Node, problems: Vec<yaml::Unreadable>) -> Vec<Finding> {
    let mut findings = match structure::decode::<Document>(&node.without_repeated()) {
        Ok(_) => Vec::new(),
        Err(misfits) => located(node, foreign::explained(misfits.problems), Vec::new()),
    };
    findings.retain(|finding| {
        let segments = finding.problem.path.segments();
        problems.iter().all(|other| {
            !segments.starts_with(other.path.segments()) && !other.path.segments().starts_with(segments)
        })
    });
    findings.extend(problems.into_iter().map(unreadable));
    findings.sort_by_key(|finding| finding.span.start);
    findings
}

/// What does not fit the document's shape, and what else is wrong with sections that all fits in. A section that others refer to is not
/// left out in part: they might refer to what is missing.
fn all(node: &Node, misfits: Misfits<Document>) -> Vec<Finding> {
    let Misfits { problems, rest, removed } = misfits;
    let mut errors = foreign::explained(problems);
    let mut warnings = Vec::new();
    let section = |path: &FieldPath| match path.segments().first() {
        Some(Segment::Field(name)) => name.clone(),
        _ => String::new(),
    };
    let touched: HashSet<String> = removed.iter().map(section).collect();
    let is_referred_to = |path: &FieldPath| match path.segments() {
        [Segment::Field(section), rest @ ..] => match section.as_str() {
            "client" | "definitions" | "authn" => true,
            "authz" => !matches!(rest, [Segment::Field(list), Segment::Index(_), ..] if list == "rules"),
            _ => false,
        },
        _ => true,
    };
    if let Some(rest) = rest.filter(|_| !removed.iter().any(is_referred_to)) {
        let mut found = match of_document(&rest) {
            Ok(pipeline) => (Vec::new(), pipeline.warnings().to_vec()),
            Err(mut problems) => {
                let warnings = problems.take_warnings();
                (problems.iter().cloned().collect(), warnings)
            }
        };
        let untouched = |problem: &Problem| !touched.contains(&section(&problem.path));
        found.0.retain(untouched);
        found.1.retain(untouched);
        errors.append(&mut found.0);
        warnings = found.1;
    }
    located(node, errors, warnings)
}

/// The seeds of a proxy are secret; here nobody attacks, and the same answer every time is worth more.
fn of_document(document: &Document) -> Result<Pipeline, Problems> {
    Pipeline::from_document_at(document, Seeds { local: 1, shared: 1 }, known_here, now())
}

/// By which keys have expired.
fn now() -> Option<UnixTime> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok().map(UnixTime::from_nanos)
}

/// A variable of the proxy's: its value may be given to the command too, as to see what `explain` says to a token.
fn known_here(name: &str) -> Variable {
    std::env::var(name).map_or(Variable::Unknown, Variable::Is)
}

/// Finds out where problems stand.
pub(crate) fn located(node: &Node, errors: Vec<Problem>, warnings: Vec<Problem>) -> Vec<Finding> {
    let found = |severity| {
        move |problem: Problem| {
            let of_name = problem.message.starts_with("unknown field");
            Finding { severity, span: node.locate(&problem.path, of_name), problem }
        }
    };
    let mut findings: Vec<Finding> = errors.into_iter().map(found(Severity::Error)).collect();
    findings.extend(warnings.into_iter().map(found(Severity::Warning)));
    findings.sort_by_key(|finding| finding.span.start);
    findings
}

fn unreadable(unreadable: yaml::Unreadable) -> Finding {
    let problem = Problem { path: unreadable.path, message: unreadable.message, suggestion: None };
    Finding { severity: Severity::Error, span: unreadable.span, problem }
}

fn not_text(bytes: &[u8], valid: usize) -> Finding {
    let before = String::from_utf8_lossy(bytes.get(..valid).unwrap_or_default());
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Finding {
        severity: Severity::Error,
        span: Span::at(Position { line, column }),
        problem: Problem {
            path: FieldPath::root(),
            message: "not UTF-8: a document is text in UTF-8".to_owned(),
            suggestion: None,
        },
    }
}
