//! `sluice render wasm-plugin`: Istio's own resource for a module and its configuration.

use super::istio::{Module, Place};
use super::tree::Tree;
use crate::arguments::{FailStrategy, Phase, RenderWasmPluginArguments};
use crate::compile::{Compiled, Finding, located};
use crate::failure::Failure;
use crate::node::{Node, Value};
use sluice_core::document::problem::{FieldPath, Problem};

/// Up to here every whole number is a number of its own in the doubles that Istio reads.
const EXACT: u64 = 1 << 53;

/// The resource and what a user had better know of it.
///
/// # Errors
/// What was asked for can't be said in a WasmPlugin.
pub(super) fn wasm_plugin(
    compiled: &Compiled,
    arguments: &RenderWasmPluginArguments,
) -> Result<(Tree, Vec<String>), Failure> {
    let proxies = &arguments.proxies;
    let vm = vm_config(compiled);
    let mut warnings = Vec::new();
    let spec = if arguments.patch {
        Tree::object([("vmConfig", vm), ("pluginConfig", Some(Tree::from(&compiled.node)))])
    } else {
        let module = Module::of(&arguments.module)?;
        warnings.extend(module.warning);
        let labels = proxies.labels()?;
        let matched = match proxies.place() {
            Place::Sidecars => Some(Tree::List(vec![Tree::object([("mode", Some("SERVER".into()))])])),
            // A gateway's listeners are CLIENT to Istio: SERVER would match none of them, and let everything pass.
            Place::Gateways => None,
        };
        Tree::object([
            ("selector", labels.map(|labels| Tree::object([("matchLabels", Some(labels))]))),
            ("targetRefs", proxies.target_refs()),
            ("url", Some(module.url.into())),
            ("sha256", module.sha256.map(Tree::from)),
            ("imagePullPolicy", arguments.pull_policy.map(|policy| policy.name().into())),
            ("imagePullSecret", arguments.pull_secret.as_deref().map(Tree::from)),
            ("pluginName", Some(proxies.name.as_str().into())),
            ("phase", (arguments.phase != Phase::Unset).then(|| arguments.phase.name().into())),
            ("priority", arguments.priority.map(|priority| Tree::Scalar(priority.into()))),
            ("failStrategy", Some(arguments.fail_strategy.name().into())),
            ("match", matched),
            ("vmConfig", vm),
            ("pluginConfig", Some(Tree::from(&compiled.node))),
        ])
    };
    if arguments.fail_strategy == FailStrategy::Open {
        warnings.push(
            "--fail-strategy FAIL_OPEN: where the module can't be fetched, or has trapped, requests pass without any policy"
                .to_owned(),
        );
    }
    if let Some(header) = &compiled.document.client.address.peer_header {
        warnings.push(format!(
            "client.address.peerHeader: a WasmPlugin can't have `{}` overwritten, and clients could write their own address into it; apply beside it what `sluice render envoy-filter --beside-wasm-plugin` prints",
            header.as_str()
        ));
    }
    if let Some(header) = &compiled.document.client.peer_identity_header {
        warnings.push(format!(
            "client.peerIdentityHeader: a WasmPlugin can't have `{}` written, and without it every request of a peer with a certificate is refused; apply beside it what `sluice render envoy-filter --beside-wasm-plugin` prints",
            header.as_str()
        ));
    }
    let plugin = Tree::object([
        ("apiVersion", Some("extensions.istio.io/v1alpha1".into())),
        ("kind", Some("WasmPlugin".into())),
        ("metadata", Some(proxies.metadata()?)),
        ("spec", Some(spec)),
    ]);
    Ok((plugin, warnings))
}

/// The variables that the document refers to, from the environment of the container `istio-proxy`: the secret is in no resource.
fn vm_config(compiled: &Compiled) -> Option<Tree> {
    let variables = compiled.document.variables();
    let variable =
        |name: &str| Tree::object([("name", Some(name.into())), ("valueFrom", Some("HOST".into()))]);
    let list = variables.iter().map(|name| variable(name.as_str())).collect();
    (!variables.is_empty()).then(|| Tree::object([("env", Some(Tree::List(list)))]))
}

/// What can't go through `pluginConfig` unharmed: Istio reads it into doubles (google.protobuf.Struct).
pub(super) fn inexact(node: &Node) -> Vec<Finding> {
    let mut problems = Vec::new();
    look(node, &FieldPath::root(), &mut problems);
    located(node, problems, Vec::new())
}

fn look(node: &Node, path: &FieldPath, problems: &mut Vec<Problem>) {
    match &node.value {
        Value::Number(number) => {
            let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            if magnitude.is_some_and(|magnitude| magnitude > EXACT) {
                let message = format!(
                    "Istio reads numbers of a WasmPlugin as doubles, which know no {number}: whole numbers up to {EXACT} arrive as they are; `sluice render envoy-filter` carries any"
                );
                problems.push(Problem { path: path.clone(), message, suggestion: None });
            }
        }
        Value::List(elements) => {
            for (position, element) in elements.iter().enumerate() {
                look(element, &path.index(position), problems);
            }
        }
        Value::Object(entries) => {
            for entry in entries {
                look(&entry.value, &path.field(&entry.key), problems);
            }
        }
        Value::Null | Value::Boolean(_) | Value::Text(_) => {}
    }
}
