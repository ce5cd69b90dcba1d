//! The bootstrap of a test's gateway: the edge's (`envoy-configs/edge/envoy.yaml`) without TLS and without comments.

use serde_json::{Value, json};

use crate::Upstream;

pub(super) struct Parts<'a> {
    pub(super) port: u16,
    pub(super) filters: Vec<Value>,
    pub(super) direct_response: bool,
    pub(super) first: &'a Upstream,
    pub(super) versions: &'a [Upstream],
    pub(super) clusters: &'a [Upstream],
}

/// The header in which a routing policy names a subset, and the one in which it names a cluster.
const SUBSET: &str = "x-sluice-subset";
const CLUSTER: &str = "x-sluice-cluster";

pub(super) fn bootstrap(parts: &Parts) -> Value {
    let mut endpoints = vec![endpoint(parts.first.port(), "v1")];
    endpoints.extend(parts.versions.iter().map(|upstream| endpoint(upstream.port(), upstream.name())));
    let mut clusters = vec![cluster("upstream", endpoints)];
    clusters.extend(
        parts.clusters.iter().map(|upstream| cluster(upstream.name(), vec![endpoint(upstream.port(), "v1")])),
    );

    let mut filters = parts.filters.clone();
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
    }));

    json!({
        // Discovery asks in the name of a node.
        "node": { "id": "gateway", "cluster": "gateway" },
        "admin": { "address": address(0) },
        "stats_config": { "stats_tags": stats_tags() },
        "static_resources": {
            "listeners": [{
                "name": "gateway",
                "address": address(parts.port),
                "filter_chains": [{ "filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": connection_manager(filters, routes(parts)),
                }] }],
            }],
            "clusters": clusters,
        },
    })
}

fn connection_manager(filters: Vec<Value>, routes: Vec<Value>) -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "codec_type": "AUTO",
        "use_remote_address": true,
        "stream_idle_timeout": "15s",
        "request_headers_timeout": "10s",
        "normalize_path": true,
        "merge_slashes": true,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "common_http_protocol_options": { "headers_with_underscores_action": "REJECT_REQUEST" },
        "early_header_mutation_extensions": [{
            "name": "envoy.http.early_header_mutation.header_mutation",
            "typed_config": {
                "@type":
                    "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
                "mutations": [
                    { "remove_on_match": { "key_matcher": { "prefix": "x-sluice-" } } },
                    { "append": {
                        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                        "header": { "key": "x-sluice-peer", "value": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%" },
                    } },
                ],
            },
        }],
        "access_log": [{
            "name": "envoy.access_loggers.stdout",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
                "log_format": { "json_format": {
                    "method": "%REQ(:METHOD)%",
                    "path": "%PATH(NQ:ORIG_OR_PATH)%",
                    "status": "%RESPONSE_CODE%",
                    "details": "%RESPONSE_CODE_DETAILS%",
                    "flags": "%RESPONSE_FLAGS%",
                    "decision": "%FILTER_STATE(wasm.sluice.decision:PLAIN)%",
                    "traceparent": "%REQ(TRACEPARENT)%",
                    "user": "%REQ(X-USER)%",
                    "cluster": "%UPSTREAM_CLUSTER%",
                    "duration": "%DURATION%",
                } },
            },
        }],
        "http_filters": filters,
        "route_config": {
            "name": "gateway",
            "virtual_hosts": [{ "name": "gateway", "domains": ["*"], "routes": routes }],
        },
    })
}

fn routes(parts: &Parts) -> Vec<Value> {
    if parts.direct_response {
        return vec![json!({ "match": { "prefix": "/" }, "direct_response": { "status": 200 } })];
    }
    let mut routes = vec![json!({
        "match": { "prefix": "/", "headers": [{ "name": CLUSTER, "present_match": true }] },
        "route": { "cluster_header": CLUSTER, "timeout": "10s" },
    })];
    let versions = std::iter::once("v1").chain(parts.versions.iter().map(Upstream::name));
    routes.extend(versions.map(|version| {
        json!({
            "match": { "prefix": "/", "headers": [{ "name": SUBSET, "string_match": { "exact": version } }] },
            "route": {
                "cluster": "upstream",
                "timeout": "10s",
                "metadata_match": { "filter_metadata": { "envoy.lb": { "version": version } } },
            },
        })
    }));
    routes.push(json!({
        "match": { "prefix": "/" },
        "route": {
            "cluster": "upstream",
            "timeout": "10s",
            "metadata_match": { "filter_metadata": { "envoy.lb": { "version": "v1" } } },
        },
    }));
    routes
}

fn cluster(name: &str, endpoints: Vec<Value>) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_subset_config": { "fallback_policy": "ANY_ENDPOINT", "subset_selectors": [{ "keys": ["version"] }] },
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": endpoints }] },
    })
}

pub(super) fn http2_cluster(name: &str, port: u16) -> Value {
    let mut cluster = cluster(name, vec![endpoint(port, "v1")]);
    cluster["typed_extension_protocol_options"] = json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": { "http2_protocol_options": {} },
        },
    });
    cluster
}

fn endpoint(port: u16, version: &str) -> Value {
    json!({
        "endpoint": { "address": address(port) },
        "metadata": { "filter_metadata": { "envoy.lb": { "version": version } } },
    })
}

fn address(port: u16) -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
}

/// As in the shipped bootstraps: the parts of a metric's name become labels. Each regular expression's first group is cut
/// from the name, its second is the value.
fn stats_tags() -> Value {
    json!([
        { "tag_name": "section", "regex": r"^wasmcustom\.sluice_decisions(\.section\.([^.]+))" },
        { "tag_name": "outcome", "regex": r"^wasmcustom\.sluice_decisions.*?(\.outcome\.([^.]+))" },
        { "tag_name": "reason", "regex": r"^wasmcustom\.sluice_decisions.*?(\.reason\.(.+))$" },
        { "tag_name": "code_class", "regex": r"^wasmcustom\.sluice_requests(\.code_class\.([^.]+))" },
        { "tag_name": "provider", "regex": r"^wasmcustom\.sluice_requests.*?(\.provider\.([^.]+))" },
        { "tag_name": "consumer", "regex": r"^wasmcustom\.sluice_requests.*?(\.consumer\.([^.]+))" },
    ])
}
