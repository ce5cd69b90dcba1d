//! A registry of one test.

use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use sluice_integration::{Process, ports, tools};
use tempfile::TempDir;

/// Who may push to a registry that asks.
pub(crate) const USER: &str = "somebody";
/// The password, from which [`HASH`] was made.
pub(crate) const PASSWORD: &str = "words-of-a-test";
/// bcrypt, the only form that the registry takes.
const HASH: &str = "$2y$05$abcdefghijklmnopqrstuuFYQFAI.90Ra3ZBYsrEUN0OK.9Tcuj7S";

/// Debian's `docker-registry` on loopback, with its storage in a folder of its own; it ends with this.
pub(crate) struct Registry {
    address: String,
    // Dropped in this order: the process has ended when its folder goes.
    _process: Process,
    _folder: TempDir,
}

impl Registry {
    /// Starts one that takes everything, or only what [`USER`] pushes.
    pub(crate) fn start(wants_login: bool) -> Registry {
        Registry::start_at("127.0.0.1", wants_login)
    }

    /// The same on this address of loopback. Of all, crane takes 127.0.0.1 alone to speak plain HTTP.
    pub(crate) fn start_at(host: &str, wants_login: bool) -> Registry {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("{host}:{}", ports::free());
        let users = folder.path().join("users");
        fs::write(&users, format!("{USER}:{HASH}\n")).unwrap();
        let login = format!("auth: {{ htpasswd: {{ realm: test, path: {} }} }}\n", users.display());
        let configuration = format!(
            "version: 0.1\nlog: {{ level: warn }}\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\nhttp: {{ addr: \"{address}\" }}\n{}",
            folder.path().join("storage").display(),
            if wants_login { login.as_str() } else { "" },
        );
        let file = folder.path().join("registry.yaml");
        fs::write(&file, configuration).unwrap();
        let mut command = Command::new(tools::find("docker-registry").unwrap());
        command.arg("serve").arg(&file);
        let mut process = Process::start("registry", command, folder.path()).unwrap();
        process.wait_ready(Duration::from_secs(120), || TcpStream::connect(&address).is_ok()).unwrap();
        Registry { address, _process: process, _folder: folder }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}
