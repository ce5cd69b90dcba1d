use super::*;
use serde_json::{Value, json};
use sluice_core::http::header_map::HeaderMap;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn source(config: Value) -> Result<CredentialSource, String> {
    CredentialSource::new(&serde_json::from_value(config).unwrap())
}

fn request(path: &str, headers: &[(&str, &str)]) -> HeaderMap {
    let pseudo = [(":method", "GET"), (":path", path), (":authority", "h")];
    HeaderMap::from_pairs(pseudo.into_iter().chain(headers.iter().copied()))
}

fn read(config: Value, path: &str, headers: &[(&str, &str)]) -> Option<Result<String, ()>> {
    let source = source(config).unwrap();
    let headers = request(path, headers);
    let view = RequestView::new(&headers).unwrap();
    match source.read(&view) {
        Found::Absent => None,
        Found::Once(credential) => Some(Ok(String::from_utf8_lossy(&credential).into_owned())),
        Found::Repeated => Some(Err(())),
    }
}

#[test]
fn a_scheme_is_told_by_its_name_alone() {
    for (value, expected) in [
        ("Bearer abc", Some("abc")),
        ("bearer abc", Some("abc")),
        ("BEARER\tabc", Some("abc")),
        ("Bearer   abc  ", Some("abc")),
        ("Bearer a b", Some("a b")),
        ("Bearer", Some("")),
        ("Bearer ", Some("")),
        ("Bearer\t \tabc", Some("abc")),
        // Ours, and no good.
        ("Bearer:abc", Some(":abc")),
        ("Bearer,abc", Some(",abc")),
        ("Bearer=abc", Some("=abc")),
        ("Bearer\u{a0}abc", Some("\u{a0}abc")),
        ("Bearerabc", None),
        ("Bearer-abc abc", None),
        ("Basic abc", None),
        ("Bear abc", None),
        ("", None),
    ] {
        let found =
            read(json!({ "header": "authorization", "scheme": "Bearer" }), "/", &[("authorization", value)]);
        assert_eq!(found, expected.map(|text| Ok(text.to_owned())), "{value:?}");
    }
}

#[test]
fn a_credential_is_found_where_it_is_looked_for_and_two_are_an_error() {
    let key = json!({ "header": "x-key" });
    assert_eq!(read(key.clone(), "/", &[]), None);
    assert_eq!(read(key.clone(), "/", &[("x-key", "a")]), Some(Ok("a".to_owned())));
    assert_eq!(read(key, "/", &[("x-key", "a"), ("x-key", "a")]), Some(Err(())));
    let bearer = json!({ "header": "authorization", "scheme": "Bearer" });
    assert_eq!(
        read(bearer.clone(), "/", &[("authorization", "Basic a"), ("authorization", "Bearer b")]),
        Some(Err(()))
    );
    // As Envoy joins two lines of `authorization`: one credential, which is no token.
    let joined = read(bearer, "/", &[("authorization", "Bearer a,Bearer b")]);
    assert_eq!(joined, Some(Ok("a,Bearer b".to_owned())));
    for (lines, repeated) in [
        (vec!["Basic YTpi,Bearer b"], true),
        (vec!["Basic YTpi, bearer b"], true),
        (vec!["Basic YTpi,\tBEARER\tb"], true),
        (vec!["Basic YTpi Bearer b"], true),
        (vec!["Basic YTpi,Bearer"], true),
        (vec!["Digest realm=\"a, Bearer b\""], true),
        (vec!["Basic YTpi,Bearers b"], false),
        (vec!["Basic QmVhcmVy"], false),
        (vec!["Basic YTpi", "Basic YTpi"], false),
        (vec!["Basic YTpi", "Basic a,Bearer b"], true),
        (vec!["", "Bearer b"], true),
        (vec!["Bearer b", ""], true),
        (vec!["Basic a", "Basic b", "Bearer b"], true),
    ] {
        let headers: Vec<_> = lines.iter().map(|line| ("authorization", *line)).collect();
        let found = read(json!({ "header": "authorization", "scheme": "Bearer" }), "/", &headers);
        assert_eq!(found, repeated.then_some(Err(())), "{lines:?}");
    }
    let query = json!({ "query": "token" });
    assert_eq!(read(query.clone(), "/?x=1", &[]), None);
    assert_eq!(read(query.clone(), "/?x=1&token=a%2eb", &[]), Some(Ok("a.b".to_owned())));
    assert_eq!(read(query.clone(), "/?token", &[]), Some(Ok(String::new())));
    assert_eq!(read(query, "/?token=a&token=b", &[]), Some(Err(())));
    let cookie = json!({ "cookie": "session" });
    assert_eq!(read(cookie.clone(), "/", &[("cookie", "a=1; session=x")]), Some(Ok("x".to_owned())));
    assert_eq!(read(cookie.clone(), "/", &[("cookie", "session=x"), ("cookie", "session=y")]), Some(Err(())));
    assert_eq!(read(cookie, "/", &[("cookie", "sessions=x")]), None);
}

