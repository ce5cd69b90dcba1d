//! The modules of one section each: each does its own and accepts nothing else.

use sluice_integration::{Gateway, Request, repository_root};

/// A module, its sections with a document that uses them, a request, and the answer's status.
const EDITIONS: [(&str, &[&str], &str, &str, u16); 5] = [
    (
        "sluice-auth.wasm",
        &["authn", "authz"],
        "{version: 1, authz: {default: deny, rules: [{name: a, allow: true, match: {paths: [/a]}}]}}",
        "/b",
        403,
    ),
    (
        "sluice-rate-limit.wasm",
        &["rateLimit"],
        "{version: 1, rateLimit: {rules: [{name: a, key: [client.address], limit: 1/h, burst: 1}]}}",
        "/a",
        429,
    ),
    (
        "sluice-routing.wasm",
        &["routing"],
        "{version: 1, routing: {rules: [{name: a, match: {paths: [/a]}, subset: v2}]}}",
        "/a",
        200,
    ),
    (
        "sluice-fault.wasm",
        &["fault"],
        "{version: 1, fault: {rules: [{name: a, match: {paths: [/a]}, abort: {status: 418, percent: 100}}]}}",
        "/a",
        418,
    ),
    ("sluice-telemetry.wasm", &["telemetry"], "{version: 1, telemetry: {}}", "/a", 200),
];

#[test]
fn each_edition_does_its_own() {
    for (module, _, document, path, status) in EDITIONS {
        let gateway = Gateway::builder().module(module).policy(document).version("v2").start().unwrap();
        // The second request is the one over the limit.
        gateway.get(path);
        let answer = gateway.send(Request::get(path));
        assert_eq!(answer.status, status, "{module}: {}", answer.text());
        match module {
            "sluice-routing.wasm" => assert_eq!(answer.json()["at"], "v2"),
            "sluice-telemetry.wasm" => assert!(gateway.upstream().last().header("traceparent").is_some()),
            _ => {}
        }
    }
}

#[test]
fn each_edition_refuses_what_it_has_not() {
    for (module, own, ..) in EDITIONS {
        for section in sluice_pipeline::SECTIONS.iter().filter(|section| !own.contains(section)) {
            let document = format!("{{version: 1, {section}: {{}}}}");
            let error = match Gateway::builder().module(module).policy(&document).start() {
                Ok(_) => panic!("{module} accepted {section}"),
                Err(error) => error.to_string(),
            };
            assert!(error.contains(section), "{module}, {section}: {error}");
        }
    }
}

#[test]
fn an_edition_is_smaller_than_the_whole() {
    let size = |module: &str| std::fs::metadata(repository_root().join("dist").join(module)).unwrap().len();
    for (module, ..) in EDITIONS {
        assert!(size(module) < size("sluice.wasm"), "{module}");
    }
}
