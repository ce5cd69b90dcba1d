use std::process::Command;

use super::*;

/// A process, and the folder of its output, which goes after it.
struct Started {
    process: Process,
    _directory: tempfile::TempDir,
}

impl std::ops::Deref for Started {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl std::ops::DerefMut for Started {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn start(name: &str, script: &str) -> Started {
    let directory = tempfile::tempdir().unwrap();
    Started { process: Process::start(name, shell(script), directory.path()).unwrap(), _directory: directory }
}

fn lives(pid: u32) -> bool {
    // A zombie has no command line.
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn a_dropped_process_is_gone_with_its_children() {
    let process = start("family", "sleep 600 & echo $!; wait");
    let child: u32 = crate::wait_until_some("the child's id", Duration::from_secs(60), || {
        process.stdout().trim().parse().ok()
    })
    .unwrap();
    // Between fork and exec the child is named before it has a command line.
    wait_until("both to live", Duration::from_secs(60), || lives(process.id()) && lives(child)).unwrap();
    let parent = process.id();
    drop(process);
    wait_until("both to be gone", Duration::from_secs(60), || !lives(parent) && !lives(child)).unwrap();
}

#[test]
fn a_process_outlives_the_thread_that_started_it() {
    let mut process = std::thread::spawn(|| start("thread", "sleep 600")).join().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(process.exit_status(), None);
}

#[test]
fn one_that_ends_early_is_reported_with_its_log() {
    let mut process = start("early", "echo no such thing >&2; exit 3");
    let error = process.wait_ready(Duration::from_secs(60), || false).unwrap_err().to_string();
    assert!(error.contains("early ended (exit status: 3)") && error.contains("no such thing"), "{error}");
}

#[test]
fn one_that_is_not_ready_in_time_is_reported_with_its_log() {
    let mut process = start("slow", "echo still loading >&2; sleep 600");
    wait_until("its word", Duration::from_secs(60), || process.stderr().contains("still loading")).unwrap();
    let error = process.wait_ready(Duration::from_millis(20), || false).unwrap_err().to_string();
    assert!(error.contains("slow to be ready: not in time") && error.contains("still loading"), "{error}");
}

#[test]
fn memory_and_processor_time_are_read() {
    let process = start("busy", "while :; do :; done");
    wait_until("some work", Duration::from_secs(60), || {
        process.usage().is_ok_and(|usage| usage.processor > Duration::from_millis(30))
    })
    .unwrap();
    assert!(process.usage().unwrap().resident > 100 * 1024);
}
