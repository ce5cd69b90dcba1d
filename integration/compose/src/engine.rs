//! The Docker Engine that runs the containers.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sluice_integration::{Error, Process, Result, tools};

use crate::{isolation, run};

/// How long it may take to answer.
const START: Duration = Duration::from_secs(180);

/// Networks for the containers, in a namespace where nothing else has any.
const NETWORKS: &str = "base=10.213.0.0/16,size=24";

/// Where the containers' control groups are.
const CONTROL_GROUP: &str = "/sluice-compose-test";

/// A Docker Engine.
pub struct Engine {
    address: Option<String>,
    own: Option<Own>,
}

/// What an engine of our own leaves to be cleaned up.
struct Own {
    process: Process,
    folder: PathBuf,
    /// Locked as long as the folder is in use.
    _lock: File,
}

impl Engine {
    /// Whether one is given: then the test neither needs nor makes one, and pulls the images as users do. It must be this
    /// machine's, and the test must be root to see and end its containers' processes.
    pub fn is_given() -> bool {
        std::env::var_os("DOCKER_HOST").is_some_and(|address| !address.is_empty())
    }

    /// The one that `DOCKER_HOST` names, or a new one with its files in `folder`, which is emptied first.
    ///
    /// # Errors
    /// When there is no `dockerd`, or it doesn't start: with the end of its log.
    pub fn start(folder: &Path) -> Result<Self> {
        if Self::is_given() {
            return Ok(Self { address: None, own: None });
        }
        let lock = lock(folder)?;
        remove_control_groups();
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).map_err(|e| Error::file("can't create", folder, e))?;
        let address = format!("unix://{}/docker.sock", isolation::RUN);
        let mut command = Command::new(tools::find("dockerd")?);
        command
            .args(["--host", &address, "--bridge", "none", "--default-address-pool", NETWORKS])
            // The other way asks systemd, which is not in these namespaces.
            .args(["--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", CONTROL_GROUP])
            .args(["--exec-root", "/run/docker", "--pidfile", "/run/docker.pid", "--log-level", "error"])
            .arg("--data-root")
            .arg(folder.join("data"));
        let mut process = Process::start("dockerd", command, folder)?;
        let mut engine = Self { address: Some(address), own: None };
        process.wait_ready(START, || engine.docker(&["version"]).is_ok())?;
        engine.own = Some(Own { process, folder: folder.to_owned(), _lock: lock });
        Ok(engine)
    }

    /// Whether it is the test's own.
    pub fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// A command that speaks to it.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some(address) = &self.address {
            command.env("DOCKER_HOST", address);
        }
        command
    }

    /// Runs `docker` and gives its output.
    ///
    /// # Errors
    /// When it fails.
    pub fn docker(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command(&tools::find("docker")?);
        run(command.args(arguments))?.succeeded(&format!("docker {}", arguments.join(" ")))
    }

    /// The address, for commands that others start.
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        self.own.as_ref().map(|own| own.process.tail(200)).unwrap_or_default()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(mut own) = self.own.take() {
            own.process.stop();
            isolation::end_all_others();
            remove_control_groups();
            let _ = fs::remove_dir_all(&own.folder);
        }
    }
}

/// Removes the control groups of containers that are no more: the engine leaves them when it is killed. Version 1 has a folder for
/// each controller, version 2 one for all. What is in use can't be removed.
fn remove_control_groups() {
    let name = CONTROL_GROUP.trim_start_matches('/');
    let root = Path::new("/sys/fs/cgroup");
    let controllers = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    for group in controllers.chain([root.to_owned()]).map(|folder| folder.join(name)) {
        for container in fs::read_dir(&group).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(container.path());
        }
        let _ = fs::remove_dir(&group);
    }
}

/// Keeps a second run of this test in the same checkout from emptying the folder of the first.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.with_extension("lock");
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|e| Error::file("can't create", parent, e))?;
    }
    let file = File::create(&path).map_err(|e| Error::file("can't write", &path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => {
            Err(Error::Other(format!("another run of this test holds {}: wait for its end", path.display())))
        }
    }
}
