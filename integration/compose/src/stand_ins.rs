//! Images under the public names, for machines that can't pull them: the real programs with the libraries that they load, and nothing
//! else, at the places and with the users of the public images, so that docker-compose.yml runs unchanged.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sluice_integration::{Error, Result, envoy_binary, tools};

use crate::{Engine, run};

/// An image that is made of programs of this machine.
pub struct StandIn {
    /// The variable of `.env` that names the image.
    pub variable: &'static str,
    /// The programs: where they are, and where the public image has them.
    programs: Vec<(PathBuf, &'static str)>,
    /// Folders with their owner.
    folders: Vec<(&'static str, u64)>,
    /// What the public image's Dockerfile says: `USER`, `ENTRYPOINT`, `CMD`, `ENV`, `VOLUME`, `WORKDIR`.
    settings: Vec<&'static str>,
}

/// A stand-in for each public image but Grafana's, which no package of Debian has.
///
/// # Errors
/// When a program is missing: with the set-up that brings it.
pub fn all() -> Result<Vec<StandIn>> {
    Ok(vec![
        StandIn {
            variable: "ENVOY_IMAGE",
            programs: vec![(envoy_binary()?, "usr/local/bin/envoy")],
            folders: vec![("etc/envoy", 0)],
            settings: vec![
                "USER nonroot",
                "ENTRYPOINT [\"/usr/local/bin/envoy\"]",
                "CMD [\"-c\", \"/etc/envoy/envoy.yaml\"]",
            ],
        },
        StandIn {
            variable: "RATELIMIT_IMAGE",
            programs: vec![(tools::find("ratelimit")?, "bin/ratelimit")],
            folders: vec![],
            settings: vec!["USER nonroot"],
        },
        StandIn {
            variable: "REDIS_IMAGE",
            programs: vec![
                (tools::find("redis-server")?, "usr/local/bin/redis-server"),
                (tools::find("redis-cli")?, "usr/local/bin/redis-cli"),
            ],
            folders: vec![("data", 999)],
            settings: vec!["VOLUME /data", "WORKDIR /data", "CMD [\"redis-server\"]"],
        },
        StandIn {
            variable: "PROMETHEUS_IMAGE",
            programs: vec![(tools::find("prometheus")?, "bin/prometheus")],
            folders: vec![("prometheus", 65534), ("etc/prometheus", 65534)],
            settings: vec![
                "USER nobody",
                "VOLUME /prometheus",
                "WORKDIR /prometheus",
                "ENTRYPOINT [\"/bin/prometheus\"]",
            ],
        },
        StandIn {
            variable: "JAEGER_IMAGE",
            programs: vec![(tools::find("jaeger")?, "cmd/jaeger/jaeger-linux")],
            folders: vec![],
            settings: vec![
                "USER 10001",
                "VOLUME /tmp",
                "ENV JAEGER_LISTEN_HOST=0.0.0.0",
                "ENTRYPOINT [\"/cmd/jaeger/jaeger-linux\"]",
            ],
        },
    ])
}

impl StandIn {
    /// Makes the image under the name `image`.
    ///
    /// # Errors
    /// When a file can't be read, or the engine refuses the image.
    pub fn make(&self, engine: &Engine, image: &str) -> Result<()> {
        let mut command = engine.command(&tools::find("docker")?);
        command.arg("import");
        for setting in &self.settings {
            command.args(["--change", setting]);
        }
        command.args(["-", image]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut import = command.spawn().map_err(|e| Error::Other(format!("can't start docker: {e}")))?;
        let input = import.stdin.take().ok_or("docker import has no input")?;
        let written = self.write(input);
        let output = import.wait_with_output().map_err(|e| Error::Other(format!("docker import: {e}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Error::Other(format!("docker import of {image} failed: {said}")));
        }
        written
    }

    /// Writes the image's file system as a tar.
    fn write(&self, output: impl Write) -> Result<()> {
        let mut files: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
        for (program, place) in &self.programs {
            let program = program.canonicalize().map_err(|e| Error::file("can't find", program, e))?;
            for library in libraries(&program)? {
                files.insert(library.strip_prefix("/").unwrap_or(&library).to_owned(), library.clone());
            }
            files.insert(PathBuf::from(place), program);
        }
        let mut tar = tar::Builder::new(output);
        let refused = |e: std::io::Error| Error::Other(format!("can't write an image: {e}"));
        for (folder, owner) in self.folders.iter().chain(&[("tmp", 0)]) {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(if *folder == "tmp" { 0o1777 } else { 0o755 });
            header.set_uid(*owner);
            header.set_gid(*owner);
            header.set_size(0);
            tar.append_data(&mut header, format!("{folder}/"), std::io::empty()).map_err(refused)?;
        }
        let users = "root:x:0:0::/:\nnobody:x:65534:65534::/:\nnonroot:x:65532:65532::/:\n";
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(users.len() as u64);
        tar.append_data(&mut header, "etc/passwd", users.as_bytes()).map_err(refused)?;
        for (place, file) in files {
            let content = std::fs::read(&file).map_err(|e| Error::file("can't read", &file, e))?;
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o755);
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, place, content.as_slice()).map_err(refused)?;
        }
        tar.finish().map_err(refused)
    }
}

/// The libraries that a program loads, and what loads them: the files that `ldd` names; none for a static one.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let said = run(Command::new("ldd").arg(program))?.both();
    Ok(files_named(&said))
}

/// `name => /path (0x…)`, or `/path (0x…)` for the loader.
fn files_named(ldd: &str) -> Vec<PathBuf> {
    let named = ldd.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    named.filter(|path| !path.ends_with(':')).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldd_names_libraries_and_the_loader() {
        let said = "\tlinux-vdso.so.1 (0x7ffd)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x7f)\n\t/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
        assert_eq!(
            files_named(said),
            ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from)
        );
        assert!(files_named("\tnot a dynamic executable\n").is_empty());
    }
}
