//! What is wrong with a section.

use super::*;
use sluice_core::decision::compile::Compiler;
use sluice_core::decision::compile::PolicySection;
use sluice_core::decision::follow_up::Phase;
use sluice_core::document::decode;
use sluice_core::document::problem::FieldPath;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn problems(section: Value) -> String {
    match Stand::new::<GuardSection>("guard", section) {
        Ok(_) => "none".to_owned(),
        Err(problems) => problems.to_string(),
    }
}

/// The compiler, after this section.
fn compiled(section: Value) -> Compiler {
    let mut compiler = Compiler::default();
    let section: GuardSection = decode::from_json(section.to_string().as_bytes()).unwrap();
    section.compile(&FieldPath::root().field("guard"), &mut compiler);
    compiler
}

#[test]
fn what_is_wrong_is_told_by_its_field() {
    let rule = |rule: Value| json!({ "rules": [rule] });
    for (section, expected) in [
        (
            json!({ "limits": { "uri": "0B" } }),
            "guard.limits.uri: not a limit that can hold: from 1B to 16KiB",
        ),
        (json!({ "limits": { "uri": "17KiB" } }), "guard.limits.uri: not a limit that can hold"),
        (json!({ "limits": { "headers": 0 } }), "guard.limits.headers: not a limit that can hold: from 1"),
        (json!({ "limits": { "query": 10_001 } }), "guard.limits.query: not a limit that can hold: from 0"),
        (json!({ "limits": { "headerBytes": "9MiB" } }), "guard.limits.headerBytes: not a limit"),
        (json!({ "limits": { "body": "1MB" } }), "guard.limits.body: \"1MB\" is not a size"),
        (json!({ "limits": { "body": 5 } }), "guard.limits.body: "),
        (
            json!({ "limits": { "body": "none" } }),
            "guard.limits.body: `none` lifts the section's limit for a rule",
        ),
        (json!({ "limits": { "url": "1KiB" } }), "did you mean `uri`?"),
        (
            json!({ "methods": ["get"] }),
            "guard.methods[0]: \"get\" is not a method, which are case-sensitive: write `GET`",
        ),
        (
            json!({ "methods": ["GET", "GET"] }),
            "guard.methods[1]: `GET` stands twice: first at guard.methods[0]",
        ),
        (json!({ "methods": [] }), "guard.methods: an empty list"),
        (json!({ "contentTypes": ["json"] }), "guard.contentTypes[0]: \"json\" is not a kind of content"),
        (json!({ "contentTypes": ["a/b", "A/B"] }), "guard.contentTypes[1]: `a/b` stands twice"),
        (
            json!({ "requiredHeaders": ["Host"] }),
            "guard.requiredHeaders[0]: no request would pass: `host` never reaches",
        ),
        (json!({ "requiredHeaders": ["x", "X"] }), "guard.requiredHeaders[1]: `x` stands twice"),
        (
            rule(json!({ "name": "a", "match": { "paths": ["/a"] } })),
            "guard.rules[0]: does nothing: it needs `limits`",
        ),
        (
            rule(json!({ "name": "a", "limits": { "body": "none" }, "shadow": true })),
            "guard.rules[0].limits.body: a rule in shadow lifts no limit",
        ),
        (rule(json!({ "name": "a", "methods": "GET", "when": {} })), "guard.rules[0].when"),
        (
            json!({ "rules": [{ "name": "a", "methods": "GET" }, { "name": "b", "match": { "paths": ["/b"] }, "methods": "PUT" }] }),
            "guard.rules[1]: `b` is never asked: `a` (rule 0) stands before it",
        ),
        (
            json!({ "rules": [{ "name": "a", "match": { "paths": ["/a"] }, "methods": "GET" }, { "name": "a", "methods": "PUT" }] }),
            "guard.rules[1].name: the name `a` is taken",
        ),
    ] {
        let found = problems(section.clone());
        assert!(found.contains(expected), "{section}\nexpected: {expected}\nfound: {found}");
    }
}

#[test]
fn what_does_nothing_is_warned_of() {
    for (section, expected) in [
        (json!({}), "guard: nothing is asked of requests"),
        (
            json!({ "limits": { "uri": "1KiB" }, "rules": [{ "name": "a", "limits": { "body": "none" } }] }),
            "guard.rules[0].limits.body: lifts no limit: the section has none",
        ),
    ] {
        let warnings: Vec<String> =
            compiled(section.clone()).problems.warnings().iter().map(ToString::to_string).collect();
        assert!(warnings.concat().contains(expected), "{section}: {warnings:?}");
    }
}

#[test]
fn only_what_looks_at_bodies_needs_a_module_that_is_told_of_them() {
    let needs = |section: Value| {
        let needs = compiled(section).needs;
        needs.into_iter().map(|(phase, path)| (phase, path.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(
        needs(json!({ "limits": { "uri": "1KiB", "headers": 9 }, "methods": "GET", "requiredHeaders": "x" })),
        []
    );
    let both = |path: &str| vec![(Phase::RequestBody, path.to_owned()), (Phase::Response, path.to_owned())];
    assert_eq!(needs(json!({ "limits": { "body": "1MiB" } })), both("guard.limits.body"));
    assert_eq!(needs(json!({ "contentTypes": "text/*" })), both("guard.contentTypes"));
    let rule = json!({ "rules": [{ "name": "a", "limits": { "body": "1MiB" } }] });
    assert_eq!(needs(rule), both("guard.rules[0].limits.body"));
}
