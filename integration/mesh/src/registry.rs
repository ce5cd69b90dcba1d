//! A real registry, for modules as OCI images.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use sluice_image::push::Push;
use sluice_integration::{Error, Process, Request, Result, repository_root, tools};

use crate::network::{Namespace, WORLD};
use crate::world::run;

/// The registry's address, as it stands in an image's reference.
pub const REGISTRY: &str = "10.77.0.1:5000";

/// The address of [`Registry::private`].
pub const PRIVATE_REGISTRY: &str = "10.77.0.1:5001";

/// The only user of [`Registry::private`].
pub const USER: &str = "team";

/// The user's password.
pub const PASSWORD: &str = "a-password-of-the-test";

/// [`PASSWORD`] as `htpasswd -B` writes it (bcrypt, the only form that the registry takes).
const PASSWORD_HASH: &str = "$2y$05$qyk6KSI0s4xqoae6FwhYsu2f6eOYZ6n1zwDiO8peLGEaTIBnetLTq";

/// Debian's docker-registry, its images in a folder of the test.
pub struct Registry {
    process: Mutex<Option<Process>>,
    filled: AtomicBool,
    address: &'static str,
    /// Of a registry that wants a password: what it says that the password is for.
    realm: Option<String>,
    directory: PathBuf,
}

impl Registry {
    /// Starts it, empty.
    pub fn start(world: &Namespace, directory: &Path) -> Result<Self> {
        let directory = directory.join("registry");
        std::fs::create_dir_all(&directory).map_err(|e| Error::file("can't create", &directory, e))?;
        let registry = Self {
            process: Mutex::new(None),
            filled: AtomicBool::new(false),
            address: REGISTRY,
            realm: None,
            directory,
        };
        registry.restart(world)?;
        Ok(registry)
    }

    /// Another one, with the same images, that wants user and password (Basic, RFC 7617) for a realm of this name.
    pub fn private(&self, world: &Namespace, realm: &str) -> Result<Self> {
        let passwords = self.directory.join("htpasswd");
        std::fs::write(&passwords, format!("{USER}:{PASSWORD_HASH}\n"))
            .map_err(|e| Error::file("can't write", &passwords, e))?;
        let private = Self {
            process: Mutex::new(None),
            filled: AtomicBool::new(self.filled.load(Ordering::Relaxed)),
            address: PRIVATE_REGISTRY,
            realm: Some(realm.to_owned()),
            directory: self.directory.clone(),
        };
        private.restart(world)?;
        Ok(private)
    }

    /// Ends it: its images stay.
    pub fn stop(&self) {
        self.replace(None);
    }

    /// Whether it serves: not after [`Registry::stop`].
    pub fn is_running(&self) -> bool {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Serves again what it had.
    pub fn restart(&self, world: &Namespace) -> Result<()> {
        self.stop();
        let name = if self.realm.is_some() { "private-registry" } else { "registry" };
        let configuration = self.directory.join(name).with_extension("json");
        let mut settings = json!({
            "version": "0.1",
            "log": { "level": "info" },
            "storage": { "filesystem": { "rootdirectory": self.directory.join("images") } },
            "http": { "addr": self.address },
        });
        if let Some(realm) = &self.realm {
            let passwords = self.directory.join("htpasswd");
            settings["auth"] = json!({ "htpasswd": { "realm": realm, "path": passwords } });
        }
        // JSON is YAML.
        let text = settings.to_string();
        std::fs::write(&configuration, text).map_err(|e| Error::file("can't write", &configuration, e))?;
        let mut command = world.command(tools::find("docker-registry")?);
        command.arg("serve").arg(&configuration);
        let mut process = Process::start(name, command, &self.directory)?;
        process.wait_ready(Duration::from_secs(120), || {
            let answer = world.send(self.address, &Request::get("/v2/"));
            answer.is_ok_and(|answer| answer.status == if self.realm.is_some() { 401 } else { 200 })
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
