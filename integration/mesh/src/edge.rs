//! Our own Envoy at the border: `envoy-configs/edge` as it stands, with a certificate of the mesh.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sluice_integration::{
    Answer, Error, Process, Proxy, Request, Result, discovery_response, document, envoy_binary, module_named,
    repository_root,
};

use crate::istiod::TRUST_DOMAIN;
use crate::mesh::Mesh;
use crate::plan::{Plan, Role, SHOP};
use crate::service::PORT;
use crate::workload::Workload;

const START: Duration = Duration::from_secs(180);

/// Where the edge sends what it lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toward {
    /// Straight to the services' sidecars, as the shipped configuration has it.
    Sidecars,
    /// To port 443 of the mesh's gateway.
    Gateway,
}

/// The identity of the edge, by which those behind it know it.
const fn plan(toward: Toward) -> Plan {
    let name = match toward {
        Toward::Sidecars => "edge",
        Toward::Gateway => "edge-outside",
    };
    Plan { name, namespace: SHOP, account: "edge", app: "edge", version: "v1", role: Role::Certificates }
}

/// A stock Envoy with the shipped configuration of the edge, in a namespace of its own. No agent configures it; one fetches its
/// certificate from istiod, as it would for any program that speaks mutual TLS by itself.
pub struct Edge {
    envoy: Process,
    workload: Workload,
}

impl Edge {
    /// Starts it in front of the mesh's services, or of their gateway.
    pub fn start(mesh: &Mesh, toward: Toward) -> Result<Self> {
        let mut workload = Workload::start(plan(toward), mesh.network(), mesh.api(), mesh.directory())?;
        workload.wait_ready(mesh.world())?;
        let directory = workload
            .directory()
            .canonicalize()
            .map_err(|e| Error::file("can't find", workload.directory(), e))?;

        let filter = directory.join("policy.ecds.yaml");
        let policy = document::from_yaml(&read("envoy-configs/edge/policy.yaml")?)?.to_string();
        write(
            &filter,
            &format!("{:#}", discovery_response(&module_named(Proxy::Edge.module())?, &policy, "0")),
        )?;
        let bootstrap = directory.join("envoy.yaml");
        write(&bootstrap, &bootstrap_of(mesh, toward, &directory, &filter)?)?;

        let mut command = workload.namespace().command(envoy_binary()?);
        command.arg("-c").arg(&bootstrap).args([
            "--disable-hot-restart",
            "--concurrency",
            "1",
            "-l",
            "warning",
        ]);
        let mut envoy = Process::start("envoy", command, &directory)?;
        envoy.wait_ready(START, || {
            workload
                .namespace()
                .send("127.0.0.1:9901", &Request::get("/ready"))
                .is_ok_and(|answer| answer.status == 200)
        })?;
        Ok(Self { envoy, workload })
    }

    /// A request from outside the mesh.
    pub fn send(&self, mesh: &Mesh, request: &Request) -> Result<Answer> {
        mesh.world().send(&format!("{}:10000", self.workload.namespace().address()), request)
    }

    /// What Prometheus is given.
    pub fn metrics(&self) -> Result<String> {
        Ok(self.workload.namespace().send("127.0.0.1:9901", &Request::get("/stats/prometheus"))?.text())
    }

    /// Its access log, lines of JSON.
    pub fn access_log(&self) -> String {
        self.envoy.stdout()
    }
}

/// The shipped bootstrap with other addresses, other files, and the mesh's trust domain; everything else as it is.
fn bootstrap_of(mesh: &Mesh, toward: Toward, directory: &Path, filter: &Path) -> Result<String> {
    let at = |workload: &str| {
        let (workload, port) = match toward {
            Toward::Sidecars => (workload, PORT),
            Toward::Gateway => ("gateway", 443),
        };
        format!("address: {}, port_value: {port}", mesh.workload(workload).namespace().address())
    };
    let identity = |service: &str| match toward {
        Toward::Sidecars => format!("spiffe://{TRUST_DOMAIN}/ns/{SHOP}/sa/{service}"),
        Toward::Gateway => mesh.workload("gateway").plan().identity(),
    };
    let file = |name: &str| directory.join("certs").join(name).display().to_string();
    let mut text = read("envoy-configs/edge/envoy.yaml")?;
    for (documented, here) in [
        ("address: 127.0.0.1, port_value: 10000", "address: 0.0.0.0, port_value: 10000".to_owned()),
        ("address: 127.0.0.1, port_value: 10010", at("orders-v1")),
        ("address: 127.0.0.1, port_value: 10011", at("orders-v2")),
        ("address: 127.0.0.1, port_value: 10020", at("inventory")),
        ("target/demo/certs/edge.crt", file("cert-chain.pem")),
        ("target/demo/certs/edge.key", file("key.pem")),
        ("target/demo/certs/ca.crt", file("root-cert.pem")),
        ("target/demo/edge/policy.ecds.yaml", filter.display().to_string()),
        ("spiffe://sluice.demo/ns/shop/sa/orders", identity("orders")),
        ("spiffe://sluice.demo/ns/shop/sa/inventory", identity("inventory")),
    ] {
        if !text.contains(documented) {
            return Err(Error::Other(format!(
                "envoy-configs/edge/envoy.yaml has no {documented:?} any more"
            )));
        }
        text = text.replace(documented, &here);
    }
    Ok(text)
}

fn read(path: &str) -> Result<String> {
    let path: PathBuf = repository_root().join(path);
    std::fs::read_to_string(&path).map_err(|e| Error::file("can't read", &path, e))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|e| Error::file("can't write", path, e))
}
