//! The wasm filter as Envoy's configuration has it.

use std::path::Path;

use serde_json::{Value, json};

/// The name of the HTTP filter, of the plugin, and of the resource that ECDS asks for.
pub const FILTER: &str = "sluice";

/// `envoy.extensions.filters.http.wasm.v3.Wasm` with the module and a policy document (JSON text).
pub fn typed_config(module: &Path, policy: &str) -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": {
            "name": FILTER,
            "root_id": FILTER,
            // A trap ends the VM. It is started again after ten milliseconds, not after a second: never under two.
            "failure_policy": "FAIL_RELOAD",
            "reload_config": { "backoff": { "base_interval": "0.010s" } },
            "vm_config": {
                "vm_id": FILTER,
                "runtime": "envoy.wasm.runtime.v8",
                "code": { "local": { "filename": module } },
            },
            "configuration": { "@type": "type.googleapis.com/google.protobuf.StringValue", "value": policy },
        },
    })
}

/// The filter within a connection manager's chain, its policy in the bootstrap.
pub fn static_filter(module: &Path, policy: &str) -> Value {
    json!({ "name": FILTER, "typed_config": typed_config(module, policy) })
}

/// The filter within a connection manager's chain, its configuration watched in a file. Until the first one is accepted
/// there is none, and Envoy answers 500: a proxy without its policy lets nothing through.
pub fn discovered_filter(file: &Path) -> Value {
    json!({
        "name": FILTER,
        "config_discovery": {
            "config_source": {
                "resource_api_version": "V3",
                "path_config_source": { "path": file },
            },
            "apply_default_config_without_warming": false,
            "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"],
        },
    })
}

/// The content of the file that [`discovered_filter`] watches.
pub fn discovery_response(module: &Path, policy: &str, version: &str) -> Value {
    json!({
        "version_info": version,
        "resources": [{
            "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            "name": FILTER,
            "typed_config": typed_config(module, policy),
        }],
    })
}
