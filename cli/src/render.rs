//! `sluice render`: a document in the form that a proxy, or Istio for its proxies, takes.

mod connection_manager;
mod envoy;
mod envoy_filter;
mod istio;
mod rate_limit_service;
pub(crate) mod tree;
mod wasm_plugin;
pub(crate) mod yaml;

use crate::arguments::{Format, RenderTarget};
use crate::check::{self, misfits, size_warning};
use crate::compile::{Compiled, Finding, compile};
use crate::failure::Failure;
use crate::report::{self, Manner};
use crate::source::Source;
use crate::{Status, Streams};
use std::path::Path;

/// Runs the command.
///
/// # Errors
/// When a file can't be read, or the options can't be had together.
pub fn run(target: &RenderTarget, streams: &mut Streams<'_>) -> Result<Status, Failure> {
    let source = Source::read(target.file(), streams.input)?;
    let checked = compile(&source).and_then(|compiled| {
        let findings = findings(target, &compiled);
        if findings.is_empty() { Ok(compiled) } else { Err(findings) }
    });
    let compiled = match checked {
        Ok(compiled) => compiled,
        Err(findings) => {
            report::write_findings(&source, &findings, Manner::of_errors(streams), streams.errors)?;
            return Ok(Status::Wrong);
        }
    };
    report::write_findings(&source, &compiled.warnings, Manner::of_errors(streams), streams.errors)?;
    let (rendered, warnings) = match target {
        RenderTarget::Envoy(arguments) => {
            let warnings = arguments.connection_manager.then(|| connection_manager::warning(&compiled));
            (envoy::envoy(&compiled, arguments)?, warnings.flatten().into_iter().collect())
        }
        RenderTarget::WasmPlugin(arguments) => {
            arguments.module.module.as_deref().map(check::read_module).transpose()?;
            wasm_plugin::wasm_plugin(&compiled, arguments)?
        }
        RenderTarget::EnvoyFilter(arguments) => {
            arguments.module.module.as_deref().map(check::read_module).transpose()?;
            envoy_filter::envoy_filter(&compiled, arguments)?
        }
        RenderTarget::RateLimitService(arguments) => {
            (rate_limit_service::rate_limit_service(&compiled, arguments)?, Vec::new())
        }
    };
    let text = match target.format() {
        Format::Json => format!("{:#}\n", rendered.to_json()),
        Format::Yaml => {
            let origin = source.name.replace(char::is_control, " ");
            let command = target.name();
            let beside = beside(target, &compiled);
            format!(
                "# Written by `sluice render {command}` from {origin}: change that, not this.\n{beside}{}",
                yaml::write(&rendered)
            )
        }
    };
    streams.output.write_all(text.as_bytes())?;
    let size = target.is_istio().then(|| size_warning(rendered.to_json().to_string().len())).flatten();
    for warning in warnings.into_iter().chain(size) {
        writeln!(streams.errors, "{}: warning: {warning}", source.name)?;
    }
    Ok(Status::Fine)
}

/// What else an Envoy needs, as a comment.
fn beside(target: &RenderTarget, compiled: &Compiled) -> &'static str {
    match target {
        RenderTarget::Envoy(arguments)
            if !arguments.connection_manager && !connection_manager::fields(compiled, true).is_empty() =>
        {
            "# The connection manager needs what `sluice render envoy --connection-manager` prints from the same document.\n"
        }
        _ => "",
    }
}

/// What keeps a document that is fine from this form.
fn findings(target: &RenderTarget, compiled: &Compiled) -> Vec<Finding> {
    let module: Option<&Path> = match target {
        RenderTarget::Envoy(arguments) => arguments.module.as_deref(),
        RenderTarget::WasmPlugin(arguments) => arguments.module.module.as_deref(),
        RenderTarget::EnvoyFilter(arguments) => arguments.module.module.as_deref(),
        RenderTarget::RateLimitService(_) => None,
    };
    // On the machine where a document is rendered the module need not be.
    let module = module.and_then(|module| check::read_module(module).ok());
    let mut findings = module.map(|module| misfits(compiled, &module)).unwrap_or_default();
    if matches!(target, RenderTarget::WasmPlugin(_)) {
        findings.extend(wasm_plugin::inexact(&compiled.node));
    }
    findings
}

#[cfg(test)]
mod tests;
