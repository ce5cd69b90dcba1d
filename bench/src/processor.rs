//! Processor time and processor cores.

use std::time::Duration;

use sluice_integration::{Error, Result};

/// The clock of a process' processor time.
///
/// `/proc/<pid>/stat` counts ticks of 10 ms; this clock (`clock_getcpuclockid(3)`) counts nanoseconds: user and system time of all
/// threads, those that have ended and those that are running right now included.
#[derive(Debug, Clone, Copy)]
pub struct ProcessorClock(libc::clockid_t);

impl ProcessorClock {
    /// The clock of that process.
    pub fn of(process: u32) -> Result<Self> {
        let mut clock = 0;
        let process = libc::pid_t::try_from(process).map_err(|e| Error::Other(e.to_string()))?;
        // SAFETY: a plain library call that writes one integer of ours.
        match unsafe { libc::clock_getcpuclockid(process, &raw mut clock) } {
            0 => Ok(Self(clock)),
            error => Err(Error::Other(format!(
                "no processor clock of process {process}: {}",
                std::io::Error::from_raw_os_error(error)
            ))),
        }
    }

    /// The processor time that the process has used since it started.
    pub fn now(self) -> Result<Duration> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: a plain system call that fills a structure of ours.
        if unsafe { libc::clock_gettime(self.0, &raw mut time) } != 0 {
            let error = std::io::Error::last_os_error();
            return Err(Error::Other(format!("the process' processor time can't be read: {error}")));
        }
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
        Ok(Duration::new(seconds, nanoseconds))
    }
}

/// Which core the Envoys run on and which the load generator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cores {
    /// The core of the Envoys.
    pub envoy: usize,
    /// The core of the load generator.
    pub load: usize,
}

impl Cores {
    /// The first two cores that this process may use; `None` if it may use only one.
    pub fn choose() -> Option<Self> {
        // SAFETY: a set of zeros is an empty one; the call fills it.
        let allowed = unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) != 0 {
                return None;
            }
            set
        };
        let size = usize::try_from(libc::CPU_SETSIZE).unwrap_or(0);
        // SAFETY: the index is below the size of the set.
        let mut cores = (0..size).filter(|core| unsafe { libc::CPU_ISSET(*core, &allowed) });
        Some(Self { envoy: cores.next()?, load: cores.next()? })
    }

    /// Keeps every thread of that process, and those that they will start, on the Envoys' core.
    pub fn pin_envoy(self, process: u32) -> Result<()> {
        let threads = std::fs::read_dir(format!("/proc/{process}/task"))
            .map_err(|e| Error::Other(format!("the threads of process {process}: {e}")))?;
        for thread in threads.flatten() {
            // One that has ended meanwhile needs no core.
            if let Some(id) = thread.file_name().to_str().and_then(|name| name.parse().ok()) {
                pin(id, self.envoy);
            }
        }
        Ok(())
    }

    /// Keeps the calling thread on the load generator's core.
    pub fn pin_load(self) {
        pin(0, self.load);
    }
}

/// How much more of a core our threads ask for than others' on a busy machine (nice(2)); to ask for more takes a privilege.
const NICENESS: libc::c_int = -10;

/// Keeps a thread on a core, and before others' threads there. Where this is not permitted it goes where it likes: the figures
/// spread more and mean the same.
fn pin(thread: libc::pid_t, core: usize) {
    // SAFETY: a set of zeros is an empty one; the core is one that `sched_getaffinity` named; Linux gives each thread a niceness.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, thread.unsigned_abs(), NICENESS);
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(thread, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_moves_the_clock_of_its_process() {
        let clock = ProcessorClock::of(std::process::id()).unwrap();
        let before = clock.now().unwrap();
        let mut x = 1_u64;
        for step in 0..3_000_000_u64 {
            x = std::hint::black_box(x.wrapping_mul(31).wrapping_add(step));
        }
        assert!(clock.now().unwrap() > before);
    }

    #[test]
    fn a_process_that_is_not_there_has_no_clock() {
        // Above the largest process id that Linux gives (2^22).
        assert!(ProcessorClock::of(1 << 23).is_err());
    }
}
