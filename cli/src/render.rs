//! `sluice render`: a document in the form that a proxy takes.

mod yaml;

use crate::arguments::{Format, RenderEnvoyArguments, RenderTarget};
use crate::check::{self, misfits};
use crate::compile::{Compiled, compile};
use crate::failure::Failure;
use crate::report;
use crate::source::Source;
use crate::{Status, Streams};
use serde_json::{Value, json};

/// Runs the command.
///
/// # Errors
/// When a file can't be read.
pub fn run(target: &RenderTarget, streams: &mut Streams<'_>) -> Result<Status, Failure> {
    let RenderTarget::Envoy(arguments) = target;
    let source = Source::read(&arguments.file, streams.input)?;
    let checked = compile(&source).and_then(|compiled| {
        // On the machine where a document is rendered the module need not be.
        let module = check::read_module(&arguments.module).ok();
        let misfits = module.map(|module| misfits(&compiled, &module)).unwrap_or_default();
        if misfits.is_empty() { Ok(compiled) } else { Err(misfits) }
    });
    match checked {
        Ok(compiled) => {
            let rendered = envoy(&compiled, arguments)?;
            let text = match arguments.format {
                Format::Json => format!("{rendered:#}\n"),
                Format::Yaml => {
                    let origin = source.name.replace(char::is_control, " ");
                    format!(
                        "# Written by `sluice render envoy` from {origin}: change that, not this.\n{}",
                        yaml::write(&rendered)
                    )
                }
            };
            streams.output.write_all(text.as_bytes())?;
            Ok(Status::Fine)
        }
        Err(findings) => {
            report::write_findings(&source, &findings, streams.errors)?;
            Ok(Status::Wrong)
        }
    }
}

/// The HTTP filter for an Envoy, or the file of its discovery.
///
/// # Errors
/// When the module's path is no text.
pub fn envoy(compiled: &Compiled, arguments: &RenderEnvoyArguments) -> Result<Value, Failure> {
    let module = arguments.module.to_str();
    let module = module
        .ok_or_else(|| Failure::new("--module: Envoy's configuration takes only a path that is UTF-8"))?;
    // Readable where a person may look: in the YAML file, in /config_dump. As small as can be where a program reads it.
    let policy = match arguments.format {
        Format::Yaml => compiled.node.to_json_lines(),
        Format::Json => compiled.json.clone(),
    };
    let typed_config = typed_config(module, &arguments.name, &policy);
    if !arguments.ecds {
        return Ok(json!({ "name": arguments.name, "typed_config": typed_config }));
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
    }))
}

/// `envoy.extensions.filters.http.wasm.v3.Wasm`.
fn typed_config(module: &str, name: &str, policy: &str) -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": {
            "name": name,
            "root_id": name,
            // A trap ends the VM. It is started again after ten milliseconds, not after the second that Envoy waits by default; less
            // than two would end the Envoy.
            "failure_policy": "FAIL_RELOAD",
            "reload_config": { "backoff": { "base_interval": "0.010s" } },
            "vm_config": {
                "vm_id": name,
                "runtime": "envoy.wasm.runtime.v8",
                "code": { "local": { "filename": module } },
            },
            "configuration": { "@type": "type.googleapis.com/google.protobuf.StringValue", "value": policy },
        },
    })
}

#[cfg(test)]
mod tests;
