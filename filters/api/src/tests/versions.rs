//! What is said of versions, and what becomes of those that have ended.

use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn at(date: &str) -> SimulatedHost {
    SimulatedHost::default().at(crate::date::Date::new(date).unwrap().begins())
}

fn section() -> Value {
    json!({ "versions": [
        { "name": "v1", "match": { "paths": ["/v1/**"] }, "deprecated": "2023-06-30T23:59:59Z", "sunset": "2027-01-01",
          "successor": "/v2", "documentation": "https://developer.example.com/deprecation" },
        { "name": "v0", "match": { "headers": { "accept": { "contains": "vnd.example.v0+json" } } }, "sunset": "2026-01-01", "afterSunset": "serve" },
        { "name": "v2", "match": { "paths": ["/v2/**"] } }
    ] })
}

#[test]
fn responses_of_a_deprecated_version_say_since_when_until_when_and_what_follows() {
    let stand = stand(section());
    let host = at("2026-12-31");
    let mut played = stand.play(&SimulatedRequest::get("/v1/orders"), &host);
    assert_eq!(played.decisions, ["api.deprecated.version:v1"]);
    let links = [
        r#"link: </self>; rel="self""#,
        r#"link: </v2>; rel="successor-version""#,
        r#"link: <https://developer.example.com/deprecation>; rel="deprecation""#,
        r#"link: <https://developer.example.com/deprecation>; rel="sunset""#,
    ];
    let expected =
        [&["deprecation: @1688169599"][..], &links, &["sunset: Fri, 01 Jan 2027 00:00:00 GMT"]].concat();
    // The service's own links stay, its own dates don't.
    let came = [("link", r#"</self>; rel="self""#), ("deprecation", "true"), ("sunset", "never")];
    assert_eq!(played.respond(&host, 200, &came), expected);
}

#[test]
fn a_version_without_dates_is_known_and_says_nothing() {
    let host = at("2026-12-31");
    for path in ["/v2/orders", "/other"] {
        let mut played = stand(section()).play(&SimulatedRequest::get(path), &host);
        assert!(played.follow_ups.is_empty() && played.decisions.is_empty());
        assert!(played.respond(&host, 200, &[]).is_empty());
    }
}

#[test]
fn a_version_ends_with_its_sunset_and_not_a_second_before() {
    let stand = stand(section());
    let request = SimulatedRequest::get("/v1/orders");
    for (date, status) in
        [("2026-12-31T23:59:59Z", None), ("2027-01-01", Some(410)), ("2030-01-01", Some(410))]
    {
        let host = at(date);
        let mut played = stand.play(&request, &host);
        assert_eq!(played.status(), status, "{date}");
        if status.is_some() {
            assert_eq!(played.decisions, ["api.deprecated.version:v1", "api.gone.version:v1"]);
            let said = played.respond(&host, 200, &[]);
            assert!(said.contains(&r#"link: </v2>; rel="successor-version""#.to_owned()), "{said:?}");
            assert!(said.contains(&"sunset: Fri, 01 Jan 2027 00:00:00 GMT".to_owned()), "{said:?}");
        }
    }
}

#[test]
fn a_version_is_served_after_its_sunset_where_the_document_says_so() {
    let stand = stand(section());
    let host = at("2030-01-01");
    let request = SimulatedRequest::get("/orders")
        .header("accept", "text/plain, application/vnd.example.v0+json;q=0.9");
    let mut played = stand.play(&request, &host);
    assert_eq!(played.status(), None);
    assert_eq!(played.respond(&host, 200, &[]), ["sunset: Thu, 01 Jan 2026 00:00:00 GMT"]);
}

#[test]
fn in_shadow_it_is_counted_who_would_be_refused() {
    for section in [
        json!({ "versions": [{ "name": "v1", "sunset": "2026-01-01" }], "shadow": true }),
        json!({ "versions": [{ "name": "v1", "sunset": "2026-01-01", "shadow": true }] }),
    ] {
        let played = stand(section).play(&SimulatedRequest::get("/"), &at("2027-01-01"));
        assert_eq!(played.status(), None);
        assert_eq!(played.decisions, ["api.gone.version:v1"]);
        assert!(played.follow_ups.is_empty());
    }
}

#[test]
fn a_date_that_has_passed_is_a_warning_to_whoever_may_mend_it() {
    let compiler = Compiler { now: Some(UnixTime::from_seconds(1_800_000_000)), ..Compiler::default() };
    let section = json!({ "versions": [{ "name": "v1", "sunset": "2026-01-01" }] });
    let (_, mut problems) = Stand::despite_problems::<ApiSection>("api", section, compiler).unwrap();
    let warnings = problems.take_warnings();
    assert_eq!(warnings[0].path.to_string(), "api.versions[0].sunset");
}
