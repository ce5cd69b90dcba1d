//! Counters of responses: only what the document names becomes a label.

use super::section;
use crate::{TelemetryPolicy, TelemetrySection};
use serde_json::json;
use sluice_core::caller::client::AddressConfig;
use sluice_core::caller::identity::Identity;
use sluice_core::caller::offer::Offer;
use sluice_core::decision::compile::Compiler;
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::follow_up::{Aftermath, End};
use sluice_core::document::name::Name;
use sluice_core::document::problem::FieldPath;
use sluice_core::http::header_map::HeaderMap;
use sluice_core::http::request::RequestView;
use sluice_core::rule::selector::{Candidates, SelectorIndex};
use sluice_core::simulation::SimulatedHost;
use std::rc::Rc;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn compile(labels: serde_json::Value) -> (TelemetryPolicy, String) {
    let offer = |name: &str| Offer::of_an_issuer(Name::new(name).unwrap());
    let keys = Offer { consumers: ["acme", "globex"].into_iter().collect(), ..offer("partners") };
    let mut compiler = Compiler { offers: Some(vec![offer("staff"), keys]), ..Compiler::default() };
    let telemetry: TelemetrySection = section(json!({ "labels": labels }));
    let policy = telemetry.compile_policy(&FieldPath::root().field("telemetry"), &mut compiler);
    (policy, compiler.problems.to_string())
}

fn policy(labels: serde_json::Value) -> TelemetryPolicy {
    let (policy, problems) = compile(labels);
    assert_eq!(problems, "");
    policy
}

fn counter(
    policy: &TelemetryPolicy,
    headers: &[(&str, &[u8])],
    identity: Option<Identity>,
    status: u16,
) -> String {
    let mut pairs: Vec<(&str, &[u8])> = vec![(":method", b"GET"), (":path", b"/"), (":authority", b"h")];
    pairs.extend(headers);
    let map = HeaderMap::from_pairs(pairs);
    let view = RequestView::new(&map).unwrap();
    let environment = SimulatedHost::default();
    let (index, candidates, address) =
        (SelectorIndex::default(), Candidates::default(), AddressConfig::default());
    let exchange = Exchange::new(&view, &environment, &index, &candidates, &address)
        .with_identity(identity.map(Rc::new));
    let mut aftermath = Aftermath::new(&environment);
    let end = End { status: (status != 0).then_some(status) };
    policy.follow_up(&exchange).unwrap().on_end(end, &mut aftermath);
    aftermath.finish().1.remove(0)
}

fn consumer(name: &str) -> Option<Identity> {
    Some(Identity {
        consumer: Some(name.to_owned()),
        provider: Some(Name::new("partners").unwrap()),
        ..Identity::default()
    })
}

#[test]
fn without_labels_nothing_is_counted_and_with_none_the_class_alone() {
    let mut compiler = Compiler::default();
    section(json!({})).compile_policy(&FieldPath::root(), &mut compiler);
    assert!(compiler.needs.is_empty());
    let on = policy(json!([]));
    for (status, class) in [
        (200, "2xx"),
        (204, "2xx"),
        (304, "3xx"),
        (404, "4xx"),
        (599, "5xx"),
        (101, "1xx"),
        (0, "none"),
        (999, "none"),
    ] {
        assert_eq!(
            counter(&on, &[], None, status),
            format!("sluice_requests.code_class.{class}"),
            "{status}"
        );
    }
}

