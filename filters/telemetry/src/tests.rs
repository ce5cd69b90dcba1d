use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

mod labels;
mod trace_context;

use serde_json::json;
use sluice_core::decision::compile::Compiler;
use sluice_core::decision::follow_up::Phase;
use sluice_core::document::problem::FieldPath;
use sluice_core::simulation::Stand;

fn section(section: serde_json::Value) -> TelemetrySection {
    sluice_core::document::decode::from_json(section.to_string().as_bytes())
        .unwrap_or_else(|problem| panic!("{problem}"))
}

#[test]
fn an_empty_section_traces_and_publishes_decisions_but_counts_no_responses() {
    let mut compiler = Compiler::default();
    let path = FieldPath::root().field("telemetry");
    let policy = section(json!({})).compile_policy(&path, &mut compiler);
    assert!(policy.publishes_decision());
    assert!(compiler.needs.is_empty());
    let quiet = section(json!({ "decision": false, "labels": [] })).compile_policy(&path, &mut compiler);
    assert!(!quiet.publishes_decision());
    assert_eq!(compiler.needs, [(Phase::End, path.field("labels"))]);
    assert!(compiler.problems.is_empty());
}

#[test]
fn what_does_not_fit_the_shape_is_told_by_its_field() {
    for (section, expected) in [
        (json!({ "trace": { "context": "trust" } }), "telemetry.trace.context: unknown value `trust`"),
        (json!({ "trace": { "sampling": 101 } }), "telemetry.trace.sampling: 101 is not a percentage"),
        (json!({ "trace": { "samling": 1 } }), "did you mean `sampling`?"),
        (json!({ "decision": "yes" }), "telemetry.decision: text where"),
        (json!({ "labels": ["consumer"] }), "`consumer` is not a reference"),
        (json!({ "labels": [{ "attribute": "header.x-a", "valeus": ["a"] }] }), "did you mean `values`?"),
    ] {
        let Err(problems) = Stand::new::<TelemetrySection>("telemetry", section.clone()) else {
            panic!("{section} is taken")
        };
        assert!(problems.to_string().contains(expected), "{section}\n{problems}");
    }
}
