//! `sluice-demo`: an image that runs. It holds the demo's services, the command and the modules, and nothing else, for
//! docker compose and kind.

use std::fs;
use std::path::Path;

use crate::elf;
use crate::image::{Image, Parts, Run};
use crate::layer::Files;
use crate::module::{Module, release_labels};
use crate::provenance::Provenance;
use crate::{Error, Result};

/// Its name.
pub const NAME: &str = "sluice-demo";

/// Whom the programs run as: a number that distributions give to nobody, so that no file of a host is theirs.
const USER: u32 = 65532;

/// Empty folders below `/prepared` for volumes of docker-compose.yml, in which `sluice-tour prepare` leaves the others' files.
const VOLUMES: [&str; 4] = ["edge", "inventory", "orders", "tools"];

/// The static programs that go into it.
#[derive(Debug, Clone, Copy)]
pub struct Programs<'paths> {
    /// `sluice-tour`, the entry point.
    pub tour: &'paths Path,
    /// `sluice`.
    pub command: &'paths Path,
}

/// The image. Each layer is kept by engines as long as it does not change: what changes least is lowest.
pub fn image(
    programs: Programs<'_>,
    modules: &[Module],
    version: &str,
    provenance: &Provenance,
) -> Result<Image> {
    let (tour, architecture) = program(programs.tour)?;
    let (command, other) = program(programs.command)?;
    if architecture != other {
        return Err(Error::unfit(programs.command, "is for another architecture than sluice-tour"));
    }

    // Without these files the static libc knows no name of a user, and asks DNS before /etc/hosts.
    let system = Files::new()
        .folder("etc", 0o755)
        .file("etc/group", 0o644, format!("sluice:x:{USER}:\n"))
        .file("etc/nsswitch.conf", 0o644, "hosts: files dns\n")
        .file("etc/passwd", 0o644, format!("sluice:x:{USER}:{USER}:Sluice:/:/usr/bin/false\n"))
        .folder("prepared", 0o755)
        .folder("tmp", 0o1777);
    // Docker gives a new volume the owner of the folder that it is mounted on: so what writes there needs no root.
    let system = VOLUMES
        .iter()
        .fold(system, |files, volume| files.folder_of(&format!("prepared/{volume}"), 0o755, USER));
    let modules = modules.iter().fold(Files::new().folder("modules", 0o755), |files, module| {
        files.file(&format!("modules/{}.wasm", module.name()), 0o644, module.bytes.clone())
    });
    let programs = Files::new()
        .folder("usr", 0o755)
        .folder("usr/bin", 0o755)
        .file("usr/bin/sluice", 0o755, command)
        .file("usr/bin/sluice-tour", 0o755, tour);

    Image::of(Parts {
        tag: version,
        architecture,
        created: provenance.created()?,
        run: Run {
            entry_point: vec!["/usr/bin/sluice-tour".to_owned()],
            arguments: vec!["--help".to_owned()],
            user: Some(format!("{USER}:{USER}")),
            environment: vec!["PATH=/usr/bin".to_owned()],
        },
        labels: &release_labels(
            NAME,
            "The services of Sluice's demo, the sluice command, and the modules in /modules",
            version,
            provenance,
        ),
        annotations: &[],
        layers: vec![
            (system.layer()?, Vec::new()),
            (modules.layer()?, Vec::new()),
            (programs.layer()?, Vec::new()),
        ],
    })
}

fn program(path: &Path) -> Result<(Vec<u8>, oci_spec::image::Arch)> {
    let bytes = fs::read(path).map_err(Error::file("can't read", path))?;
    let architecture = elf::architecture(&bytes).map_err(|reason| Error::unfit(path, reason.to_string()))?;
    Ok((bytes, architecture))
}

#[cfg(test)]
mod tests;
