//! Child processes of which nothing survives.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::wait::wait_until;
use crate::{Error, Result};

/// How long a child has to end by itself after SIGTERM.
const GRACE: Duration = Duration::from_secs(3);

/// A running child process, its output in two files.
///
/// It is in a process group of its own (Ctrl-C on the terminal reaches only us, and we end it), the group is killed when this
/// is dropped, and the kernel kills the child when we die, however that happens.
pub struct Process {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// What a process has used since it started.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Resident memory, in bytes.
    pub resident: u64,
    /// Processor time in user and kernel mode, over all threads.
    pub processor: Duration,
}

/// The groups of the children that run, for [`kill_all`].
static GROUPS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

type Job = (Command, Sender<std::io::Result<Child>>);

/// `PR_SET_PDEATHSIG` fires when the *thread* that forked ends; tests run in threads that end. So one thread, which never
/// ends, forks them all.
static FORKER: LazyLock<Sender<Job>> = LazyLock::new(|| {
    let (jobs, inbox) = channel::<Job>();
    std::thread::Builder::new()
        .name("forker".to_owned())
        .spawn(move || {
            for (mut command, answer) in inbox {
                // A caller that no longer waits has dropped its end: then the child is dropped and must not live on.
                if let Err(unsent) = answer.send(command.spawn())
                    && let Ok(mut child) = unsent.0
                {
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
        })
        .expect("a thread can be started");
    jobs
});

impl Process {
    /// Starts `command`; its output goes to `<directory>/<name>.stdout.log` and `<name>.stderr.log`, emptied first.
    pub fn start(name: &str, mut command: Command, directory: &Path) -> Result<Self> {
        std::fs::create_dir_all(directory).map_err(|e| Error::file("can't create", directory, e))?;
        let stdout = directory.join(format!("{name}.stdout.log"));
        let stderr = directory.join(format!("{name}.stderr.log"));
        let create = |path: &Path| File::create(path).map_err(|e| Error::file("can't write", path, e));
        command.stdin(Stdio::null()).stdout(create(&stdout)?).stderr(create(&stderr)?);
        command.process_group(0);
        let parent = std::process::id();
        // SAFETY: between fork and exec only async-signal-safe calls are made: prctl, getppid, _exit.
        unsafe {
            command.pre_exec(move || {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                // The parent may have died before the call above.
                if u32::try_from(libc::getppid()) != Ok(parent) {
                    libc::_exit(1);
                }
                Ok(())
            });
        }
        let program = command.get_program().to_owned();
        let (answer, inbox) = channel();
        FORKER.send((command, answer)).map_err(|_| "the forking thread has ended")?;
        let child = inbox
            .recv()
            .map_err(|_| "the forking thread has ended")?
            .map_err(|e| Error::file("can't start", Path::new(&program), e))?;
        groups().insert(child.id());
        Ok(Self { name: name.to_owned(), child, stdout, stderr })
    }

    /// The name that it was started under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The status with which it ended, if it has.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        read_lossy(&self.stdout)
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        read_lossy(&self.stderr)
    }

    /// The last `lines` lines of its standard error.
    pub fn tail(&self, lines: usize) -> String {
        let log = self.stderr();
        // Envoy begins with a page of all that it was built with, in very long lines.
        let all: Vec<&str> = log.lines().filter(|line| !line.contains("server.cc:467]")).collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// The file that its standard output goes to.
    pub fn stdout_file(&self) -> &Path {
        &self.stdout
    }

    /// The file that its standard error goes to.
    pub fn stderr_file(&self) -> &Path {
        &self.stderr
    }

    /// Memory and processor time, from `/proc/<pid>`.
    pub fn usage(&self) -> Result<Usage> {
        usage_of(self.id())
            .ok_or_else(|| Error::Other(format!("{} (pid {}) has ended", self.name, self.id())))
    }

    /// Waits until `ready`; an error with the end of the log if it ends first or takes longer than `limit`.
    pub fn wait_ready(&mut self, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let mut ended = None;
        let outcome = wait_until(&format!("{} to be ready", self.name), limit, || {
            ended = self.child.try_wait().ok().flatten();
            ended.is_some() || ready()
        });
        match (outcome, ended) {
            (Ok(()), None) => Ok(()),
            (_, Some(status)) => Err(Error::Other(format!(
                "{} ended ({status}); the end of its log:\n{}",
                self.name,
                self.tail(25)
            ))),
            (Err(_), None) => {
                Err(Error::NotInTime { what: format!("{} to be ready", self.name), log: self.tail(25) })
            }
        }
    }

    /// Asks it to end (SIGTERM), and kills its group if it has not after three seconds.
    pub fn stop(&mut self) {
        if self.exit_status().is_none() {
            self.signal(libc::SIGTERM);
            let _ = wait_until("the end", GRACE, || self.exit_status().is_some());
        }
        self.kill();
    }

    /// Kills it and its group at once, and waits until it is gone.
    pub fn kill(&mut self) {
        // Also when the child itself has ended: one of its group may live on.
        self.signal(libc::SIGKILL);
        let _ = self.child.wait();
        groups().remove(&self.child.id());
    }

    /// Stops it where it stands (SIGSTOP), as a machine that hangs: it still holds its ports.
    pub fn freeze(&self) {
        self.signal(libc::SIGSTOP);
    }

    /// Lets it go on after [`Process::freeze`].
    pub fn thaw(&self) {
        self.signal(libc::SIGCONT);
    }

    fn signal(&self, signal: libc::c_int) {
        // Once it is killed and reaped its id may be another's.
        let groups = groups();
        if groups.contains(&self.child.id()) {
            signal_group(self.child.id(), signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Kills every child and its group and waits until they are gone: for a process that is about to end without unwinding.
pub(crate) fn kill_all() {
    let groups = std::mem::take(&mut *groups());
    for group in &groups {
        signal_group(*group, libc::SIGKILL);
    }
    for child in groups {
        if let Ok(child) = libc::pid_t::try_from(child) {
            // SAFETY: a plain system call that writes nothing; if another thread has reaped the child it fails, which is as good.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        }
    }
}

fn groups() -> MutexGuard<'static, BTreeSet<u32>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn signal_group(group: u32, signal: libc::c_int) {
    if let Ok(group) = libc::pid_t::try_from(group) {
        // SAFETY: a plain system call; the group is one that we made for a child that we have not reaped.
        unsafe { libc::kill(-group, signal) };
    }
}

fn read_lossy(path: &Path) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Reads `VmRSS` of `/proc/<pid>/status` and `utime + stime` of `/proc/<pid>/stat` (fields 14 and 15, proc(5)).
fn usage_of(pid: u32) -> Option<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the name in parentheses, may itself contain spaces and parentheses.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    // SAFETY: a plain library call.
    let per_second = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).ok()?;
    Some(Usage { resident: kibibytes * 1024, processor: Duration::from_millis(ticks * 1000 / per_second) })
}

#[cfg(test)]
mod tests;
