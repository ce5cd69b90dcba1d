use super::*;
use crate::caller::client::AddressConfig;
use crate::caller::offer::{Offer, Possible};
use crate::caller::roles::Roles;
use crate::document::decode::from_json;
use crate::document::problem::Problems;
use crate::http::header_map::HeaderMap;
use crate::http::request::RequestView;
use crate::rule::selector::{Candidates, SelectorIndex};
use crate::simulation::SimulatedHost;
use serde_json::json;
use std::rc::Rc;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn compiler() -> Compiler {
    let mut compiler = Compiler::default();
    let roles =
        r#"{"reader":{"permissions":["read"]},"clerk":{"inherits":["reader"],"permissions":["write"]}}"#;
    compiler.roles =
        Roles::compile(&from_json(roles.as_bytes()).unwrap(), &FieldPath::root(), &mut Problems::default());
    let attributes = [("plan".to_owned(), Possible::Any)].into_iter().collect();
    compiler.offers = Some(vec![Offer { attributes, ..Offer::of_an_issuer(Name::new("staff").unwrap()) }]);
    compiler
}

fn compile(when: serde_json::Value) -> (CompiledWhen, String) {
    let mut compiler = compiler();
    let when: When = from_json(when.to_string().as_bytes()).unwrap();
    let compiled =
        When::compile(Some(&when), SelectorId::EVERY, &FieldPath::root().field("when"), &mut compiler);
    (compiled, compiler.problems.to_string())
}

fn holds(when: serde_json::Value, identity: Option<Identity>, peer: Option<&str>) -> bool {
    let (when, problems) = compile(when);
    assert_eq!(problems, "");
    with_exchange(identity, peer, |exchange| when.holds(exchange))
}

