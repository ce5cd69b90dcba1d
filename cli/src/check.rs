//! `sluice check`: what is wrong with documents, and what a document needs that is fine.

use crate::arguments::CheckArguments;
use crate::compile::{Compiled, Finding, compile, located};
use crate::failure::Failure;
use crate::report;
use crate::source::{Source, read_file};
use crate::{Status, Streams};
use sluice_core::problem::{FieldPath, Problem, quoted_list};
use sluice_metadata::{LOG_CALLBACK, Metadata};
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

/// The result for one file.
pub struct Checked {
    /// The file.
    pub source: Source,
    /// What is wrong with it; nothing if it is fine.
    pub findings: Vec<Finding>,
    /// What is allowed and may yet be trouble.
    pub warnings: Vec<String>,
    /// What the document has and needs, where it compiles.
    pub needs: Option<Needs>,
    /// The module that was asked about; it runs the document if there are no findings.
    pub module: Option<String>,
}

/// What a document has and needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Its sections in the order of the file, each with the lists in it and their lengths.
    pub sections: Vec<(String, Vec<(String, usize)>)>,
    /// Its size as JSON, in bytes.
    pub size: usize,
    /// Whether it counts finished requests, which the headers-only edition does not see.
    pub log: bool,
}

/// Runs the command.
///
/// # Errors
/// When a file can't be read.
pub fn run(arguments: &CheckArguments, streams: &mut Streams<'_>) -> Result<Status, Failure> {
    let module = arguments.module.as_deref().map(read_module).transpose()?;
    let mut results = Vec::new();
    for file in &arguments.files {
        results.push(check(Source::read(file, streams.input)?, module.as_ref()));
    }
    if arguments.json {
        report::write_json(&results, streams.output)?;
    } else {
        for checked in &results {
            report::write_text(checked, streams)?;
        }
    }
    let fine = results.iter().all(|checked| checked.findings.is_empty());
    Ok(if fine { Status::Fine } else { Status::Wrong })
}

/// Reads what a module says about itself.
///
/// # Errors
/// When it can't be read, or says nothing.
pub fn read_module(path: &Path) -> Result<Metadata, Failure> {
    Metadata::of(&read_file(path)?).map_err(|error| Failure::new(format!("{} {error}", path.display())))
}

/// Checks one document, by itself and for `module`.
pub fn check(source: Source, module: Option<&Metadata>) -> Checked {
    let edition = module.map(|module| module.edition.clone());
    match compile(&source) {
        Ok(compiled) => {
            let needs = Needs::of(&compiled);
            let findings = module.map(|module| misfits(&compiled, module)).unwrap_or_default();
            let warnings = warnings(&needs, module);
            Checked { source, findings, warnings, needs: Some(needs), module: edition }
        }
        Err(findings) => Checked { source, findings, warnings: Vec::new(), needs: None, module: edition },
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
            log: compiled.pipeline.wants_log(),
        }
    }

    /// The smallest of the whole modules that can run it.
    pub fn edition(&self) -> &'static str {
        if self.log { "sluice" } else { "sluice-headers" }
    }
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
    if problems.is_empty() && compiled.pipeline.wants_log() && !module.sees_the_end_of_requests() {
        let message = format!(
            "counts finished requests, for which the module needs {LOG_CALLBACK}; `{edition}` does not have it, `sluice.wasm` does"
        );
        problems.push(Problem { path: FieldPath::root().field("telemetry"), message, suggestion: None });
    }
    located(&compiled.node, problems)
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

fn warnings(needs: &Needs, module: Option<&Metadata>) -> Vec<String> {
    let mut warnings = Vec::new();
    warnings.extend(size_warning(needs.size));
    let release = env!("CARGO_PKG_VERSION");
    if let Some(module) = module.filter(|module| module.version != release) {
        warnings.push(format!(
            "the module is of release {}, this command of {release}: they may read the document differently",
            module.version
        ));
    }
    warnings
}
