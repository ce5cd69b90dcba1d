//! What is wrong with a section, and what is put right in it.

use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn problems(section: Value) -> (String, String) {
    let found = Stand::despite_problems::<RateLimitSection>("rateLimit", section, Compiler::default());
    let problems = match found {
        Ok((_, problems)) => problems,
        Err(problems) => problems,
    };
    let warnings: Vec<_> = problems.warnings().iter().map(ToString::to_string).collect();
    (problems.to_string(), warnings.join("\n"))
}

#[test]
fn what_a_service_can_not_keep_is_told_by_its_field() {
    let service = |change: Value| {
        let mut service = json!({ "cluster": "r", "expectedProxies": 2 });
        service.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({ "service": service })
    };
    for (change, expected) in [
        (json!({ "service": null }), "rules[0].service: `scope: fleet` needs a service"),
        (json!({ "scope": "local" }), "rules[0].service: does nothing without `scope: fleet`"),
        (json!({ "burst": 9 }), "rules[0].burst: the service counts in windows and knows no burst"),
        (json!({ "tolerance": 5 }), "rules[0].tolerance: does nothing with `scope: fleet`"),
        (json!({ "cost": 6 }), "rules[0].limit: 5/min is less than the 6 that a request takes"),
        (json!({ "limit": "5/week" }), "rules[0].limit: \"5/week\" is not a rate"),
        (
            json!({ "by": { "header.x": { "g": "9/h" } } }),
            "rules[0].by[\"header.x\"].g: 9/h and 5/min count in different windows",
        ),
        (
            json!({ "by": { "header.x": { "g": { "limit": "9/min", "burst": 3 } } } }),
            "rules[0].by[\"header.x\"].g.burst: the service counts in windows",
        ),
        (service(json!({ "cluster": "" })), "rules[0].service.cluster: empty"),
        (service(json!({ "domain": "" })), "rules[0].service.domain: empty"),
        (service(json!({ "timeout": "6s" })), "rules[0].service.timeout: 6s is not a time to wait"),
        (service(json!({ "timeout": "500us" })), "rules[0].service.timeout: 500us is not a time to wait"),
        (service(json!({ "expectedProxies": 0 })), "rules[0].service.expectedProxies: 0 is not from 1"),
        (service(json!({ "onFailure": "deny" })), "rules[0].service.expectedProxies: does nothing"),
        (service(json!({ "onFailure": "drop" })), "rules[0].service.onFailure"),
        (service(json!({ "retries": 1 })), "rules[0].service.retries"),
    ] {
        let (found, _) = problems(json!({ "rules": [fleet(change.clone())] }));
        assert!(found.contains(expected), "{change}\n{expected}\n{found}");
    }
    let local = json!({ "rules": [{ "name": "a", "limit": "1000000/month" }] });
    let expected =
        "rules[0].limit: 1000000/month is longer than a proxy's memory: write `33334/day`, or `scope: fleet`";
    assert!(problems(local).0.contains(expected));
}

#[test]
fn a_section_may_name_the_service_of_its_rules() {
    let section = |service: Value, rule: Value| json!({ "service": service, "rules": [rule] });
    let service = json!({ "cluster": "shared", "expectedProxies": 3 });
    let mut rule = fleet(json!({}));
    rule.as_object_mut().unwrap().remove("service");
    let document = section(service.clone(), rule.clone());
    let stand = Stand::with_compiler::<RateLimitSection>("rateLimit", document, Compiler::default()).unwrap();
    assert_eq!(stand.play(&acme(), &host()).calls[0].cluster(), "shared");
    let idle = problems(section(service, fleet(json!({})))).0;
    assert!(idle.contains("rateLimit.service: does nothing"), "{idle}");
    let wrong = problems(section(json!({ "cluster": "" }), rule)).0;
    assert!(wrong.contains("rateLimit.service.cluster: empty"), "{wrong}");
}

#[test]
fn nobody_gives_the_whole_limit_without_being_warned() {
    let rule = |service: Value| json!({ "rules": [fleet(json!({ "service": service }))] });
    let (wrong, warnings) = problems(rule(json!({ "cluster": "r" })));
    let expected = "rules[0].service: without `expectedProxies` each proxy";
    assert!(wrong.is_empty() && warnings.contains(expected), "{warnings}");
    for fine in
        [json!({ "cluster": "r", "expectedProxies": 1 }), json!({ "cluster": "r", "onFailure": "deny" })]
    {
        assert_eq!(problems(rule(fine)), (String::new(), String::new()));
    }
}
