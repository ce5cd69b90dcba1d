//! A running Envoy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::process::{Process, Usage};
use crate::{
    Answer, Client, Error, Request, Result, envoy_binary, repository_root, wait_until, wait_until_some,
};

/// How long an Envoy may take until it says that it is live: a module is compiled once for each worker.
const START: Duration = Duration::from_secs(180);

/// How long a replaced filter may take until it is taken or refused.
const RELOAD: Duration = Duration::from_secs(60);

/// How long a line of a log may take that will be written: on a machine that does much else besides.
pub(crate) const LOGGED: Duration = Duration::from_secs(30);

/// What an Envoy is started with.
pub struct EnvoyBuilder {
    name: String,
    bootstrap: PathBuf,
    substitutions: Vec<(String, String)>,
    concurrency: u32,
    log_level: String,
    arguments: Vec<String>,
    directory: PathBuf,
    limit: Duration,
}

/// A running Envoy; it ends when this is dropped.
pub struct Envoy {
    process: Process,
    admin: Client,
    admin_port: u16,
    bootstrap: PathBuf,
}

/// One line of the JSON access log.
pub type AccessLogEntry = Value;

impl EnvoyBuilder {
    /// Replaces a word (bounded by anything that is not a letter, a digit, `.`, `-`, `_` or `/`) wherever the bootstrap has
    /// it: a port, or a whole path.
    pub fn replace(mut self, word: impl ToString, by: impl ToString) -> Self {
        self.substitutions.push((word.to_string(), by.to_string()));
        self
    }

    /// The number of workers (1 unless told).
    pub fn concurrency(mut self, workers: u32) -> Self {
        self.concurrency = workers;
        self
    }

    /// Envoy's log level, such as `info` or `debug` (`info` unless told).
    pub fn log_level(mut self, level: &str) -> Self {
        self.log_level = level.to_owned();
        self
    }

    /// One more argument on the command line.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Where its logs go, and the bootstrap with its substitutions.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = directory.into();
        self
    }

    /// How long it may take to become live.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Starts it from the repository's root and waits until it is live, all listeners ready.
    pub fn start(self) -> Result<Envoy> {
        let binary = envoy_binary()?;
        std::fs::create_dir_all(&self.directory)
            .map_err(|e| Error::file("can't create", &self.directory, e))?;
        let bootstrap = self.write_bootstrap()?;
        let admin_address = self.directory.join(format!("{}.admin-address", self.name));
        let _ = std::fs::remove_file(&admin_address);

        let mut command = Command::new(binary);
        command
            .current_dir(repository_root())
            .arg("--config-path")
            .arg(&bootstrap)
            .args(["--concurrency", &self.concurrency.to_string()])
            .args(["--log-level", &self.log_level])
            .args(["--component-log-level", "wasm:info"])
            // Envoys on one machine share a segment of memory for hot restarts unless told not to.
            .arg("--disable-hot-restart")
            // The access log is written at once, not after ten seconds.
            .args(["--file-flush-interval-msec", "20"])
            .arg("--admin-address-path")
            .arg(&admin_address)
            .args(&self.arguments);
        let mut process = Process::start(&self.name, command, &self.directory)?;

        let mut admin = None;
        process.wait_ready(self.limit, || {
            if admin.is_none() {
                let written = std::fs::read_to_string(&admin_address).unwrap_or_default();
                let port = written.rsplit_once(':').and_then(|(_, port)| port.trim().parse::<u16>().ok());
                admin = port.map(|port| (port, Client::new(port).with_limit(Duration::from_secs(20))));
            }
            admin.as_ref().is_some_and(|(_, client)| {
                client.send(&Request::get("/ready")).is_ok_and(|answer| answer.status == 200)
            })
        })?;
        let (admin_port, admin) = admin.ok_or("Envoy was ready without an admin address")?;
        Ok(Envoy { process, admin, admin_port, bootstrap })
    }

    /// What `envoy --mode validate` says of the bootstrap: nothing, or its complaint.
    pub fn validate(self) -> Result<()> {
        let bootstrap = self.write_bootstrap()?;
        let output = Command::new(envoy_binary()?)
            .current_dir(repository_root())
            .args(["--mode", "validate", "--disable-hot-restart", "--log-level", "error", "--config-path"])
            .arg(&bootstrap)
            .args(&self.arguments)
            .output()
            .map_err(|e| Error::file("can't validate", &bootstrap, e))?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::Other(format!("{}: {}", bootstrap.display(), String::from_utf8_lossy(&output.stderr))))
    }

    /// The bootstrap itself when nothing is replaced, else a copy beside the logs.
    fn write_bootstrap(&self) -> Result<PathBuf> {
        if self.substitutions.is_empty() {
            return Ok(self.bootstrap.clone());
        }
        let text = std::fs::read_to_string(&self.bootstrap)
            .map_err(|e| Error::file("can't read", &self.bootstrap, e))?;
        let text = replace_words(&text, &self.substitutions)?;
        std::fs::create_dir_all(&self.directory)
            .map_err(|e| Error::file("can't create", &self.directory, e))?;
        let extension = self.bootstrap.extension().and_then(|extension| extension.to_str()).unwrap_or("yaml");
        let copy = self.directory.join(format!("{}.bootstrap.{extension}", self.name));
        std::fs::write(&copy, text).map_err(|e| Error::file("can't write", &copy, e))?;
        Ok(copy)
    }
}

