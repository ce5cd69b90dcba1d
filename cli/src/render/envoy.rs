//! `sluice render envoy`: the HTTP filter for an Envoy, the file of its discovery, or what belongs into the connection manager.

use super::connection_manager;
use super::tree::Tree;
use crate::arguments::{Format, RenderEnvoyArguments};
use crate::compile::Compiled;
use crate::failure::Failure;
use serde_json::{Value, json};
use std::path::Path;

/// The HTTP filter, the file of its discovery, or what belongs into the connection manager.
///
/// # Errors
/// When the module's path is no text.
pub(super) fn envoy(compiled: &Compiled, arguments: &RenderEnvoyArguments) -> Result<Tree, Failure> {
    if arguments.connection_manager {
        return Ok(Value::Object(connection_manager::fields(compiled, true)).into());
    }
    let module = arguments.module.as_deref().and_then(Path::to_str);
    let module = module
        .ok_or_else(|| Failure::new("--module: Envoy's configuration takes only a path that is UTF-8"))?;
    let typed_config =
        wasm(&json!({ "local": { "filename": module } }), &arguments.name, compiled, arguments.format);
    if !arguments.ecds {
        return Ok(json!({ "name": arguments.name, "typed_config": typed_config }).into());
    }
    let digest = hmac_sha256::Hash::hash(typed_config.to_string().as_bytes());
    let version: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Ok(json!({
        "version_info": version,
        "resources": [{
            "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            "name": arguments.name,
            "typed_config": typed_config,
        }],
    })
    .into())
}

/// `envoy.extensions.filters.http.wasm.v3.Wasm`, with the module from `code`.
pub(super) fn wasm(code: &Value, name: &str, compiled: &Compiled, format: Format) -> Value {
    // Readable where a person may look: in the YAML file, in /config_dump. As small as can be where a program reads it.
    let policy = match format {
        Format::Yaml => compiled.node.to_json_lines(),
        Format::Json => compiled.json.clone(),
    };
    let mut vm_config = json!({ "vm_id": name, "runtime": "envoy.wasm.runtime.v8", "code": code });
    let variables = compiled.document.variables();
    if let (false, Some(vm_config)) = (variables.is_empty(), vm_config.as_object_mut()) {
        // From Envoy's own environment: the secret is not in its configuration.
        let names: Vec<&str> = variables.iter().map(|name| name.as_str()).collect();
        vm_config.insert("environment_variables".to_owned(), json!({ "host_env_keys": names }));
    }
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": {
            "name": name,
            "root_id": name,
            // A trap ends the VM. It is started again after ten milliseconds, not after the second that Envoy waits by default; less
            // than two would end the Envoy.
            "failure_policy": "FAIL_RELOAD",
            "reload_config": { "backoff": { "base_interval": "0.010s" } },
            "vm_config": vm_config,
            "configuration": { "@type": "type.googleapis.com/google.protobuf.StringValue", "value": policy },
        },
    })
}
