//! What a workload is to be.

use serde_json::{Value, json};

use crate::istiod::TRUST_DOMAIN;

/// The namespace of the services and their client.
pub const SHOP: &str = "shop";

/// The namespace of the gateway.
pub const INGRESS: &str = "istio-ingress";

/// What a proxy is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Beside a service: everything that the workload sends or gets passes it.
    Sidecar,
    /// On its own, at the mesh's border.
    Gateway,
    /// There is no proxy of Istio's: the agent only fetches certificates, into `certs` of the workload's folder.
    Certificates,
}

/// What a workload is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The name of the pod, and of the network namespace (15 characters at most).
    pub name: &'static str,
    /// Its namespace in Kubernetes.
    pub namespace: &'static str,
    /// Its service account, which its identity names.
    pub account: &'static str,
    /// The label `app`, which services and policies select by.
    pub app: &'static str,
    /// The label `version`.
    pub version: &'static str,
    /// What its proxy is there for.
    pub role: Role,
}

impl Plan {
    /// A service's workload in the namespace `shop`, with a sidecar and an account of the service's name.
    pub const fn sidecar(name: &'static str, app: &'static str, version: &'static str) -> Self {
        Self { name, namespace: SHOP, account: app, app, version, role: Role::Sidecar }
    }

    /// The identity in its certificate.
    pub fn identity(&self) -> String {
        format!("spiffe://{TRUST_DOMAIN}/ns/{}/sa/{}", self.namespace, self.account)
    }

    /// The labels of the pod. The one of Istio says that the workload takes mutual TLS, as injection would.
    pub(crate) fn labels(&self) -> Value {
        let mut labels =
            json!({ "app": self.app, "version": self.version, "security.istio.io/tlsMode": "istio" });
        if self.role == Role::Gateway {
            // What Istio's charts give to the gateway at the border.
            labels["istio"] = "ingressgateway".into();
        }
        labels
    }
}
