//! The tour: every policy shown on the running demo, step by step, and checked.

mod call;
mod walk;

mod authentication;
mod authorization;
mod faults;
mod limits;
mod reloads;
mod routes;
mod telemetry;

use crate::{Mesh, Result};

/// Walks the whole tour, printing each step as it goes; true if every step held.
pub fn walk(mesh: &Mesh) -> Result<bool> {
    let mut walk = walk::Walk::new(mesh);
    authentication::steps(&mut walk)?;
    authorization::steps(&mut walk)?;
    limits::steps(&mut walk)?;
    routes::steps(&mut walk)?;
    faults::steps(&mut walk)?;
    telemetry::steps(&mut walk)?;
    reloads::steps(&mut walk)?;
    Ok(walk.summary())
}
