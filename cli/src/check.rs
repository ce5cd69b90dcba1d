//! `sluice check`: what is wrong with documents, and what a document needs that is fine.

use crate::arguments::CheckArguments;
use crate::compile::{Compiled, Finding, Severity, compile, located};
use crate::failure::Failure;
use crate::report;
use crate::source::{Source, read_file};
use crate::{Status, Streams};
use sluice_core::decision::follow_up::{Phase, Phases};
use sluice_core::document::problem::{FieldPath, Problem, quoted_list};
use sluice_metadata::Metadata;
use std::path::Path;

/// What is close to the limit of `kubectl apply`, with what Kubernetes adds.
const SIZE_WARNING: usize = 200 << 10;
/// `kubectl apply` keeps a copy of the resource in an annotation; all annotations of an object take 256 KiB (Kubernetes:
/// TotalAnnotationSizeLimitB).
const ANNOTATIONS: usize = 256 << 10;
/// What etcd takes in one write unless told otherwise (`--max-request-bytes`).
const STORE: usize = 3 << 19;

/// Fields that every module accepts.
const COMMON: [&str; 3] = ["version", "client", "definitions"];

/// The modules that accept all sections, the cheapest first, with the phases of requests that they are told of.
pub const EDITIONS: [(&str, Phases); 4] = [
    ("sluice-requests", Phases::NONE),
    ("sluice-headers", Phases::of(&[Phase::Response])),
    ("sluice", Phases::of(&[Phase::Response, Phase::End])),
    ("sluice-bodies", Phases::ALL),
];

/// The result for one file.
pub struct Checked {
    /// What came of it.
    pub outcome: Outcome,
    /// The module that was asked about; it runs the document if nothing is wrong.
    pub module: Option<String>,
}

/// What came of a file.
pub enum Outcome {
    /// It was read.
    Read {
        /// The file.
        source: Source,
        /// What is wrong with it, and what may not be meant.
        findings: Vec<Finding>,
        /// What is allowed and may yet be trouble, of the document as a whole.
        remarks: Vec<String>,
        /// What the document has and needs, where it compiles.
        needs: Option<Needs>,
    },
    /// It could not be read.
    Unread {
        /// Its name.
        file: String,
        /// Why.
        error: String,
    },
}

/// What a document has and needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Its sections in the order of the file, each with the lists in it and their lengths.
    pub sections: Vec<(String, Vec<(String, usize)>)>,
    /// Its size as JSON, in bytes.
    pub size: usize,
    /// The phases of requests that the module must be told of, each with the field that asks for it.
    pub phases: Vec<(Phase, FieldPath)>,
    /// The fields that ask for signatures which no host verifies, and what they ask for.
    pub beyond_hosts: Vec<(FieldPath, &'static str)>,
    /// The clusters that it calls.
    pub clusters: Vec<String>,
}

/// Runs the command. Every file gets its result, also where others can't be read.
///
/// # Errors
/// When the module can't be read.
pub fn run(arguments: &CheckArguments, streams: &mut Streams<'_>) -> Result<Status, Failure> {
    let module = arguments.module.as_deref().map(read_module).transpose()?;
    let mut results = Vec::new();
    for file in &arguments.files {
        results.push(match Source::read(file, streams.input) {
            Ok(source) => check(source, module.as_ref()),
            Err(failure) => Checked::unread(file, &failure),
        });
    }
    if arguments.json {
        report::write_json(&results, arguments.strict, streams.output)?;
    } else {
        for checked in &results {
            report::write_text(checked, arguments.all, streams)?;
        }
    }
    Ok(if results.iter().any(|checked| matches!(checked.outcome, Outcome::Unread { .. })) {
        Status::Failed
    } else if results.iter().all(|checked| checked.passes(arguments.strict)) {
        Status::Fine
    } else {
        Status::Wrong
    })
}

