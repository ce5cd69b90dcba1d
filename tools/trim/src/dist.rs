//! Builds the editions with cargo and writes them to a folder, each only when something that it is made of has changed.
//!
//! Cargo itself can't tell: builds of one package with different features share the name of the output, so that asking for
//! all editions in turn links each of them anew. What an edition was made of is therefore kept beside the output: the list
//! that rustc wrote for it, of every source file that went in.

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime};

use crate::edition::{Edition, PACKAGE};
use crate::trim::trim;

/// Where things are read and written.
#[derive(Debug)]
pub struct Layout {
    /// The root of the checkout.
    pub root: PathBuf,
    /// Where the modules go.
    pub dist: PathBuf,
    /// Where the lists of what each was made of are kept: as short-lived as cargo's own output.
    pub records: PathBuf,
    /// What runs cargo for wasm targets, with the settings that the set-up chose.
    pub cargo: PathBuf,
}

// === impl Layout ===

impl Layout {
    /// The places of an ordinary checkout.
    pub fn of_checkout(root: &Path) -> Layout {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        Layout {
            root: root.to_owned(),
            dist: root.join("dist"),
            records: target.join("editions"),
            cargo: root.join("tools/wasm-cargo"),
        }
    }

    fn module(&self, edition: &Edition) -> PathBuf {
        self.dist.join(edition.file_name())
    }

    fn record(&self, edition: &Edition) -> PathBuf {
        self.records.join(format!("{}.d", edition.name))
    }

    /// Whatever else an edition depends on and rustc doesn't list: manifests, this program, the chosen toolchain.
    fn further_sources(&self) -> Vec<PathBuf> {
        let mut sources = vec![
            self.root.join("Cargo.toml"),
            self.root.join("Cargo.lock"),
            self.root.join(".tools/wasm.env"),
            self.cargo.clone(),
        ];
        sources.extend(std::env::current_exe().ok());
        if let Ok(crates) = fs::read_dir(self.root.join("filters")) {
            sources.extend(
                crates.flatten().map(|entry| entry.path().join("Cargo.toml")).filter(|file| file.is_file()),
            );
        }
        sources
    }

    fn is_current(&self, edition: &Edition) -> bool {
        let (Ok(made), Ok(record)) =
            (modified(&self.module(edition)), fs::read_to_string(self.record(edition)))
        else {
            return false;
        };
        let sources = sources_in_record(&record);
        !sources.is_empty()
            && sources.iter().chain(&self.further_sources()).all(|source| {
                modified(source).is_ok_and(|changed| changed <= made)
                    || !source.exists() && is_optional(source)
            })
    }
}

/// Builds every edition that isn't current and says what it did, a line for each, on standard output.
pub fn build(layout: &Layout, editions: &[Edition], version: &str) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(&layout.records)?;
    fs::create_dir_all(&layout.dist)?;
    // Two builds at once would take each other's output: it has one name for all features.
    let lock = File::create(layout.records.join("lock"))?;
    lock.lock()?;

    for group in editions.chunk_by(|one, next| one.all_features() == next.all_features()) {
        if group.iter().all(|edition| layout.is_current(edition)) {
            for edition in group {
                println!("  {} is current", edition.file_name());
            }
            continue;
        }
        let start = Instant::now();
        let features = group[0].all_features();
        let built = compile(layout, &features)?;
        let module = fs::read(&built)?;
        for edition in group {
            let trimmed = trim(&module, &edition.exports(), Some(&edition.metadata(version)))
                .map_err(|error| format!("{}: {error}", edition.file_name()))?;
            let temporary = layout.dist.join(format!(".{}", edition.file_name()));
            fs::write(&temporary, &trimmed.module)?;
            fs::rename(&temporary, layout.module(edition))?;
            fs::copy(built.with_extension("d"), layout.record(edition))?;
            println!(
                "  {}: {} bytes (as built: {}), {} exports and {} functions removed",
                edition.file_name(),
                trimmed.module.len(),
                module.len(),
                trimmed.removed_exports.len(),
                trimmed.functions.0 - trimmed.functions.1,
            );
        }
        println!("  features {}: {:.1} s", features.join(", "), start.elapsed().as_secs_f32());
    }
    Ok(())
}

/// Runs cargo and gives the module that it made.
/// The document's sections are features of the pipeline: cargo's argument for them.
fn features_of_pipeline(features: &[&str]) -> String {
    features.iter().map(|feature| format!("sluice-pipeline/{feature}")).collect::<Vec<_>>().join(",")
}

fn compile(layout: &Layout, features: &[&str]) -> Result<PathBuf, Box<dyn Error>> {
    let output = Command::new(&layout.cargo)
        .args([
            "build",
            "--package",
            PACKAGE,
            "--lib",
            "--release",
            "--target",
            "wasm32-wasip1",
            "--no-default-features",
        ])
        .args(["--message-format", "json-render-diagnostics", "--features", &features_of_pipeline(features)])
        .current_dir(&layout.root)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{} can't be run: {error}", layout.cargo.display()))?;
    if !output.status.success() {
        return Err(format!(
            "cargo could not build {PACKAGE} with {}: see its messages above",
            features.join(", ")
        )
        .into());
    }
    artifact(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| format!("cargo built {PACKAGE} but named no module").into())
}

/// The `.wasm` file among cargo's messages, one JSON object a line.
fn artifact(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|name| name.as_str().map(PathBuf::from))
        .rfind(|name| name.extension().is_some_and(|extension| extension == "wasm"))
}

/// The files in a dependency list as rustc writes it: `output: source source …`, a space in a name escaped by `\`.
fn sources_in_record(record: &str) -> Vec<PathBuf> {
    let mut sources = Vec::new();
    for line in record.lines() {
        let Some((_, list)) = line.split_once(": ") else { continue };
        let mut name = String::new();
        let mut characters = list.chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' => name.extend(characters.next()),
                ' ' if !name.is_empty() => sources.push(PathBuf::from(std::mem::take(&mut name))),
                ' ' => {}
                _ => name.push(character),
            }
        }
        if !name.is_empty() {
            sources.push(PathBuf::from(name));
        }
    }
    sources
}

/// The chosen toolchain's settings don't exist before the set-up has run.
fn is_optional(source: &Path) -> bool {
    source.ends_with(".tools/wasm.env")
}

fn modified(file: &Path) -> std::io::Result<SystemTime> {
    fs::metadata(file)?.modified()
}

#[cfg(test)]
mod tests;
