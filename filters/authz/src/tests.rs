use crate::AuthzSection;
use serde_json::{Value, json};
use sluice_core::caller::identity::Identity;
use sluice_core::caller::offer::Offer;
use sluice_core::caller::roles::Roles;
use sluice_core::decision::compile::Compiler;
use sluice_core::document::decode::from_json;
use sluice_core::document::name::Name;
use sluice_core::document::problem::{FieldPath, Problems};
use sluice_core::http::header::HeaderValue;
use sluice_core::simulation::{Played, SimulatedHost, SimulatedRequest, Stand, World};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// A compiler as the pipeline prepares it: `authz.roles` read, `authn` with one provider of tokens.
fn compiler(section: &Value) -> Compiler {
    let mut compiler = Compiler::default();
    if let Some(roles) = section.get("roles") {
        let roles = from_json(roles.to_string().as_bytes()).unwrap();
        compiler.roles = Roles::compile(&roles, &FieldPath::root(), &mut Problems::default());
    }
    compiler.offers = Some(vec![Offer::of_an_issuer(Name::new("staff").unwrap())]);
    compiler.challenges = vec![HeaderValue::new(br#"Bearer realm="sluice""#).unwrap()];
    compiler
}

fn stand(section: Value) -> Stand {
    let compiler = compiler(&section);
    Stand::with_compiler::<AuthzSection>("authz", section, compiler).unwrap()
}

fn problems(section: Value) -> String {
    let compiler = compiler(&section);
    match Stand::with_compiler::<AuthzSection>("authz", section, compiler) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

fn play(section: Value, request: &SimulatedRequest) -> Played {
    stand(section).play(request, &SimulatedHost::default().with_peer_address("192.0.2.7"))
}

fn with_roles(roles: &[&str]) -> Identity {
    Identity {
        principal: "alice".to_owned(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        claims: json!({ "sub": "alice" }).into(),
        ..Identity::default()
    }
}

fn with_scopes(scopes: &[&str]) -> Identity {
    Identity { scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(), ..with_roles(&[]) }
}

#[test]
fn deny_comes_before_allow_before_default_in_whatever_order_the_rules_stand() {
    let allow = json!({ "name": "read", "allow": true, "match": { "methods": ["GET"] } });
    let deny = json!({ "name": "closed", "deny": true, "match": { "paths": ["/closed/**"] } });
    for rules in [json!([allow, deny]), json!([deny, allow])] {
        for (default, method, path, status, decision) in [
            ("deny", "GET", "/open", None, "authz.allowed.rule:read"),
            ("deny", "GET", "/closed/x", Some(403), "authz.denied.rule:closed"),
            ("deny", "POST", "/closed/x", Some(403), "authz.denied.rule:closed"),
            ("deny", "POST", "/open", Some(403), "authz.denied.default"),
            ("allow", "POST", "/open", None, "authz.allowed.default"),
            ("allow", "POST", "/closed/x", Some(403), "authz.denied.rule:closed"),
        ] {
            let section = json!({ "default": default, "rules": rules });
            let played = play(section, &SimulatedRequest::new(method, path));
            assert_eq!((played.status(), played.decisions.as_slice()), (status, &[decision.to_owned()][..]));
        }
    }
}

#[test]
fn a_section_that_says_nothing_denies_everything() {
    let played = play(json!({}), &SimulatedRequest::get("/"));
    assert_eq!((played.status(), played.decisions[0].as_str()), (Some(403), "authz.denied.default"));
}

#[test]
fn roles_permissions_scopes_peers_and_addresses_decide() {
    let section = json!({
        "roles": { "reader": { "permissions": ["read"] }, "clerk": { "inherits": ["reader"], "permissions": ["write"] } },
        "rules": [
            { "name": "outside", "deny": true, "match": { "not": { "client": { "cidrs": ["192.0.2.0/24"] } } } },
            { "name": "read", "allow": true, "match": { "methods": "GET" }, "when": { "permissions": "read" } },
            { "name": "write", "allow": true, "match": { "methods": "POST" }, "when": { "permissions": "write" } },
            { "name": "mesh", "allow": true, "when": { "peers": "spiffe://d/ns/shop/**" } },
        ]
    });
    let stand = stand(section);
    let near = || SimulatedHost::default().with_peer_address("192.0.2.7");
    let far = || SimulatedHost::default().with_peer_address("198.51.100.1");
    let mesh = || near().with_peer_identity("spiffe://d/ns/shop/sa/orders");
    let other = || near().with_peer_identity("spiffe://d/ns/other/sa/orders");
    for (environment, method, roles, allowed) in [
        (near(), "GET", vec!["reader"], true),
        (near(), "GET", vec!["clerk"], true),
        (near(), "POST", vec!["reader"], false),
        (near(), "POST", vec!["clerk"], true),
        (near(), "GET", vec![], false),
        (far(), "GET", vec!["clerk"], false),
        (mesh(), "DELETE", vec![], true),
        (other(), "DELETE", vec![], false),
        (SimulatedHost::default(), "GET", vec!["clerk"], false),
    ] {
        let request = SimulatedRequest::new(method, "/").identity(with_roles(&roles));
        let played = stand.play(&request, &environment);
        assert_eq!(played.status(), if allowed { None } else { Some(403) }, "{method} {roles:?}");
    }
}

#[test]
fn who_shows_no_credential_is_asked_for_one_only_where_it_could_help() {
    let rules = json!([
        { "name": "mine", "allow": true, "match": { "paths": "/mine" }, "when": { "authenticated": true } },
        { "name": "mesh", "allow": true, "match": { "paths": "/mesh" }, "when": { "peers": "spiffe://d/a" } },
        { "name": "gone", "deny": true, "match": { "paths": "/gone" } },
        { "name": "admins", "deny": true, "match": { "paths": "/admin" }, "when": { "not": { "roles": "admin" } } },
        { "name": "watched", "allow": true, "shadow": true, "match": { "paths": "/watched" }, "when": { "roles": "x" } },
    ]);
    for (path, status) in
        [("/mine", 401), ("/mesh", 403), ("/gone", 403), ("/admin", 401), ("/watched", 403), ("/else", 403)]
    {
        let played = play(json!({ "rules": rules }), &SimulatedRequest::get(path));
        assert_eq!(played.status(), Some(status), "{path}");
        let challenge = played.reply_header("www-authenticate");
        assert_eq!(challenge.as_deref(), (status == 401).then_some(r#"Bearer realm="sluice""#), "{path}");
        let known = SimulatedRequest::get(path).identity(with_roles(&[]));
        let status = play(json!({ "rules": rules }), &known).status();
        assert_eq!(status, if path == "/mine" { None } else { Some(403) }, "{path} with an identity");
    }
}

#[test]
fn without_authn_nobody_is_asked_for_a_credential() {
    let section = json!({ "rules": [{ "name": "mine", "allow": true, "when": { "authenticated": true } }] });
    let stand = Stand::new::<AuthzSection>("authz", section).unwrap();
    let played = stand.play(&SimulatedRequest::get("/"), &SimulatedHost::default());
    assert_eq!((played.status(), played.reply_header("www-authenticate")), (Some(403), None));
}

#[test]
fn a_token_that_lacks_only_scopes_is_told_which() {
    let section = json!({ "rules": [
        { "name": "write", "allow": true, "match": { "methods": "POST" },
          "when": { "scopes": { "all": ["orders:read", "orders:write"] }, "principals": "alice" } },
        { "name": "read", "allow": true, "match": { "methods": "GET" }, "when": { "scopes": ["orders:read", "orders:admin"] } },
        { "name": "odd", "allow": true, "match": { "methods": "PUT" }, "when": { "scopes": ["a\"b"] } },
        { "name": "role", "allow": true, "match": { "methods": "PATCH" }, "when": { "roles": ["x"], "scopes": ["a"] } },
    ] });
    let stand = stand(section);
    let ask = |method: &str, identity: Identity| {
        let request = SimulatedRequest::new(method, "/").identity(identity);
        let played = stand.play(&request, &SimulatedHost::default());
        (played.status(), played.reply_header("www-authenticate"))
    };
    let challenge = |scope: &str| Some(format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""));
    assert_eq!(
        ask("POST", with_scopes(&["orders:read"])),
        (Some(403), challenge("orders:read orders:write"))
    );
    assert_eq!(ask("POST", with_scopes(&["orders:read", "orders:write"])), (None, None));
    assert_eq!(ask("GET", with_scopes(&["x"])), (Some(403), challenge("orders:read")));
    assert_eq!(ask("PUT", with_scopes(&["x"])), (Some(403), None), "no scope-token");
    assert_eq!(ask("PATCH", with_scopes(&["x"])), (Some(403), None), "a role is lacking too");
    let bob = Identity { principal: "bob".to_owned(), ..with_scopes(&["x"]) };
    assert_eq!(ask("POST", bob), (Some(403), None), "another principal");
    let key = Identity { claims: Value::Null.into(), ..with_scopes(&["x"]) };
    assert_eq!(ask("GET", key), (Some(403), None), "no bearer token");
}

#[test]
fn a_rule_in_shadow_is_recorded_and_changes_nothing() {
    let section = json!({ "rules": [
        { "name": "new-deny", "deny": true, "shadow": true, "match": { "paths": "/a" } },
        { "name": "new-allow", "allow": true, "shadow": true },
        { "name": "old", "allow": true, "match": { "paths": ["/a", "/b"] } },
    ] });
    for (path, status, decisions) in [
        ("/a", None, vec!["authz.denied.rule:new-deny", "authz.allowed.rule:old"]),
        ("/b", None, vec!["authz.allowed.rule:old"]),
        ("/c", Some(403), vec!["authz.allowed.rule:new-allow", "authz.denied.default"]),
    ] {
        let played = play(section.clone(), &SimulatedRequest::get(path));
        assert_eq!(
            (played.status(), played.decisions),
            (status, decisions.iter().map(|text| (*text).to_owned()).collect()),
            "{path}"
        );
    }
}

#[test]
fn a_section_in_shadow_denies_nothing() {
    let section =
        json!({ "shadow": true, "rules": [{ "name": "no", "deny": true, "match": { "paths": "/a" } }] });
    for (path, decision) in [("/a", "authz.denied.rule:no"), ("/b", "authz.denied.default")] {
        let played = play(section.clone(), &SimulatedRequest::get(path));
        assert_eq!((played.status(), played.decisions), (None, vec![decision.to_owned()]));
    }
}

#[test]
fn rules_that_say_nothing_or_never_decide_are_problems() {
    let rule = |name: &str, effect: &str| json!({ "name": name, effect: true });
    let on = |name: &str, effect: &str, path: &str| json!({ "name": name, effect: true, "match": { "paths": path } });
    for (rules, expected) in [
        (json!([{ "name": "a" }]), "authz.rules[0]: says neither"),
        (json!([{ "name": "a", "allow": true, "deny": true }]), "authz.rules[0]: says both"),
        (json!([{ "name": "a", "allow": false }]), "authz.rules[0].allow: `allow: false` does nothing"),
        (json!([{ "name": "a", "deny": false }]), "authz.rules[0].deny: `deny: false` does nothing"),
        (
            json!([on("a", "allow", "/a"), on("a", "allow", "/b")]),
            "authz.rules[1].name: the name `a` is taken",
        ),
        (
            json!([on("a", "allow", "/a"), on("b", "allow", "/a")]),
            "authz.rules[1]: `b` is superfluous: `a` (rule 0) allows the same requests",
        ),
        (
            json!([on("a", "deny", "/a"), on("b", "allow", "/a")]),
            "authz.rules[1]: `b` never decides: `a` (rule 0) denies the same requests, and `deny` comes before `allow`",
        ),
        (
            json!([on("a", "allow", "/a"), on("b", "deny", "/a")]),
            "authz.rules[0]: `a` never decides: `b` (rule 1)",
        ),
        (
            json!([rule("a", "deny"), on("b", "allow", "/b")]),
            "authz.rules[1]: `b` never decides: `a` (rule 0) denies every request",
        ),
        (
            json!([rule("a", "deny"), on("b", "deny", "/b")]),
            "authz.rules[1]: `b` is superfluous: `a` (rule 0) denies every request",
        ),
        (
            json!([on("b", "deny", "/b"), rule("a", "deny")]),
            "authz.rules[0]: `b` is superfluous: `a` (rule 1) denies every request",
        ),
        (json!([rule("a", "allow"), on("b", "allow", "/b")]), "authz.rules[1]: `b` is superfluous"),
        (
            json!([on("b", "allow", "/b"), rule("a", "allow")]),
            "authz.rules[0]: `b` is superfluous: `a` (rule 1) allows every request",
        ),
        (
            json!([{ "name": "a", "allow": true, "when": { "permissions": "fly" } }]),
            "authz.rules[0].when.permissions[0]",
        ),
        (json!([{ "name": "a", "allow": true, "whn": {} }]), "did you mean `when`?"),
        (json!([{ "name": "a", "allow": true, "match": { "use": "x" } }]), "authz.rules[0].match.use[0]"),
    ] {
        let found = problems(json!({ "rules": rules }));
        assert!(found.contains(expected), "{rules}: {found}");
    }
    assert!(problems(json!({ "default": "denied" })).contains("did you mean `deny`?"));
    // What looks alike and is not.
    for rules in [
        json!([rule("a", "allow"), on("b", "deny", "/b")]),
        json!([on("a", "allow", "/a"), { "name": "b", "deny": true, "shadow": true, "match": { "paths": "/a" } }]),
        json!([on("a", "allow", "/a"), { "name": "b", "allow": true, "match": { "paths": "/a" }, "when": { "roles": "x" } }]),
    ] {
        assert_eq!(problems(json!({ "rules": rules })), "", "{rules}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    struct Drawn {
        allow: bool,
        path: usize,
        role: usize,
    }

    const PATHS: [&str; 4] = ["/a", "/b", "/c", "/**"];
    const ROLES: [&str; 3] = ["x", "y", "z"];

    fn rule(position: usize, drawn: &Drawn) -> Value {
        let effect = if drawn.allow { "allow" } else { "deny" };
        json!({ "name": format!("r{position}"), effect: true, "match": { "paths": PATHS[drawn.path] }, "when": { "roles": ROLES[drawn.role] } })
    }

    proptest! {
        /// The order of the rules never matters, and the answer is the one that the rules' definition gives.
        #[test]
        fn the_decision_is_that_of_the_definition(
            drawn in proptest::collection::vec((any::<bool>(), 0..PATHS.len(), 0..ROLES.len()), 0..8),
            path in 0..3_usize, role in 0..3_usize, default_allows: bool,
        ) {
            let mut drawn: Vec<Drawn> = drawn.into_iter().map(|(allow, path, role)| Drawn { allow, path, role }).collect();
            // An `allow` that a `deny` swallows, and rules about the same, are refused when compiled.
            let denied: Vec<Drawn> = drawn.iter().filter(|rule| !rule.allow).cloned().collect();
            drawn.retain(|rule| {
                !rule.allow
                    || !denied.iter().any(|deny| deny.role == rule.role && (deny.path == rule.path || deny.path == 3))
            });
            drawn.sort_by_key(|rule| (rule.path, rule.role));
            drawn.dedup_by_key(|rule| (rule.path, rule.role));
            let hits = |rule: &&Drawn| (rule.path == path || rule.path == 3) && rule.role == role;
            let denied = drawn.iter().filter(hits).any(|rule| !rule.allow);
            let allowed = drawn.iter().filter(hits).any(|rule| rule.allow);
            let expected = !denied && (allowed || default_allows);
            let default = if default_allows { "allow" } else { "deny" };
            for reversed in [false, true] {
                let mut rules: Vec<Value> = drawn.iter().enumerate().map(|(position, drawn)| rule(position, drawn)).collect();
                if reversed { rules.reverse(); }
                let request = SimulatedRequest::get(PATHS[path]).identity(with_roles(&[ROLES[role]]));
                let played = play(json!({ "default": default, "rules": rules }), &request);
                prop_assert_eq!(played.status().is_none(), expected);
            }
        }
    }
}

/// Whatever the analysis says of a rule is true of every request: documents and requests are drawn from a small world, and each rule
/// that is reported is taken out.
#[test]
fn a_rule_that_is_reported_changes_no_answer() {
    let mut said = std::collections::BTreeMap::<&str, u32>::new();
    for seed in 0..1_500 {
        let mut world = World::new(seed);
        let count = 2 + world.below(5);
        let rules: Vec<Value> = (0..count)
            .map(|position| {
                let effect = if world.once_in(2) { "deny" } else { "allow" };
                let mut rule = json!({ "name": format!("r{position}"), effect: true });
                if !world.once_in(4) {
                    rule["match"] = world.matches();
                }
                if !world.once_in(3) {
                    rule["when"] = world.when();
                }
                if world.once_in(8) {
                    rule["shadow"] = json!(true);
                }
                rule
            })
            .collect();
        let default = if world.once_in(2) { "allow" } else { "deny" };
        let of = |rules: &[Value]| {
            let section = json!({ "default": default, "rules": rules });
            Stand::despite_problems::<AuthzSection>("authz", section, Compiler::default())
        };
        // What contradicts itself is no document at all.
        let Ok((whole, problems)) = of(&rules) else { continue };
        for problem in problems.iter().chain(problems.warnings()) {
            let kinds = ["never decides", "superfluous", "never matches", "never holds"];
            let Some(kind) = kinds.into_iter().find(|kind| problem.message.contains(kind)) else { continue };
            let path = problem.path.to_string();
            let Some(position) = (0..count).find(|position| {
                let rule = format!("authz.rules[{position}]");
                [rule.clone(), format!("{rule}.match"), format!("{rule}.when")].contains(&path)
            }) else {
                continue;
            };
            *said.entry(kind).or_default() += 1;
            let mut others = rules.clone();
            others.remove(position);
            let (without, _) = of(&others).unwrap();
            for draw in 0..40 {
                let (request, environment) = World::new(seed * 1_000 + draw).request();
                let played = whole.play(&request, &environment);
                let status = without.play(&request, &environment).status();
                assert_eq!(played.status(), status, "{problem}\n{}\n{request:?}", json!(rules));
                if kind != "superfluous" {
                    let own = format!(".rule:r{position}");
                    assert!(!played.decisions.iter().any(|decision| decision.ends_with(&own)), "{problem}");
                }
            }
        }
    }
    for kind in ["never decides", "superfluous", "never matches", "never holds"] {
        assert!(said.get(kind).copied().unwrap_or_default() >= 20, "{said:?}");
    }
}

#[test]
fn what_may_not_be_meant_is_a_warning() {
    let on = |effect: &str, path: &str| json!({ "name": effect, effect: true, "match": { "paths": path } });
    for (section, expected) in [
        (json!({}), "authz: denies every request"),
        (json!({ "rules": [on("deny", "/a/**")] }), "authz: denies every request"),
        (json!({ "default": "allow" }), "authz: does nothing"),
        (
            json!({ "default": "allow", "rules": [on("allow", "/a")] }),
            "authz.rules[0]: `allow` changes no answer",
        ),
        (json!({ "rules": [{ "name": "all", "allow": true }] }), "authz.rules[0]: `all` allows everybody"),
        (
            json!({ "default": "allow", "rules": [on("deny", "/admin/**")] }),
            "authz.rules[0].match.paths: `/admin/**` does not include `/admin`, which many services answer alike: no rule denies that, and `default: allow`",
        ),
        (
            json!({ "rules": [on("deny", "/admin"), on("allow", "/**")] }),
            "`/admin` does not include `/admin/`, which many services answer alike: no rule denies that, and `allow` (rule 1) lets it in",
        ),
        (
            json!({ "default": "allow", "rules": [{ "name": "d", "deny": true, "match": { "paths": ["/admin", "/admin/**"] } }] }),
            "",
        ),
        (json!({ "rules": [on("deny", "/admin/**"), on("allow", "/orders/**")] }), ""),
        (
            json!({ "rules": [
            { "name": "d", "deny": true, "match": { "paths": "/admin/**" }, "when": { "not": { "roles": "admin" } } },
            { "name": "a", "allow": true, "when": { "roles": "admin" } },
        ] }),
            "",
        ),
        (json!({ "shadow": true }), ""),
    ] {
        let (_, problems) =
            Stand::despite_problems::<AuthzSection>("authz", section.clone(), compiler(&section)).unwrap();
        assert_eq!(problems.to_string(), "", "{section}");
        let found: Vec<String> = problems.warnings().iter().map(ToString::to_string).collect();
        assert!(
            found.join("\n").contains(expected) && found.is_empty() == expected.is_empty(),
            "{section}: {found:?}"
        );
    }
}

#[test]
fn a_denial_that_a_joined_list_dodges_is_warned_of() {
    let warnings = |rule: serde_json::Value| {
        let section: crate::AuthzSection =
            serde_json::from_value(json!({ "default": "allow", "rules": [rule] })).unwrap();
        let definitions =
            serde_json::from_value(json!({ "bad": { "headers": { "x-role": "evil" } } })).unwrap();
        let selectors =
            sluice_core::rule::selector::SelectorBuilder::new(definitions, std::collections::HashMap::new());
        let mut compiler = Compiler::new(selectors, 0, 0);
        sluice_core::decision::compile::PolicySection::compile(
            &section,
            &FieldPath::root().field("authz"),
            &mut compiler,
        );
        assert!(compiler.problems.is_empty(), "{}", compiler.problems);
        let warnings = compiler.problems.take_warnings();
        let warnings = warnings.iter().filter(|warning| warning.message.contains("item: "));
        warnings.map(|warning| warning.path.to_string()).collect::<Vec<_>>()
    };
    let deny = |matches: serde_json::Value| json!({ "name": "a", "deny": true, "match": matches });
    let allow = |matches: serde_json::Value| json!({ "name": "a", "allow": true, "match": matches });
    let at = "authz.rules[0].match";
    for (rule, expected) in [
        (deny(json!({ "headers": { "x-role": "evil" } })), vec![format!("{at}.headers.x-role")]),
        (
            deny(json!({ "headers": { "x-role": { "prefix": "evil" } } })),
            vec![format!("{at}.headers.x-role")],
        ),
        (deny(json!({ "headers": { "x-role": { "item": "evil" } } })), vec![]),
        (deny(json!({ "headers": { "x-role": { "contains": "evil" } } })), vec![]),
        (deny(json!({ "headers": { "x-role": { "present": true } } })), vec![]),
        (deny(json!({ "headers": { "user-agent": "evil" } })), vec![]),
        (allow(json!({ "headers": { "x-role": "good" } })), vec![]),
        (
            allow(json!({ "not": { "headers": { "x-role": "evil" } } })),
            vec![format!("{at}.not.headers.x-role")],
        ),
        (deny(json!({ "not": { "headers": { "x-role": "good" } } })), vec![]),
        (deny(json!({ "use": "bad" })), vec!["definitions.matches.bad.headers.x-role".to_owned()]),
        (allow(json!({ "use": "bad" })), vec![]),
    ] {
        assert_eq!(warnings(rule.clone()), expected, "{rule}");
    }
}