/// Reads what a module says about itself.
///
/// # Errors
/// When it can't be read, or says nothing.
pub fn read_module(path: &Path) -> Result<Metadata, Failure> {
    let bytes = read_file(path)?;
    if !bytes.starts_with(b"\0asm") {
        let name = path.display();
        return Err(Failure::new(format!(
            "{name} is not a WebAssembly module: `--module` takes a `.wasm` made by `make build`"
        )));
    }
    Metadata::of(&bytes).map_err(|error| {
        Failure::new(format!("{} {}", path.display(), error.to_string().replace(char::is_control, " ")))
    })
}

/// Checks one document, by itself and for `module`.
pub fn check(source: Source, module: Option<&Metadata>) -> Checked {
    let edition = module.map(|module| module.edition.clone());
    let outcome = match compile(&source) {
        Ok(mut compiled) => {
            let needs = Needs::of(&compiled);
            let mut findings = std::mem::take(&mut compiled.warnings);
            findings.extend(module.map(|module| misfits(&compiled, module)).unwrap_or_default());
            findings.sort_by_key(|finding| finding.span.start);
            let remarks = remarks(&needs, module);
            Outcome::Read { source, findings, remarks, needs: Some(needs) }
        }
        Err(findings) => Outcome::Read { source, findings, remarks: Vec::new(), needs: None },
    };
    Checked { outcome, module: edition }
}

impl Checked {
    fn unread(file: &Path, failure: &Failure) -> Self {
        let name = if file == Path::new("-") { "stdin".to_owned() } else { file.display().to_string() };
        let error = failure.to_string();
        // What reads a file says which.
        let known = [format!("{name}: "), "standard input: ".to_owned()];
        let error = known.iter().find_map(|known| error.strip_prefix(known)).unwrap_or(&error).to_owned();
        Self { outcome: Outcome::Unread { file: name, error }, module: None }
    }

    /// Whether a proxy takes the document.
    pub fn is_fine(&self) -> bool {
        match &self.outcome {
            Outcome::Read { findings, .. } => {
                findings.iter().all(|finding| finding.severity == Severity::Warning)
            }
            Outcome::Unread { .. } => false,
        }
    }

    /// Whether the check is passed; no warning passes where `strict`.
    pub fn passes(&self, strict: bool) -> bool {
        match &self.outcome {
            Outcome::Read { findings, remarks, .. } if strict => findings.is_empty() && remarks.is_empty(),
            _ => self.is_fine(),
        }
    }

    /// What is allowed and may yet be trouble, of the document as a whole.
    pub fn remarks(&self) -> &[String] {
        match &self.outcome {
            Outcome::Read { remarks, .. } => remarks,
            Outcome::Unread { .. } => &[],
        }
    }

    /// What the document has and needs, where it compiles.
    pub fn needs(&self) -> Option<&Needs> {
        match &self.outcome {
            Outcome::Read { needs, .. } => needs.as_ref(),
            Outcome::Unread { .. } => None,
        }
    }
}

impl Needs {
    /// Looks at a document.
    pub fn of(compiled: &Compiled) -> Self {
        let lists = |node: &crate::node::Node| {
            let of_objects = |node: &crate::node::Node| {
                !node.entries().is_empty()
                    && node
                        .entries()
                        .iter()
                        .all(|entry| matches!(entry.value.value, crate::node::Value::Object(_)))
            };
            let counted = node.entries().iter().filter_map(|entry| {
                let list = &entry.value;
                let length = if of_objects(list) { list.entries().len() } else { list.elements().len() };
                (length > 0).then(|| (entry.key.clone(), length))
            });
            counted.collect()
        };
        let sections = compiled.node.entries().iter().filter(|entry| entry.key != "version");
        Self {
            sections: sections.map(|entry| (entry.key.clone(), lists(&entry.value))).collect(),
            size: compiled.json.len(),
            phases: compiled.pipeline.needs().to_vec(),
            beyond_hosts: compiled.document.beyond_hosts(),
            clusters: compiled.pipeline.clusters().iter().map(ToString::to_string).collect(),
        }
    }

