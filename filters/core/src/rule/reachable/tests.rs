use super::*;
use crate::document::decode::from_json;
use crate::rule::selector::Match;
use serde_json::json;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

type Parts = (Name, SelectorId, Option<When>, bool, bool);

/// Names, `match`, `when`, shadow and effect of some rules.
fn compiled(rules: &serde_json::Value, path: &FieldPath, compiler: &mut Compiler) -> Vec<Parts> {
    let rules = rules.as_array().unwrap().iter().enumerate();
    rules
        .map(|(position, rule)| {
            let read = |field: &str| rule.get(field).map(|value| value.to_string().into_bytes());
            let wanted: Option<Match> = read("match").map(|json| from_json(&json).unwrap());
            let when: Option<When> = read("when").map(|json| from_json(&json).unwrap());
            let selector = compiler.selector(wanted.as_ref(), &path.index(position));
            let name = Name::new(&format!("r{position}")).unwrap();
            (name, selector, when, rule.get("shadow").is_some(), rule.get("deny").is_some())
        })
        .collect()
}

fn path() -> FieldPath {
    FieldPath::root().field("rules")
}

/// What is said of rules of which the first that matches decides, and the work that it took.
fn ordered(rules: &serde_json::Value) -> (Compiler, u64) {
    let mut compiler = Compiler::default();
    let rules = compiled(rules, &path(), &mut compiler);
    let ordered: Vec<OrderedRule<'_>> = rules
        .iter()
        .map(|(name, selector, when, shadow, _)| OrderedRule {
            name,
            selector: *selector,
            when: when.as_ref(),
            shadow: *shadow,
        })
        .collect();
    let work = Work::for_rules(ordered.len());
    check_reachable_with(&ordered, &path(), &mut compiler, &work);
    (compiler, work.spent())
}

fn effects(rules: &serde_json::Value) -> (Compiler, u64) {
    let mut compiler = Compiler::default();
    let rules = compiled(rules, &path(), &mut compiler);
    let list: Vec<EffectRule<'_>> = rules
        .iter()
        .enumerate()
        .map(|(position, (name, selector, when, _, denies))| EffectRule {
            position,
            name,
            selector: *selector,
            when: when.as_ref(),
            denies: *denies,
        })
        .collect();
    let work = Work::for_rules(list.len());
    check_effects_with(&list, &path(), &mut compiler, &work);
    (compiler, work.spent())
}

fn problems(compiler: &Compiler) -> Vec<String> {
    compiler.problems.iter().map(|problem| problem.path.to_string()).collect()
}

fn warnings(compiler: &Compiler) -> Vec<String> {
    compiler.problems.warnings().iter().map(|problem| problem.path.to_string()).collect()
}

