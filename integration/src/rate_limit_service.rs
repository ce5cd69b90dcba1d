//! envoyproxy/ratelimit with a Redis: the real ones.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::{Client, Error, Process, Request, Result, ports, repository_root, tools};

/// How long they may take to start.
const START: Duration = Duration::from_secs(60);

/// A rate-limit service, and the Redis in which it counts. Both end when it is dropped.
pub struct RateLimitService {
    service: Process,
    redis: Process,
    ports: Ports,
    directory: PathBuf,
}

#[derive(Clone, Copy)]
struct Ports {
    redis: u16,
    grpc: u16,
    http: u16,
    debug: u16,
}

impl RateLimitService {
    /// Starts both; `configuration` is the service's own, YAML.
    ///
    /// # Errors
    /// When a program is missing, with the set-up that installs it; when one does not start.
    pub fn start(configuration: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory =
            repository_root().join(format!("target/integration/ratelimit-{}-{number}", std::process::id()));
        let config = directory.join("data/sluice/config");
        std::fs::create_dir_all(&config).map_err(|e| Error::file("can't create", &config, e))?;
        let file = config.join("domain.yaml");
        std::fs::write(&file, configuration).map_err(|e| Error::file("can't write", &file, e))?;
        let ports =
            Ports { redis: ports::free(), grpc: ports::free(), http: ports::free(), debug: ports::free() };
        let redis = start_redis(ports, &directory)?;
        let service = start_service(ports, &directory)?;
        Ok(Self { service, redis, ports, directory })
    }

    /// The port of its gRPC service.
    pub fn port(&self) -> u16 {
        self.ports.grpc
    }

    /// The service, to freeze it.
    pub fn service(&self) -> &Process {
        &self.service
    }

    /// The Redis, to freeze it.
    pub fn redis(&self) -> &Process {
        &self.redis
    }

    /// Kills the service.
    pub fn kill(&mut self) {
        self.service.kill();
    }

    /// Kills the Redis; what it has counted is lost.
    pub fn kill_redis(&mut self) {
        self.redis.kill();
    }

    /// Starts the service again.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.service.kill();
        self.service = start_service(self.ports, &self.directory)?;
        Ok(())
    }

    /// Starts the Redis again, empty.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart_redis(&mut self) -> Result<()> {
        self.redis.kill();
        self.redis = start_redis(self.ports, &self.directory)?;
        Ok(())
    }

    /// The names under which it has counted, in alphabetical order.
    ///
    /// # Errors
    /// When Redis can't be asked.
    pub fn counters(&self) -> Result<Vec<String>> {
        let output = Command::new(tools::find("redis-cli")?)
            .args(["-p", &self.ports.redis.to_string(), "keys", "*"])
            .output()
            .map_err(|e| Error::Other(format!("can't ask Redis: {e}")))?;
        let mut keys: Vec<String> =
            String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        keys.sort();
        Ok(keys)
    }
}

impl Drop for RateLimitService {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the rate-limit service's logs: {}", self.directory.display());
        } else {
            self.service.kill();
            self.redis.kill();
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

fn start_redis(ports: Ports, directory: &Path) -> Result<Process> {
    let mut command = Command::new(tools::find("redis-server")?);
    command
        .args(["--bind", "127.0.0.1", "--port", &ports.redis.to_string()])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(directory);
    let mut redis = Process::start("redis", command, directory)?;
    redis.wait_ready(START, || std::net::TcpStream::connect(("127.0.0.1", ports.redis)).is_ok())?;
    Ok(redis)
}

fn start_service(ports: Ports, directory: &Path) -> Result<Process> {
    let mut command = Command::new(tools::find("ratelimit")?);
    command
        .env("HOST", "127.0.0.1")
        .env("PORT", ports.http.to_string())
        .env("GRPC_HOST", "127.0.0.1")
        .env("GRPC_PORT", ports.grpc.to_string())
        .env("DEBUG_HOST", "127.0.0.1")
        .env("DEBUG_PORT", ports.debug.to_string())
        .env("REDIS_SOCKET_TYPE", "tcp")
        .env("REDIS_URL", format!("127.0.0.1:{}", ports.redis))
        .env("REDIS_TIMEOUT", "1s")
        .env("USE_STATSD", "false")
        .env("DISABLE_STATS", "true")
        .env("RUNTIME_ROOT", directory.join("data"))
        .env("RUNTIME_SUBDIRECTORY", "sluice")
        .env("RUNTIME_WATCH_ROOT", "false")
        .env("LOG_LEVEL", "warn");
    let mut service = Process::start("ratelimit", command, directory)?;
    let health = Client::new(ports.http).with_limit(Duration::from_secs(5));
    service.wait_ready(START, || {
        health.send(&Request::get("/healthcheck")).is_ok_and(|answer| answer.status == 200)
    })?;
    Ok(service)
}
