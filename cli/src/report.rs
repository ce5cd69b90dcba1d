//! Findings, for people and for programs.

use crate::Streams;
use crate::check::{Checked, Needs};
use crate::compile::Finding;
use crate::source::Source;
use crate::text;
use serde_json::{Value, json};
use sluice_core::problem::FieldPath;
use std::io::{self, Write};

/// Prints the result for one file: problems (and warnings) to the error output, a line about a document that is fine to the output.
pub(crate) fn write_text(checked: &Checked, streams: &mut Streams<'_>) -> io::Result<()> {
    write_findings(&checked.source, &checked.findings, streams.output)?;
    let name = &checked.source.name;
    for warning in &checked.warnings {
        writeln!(streams.output, "{name}: warning: {warning}")?;
    }
    if let (Some(needs), true) = (&checked.needs, checked.findings.is_empty()) {
        writeln!(streams.output, "{name}: fine: {}", summary(needs, checked.module.as_deref()))?;
    }
    Ok(())
}

/// Prints each finding as `FILE:LINE:COLUMN: field: message` with the line that it is about.
pub(crate) fn write_findings(
    source: &Source,
    findings: &[Finding],
    output: &mut dyn Write,
) -> io::Result<()> {
    let text = String::from_utf8_lossy(&source.bytes);
    for Finding { span, problem } in findings {
        let (line, column) = (span.start.line, span.start.column);
        writeln!(output, "{}:{line}:{column}: {problem}", source.name)?;
        if let Some(excerpt) = text::excerpt(text.trim_start_matches('\u{feff}'), *span) {
            writeln!(output, "{excerpt}")?;
        }
    }
    Ok(())
}

fn summary(needs: &Needs, module: Option<&str>) -> String {
    let sections: Vec<String> = needs
        .sections
        .iter()
        .map(|(name, lists)| {
            let lists: Vec<String> = lists.iter().map(|(list, length)| format!("{list}: {length}")).collect();
            if lists.is_empty() { name.clone() } else { format!("{name} ({})", lists.join(", ")) }
        })
        .collect();
    let sections = if sections.is_empty() { "no section".to_owned() } else { sections.join(", ") };
    let module = match module {
        Some(module) => format!("the module `{module}` runs it"),
        None if needs.log => "needs sluice.wasm, since it counts finished requests".to_owned(),
        None => "sluice-headers.wasm is enough".to_owned(),
    };
    format!("{sections}; {} as JSON; {module}", size(needs.size))
}

/// A size for people.
pub(crate) fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// Prints the results for all files as one JSON object.
pub(crate) fn write_json(results: &[Checked], output: &mut dyn Write) -> io::Result<()> {
    let files: Vec<Value> = results.iter().map(file).collect();
    let report = json!({ "ok": results.iter().all(|checked| checked.findings.is_empty()), "files": files });
    writeln!(output, "{report:#}")
}

fn file(checked: &Checked) -> Value {
    let problems: Vec<Value> = checked.findings.iter().map(finding).collect();
    json!({
        "file": checked.source.name,
        "ok": checked.findings.is_empty(),
        "problems": problems,
        "warnings": checked.warnings,
        "document": checked.needs.as_ref().map(|needs| json!({
            "sections": needs.sections.iter().map(|(name, lists)| json!({
                "name": name,
                "lists": lists.iter().map(|(list, length)| (list.clone(), json!(length))).collect::<serde_json::Map<_, _>>(),
            })).collect::<Vec<_>>(),
            "bytes": needs.size,
            "needsLog": needs.log,
            "edition": needs.edition(),
        })),
    })
}

pub(crate) fn finding(finding: &Finding) -> Value {
    let Finding { span, problem } = finding;
    json!({
        "line": span.start.line,
        "column": span.start.column,
        "endLine": span.end.line,
        "endColumn": span.end.column,
        "path": if problem.path == FieldPath::root() { String::new() } else { problem.path.to_string() },
        "message": problem.message,
        "suggestion": problem.suggestion,
    })
}
