use super::*;
use serde_json::json;
use sluice_core::caller::identity::Identity;
use sluice_core::decision::compile::Compiler;
use sluice_core::decision::verdict::Verdict;
use sluice_core::document::decode::from_json;
use sluice_core::rule::selector::SelectorBuilder;
use sluice_core::simulation::{Played, SimulatedHost, SimulatedRequest, Stand, World};
use std::collections::HashMap;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn stand(section: serde_json::Value) -> Stand {
    Stand::new::<RoutingSection>("routing", section).unwrap_or_else(|problems| panic!("{problems}"))
}

fn problems(section: serde_json::Value) -> String {
    let compiler = Compiler { offers: Some(Vec::new()), ..Compiler::default() };
    match Stand::with_compiler::<RoutingSection>("routing", section, compiler) {
        Ok(_) => "none".to_owned(),
        Err(problems) => problems.to_string(),
    }
}

fn play(stand: &Stand, request: &SimulatedRequest) -> Played {
    let played = stand.play(request, &SimulatedHost::default());
    assert_eq!(played.verdict, Verdict::Continue, "routing answers nothing");
    played
}

fn user(principal: &str) -> Identity {
    Identity {
        principal: principal.to_owned(),
        claims: json!({ "tier": "beta" }).into(),
        ..Identity::default()
    }
}

/// What becomes of a header: `None` if it stays as it is, otherwise the new value or `removed`.
fn change(played: &Played, name: &str) -> Option<String> {
    played.request_header(name).map(|value| value.unwrap_or_else(|| "removed".to_owned()))
}

fn canary(percent: f64) -> Stand {
    stand(json!({ "rules": [{ "name": "canary", "split": { "sticky": "identity.principal", "to": [
        { "subset": "v2", "percent": percent }, { "subset": "v1", "percent": 100.0 - percent }
    ] } }] }))
}

fn subset_of(stand: &Stand, principal: &str) -> String {
    let played = play(stand, &SimulatedRequest::get("/").identity(user(principal)));
    change(&played, "x-sluice-subset").unwrap()
}

#[test]
fn the_first_rule_that_matches_decides() {
    let stand = stand(json!({ "rules": [
        { "name": "stock", "match": { "paths": ["/inventory/**"] }, "cluster": "inventory" },
        { "name": "header", "match": { "headers": { "x-version": "v2" } }, "subset": "v2" },
        { "name": "cookie", "match": { "cookies": { "preview": "on" } }, "cluster": "orders", "subset": "v2" },
        { "name": "claim", "when": { "claims": { "tier": "beta" } }, "subset": "beta" },
        { "name": "marked", "match": { "paths": ["/marked"] }, "setHeaders": { "x-env": "staging" } }
    ] }));
    for (request, cluster, subset, decision) in [
        (SimulatedRequest::get("/inventory/1"), Some("inventory"), None, "routed.rule:stock.to:inventory"),
        (
            SimulatedRequest::get("/inventory/1").header("x-version", "v2"),
            Some("inventory"),
            None,
            "routed.rule:stock.to:inventory",
        ),
        (SimulatedRequest::get("/").header("x-version", "v2"), None, Some("v2"), "routed.rule:header.to:v2"),
        (
            SimulatedRequest::get("/").header("cookie", "a=b; preview=on"),
            Some("orders"),
            Some("v2"),
            "routed.rule:cookie.to:orders:v2",
        ),
        (SimulatedRequest::get("/").identity(user("a")), None, Some("beta"), "routed.rule:claim.to:beta"),
        (SimulatedRequest::get("/marked"), None, None, "routed.rule:marked"),
        (SimulatedRequest::get("/").header("x-version", "v3"), None, None, "default"),
    ] {
        let played = play(&stand, &request);
        assert_eq!(change(&played, "x-sluice-cluster").as_deref(), cluster, "{decision}");
        assert_eq!(change(&played, "x-sluice-subset").as_deref(), subset, "{decision}");
        assert_eq!(played.decisions, [format!("routing.{decision}")]);
        assert_eq!(played.mutations.clears_route_cache(), decision != "default", "{decision}");
    }
    assert_eq!(change(&play(&stand, &SimulatedRequest::get("/marked")), "x-env").as_deref(), Some("staging"));
}

