//! Drives docker-compose.yml and breaks its containers.
//!
//! * [`isolation`]: the test in namespaces of its own, so that its Docker Engine is nobody else's business.
//! * [`Engine`]: that engine, or the one that `DOCKER_HOST` names.
//! * [`stand_ins`]: images with the real programs under the public names, where none can be pulled.
//! * [`Project`]: docker-compose.yml as it runs: commands, logs, containers.
//! * [`Traffic`]: steady requests, and what became of each.
//! * [`promql`]: the expressions of the dashboard.

pub mod isolation;
pub mod promql;
pub mod stand_ins;

mod command;
mod engine;
mod project;
mod traffic;

pub use command::{Output, run};
pub use engine::Engine;
pub use project::{Project, dot_env};
pub use traffic::{Kind, Outcome, Traffic};
