use super::*;
use crate::config::AuthnSection;
use crate::test_tokens::{provider, token};
use serde_json::json;
use sluice_core::simulation::{SimulatedHost, SimulatedRequest, Stand};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const EDGE: &str = "spiffe://example.com/ns/shop/sa/edge";

#[test]
fn a_claim_becomes_a_value_or_nothing_and_never_another_header() {
    let claims = json!({
        "text": "alice", "number": 7, "flag": true, "list": ["a", "b"], "empty": "", "none": [], "null": null,
        "object": { "inner": "x" }, "objects": [{}], "unicode": "Zoë", "crlf": "a\r\nx-admin: true", "nul": "a\u{0}b",
        "blank": " a", "tail": "a\t", "comma": ["a,admin"], "text_with_comma": "a, b", "delete": "a\u{7f}",
        "blank_item": ["x", " admin"], "empty_item": ["x", ""], "fraction": 1.5, "huge": 1e30, "fractions": ["a", 0.5]
    });
    let identity = Identity { claims: claims.into(), ..Identity::default() };
    for (path, expected) in [
        ("text", Ok(Some("alice"))),
        ("number", Ok(Some("7"))),
        ("flag", Ok(Some("true"))),
        ("list", Ok(Some("a,b"))),
        ("empty", Ok(None)),
        ("none", Ok(None)),
        ("null", Ok(None)),
        ("absent", Ok(None)),
        ("object", Ok(None)),
        ("object.inner", Ok(Some("x"))),
        ("objects", Ok(None)),
        ("unicode", Ok(Some("Zoë"))),
        ("text_with_comma", Ok(Some("a, b"))),
        ("crlf", Err(Failure::ClaimNotForwardable)),
        ("nul", Err(Failure::ClaimNotForwardable)),
        ("delete", Err(Failure::ClaimNotForwardable)),
        ("blank", Err(Failure::ClaimNotForwardable)),
        ("tail", Err(Failure::ClaimNotForwardable)),
        ("comma", Err(Failure::ClaimNotForwardable)),
        ("blank_item", Err(Failure::ClaimNotForwardable)),
        ("empty_item", Err(Failure::ClaimNotForwardable)),
        ("fraction", Err(Failure::ClaimUnreadable)),
        ("huge", Err(Failure::ClaimUnreadable)),
        ("fractions", Err(Failure::ClaimUnreadable)),
    ] {
        let value = ForwardedFact::Claim(ClaimPath::new(path).unwrap()).value(&identity);
        let value =
            value.map(|value| value.map(|value| String::from_utf8(value.as_bytes().to_vec()).unwrap()));
        assert_eq!(value, expected.map(|text| text.map(str::to_owned)), "{path}");
    }
}

/// The edge, which verifies tokens, and what it writes.
fn edge() -> Stand {
    let provider = provider(json!({
        "consumer": "azp",
        "forward": {
            "headers": { "x-user": "sub", "x-consumer": "azp", "x-roles": "roles", "x-scopes": "scope" },
            "provider": "x-user-provider"
        }
    }));
    Stand::new::<AuthnSection>("authn", json!({ "providers": [provider] })).unwrap()
}

/// The sidecar behind it, which reads that.
fn sidecar() -> Stand {
    let forwarded = json!({
        "peers": [EDGE], "principal": "x-user", "consumer": "x-consumer", "roles": "x-roles", "scopes": "x-scopes",
        "provider": "x-user-provider"
    });
    Stand::new::<AuthnSection>("authn", json!({ "providers": [{ "name": "edge", "forwarded": forwarded }] }))
        .unwrap()
}

/// Plays a token of these claims at the edge and what the edge sends on at the sidecar. The reason why the edge refuses it, or both
/// identities.
fn both(edge: &Stand, sidecar: &Stand, claims: Value) -> Result<(Identity, Identity), String> {
    let token = token(crate::algorithm::Algorithm::Hs256, claims);
    let request = SimulatedRequest::get("/").header("authorization", format!("Bearer {token}"));
    let played = edge.play(&request, &SimulatedHost::default());
    let Some(there) = played.identity.clone() else { return Err(played.decisions.join(" ")) };
    let request = ["x-user", "x-consumer", "x-roles", "x-scopes", "x-user-provider"].into_iter().fold(
        SimulatedRequest::get("/"),
        |request, name| match played.request_header(name) {
            Some(Some(value)) => request.header(name, value),
            Some(None) | None => request,
        },
    );
    let played = sidecar.play(&request, &SimulatedHost::default().with_peer_identity(EDGE));
    let here = played.identity.unwrap_or_else(|| panic!("the sidecar refuses: {:?}", played.decisions));
    Ok((Identity::clone(&there), Identity::clone(&here)))
}