/// Replaces all words at once, so that no replacement is itself replaced. A word that does not occur is an error: the file
/// has changed and whoever replaces must know.
fn replace_words(text: &str, substitutions: &[(String, String)]) -> Result<String> {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    let mut used = vec![false; substitutions.len()];
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        if end == 0 {
            let next = rest.find(is_word).unwrap_or(rest.len());
            replaced.push_str(&rest[..next]);
            rest = &rest[next..];
            continue;
        }
        let word = &rest[..end];
        match substitutions.iter().position(|(old, _)| old == word) {
            Some(index) => {
                used[index] = true;
                replaced.push_str(&substitutions[index].1);
            }
            None => replaced.push_str(word),
        }
        rest = &rest[end..];
    }
    match used.iter().position(|used| !used) {
        Some(index) => {
            Err(Error::Other(format!("the bootstrap does not have the word {:?}", substitutions[index].0)))
        }
        None => Ok(replaced),
    }
}

impl Envoy {
    /// An Envoy that will be started from a bootstrap file, YAML or JSON by its extension.
    pub fn from_file(name: &str, bootstrap: impl Into<PathBuf>) -> EnvoyBuilder {
        EnvoyBuilder {
            name: name.to_owned(),
            bootstrap: bootstrap.into(),
            substitutions: Vec::new(),
            concurrency: 1,
            log_level: "info".to_owned(),
            arguments: Vec::new(),
            directory: repository_root().join("target/integration"),
            limit: START,
        }
    }

    /// The port of its admin interface.
    pub fn admin_port(&self) -> u16 {
        self.admin_port
    }

    /// The bootstrap that it was started with, after substitutions.
    pub fn bootstrap(&self) -> &Path {
        &self.bootstrap
    }

    /// Its process: to freeze, kill, or read the logs.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Memory and processor time.
    pub fn usage(&self) -> Result<Usage> {
        self.process.usage()
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.stderr()
    }

    /// The file of its log.
    pub fn log_file(&self) -> &Path {
        self.process.stderr_file()
    }

    /// The file of its access log.
    pub fn access_log_file(&self) -> &Path {
        self.process.stdout_file()
    }

    /// Every line of its access log so far that is JSON.
    pub fn access_log(&self) -> Vec<AccessLogEntry> {
        self.process.stdout().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The latest entry of the access log that `wanted` accepts, awaited for half a minute (it is written after the answer).
    pub fn access_log_entry(&self, wanted: impl Fn(&AccessLogEntry) -> bool) -> Result<AccessLogEntry> {
        wait_until_some("a line of the access log", LOGGED, || {
            self.access_log().into_iter().rev().find(|entry| wanted(entry))
        })
    }

    /// Waits until its log has a line with `text`, and gives the line.
    pub fn log_line(&self, text: &str, limit: Duration) -> Result<String> {
        wait_until_some(&format!("a line with {text:?} in Envoy's log"), limit, || {
            self.log().lines().rev().find(|line| line.contains(text)).map(str::to_owned)
        })
        .map_err(|_| Error::NotInTime {
            what: format!("a log line with {text:?}"),
            log: self.process.tail(25),
        })
    }

    /// A GET on the admin interface.
    pub fn admin(&self, path: &str) -> Result<Answer> {
        self.admin.send(&Request::get(path))
    }

    /// A POST on the admin interface, such as `/logging?level=debug`.
    pub fn admin_post(&self, path: &str) -> Result<Answer> {
        self.admin.send(&Request::new("POST", path))
    }

    /// Counters and gauges by their full names (no histograms).
    pub fn stats(&self) -> Result<BTreeMap<String, u64>> {
        stats(&self.admin)
    }

    /// One counter or gauge by its full name; 0 if it doesn't exist.
    pub fn stat(&self, name: &str) -> Result<u64> {
        Ok(self.stats()?.get(name).copied().unwrap_or(0))
    }

    /// The metrics as Prometheus scrapes them.
    pub fn prometheus(&self) -> Result<String> {
        Ok(self.admin("/stats/prometheus")?.text())
    }

    /// The sum of a Prometheus metric over its series that carry all of `labels`.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        Ok(sum_of_series(&self.prometheus()?, name, labels))
    }

