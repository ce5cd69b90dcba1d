use super::*;
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
        (vec!["x.user", "x+user.roles", "x~user"], vec!["x.user", "x+user.roles", "x~user"]),
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
fn headers_with_a_meaning_of_their_own_carry_no_identity() {
    for wrong in
        ["host", "Content-Length", "transfer-encoding", "connection", "x-envoy-original-path", "cookie"]
    {
        assert!(check_name(&name(wrong)).is_err(), "{wrong}");
    }
    assert!(check_name(&name("x-user")).is_ok());
}
