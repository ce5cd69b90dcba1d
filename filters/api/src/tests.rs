use super::*;
use serde_json::{Value, json};
use sluice_core::decision::compile::Compiler;
use sluice_core::decision::environment::UnixTime;
use sluice_core::decision::follow_up::Phase;
use sluice_core::simulation::{SimulatedHost, SimulatedRequest, Stand};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

mod cors;
mod versions;

fn stand(section: Value) -> Stand {
    Stand::new::<ApiSection>("api", section.clone())
        .unwrap_or_else(|problems| panic!("{section}\n{problems}"))
}

fn problems(section: &Value) -> String {
    let stand = Stand::despite_problems::<ApiSection>("api", section.clone(), Compiler::default());
    match stand {
        Ok((_, problems)) => problems.to_string(),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn what_is_wrong_is_told_by_its_field() {
    let version = |more: Value| {
        let mut version = json!({ "name": "v1" });
        version.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "versions": [version] })
    };
    let cors = |more: Value| {
        let mut rule = json!({ "name": "a", "origins": "https://a.example" });
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "cors": [rule] })
    };
    for (section, expected) in [
        (
            version(json!({ "deprecated": "2026-06-01", "sunset": "2026-05-31" })),
            "api.versions[0].sunset: must not be before",
        ),
        (version(json!({ "deprecated": "soon" })), "api.versions[0].deprecated: \"soon\" is not a date"),
        (
            version(json!({ "afterSunset": "serve" })),
            "api.versions[0].afterSunset: does nothing without `sunset`",
        ),
        (version(json!({ "successor": "/v2" })), "api.versions[0].successor: does nothing without"),
        (
            version(json!({ "sunset": "2027-01-01", "successor": "/v2>; rel=x" })),
            "api.versions[0].successor: \"/v2>; rel=x\" is not a link",
        ),
        (version(json!({ "sunset": "2027-01-01", "documentation": "https://a.example/ö" })), "is not a link"),
        (version(json!({ "sunst": "2027-01-01" })), "did you mean `sunset`?"),
        (
            json!({ "versions": [{ "name": "v1", "match": { "paths": "/v1" } }, { "name": "v1", "match": { "paths": "/v2" } }] }),
            "api.versions[1].name: the name `v1` is taken",
        ),
        (
            json!({ "versions": [{ "name": "all" }, { "name": "v2", "match": { "paths": "/v2/**" } }] }),
            "api.versions[1]",
        ),
        (
            cors(json!({ "origins": "*", "credentials": true })),
            "api.cors[0].origins: `*` never goes with `credentials`",
        ),
        (
            cors(json!({ "origins": "null", "credentials": true })),
            "api.cors[0].origins: `null` never goes with `credentials`",
        ),
        (cors(json!({ "origins": ["*", "https://a.example"] })), "api.cors[0].origins: `*` is every origin"),
        (cors(json!({ "origins": [] })), "api.cors[0].origins"),
        (
            cors(json!({ "origins": "https://a.example/" })),
            "api.cors[0].origins: \"https://a.example/\" is not an origin",
        ),
        (
            cors(json!({ "exposeHeaders": "*", "credentials": true })),
            "api.cors[0].exposeHeaders: `*` means nothing",
        ),
        (cors(json!({ "headers": ["*", "x-a"] })), "api.cors[0].headers: `*` is all of them"),
        (cors(json!({ "headers": ["x-a", "X-A"] })), "api.cors[0].headers[1]: `X-A` stands twice"),
        (cors(json!({ "methods": ["GET POST"] })), "is neither a method nor the name of a header"),
        (cors(json!({ "maxAge": "2d" })), "api.cors[0].maxAge: 2d is not from 1s to 1d"),
        (cors(json!({ "maxAge": "10ms" })), "api.cors[0].maxAge: 10ms is not from 1s to 1d"),
        (
            cors(json!({ "origins": "*", "otherOrigins": "refuse" })),
            "api.cors[0].otherOrigins: there are no others",
        ),
    ] {
        let told = problems(&section);
        assert!(told.contains(expected), "{section}\n{told}");
    }
}

#[test]
fn only_what_is_said_on_responses_needs_a_module_that_is_told_of_them() {
    for (section, needs) in [
        (json!({ "versions": [{ "name": "v1" }] }), 0),
        (json!({ "versions": [{ "name": "v1", "deprecated": "2026-06-01" }] }), 1),
        (json!({ "versions": [{ "name": "v1", "deprecated": "2026-06-01" }], "shadow": true }), 0),
        (json!({ "cors": [{ "name": "a", "origins": "*" }] }), 1),
        (json!({ "cors": [{ "name": "a", "origins": "*", "shadow": true }] }), 0),
    ] {
        let mut compiler = Compiler::default();
        let parsed: ApiSection =
            sluice_core::document::decode::from_json(section.to_string().as_bytes()).unwrap();
        use sluice_core::decision::compile::PolicySection;
        parsed.compile(&sluice_core::document::problem::FieldPath::root().field("api"), &mut compiler);
        let phases: Vec<Phase> = compiler.needs.iter().map(|(phase, _)| *phase).collect();
        assert_eq!(phases, vec![Phase::Response; needs], "{section}");
    }
}