#[test]
fn what_clients_send_in_choosing_headers_is_removed_in_every_spelling() {
    let section = json!({
        "headers": { "cluster": "x-cluster", "reserved": ["x-env"] },
        "rules": [{ "name": "v2", "match": { "paths": ["/v2"] }, "subset": "v2" }]
    });
    let stand = stand(section);
    for (path, sent, value, expected) in [
        ("/", "x-cluster", "secret", Some("removed")),
        ("/", "x_cluster", "secret", Some("removed")),
        ("/", "x-sluice-subset", "v2", Some("removed")),
        ("/", "x_sluice-subset", "v2", Some("removed")),
        ("/", "x-env", "prod", Some("removed")),
        ("/", "x-envoy", "1", None),
        // The default name is nobody's once another is chosen.
        ("/", "x-sluice-cluster", "secret", None),
        ("/v2", "x-sluice-subset", "v1", Some("v2")),
        ("/v2", "x_sluice_subset", "v1", Some("removed")),
        ("/v2", "x-cluster", "secret", Some("removed")),
    ] {
        let played = play(&stand, &SimulatedRequest::get(path).header(sent, value));
        assert_eq!(change(&played, sent).as_deref(), expected, "{path} {sent}");
        let goes_to_v2 = path == "/v2";
        assert_eq!(played.mutations.clears_route_cache(), expected.is_some() || goes_to_v2, "{path} {sent}");
    }
}

#[test]
fn a_request_that_is_right_already_is_not_touched() {
    let stand = stand(json!({ "rules": [{ "name": "all", "cluster": "orders", "subset": "v2" }] }));
    let right =
        SimulatedRequest::get("/").header("x-sluice-cluster", "orders").header("x-sluice-subset", "v2");
    let played = play(&stand, &right);
    assert_eq!(played.mutations.request_headers(), []);
    assert!(!played.mutations.clears_route_cache());
    // Of a repeated header some servers would take the other one.
    let played = play(&stand, &right.header("x-sluice-subset", "v1"));
    assert_eq!(change(&played, "x-sluice-subset").as_deref(), Some("v2"));
    assert!(played.mutations.clears_route_cache());
}

#[test]
fn any_byte_in_a_choosing_header_is_removed() {
    let stand = stand(json!({}));
    for byte in 0..=255_u8 {
        let played = play(&stand, &SimulatedRequest::get("/").header("x-sluice-cluster", [b'a', byte]));
        assert_eq!(change(&played, "x-sluice-cluster").as_deref(), Some("removed"), "{byte}");
    }
}

#[test]
fn a_rule_in_shadow_counts_and_leaves_the_request_to_the_next() {
    let stand = stand(json!({ "rules": [
        { "name": "try", "subset": "v3", "shadow": true },
        { "name": "all", "subset": "v1" }
    ] }));
    let played = play(&stand, &SimulatedRequest::get("/"));
    assert_eq!(played.decisions, ["routing.routed.rule:try.to:v3", "routing.routed.rule:all.to:v1"]);
    assert_eq!(change(&played, "x-sluice-subset").as_deref(), Some("v1"));
}

#[test]
fn a_section_in_shadow_changes_nothing_but_still_trusts_no_client() {
    let stand = stand(json!({ "shadow": true, "rules": [{ "name": "all", "subset": "v1" }] }));
    let played = play(&stand, &SimulatedRequest::get("/").header("x-sluice-subset", "v2"));
    assert_eq!(played.decisions, ["routing.routed.rule:all.to:v1", "routing.default"]);
    assert_eq!(change(&played, "x-sluice-subset").as_deref(), Some("removed"));
}

