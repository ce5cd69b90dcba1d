//! The whole mesh: control plane, registry, a gateway, three services of two names, a client.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use sluice_integration::{Answer, Request, Result, wait_until};
use sluice_kubernetes_test::ApiServer;

use crate::added::Added;
use crate::applied::Applied;
use crate::endpoints;
use crate::istiod::{Istiod, ROOT_NAMESPACE};
use crate::network::{Namespace, Network};
use crate::plan::{INGRESS, Plan, Role, SHOP};
use crate::plugin::Plugin;
use crate::registry::Registry;
use crate::service::{PORT, Service};
use crate::workload::Workload;
use tokio::task::JoinHandle;

/// How long istiod, an agent and its Envoy may take until a change is in effect: on a machine that does much else besides.
pub(crate) const PROPAGATION: Duration = Duration::from_secs(180);

/// The names of the services, as callers know them.
const SERVICES: [&str; 2] = ["orders", "inventory"];

/// What runs in the mesh.
const PLANS: [Plan; 5] = [
    Plan::sidecar("orders-v1", "orders", "v1"),
    Plan::sidecar("orders-v2", "orders", "v2"),
    Plan::sidecar("inventory", "inventory", "v1"),
    Plan::sidecar("client", "client", "v1"),
    // As Istio's charts install it, and as envoy-configs/istio/edge selects it.
    Plan {
        name: "gateway",
        namespace: INGRESS,
        account: "istio-ingressgateway-service-account",
        app: "istio-ingressgateway",
        version: "v1",
        role: Role::Gateway,
    },
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
    addresses: Vec<(&'static str, String)>,
    before: Vec<Value>,
}

impl Mesh {
    /// Starts it, its files in `directory`, telling each step to `progress`.
    pub fn start(directory: &Path, mut progress: impl FnMut(&str)) -> Result<Self> {
        let directory = directory.to_owned();

        let network = Network::create()?;
        let world = network.world()?;
        progress("an API server, with Istio's kinds");
        let api = ApiServer::start()?;
        api.install_istio_crds()?;
        api.create_namespace(ROOT_NAMESPACE)?;
        api.create_namespace(SHOP)?;
        api.create_namespace(INGRESS)?;
        progress("istiod");
        let istiod = Istiod::start(&world, &api, &directory)?;
        let registry = Registry::start(&world, &directory)?;
        api.apply(STRICT)?;
        // istiod publishes its authority in every namespace, a moment after it has started.
        for namespace in [SHOP, INGRESS] {
            let authority =
                ["wait", "--for=create", "--timeout=180s", "configmap/istio-ca-root-cert", "-n", namespace];
            api.kubectl(&authority)?;
        }

        progress("five workloads, each with its agent and Envoy");
        let mut workloads = Vec::new();
        let mut services = Vec::new();
        for plan in PLANS {
            let workload = Workload::start(plan, &network, &api, &directory)?;
            if plan.role == Role::Sidecar {
                services.push(Service::start(plan.name, workload.namespace(), PORT)?);
            }
            workloads.push(workload);
        }
        let mut addresses = Vec::new();
        for app in SERVICES {
            addresses.push((app, endpoints::publish(app, &workloads, &api)?));
        }
        for workload in &mut workloads {
            workload.wait_ready(&world)?;
        }
        let mut before = Vec::new();
        for workload in &workloads {
            before.push(settled_configuration(workload)?);
        }
        Ok(Self { services, workloads, istiod, registry, api, world, network, directory, addresses, before })
    }

    /// The API server, to apply and delete what a test is about.
    pub fn api(&self) -> &ApiServer {
        &self.api
    }

    /// The control plane.
    pub fn istiod(&self) -> &Istiod {
        &self.istiod
    }

    /// The registry, empty at first.
    pub fn registry(&self) -> &Registry {
        &self.registry
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

    /// All workloads with that label `app`: the instances of a service, or those of the gateway.
    pub fn instances(&self, app: &str) -> impl Iterator<Item = &Workload> {
        self.workloads.iter().filter(move |workload| workload.plan().app == app)
    }

    /// What Prometheus would be given by all instances of an `app` together: a caller does not choose which of them answers.
    pub fn metrics(&self, app: &str) -> Result<String> {
        self.instances(app).map(Workload::metrics).collect()
    }

    /// The service that runs in the workload of that name.
    ///
    /// # Panics
    /// If there is none.
    pub fn service(&self, workload: &str) -> &Service {
        let names = PLANS.iter().filter(|plan| plan.role == Role::Sidecar).map(|plan| plan.name);
        let position = names.into_iter().position(|name| name == workload);
        position
            .and_then(|position| self.services.get(position))
            .unwrap_or_else(|| panic!("no service {workload}"))
    }

    /// All workloads.
    pub fn workloads(&self) -> &[Workload] {
        &self.workloads
    }

    /// The address and port of a Kubernetes service.
    ///
    /// # Panics
    /// If there is none of that name.
    pub fn address_of(&self, app: &str) -> &str {
        self.addresses
            .iter()
            .find(|(name, _)| *name == app)
            .map(|(_, address)| address.as_str())
            .unwrap_or_else(|| panic!("no service {app}"))
    }

    /// A request of a workload to a service, as its program would make it: to the service's address, by the service's name. The
    /// sidecars on both sides take it.
    pub fn call(&self, from: &str, app: &str, request: &Request) -> Result<Answer> {
        let request = request.clone().header("host", format!("{app}.{SHOP}:{PORT}"));
        self.workload(from).namespace().send(self.address_of(app), &request)
    }

    /// As [`Mesh::call`], without waiting for the answer.
    pub fn begin_call(&self, from: &str, app: &str, request: &Request) -> JoinHandle<Result<Answer>> {
        let request = request.clone().header("host", format!("{app}.{SHOP}:{PORT}"));
        self.workload(from).namespace().begin(self.address_of(app), &request)
    }

    /// A workload more, which goes when what this gives is dropped.
    pub fn add(&self, plan: Plan) -> Result<Added<'_>> {
        Added::start(self, plan)
    }

    /// Applies documents, which are deleted when what this gives is dropped.
    pub fn apply(&self, documents: &str) -> Result<Applied<'_>> {
        self.api.apply(documents)?;
        Ok(Applied::new(self, documents))
    }

    /// Waits until every workload has the configuration that it had in the beginning, and no connection is left from before.
    pub fn wait_until_as_before(&self) -> Result<()> {
        for (workload, before) in self.workloads.iter().zip(&self.before) {
            wait_until(&format!("{} as it was before", workload.plan().name), PROPAGATION, || {
                workload.configuration().is_ok_and(|now| now == *before) && workload.is_settled()
            })?;
        }
        Ok(())
    }

    /// Waits until no listener of any workload waits to serve, and no connection is served by one that was replaced: what one
    /// request has shown then holds for all that follow.
    pub fn wait_until_settled(&self) -> Result<()> {
        for workload in &self.workloads {
            wait_until(&format!("{} to be settled", workload.plan().name), PROPAGATION, || {
                workload.is_settled()
            })?;
        }
        Ok(())
    }

    /// Puts right what a scenario that failed may have left: services that answer something else, a registry that is away.
    pub fn restore(&self) -> Result<()> {
        self.services.iter().for_each(Service::reset);
        if self.registry.is_running() { Ok(()) } else { self.registry.restart(&self.world) }
    }

    /// Applies a plugin, and waits until the workloads that it is for have it and no connection is left from before.
    pub fn install(&self, plugin: &Plugin) -> Result<Applied<'_>> {
        let applied = self.apply(&plugin.document())?;
        self.wait_for_plugin(plugin)?;
        Ok(applied)
    }

    /// Waits until the workloads that a plugin is for have it in a listener and no connection is left from before.
    pub fn wait_for_plugin(&self, plugin: &Plugin) -> Result<()> {
        for workload in self.workloads.iter().filter(|workload| plugin.is_for(workload.plan())) {
            let name = workload.plan().name;
            wait_until(&format!("{} in a listener of {name}", plugin.name()), PROPAGATION, || {
                workload.has_plugin(plugin.name()) && workload.is_settled()
            })?;
        }
        Ok(())
    }
}

const STRICT: &str = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
";

/// The configuration of a workload once nothing more comes: it has all services, and its own one where it has one, and stays so
/// for a moment. istiod learns of them one after the other, and two looks alone could both be too early.
fn settled_configuration(workload: &Workload) -> Result<Value> {
    let mut last = Value::Null;
    let mut wanted: Vec<String> =
        SERVICES.iter().map(|app| format!("\"outbound|{PORT}||{app}.{SHOP}.svc.cluster.local\"")).collect();
    if SERVICES.contains(&workload.plan().app) {
        wanted.push(format!("\"inbound|{PORT}||\""));
    }
    wait_until(&format!("{} to have all its configuration", workload.plan().name), PROPAGATION, || {
        std::thread::sleep(Duration::from_millis(100));
        let now = workload.configuration().unwrap_or_default();
        let text = now.to_string();
        let same = now == last && workload.is_settled() && wanted.iter().all(|name| text.contains(name));
        last = now;
        same
    })?;
    Ok(last)
}
