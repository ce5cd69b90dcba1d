//! One Envoy with one policy, in front of upstreams that record what reaches them.

mod bootstrap;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use serde_json::Value;

use crate::envoy::replace_file;
use crate::{
    Answer, Client, Envoy, Error, Protocol, Request, Result, Upstream, document, module, ports, raw,
    repository_root, wasm_filter,
};

/// What a gateway is started with.
pub struct GatewayBuilder {
    policy: Option<String>,
    module: Option<PathBuf>,
    concurrency: u32,
    log_level: String,
    ecds: bool,
    direct_response: bool,
    filters_before: Vec<Value>,
    filters_after: Vec<Value>,
    clusters: Vec<String>,
    versions: Vec<String>,
    upstream: Option<Upstream>,
    further: Vec<Upstream>,
    #[allow(clippy::type_complexity)]
    edits: Vec<Box<dyn FnOnce(&mut Value)>>,
}

/// A running gateway. Everything of it ends when it is dropped; its folder stays if the test failed.
pub struct Gateway {
    // Dropped in this order: the Envoy first, so that it logs no upstream that vanishes.
    envoy: Envoy,
    upstreams: Vec<Upstream>,
    client: Client,
    port: u16,
    module: Option<PathBuf>,
    ecds: Option<PathBuf>,
    version: AtomicU64,
    directory: PathBuf,
}

impl GatewayBuilder {
    /// The policy document, YAML or JSON. Without one the filter is not in the chain at all.
    pub fn policy(mut self, yaml: &str) -> Self {
        self.policy = Some(yaml.to_owned());
        self
    }

    /// Another module than `dist/sluice.wasm`: a path, or the name of a file in `dist/`.
    pub fn module(mut self, module: impl AsRef<Path>) -> Self {
        self.module = Some(repository_root().join("dist").join(module));
        self
    }

    /// The number of workers (1 unless told).
    pub fn concurrency(mut self, workers: u32) -> Self {
        self.concurrency = workers;
        self
    }

    /// Envoy's log level (`info` unless told).
    pub fn log_level(mut self, level: &str) -> Self {
        self.log_level = level.to_owned();
        self
    }

    /// Delivers the filter by ECDS from a file, so that [`Gateway::reload`] can replace the policy.
    pub fn ecds(mut self) -> Self {
        self.ecds = true;
        self
    }

    /// Answers from the route itself, without an upstream: for measurements.
    pub fn direct_response(mut self) -> Self {
        self.direct_response = true;
        self
    }

    /// A further HTTP filter before ours, as JSON: `{"name": …, "typed_config": {"@type": …}}`.
    pub fn filter_before(mut self, filter: Value) -> Self {
        self.filters_before.push(filter);
        self
    }

    /// A further HTTP filter after ours.
    pub fn filter_after(mut self, filter: Value) -> Self {
        self.filters_after.push(filter);
        self
    }

    /// A further cluster with a recording upstream of the same name, chosen by `x-sluice-cluster`.
    pub fn cluster(mut self, name: &str) -> Self {
        self.clusters.push(name.to_owned());
        self
    }

    /// A further cluster that speaks HTTP/2, of a server that is no [`Upstream`] of the gateway's own.
    pub fn http2_cluster(self, name: &'static str, port: u16) -> Self {
        self.edit(move |bootstrap| {
            if let Some(clusters) = bootstrap["static_resources"]["clusters"].as_array_mut() {
                clusters.push(bootstrap::http2_cluster(name, port));
            }
        })
    }

    /// A further endpoint of the cluster `upstream` with the metadata `version: <version>`, chosen by `x-sluice-subset`. The
    /// first endpoint is of version `v1`.
    pub fn version(mut self, version: &str) -> Self {
        self.versions.push(version.to_owned());
        self
    }

    /// Another upstream than one that echoes.
    pub fn upstream(mut self, upstream: Upstream) -> Self {
        self.upstream = Some(upstream);
        self
    }

    /// A further cluster with this upstream, of its name.
    pub fn further_upstream(mut self, upstream: Upstream) -> Self {
        self.further.push(upstream);
        self
    }

    /// Any change of the bootstrap, as the last step before it is written.
    pub fn edit(mut self, edit: impl FnOnce(&mut Value) + 'static) -> Self {
        self.edits.push(Box::new(edit));
        self
    }

    /// Starts the upstreams and the Envoy.
    pub fn start(self) -> Result<Gateway> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory =
            repository_root().join(format!("target/integration/gateway-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).map_err(|e| Error::file("can't create", &directory, e))?;

        let mut upstreams = vec![match self.upstream {
            Some(upstream) => upstream,
            None => Upstream::start("upstream")?,
        }];
        for name in self.versions.iter().chain(&self.clusters) {
            upstreams.push(Upstream::start(name)?);
        }
        upstreams.extend(self.further);

        let (mut filters, mut ecds, mut used_module) = (self.filters_before, None, None);
        if let Some(policy) = &self.policy {
            let module = match self.module {
                Some(module) => module,
                None => module()?,
            };
            let policy = document::from_yaml(policy)?.to_string();
            if self.ecds {
                let file = directory.join("policy.ecds.json");
                replace_file(&file, &wasm_filter::discovery_response(&module, &policy, "0").to_string())?;
                filters.push(wasm_filter::discovered_filter(&file));
                ecds = Some(file);
            } else {
                filters.push(wasm_filter::static_filter(&module, &policy));
            }
            used_module = Some(module);
        }
        filters.extend(self.filters_after);

        let port = ports::free();
        let mut bootstrap = bootstrap::bootstrap(&bootstrap::Parts {
            port,
            filters,
            direct_response: self.direct_response,
            first: &upstreams[0],
            versions: &upstreams[1..=self.versions.len()],
            clusters: &upstreams[1 + self.versions.len()..],
        });
        for edit in self.edits {
            edit(&mut bootstrap);
        }
        let file = directory.join("envoy.json");
        std::fs::write(&file, format!("{bootstrap:#}")).map_err(|e| Error::file("can't write", &file, e))?;
        let envoy = Envoy::from_file("envoy", &file)
            .directory(&directory)
            .concurrency(self.concurrency)
            .log_level(&self.log_level)
            .start()
            // The error has the end of the log; the folder would only gather.
            .inspect_err(|_| drop(std::fs::remove_dir_all(&directory)))?;
        let client = Client::new(port);
        Ok(Gateway {
            envoy,
            upstreams,
            client,
            port,
            module: used_module,
            ecds,
            version: AtomicU64::new(0),
            directory,
        })
    }
}

impl Gateway {
    /// One worker, one echoing upstream, and this policy in `dist/sluice.wasm`.
    ///
    /// # Panics
    /// With the reason, if it can't be started: for tests.
    pub fn with_policy(yaml: &str) -> Self {
        Self::builder().policy(yaml).start().unwrap_or_else(|e| panic!("{e}"))
    }