#[test]
fn a_split_takes_its_share_of_users_and_keeps_them() {
    let stand = canary(20.0);
    let users: Vec<String> = (0..5_000).map(|number| format!("user-{number}")).collect();
    let chosen: Vec<String> = users.iter().map(|user| subset_of(&stand, user)).collect();
    let canaries = chosen.iter().filter(|subset| *subset == "v2").count();
    // Binomial(5000, 0.2): mean 1000, standard deviation 28; names and hash are fixed, so this never flickers.
    assert!((900..=1100).contains(&canaries), "{canaries}");
    // Another worker, another proxy, another reload: compiled anew, with other seeds.
    let again = {
        let section = json!({ "rules": [{ "name": "canary", "split": { "sticky": "identity.principal", "to": [
            { "subset": "v2", "percent": 20 }, { "subset": "v1", "percent": 80 } ] } }] });
        let compiler = Compiler::new(SelectorBuilder::new(Default::default(), HashMap::new()), 17, 18);
        Stand::with_compiler::<RoutingSection>("routing", section, compiler).unwrap()
    };
    assert!(users.iter().zip(&chosen).all(|(user, subset)| subset_of(&again, user) == *subset));
}

#[test]
fn places_in_a_split_never_change_with_the_code() {
    // A release that moved users would break the promise; these were recorded when the first was made.
    let stand =
        stand(json!({ "rules": [{ "name": "canary", "split": { "sticky": "identity.principal", "to": [
        { "subset": "a", "percent": 25 }, { "subset": "b", "percent": 25 },
        { "subset": "c", "percent": 25 }, { "subset": "d", "percent": 25 } ] } }] }));
    let places: Vec<String> = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"]
        .map(|user| subset_of(&stand, user))
        .to_vec();
    assert_eq!(places.concat(), "bdaddcad");
}

#[test]
fn a_growing_canary_takes_users_from_the_other_and_loses_none() {
    let users: Vec<String> = (0..2_000).map(|number| format!("user-{number}")).collect();
    let mut before: Vec<bool> = vec![false; users.len()];
    for percent in [0.0, 0.5, 5.0, 25.0, 50.0, 99.9, 100.0] {
        let stand = canary(percent);
        let now: Vec<bool> = users.iter().map(|user| subset_of(&stand, user) == "v2").collect();
        assert!(before.iter().zip(&now).all(|(before, now)| *now || !before), "{percent}");
        before = now;
    }
    assert!(before.iter().all(|canary| *canary), "100 % are all");
}

#[test]
fn two_rules_choose_their_canaries_independently() {
    let split = |name: &str| {
        stand(json!({ "rules": [{ "name": name, "split": { "sticky": "identity.principal", "to": [
            { "subset": "v2", "percent": 50 }, { "subset": "v1", "percent": 50 } ] } }] }))
    };
    let (one, two) = (split("one"), split("two"));
    let same = (0..2_000)
        .map(|number| format!("user-{number}"))
        .filter(|user| subset_of(&one, user) == subset_of(&two, user))
        .count();
    assert!((850..=1150).contains(&same), "{same} of 2000 at the same side");
}

