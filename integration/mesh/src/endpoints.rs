//! Kubernetes services, and what its controllers would find for them.

use serde_json::json;
use sluice_integration::Result;
use sluice_kubernetes_test::ApiServer;

use crate::plan::SHOP;
use crate::service::PORT;
use crate::workload::Workload;

/// A Service, and the endpoints that Kubernetes' controllers would find for it; gives the Service's address.
pub(crate) fn publish(app: &str, workloads: &[Workload], api: &ApiServer) -> Result<String> {
    let port = json!({ "name": "http", "port": PORT, "protocol": "TCP" });
    api.apply(
        &json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": app, "namespace": SHOP, "labels": { "app": app } },
            "spec": { "selector": { "app": app }, "ports": [port] },
        })
        .to_string(),
    )?;
    let endpoints: Vec<_> = workloads
        .iter()
        .filter(|workload| workload.plan().app == app)
        .map(|workload| {
            json!({
                "addresses": [workload.namespace().address().to_string()],
                "conditions": { "ready": true },
                "targetRef": { "kind": "Pod", "name": workload.plan().name, "namespace": SHOP },
            })
        })
        .collect();
    api.apply(
        &json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": { "name": app, "namespace": SHOP, "labels": { "kubernetes.io/service-name": app } },
            "ports": [port], "endpoints": endpoints,
        })
        .to_string(),
    )?;
    let address = api.kubectl(&["get", "service", app, "-n", SHOP, "-o", "jsonpath={.spec.clusterIP}"])?;
    Ok(format!("{}:{PORT}", address.trim()))
}
