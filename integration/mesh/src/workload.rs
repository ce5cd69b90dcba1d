//! A pod without a kubelet: its objects in the API server, its namespace, its agent with an Envoy.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use sluice_integration::{Answer, Error, Process, Request, Result};
use sluice_kubernetes_test::ApiServer;

use crate::network::{Namespace, Network};
use crate::plan::{Plan, Role};
use crate::{agent, pod};

const START: Duration = Duration::from_secs(240);

/// A running workload.
pub struct Workload {
    plan: Plan,
    agent: Process,
    namespace: Namespace,
    directory: PathBuf,
}

impl Workload {
    /// Makes the pod and starts its agent, which starts its Envoy; [`Workload::wait_ready`] waits for both.
    pub fn start(plan: Plan, network: &Network, api: &ApiServer, directory: &Path) -> Result<Self> {
        let namespace = network.namespace(plan.name)?;
        let directory = directory.join(plan.name);
        pod::create(&plan, &namespace, api)?;
        pod::lay_out(&plan, api, &directory)?;
        match plan.role {
            Role::Sidecar => agent::redirect(&namespace)?,
            // A gateway listens on port 80, which container runtimes allow to anybody.
            Role::Gateway => namespace.wait_for(async {
                let setting = Path::new("/proc/sys/net/ipv4/ip_unprivileged_port_start");
                std::fs::write(setting, "0").map_err(|e| Error::file("can't write", setting, e))
            })?,
            Role::Certificates => {}
        }
        let agent = agent::start(&plan, &namespace, &directory)?;
        Ok(Self { plan, agent, namespace, directory })
    }

    /// Waits until the agent says that its Envoy has its configuration.
    pub fn wait_ready(&mut self, world: &Namespace) -> Result<()> {
        if self.plan.role == Role::Certificates {
            // The last of the files that it writes.
            let files = ["key.pem", "cert-chain.pem", "root-cert.pem"]
                .map(|file| self.directory.join("certs").join(file));
            let written =
                || files.iter().all(|file| std::fs::metadata(file).is_ok_and(|file| file.len() > 0));
            return self.agent.wait_ready(START, written);
        }
        let status = format!("{}:15021", self.namespace.address());
        self.agent.wait_ready(START, || {
            world.send(&status, &Request::get("/healthz/ready")).is_ok_and(|answer| answer.status == 200)
        })
    }

    /// What it was meant to be.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where it runs.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its working folder, with its logs.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the agent and its Envoy have written: the agent's and Envoy's logs.
    pub fn log(&self) -> String {
        self.agent.stderr() + &self.agent.stdout()
    }

    /// Asks the Envoy's administration, which listens on the workload's loopback only.
    pub fn admin(&self, path: &str) -> Result<Answer> {
        self.namespace.send("127.0.0.1:15000", &Request::get(path))
    }

    /// Whether one of the listeners that serve has the WasmPlugin of that name, in the workload's namespace.
    pub fn has_plugin(&self, plugin: &str) -> bool {
        self.serves_with(&format!("/{}.{plugin}~", self.plan.namespace))
    }

    /// Whether the configuration of one of the listeners that serve has this text.
    pub fn serves_with(&self, text: &str) -> bool {
        let Ok(dump) = self.admin("/config_dump?resource=dynamic_listeners").map(|answer| answer.json())
        else {
            return false;
        };
        // One that still waits for its module is there as `warming_state`, beside the one that serves meanwhile.
        let listeners = dump["configs"].as_array().into_iter().flatten();
        listeners.into_iter().any(|listener| listener["active_state"].to_string().contains(text))
    }

    /// Whether no listener waits to serve, and no connection is served by one that was replaced.
    pub fn is_settled(&self) -> bool {
        let stats = self
            .admin("/stats?filter=listener_manager.total_.*(draining|warming)")
            .map(|answer| answer.text());
        stats.is_ok_and(|stats| stats.lines().count() > 0 && stats.lines().all(|line| line.ends_with(": 0")))
    }

    /// Its listeners, routes and clusters as istiod has made them, without what differs from push to push.
    pub fn configuration(&self) -> Result<Value> {
        let mut parts = Vec::new();
        for resource in ["dynamic_listeners", "dynamic_route_configs", "dynamic_active_clusters"] {
            let mut dump = self.admin(&format!("/config_dump?resource={resource}"))?.json();
            let mut entries = match dump.get_mut("configs").map(Value::take) {
                Some(Value::Array(entries)) => entries,
                _ => Vec::new(),
            };
            entries.iter_mut().for_each(forget_versions);
            // They come in the order of a hash table.
            entries.sort_by_cached_key(Value::to_string);
            parts.push(Value::Array(entries));
        }
        Ok(Value::Array(parts))
    }

    /// What Prometheus would be given: Envoy's listener for it.
    pub fn metrics(&self) -> Result<String> {
        Ok(self.namespace.send("127.0.0.1:15090", &Request::get("/stats/prometheus"))?.text())
    }
}

/// Removes what says when and as which push something came.
fn forget_versions(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !["last_updated", "version_info"].contains(&name.as_str()));
            fields.values_mut().for_each(forget_versions);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_versions),
        _ => {}
    }
}