#[test]
fn a_rule_behind_one_that_takes_all_its_requests_is_never_asked() {
    let (a, b) = (json!({ "paths": "/a" }), json!({ "paths": "/b" }));
    let clerk = json!({ "roles": "clerk" });
    let on = |conditions: serde_json::Value| json!({ "match": conditions });
    let by = |conditions: serde_json::Value| json!({ "when": conditions });
    for (rules, expected) in [
        (json!([{ "match": a }, { "match": b }, {}]), vec![]),
        (json!([{}, { "match": a }]), vec!["rules[1]"]),
        (json!([{ "when": {} }, { "match": a }]), vec!["rules[1]"]),
        (json!([{ "match": a }, { "match": b }, { "match": a }]), vec!["rules[2]"]),
        (json!([{ "match": a, "when": clerk }, { "match": a }]), vec![]),
        (json!([{ "match": a }, { "match": a, "when": clerk }]), vec!["rules[1]"]),
        (json!([{ "when": clerk }, { "match": a, "when": clerk }]), vec!["rules[1]"]),
        (json!([{ "match": a, "when": clerk }, { "match": b, "when": clerk }]), vec![]),
        (json!([{ "shadow": true }, { "match": a }]), vec![]),
        (json!([{}, { "shadow": true }]), vec!["rules[1]"]),
        // Paths.
        (
            json!([on(json!({ "paths": "/api/**" })), on(json!({ "paths": "/api/webhooks/**" }))]),
            vec!["rules[1]"],
        ),
        (json!([on(json!({ "paths": "/api/webhooks/**" })), on(json!({ "paths": "/api/**" }))]), vec![]),
        (json!([on(json!({ "paths": "/api/**" })), on(json!({ "paths": "/api" }))]), vec![]),
        (json!([on(json!({ "paths": "/{x}/b" })), on(json!({ "paths": "/*/b" }))]), vec!["rules[1]"]),
        (
            json!([on(json!({ "paths": ["/a", "/b"] })), on(json!({ "paths": ["/b", "/a"] }))]),
            vec!["rules[1]"],
        ),
        (json!([on(json!({ "paths": ["/a", "/b"] })), on(json!({ "paths": ["/b", "/c"] }))]), vec![]),
        // `OPTIONS *` has another path.
        (json!([on(json!({ "paths": "/**" })), {}]), vec![]),
        // Hosts, methods, networks.
        (json!([on(json!({ "hosts": "*.a.com" })), on(json!({ "hosts": "b.a.com" }))]), vec!["rules[1]"]),
        (json!([on(json!({ "hosts": "*.a.com" })), on(json!({ "hosts": "a.com" }))]), vec![]),
        (
            json!([on(json!({ "methods": ["GET", "PUT"] })), on(json!({ "methods": "PUT", "paths": "/a" }))]),
            vec!["rules[1]"],
        ),
        (json!([on(json!({ "methods": "PUT", "paths": "/a" })), on(json!({ "methods": "PUT" }))]), vec![]),
        (
            json!([
                on(json!({ "client": { "cidrs": "10.0.0.0/8" } })),
                on(json!({ "client": { "cidrs": "10.1.0.0/16" } }))
            ]),
            vec!["rules[1]"],
        ),
        // Values.
        (
            json!([
                on(json!({ "headers": { "a": { "prefix": "x" } } })),
                on(json!({ "headers": { "A": "xy" }, "query": { "b": "1" } }))
            ]),
            vec!["rules[1]"],
        ),
        (json!([on(json!({ "headers": { "a": "x" } })), on(json!({ "cookies": { "a": "x" } }))]), vec![]),
        (
            json!([
                on(json!({ "query": { "a": { "present": true } } })),
                on(json!({ "query": { "a": ["x", "y"] } }))
            ]),
            vec!["rules[1]"],
        ),
        // `not`.
        (
            json!([on(json!({ "not": { "methods": "GET" } })), on(json!({ "methods": "PUT" }))]),
            vec!["rules[1]"],
        ),
        (
            json!([on(json!({ "not": { "methods": "GET" } })), on(json!({ "methods": ["PUT", "GET"] }))]),
            vec![],
        ),
        (
            json!([
                on(json!({ "paths": "/a/**", "not": { "paths": "/a/b" } })),
                on(json!({ "paths": "/a/*", "not": { "paths": "/a/*", "methods": "GET" } })),
            ]),
            vec![],
        ),
        (
            json!([
                on(json!({ "paths": "/a/**", "not": { "paths": "/a/b", "methods": "GET" } })),
                on(json!({ "paths": "/a/*", "not": { "paths": "/a/b" } })),
            ]),
            vec!["rules[1]"],
        ),
        // Callers.
        (json!([by(json!({ "authenticated": true })), by(json!({ "roles": "x" }))]), vec!["rules[1]"]),
        (json!([by(json!({ "roles": "x" })), by(json!({ "authenticated": true }))]), vec![]),
        (json!([by(json!({ "roles": ["x", "y"] })), by(json!({ "roles": "y" }))]), vec!["rules[1]"]),
        (
            json!([by(json!({ "roles": ["x", "y"] })), by(json!({ "roles": { "all": ["y", "z"] } }))]),
            vec!["rules[1]"],
        ),
        (json!([by(json!({ "roles": { "all": ["x", "y"] } })), by(json!({ "roles": ["x", "y"] }))]), vec![]),
        (
            json!([
                by(json!({ "scopes": { "all": ["x"] } })),
                by(json!({ "scopes": { "all": ["y", "x"] } }))
            ]),
            vec!["rules[1]"],
        ),
        (
            json!([
                by(json!({ "consumers": ["a", "b"] })),
                by(json!({ "consumers": "b", "claims": { "c": "1" } }))
            ]),
            vec!["rules[1]"],
        ),
        (
            json!([
                by(json!({ "claims": { "c": { "present": true } } })),
                by(json!({ "claims": { "c": "1" } }))
            ]),
            vec!["rules[1]"],
        ),
        (
            json!([
                by(json!({ "peers": "spiffe://d/ns/a/**" })),
                by(json!({ "peers": "spiffe://d/ns/a/sa/b" }))
            ]),
            vec!["rules[1]"],
        ),
        (
            json!([by(json!({ "not": { "roles": "x" } })), by(json!({ "authenticated": false }))]),
            vec!["rules[1]"],
        ),
    ] {
        assert_eq!(problems(&ordered(&rules).0), expected, "{rules}");
    }
}

