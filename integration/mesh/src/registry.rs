//! A real registry, for modules as OCI images.

use std::path::Path;
use std::time::Duration;

use sluice_integration::{Error, Process, Request, Result, tools};

use crate::network::{Namespace, WORLD};

/// The registry's address, as it stands in an image's reference.
pub const REGISTRY: &str = "10.77.0.1:5000";

/// Debian's docker-registry, its images in a folder of the test.
pub struct Registry {
    process: Option<Process>,
    directory: std::path::PathBuf,
}

impl Registry {
    /// Starts it, empty.
    pub fn start(world: &Namespace, directory: &Path) -> Result<Self> {
        let directory = directory.join("registry");
        std::fs::create_dir_all(&directory).map_err(|e| Error::file("can't create", &directory, e))?;
        let mut registry = Self { process: None, directory };
        registry.restart(world)?;
        Ok(registry)
    }

    /// Ends it: its images stay.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Serves again what it had.
    pub fn restart(&mut self, world: &Namespace) -> Result<()> {
        self.stop();
        let configuration = self.directory.join("registry.yaml");
        let text = format!(
            "version: 0.1\nlog: {{ level: info }}\nstorage: {{ filesystem: {{ rootdirectory: {:?} }} }}\nhttp: {{ addr: {REGISTRY:?} }}\n",
            self.directory.join("images").display().to_string()
        );
        std::fs::write(&configuration, text).map_err(|e| Error::file("can't write", &configuration, e))?;
        let mut command = world.command(tools::find("docker-registry")?);
        command.arg("serve").arg(&configuration);
        let mut process = Process::start("registry", command, &self.directory)?;
        process.wait_ready(Duration::from_secs(30), || {
            world.send(&format!("{WORLD}:5000"), &Request::get("/v2/")).is_ok_and(|answer| answer.status == 200)
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// The requests that it has answered, as its log has them.
    pub fn log(&self) -> String {
        self.process.as_ref().map(|process| process.stdout() + &process.stderr()).unwrap_or_default()
    }
}