    /// Replaces the file in which it watches the filter, and waits until it has taken or refused it: true if it was taken.
    pub(crate) fn replace_filter(&self, file: &Path, response: &Value) -> Result<bool> {
        replace_filter(&self.admin, file, &format!("{response:#}"))
    }

    /// The configuration that it runs with, ECDS included.
    pub fn config_dump(&self) -> Result<Value> {
        Ok(self.admin("/config_dump?include_eds")?.json())
    }
}

/// Counters and gauges by their full names (no histograms), from an admin interface.
fn stats(admin: &Client) -> Result<BTreeMap<String, u64>> {
    let text = admin.send(&Request::get("/stats?format=text"))?.text();
    let numbers = text.lines().filter_map(|line| {
        let (name, value) = line.rsplit_once(": ")?;
        Some((name.to_owned(), value.parse().ok()?))
    });
    Ok(numbers.collect())
}

/// Replaces the file in which an Envoy watches the filter, and waits until it has taken or refused it: true if it was taken.
pub(crate) fn replace_filter(admin: &Client, file: &Path, content: &str) -> Result<bool> {
    let count = |counter: &str| -> Result<u64> {
        let name = format!("extension_config_discovery.http_filter.sluice.{counter}");
        Ok(stats(admin)?.get(&name).copied().unwrap_or(0))
    };
    let (taken, refused) = (count("update_success")?, count("update_rejected")?);
    replace_file(file, content)?;
    let mut accepted = false;
    wait_until("the filter to be reloaded", RELOAD, || {
        accepted = count("update_success").is_ok_and(|now| now > taken);
        accepted || count("update_rejected").is_ok_and(|now| now > refused)
    })?;
    Ok(accepted)
}

fn sum_of_series(metrics: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    metrics
        .lines()
        .filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (metric, carried) =
                series.strip_suffix('}').and_then(|s| s.split_once('{')).unwrap_or((series, ""));
            let carries = |(label, value): &(&str, &str)| carried.contains(&format!("{label}=\"{value}\""));
            (metric == name && labels.iter().all(carries)).then(|| value.parse::<f64>().ok())?
        })
        .sum()
}

/// Replaces a file in one step, as Envoy's file watchers need it: written beside it, then renamed over it.
pub(crate) fn replace_file(path: &Path, content: &str) -> Result<()> {
    let beside = path.with_extension("next");
    std::fs::write(&beside, content).map_err(|e| Error::file("can't write", &beside, e))?;
    std::fs::rename(&beside, path).map_err(|e| Error::file("can't replace", path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_replaced_whole_and_at_once() {
        let swap = [("10000", "10001"), ("10001", "10000"), ("target/demo", "/x")]
            .map(|(old, new)| (old.to_owned(), new.to_owned()));
        let text = "port_value: 10000\n\"10001\", 100001, x10000: target/demo target/demo/certs";
        assert_eq!(
            replace_words(text, &swap).unwrap(),
            "port_value: 10001\n\"10000\", 100001, x10000: /x target/demo/certs"
        );
    }

    #[test]
    fn a_word_that_is_not_there_is_an_error() {
        assert!(replace_words("a", &[("b".to_owned(), "c".to_owned())]).is_err());
    }

    #[test]
    fn series_are_summed_by_their_labels() {
        let metrics = "# TYPE m counter\nm{a=\"1\",b=\"2\"} 3\nm{a=\"1\",b=\"3\"} 4\nm{a=\"2\"} 5\nn 6\n";
        assert_eq!(sum_of_series(metrics, "m", &[("a", "1")]), 7.0);
        assert_eq!(sum_of_series(metrics, "m", &[]), 12.0);
        assert_eq!(sum_of_series(metrics, "n", &[]), 6.0);
    }
}
