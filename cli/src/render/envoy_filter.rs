//! `sluice render envoy-filter`: patches of the configuration that Istio makes, for what a WasmPlugin can't say.

use super::connection_manager;
use super::envoy::wasm;
use super::istio::{Module, Place};
use super::tree::Tree;
use crate::arguments::{Position, RenderEnvoyFilterArguments};
use crate::compile::Compiled;
use crate::failure::Failure;
use serde_json::{Value, json};

const CONNECTION_MANAGER: &str = "envoy.filters.network.http_connection_manager";
const CONNECTION_MANAGER_TYPE: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// The resource and what a user had better know of it.
///
/// # Errors
/// What was asked for can't be said in an EnvoyFilter, or nothing was.
pub(super) fn envoy_filter(
    compiled: &Compiled,
    arguments: &RenderEnvoyFilterArguments,
) -> Result<(Tree, Vec<String>), Failure> {
    let proxies = &arguments.proxies;
    let context = match proxies.place() {
        Place::Sidecars => "SIDECAR_INBOUND",
        Place::Gateways => "GATEWAY",
    };
    // Resources of all namespaces meet in one proxy: ours has a name that no other has.
    let filter = match &proxies.namespace {
        Some(namespace) => format!("{namespace}.{}", proxies.name),
        None => proxies.name.clone(),
    };
    let mut warnings = Vec::new();
    let mut patches = Vec::new();
    if !arguments.beside_wasm_plugin {
        let module = Module::of(&arguments.module)?;
        warnings.extend(module.warning.clone());
        patches.push(filter_patch(&filter, context, arguments.position));
        let mut extension = wasm(&module.code(), &filter, compiled, arguments.proxies.format);
        if let Some(interval) = extension.pointer_mut("/config/reload_config/backoff/base_interval") {
            *interval = json!(seconds(arguments.restart_interval));
        }
        patches.push(patch(
            "EXTENSION_CONFIG",
            json!({ "context": context }),
            "ADD",
            json!({ "name": filter, "typed_config": extension }),
        ));
    }
    if let Some(manager) = manager(compiled, arguments) {
        let listener = json!({ "filterChain": { "filter": { "name": CONNECTION_MANAGER } } });
        let value = json!({ "name": CONNECTION_MANAGER, "typed_config": manager });
        patches.push(patch(
            "NETWORK_FILTER",
            json!({ "context": context, "listener": listener }),
            "MERGE",
            value,
        ));
    }
    if patches.is_empty() {
        return Err(Failure::new(
            "nothing to patch beside the WasmPlugin: the document names neither `client.address.peerHeader` nor `client.peerIdentityHeader`, there are no headers to remove at a --gateway (`forward`, `routing`), and --access-log was not asked for",
        ));
    }
    let labels = proxies.labels()?;
    let resource = Tree::object([
        ("apiVersion", Some("networking.istio.io/v1alpha3".into())),
        ("kind", Some("EnvoyFilter".into())),
        ("metadata", Some(proxies.metadata()?)),
        (
            "spec",
            Some(Tree::object([
                ("workloadSelector", labels.map(|labels| Tree::object([("labels", Some(labels))]))),
                ("targetRefs", proxies.target_refs()),
                ("configPatches", Some(Tree::List(patches))),
            ])),
        ),
    ]);
    Ok((resource, warnings))
}

/// The filter, its configuration to be discovered: only so the agent in the pod fetches the module.
fn filter_patch(filter: &str, context: &str, position: Position) -> Tree {
    // A patch before a filter that the proxy does not have is left out without a word. The router is always there.
    let (operation, neighbour) = match position {
        Position::First => ("INSERT_FIRST", json!({ "name": CONNECTION_MANAGER })),
        Position::Last => (
            "INSERT_BEFORE",
            json!({ "name": CONNECTION_MANAGER, "subFilter": { "name": "envoy.filters.http.router" } }),
        ),
    };
    let value = json!({
        "name": filter,
        "config_discovery": {
            // No traffic before the policy is there: Envoy waits for the first one without an end.
            "config_source": { "ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s" },
            // The second is what the agent puts there when it can't fetch the module: it denies everything.
            "type_urls": [
                "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            ],
        },
    });
    patch(
        "HTTP_FILTER",
        json!({ "context": context, "listener": { "filterChain": { "filter": neighbour } } }),
        operation,
        value,
    )
}

/// What is added to the connection manager, if anything is to be.
fn manager(compiled: &Compiled, arguments: &RenderEnvoyFilterArguments) -> Option<Value> {
    // A sidecar's inbound routes are Istio's: none of them leaves our filter out, and none is chosen by a header.
    let removes = matches!(arguments.proxies.place(), Place::Gateways);
    let mut fields = connection_manager::fields(compiled, removes);
    if arguments.access_log {
        fields.insert("access_log".to_owned(), json!([access_log()]));
    }
    if fields.is_empty() {
        return None;
    }
    fields.insert("@type".to_owned(), json!(CONNECTION_MANAGER_TYPE));
    Some(Value::Object(fields))
}

/// A line of JSON for each request, with what was decided and why.
fn access_log() -> Value {
    json!({
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {
                "json_format": {
                    "time": "%START_TIME%",
                    "method": "%REQ(:METHOD)%",
                    "path": "%PATH(NQ:ORIG_OR_PATH)%",
                    "authority": "%REQ(:AUTHORITY)%",
                    "status": "%RESPONSE_CODE%",
                    "details": "%RESPONSE_CODE_DETAILS%",
                    "flags": "%RESPONSE_FLAGS%",
                    "decision": "%FILTER_STATE(wasm.sluice.decision:PLAIN)%",
                    "peer": "%DOWNSTREAM_PEER_URI_SAN%",
                    "traceparent": "%REQ(TRACEPARENT)%",
                    "request_id": "%REQ(X-REQUEST-ID)%",
                    "cluster": "%UPSTREAM_CLUSTER%",
                    "upstream": "%UPSTREAM_HOST%",
                    "duration_ms": "%DURATION%",
                },
            },
        },
    })
}

fn patch(apply_to: &str, matched: Value, operation: &str, value: Value) -> Tree {
    Tree::object([
        ("applyTo", Some(apply_to.into())),
        ("match", Some(matched.into())),
        ("patch", Some(Tree::object([("operation", Some(operation.into())), ("value", Some(value.into()))]))),
    ])
}

/// A duration as protobuf's JSON has it.
fn seconds(milliseconds: u32) -> String {
    format!("{}.{:03}s", milliseconds / 1000, milliseconds % 1000)
}
