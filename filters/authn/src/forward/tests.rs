use super::*;
use serde_json::json;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn name(text: &str) -> HeaderName {
    HeaderName::new(text).unwrap()
}

fn removed(own: &[&str], came: &[&str], kept: &[&str]) -> Vec<String> {
    let headers = HeaderMap::from_pairs(came.iter().map(|name| (*name, "forged")));
    let kept: Vec<HeaderName> = kept.iter().map(|text| name(text)).collect();
    let mut mutations = Mutations::default();
    IdentityHeaders::new(own.iter().map(|text| name(text))).remove(&headers, &kept, &mut mutations);
    mutations.request_headers().iter().map(|(name, _)| name.to_string()).collect()
}

#[test]
fn what_a_client_sends_as_identity_is_removed_however_it_is_spelt() {
    let own = ["x-user", "x-user-roles"];
    for (came, expected) in [
        (vec![], vec![]),
        (vec!["x-user"], vec!["x-user"]),
        (vec!["accept", "x-user", "x-user"], vec!["x-user"]),
        (vec!["x_user"], vec!["x_user"]),
        (vec!["x_user-roles", "x-user_roles"], vec!["x_user-roles", "x-user_roles"]),
        (vec!["x-users", "x-use", "y-user"], vec![]),
    ] {
        assert_eq!(removed(&own, &came, &[]), expected, "{came:?}");
    }
}

#[test]
fn what_a_trusted_proxy_wrote_is_kept_as_it_is_spelt() {
    assert_eq!(removed(&["x-user"], &["x-user", "x_user"], &["x-user"]), ["x_user"]);
}

#[test]
fn names_longer_than_the_lengths_that_are_told_apart_are_found_too() {
    let long = "x-".to_owned() + &"a".repeat(90);
    assert_eq!(removed(&[&long], &[&long], &[]), [long.as_str()]);
    assert!(removed(&[&long], &[&"b".repeat(70)], &[]).is_empty());
}

#[test]
fn a_claim_becomes_a_value_or_nothing_and_never_another_header() {
    let claims = json!({
        "text": "alice", "number": 7, "flag": true, "list": ["a", "b"], "empty": "", "none": [], "null": null,
        "object": { "inner": "x" }, "objects": [{}], "unicode": "Zoë", "crlf": "a\r\nx-admin: true", "nul": "a\u{0}b",
        "blank": " a", "tail": "a\t", "comma": ["a,admin"], "text_with_comma": "a, b", "delete": "a\u{7f}"
    });
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
        ("crlf", Err(())),
        ("nul", Err(())),
        ("delete", Err(())),
        ("blank", Err(())),
        ("tail", Err(())),
        ("comma", Err(())),
    ] {
        let value = claim_value(&ClaimPath::new(path).unwrap(), &claims);
        let value =
            value.map(|value| value.map(|value| String::from_utf8(value.as_bytes().to_vec()).unwrap()));
        assert_eq!(
            value,
            expected.map(|text| text.map(str::to_owned)).map_err(|()| Failure::ClaimNotForwardable),
            "{path}"
        );
    }
}

#[test]
fn headers_with_a_meaning_of_their_own_carry_no_identity() {
    for wrong in
        ["host", "Content-Length", "transfer-encoding", "connection", "x-envoy-original-path", "cookie"]
    {
        assert!(check_name(&name(wrong)).is_err(), "{wrong}");
    }
    assert!(check_name(&name("x-user")).is_ok());
}
