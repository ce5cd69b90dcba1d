//! Findings, for people and for programs.

use crate::Streams;
use crate::check::{Checked, Needs, Outcome};
use crate::compile::{Compiled, Finding, Severity, compile};
use crate::secrets::Secrets;
use crate::source::Source;
use crate::text;
use serde_json::{Value, json};
use sluice_core::decision::follow_up::Phase;
use sluice_core::document::problem::{FieldPath, quoted_list};
use std::collections::BTreeSet;
use std::io::{self, Write};

/// How many errors, and how many warnings, of a file are printed for people unless they ask for all.
pub const SHOWN: usize = 50;

/// The colours of words, for terminals.
#[derive(Clone, Copy)]
pub(crate) struct Palette {
    colours: bool,
}

/// How findings are printed.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    /// With colours.
    pub(crate) palette: Palette,
    /// All of them, not the first [`SHOWN`].
    pub(crate) all: bool,
}

/// The document of `source`, compiled. What is wrong with it goes to the error output, and there is none then; what may not be meant does, too.
pub(crate) fn compiled(source: &Source, streams: &mut Streams<'_>) -> io::Result<Option<Compiled>> {
    let compiled = compile(source);
    let findings = compiled.as_ref().map_or_else(Vec::as_slice, |compiled| &compiled.warnings);
    write_findings(source, findings, Manner::of_errors(streams), streams.errors)?;
    Ok(compiled.ok())
}

/// Prints the result for one file.
pub(crate) fn write_text(checked: &Checked, all: bool, streams: &mut Streams<'_>) -> io::Result<()> {
    let palette = Palette::new(streams.colours.output);
    let source = match &checked.outcome {
        Outcome::Read { source, findings, .. } => {
            write_findings(source, findings, Manner { palette, all }, streams.output)?;
            source
        }
        Outcome::Unread { file, error } => {
            return writeln!(streams.errors, "sluice: {file}: {error}");
        }
    };
    let name = &source.name;
    for warning in checked.remarks() {
        writeln!(streams.output, "{name}: {} {warning}", palette.warning("warning:"))?;
    }
    if let (Some(needs), true) = (checked.needs(), checked.is_fine()) {
        let summary = summary(needs, checked.module.as_deref());
        writeln!(streams.output, "{name}: {}: {summary}", palette.good("fine"))?;
    }
    Ok(())
}

/// Prints each finding as `FILE:LINE:COLUMN: field: message` with the line that it is about; warnings with the word before the field.
pub(crate) fn write_findings(
    source: &Source,
    findings: &[Finding],
    manner: Manner,
    output: &mut dyn Write,
) -> io::Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    let Manner { palette, all } = manner;
    let text = String::from_utf8_lossy(&source.bytes);
    let text = text.trim_start_matches('\u{feff}');
    let secrets = Secrets::of(&source.bytes);
    let (mut errors, mut warnings) = (0_usize, 0_usize);
    for finding @ Finding { severity, span, .. } in findings {
        let (count, label) = match severity {
            Severity::Error => (&mut errors, String::new()),
            Severity::Warning => (&mut warnings, format!("{} ", palette.warning("warning:"))),
        };
        *count += 1;
        if *count > SHOWN && !all {
            continue;
        }
        let (line, column) = (span.start.line, span.start.column);
        let place = palette.place(&format!("{}:{line}:{column}:", source.name));
        writeln!(output, "{place} {label}{}", plain(&secrets.redact(&finding.problem.to_string())))?;
        if let Some(excerpt) = text::excerpt(text, *span, &secrets) {
            writeln!(output, "{excerpt}")?;
        }
    }
    let more = |count: usize, one: &str| {
        let more = count.saturating_sub(SHOWN);
        (more > 0 && !all)
            .then(|| if more == 1 { format!("1 more {one}") } else { format!("{more} more {one}s") })
    };
    let more: Vec<String> = more(errors, "error").into_iter().chain(more(warnings, "warning")).collect();
    if !more.is_empty() {
        writeln!(output, "{}: … and {}; `sluice check --all` shows them", source.name, more.join(" and "))?;
    }
    Ok(())
}

