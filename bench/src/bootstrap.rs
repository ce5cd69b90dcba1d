//! The bootstrap that all measured Envoys share; they differ in their HTTP filters only.

use serde_json::{Value, json};

use crate::service::Services;

/// A path whose answer shows what the filters did: see [`routes`].
pub const PROBE_PATH: &str = "/orders/probe";

/// A path that is routed to a cluster without endpoints: Envoy's answer is 503, and passes the filters that act on routes only.
pub const ROUTED_PATH: &str = "/orders/routed";

/// What lies below this path is routed to a service, and none of the answers is Envoy's own.
pub const SERVICE_PATH: &str = "/service";

/// The answer's header with the request's `x-user`, as it would have reached the service; `x-probe-team` likewise.
pub const PROBE_USER: &str = "x-probe-user";
/// The answer's header with the request's `x-team`.
pub const PROBE_TEAM: &str = "x-probe-team";
/// The answer's header with the request's `x-gateway`.
pub const PROBE_GATEWAY: &str = "x-probe-gateway";
/// The answer's header with the dynamic metadata `sluice.bench`: `client`.
pub const PROBE_METADATA: &str = "x-probe-metadata";

/// The name in Envoy's statistics.
pub const STAT_PREFIX: &str = "bench";

/// An Envoy that listens on `port` of loopback, has `filters` before the router, and answers every request itself, but those below
/// [`SERVICE_PATH`].
pub fn bootstrap(port: u16, services: &Services, filters: &[Value]) -> Value {
    let mut filters = filters.to_vec();
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
    }));
    json!({
        "admin": { "address": address(0) },
        "static_resources": {
            "listeners": [{
                "name": "bench",
                "address": address(port),
                "filter_chains": [{ "filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": connection_manager(&filters),
                }] }],
            }],
            "clusters": [
                { "name": "nobody", "type": "STATIC", "load_assignment": { "cluster_name": "nobody" } },
                cluster("service", services.service, json!({ "http_protocol_options": {} })),
                cluster("ratelimit", services.rate_limit, json!({ "http2_protocol_options": {} })),
            ],
        },
    })
}

/// As at an edge, without an access log: a line costs more than the filters.
fn connection_manager(filters: &[Value]) -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": STAT_PREFIX,
        "codec_type": "AUTO",
        "use_remote_address": true,
        "stream_idle_timeout": "15s",
        "normalize_path": true,
        "merge_slashes": true,
        "http_filters": filters,
        "route_config": {
            "name": "bench",
            "virtual_hosts": [{
                "name": "bench",
                "domains": ["*"],
                "routes": routes(),
                // Only read by the native `cors`.
                "typed_per_filter_config": {
                    "envoy.filters.http.cors": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
                        "allow_origin_string_match": [{ "exact": "https://shop.example.com" }],
                        "allow_methods": "GET,POST",
                    },
                },
            }],
        },
    })
}

/// A direct response: no upstream, so that the filters are most of what differs. On the probe's path the answer carries the
/// request's headers as they are after all filters.
fn routes() -> Value {
    let shown = |name: &str, value: &str| json!({ "header": { "key": name, "value": value } });
    json!([
        {
            "match": { "path": PROBE_PATH },
            "direct_response": { "status": 200 },
            "response_headers_to_add": [
                shown(PROBE_USER, "%REQ(x-user)%"),
                shown(PROBE_TEAM, "%REQ(x-team)%"),
                shown(PROBE_GATEWAY, "%REQ(x-gateway)%"),
                shown(PROBE_METADATA, "%DYNAMIC_METADATA(sluice.bench:client)%"),
            ],
        },
        { "match": { "path": ROUTED_PATH }, "route": { "cluster": "nobody" } },
        { "match": { "path_separated_prefix": SERVICE_PATH }, "route": {
            "cluster": "service",
            // Only read by the native `ratelimit`.
            "rate_limits": [{ "actions": [{ "request_headers": { "header_name": ":path", "descriptor_key": "path" } }] }],
        } },
        { "match": { "prefix": "/" }, "direct_response": { "status": 200 } },
    ])
}

fn cluster(name: &str, port: u16, protocol: Value) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address(port) } }] }] },
        "typed_extension_protocol_options": { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": protocol,
        } },
    })
}

fn address(port: u16) -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
}
