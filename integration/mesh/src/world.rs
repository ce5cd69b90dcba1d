//! A world of the test's own: no network but what it makes, and mounts that nobody else sees.

use std::ffi::CString;
use std::process::Command;

use sluice_integration::{Error, Result, tools};

/// Moves this process, and all that it will start, into new network and mount namespaces.
///
/// Nothing inside can meet a port, a bridge or an iptables rule of the machine, and nothing of it is left when the process has
/// ended, however it ends: the kernel removes both with the last process in them. `/run` is empty and private, so that
/// `ip netns` can give the workloads' namespaces plain names.
///
/// # Errors
/// Not root, or not allowed to make namespaces. Called when there are other threads already: those would stay behind.
pub fn enter() -> Result<()> {
    // SAFETY: a plain system call.
    if unsafe { libc::geteuid() } != 0 {
        return Err("the test mesh needs network namespaces and iptables: run `make mesh-test` as root".into());
    }
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads != 1 {
        return Err(Error::Other(format!("{threads} threads run already: a world must be entered first")));
    }
    // SAFETY: a plain system call.
    if unsafe { libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS) } != 0 {
        let error = std::io::Error::last_os_error();
        return Err(Error::Other(format!(
            "the test mesh needs network namespaces, and this machine refuses to make one ({error}): in a container, give it \
             the capability SYS_ADMIN"
        )));
    }
    mount(None, "/", None, libc::MS_REC | libc::MS_PRIVATE)?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), 0)?;
    run(Command::new(tools::find("ip")?).args(["link", "set", "lo", "up"]))?;
    Ok(())
}

/// mount(2), without data.
fn mount(source: Option<&str>, target: &str, kind: Option<&str>, flags: libc::c_ulong) -> Result<()> {
    let text = |text: &str| CString::new(text).map_err(|e| Error::Other(e.to_string()));
    let (source, target_text, kind) =
        (source.map(text).transpose()?, text(target)?, kind.map(text).transpose()?);
    let pointer = |text: &Option<CString>| text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
    // SAFETY: every pointer is null or a terminated string that outlives the call.
    let outcome = unsafe {
        libc::mount(pointer(&source), target_text.as_ptr(), pointer(&kind), flags, std::ptr::null())
    };
    if outcome == 0 {
        return Ok(());
    }
    Err(Error::Other(format!("can't mount {target}: {}", std::io::Error::last_os_error())))
}

/// Runs a command to its end and gives its standard output.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let said = format!("{command:?}");
    let output = command.output().map_err(|e| Error::Other(format!("can't run {said}: {e}")))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(Error::Other(format!("{said}: {}\n{}", output.status, text(&output.stderr).trim_end())))
}
