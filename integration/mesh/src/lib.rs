//! A real Istio mesh on one machine.
//!
//! [`world::enter`] moves the test into network and mount namespaces of its own. There run, as on a cluster: an API server with
//! Istio's kinds, istiod, a registry, and for each workload a network namespace with Istio's iptables rules, `pilot-agent` and a
//! stock Envoy. `docs/mesh-test.md` says what is as on a cluster and what is not.

pub mod world;

mod edge;
mod istiod;
mod mesh;
mod network;
mod plugin;
mod registry;
mod service;
mod workload;

pub use edge::Edge;
pub use istiod::{Istiod, ROOT_NAMESPACE, TRUST_DOMAIN};
pub use mesh::{Applied, Mesh};
pub use network::{Namespace, Network, WORLD};
pub use plugin::{MODULE_FILE, Plugin};
pub use registry::{REGISTRY, Registry};
pub use service::{PORT, Service};
pub use workload::{INGRESS, Plan, Role, SHOP, Workload};
