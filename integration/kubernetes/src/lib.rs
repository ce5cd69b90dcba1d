//! A real kube-apiserver, and what is applied to it.
//!
//! ```no_run
//! use sluice_kubernetes_test::ApiServer;
//!
//! # fn main() -> sluice_integration::Result<()> {
//! let server = ApiServer::start()?;
//! server.install_istio_crds()?;
//! server.create_namespace("shop")?;
//! server.apply("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: strict, namespace: shop }\nspec: { mtls: { mode: STRICT } }")?;
//! assert!(server.kubectl(&["get", "peerauthentications", "-n", "shop"])?.contains("strict"));
//! # Ok(())
//! # }
//! ```
//!
//! It is a control plane without a cluster: what is applied is checked, defaulted, stored and watched as anywhere, but there are
//! neither controllers nor nodes, so that a Deployment stays a wish. [`ApiServer`] needs the programs of
//! `tools/setup kubernetes`; they and their files are gone when it is dropped.

mod api_server;
mod certificates;
mod istio;
mod namespace;

pub use api_server::ApiServer;
