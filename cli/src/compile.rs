//! From a file to a compiled document, or to everything that is wrong with it.

use crate::node::Node;
use crate::source::Source;
use crate::structure;
use crate::text::{Position, Span};
use crate::yaml;
use sluice_core::environment::UnixTime;
use sluice_core::problem::{FieldPath, Problem};
use sluice_core::variable::{Variable, VariableName};
use sluice_pipeline::{Document, Pipeline, Seeds};

/// Something that is wrong with a document, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
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
/// All that is wrong with it, in the order of the file. What fields refer to is looked at only when all have the right form.
pub fn compile(source: &Source) -> Result<Compiled, Vec<Finding>> {
    let text = std::str::from_utf8(&source.bytes)
        .map_err(|error| vec![not_text(&source.bytes, error.valid_up_to())])?;
    let node =
        yaml::read(text).map_err(|problems| problems.into_iter().map(unreadable).collect::<Vec<_>>())?;
    let document: Document = structure::decode(&node).map_err(|problems| located(&node, problems))?;
    // The seeds of a proxy are secret; here nobody attacks, and the same answer every time is worth more.
    let pipeline = Pipeline::from_document_at(&document, Seeds { local: 1, shared: 1 }, known_here, now())
        .map_err(|problems| located(&node, problems.iter().cloned().collect()))?;
    Ok(Compiled { json: node.to_json(), node, document, pipeline })
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
pub(crate) fn located(node: &Node, problems: Vec<Problem>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = problems
        .into_iter()
        .map(|problem| {
            let of_name = problem.message.starts_with("unknown field");
            Finding { span: node.locate(&problem.path, of_name), problem }
        })
        .collect();
    findings.sort_by_key(|finding| finding.span.start);
    findings
}

fn unreadable(unreadable: yaml::Unreadable) -> Finding {
    let problem = Problem { path: unreadable.path, message: unreadable.message, suggestion: None };
    Finding { span: unreadable.span, problem }
}

fn not_text(bytes: &[u8], valid: usize) -> Finding {
    let before = String::from_utf8_lossy(bytes.get(..valid).unwrap_or_default());
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Finding {
        span: Span::at(Position { line, column }),
        problem: Problem {
            path: FieldPath::root(),
            message: "not UTF-8: a document is text in UTF-8".to_owned(),
            suggestion: None,
        },
    }
}
