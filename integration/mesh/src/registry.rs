//! A real registry, for modules as OCI images.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sluice_image::push::Push;
use sluice_integration::{Error, Process, Request, Result, repository_root, tools};

use crate::network::{Namespace, WORLD};
use crate::world::run;

/// The registry's address, as it stands in an image's reference.
pub const REGISTRY: &str = "10.77.0.1:5000";

/// Debian's docker-registry, its images in a folder of the test.
pub struct Registry {
    process: Mutex<Option<Process>>,
    filled: AtomicBool,
    directory: PathBuf,
}

impl Registry {
    /// Starts it, empty.
    pub fn start(world: &Namespace, directory: &Path) -> Result<Self> {
        let directory = directory.join("registry");
        std::fs::create_dir_all(&directory).map_err(|e| Error::file("can't create", &directory, e))?;
        let registry = Self { process: Mutex::new(None), filled: AtomicBool::new(false), directory };
        registry.restart(world)?;
        Ok(registry)
    }

    /// Ends it: its images stay.
    pub fn stop(&self) {
        self.replace(None);
    }

    /// Serves again what it had.
    pub fn restart(&self, world: &Namespace) -> Result<()> {
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
            world
                .send(&format!("{WORLD}:5000"), &Request::get("/v2/"))
                .is_ok_and(|answer| answer.status == 200)
        })?;
        self.replace(Some(process));
        Ok(())
    }

    /// Fills it with the images that `make images` has made, as `make push` does; the first time.
    pub fn push_images(&self) -> Result<()> {
        if self.filled.load(Ordering::Relaxed) {
            return Ok(());
        }
        let images = repository_root().join("dist/images");
        let push =
            Push { crane: tools::find("crane")?, registry: format!("{REGISTRY}/sluice"), insecure: true };
        push.all(&images, &mut std::io::sink())
            .map_err(|e| Error::Other(format!("{e}: run `make images` first")))?;
        self.filled.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The digest that the registry gives for a tag of an image, as `sha256:…`.
    pub fn digest(&self, image: &str, tag: &str) -> Result<String> {
        let mut crane = Command::new(tools::find("crane")?);
        let digest = run(crane.args(["digest", "--insecure", &format!("{REGISTRY}/sluice/{image}:{tag}")]))?;
        Ok(digest.trim().to_owned())
    }

    /// The paths that workloads have asked for since it was started, in order; the world's own requests are left out.
    pub fn pulls(&self) -> Vec<String> {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let log = process.as_ref().map(Process::stdout).unwrap_or_default();
        let pulled = log.lines().filter(|line| !line.starts_with(&format!("{WORLD} ")));
        pulled.filter_map(|line| Some(line.split_once("\"GET ")?.1.split(' ').next()?.to_owned())).collect()
    }

    fn replace(&self, process: Option<Process>) {
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = process;
    }
}