#[test]
fn listed_values_are_told_apart_and_all_others_are_other() {
    let policy = policy(json!([
        "identity.consumer",
        "request.method",
        { "attribute": "header.x-tenant", "values": ["a.b", "c"] },
        { "attribute": "peer.identity", "name": "caller", "values": "spiffe://d/ns/shop/sa/orders" }
    ]));
    for (headers, identity, expected) in [
        (vec![], None, "consumer.none.method.GET.x_tenant.none.caller.none"),
        (vec![], consumer("acme"), "consumer.acme.method.GET.x_tenant.none.caller.none"),
        (vec![], consumer("evil.reason.x"), "consumer.other.method.GET.x_tenant.none.caller.none"),
        (vec![("x-tenant", &b"a.b"[..])], None, "consumer.none.method.GET.x_tenant.a_b.caller.none"),
        (vec![("x-tenant", b"a_b")], None, "consumer.none.method.GET.x_tenant.other.caller.none"),
        (
            vec![("x-tenant", b"c"), ("x-tenant", b"c")],
            None,
            "consumer.none.method.GET.x_tenant.other.caller.none",
        ),
        (
            vec![("x-tenant", b"\xff\x00.code_class.")],
            consumer("globex"),
            "consumer.globex.method.GET.x_tenant.other.caller.none",
        ),
    ] {
        let expected = format!("sluice_requests.code_class.2xx.{expected}");
        assert_eq!(counter(&policy, &headers, identity, 200), expected);
    }
}

#[test]
fn a_document_without_consumers_knows_none() {
    let mut compiler = Compiler::default();
    section(json!({ "labels": ["identity.consumer"] })).compile_policy(&FieldPath::root(), &mut compiler);
    assert!(compiler.problems.to_string().contains("which values `identity.consumer` may have is not known"));
}

#[test]
fn the_number_of_counters_is_the_product_whatever_arrives() {
    let policy = policy(json!(["identity.provider", { "attribute": "header.x", "values": ["a", "b", "c"] }]));
    let mut seen = std::collections::HashSet::new();
    for provider in [None, Some("staff"), Some("partners"), Some("unknown")] {
        for value in [None, Some("a"), Some("b"), Some("c"), Some("d"), Some("e")] {
            let identity = provider
                .map(|name| Identity { provider: Some(Name::new(name).unwrap()), ..Identity::default() });
            let headers: Vec<(&str, &[u8])> =
                value.map(|value| ("x", value.as_bytes())).into_iter().collect();
            for status in [0, 100, 200, 300, 400, 500] {
                seen.insert(counter(&policy, &headers, identity.clone(), status));
            }
        }
    }
    assert_eq!(seen.len(), 4 * 5 * 6);
}

#[test]
fn what_is_wrong_with_labels_is_told_by_its_field() {
    let many: Vec<String> = (0..2_000).map(|number| format!("v{number}")).collect();
    for (labels, expected) in [
        (
            json!(["header.x-tenant"]),
            "telemetry.labels[0]: which values `header.x-tenant` may have is not known",
        ),
        (json!(["client.address"]), "which values `client.address` may have is not known"),
        (
            json!([{ "attribute": "path.id", "values": ["1"] }]),
            "telemetry.labels[0]: `path.id` has a value only within a rule",
        ),
        (
            json!([{ "attribute": "header.x", "values": ["a.b", "a_b"] }]),
            "telemetry.labels[0].values[1]: \"a_b\" stands in metrics as `a_b`, which is taken",
        ),
        (json!([{ "attribute": "header.x", "values": ["other"] }]), "`other`, which is taken"),
        (json!([{ "attribute": "header.x", "values": [""] }]), "is not a label's value"),
        (
            json!([{ "attribute": "header.x", "name": "a.b", "values": ["1"] }]),
            "telemetry.labels[0].name: `a.b` is not the name of a label",
        ),
        (json!([{ "attribute": "header.9", "values": ["1"] }]), "`9` is not the name of a label"),
        (
            json!([{ "attribute": "header.reason", "values": ["1"] }]),
            "the label `reason` is one of Sluice's own",
        ),
        (
            json!(["identity.consumer", { "attribute": "header.consumer", "values": ["1"] }]),
            "telemetry.labels[1]: the label `consumer` stands twice",
        ),
        (
            json!(["identity.consumer", { "attribute": "header.x", "values": ["consumer"] }]),
            "telemetry.labels[1]: the value `consumer` is the name of a label too",
        ),
        (
            json!([{ "attribute": "header.x", "values": many }]),
            "telemetry.labels: these labels make more than 10000 counters",
        ),
    ] {
        let (_, problems) = compile(labels.clone());
        assert!(problems.contains(expected), "{expected}\n{problems}");
    }
}