#[test]
fn named_matches_are_looked_into() {
    let definitions = json!({ "api": { "paths": "/api/**" }, "both": { "use": ["api", "health"] }, "health": { "paths": "/healthz" } });
    let definitions = from_json(definitions.to_string().as_bytes()).unwrap();
    for (wide, narrow, expected) in [
        (json!({ "use": "api" }), json!({ "paths": "/api/a" }), true),
        (json!({ "paths": "/api/**" }), json!({ "use": "api", "methods": "GET" }), true),
        (json!({ "use": "both" }), json!({ "use": "health" }), true),
        (json!({ "use": "health" }), json!({ "use": "both" }), false),
        (json!({ "paths": ["/healthz", "/api/**"] }), json!({ "use": "both" }), true),
        (json!({ "use": ["api", "health"] }), json!({ "use": "both" }), true),
        (json!({ "not": { "use": "api" } }), json!({ "use": "health" }), true),
        (json!({ "not": { "use": "both" } }), json!({ "use": "health" }), false),
    ] {
        let mut compiler = Compiler::new(
            SelectorBuilder::new(Clone::clone(&definitions), std::collections::HashMap::new()),
            0,
            0,
        );
        let rules = json!([{ "match": wide }, { "match": narrow }]);
        let rules = compiled(&rules, &path(), &mut compiler);
        assert_eq!(compiler.problems.to_string(), "");
        let work = Work::for_rules(2);
        let of = |position: usize| Conditions { selector: rules[position].1, when: None };
        assert_eq!(of(0).includes(of(1), &compiler.selectors, &work), expected, "{wide} {narrow}");
    }
}

#[test]
fn messages_name_the_rule_that_is_in_the_way_and_what_it_takes() {
    let (compiler, _) = ordered(&json!([
        { "match": { "paths": ["/api/**"] } }, { "match": { "paths": "/api/webhooks/**" } }
    ]));
    assert_eq!(
        compiler.problems.to_string(),
        "rules[1]: `r1` is never asked: `r0` (rule 0) stands before it and takes every request to `/api/**`"
    );
}

#[test]
fn where_deny_comes_first_what_it_swallows_is_an_error_and_what_is_superfluous_a_warning() {
    let on = |effect: &str, conditions: serde_json::Value| json!({ effect: true, "match": conditions });
    let path = |path: &str| json!({ "paths": path });
    for (rules, errors, warned) in [
        (json!([on("deny", path("/a/**")), on("allow", path("/a/b"))]), vec!["rules[1]"], vec![]),
        (json!([on("allow", path("/a/b")), on("deny", path("/a/**"))]), vec!["rules[0]"], vec![]),
        (json!([on("allow", path("/a/**")), on("deny", path("/a/b"))]), vec![], vec![]),
        (json!([on("allow", path("/a/**")), on("allow", path("/a/b"))]), vec![], vec!["rules[1]"]),
        (json!([on("allow", path("/a/b")), on("allow", path("/a/**"))]), vec![], vec!["rules[0]"]),
        (json!([on("deny", path("/a/b")), on("deny", path("/a/**"))]), vec![], vec!["rules[0]"]),
        (json!([on("deny", path("/a/{b}")), on("deny", path("/a/*"))]), vec![], vec!["rules[1]"]),
        (json!([on("deny", path("/a")), on("deny", path("/a"))]), vec!["rules[1]"], vec![]),
        (json!([on("allow", path("/a")), { "allow": true }]), vec!["rules[0]"], vec![]),
        (json!([{ "deny": true }, on("deny", path("/a"))]), vec!["rules[1]"], vec![]),
        (
            json!([
                { "deny": true, "match": { "paths": "/a" }, "when": { "not": { "roles": "x" } } },
                { "allow": true, "match": { "paths": "/a" }, "when": { "roles": "x" } },
            ]),
            vec![],
            vec![],
        ),
        (
            json!([
                { "deny": true, "match": { "paths": "/a" }, "when": { "not": { "roles": "x" } } },
                { "allow": true, "match": { "paths": "/a" }, "when": { "authenticated": false } },
            ]),
            vec!["rules[1]"],
            vec![],
        ),
    ] {
        let (compiler, _) = effects(&rules);
        assert_eq!(problems(&compiler), errors, "{rules}");
        assert_eq!(warnings(&compiler), warned, "{rules}");
    }
}

