use crate::config::AuthnSection;
use serde_json::json;
use sluice_core::simulation::{Played, SimulatedHost, SimulatedRequest, Stand};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const EDGE: &str = "spiffe://example.com/ns/shop/sa/edge";

fn play(request: &SimulatedRequest, peer: Option<&str>) -> Played {
    let section = json!({
        "providers": [{ "name": "edge", "forwarded": {
            "peers": [EDGE], "principal": "x-user", "consumer": "x-consumer", "roles": "x-roles", "scopes": "x-scopes",
            "attributes": { "plan": "x-plan" }
        } }],
        "rules": [{ "name": "all", "require": { "optional": ["edge"] } }]
    });
    let stand = Stand::new::<AuthnSection>("authn", section).unwrap();
    let environment = match peer {
        Some(peer) => SimulatedHost::default().with_peer_identity(peer),
        None => SimulatedHost::default(),
    };
    stand.play(request, &environment)
}

fn request() -> SimulatedRequest {
    SimulatedRequest::get("/orders")
        .header("x-user", "alice")
        .header("x-consumer", "acme")
        .header("x-roles", "clerk, admin,")
        .header("x-scopes", "orders:read orders:write,x")
        .header("x-plan", "gold")
}

#[test]
fn a_trusted_proxy_is_believed_and_its_headers_stay() {
    let played = play(&request(), Some(EDGE));
    assert_eq!(played.decisions, ["authn.ok.provider:edge"]);
    let identity = played.identity.unwrap();
    assert_eq!((identity.principal.as_str(), identity.consumer.as_deref()), ("alice", Some("acme")));
    assert_eq!(identity.roles, ["clerk", "admin"]);
    assert_eq!(identity.scopes, ["orders:read", "orders:write,x"]);
    assert_eq!(identity.attributes["plan"], "gold");
    assert!(played.mutations.request_headers().is_empty());
}

#[test]
fn nobody_else_is_and_the_headers_are_removed() {
    for peer in [
        None,
        Some("spiffe://example.com/ns/shop/sa/orders"),
        Some("spiffe://example.com/ns/shop/sa/edge2"),
        Some(""),
    ] {
        let played = play(&request(), peer);
        assert_eq!(
            (played.status(), played.decisions.as_slice()),
            (None, ["authn.ok.anonymous".to_owned()].as_slice())
        );
        assert!(played.identity.is_none());
        for name in ["x-user", "x-consumer", "x-roles", "x-scopes", "x-plan"] {
            assert_eq!(played.request_header(name), Some(None), "{name} {peer:?}");
        }
    }
}

#[test]
fn other_spellings_of_its_headers_are_removed_even_from_a_trusted_proxy() {
    let played = play(&request().header("x_user", "admin"), Some(EDGE));
    assert_eq!(played.request_header("x_user"), Some(None));
    assert_eq!(played.request_header("x-user"), None);
}

#[test]
fn a_trusted_proxy_that_names_nobody_forwards_nobody() {
    for request in [
        SimulatedRequest::get("/"),
        SimulatedRequest::get("/").header("x-user", "").header("x-roles", "admin"),
    ] {
        let played = play(&request, Some(EDGE));
        assert!(played.identity.is_none());
        assert_eq!(played.decisions, ["authn.ok.anonymous"]);
    }
}

#[test]
fn what_has_no_single_reading_is_refused() {
    for request in [
        request().header("x-user", "bob"),
        request().header("x-consumer", "globex"),
        SimulatedRequest::get("/").header("x-user", [0xff]),
        request().header("x-roles", [0xff]),
        // Scopes may hold commas: two lines are no list.
        request().header("x-scopes", "more"),
    ] {
        let played = play(&request, Some(EDGE));
        assert_eq!(
            (played.status(), played.decisions.as_slice()),
            (Some(401), ["authn.forwarded_malformed".to_owned()].as_slice())
        );
        assert!(played.reply_header("www-authenticate").unwrap().starts_with("Forwarded realm="));
    }
}

#[test]
fn only_blanks_and_tabs_around_roles_are_no_part_of_them() {
    let request =
        SimulatedRequest::get("/").header("x-user", "a").header("x-roles", "\u{a0}b\u{a0} ,\t c d,");
    assert_eq!(play(&request, Some(EDGE)).identity.unwrap().roles, ["\u{a0}b\u{a0}", "c d"]);
}

#[test]
fn who_proved_it_must_be_told_where_the_document_asks() {
    let section = json!({ "providers": [{ "name": "edge", "forwarded": {
        "peers": [EDGE], "principal": "x-user", "provider": "x-user-provider"
    } }] });
    let stand = Stand::new::<AuthnSection>("authn", section).unwrap();
    let environment = SimulatedHost::default().with_peer_identity(EDGE);
    let play = |told: &[&str]| {
        let request = SimulatedRequest::get("/").header("x-user", "alice");
        let request = told.iter().fold(request, |request, told| request.header("x-user-provider", *told));
        stand.play(&request, &environment)
    };
    assert_eq!(play(&["staff"]).identity.unwrap().qualified_principal(), "edge/staff/alice");
    for wrong in [vec![], vec![""], vec!["sta/ff"], vec!["staff", "staff"], vec!["staff, others"]] {
        assert_eq!(play(&wrong).decisions, ["authn.forwarded_malformed"], "{wrong:?}");
    }
}

#[test]
fn roles_may_stand_on_several_lines() {
    let played = play(
        &SimulatedRequest::get("/").header("x-user", "a").header("x-roles", "b").header("x-roles", "c"),
        Some(EDGE),
    );
    assert_eq!(played.identity.unwrap().roles, ["b", "c"]);
}
