//! A real Jaeger, which the proxies send their spans to.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_integration::{Process, Request, Result, tools};

use crate::network::{Namespace, WORLD};
use crate::plan::SHOP;

/// Where it takes spans (OTLP by gRPC).
const OTLP: u16 = 4317;

/// Where it is asked.
const QUERY: u16 = 16686;

/// The name of the provider in Istio's configuration, which a Telemetry resource chooses.
pub const TRACING_PROVIDER: &str = "jaeger";

/// Jaeger with its storage in memory.
pub struct Jaeger {
    _process: Process,
}

impl Jaeger {
    /// Starts it.
    pub fn start(world: &Namespace, directory: &Path) -> Result<Self> {
        let mut command = world.command(tools::find("jaeger")?);
        command.env("JAEGER_LISTEN_HOST", "0.0.0.0");
        let mut process = Process::start("jaeger", command, &directory.join("jaeger"))?;
        process.wait_ready(Duration::from_secs(180), || {
            let services = world.send(&format!("{WORLD}:{QUERY}"), &Request::get("/api/services"));
            services.is_ok_and(|answer| answer.status == 200)
        })?;
        Ok(Self { _process: process })
    }

    /// The documents that make it a service of the mesh.
    pub fn service() -> String {
        let port = json!({ "name": "grpc-otlp", "port": OTLP, "protocol": "TCP" });
        let labels = json!({ "kubernetes.io/service-name": "jaeger" });
        json!({
            "apiVersion": "v1", "kind": "List", "items": [
                { "apiVersion": "v1", "kind": "Service", "metadata": { "name": "jaeger", "namespace": SHOP },
                  "spec": { "ports": [port] } },
                { "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                  "metadata": { "name": "jaeger", "namespace": SHOP, "labels": labels },
                  "ports": [port], "endpoints": [{ "addresses": [WORLD.to_string()], "conditions": { "ready": true } }] },
            ],
        })
        .to_string()
    }

    /// The spans of a trace, as Jaeger's interface gives them; none yet, if it does not know the trace.
    pub fn spans(&self, world: &Namespace, trace: &str) -> Result<Vec<Value>> {
        let mut found =
            world.send(&format!("{WORLD}:{QUERY}"), &Request::get(&format!("/api/traces/{trace}")))?.json();
        let trace = found.pointer_mut("/data/0").map(Value::take).unwrap_or_default();
        let mut spans = trace["spans"].as_array().cloned().unwrap_or_default();
        for span in &mut spans {
            // Who made it stands in a table beside the spans.
            let process = span["processID"].as_str().unwrap_or_default().to_owned();
            span["service"] = trace["processes"][&process]["serviceName"].clone();
        }
        Ok(spans)
    }
}

/// What istiod is told of it.
pub(crate) fn provider() -> Value {
    json!({
        "name": TRACING_PROVIDER,
        "opentelemetry": { "service": format!("jaeger.{SHOP}.svc.cluster.local"), "port": OTLP },
    })
}
