//! Programs of others that tests start: a registry, a Redis, an istiod.

use std::path::PathBuf;

use crate::{Error, Result, repository_root};

/// Where `name` is: in the folder that `SLUICE_TOOLS` names, in `.tools/bin` of the checkout, or on the path; system programs
/// (`/usr/sbin`, `/sbin`) are found though the path of a plain user leaves them out.
///
/// # Errors
/// It is in none of these: the error names the target of the Makefile whose set-up installs it.
pub fn find(name: &str) -> Result<PathBuf> {
    let named = std::env::var_os("SLUICE_TOOLS").map(PathBuf::from);
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let folders = named
        .into_iter()
        .chain([repository_root().join(".tools/bin")])
        .chain(std::env::split_paths(&on_path))
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file()).ok_or_else(|| Error::Missing {
        what: format!("the program {name}"),
        remedy: format!("run `tools/setup {}`", set_up_of(name)),
    })
}

/// The part of the set-up that a program belongs to.
fn set_up_of(name: &str) -> &'static str {
    match name {
        "docker-registry" | "crane" | "skopeo" => "images",
        "kube-apiserver" | "kubectl" | "etcd" => "kubernetes",
        "dockerd" | "docker" | "docker-compose" | "docker-compose-v2" | "prometheus" | "jaeger" => "compose",
        "redis-server" | "redis-cli" | "ratelimit" => "all",
        _ => "mesh",
    }
}
