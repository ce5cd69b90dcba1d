//! Where Envoy itself traces.

use std::collections::BTreeSet;
use std::time::Duration;

use sluice_integration::{Request, Result, wait_until};
use sluice_mesh_test::{Jaeger, Mesh, Plugin, TRACING_PROVIDER};

use crate::asserts::SOON;
use crate::shipped::header;

/// Envoy sends its spans every five seconds.
const LATER: Duration = Duration::from_secs(12);

/// Istio's tracing goes on over both layers of Sluice, whose policies leave the context to Envoy, and has a span of each proxy.
pub(crate) fn spans_of_all_proxies_are_one_trace(mesh: &Mesh) -> Result<()> {
    let jaeger = Jaeger::start(mesh.world(), mesh.directory())?;
    let _service = mesh.apply(&Jaeger::service())?;
    let _telemetry = mesh.apply(&format!(
        "
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {{ name: tracing, namespace: shop }}
spec: {{ tracing: [{{ providers: [{{ name: {TRACING_PROVIDER} }}], randomSamplingPercentage: 100 }}] }}
"
    ))?;
    let policy = "{version: 1, authz: {default: allow}, telemetry: {trace: {context: off}}}";
    let _orders = mesh.install(&Plugin::new("orders", policy)?.on("orders").server())?;
    let _inventory = mesh.install(&Plugin::new("inventory", policy)?.on("inventory").server())?;
    let call =
        format!("/orders/7?call=inventory.shop:8080@{}/inventory/teapot", mesh.address_of("inventory"));
    // The proxies begin to trace one after the other: a request of the first seconds may lack a span.
    let proxies: BTreeSet<String> =
        ["client.shop", "orders.shop", "inventory.shop"].map(str::to_owned).into();
    let mut seen = BTreeSet::new();
    let traced = || -> Result<BTreeSet<String>> {
        let answer = mesh.call("client", "orders", &Request::get(&call))?.json();
        let context = header(&answer["called"]["answer"], "traceparent");
        let trace = context.first().and_then(|context| context.split('-').nth(1)).ok_or("not traced yet")?;
        let mut services = BTreeSet::new();
        let _ = wait_until("the spans of a trace", LATER, || {
            let spans = jaeger.spans(mesh.world(), trace).unwrap_or_default();
            services = spans.iter().filter_map(|span| span["service"].as_str().map(str::to_owned)).collect();
            services == proxies
        });
        Ok(services)
    };
    let complete = wait_until("a trace with spans of all proxies", SOON, || {
        seen = traced().unwrap_or_default();
        seen == proxies
    });
    assert!(complete.is_ok(), "{seen:?}");
    Ok(())
}
