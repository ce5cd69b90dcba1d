//! What the tests of this crate share.

#![allow(dead_code, reason = "each test file takes what it needs")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sluice_integration::{repository_root, tools};

/// The `sluice` of this tree.
pub(crate) const SLUICE: &str = env!("CARGO_BIN_EXE_kubernetes-test-sluice");
/// Signs tokens, told as `sluice-tour` is.
pub(crate) const SIGNER: &str = env!("CARGO_BIN_EXE_kubernetes-test-token");

/// What `sluice` prints, run in a folder of the repository; it must end well.
pub(crate) fn sluice(folder: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(SLUICE).args(arguments).current_dir(repository_root().join(folder)).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "sluice {arguments:?} in {folder}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a kustomization of the repository comes to.
pub(crate) fn kustomize(folder: &str) -> String {
    let kubectl = tools::find("kubectl").unwrap();
    let output = Command::new(kubectl).arg("kustomize").arg(repository_root().join(folder)).output().unwrap();
    assert!(output.status.success(), "{folder}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The documents of a file.
pub(crate) fn documents(yaml: &str) -> Vec<Value> {
    let parts = yaml.split("\n---\n").map(|part| part.trim_start_matches("---\n"));
    parts
        .filter(|part| part.lines().any(|line| !line.is_empty() && !line.starts_with('#')))
        .map(value)
        .collect()
}

/// One document.
pub(crate) fn value(yaml: &str) -> Value {
    let node = sluice_cli::yaml::read(yaml).unwrap_or_else(|problems| panic!("{problems:?}\n{yaml}"));
    serde_json::from_str(&node.to_json()).unwrap()
}

/// A file of the repository.
pub(crate) fn file(path: &str) -> String {
    let path = repository_root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Writes a program in shell.
pub(crate) fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}