/// Everything but who says so.
fn facts(identity: &Identity) -> (&str, Option<&str>, &[String], &[String]) {
    (&identity.principal, identity.consumer.as_deref(), &identity.roles, &identity.scopes)
}

#[test]
fn what_the_edge_reads_the_sidecar_reads_or_the_token_is_refused() {
    let (edge, sidecar) = (edge(), sidecar());
    let refused = "authn.claim_not_forwardable";
    for (claims, expected) in [
        (json!({}), Ok((vec![], vec![]))),
        (json!({ "roles": "not admin" }), Ok((vec!["not admin"], vec![]))),
        (json!({ "roles": "reader,admin" }), Err(refused)),
        (json!({ "roles": ["reader", "admin"] }), Ok((vec!["reader", "admin"], vec![]))),
        (json!({ "roles": ["x", " admin"] }), Err(refused)),
        (json!({ "roles": ["x", "admin\t"] }), Err(refused)),
        (json!({ "roles": ["x", ""] }), Err(refused)),
        (json!({ "roles": ["\u{a0}admin\u{3000}"] }), Ok((vec!["\u{a0}admin\u{3000}"], vec![]))),
        (json!({ "roles": ["Zoë", 7, true] }), Ok((vec!["Zoë", "7", "true"], vec![]))),
        (json!({ "roles": [1.5] }), Err("authn.claim_unreadable")),
        (json!({ "scope": "a,admin" }), Ok((vec![], vec!["a,admin"]))),
        (json!({ "scope": "a  admin " }), Ok((vec![], vec!["a", "admin"]))),
        (json!({ "scope": "a\u{b}admin" }), Err(refused)),
        (json!({ "scope": "a\tadmin" }), Ok((vec![], vec!["a\tadmin"]))),
        (json!({ "scope": ["a admin"] }), Err(refused)),
        (json!({ "scope": ["a,b", "c"] }), Ok((vec![], vec!["a,b", "c"]))),
        (json!({ "scp": ["a", "b"] }), Ok((vec![], vec!["a", "b"]))),
        (json!({ "scp": "a b" }), Ok((vec![], vec!["a", "b"]))),
        (json!({ "azp": " acme" }), Err(refused)),
        (json!({ "azp": ["acme"] }), Err("authn.claim_unreadable")),
        (json!({ "azp": 1e30 }), Err("authn.claim_unreadable")),
    ] {
        let found = both(&edge, &sidecar, claims.clone());
        let found = found.map(|(there, here)| {
            assert_eq!(facts(&there), facts(&here), "{claims}");
            assert_eq!(here.origin, there.provider, "{claims}");
            (here.roles, here.scopes)
        });
        let owned = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let expected = expected.map(|(roles, scopes)| (owned(roles), owned(scopes))).map_err(str::to_owned);
        assert_eq!(found, expected, "{claims}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    fn awkward_text() -> impl Strategy<Value = String> {
        let pieces = prop_oneof![
            Just(",".to_owned()),
            Just(" ".to_owned()),
            Just("\t".to_owned()),
            Just("admin".to_owned()),
            Just("\u{a0}".to_owned()),
            Just("\u{85}".to_owned()),
            Just("\r\n".to_owned()),
            Just("\"".to_owned()),
            Just("é".to_owned()),
            ".{0,3}"
        ];
        proptest::collection::vec(pieces, 0..5).prop_map(|pieces| pieces.concat())
    }

    fn claim() -> impl Strategy<Value = Value> {
        let scalar = || {
            prop_oneof![
                4 => awkward_text().prop_map(Value::String),
                1 => any::<u64>().prop_map(Value::from),
                1 => any::<f64>().prop_map(Value::from),
                1 => any::<bool>().prop_map(Value::from),
                1 => Just(Value::Null),
                1 => Just(json!({})),
            ]
        };
        prop_oneof![scalar(), proptest::collection::vec(scalar(), 0..4).prop_map(Value::Array)]
    }

    proptest! {
        #[test]
        fn whatever_the_claims_the_sidecar_reads_the_edges_identity(
            sub in claim(), azp in claim(), roles in claim(), scope in claim(), scp in claim()
        ) {
            let claims = json!({ "sub": sub, "azp": azp, "roles": roles, "scope": scope, "scp": scp });
            if let Ok((there, here)) = both(&edge(), &sidecar(), claims) {
                prop_assert_eq!(facts(&there), facts(&here));
                prop_assert_eq!(here.origin, there.provider);
            }
        }
    }
}
