//! What the integration tests, the tour and the benchmarks need to drive real Envoys.
//!
//! # For a test
//!
//! ```no_run
//! use sluice_integration::{Gateway, Request};
//!
//! // One Envoy with the module and this policy, in front of an upstream that records what reached it.
//! let gateway = Gateway::with_policy("version: 1");
//! let answer = gateway.send(Request::get("/orders/7").header("x-user", "mallory"));
//! assert_eq!(answer.status, 200);
//! assert_eq!(gateway.upstream().last().header("x-user"), None);
//! ```
//!
//! * [`Gateway`]: one Envoy, its upstreams and a policy; [`Gateway::builder`] has the options (workers, filters beside
//!   ours, ECDS, further clusters and versions, any edit of the bootstrap). [`Gateway::reload`] replaces the policy.
//! * [`Request`], [`Answer`], [`Client`]: HTTP/1.1 and HTTP/2, blocking (`send`) or not (`send_async`).
//! * [`raw`]: bytes on a TCP connection, for what no well-behaved client sends.
//! * [`Upstream`]: a server that records requests and echoes them as JSON, or answers as told.
//! * [`Streamed`], [`Sink`]: a request whose body is sent part by part, and a server that counts what comes of bodies.
//! * [`Envoy`]: a running Envoy: admin interface, statistics, logs, memory and processor time; from any bootstrap file.
//! * [`RateLimitService`]: envoyproxy/ratelimit with a Redis.
//! * [`Mesh`]: the whole demo (edge, two sidecars, two services) on free ports or on the documented ones.
//! * [`tools`]: where the programs of others are that a test starts.
//! * [`tokens`]: the demo issuer, which signs with RS256, ES256, EdDSA or HS256.
//! * [`wait_until`], [`ports`], [`Process`], [`certificates`], [`document`]: what those are built from.
//!
//! Everything listens on loopback. A child process is in a group of its own, is killed by id when its handle is dropped, and
//! dies with this process whatever happens to it.

pub mod certificates;
pub mod document;
pub mod interrupted;
pub mod ports;
pub mod raw;
pub mod services;
pub mod tokens;
pub mod tools;
pub mod tour;

mod client;
mod envoy;
mod error;
mod gateway;
mod mesh;
mod paths;
mod process;
mod rate_limit_service;
mod runtime;
mod sink;
mod streamed;
mod upstream;
mod wait;
mod wasm_filter;

pub use client::{Answer, Client, Protocol, Request};
pub use envoy::{AccessLogEntry, Envoy, EnvoyBuilder};
pub use error::{Error, Result};
pub use gateway::{Gateway, GatewayBuilder};
pub use mesh::{Mesh, MeshBuilder, Ports, Proxy};
pub use paths::{envoy_binary, module, module_named, repository_root};
pub use process::{Process, Usage};
pub use rate_limit_service::RateLimitService;
pub use sink::{Answers, Poured, Sink};
pub use streamed::Streamed;
pub use upstream::{Received, Reply, Upstream};
pub use wait::{wait_until, wait_until_some};
pub use wasm_filter::{discovered_filter, discovery_response, static_filter};