fn with_exchange<T>(
    identity: Option<Identity>,
    peer: Option<&str>,
    ask: impl FnOnce(&Exchange<'_>) -> T,
) -> T {
    let mut environment = SimulatedHost::default();
    if let Some(peer) = peer {
        environment = environment.with_peer_identity(peer);
    }
    let headers = HeaderMap::from_pairs([(":method", "GET"), (":path", "/"), (":authority", "h")]);
    let view = RequestView::new(&headers).unwrap();
    let (index, candidates, address) =
        (SelectorIndex::default(), Candidates::default(), AddressConfig::default());
    let exchange = Exchange::new(&view, &environment, &index, &candidates, &address)
        .with_identity(identity.map(Rc::new));
    ask(&exchange)
}

fn alice() -> Identity {
    Identity {
        provider: Some(Name::new("staff").unwrap()),
        origin: None,
        principal: "alice".to_owned(),
        consumer: Some("acme".to_owned()),
        roles: vec!["clerk".to_owned(), "x".to_owned()],
        scopes: vec!["a".to_owned(), "b".to_owned()],
        claims: json!({ "tier": 3, "groups": ["g1", "g2"], "flag": true }).into(),
        attributes: [("plan".to_owned(), "gold".to_owned())].into(),
    }
}

#[test]
fn every_key_must_hold_and_values_are_alternatives() {
    for (when, expected) in [
        (json!({}), true),
        (json!({ "authenticated": true }), true),
        (json!({ "authenticated": false }), false),
        (json!({ "providers": "staff" }), true),
        (json!({ "principals": ["bob", "alice"] }), true),
        (json!({ "principals": ["alic"] }), false),
        (json!({ "consumers": "acme", "principals": "bob" }), false),
        (json!({ "roles": ["admin", "clerk"] }), true),
        (json!({ "roles": { "all": ["x", "clerk"] } }), true),
        (json!({ "roles": { "all": ["x", "admin"] } }), false),
        (json!({ "scopes": ["c"] }), false),
        (json!({ "permissions": ["read"] }), true),
        (json!({ "permissions": { "all": ["read", "write"] } }), true),
        (json!({ "claims": { "tier": "3" } }), true),
        (json!({ "claims": { "groups": "g2" } }), true),
        (json!({ "claims": { "groups": { "present": false } } }), false),
        (json!({ "claims": { "none": { "present": false } } }), true),
        (json!({ "attributes": { "plan": ["gold", "silver"] } }), true),
        (json!({ "not": { "roles": ["clerk"] } }), false),
        (json!({ "not": { "roles": ["admin"] } }), true),
    ] {
        assert_eq!(holds(when.clone(), Some(alice()), None), expected, "{when}");
    }
}

#[test]
fn scopes_are_missing_only_where_nothing_else_is() {
    for (when, expected) in [
        (json!({ "scopes": ["a", "c"] }), None),
        (json!({ "scopes": ["c", "d"] }), Some(vec!["c".to_owned()])),
        (json!({ "scopes": { "all": ["a", "c"] } }), Some(vec!["a".to_owned(), "c".to_owned()])),
        (json!({ "scopes": ["c"], "principals": "alice" }), Some(vec!["c".to_owned()])),
        (json!({ "scopes": ["c"], "principals": "bob" }), None),
        (json!({ "principals": "bob" }), None),
    ] {
        let (compiled, problems) = compile(when.clone());
        assert_eq!(problems, "");
        let missing = |identity| {
            with_exchange(Some(identity), None, |exchange| {
                compiled.missing_scopes(exchange).map(|scopes| scopes.sufficient().to_vec())
            })
        };
        assert_eq!(missing(alice()).as_deref(), expected.as_deref(), "{when}");
        assert!(with_exchange(None, None, |exchange| compiled.missing_scopes(exchange).is_none()), "{when}");
    }
}

#[test]
fn the_key_that_is_not_met_is_told() {
    for (when, of_alice, of_nobody) in [
        (json!({}), None, None),
        (json!({ "authenticated": true }), None, Some("authenticated")),
        (json!({ "authenticated": false }), Some("authenticated"), None),
        (json!({ "providers": "staff", "principals": "bob" }), Some("principals"), Some("providers")),
        (json!({ "consumers": "x" }), Some("consumers"), Some("consumers")),
        (json!({ "roles": "x" }), None, Some("roles")),
        (json!({ "permissions": { "all": ["read", "write"] } }), None, Some("permissions")),
        (json!({ "claims": { "tier": "4" } }), Some("claims"), Some("claims")),
        (json!({ "attributes": { "plan": "free" } }), Some("attributes"), Some("attributes")),
        (json!({ "peers": "spiffe://d/a", "scopes": "c" }), Some("peers"), Some("peers")),
        (json!({ "not": { "roles": "x" }, "scopes": "c" }), Some("not"), Some("scopes")),
    ] {
        let (compiled, problems) = compile(when.clone());
        assert_eq!(problems, "");
        let unmet = |identity| with_exchange(identity, None, |exchange| compiled.unmet(exchange));
        assert_eq!((unmet(Some(alice())), unmet(None)), (of_alice, of_nobody), "{when}");
    }
}

#[test]
fn nobody_holds_nothing_that_asks_for_somebody() {
    for (when, expected) in [
        (json!({}), true),
        (json!({ "authenticated": false }), true),
        (json!({ "authenticated": true }), false),
        (json!({ "claims": { "none": { "present": false } } }), false),
        (json!({ "roles": ["clerk"] }), false),
        (json!({ "not": { "roles": ["clerk"] } }), true),
    ] {
        assert_eq!(holds(when.clone(), None, None), expected, "{when}");
    }
}

#[test]
fn peers_are_proven_by_mutual_tls_only() {
    let orders = "spiffe://d/ns/shop/sa/orders";
    for (pattern, peer, expected) in [
        (orders, Some(orders), true),
        (orders, Some("spiffe://d/ns/shop/sa/orders2"), false),
        ("spiffe://d/ns/shop/**", Some(orders), true),
        ("spiffe://d/ns/shop/**", Some("spiffe://d/ns/shopping/sa/x"), false),
        ("spiffe://d/ns/shop/**", Some("spiffe://d/ns/shop/"), false),
        (orders, None, false),
    ] {
        assert_eq!(holds(json!({ "peers": pattern }), None, peer), expected, "{pattern} {peer:?}");
    }
    for wrong in [
        "",
        "orders",
        "https://a/b",
        "spiffe://",
        "spiffe://d",
        "spiffe://d/",
        "spiffe://d/a*",
        "spiffe://d/**/a",
    ] {
        assert!(PeerPattern::new(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_pattern_that_no_spiffe_identity_can_match_is_refused_and_says_why() {
    let long = format!("spiffe://d/{}", "a".repeat(2048));
    for (wrong, why) in [
        ("spiffe://*/ns/evil/**", "a trust domain can't hold `*`"),
        ("spiffe://bad*/**", "a trust domain can't hold `*`"),
        ("spiffe://Example.com/a", "lower case"),
        ("spiffe://example.com:80/a", "no port"),
        ("spiffe://user@example.com/a", "a trust domain has"),
        ("spiffe://ex%61mple.com/a", "a trust domain has"),
        ("spiffe:///a", "no trust domain"),
        ("SPIFFE://d/a", "must begin with `spiffe://`"),
        (" spiffe://d/a", "must begin with `spiffe://`"),
        ("spiffe://d", "no path"),
        ("spiffe://d/a/", "no slash at its end"),
        ("spiffe://d/a//b", "no empty segment"),
        ("spiffe://d//**", "no empty segment"),
        ("spiffe://d/a//**", "no empty segment"),
        ("spiffe://d/./a", "no segment `.`"),
        ("spiffe://d/a/../**", "no segment `.` or `..`"),
        ("spiffe://d/%69", "never percent-encoded"),
        ("spiffe://d/a*/**", "stands only as a last segment"),
        ("spiffe://d/a/*", "stands only as a last segment"),
        ("spiffe://d/a**", "stands only as a last segment"),
        ("spiffe://d/a?b", "letters, digits"),
        ("spiffe://d/a#b", "letters, digits"),
        ("spiffe://d/\u{e9}", "letters, digits"),
        ("spiffe://d/a ", "letters, digits"),
        (long.as_str(), "2048"),
    ] {
        let message = PeerPattern::new(wrong).unwrap_err();
        assert!(message.contains(why), "{message}");
    }
    for fine in ["spiffe://d/**", "spiffe://a-b_c.d9/A/b._-9", "spiffe://10.0.0.1/a/**"] {
        assert!(PeerPattern::new(fine).is_ok(), "{fine}");
    }
}

#[test]
fn of_a_list_one_item_meets_all_conditions() {
    let holds = |claims: serde_json::Value, wanted: serde_json::Value| {
        let identity = Identity { claims: json!({ "groups": claims }).into(), ..alice() };
        holds(json!({ "claims": { "groups": wanted } }), Some(identity), None)
    };
    let both = json!({ "prefix": "dev-", "suffix": "-admin" });
    for (claims, wanted, expected) in [
        (json!(["dev-guest", "prod-admin"]), both.clone(), false),
        (json!(["x", "dev-admin"]), json!({ "prefix": "dev-", "suffix": "admin" }), true),
        (json!("dev-guest,prod-admin"), both, true),
        (json!(["a", "b"]), json!("a,b"), false),
        (json!(["a", "b"]), json!({ "contains": "," }), false),
        (json!(["a,b"]), json!("a,b"), true),
        (json!("a,b"), json!("a"), false),
        (json!([]), json!({ "present": true }), true),
        (json!([]), json!({ "present": false }), false),
        (json!([]), json!(""), false),
        (json!({}), json!({ "present": true }), true),
        (json!({}), json!({ "present": false }), false),
        (json!(null), json!({ "present": false }), true),
        (json!(null), json!({ "present": true }), false),
        (json!([1, true, null, {}]), json!("true"), true),
        (json!([null]), json!("null"), false),
        (json!(["a"]), json!({ "present": true, "exact": "b" }), false),
    ] {
        assert_eq!(holds(claims.clone(), wanted.clone()), expected, "{claims} {wanted}");
    }
    // Numbers are exact or meet nothing but their presence.
    let number = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
    assert!(holds(number("12345678901234567890"), json!("12345678901234567890")));
    for inexact in ["12345678901234567890123", "1.5", "[1.5]", "1e3"] {
        for text in ["1.2345678901234568e22", "1.2345678901234568e+22", "1.5", "1000", "1000.0"] {
            assert!(!holds(number(inexact), json!(text)), "{inexact} {text}");
        }
        assert!(holds(number(inexact), json!({ "present": true })), "{inexact}");
        assert!(!holds(number(inexact), json!({ "present": false })), "{inexact}");
    }
}

/// `staff` and `others` are issuers, `partners` lists the keys `acme` and `alice`, `edge` is a proxy, which may tell origins.
fn with_offers(when: serde_json::Value, providers: &[&str], origins: bool) -> (CompiledWhen, String) {
    let offers = providers.iter().map(|name| {
        let offer = Offer::of_an_issuer(Name::new(name).unwrap());
        match *name {
            "partners" => Offer { principals: ["acme", "alice"].into_iter().collect(), ..offer },
            "edge" => Offer { origins, ..offer },
            _ => offer,
        }
    });
    let mut compiler = Compiler { offers: Some(offers.collect()), ..Compiler::default() };
    let when: When = serde_json::from_value(when).unwrap();
    let compiled =
        When::compile(Some(&when), SelectorId::EVERY, &FieldPath::root().field("when"), &mut compiler);
    (compiled, compiler.problems.to_string())
}

#[test]
fn a_principal_is_met_only_as_who_proved_it() {
    let caller = |provider: &str, origin: Option<&str>, principal: &str| Identity {
        provider: Some(Name::new(provider).unwrap()),
        origin: origin.map(|origin| Name::new(origin).unwrap()),
        principal: principal.to_owned(),
        ..Identity::default()
    };
    let staff = caller("staff", None, "alice");
    let partner = caller("partners", None, "alice");
    let forwarded = caller("edge", None, "alice");
    let of_staff = caller("edge", Some("staff"), "alice");
    let of_others = caller("edge", Some("others"), "alice");
    let odd = caller("staff", None, "auth0|1/staff/x");
    for (when, providers, origins, who, expected) in [
        (json!({ "principals": "alice" }), vec!["staff"], false, &staff, true),
        (json!({ "principals": "staff/alice" }), vec!["staff", "partners"], false, &staff, true),
        (json!({ "principals": "staff/alice" }), vec!["staff", "partners"], false, &partner, false),
        (json!({ "principals": "partners/alice" }), vec!["staff", "partners"], false, &staff, false),
        (
            json!({ "principals": "alice", "providers": "staff" }),
            vec!["staff", "partners"],
            false,
            &staff,
            true,
        ),
        (
            json!({ "principals": "alice", "providers": "staff" }),
            vec!["staff", "partners"],
            false,
            &partner,
            false,
        ),
        (
            json!({ "providers": "staff", "not": { "principals": "alice" } }),
            vec!["staff", "partners"],
            false,
            &staff,
            false,
        ),
        (
            json!({ "principals": "bob" }),
            vec!["staff", "partners"],
            false,
            &caller("staff", None, "bob"),
            true,
        ),
        (json!({ "principals": "auth0|1/staff/x" }), vec!["staff"], false, &odd, true),
        (json!({ "principals": "staff/auth0|1/staff/x" }), vec!["staff", "edge"], false, &odd, true),
        (json!({ "principals": "alice" }), vec!["edge"], false, &forwarded, true),
        (json!({ "principals": "edge/staff/alice" }), vec!["edge"], true, &of_staff, true),
        (json!({ "principals": "edge/staff/alice" }), vec!["edge"], true, &of_others, false),
        (json!({ "principals": "edge/staff/alice" }), vec!["edge"], true, &forwarded, false),
        (json!({ "principals": "staff/alice" }), vec!["edge"], true, &of_staff, true),
        (json!({ "principals": "staff/alice" }), vec!["edge"], true, &of_others, false),
    ] {
        let (compiled, problems) = with_offers(when.clone(), &providers, origins);
        assert_eq!(problems, "", "{when}");
        let met = with_exchange(Some(who.clone()), None, |exchange| compiled.holds(exchange));
        assert_eq!(met, expected, "{when} {who:?}");
    }
    for (when, providers, origins, expected) in [
        (
            json!({ "principals": "alice" }),
            vec!["staff", "partners"],
            false,
            "say which: `staff/alice` and `partners/alice`",
        ),
        (
            json!({ "not": { "principals": "alice" } }),
            vec!["staff", "others"],
            false,
            "when.not.principals[0]: several",
        ),
        (json!({ "principals": "alice" }), vec!["edge"], true, "`edge/<provider there>/alice`"),
        (json!({ "principals": "edge/alice" }), vec!["edge"], true, "`edge/<provider there>/alice`"),
        (json!({ "principals": "edge/staff/" }), vec!["edge"], true, "<provider there>"),
        (json!({ "principals": "alice" }), vec!["staff", "edge"], true, ""),
        (json!({ "principals": "staff/" }), vec!["staff", "others"], false, "no principal behind `staff/`"),
        (json!({ "principals": "acmee" }), vec!["partners"], false, "did you mean `acme`?"),
        (json!({ "principals": "partners/acmee" }), vec!["partners"], false, "did you mean `acme`?"),
        (
            json!({ "principals": "bob", "providers": "partners" }),
            vec!["staff", "partners"],
            false,
            "principals[0]",
        ),
        (
            json!({ "principals": "staff/bob", "providers": "partners" }),
            vec!["staff", "partners"],
            false,
            "never holds",
        ),
    ] {
        let (_, problems) = with_offers(when.clone(), &providers, origins);
        assert!(problems.contains(expected), "{when}: {problems}");
    }
}

#[test]
fn dangling_and_impossible_conditions_are_problems() {
    for (when, expected) in [
        (json!({ "providers": ["stuff"] }), "when.providers[0]: `stuff` is not a provider"),
        (json!({ "permissions": ["fly"] }), "when.permissions[0]: `fly` is not a permission"),
        (json!({ "authenticated": false, "roles": ["x"] }), "this never holds"),
        (json!({ "not": {} }), "when.not: an empty `not`"),
        (json!({ "roles": ["a", ""] }), "when.roles[1]: empty"),
        (json!({ "scopes": { "all": [""] } }), "when.scopes[0]: empty"),
        (json!({ "consumers": [""] }), "when.consumers[0]: empty"),
        (json!({ "not": { "roles": [""] } }), "when.not.roles[0]: empty"),
    ] {
        let (_, problems) = compile(when.clone());
        assert!(problems.contains(expected), "{when}: {problems}");
    }
}

#[test]
fn what_no_provider_can_say_of_a_caller_never_holds() {
    use crate::decision::compile::Accepting;
    let name = |text: &str| Name::new(text).unwrap();
    let keys = Offer {
        provider: name("keys"),
        principals: ["acme-1"].into_iter().collect(),
        origins: false,
        consumers: ["acme"].into_iter().collect(),
        roles: ["reader"].into_iter().collect(),
        scopes: Possible::never(),
        attributes: [("plan".to_owned(), ["gold"].into_iter().collect())].into_iter().collect(),
        claims: false,
    };
    let staff = Offer { consumers: Possible::never(), ..Offer::of_an_issuer(name("staff")) };
    let said = |offers: &[Offer], accepted: Option<&str>, when: serde_json::Value| {
        let mut compiler = Compiler { offers: Some(offers.to_vec()), ..Compiler::default() };
        compiler.accepted = accepted.map(|provider| {
            vec![Accepting { selector: SelectorId::EVERY, providers: vec![Name::new(provider).unwrap()] }]
        });
        let when: When = from_json(when.to_string().as_bytes()).unwrap();
        When::compile(Some(&when), SelectorId::EVERY, &FieldPath::root().field("when"), &mut compiler);
        let warnings = compiler.problems.warnings().iter().map(|warning| format!("warning: {warning}"));
        compiler.problems.iter().map(ToString::to_string).chain(warnings).collect::<Vec<_>>().join("\n")
    };
    let (only_keys, both) = ([keys.clone()], [keys, staff]);
    for (offers, accepted, when, expected) in [
        (
            &[][..],
            None,
            json!({ "roles": "admin" }),
            "when: this never holds: it asks who is calling, and the document has no `authn`",
        ),
        (&[], None, json!({ "not": { "authenticated": true } }), "when.not: this never holds"),
        (&[], None, json!({ "authenticated": false }), "warning: when.authenticated: this always holds"),
        (&[], None, json!({ "peers": "spiffe://d/a" }), ""),
        (
            &only_keys,
            None,
            json!({ "roles": "admin" }),
            "when.roles: this never holds: no caller of `keys` has the role `admin`",
        ),
        (
            &only_keys,
            None,
            json!({ "roles": ["reader", "raeder"] }),
            "warning: when.roles[1]: no caller of `keys` has the role `raeder`",
        ),
        (&only_keys, None, json!({ "roles": { "all": ["reader", "x"] } }), "when.roles: this never holds"),
        (&only_keys, None, json!({ "scopes": "x" }), "when.scopes: this never holds"),
        (
            &only_keys,
            None,
            json!({ "consumers": "amce" }),
            "when.consumers: this never holds: no caller of `keys` has the consumer `amce`",
        ),
        (&only_keys, None, json!({ "claims": { "a": "b" } }), "when.claims.a: this never holds"),
        (&only_keys, None, json!({ "claims": { "a": { "present": false } } }), ""),
        (&only_keys, None, json!({ "attributes": { "plan": "gold" } }), ""),
        (
            &only_keys,
            None,
            json!({ "attributes": { "plan": { "prefix": "si" } } }),
            "when.attributes.plan: this never holds",
        ),
        (
            &only_keys,
            None,
            json!({ "attributes": { "plam": "gold" } }),
            "when.attributes.plam: this never holds",
        ),
        (&only_keys, None, json!({ "not": { "roles": "admin" } }), "when.not.roles: this never holds"),
        (&both, None, json!({ "roles": "admin" }), ""),
        (
            &both,
            None,
            json!({ "claims": { "a": "b" }, "consumers": "acme" }),
            "when: this never holds: no provider can say all of this",
        ),
        (&both, None, json!({ "providers": "keys", "roles": "admin" }), "when.roles: this never holds"),
        (&both, Some("keys"), json!({ "roles": "admin" }), "when.roles: this never holds"),
        (
            &both,
            Some("keys"),
            json!({ "providers": "staff" }),
            "when.providers: this never holds: for the requests that the rule is about, `authn` accepts `keys` alone",
        ),
        (&both, Some("staff"), json!({ "roles": "admin" }), ""),
        (&both, Some("nobody"), json!({ "roles": "admin" }), "`authn` asks for no proof of the requests"),
    ] {
        let found = said(offers, accepted, when.clone());
        assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{when}: {found}");
    }
}
