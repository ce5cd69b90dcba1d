//! An Envoy that takes part in the comparison.

use std::path::PathBuf;

use serde_json::Value;
use sluice_integration::{Envoy, Error, Result, ports, repository_root};

use crate::bootstrap::bootstrap;
use crate::load::Load;
use crate::probe::Probe;
use crate::processor::{Cores, ProcessorClock};
use crate::service::services;

/// Where bootstraps, logs and results go.
pub fn directory() -> PathBuf {
    repository_root().join("target/bench")
}

/// A running Envoy with one chain of filters, the connections to it, and the clock of its processor time.
pub struct Contender {
    envoy: Envoy,
    clock: ProcessorClock,
    load: Load,
    port: u16,
}

impl Contender {
    /// Starts an Envoy with one worker and these filters.
    pub fn start(name: &str, filters: &[Value], cores: Option<Cores>) -> Result<Self> {
        let port = ports::free();
        let mut envoy = start_envoy(name, port, filters, 1)?;
        let process = envoy.process().id();
        if let Some(cores) = cores {
            cores.pin_envoy(process)?;
        }
        Ok(Self { clock: ProcessorClock::of(process)?, load: Load::connect(port)?, envoy, port })
    }

    /// Sees that its filters act.
    pub fn check(&self, probes: &[Probe]) -> Result<()> {
        probes.iter().try_for_each(|probe| probe.check(&self.envoy, self.port))
    }

    /// Sends `count` requests: the processor time of one, in µs.
    pub fn measure(&mut self, requests: &[Vec<u8>], count: usize) -> Result<f64> {
        let before = self.clock.now()?;
        self.load.run(requests, count)?;
        let used = self.clock.now()?.saturating_sub(before);
        Ok(used.as_secs_f64() * 1e6 / count as f64)
    }
}

/// Starts an Envoy with that many workers and waits until it is live.
pub fn start_envoy(name: &str, port: u16, filters: &[Value], workers: u32) -> Result<Envoy> {
    let directory = directory();
    std::fs::create_dir_all(&directory).map_err(|e| Error::file("can't create", &directory, e))?;
    let file = directory.join(format!("{name}.json"));
    std::fs::write(&file, format!("{:#}", bootstrap(port, services()?, filters)))
        .map_err(|e| Error::file("can't write", &file, e))?;
    Envoy::from_file(name, &file).directory(&directory).concurrency(workers).log_level("warning").start()
}
