//! The whole demo: an edge, two services, a sidecar for each.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::certificates::{Authority, identity};
use crate::envoy::{EnvoyBuilder, replace_file};
use crate::process::Process;
use crate::{Client, Envoy, Error, Request, Result, document, module_named, repository_root, wasm_filter};

mod demo;
mod ports_of_the_demo;
mod proxy;

pub use ports_of_the_demo::Ports;
pub use proxy::Proxy;

/// Where the bootstraps look for certificates and for the filter's file.
const DOCUMENTED_DIRECTORY: &str = "target/demo";

/// How long a service may take to listen.
const SERVICE_START: Duration = Duration::from_secs(60);

/// What a mesh is started with.
pub struct MeshBuilder {
    ports: Ports,
    directory: PathBuf,
    concurrency: u32,
    progress: Box<dyn FnMut(&str)>,
}

/// The running demo. Everything ends when it is dropped.
pub struct Mesh {
    // The edge is dropped first, the services last: nobody logs a peer that vanishes.
    edge: Envoy,
    orders: Envoy,
    inventory: Envoy,
    services: Vec<Process>,
    ports: Ports,
    directory: PathBuf,
}

impl MeshBuilder {
    /// Where certificates, the filters' files and the logs go; `target/demo` unless told.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = directory.into();
        self
    }

    /// The number of workers of each Envoy (2 unless told).
    pub fn concurrency(mut self, workers: u32) -> Self {
        self.concurrency = workers;
        self
    }

    /// Told of each step as it begins.
    pub fn progress(mut self, progress: impl FnMut(&str) + 'static) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// Makes certificates and starts everything, from the inside out.
    pub fn start(mut self) -> Result<Mesh> {
        for proxy in Proxy::ALL {
            module_named(proxy.module())?;
        }
        crate::envoy_binary()?;
        self.ports.must_be_free()?;

        (self.progress)("making certificates: an authority, and a SPIFFE identity for each workload");
        let authority = Authority::new()?;
        for proxy in Proxy::ALL {
            authority.issue(proxy.name(), &identity(proxy.name()), &self.directory.join("certs"))?;
        }

        (self.progress)("starting the services: orders v1, orders v2, inventory, issuer");
        let services = self.start_services()?;

        for proxy in Proxy::ALL {
            write_filter(proxy, &self.directory, &policy_of(proxy)?, "0")?;
        }
        (self.progress)(
            "starting three Envoys with Sluice in them, each with its policy document (some seconds: the module is compiled)",
        );
        let started = Instant::now();
        let mut envoys = Vec::new();
        std::thread::scope(|scope| {
            let (done, ready) = channel();
            for proxy in Proxy::ALL {
                let done = done.clone();
                let builder = self.envoy(proxy);
                scope.spawn(move || {
                    let envoy =
                        builder.and_then(|builder| builder.start()).and_then(|envoy| accepted(proxy, envoy));
                    let _ = done.send((proxy, envoy));
                });
            }
            drop(done);
            for (proxy, envoy) in ready {
                let envoy = envoy?;
                let what = if proxy == Proxy::Edge { "the edge" } else { "the sidecar of" };
                let name = if proxy == Proxy::Edge { "" } else { proxy.name() };
                let policy = proxy.policy();
                (self.progress)(
                    &format!("{what} {name} is ready with {policy} ({:.1?})", started.elapsed())
                        .replace("  ", " "),
                );
                envoys.push((proxy, envoy));
            }
            Ok::<(), Error>(())
        })?;
        let mut take = |wanted: Proxy| {
            let position = envoys.iter().position(|(proxy, _)| *proxy == wanted);
            position
                .map(|position| envoys.swap_remove(position).1)
                .ok_or("an Envoy was started and is not there")
        };
        let (edge, orders, inventory) = (take(Proxy::Edge)?, take(Proxy::Orders)?, take(Proxy::Inventory)?);
        Ok(Mesh { edge, orders, inventory, services, ports: self.ports, directory: self.directory })
    }

    fn start_services(&self) -> Result<Vec<Process>> {
        let ports = &self.ports;
        let wanted = [
            ("orders", "v1", ports.orders_v1),
            ("orders", "v2", ports.orders_v2),
            ("inventory", "v1", ports.inventory),
            ("issuer", "v1", ports.issuer),
        ];
        let mut services = Vec::new();
        for (service, version, port) in wanted {
            services.push(start_service(service, version, port, ports.orders_outbound, &self.directory)?);
        }
        Ok(services)
    }

    /// How a proxy is started: its bootstrap, on these ports and with these files.
    fn envoy(&self, proxy: Proxy) -> Result<EnvoyBuilder> {
        let bootstrap = repository_root().join(proxy.bootstrap());
        let text =
            std::fs::read_to_string(&bootstrap).map_err(|e| Error::file("can't read", &bootstrap, e))?;
        let mut builder = Envoy::from_file(proxy.name(), &bootstrap)
            .concurrency(self.concurrency)
            .directory(self.directory.join(proxy.name()));
        for (old, new) in self.substitutions() {
            if text.contains(&old) {
                builder = builder.replace(old, new);
            }
        }
        Ok(builder)
    }

    /// What of a bootstrap is other than documented. Nothing, for the demo as it stands.
    fn substitutions(&self) -> Vec<(String, String)> {
        let mut substitutions: Vec<(String, String)> = self
            .ports
            .all()
            .into_iter()
            .zip(Ports::default().all())
            .filter(|(actual, documented)| actual.port != documented.port)
            .map(|(actual, documented)| (documented.port.to_string(), actual.port.to_string()))
            .collect();
        if self.directory != repository_root().join(DOCUMENTED_DIRECTORY) {
            let mut files = vec!["certs/ca.crt".to_owned()];
            for proxy in Proxy::ALL.map(Proxy::name) {
                files.extend([
                    format!("certs/{proxy}.crt"),
                    format!("certs/{proxy}.key"),
                    format!("{proxy}/policy.ecds.yaml"),
                ]);
            }
            substitutions.extend(files.into_iter().map(|file| {
                (format!("{DOCUMENTED_DIRECTORY}/{file}"), self.directory.join(file).display().to_string())
            }));
        }
        substitutions
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        // A test's files go with it, unless it failed.
        if self.directory.starts_with(repository_root().join("target/integration"))
            && !std::thread::panicking()
        {
            for proxy in Proxy::ALL {
                self.envoy_mut(proxy).process().kill();
            }
            self.services.clear();
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

impl Mesh {
    /// The demo on these ports.
    pub fn on(ports: Ports) -> MeshBuilder {
        MeshBuilder {
            ports,
            directory: repository_root().join(DOCUMENTED_DIRECTORY),
            concurrency: 2,
            progress: Box::new(|_| ()),
        }
    }

    /// The demo on free ports with files of its own, for a test.
    ///
    /// # Panics
    /// With the reason, if it can't be started.
    pub fn for_test(name: &str) -> Self {
        let directory =
            repository_root().join(format!("target/integration/mesh-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
        let directory = directory.canonicalize().unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
        Self::on(Ports::free()).directory(directory).concurrency(1).start().unwrap_or_else(|e| panic!("{e}"))
    }

    /// The ports.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Where certificates, the filters' files and the logs are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// One of the Envoys.
    pub fn envoy(&self, proxy: Proxy) -> &Envoy {
        match proxy {
            Proxy::Edge => &self.edge,
            Proxy::Orders => &self.orders,
            Proxy::Inventory => &self.inventory,
        }
    }

    /// One of the Envoys, to kill or freeze it.
    pub fn envoy_mut(&mut self, proxy: Proxy) -> &mut Envoy {
        match proxy {
            Proxy::Edge => &mut self.edge,
            Proxy::Orders => &mut self.orders,
            Proxy::Inventory => &mut self.inventory,
        }
    }

    /// The service that runs under that name (`orders-v1`, `orders-v2`, `inventory-v1`, `issuer-v1`), to kill or freeze it.
    ///
    /// # Panics
    /// If there is none of that name.
    pub fn service_mut(&mut self, name: &str) -> &mut Process {
        self.services
            .iter_mut()
            .find(|service| service.name() == name)
            .unwrap_or_else(|| panic!("no service {name}"))
    }

    /// Starts a killed service again.
    pub fn restart_service(&mut self, name: &str) -> Result<()> {
        let Some((service, version)) = name.split_once('-') else {
            return Err("a service has a version".into());
        };
        let port = match name {
            "orders-v1" => self.ports.orders_v1,
            "orders-v2" => self.ports.orders_v2,
            "issuer-v1" => self.ports.issuer,
            _ => self.ports.inventory,
        };
        self.service_mut(name).kill();
        *self.service_mut(name) =
            start_service(service, version, port, self.ports.orders_outbound, &self.directory.clone())?;
        Ok(())
    }

    /// Starts a killed sidecar again, as it was started.
    pub fn restart_envoy(&mut self, proxy: Proxy) -> Result<()> {
        self.envoy_mut(proxy).process().kill();
        let builder = Mesh::on(self.ports.clone()).directory(self.directory.clone());
        *self.envoy_mut(proxy) = accepted(proxy, builder.envoy(proxy)?.start()?)?;
        Ok(())
    }

    /// Sends a request to the edge.
    pub fn send(&self, request: &Request) -> Result<crate::Answer> {
        Client::new(self.ports.edge).send(request)
    }

    /// Replaces the policy of a proxy (YAML or JSON) and waits until it is taken or refused: true if it was taken.
    pub fn reload(&self, proxy: Proxy, policy: &str) -> Result<bool> {
        let envoy = self.envoy(proxy);
        let policy = document::from_yaml(policy)?.to_string();
        let version = envoy.stat("extension_config_discovery.http_filter.sluice.update_attempt")?;
        let module = module_named(proxy.module())?;
        let response = wasm_filter::discovery_response(&module, &policy, &version.to_string());
        envoy.replace_filter(&filter_file(proxy, &self.directory), &response)
    }
}

/// The Envoy, if it has accepted its policy.
fn accepted(proxy: Proxy, envoy: Envoy) -> Result<Envoy> {
    if envoy.stat("extension_config_discovery.http_filter.sluice.update_rejected")? == 0 {
        return Ok(envoy);
    }
    let log = envoy.log();
    let why: Vec<&str> = log.lines().filter(|line| line.contains("wasm")).collect();
    Err(Error::Other(format!("{} was refused by Envoy:\n{}", proxy.policy(), why.join("\n"))))
}

/// The document of a proxy as JSON text, as it is committed.
fn policy_of(proxy: Proxy) -> Result<String> {
    let file = repository_root().join(proxy.policy());
    let text = std::fs::read_to_string(&file).map_err(|e| Error::file("can't read", &file, e))?;
    Ok(document::from_yaml(&text).map_err(|e| Error::Other(format!("{}: {e}", proxy.policy())))?.to_string())
}

/// Writes the file that the proxy's ECDS watches.
fn write_filter(proxy: Proxy, directory: &Path, policy: &str, version: &str) -> Result<()> {
    let file = filter_file(proxy, directory);
    let folder = directory.join(proxy.name());
    std::fs::create_dir_all(&folder).map_err(|e| Error::file("can't create", &folder, e))?;
    let response = wasm_filter::discovery_response(&module_named(proxy.module())?, policy, version);
    // JSON is YAML.
    replace_file(&file, &format!("{response:#}"))
}

fn filter_file(proxy: Proxy, directory: &Path) -> PathBuf {
    directory.join(proxy.name()).join("policy.ecds.yaml")
}

fn start_service(
    service: &str,
    version: &str,
    port: u16,
    outbound: u16,
    directory: &Path,
) -> Result<Process> {
    let mut command = Command::new(tour_binary()?);
    command.args(["serve", service, "--version", version]);
    command.args(["--port", &port.to_string(), "--outbound", &outbound.to_string()]);
    let mut process = Process::start(&format!("{service}-{version}"), command, &directory.join("services"))?;
    process.wait_ready(SERVICE_START, || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())?;
    Ok(process)
}

/// The `sluice-tour` binary: this very program, or the one that Cargo built beside the test that runs.
fn tour_binary() -> Result<PathBuf> {
    const NAME: &str = "sluice-tour";
    let this = std::env::current_exe().map_err(|e| Error::Other(format!("can't find this program: {e}")))?;
    if this.file_stem().is_some_and(|name| name == NAME) {
        return Ok(this);
    }
    let built = this.ancestors().skip(1).take(2).map(|folder| folder.join(NAME)).find(|file| file.is_file());
    built.ok_or_else(|| Error::Missing {
        what: NAME.to_owned(),
        remedy: "run `cargo build -p sluice-integration`".to_owned(),
    })
}
