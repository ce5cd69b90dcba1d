//! The whole mesh: control plane, registry, a gateway, three services of two names, a client.

use std::path::{Path, PathBuf};

use serde_json::json;
use sluice_integration::{Error, Result, repository_root};
use sluice_kubernetes_test::ApiServer;

use crate::istiod::{Istiod, ROOT_NAMESPACE};
use crate::network::{Namespace, Network};
use crate::registry::Registry;
use crate::service::{PORT, Service};
use crate::workload::{Plan, Role, SHOP, Workload};

/// What runs in the mesh.
const PLANS: [Plan; 5] = [
    Plan { name: "orders-v1", app: "orders", version: "v1", role: Role::Sidecar },
    Plan { name: "orders-v2", app: "orders", version: "v2", role: Role::Sidecar },
    Plan { name: "inventory", app: "inventory", version: "v1", role: Role::Sidecar },
    Plan { name: "client", app: "client", version: "v1", role: Role::Sidecar },
    Plan { name: "gateway", app: "gateway", version: "v1", role: Role::Gateway },
];

/// The running mesh. Everything ends when it is dropped; fields are dropped from the outside in.
pub struct Mesh {
    services: Vec<Service>,
    workloads: Vec<Workload>,
    istiod: Istiod,
    registry: Registry,
    api: ApiServer,
    world: Namespace,
    network: Network,
    directory: PathBuf,
}

impl Mesh {
    /// Starts it, telling each step to `progress`.
    pub fn start(mut progress: impl FnMut(&str)) -> Result<Self> {
        let parent = repository_root().join("target/integration");
        sweep(&parent);
        let directory = parent.join(format!("istio-mesh-{}", std::process::id()));
        std::fs::create_dir_all(&directory).map_err(|e| Error::file("can't create", &directory, e))?;

        let network = Network::create()?;
        let world = network.world()?;
        progress("an API server, with Istio's kinds");
        let api = ApiServer::start()?;
        api.install_istio_crds()?;
        api.create_namespace(ROOT_NAMESPACE)?;
        api.create_namespace(SHOP)?;
        progress("istiod");
        let istiod = Istiod::start(&world, &api, &directory)?;
        let registry = Registry::start(&world, &directory)?;
        api.apply(STRICT)?;
        // istiod publishes its authority in every namespace, a moment after it has started.
        api.kubectl(&["wait", "--for=create", "--timeout=60s", "configmap/istio-ca-root-cert", "-n", SHOP])?;

        progress("five workloads, each with its agent and Envoy");
        let mut workloads = Vec::new();
        let mut services = Vec::new();
        for plan in PLANS {
            let workload = Workload::start(plan, &network, &api, &directory)?;
            if plan.role == Role::Sidecar {
                services.push(Service::start(plan.name, workload.namespace())?);
            }
            workloads.push(workload);
        }
        for app in ["orders", "inventory"] {
            publish(app, &workloads, &api)?;
        }
        for workload in &mut workloads {
            workload.wait_ready(&world)?;
        }
        Ok(Self { services, workloads, istiod, registry, api, world, network, directory })
    }

    /// The API server, to apply and delete what a test is about.
    pub fn api(&self) -> &ApiServer {
        &self.api
    }

    /// The control plane.
    pub fn istiod(&self) -> &Istiod {
        &self.istiod
    }

    /// The registry.
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// The test's own place.
    pub fn world(&self) -> &Namespace {
        &self.world
    }

    /// The network, for further places.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Where logs and files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The workload of that name.
    ///
    /// # Panics
    /// If there is none.
    pub fn workload(&self, name: &str) -> &Workload {
        self.workloads
            .iter()
            .find(|workload| workload.plan().name == name)
            .unwrap_or_else(|| panic!("no workload {name}"))
    }

    /// The service that runs in the workload of that name.
    ///
    /// # Panics
    /// If there is none.
    pub fn service(&self, workload: &str) -> &Service {
        let names = PLANS.iter().filter(|plan| plan.role == Role::Sidecar).map(|plan| plan.name);
        let position = names.into_iter().position(|name| name == workload);
        position.and_then(|position| self.services.get(position)).unwrap_or_else(|| panic!("no service {workload}"))
    }

    /// The address and port of a Kubernetes service.
    pub fn cluster_address(&self, app: &str) -> Result<String> {
        let address = self.api.kubectl(&["get", "service", app, "-n", SHOP, "-o", "jsonpath={.spec.clusterIP}"])?;
        Ok(format!("{}:{PORT}", address.trim()))
    }
}

const STRICT: &str = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
";

/// A Service, and the endpoints that Kubernetes' controllers would find for it.
fn publish(app: &str, workloads: &[Workload], api: &ApiServer) -> Result<()> {
    let port = json!({ "name": "http", "port": PORT, "protocol": "TCP" });
    api.apply(
        &json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": app, "namespace": SHOP, "labels": { "app": app } },
            "spec": { "selector": { "app": app }, "ports": [port] },
        })
        .to_string(),
    )?;
    let endpoints: Vec<_> = workloads
        .iter()
        .filter(|workload| workload.plan().app == app)
        .map(|workload| {
            json!({
                "addresses": [workload.namespace().address().to_string()],
                "conditions": { "ready": true },
                "targetRef": { "kind": "Pod", "name": workload.plan().name, "namespace": SHOP },
            })
        })
        .collect();
    api.apply(
        &json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": { "name": app, "namespace": SHOP, "labels": { "kubernetes.io/service-name": app } },
            "ports": [port_of_slice()], "endpoints": endpoints,
        })
        .to_string(),
    )?;
    Ok(())
}

fn port_of_slice() -> serde_json::Value {
    json!({ "name": "http", "port": PORT, "protocol": "TCP" })
}

/// Removes the folders of tests that were killed.
fn sweep(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix("istio-mesh-"));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
