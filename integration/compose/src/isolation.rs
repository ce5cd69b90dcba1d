//! The test in namespaces of its own.
//!
//! A Docker Engine writes the machine's firewall and mounts file systems; two of them in one network disturb each other. So the test
//! starts itself again in new network, mount and process namespaces, where its engine is the only one, the ports of
//! docker-compose.yml are free, and nothing outlives it: when the first process of a process namespace ends, the kernel
//! ends all others.

use std::os::unix::process::CommandExt;
use std::process::Command;

use sluice_integration::{Error, Result};

use crate::run;

/// Set for the test within the namespaces.
const INSIDE: &str = "SLUICE_COMPOSE_TEST_INSIDE";

/// Where the engine's sockets and state are: a file system in memory that only the test sees.
pub const RUN: &str = "/run";

/// Makes this process (which must have one thread only) the same test within namespaces of its own; does nothing if it is there.
///
/// # Errors
/// When that is not possible: it takes root.
pub fn enter() -> Result<()> {
    if std::env::var_os(INSIDE).is_some() {
        run(Command::new("ip").args(["link", "set", "lo", "up"]))?.succeeded("bringing loopback up")?;
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "mode=0755", "tmpfs", RUN]))?
            .succeeded("mounting a file system in memory")?;
        return Ok(());
    }
    // SAFETY: a plain system call.
    if unsafe { libc::geteuid() } != 0 {
        return Err(Error::Other(
            "an engine of its own takes root: run this as root, or name a running engine with DOCKER_HOST"
                .to_owned(),
        ));
    }
    let this = std::env::current_exe().map_err(|e| Error::Other(format!("can't find this program: {e}")))?;
    let error = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"])
        .arg(this)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    Err(Error::Other(format!("can't start unshare (package util-linux): {error}")))
}

/// Ends all other processes of the namespace, so that the test's folder can be removed.
pub fn end_all_others() {
    if std::env::var_os(INSIDE).is_some() && std::process::id() == 1 {
        // SAFETY: a plain system call; as the first process of a namespace, "all" are those of the namespace.
        unsafe { libc::kill(-1, libc::SIGKILL) };
        // SAFETY: a plain system call that writes nothing.
        while unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) } > 0 {}
    }
}
