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

/// Makes this process (which must have one thread only) the parent of the same test within namespaces of its own, and ends with its
/// status; within them it only makes itself at home.
///
/// # Errors
/// When that is not possible: it takes root.
pub fn enter() -> Result<()> {
    if std::env::var_os(INSIDE).is_some() {
        return make_yourself_at_home();
    }
    // SAFETY: a plain system call.
    if unsafe { libc::geteuid() } != 0 {
        return Err(Error::Other(
            "an engine of its own takes root: run this as root, or name a running engine with DOCKER_HOST"
                .to_owned(),
        ));
    }
    // SAFETY: a plain system call. The process namespace is for children only: the next one is its first process.
    if unsafe { libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS | libc::CLONE_NEWPID) } != 0 {
        let error = std::io::Error::last_os_error();
        return Err(Error::Other(format!(
            "can't make namespaces ({error}): name a running engine with DOCKER_HOST"
        )));
    }
    let this = std::env::current_exe().map_err(|e| Error::Other(format!("can't find this program: {e}")))?;
    let mut inside = Command::new(this);
    inside.args(std::env::args_os().skip(1)).env(INSIDE, "1");
    // SAFETY: between fork and exec only one system call is made. When this process ends, however that happens, so does the child,
    // and with it all processes of its namespace.
    unsafe {
        inside.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    let status = inside.status().map_err(|e| Error::Other(format!("can't start this program again: {e}")))?;
    std::process::exit(status.code().unwrap_or(1));
}

/// Mounts that only the test sees, processes of its namespace in `/proc`, and loopback.
fn make_yourself_at_home() -> Result<()> {
    for (what, program, arguments) in [
        ("keeping mounts to itself", "mount", &["--make-rprivate", "/"][..]),
        ("mounting /proc", "mount", &["-t", "proc", "proc", "/proc"]),
        ("mounting a file system in memory", "mount", &["-t", "tmpfs", "-o", "mode=0755", "tmpfs", RUN]),
        ("bringing loopback up", "ip", &["link", "set", "lo", "up"]),
    ] {
        run(Command::new(program).args(arguments))?.succeeded(what)?;
    }
    Ok(())
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
