//! Where the files of one run are.

use std::path::{Path, PathBuf};

use sluice_integration::{Error, Result, repository_root};

/// The name of each, before the id of its process.
const PREFIX: &str = "istio-mesh-";

fn parent() -> PathBuf {
    repository_root().join("target/integration")
}

/// Makes the folder of a process.
pub fn create(process: u32) -> Result<PathBuf> {
    let directory = parent().join(format!("{PREFIX}{process}"));
    std::fs::create_dir_all(&directory).map_err(|e| Error::file("can't create", &directory, e))?;
    Ok(directory)
}

/// Removes the folders of processes that are no more: of runs that failed or were killed. To be called where all processes can
/// be seen, before a world is entered.
pub fn sweep() {
    for entry in std::fs::read_dir(parent()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
