//! A real Istio mesh with Sluice in it. Every scenario finds the mesh without a plugin or policy and leaves it so.
//!
//!     make mesh-test                                       all of them
//!     cargo test --profile tool -p sluice-mesh-test -- oci  those whose name holds "oci"

#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests"
)]

mod asserts;
mod beside;
mod callers;
mod delivery;
mod edge;
mod failures;
mod order;
mod placement;
mod shipped;
mod tracing;
mod update;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use sluice_integration::{Result, interrupted};
use sluice_mesh_test::{Mesh, directory, world};

/// What is shown about the mesh, each by a function whose name says it.
type Scenario = (&'static str, fn(&Mesh) -> Result<()>);

/// The name of a function, and the function.
macro_rules! scenarios {
    ($($module:ident::$name:ident),* $(,)?) => { [$((concat!(stringify!($module), "::", stringify!($name)), $module::$name as fn(&Mesh) -> Result<()>)),*] };
}

const SCENARIOS: &[Scenario] = &scenarios![
    delivery::from_the_proxys_own_file_system,
    delivery::by_http_with_its_sha256,
    delivery::from_a_registry_by_digest,
    delivery::from_a_registry_by_tag,
    delivery::in_the_compat_form,
    delivery::from_a_private_registry,
    order::of_the_phases_and_istios_own_filters,
    order::of_two_plugins_in_one_phase,
    placement::a_selector_chooses_the_workloads,
    placement::a_mode_chooses_the_direction,
    placement::on_a_gateway_server_means_never,
    placement::a_module_of_one_filter_beside_the_suite,
    placement::a_secret_from_the_environment_of_the_proxy,
    placement::a_secret_that_is_missing,
    update::of_the_policy_under_load,
    update::of_the_module_under_load,
    edge::one_request_passes_edge_and_three_sidecars,
    edge::one_request_passes_edge_gateway_and_three_sidecars,
    callers::a_name_that_folds_into_a_proven_one_is_removed,
    callers::a_certificate_with_two_names_is_nobodys,
    callers::what_a_client_writes_into_x_forwarded_for_hides_nothing,
    shipped::the_overlays_protect_the_shop,
    shipped::an_envoy_filter_in_place_of_a_plugin,
    shipped::an_envoy_filter_beside_a_plugin,
    beside::authorization_policy_both_must_agree,
    beside::request_authentication_verifies_and_sluice_decides,
    beside::a_fault_of_istio_aborts_at_the_caller,
    beside::retries_are_decided_one_by_one,
    beside::a_routing_rule_chooses_a_subset_of_istios,
    beside::outlier_detection_counts_aborts_and_not_denials,
    beside::least_request_prefers_the_quicker_instance,
    beside::permissive_connections_have_no_peer,
    tracing::spans_of_all_proxies_are_one_trace,
    failures::a_registry_that_is_away,
    failures::an_upgrade_that_cannot_be_fetched,
    failures::a_workload_that_starts_before_its_module,
    failures::a_digest_that_the_registry_has_not,
    failures::a_module_of_another_sha256,
    failures::something_that_is_no_module,
    failures::a_module_that_is_cut_off,
    failures::a_first_policy_with_a_mistake,
    failures::an_update_with_a_mistake,
    failures::an_update_with_a_rule_that_never_matters,
    failures::a_vm_that_dies,
];

fn main() {
    directory::sweep();
    let outside = std::process::id();
    let passed = directory::create(outside).and_then(|directory| {
        world::enter(&directory)?;
        interrupted::or(|| run(outside, &directory))
    });
    match passed {
        Ok(true) => {}
        Ok(false) => std::process::exit(1),
        Err(error) => {
            eprintln!("error: {error}");
            std::process::exit(1);
        }
    }
}

/// Runs the scenarios that the arguments choose; true if all of them held.
fn run(outside: u32, directory: &Path) -> Result<bool> {
    let filters: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let chosen: Vec<&Scenario> = SCENARIOS
        .iter()
        .filter(|(name, _)| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str())))
        .collect();
    let started = Instant::now();
    let mesh = Mesh::start(directory, |step| println!("… {step} ({:.1?})", started.elapsed()))?;
    println!("the mesh is ready ({:.1?}); its logs: {}", started.elapsed(), directory.display());

    let mut failed = Vec::new();
    for (name, scenario) in &chosen {
        let begun = Instant::now();
        // A failed assertion unwinds through what was applied, which is deleted; the next scenario finds the mesh as it was.
        let outcome = catch_unwind(AssertUnwindSafe(|| scenario(&mesh)));
        // Also what a failed assertion has left is gone before the next one begins.
        let after = mesh.restore().and_then(|()| mesh.wait_until_as_before());
        let outcome = match (outcome, after) {
            (Ok(Ok(())), after) => Ok(after),
            (outcome, _) => outcome,
        };
        let verdict = match &outcome {
            Ok(Ok(())) => "ok".to_owned(),
            Ok(Err(error)) => format!("FAILED: {error}"),
            Err(_) => "FAILED".to_owned(),
        };
        println!("{name} … {verdict} ({:.1?})", begun.elapsed());
        if verdict != "ok" {
            failed.push(name);
        }
    }
    println!(
        "\n{} of {} scenarios held, in {:.0?}",
        chosen.len() - failed.len(),
        chosen.len(),
        started.elapsed()
    );
    if std::env::var_os("SLUICE_MESH_STAY").is_some() {
        println!("the mesh stays until Ctrl-C: `nsenter -t $(pgrep -P {outside}) -n -m -p` goes in");
        interrupted::wait();
    }
    if failed.is_empty() {
        drop(mesh);
        let _ = std::fs::remove_dir_all(directory);
    }
    Ok(failed.is_empty())
}
