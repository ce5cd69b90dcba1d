//! A real Istio mesh on one machine.
//!
//! [`world::enter`] moves the test into network and mount namespaces of its own. There run, as on a cluster: an API server with
//! Istio's kinds, istiod, a registry, and for each workload a network namespace with Istio's iptables rules, `pilot-agent` and a
//! stock Envoy. `docs/mesh-test.md` says what is as on a cluster and what is not.

#![allow(unsafe_code, reason = "namespaces, mounts and users are system calls")]
#![allow(
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "what only tests use; a member that a JSON value lacks is null"
)]

pub mod directory;
pub mod world;

mod added;
mod agent;
mod applied;
mod edge;
mod endpoints;
mod http;
mod istiod;
mod jaeger;
mod mesh;
mod network;
mod plan;
mod plugin;
mod pod;
mod registry;
mod service;
mod workload;

pub use added::Added;
pub use agent::{SECRET_VARIABLE, secret};
pub use applied::Applied;
pub use edge::{Edge, Toward};
pub use istiod::{Istiod, ROOT_NAMESPACE, TRUST_DOMAIN};
pub use jaeger::{Jaeger, TRACING_PROVIDER};
pub use mesh::Mesh;
pub use network::{Namespace, Network, WORLD};
pub use plan::{INGRESS, Plan, Role, SHOP};
pub use plugin::{MODULE_FILE, Plugin};
pub use registry::{PASSWORD, PRIVATE_REGISTRY, REGISTRY, Registry, USER};
pub use service::{PORT, Service};
pub use workload::Workload;
