//! A world of the test's own: no network but what it makes, mounts that nobody else sees, and processes that end with it.

use std::ffi::CString;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicI32, Ordering};

use sluice_integration::{Error, Result, tools};

/// The process in the world, for the one that waits outside.
static INSIDE: AtomicI32 = AtomicI32::new(0);

/// What a test signals and is signalled by: Ctrl-C, `kill`, and the end of its terminal.
const SIGNALS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// Goes on as a child in new network, mount and process namespaces; the process that called waits outside until the child has
/// ended, and ends as it did. Temporary files go to `temporary` from now on.
///
/// Nothing inside can meet a port, a bridge or an iptables rule of the machine, and nothing of it is left when either of the two
/// has ended, however it ends: the child is the first process of its namespace, and the kernel ends all others with it (an Envoy
/// outlives its agent otherwise). `/run` is empty and private, so that `ip netns` can give the workloads' namespaces plain names.
///
/// # Errors
/// Not root, or not allowed to make namespaces. Called when there are other threads already: those would stay behind.
pub fn enter(temporary: &Path) -> Result<()> {
    // SAFETY: a plain system call.
    if unsafe { libc::geteuid() } != 0 {
        return Err(
            "the test mesh needs network namespaces and iptables: run `make mesh-test` as root".into()
        );
    }
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads != 1 {
        return Err(Error::Other(format!("{threads} threads run already: a world must be entered first")));
    }
    // SAFETY: a plain system call.
    if unsafe { libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS | libc::CLONE_NEWPID) } != 0 {
        let error = std::io::Error::last_os_error();
        return Err(Error::Other(format!(
            "the test mesh needs network namespaces, and this machine refuses to make one ({error}): in a container, give it \
             the capability SYS_ADMIN"
        )));
    }
    // SAFETY: there is one thread, so the child is a whole process.
    match unsafe { libc::fork() } {
        -1 => {
            return Err(Error::Other(format!("can't start a process: {}", std::io::Error::last_os_error())));
        }
        0 => {}
        child => std::process::exit(wait_for(child)),
    }
    // SAFETY: a plain system call; and the environment is changed while there is one thread.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        std::env::set_var("TMPDIR", temporary);
    }
    mount(None, "/", None, libc::MS_REC | libc::MS_PRIVATE)?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), 0)?;
    mount(Some("proc"), "/proc", Some("proc"), 0)?;
    run(Command::new(tools::find("ip")?).args(["link", "set", "lo", "up"]))?;
    Ok(())
}

/// Waits for the process in the world, passing signals on; gives the status to exit with.
fn wait_for(child: libc::pid_t) -> i32 {
    extern "C" fn pass_on(signal: libc::c_int) {
        // SAFETY: a system call, async-signal-safe; the child has not been reaped, or this process ends.
        unsafe { libc::kill(INSIDE.load(Ordering::Relaxed), signal) };
    }
    INSIDE.store(child, Ordering::Relaxed);
    for signal in SIGNALS {
        // SAFETY: the handler only makes a system call.
        unsafe { libc::signal(signal, pass_on as *const () as libc::sighandler_t) };
    }
    let mut status = 0;
    // SAFETY: `status` is a place for the one value that is written.
    while unsafe { libc::waitpid(child, &raw mut status, 0) } == -1
        && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
    {}
    // As shells report one that a signal has ended.
    let status = ExitStatus::from_raw(status);
    status.code().or(status.signal().map(|signal| signal.saturating_add(128))).unwrap_or(1)
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
