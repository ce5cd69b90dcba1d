//! What stands in for resources that the proxy fetches: files.

use crate::failure::Failure;
use crate::source::read_file;
use sluice_core::document::problem::quoted_list;
use sluice_pipeline::Pipeline;
use std::path::Path;

/// Supplies `NAME=FILE` each, and gives the names of those that are missing then.
///
/// # Errors
/// Where there is no such resource, or the file can't be read or is none.
pub(super) fn supply(pipeline: &Pipeline, files: &[String]) -> Result<Vec<String>, Failure> {
    let mut missing: Vec<String> = pipeline.resources().iter().map(|one| one.name().to_string()).collect();
    for argument in files {
        let (name, file) = argument.split_once('=').ok_or_else(|| {
            Failure::new(format!("--resource: `{argument}` is not NAME=FILE, such as authn.staff=keys.json"))
        })?;
        let Some(resource) = pipeline.resources().iter().find(|one| **one.name() == *name) else {
            let known = quoted_list(pipeline.resources().iter().map(|one| &**one.name()));
            let known = if known.is_empty() { "nothing".to_owned() } else { known };
            return Err(Failure::new(format!(
                "--resource: no `{name}` is fetched; the document has {known} fetched"
            )));
        };
        let bytes = read_file(Path::new(file))?;
        resource
            .supply(&bytes)
            .map_err(|problem| Failure::new(format!("--resource {name}: {file}: {problem}")))?;
        missing.retain(|one| one != name);
    }
    Ok(missing)
}