#[test]
fn what_can_never_match_is_a_problem() {
    for (conditions, expected) in [
        (json!({ "match": { "paths": "/a/b", "not": { "paths": "/a/**" } } }), true),
        (json!({ "match": { "paths": "/a/**", "not": { "paths": "/a/b" } } }), false),
        (json!({ "match": { "methods": "GET", "not": { "methods": ["GET", "PUT"] } } }), true),
        (json!({ "match": { "hosts": "a.b.c", "not": { "hosts": "*.b.c" } } }), true),
        (
            json!({ "match": { "client": { "cidrs": "10.0.0.1" }, "not": { "client": { "cidrs": "10.0.0.0/8" } } } }),
            true,
        ),
        (
            json!({ "match": { "headers": { "a": "x" }, "not": { "headers": { "a": { "present": true } } } } }),
            true,
        ),
        (json!({ "match": { "headers": { "a": "x" }, "not": { "headers": { "b": "x" } } } }), false),
        (json!({ "match": { "not": { "not": { "paths": "/a" } } } }), false),
        (json!({ "match": { "paths": "/a", "not": { "not": { "paths": "/b" } } } }), true),
        (json!({ "when": { "roles": "x", "not": { "authenticated": true } } }), true),
        (json!({ "when": { "roles": "x", "not": { "roles": ["x", "y"] } } }), true),
        (json!({ "when": { "roles": ["x", "y"], "not": { "roles": "x" } } }), false),
        (json!({ "when": { "authenticated": false, "not": { "roles": "x" } } }), false),
    ] {
        let mut compiler = Compiler::default();
        let rules = json!([conditions]);
        let rules = compiled(&rules, &path(), &mut compiler);
        When::compile(rules[0].2.as_ref(), rules[0].1, &path(), &mut compiler);
        assert_eq!(!compiler.problems.is_empty(), expected, "{conditions}: {}", compiler.problems);
    }
}

/// Rules of one shape, so many of them.
fn shape(name: &str, count: usize) -> serde_json::Value {
    let rule = |n: usize| match name {
        "same match, other callers" => {
            json!({ "match": { "paths": "/a" }, "when": { "consumers": format!("c{n}") } })
        }
        "same match, other roles" => {
            json!({ "match": { "paths": "/a" }, "when": { "roles": { "all": ["x", format!("c{n}")] } } })
        }
        "same match, other claims" => {
            json!({ "match": { "paths": "/a" }, "when": { "claims": { "c": format!("c{n}") } } })
        }
        "same match, callers excluded" => {
            json!({ "match": { "paths": "/a" }, "when": { "not": { "consumers": format!("c{n}") } } })
        }
        "same match, prefixes of claims" => {
            json!({ "match": { "paths": "/a" }, "when": { "claims": { "c": { "prefix": format!("c{n:06}") } } } })
        }
        "other paths" => json!({ "match": { "paths": format!("/p{n}") } }),
        "nested paths" => json!({ "match": { "paths": format!("/a/{}/b{n}/**", n / 10) } }),
        "other headers" => json!({ "match": { "headers": { "x": format!("v{n}") } } }),
        "other methods" => {
            json!({ "match": { "paths": "/a", "methods": format!("M{}", "A".repeat(n % 100)) , "query": { "q": format!("{n}") } } })
        }
        "other hosts" => json!({ "match": { "hosts": format!("h{n}.example.com"), "paths": "/**" } }),
        "other networks" => {
            json!({ "match": { "client": { "cidrs": format!("10.{}.{}.0/24", n / 256, n % 256) } } })
        }
        "deny and allow" if n.is_multiple_of(2) => {
            json!({ "deny": true, "match": { "paths": "/a/**" }, "when": { "roles": format!("r{n}") } })
        }
        "deny and allow" => {
            json!({ "match": { "paths": format!("/a/{n}") }, "when": { "roles": format!("r{n}") } })
        }
        other => panic!("{other}"),
    };
    (0..count).map(rule).collect()
}

#[test]
fn the_work_grows_with_the_number_of_rules_and_not_with_its_square() {
    for name in [
        "same match, other callers",
        "same match, other roles",
        "same match, other claims",
        "same match, callers excluded",
        "same match, prefixes of claims",
        "other paths",
        "nested paths",
        "other headers",
        "other methods",
        "other hosts",
        "other networks",
        "deny and allow",
    ] {
        for check in [ordered, effects] {
            let (compiler, small) = check(&shape(name, 500));
            assert_eq!(compiler.problems.to_string(), "", "{name}");
            let (_, large) = check(&shape(name, 1_000));
            assert!(large <= small * 5 / 2 + 1_000, "{name}: {small} steps for 500 rules, {large} for 1000");
        }
    }
}