#[test]
fn without_the_sticky_attribute_a_request_is_drawn() {
    let section = json!({ "rules": [{ "name": "canary", "match": { "paths": ["/{tenant}"] }, "split": {
        "sticky": ["identity.principal", "header.x-session", "path.tenant"],
        "to": [{ "cluster": "low", "percent": 50 }, { "cluster": "high", "percent": 50 }] } }] });
    let stand = stand(section);
    let cluster = |request: &SimulatedRequest, draw: u64| {
        let played = stand.play(request, &SimulatedHost::default().with_random(draw));
        change(&played, "x-sluice-cluster").unwrap()
    };
    let known = |request: &SimulatedRequest| {
        let stays = cluster(request, 0) == cluster(request, u64::MAX);
        assert!(stays, "{request:?}");
        cluster(request, 0)
    };
    // Of several attributes the first that is there, whatever the others say.
    let by_session = known(&SimulatedRequest::get("/t").header("x-session", "s"));
    assert_eq!(known(&SimulatedRequest::get("/u").header("x-session", "s")), by_session);
    let by_user = known(&SimulatedRequest::get("/t").header("x-session", "s").identity(user("alice")));
    assert_eq!(known(&SimulatedRequest::get("/u").identity(user("alice"))), by_user);
    known(&SimulatedRequest::get("/t"));
    let drawn = self::stand(json!({ "rules": [{ "name": "canary", "split": { "sticky": "header.x-session",
        "to": [{ "cluster": "low", "percent": 50 }, { "cluster": "high", "percent": 50 }] } }] }));
    for (draw, expected) in
        [(0, "low"), (u64::MAX / 2, "low"), (u64::MAX / 2 + 1, "high"), (u64::MAX, "high")]
    {
        for request in [SimulatedRequest::get("/t"), SimulatedRequest::get("/t").header("x-session", "")] {
            let played = drawn.play(&request, &SimulatedHost::default().with_random(draw));
            assert_eq!(change(&played, "x-sluice-cluster").as_deref(), Some(expected), "{draw}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_section_is_told_by_its_field() {
    let split = |to: serde_json::Value| json!({ "rules": [{ "name": "s", "split": { "to": to } }] });
    for (section, expected) in [
        (json!({ "rules": [{ "name": "a" }] }), "routing.rules[0]: says nowhere to go"),
        (
            json!({ "rules": [{ "name": "a", "cluster": "c", "split": { "to": [] } }] }),
            "routing.rules[0].split: stands beside",
        ),
        (split(json!([])), "routing.rules[0].split.to: the percentages make 0, and must make 100"),
        (
            split(json!([{ "subset": "a", "percent": 99.5 }, { "subset": "b", "percent": 0.25 }])),
            "routing.rules[0].split.to: the percentages make 99.75, and must make 100",
        ),
        (
            split(json!([{ "subset": "a", "percent": 60 }, { "subset": "b", "percent": 60 }])),
            "routing.rules[0].split.to: the percentages make 120",
        ),
        (split(json!([{ "percent": 100 }])), "routing.rules[0].split.to[0]: says nowhere to go"),
        (split(json!([{ "subset": "a" }])), "routing.rules[0].split.to[0]: missing field `percent`"),
        (split(json!([{ "subset": "", "percent": 100 }])), "is not the name of a cluster or subset"),
        (
            json!({ "rules": [{ "name": "a", "cluster": "a b" }] }),
            "routing.rules[0].cluster: \"a b\" is not the name",
        ),
        (json!({ "rules": [{ "name": "a", "cluster": "a\r\nx: y" }] }), "is not the name of a cluster"),
        (json!({ "rules": [{ "name": "a", "clutser": "a" }] }), "did you mean `cluster`?"),
        (
            json!({ "rules": [{ "name": "a", "setHeaders": { "host": "b" } }] }),
            "routing.rules[0].setHeaders.host: `host` frames or addresses",
        ),
        (
            json!({ "rules": [{ "name": "a", "setHeaders": { "x-sluice-subset": "b" } }] }),
            "routing.rules[0].setHeaders.x-sluice-subset: chooses the route",
        ),
        (
            json!({ "rules": [{ "name": "a", "setHeaders": { "x": "b\n" } }] }),
            "must hold no control character",
        ),
        (
            json!({ "headers": { "cluster": "x", "subset": "X" } }),
            "routing.headers.subset: `x` is the header that names the cluster",
        ),
        (json!({ "headers": { "reserved": ["connection"] } }), "routing.headers.reserved[0]: `connection`"),
        (
            json!({ "rules": [{ "name": "a", "cluster": "b" }, { "name": "a", "match": { "paths": "/" }, "cluster": "b" }] }),
            "routing.rules[1].name: the name `a` is taken by routing.rules[0]",
        ),
        (
            json!({ "rules": [{ "name": "a", "cluster": "b" }, { "name": "c", "match": { "paths": "/" }, "cluster": "b" }] }),
            "routing.rules[1]: `c` is never asked",
        ),
        (
            json!({ "rules": [{ "name": "a", "match": { "paths": "/{id}" }, "split": { "sticky": "path.user",
                "to": [{ "cluster": "b", "percent": 100 }] } }] }),
            "routing.rules[0].split.sticky[0]: the rule's `match` has no `{user}` in its paths; it has `id`",
        ),
    ] {
        let found = problems(section.clone());
        assert!(found.contains(expected), "{section}\n{found}");
    }
}

#[test]
fn reasons_are_bounded_by_the_document_and_plain() {
    let section: RoutingSection = from_json(
        json!({ "rules": [{ "name": "istio", "cluster": "outbound|8080|v1|reviews.default.svc.cluster.local" }] })
            .to_string()
            .as_bytes(),
    )
    .unwrap();
    let mut compiler = Compiler::default();
    use sluice_core::decision::compile::PolicySection;
    section.compile(&sluice_core::document::problem::FieldPath::root(), &mut compiler);
    let texts: Vec<&str> = compiler.reasons.iter().map(|reason| reason.text.as_str()).collect();
    assert_eq!(texts, ["routed.rule:istio.to:outbound_8080_v1_reviews.default.svc.cluster.local", "default"]);
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever a client sends, what arrives names the rule's destination once and nothing of the client's.
        #[test]
        fn no_header_of_a_client_chooses(
            sent in proptest::collection::vec(("[xX][-_]sluice[-_](cluster|subset|other)", any::<Vec<u8>>()), 0..6),
            path in prop_oneof!["/v2", "/"],
        ) {
            let stand = stand(json!({ "rules": [{ "name": "v2", "match": { "paths": ["/v2"] }, "subset": "v2" }] }));
            let mut request = SimulatedRequest::get(&path);
            for (name, value) in &sent {
                request = request.header(&name.to_ascii_lowercase(), value);
            }
            let played = play(&stand, &request);
            for (name, value) in &sent {
                let name = name.to_ascii_lowercase();
                if name.ends_with("other") {
                    prop_assert_eq!(change(&played, &name), None);
                } else if name == "x-sluice-subset" && path == "/v2" {
                    let expected = (value != b"v2" || sent.len() > 1).then(|| "v2".to_owned());
                    let found = change(&played, &name);
                    prop_assert!(found == expected || (found.is_none() && value == b"v2"));
                } else {
                    prop_assert_eq!(change(&played, &name), Some("removed".to_owned()));
                }
            }
        }

        #[test]
        fn every_value_has_a_place(value: Vec<u8>) {
            let stand = stand(json!({ "rules": [{ "name": "s", "split": { "sticky": "header.x-key", "to": [
                { "subset": "a", "percent": 0 }, { "subset": "b", "percent": 33.3333 },
                { "subset": "c", "percent": 66.6667 }, { "subset": "d", "percent": 0 } ] } }] }));
            let played = play(&stand, &SimulatedRequest::get("/").header("x-key", &value));
            let subset = change(&played, "x-sluice-subset").unwrap();
            prop_assert!(subset == "b" || subset == "c");
        }
    }
}

/// Whatever the analysis says of a rule is true of every request: documents and requests are drawn from a small world, and each rule
/// that is reported is taken out.
#[test]
fn a_rule_that_is_never_asked_changes_nothing() {
    let mut said = 0;
    for seed in 0..1_500 {
        let mut world = World::new(seed);
        let count = 2 + world.below(5);
        let rules: Vec<serde_json::Value> = (0..count)
            .map(|position| {
                let mut rule = json!({ "name": format!("r{position}"), "subset": format!("s{position}") });
                if !world.once_in(6) {
                    rule["match"] = world.matches();
                }
                if world.once_in(2) {
                    rule["when"] = world.when();
                }
                if world.once_in(8) {
                    rule["shadow"] = json!(true);
                }
                rule
            })
            .collect();
        let of = |rules: &[serde_json::Value]| {
            Stand::despite_problems::<RoutingSection>(
                "routing",
                json!({ "rules": rules }),
                Compiler::default(),
            )
        };
        // What contradicts itself is no document at all.
        let Ok((whole, problems)) = of(&rules) else { continue };
        for problem in problems.iter().filter(|problem| problem.message.contains("is never asked")) {
            let path = problem.path.to_string();
            let position = (0..count).find(|position| path == format!("routing.rules[{position}]")).unwrap();
            said += 1;
            let mut others = rules.clone();
            others.remove(position);
            let (without, _) = of(&others).unwrap();
            for draw in 0..40 {
                let (request, environment) = World::new(seed * 1_000 + draw).request();
                let decisions = whole.play(&request, &environment).decisions;
                let expected = without.play(&request, &environment).decisions;
                assert_eq!(decisions, expected, "{problem}\n{}\n{request:?}", json!(rules));
            }
        }
    }
    assert!(said >= 100, "{said}");
}
