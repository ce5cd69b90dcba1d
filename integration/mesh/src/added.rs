//! A workload more, for a while.

use sluice_integration::{Answer, Request, Result};

use crate::endpoints;
use crate::mesh::Mesh;
use crate::plan::{Plan, SHOP};
use crate::service::{PORT, Service};
use crate::workload::Workload;

/// A workload with a service, besides those that the mesh began with. It goes, with all that the API server has of it, when this
/// is dropped.
pub struct Added<'mesh> {
    mesh: &'mesh Mesh,
    service: Service,
    workload: Workload,
    address: String,
}

impl<'mesh> Added<'mesh> {
    /// Starts it, and has Kubernetes say at once that it is there: before its proxy is ready.
    pub(crate) fn start(mesh: &'mesh Mesh, plan: Plan) -> Result<Self> {
        let workload = Workload::start(plan, mesh.network(), mesh.api(), mesh.directory())?;
        let service = Service::start(plan.name, workload.namespace(), PORT)?;
        let address = endpoints::publish(plan.app, std::slice::from_ref(&workload), mesh.api())?;
        Ok(Self { mesh, service, workload, address })
    }

    /// The service.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// A request of a workload to the service, as by [`Mesh::call`].
    pub fn call(&self, from: &str, request: &Request) -> Result<Answer> {
        let request = request.clone().header("host", format!("{}.{SHOP}:{PORT}", self.workload.plan().app));
        self.mesh.workload(from).namespace().send(&self.address, &request)
    }
}

impl Drop for Added<'_> {
    fn drop(&mut self) {
        let Plan { name, app, namespace, .. } = *self.workload.plan();
        let (service, endpoints, pod) =
            (format!("service/{app}"), format!("endpointslice/{app}"), format!("pod/{name}"));
        // Without a kubelet nobody would say that the pod has ended.
        let delete = ["delete", &service, &endpoints, &pod, "-n", namespace, "--grace-period=0", "--force"];
        if let Err(error) = self.mesh.api().kubectl(&delete) {
            eprintln!("can't clean up: {error}");
        }
    }
}
