//! The control plane: a real istiod that reads everything from a real API server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use sluice_integration::{Error, Process, Request, Result, document, repository_root, tools};
use sluice_kubernetes_test::ApiServer;

use crate::jaeger;
use crate::network::{Namespace, WORLD};

/// The namespace that istiod runs in; resources in it hold for the whole mesh.
pub const ROOT_NAMESPACE: &str = "istio-system";

/// The domain of all identities of the mesh: Istio's default.
pub const TRUST_DOMAIN: &str = "cluster.local";

/// The name that istiod's own certificate carries.
pub(crate) const NAME: &str = "istiod.istio-system.svc";

const START: Duration = Duration::from_secs(240);

/// A running istiod.
pub struct Istiod {
    process: Process,
    directory: PathBuf,
}

impl Istiod {
    /// Starts it and waits until it serves configuration.
    pub fn start(world: &Namespace, api: &ApiServer, directory: &Path) -> Result<Self> {
        let directory = directory.join("istiod");
        std::fs::create_dir_all(&directory).map_err(|e| Error::file("can't create", &directory, e))?;
        let mesh = directory.join("mesh.yaml");
        std::fs::write(&mesh, mesh_config()?).map_err(|e| Error::file("can't write", &mesh, e))?;

        let mut command = world.command(tools::find("pilot-discovery")?);
        // Its certificates go to paths below the current folder.
        command.current_dir(&directory).args(["discovery", "--registries=Kubernetes"]);
        command.arg("--kubeconfig").arg(api.kubeconfig()).arg("--meshConfig").arg(&mesh);
        // Nothing asks for injection or validation: there are no webhooks to serve.
        command.arg("--httpsAddr=");
        command.envs([
            ("POD_NAMESPACE", ROOT_NAMESPACE),
            ("POD_NAME", "istiod-0"),
            ("CLUSTER_ID", "Kubernetes"),
            ("ENABLE_LEADER_ELECTION", "false"),
            ("INJECT_ENABLED", "false"),
            ("VALIDATION_WEBHOOK_CONFIG_NAME", ""),
            ("INJECTION_WEBHOOK_CONFIG_NAME", ""),
            ("PILOT_ENABLE_GATEWAY_API", "false"),
            ("PILOT_ENABLE_IP_AUTOALLOCATE", "false"),
            // Filters of Istio's own Envoy, which a stock one lacks.
            ("PILOT_ENABLE_METADATA_EXCHANGE", "false"),
            ("PILOT_ENABLE_ALPN_FILTER", "false"),
            // A change is pushed at once instead of after 100 ms of silence.
            ("PILOT_DEBOUNCE_AFTER", "10ms"),
        ]);
        let mut process = Process::start("istiod", command, &directory)?;
        process.wait_ready(START, || {
            world
                .send(&format!("{WORLD}:8080"), &Request::get("/ready"))
                .is_ok_and(|answer| answer.status == 200)
        })?;
        Ok(Self { process, directory })
    }

    /// Its log.
    pub fn log(&self) -> String {
        format!("{}{}", self.process.stdout(), self.process.stderr())
    }

    /// Its working folder.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// As short as it can be, with what `envoy-configs/istio` wants of a mesh: what is not said is Istio's default.
fn mesh_config() -> Result<String> {
    let wanted = repository_root().join("envoy-configs/istio/mesh-config.yaml");
    let wanted = std::fs::read_to_string(&wanted).map_err(|e| Error::file("can't read", &wanted, e))?;
    let mut config = document::from_yaml(&wanted)?["spec"]["meshConfig"].take();
    config["defaultConfig"] = json!({ "discoveryAddress": format!("{WORLD}:15012") });
    if let Some(providers) = config["extensionProviders"].as_array_mut() {
        providers.push(jaeger::provider());
    }
    config["accessLogFile"] = "/dev/stdout".into();
    Ok(config.to_string())
}
