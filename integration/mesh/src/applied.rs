//! What was applied, and goes again.

use sluice_integration::{Result, wait_until};

use crate::mesh::{Mesh, PROPAGATION};

/// What was applied to the API server for a while: deleted when this is dropped.
pub struct Applied<'mesh> {
    mesh: &'mesh Mesh,
    documents: String,
}

impl<'mesh> Applied<'mesh> {
    pub(crate) fn new(mesh: &'mesh Mesh, documents: &str) -> Self {
        Self { mesh, documents: documents.to_owned() }
    }

    /// Deletes it now, and waits until every workload has the configuration that it had in the beginning: for the last thing
    /// that was applied.
    pub fn remove(mut self) -> Result<()> {
        self.delete()?;
        self.mesh.wait_until_as_before()
    }

    /// Deletes it now, and waits until no workload has the plugin of that name: where other things stay applied.
    pub fn remove_plugin(mut self, plugin: &str) -> Result<()> {
        self.delete()?;
        for workload in self.mesh.workloads() {
            wait_until(&format!("{} without {plugin}", workload.plan().name), PROPAGATION, || {
                !workload.has_plugin(plugin) && workload.is_settled()
            })?;
        }
        Ok(())
    }

    fn delete(&mut self) -> Result<()> {
        let documents = std::mem::take(&mut self.documents);
        if !documents.is_empty() {
            self.mesh.api().delete(&documents)?;
        }
        Ok(())
    }
}

impl Drop for Applied<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.delete() {
            eprintln!("can't clean up: {error}");
        }
    }
}