    /// The cheapest of the whole modules that can run it.
    pub fn edition(&self) -> &'static str {
        let needed = self.phases.iter().fold(Phases::NONE, |all, (phase, _)| all.and(Phases::of(&[*phase])));
        edition_with(needed)
    }

    /// What needs a dearer module than the cheapest one, if anything does.
    pub fn dearest(&self) -> Option<&(Phase, FieldPath)> {
        let dear = |(phase, _): &&(Phase, FieldPath)| edition_with(Phases::of(&[*phase])) == self.edition();
        self.phases.iter().find(dear).filter(|_| self.edition() != EDITIONS[0].0)
    }
}

/// The cheapest of the whole modules that is told of these phases.
fn edition_with(needed: Phases) -> &'static str {
    let found = EDITIONS.iter().find(|(_, told)| told.has_all(needed));
    found.map_or(EDITIONS[EDITIONS.len() - 1].0, |(name, _)| name)
}

/// What keeps a document from running in a module.
pub fn misfits(compiled: &Compiled, module: &Metadata) -> Vec<Finding> {
    let edition = &module.edition;
    let mut problems = Vec::new();
    let names = compiled.node.entries().iter().map(|entry| entry.key.as_str());
    for name in
        names.filter(|name| !COMMON.contains(name) && !module.sections.iter().any(|known| known == name))
    {
        let accepts = if module.sections.is_empty() {
            "no section at all".to_owned()
        } else {
            quoted_list(module.sections.iter().map(String::as_str))
        };
        let message = format!(
            "the module `{edition}` does not accept this section; it accepts {accepts}; `sluice.wasm` accepts all"
        );
        problems.push(Problem { path: FieldPath::root().field(name), message, suggestion: None });
    }
    let missing = compiled.pipeline.needs().iter().filter(|(phase, _)| !module.has_callback(phase.export()));
    for (phase, path) in missing.filter(|_| problems.is_empty()).collect::<Vec<_>>() {
        let message = format!(
            "needs a module that is told of {}; `{edition}` does not export {}, `{}.wasm` does",
            phase.title(),
            phase.export(),
            edition_with(Phases::of(&[*phase]))
        );
        problems.push(Problem { path: path.clone(), message, suggestion: None });
    }
    if !module.own_signatures && problems.is_empty() {
        for (path, algorithm) in compiled.document.beyond_hosts() {
            let message = format!(
                "no host verifies `{algorithm}`, and the module `{edition}` does not by itself; `{}.wasm` does",
                Needs::of(compiled).edition()
            );
            problems.push(Problem { path, message, suggestion: None });
        }
    }
    located(&compiled.node, problems, Vec::new())
}

/// What will be trouble with so many bytes of JSON in a cluster, if any.
pub(crate) fn size_warning(size: usize) -> Option<String> {
    let trouble = match size {
        ..SIZE_WARNING => return None,
        SIZE_WARNING..ANNOTATIONS => {
            "is close to the 256 KiB that `kubectl apply` takes, with what Kubernetes adds; `kubectl apply --server-side` takes more"
        }
        ANNOTATIONS..STORE => {
            "is more than the 256 KiB that `kubectl apply` takes: a WasmPlugin with it needs `kubectl apply --server-side` (or `kubectl replace`); no tool that applies from the client's side will do"
        }
        STORE.. => {
            "is more than the 1.5 MiB that Kubernetes' etcd takes: it can't be a WasmPlugin or an EnvoyFilter, only a file of an Envoy's own"
        }
    };
    let size = report::size(size);
    Some(format!(
        "{size} as JSON {trouble}. Every worker of a proxy parses it at each change; long lists of addresses are the usual cause"
    ))
}

fn remarks(needs: &Needs, module: Option<&Metadata>) -> Vec<String> {
    let mut remarks = Vec::new();
    remarks.extend(size_warning(needs.size));
    let release = env!("CARGO_PKG_VERSION");
    if let Some(module) = module.filter(|module| module.version != release) {
        remarks.push(format!(
            "the module is of release {}, this command of {release}: they may read the document differently",
            module.version
        ));
    }
    remarks
}