    /// All the options.
    pub fn builder() -> GatewayBuilder {
        GatewayBuilder {
            policy: None,
            module: None,
            concurrency: 1,
            log_level: "info".to_owned(),
            ecds: false,
            direct_response: false,
            filters_before: Vec::new(),
            filters_after: Vec::new(),
            clusters: Vec::new(),
            versions: Vec::new(),
            upstream: None,
            further: Vec::new(),
            edits: Vec::new(),
        }
    }

    /// The port that clients use.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The Envoy.
    pub fn envoy(&self) -> &Envoy {
        &self.envoy
    }

    /// The Envoy, to kill or freeze it.
    pub fn envoy_mut(&mut self) -> &mut Envoy {
        &mut self.envoy
    }

    /// The first upstream: cluster `upstream`, version `v1`.
    pub fn upstream(&self) -> &Upstream {
        &self.upstreams[0]
    }

    /// The upstream of a further cluster or version.
    ///
    /// # Panics
    /// If there is none of that name.
    pub fn upstream_named(&self, name: &str) -> &Upstream {
        self.upstreams
            .iter()
            .find(|upstream| upstream.name() == name)
            .unwrap_or_else(|| panic!("no upstream {name}"))
    }

    /// The upstream of that name, to stop or restart it.
    ///
    /// # Panics
    /// If there is none of that name.
    pub fn upstream_mut(&mut self, name: &str) -> &mut Upstream {
        self.upstreams
            .iter_mut()
            .find(|upstream| upstream.name() == name)
            .unwrap_or_else(|| panic!("no upstream {name}"))
    }

    /// The client of this gateway: HTTP/1.1, connections kept.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// A further client, with connections of its own.
    pub fn new_client(&self, protocol: Protocol) -> Client {
        Client::speaking(protocol, self.port)
    }

    /// Sends a request.
    ///
    /// # Panics
    /// If no answer comes; [`Gateway::client`] has `send` that returns the error.
    pub fn send(&self, request: Request) -> Answer {
        self.client
            .send(&request)
            .unwrap_or_else(|e| panic!("{e}; the end of Envoy's log:\n{}", last(&self.envoy.log())))
    }

    /// Sends a GET request.
    ///
    /// # Panics
    /// If no answer comes.
    pub fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path))
    }

    /// Sends bytes on a new connection and reads one answer: see [`raw::request`].
    pub fn send_raw(&self, bytes: &[u8]) -> Result<Answer> {
        raw::send(self.port, bytes)
    }

    /// Writes another policy for ECDS and waits until Envoy has taken or refused it: true if it was taken.
    ///
    /// # Panics
    /// If the gateway was not started with [`GatewayBuilder::ecds`].
    pub fn reload(&self, yaml: &str) -> Result<bool> {
        let policy = document::from_yaml(yaml)?.to_string();
        self.reload_text(&policy)
    }

    /// As [`Gateway::reload`], with the text as it is, JSON or not.
    ///
    /// # Panics
    /// If the gateway was not started with [`GatewayBuilder::ecds`].
    pub fn reload_text(&self, policy: &str) -> Result<bool> {
        let (Some(file), Some(module)) = (&self.ecds, &self.module) else {
            panic!("a gateway that reloads is started with .ecds()")
        };
        let version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        let response = wasm_filter::discovery_response(module, policy, &version.to_string());
        self.envoy.replace_filter(file, &response)
    }

    /// The response-code details of the latest request with that path, from the access log: `via_upstream`, or the reason
    /// that a policy gave.
    pub fn details(&self, path: &str) -> String {
        self.logged(path, "details")
    }

    /// The decision and its reason in the access log of the latest request with that path.
    pub fn decision(&self, path: &str) -> String {
        self.logged(path, "decision")
    }

    /// A field of the access log of the latest request with that path. The log holds no query, so that of `path` is not looked at.
    ///
    /// # Panics
    /// If no request with that path is logged within half a minute.
    pub fn logged(&self, path: &str, field: &str) -> String {
        let entry = self
            .envoy
            .access_log_entry(|entry| entry["path"] == path.split('?').next().unwrap_or(path))
            .unwrap_or_else(|e| panic!("{path}: {e}"));
        entry[field].as_str().map_or_else(|| entry[field].to_string(), str::to_owned)
    }

    /// The folder of its bootstrap, policy and logs.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the gateway's bootstrap and logs: {}", self.directory.display());
        } else {
            self.envoy.process().kill();
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

fn last(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
