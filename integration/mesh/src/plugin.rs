//! A WasmPlugin that is being written.

use serde_json::{Map, Value, json};
use sluice_integration::{Result, document};

use crate::plan::{INGRESS, Plan, Role, SHOP};

/// The place of the module in each proxy's own file system.
pub const MODULE_FILE: &str = "file:///var/lib/istio/sluice.wasm";

/// Istio's `WasmPlugin` with a policy of ours. For all workloads of the namespace `shop`, in both directions, unless told.
#[derive(Debug, Clone)]
pub struct Plugin {
    name: String,
    namespace: &'static str,
    app: Option<String>,
    mode: Option<String>,
    spec: Map<String, Value>,
}

impl Plugin {
    /// A plugin of that name, its module from `file://` unless told, with this policy (YAML).
    ///
    /// # Errors
    /// The policy is not YAML.
    pub fn new(name: &str, policy: &str) -> Result<Self> {
        let mut spec = Map::new();
        spec.insert("url".to_owned(), MODULE_FILE.into());
        let mut plugin = Self { name: name.to_owned(), namespace: SHOP, app: None, mode: None, spec };
        if !policy.is_empty() {
            plugin.spec.insert("pluginConfig".to_owned(), document::from_yaml(policy)?);
        }
        Ok(plugin)
    }

    /// Only for the workloads with this label `app`.
    pub fn on(mut self, app: &str) -> Self {
        self.app = Some(app.to_owned());
        self.with("selector", json!({ "matchLabels": { "app": app } }))
    }

    /// For the gateway instead of the services and their client.
    pub fn on_the_gateway(mut self) -> Self {
        self.namespace = INGRESS;
        self
    }

    /// Only for what arrives at a workload, as [`Plugin::mode`] with `SERVER`.
    pub fn server(self) -> Self {
        self.mode("SERVER")
    }

    /// Only for that direction: `SERVER`, `CLIENT` or `CLIENT_AND_SERVER`.
    pub fn mode(mut self, mode: &str) -> Self {
        self.mode = Some(mode.to_owned());
        self.with("match", json!([{ "mode": mode }]))
    }

    /// Its place in the chain.
    pub fn phase(self, phase: &str) -> Self {
        self.with("phase", phase)
    }

    /// Where the module comes from.
    pub fn url(self, url: &str) -> Self {
        self.with("url", url)
    }

    /// Any field of the specification.
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.spec.insert(field.to_owned(), value.into());
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a workload gets it. A gateway has no server's side: what arrives at it, it sends as a client.
    pub(crate) fn is_for(&self, plan: &Plan) -> bool {
        self.namespace == plan.namespace
            && self.app.as_deref().is_none_or(|app| app == plan.app)
            && !(plan.role == Role::Gateway && self.mode.as_deref() == Some("SERVER"))
    }

    /// The document to apply.
    pub fn document(&self) -> String {
        json!({
            "apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin",
            "metadata": { "name": self.name, "namespace": self.namespace }, "spec": self.spec,
        })
        .to_string()
    }
}