/// No terminal shall do what a document says.
fn plain(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
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
        None => match needs.dearest() {
            Some((phase, path)) => {
                format!("needs {}.wasm, for {path} is told of {}", needs.edition(), phase.title())
            }
            None => format!("{}.wasm is enough", needs.edition()),
        },
    };
    let signatures = match needs.beyond_hosts.first() {
        Some((path, algorithm)) => format!("; {path} asks for `{algorithm}`, which no host verifies"),
        None => String::new(),
    };
    let clusters = match needs.clusters.as_slice() {
        [] => String::new(),
        [one] => format!("; calls the cluster `{}`", plain(one)),
        several => {
            format!("; calls the clusters {}", plain(&quoted_list(several.iter().map(String::as_str))))
        }
    };
    format!("{sections}; {} as JSON; {module}{signatures}{clusters}", size(needs.size))
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
pub(crate) fn write_json(results: &[Checked], strict: bool, output: &mut dyn Write) -> io::Result<()> {
    let files: Vec<Value> = results.iter().map(|checked| file(checked, strict)).collect();
    let report = json!({ "ok": results.iter().all(|checked| checked.passes(strict)), "files": files });
    writeln!(output, "{report:#}")
}

fn file(checked: &Checked, strict: bool) -> Value {
    let (source, findings) = match &checked.outcome {
        Outcome::Read { source, findings, .. } => (source, findings),
        Outcome::Unread { file, error } => {
            return json!({
                "file": file, "ok": false, "error": error, "problems": [], "warnings": [], "document": null,
            });
        }
    };
    let secrets = Secrets::of(&source.bytes);
    let of = |severity: Severity| {
        findings.iter().filter(move |found| found.severity == severity).map(|found| finding(found, &secrets))
    };
    let remarks = checked.remarks().iter().map(|message| {
        json!({
            "severity": "warning", "line": null, "column": null, "endLine": null, "endColumn": null,
            "path": "", "message": message, "suggestion": null,
        })
    });
    json!({
        "file": source.name,
        "ok": checked.passes(strict),
        "error": null,
        "problems": of(Severity::Error).collect::<Vec<_>>(),
        "warnings": of(Severity::Warning).chain(remarks).collect::<Vec<_>>(),
        "document": checked.needs().map(|needs| json!({
            "sections": needs.sections.iter().map(|(name, lists)| json!({
                "name": name,
                "lists": lists.iter().map(|(list, length)| (list.clone(), json!(length))).collect::<serde_json::Map<_, _>>(),
            })).collect::<Vec<_>>(),
            "bytes": needs.size,
            "needsLog": needs.phases.iter().any(|(phase, _)| *phase == Phase::End),
            "callbacks": needs.phases.iter().map(|(phase, _)| phase.export()).collect::<BTreeSet<_>>(),
            "beyondHosts": needs.beyond_hosts.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>(),
            "clusters": needs.clusters,
            "edition": needs.edition(),
        })),
    })
}

fn finding(finding: &Finding, secrets: &Secrets) -> Value {
    let Finding { severity, span, problem } = finding;
    let path = if problem.path == FieldPath::root() { String::new() } else { problem.path.to_string() };
    json!({
        "severity": match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        "line": span.start.line,
        "column": span.start.column,
        "endLine": span.end.line,
        "endColumn": span.end.column,
        "path": secrets.redact(&path),
        "message": secrets.redact(&problem.message),
        "suggestion": problem.suggestion,
    })
}

// === impl Manner ===

impl Manner {
    /// As commands do it that only need to say why they do nothing.
    pub(crate) fn of_errors(streams: &Streams<'_>) -> Self {
        Self { palette: Palette::new(streams.colours.errors), all: false }
    }
}

// === impl Palette ===

impl Palette {
    pub(crate) fn new(colours: bool) -> Self {
        Self { colours }
    }

    fn paint(self, style: anstyle::Style, text: &str) -> String {
        if self.colours { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    pub(crate) fn warning(self, text: &str) -> String {
        self.paint(anstyle::AnsiColor::Yellow.on_default().bold(), text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.paint(anstyle::AnsiColor::Green.on_default().bold(), text)
    }

    fn place(self, text: &str) -> String {
        self.paint(anstyle::Style::new().bold(), text)
    }
}