#[test]
fn one_credential_in_two_places_is_one_too_many() {
    let sources = [source(json!({ "header": "x-key" })).unwrap(), source(json!({ "query": "key" })).unwrap()];
    for (path, headers, repeated) in [
        ("/", vec![("x-key", "a")], false),
        ("/?key=a", vec![], false),
        ("/?key=a", vec![("x-key", "a")], true),
    ] {
        let headers = request(path, &headers);
        let view = RequestView::new(&headers).unwrap();
        assert_eq!(CredentialSource::read_all(&sources, &view) == Found::Repeated, repeated, "{path}");
    }
}

#[test]
fn a_place_must_be_one_place() {
    for (config, why) in [
        (json!({}), "exactly one"),
        (json!({ "header": "a", "query": "b" }), "exactly one"),
        (json!({ "query": "a", "scheme": "Bearer" }), "with `header` only"),
        (json!({ "header": "authorization" }), "add `scheme: Bearer`"),
        (json!({ "header": "authorization", "scheme": "Bearer " }), "not an authentication scheme"),
        (json!({ "header": "authorization", "scheme": "" }), "not an authentication scheme"),
        (json!({ "query": "" }), "no name"),
        (json!({ "cookie": "a=b" }), "not the name of a cookie"),
        (json!({ "cookie": "" }), "not the name of a cookie"),
    ] {
        let error = source(config.clone()).unwrap_err();
        assert!(error.contains(why), "{config}: {error}");
    }
}

#[test]
fn of_all_sources_but_the_kept_one_nothing_goes_on() {
    let all = [
        json!({ "header": "authorization", "scheme": "Bearer" }),
        json!({ "header": "authorization", "scheme": "ApiKey" }),
        json!({ "header": "x-key" }),
        json!({ "cookie": "access_token" }),
        json!({ "cookie": "session" }),
        json!({ "query": "key" }),
    ];
    let all: Vec<CredentialSource> = all.into_iter().map(|config| source(config).unwrap()).collect();
    let came = [
        ("authorization", "Bearer b"),
        ("x-key", "k"),
        ("cookie", "access.token=f; session=s"),
        ("cookie", "a=1; access%5ftoken=g; access_token=t"),
    ];
    for (kept, expected) in [
        (None, vec![("authorization", None), ("x-key", None), ("cookie", Some("a=1"))]),
        (Some(0), vec![("x-key", None), ("cookie", Some("a=1"))]),
        (Some(2), vec![("authorization", None), ("cookie", Some("a=1"))]),
        // What some servers take for the kept one goes all the same.
        (Some(3), vec![("authorization", None), ("x-key", None), ("cookie", Some("a=1; access_token=t"))]),
        (Some(4), vec![("authorization", None), ("x-key", None), ("cookie", Some("session=s; a=1"))]),
    ] {
        let headers = request("/?key=k", &came);
        let view = RequestView::new(&headers).unwrap();
        let mut mutations = Mutations::default();
        CredentialSource::remove_all(all.iter(), kept.map(|kept: usize| &all[kept]), &view, &mut mutations);
        let changes: Vec<_> = mutations
            .request_headers()
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str(),
                    value.as_ref().map(|value| String::from_utf8(value.as_bytes().to_vec()).unwrap()),
                )
            })
            .collect();
        let expected: Vec<_> =
            expected.into_iter().map(|(name, value)| (name, value.map(str::to_owned))).collect();
        assert_eq!(changes, expected, "{kept:?}");
    }
}

#[test]
fn a_cookie_is_taken_out_and_the_others_stay() {
    for (lines, expected) in [
        (vec!["session=x"], Some(None)),
        (vec!["a=1; session=x; b=2"], Some(Some("a=1; b=2"))),
        (vec!["a=1;session=\"x\"", "b=2;;"], Some(Some("a=1; b=2"))),
        (vec!["a=1; flag"], None),
    ] {
        let headers: Vec<(&str, &str)> = lines.iter().map(|line| ("cookie", *line)).collect();
        let headers = request("/", &headers);
        let view = RequestView::new(&headers).unwrap();
        let mut mutations = Mutations::default();
        let source = source(json!({ "cookie": "session" })).unwrap();
        CredentialSource::remove_all([&source].into_iter(), None, &view, &mut mutations);
        let found: Vec<_> = mutations.request_headers().to_vec();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|value| {
                let value = value.map(|value| HeaderValue::new(value.as_bytes()).unwrap());
                (HeaderName::from_static("cookie"), value)
            })
            .collect();
        assert_eq!(found, expected, "{lines:?}");
    }
}
