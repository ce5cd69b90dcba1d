//! Pushing the images of a folder to a registry, each manifest under its own tag, with its digest kept.
//!
//! `crane` does it: it knows registries, their tokens, and the credentials in Docker's configuration. A layout with two
//! manifests it would push as an index, of which Istio takes whichever comes first: so each goes by itself.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::layout::{self, Tagged};
use crate::{Error, Result};

/// Where to, and how.
#[derive(Debug)]
pub struct Push {
    /// The `crane` to run.
    pub crane: PathBuf,
    /// Host, port and path: `registry.example.com:5000/team`.
    pub registry: String,
    /// Whether a registry without TLS, or with a certificate that nobody vouches for, is taken.
    pub insecure: bool,
}

// === impl Push ===

impl Push {
    /// Pushes all layouts of `images`, and tells name, tag and digest of each on `progress`.
    pub fn all(&self, images: &Path, progress: &mut impl Write) -> Result<()> {
        let layouts = layouts(images)?;
        for folder in &layouts {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            for image in layout::tagged(folder)? {
                let reference = format!("{}/{name}:{}", self.registry.trim_end_matches('/'), image.tag);
                let digest = image.descriptor.digest().to_string();
                self.one(folder, &image, &reference)?;
                // Progress that nobody reads any more is no reason to stop.
                let _ = writeln!(progress, "  {reference}  {digest}");
                let _ = progress.flush();
            }
        }
        Ok(())
    }

    fn one(&self, folder: &Path, image: &Tagged, reference: &str) -> Result<()> {
        let part =
            tempfile::tempdir().map_err(Error::file("can't create a folder in", &std::env::temp_dir()))?;
        layout::part(folder, image, part.path())?;
        self.crane(reference, &[&"push", &part.path(), &reference])?;
        let there = self.crane(reference, &[&"digest", &reference])?;
        let digest = image.descriptor.digest().to_string();
        if there.trim() == digest {
            Ok(())
        } else {
            let reason = format!(
                "the registry has {} under this tag and not {digest}: it changes manifests, or someone else pushed; push again",
                there.trim()
            );
            Err(Error::Push { reference: reference.to_owned(), reason })
        }
    }

    fn crane(&self, reference: &str, arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Result<String> {
        let mut command = Command::new(&self.crane);
        command.args(arguments.iter().map(|argument| argument.as_ref()));
        if self.insecure {
            command.arg("--insecure");
        }
        let output = command.output().map_err(Error::file("can't run", &self.crane))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let registry = &self.registry;
        Err(Error::Push { reference: reference.to_owned(), reason: reason(&said, registry) })
    }
}

/// What crane's error means for the user, with its own words at the end.
fn reason(said: &str, registry: &str) -> String {
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim();
    let last = last.trim_start_matches("Error: ");
    let contains = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let host = registry.split('/').next().unwrap_or(registry);
    let meaning = if contains(&["UNAUTHORIZED", "DENIED", "401 ", "403 "]) {
        format!(
            "the registry wants a login that may push there: `crane auth login {host}` or `docker login {host}`"
        )
    } else if contains(&["server gave HTTP response to HTTPS client"]) {
        "the registry speaks plain HTTP: set INSECURE=1 if that is meant".to_owned()
    } else if contains(&["x509", "certificate"]) {
        "the registry's certificate is not trusted here: install its authority, or set INSECURE=1".to_owned()
    } else if contains(&["connection refused", "no such host", "dial tcp", "timeout", "unreachable"]) {
        format!("{host} can't be reached: check REGISTRY and the network")
    } else if contains(&["could not parse reference", "parsing reference"]) {
        "REGISTRY is not host[:port]/path in lower case".to_owned()
    } else {
        "crane failed".to_owned()
    };
    format!("{meaning} ({last})")
}

/// The layouts in a folder, by name.
fn layouts(images: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(images).map_err(|_| Error::NoImages(images.to_owned()))?;
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        .map(|entry| entry.path())
        .filter(|folder| folder.join("index.json").is_file())
        .collect();
    folders.sort();
    if folders.is_empty() { Err(Error::NoImages(images.to_owned())) } else { Ok(folders) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_crane_becomes_what_to_do() {
        let table = [
            (
                "Error: Get \"https://r.example/v2/\": dial tcp: lookup r.example: no such host",
                "r.example can't be reached",
            ),
            (
                "Error: PUT https://r.example/v2/x: UNAUTHORIZED: authentication required",
                "crane auth login r.example",
            ),
            ("Error: http: server gave HTTP response to HTTPS client", "set INSECURE=1"),
            ("Error: tls: failed to verify certificate: x509: unknown authority", "not trusted here"),
        ];
        for (said, meaning) in table {
            let reason = reason(said, "r.example/team");
            assert!(reason.contains(meaning), "{said} gave {reason}");
            assert!(reason.contains(said.trim_start_matches("Error: ")), "{reason}");
        }
    }

    #[test]
    fn a_folder_without_images_is_an_error_that_says_how_to_make_them() {
        let empty = tempfile::tempdir().unwrap();
        for folder in [empty.path().to_owned(), empty.path().join("missing")] {
            let error = layouts(&folder).unwrap_err().to_string();
            assert!(error.ends_with("run `make images` first"), "{error}");
        }
    }
}
