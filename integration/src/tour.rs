//! The tour: every policy shown on the running demo, step by step, and checked.

mod call;
mod compose;
mod walk;

mod authentication;
mod authorization;
mod composition;
mod faults;
mod fleet;
mod global_limit;
mod keys;
mod limits;
mod observability;
mod reloads;
mod requests;
mod routes;
mod telemetry;
mod versions;

pub use compose::Compose;

pub(crate) use call::this_program;

use crate::{AccessLogEntry, Client, Proxy, Result};

/// The demo as the tour needs it: one that it has started itself, or that of docker-compose.yml.
pub trait Demo {
    /// The port of the edge, on loopback.
    fn edge_port(&self) -> u16;

    /// What a proxy says of a request: the fields of its access log. Nothing if it has not seen it. One that the request is known to
    /// have `reached` is waited for; of others nothing may come, however long one waits.
    fn logged(&self, proxy: Proxy, request_id: &str, reached: bool) -> Option<AccessLogEntry>;

    /// The edge's metrics as Prometheus scrapes them.
    fn edge_metrics(&self) -> Result<String>;

    /// The edge's policy document, as it was started with.
    fn edge_policy(&self) -> Result<String>;

    /// Replaces the edge's policy and waits until it is taken or refused: true if it was taken.
    fn reload_edge(&self, policy: &str) -> Result<bool>;

    /// The issuer of the contractors' tokens.
    fn issuer(&self) -> Client;

    /// What a person would type.
    fn lines(&self) -> Lines;
}

/// The lines that the tour prints beside its steps: how a person does the same from a shell.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    /// Calls this program, for its `token`.
    pub this_program: String,
    /// Comes before a call that is made from another address of the loopback network.
    pub from_another_address: String,
    /// Where the issuer of the contractors' tokens is.
    pub issuer: String,
    /// Prints the edge's counters.
    pub metrics: String,
    /// Prints the last line of the edge's access log; nothing where the tour can't read it.
    pub access_log: Option<String>,
    /// Replaces the edge's policy.
    pub reload: String,
}

/// Walks the whole tour, printing each step as it goes; true if every step held.
pub fn walk(demo: &dyn Demo) -> Result<bool> {
    let mut walk = walk::Walk::new(demo);
    policies(&mut walk)?;
    fleet::steps(&mut walk)?;
    Ok(walk.summary())
}

/// Walks the whole tour in the network of docker-compose.yml, and shows what only that has.
pub fn walk_compose(demo: &Compose) -> Result<bool> {
    let mut walk = walk::Walk::new(demo);
    policies(&mut walk)?;
    global_limit::steps(&mut walk)?;
    observability::steps(&mut walk, demo)?;
    Ok(walk.summary())
}

fn policies(walk: &mut walk::Walk) -> Result<()> {
    requests::steps(walk)?;
    versions::steps(walk)?;
    authentication::steps(walk)?;
    keys::steps(walk)?;
    authorization::steps(walk)?;
    limits::steps(walk)?;
    routes::steps(walk)?;
    faults::steps(walk)?;
    composition::steps(walk)?;
    telemetry::steps(walk)?;
    reloads::steps(walk)
}
