use super::*;
use crate::caller::client::AddressConfig;
use crate::caller::network::Cidr;
use crate::decision::exchange::Exchange;
use crate::document::decode::from_json;
use crate::document::list::OrderedMap;
use crate::document::name::Name;
use crate::document::problem::{FieldPath, Problems};
use crate::http::header_map::HeaderMap;
use crate::http::request::RequestView;
use crate::simulation::SimulatedHost;
use serde_json::json;
use std::collections::HashMap;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn builder() -> SelectorBuilder {
    let definitions: OrderedMap<Name, Match> = from_json(
        br#"{"orders":{"hosts":["api.example.com"],"paths":["/orders","/orders/{id}","/orders/**"]},
             "loop":{"use":["loop2"]},"loop2":{"use":["loop"]}}"#,
    )
    .unwrap();
    let offices = vec![Cidr::new("192.0.2.0/24").unwrap()];
    SelectorBuilder::new(definitions, HashMap::from([(Name::new("offices").unwrap(), offices)]))
}

fn request(extra: &[(&'static str, &'static str)]) -> HeaderMap {
    let base = [
        (":method", "GET"),
        (":path", "/orders/7?a=1&a=2&b=&bad%=%zz"),
        (":authority", "api.example.com:80"),
    ];
    HeaderMap::from_pairs(base.into_iter().chain(extra.iter().copied()))
}

fn matches(wanted: serde_json::Value, headers: &HeaderMap) -> bool {
    let (mut builder, mut problems) = (builder(), Problems::default());
    let wanted: Match = from_json(wanted.to_string().as_bytes()).unwrap();
    let id = builder.compile(Some(&wanted), &FieldPath::root().field("match"), &mut problems);
    assert_eq!(problems.to_string(), "");
    let index = builder.finish();
    let view = RequestView::new(headers).unwrap();
    let mut candidates = Candidates::default();
    index.find(&view, &mut candidates);
    let environment = SimulatedHost::default().with_peer_address("192.0.2.7");
    let address = AddressConfig::default();
    let exchange = Exchange::new(&view, &environment, &index, &candidates, &address);
    exchange.matches(id)
}

#[test]
fn different_keys_must_all_hold_and_values_are_alternatives() {
    let headers =
        request(&[("x-a", "1"), ("x-a", "2"), ("x-b", "abc"), ("x-list", "a, evil"), ("cookie", "c=3")]);
    for (wanted, expected) in [
        (json!({}), true),
        (json!({ "hosts": ["other", "api.example.com"] }), true),
        (json!({ "hosts": "*.example.com" }), true),
        (json!({ "hosts": "*.api.example.com" }), false),
        (json!({ "paths": "/orders" }), false),
        (json!({ "paths": ["/x", "/orders/*"] }), true),
        (json!({ "paths": "/orders/{id}" }), true),
        (json!({ "paths": "/**" }), true),
        (json!({ "methods": ["POST", "GET"] }), true),
        (json!({ "methods": "POST", "paths": "/**" }), false),
        (json!({ "headers": { "x-b": "abc" } }), true),
        (json!({ "headers": { "x-b": { "prefix": "a", "suffix": "c", "contains": "b" } } }), true),
        (json!({ "headers": { "x-b": { "prefix": "a", "suffix": "x" } } }), false),
        (json!({ "headers": { "x-a": "1" } }), true),
        (json!({ "headers": { "x-a": "2" } }), true),
        (json!({ "headers": { "x-a": "1,2" } }), false),
        (json!({ "headers": { "x-a": { "prefix": "1", "suffix": "2" } } }), false),
        (json!({ "not": { "headers": { "x-a": "2" } } }), false),
        (json!({ "headers": { "x-a": { "item": "2" } } }), true),
        (json!({ "headers": { "x-a": { "item": ["3", "1"] } } }), true),
        (json!({ "headers": { "x-a": { "item": "3" } } }), false),
        (json!({ "headers": { "x-list": { "item": "evil" } } }), true),
        (json!({ "headers": { "x-list": { "item": "evi" } } }), false),
        (json!({ "headers": { "x-list": { "item": "Evil" } } }), false),
        (json!({ "headers": { "x-list": { "item": "evil", "present": true } } }), true),
        (json!({ "headers": { "x-none": { "item": "evil" } } }), false),
        (json!({ "headers": { "x-list": "evil" } }), false),
        (json!({ "headers": { "x-none": { "present": false } } }), true),
        (json!({ "headers": { "x-b": { "present": false } } }), false),
        (json!({ "query": { "a": "2", "b": "" } }), true),
        (json!({ "query": { "bad%": "%zz" } }), true),
        (json!({ "query": { "c": { "present": true } } }), false),
        (json!({ "cookies": { "c": "3" } }), true),
        (json!({ "client": { "cidrs": ["10.0.0.0/8", "192.0.2.7"] } }), true),
        (json!({ "client": { "ipLists": "offices" } }), true),
        (json!({ "client": { "cidrs": "10.0.0.0/8" } }), false),
        (json!({ "use": "orders" }), true),
        (json!({ "use": "orders", "methods": "DELETE" }), false),
        (json!({ "not": { "methods": "DELETE" } }), true),
        (json!({ "not": { "use": "orders" } }), false),
        (
            json!({ "paths": "/orders/**", "not": { "paths": "/orders/7", "headers": { "x-b": "abc" } } }),
            false,
        ),
        (
            json!({ "paths": "/orders/**", "not": { "paths": "/orders/7", "headers": { "x-b": "abd" } } }),
            true,
        ),
    ] {
        assert_eq!(matches(wanted.clone(), &headers), expected, "{wanted}");
    }
}

#[test]
fn patterns_match_whole_segments() {
    for (pattern, path, expected) in [
        ("/", "/", true),
        ("/", "/a", false),
        ("/a", "/a/", false),
        ("/a/", "/a/", true),
        ("/a/*", "/a/", false),
        ("/a/*", "/a/b", true),
        ("/a/*", "/a/b/c", false),
        ("/a/**", "/a", false),
        ("/a/**", "/a/", true),
        ("/a/**", "/a/b/c", true),
        ("/a/**", "/ab", false),
        ("/*/b/{c}", "/x/b/y", true),
        ("/**", "/", true),
    ] {
        let parsed = PathPattern::new(pattern).unwrap();
        assert_eq!(parsed.matches(path), expected, "{pattern} {path}");
        assert_eq!(parsed.to_string(), pattern);
        // The tree of all patterns gives the same answer as the pattern alone.
        let headers = HeaderMap::from_pairs([(":method", "GET"), (":path", path), (":authority", "h")]);
        assert_eq!(matches(json!({ "paths": pattern }), &headers), expected, "{pattern} {path} in the tree");
    }
    assert_eq!(PathPattern::new("/a/{id}/**").unwrap().capture("/a/7/x", "id"), Some("7"));
}

#[test]
fn patterns_that_never_match_are_refused() {
    for wrong in [
        "", "a", "/a//b", "/**/a", "/a*", "/{a", "/{}", "/a?b", "/../a", "/%2e", "/%61", "/a b", "/a;b", "/é",
    ] {
        assert!(PathPattern::new(wrong).is_err(), "{wrong}");
    }
    // Encoded in the normal form, it is fine.
    assert!(PathPattern::new("/a%20b").is_ok());
}

#[test]
fn wrong_matches_are_problems_with_their_path() {
    for (wanted, expected) in [
        (json!({ "use": ["order"] }), "match.use[0]: `order` is not a match"),
        (
            json!({ "client": { "ipLists": ["office"] } }),
            "match.client.ipLists[0]: `office` is not an IP list",
        ),
        (json!({ "client": {} }), "match.client: names neither"),
        (json!({ "methods": ["get"] }), "match.methods[0]: `get` never matches"),
        (json!({ "not": {} }), "match.not: an empty `not`"),
        (
            json!({ "headers": { "Host": "a" } }),
            "match.headers.host: never matches: `host` never reaches a filter",
        ),
        (json!({ "not": { "headers": { "host": "a" } } }), "match.not.headers.host: never matches"),
        (
            json!({ "headers": { "keep-alive": { "present": false } } }),
            "match.headers.keep-alive: always holds",
        ),
        (
            json!({ "headers": { "transfer-encoding": "chunked" } }),
            "`transfer-encoding` never reaches a filter",
        ),
        (json!({ "headers": { "x": "a " } }), "match.headers.x: \"a \" never matches: blanks around"),
        (json!({ "headers": { "x": { "prefix": " a" } } }), "match.headers.x: \" a\" never matches"),
        (json!({ "headers": { "x": { "suffix": "\ta\t" } } }), "never matches: blanks around"),
        (
            json!({ "headers": { "x": ["a", "b\n"] } }),
            "never matches: no header may hold a control character",
        ),
        (
            json!({ "headers": { "x": { "exact": "a", "prefix": "b" } } }),
            "match.headers.x: never matches: no value of `exact`",
        ),
        (
            json!({ "query": { "x": { "exact": ["a", "b"], "contains": "c" } } }),
            "match.query.x: never matches",
        ),
        (json!({ "cookies": { "a=b": "c" } }), "match.cookies.a=b: \"a=b\" never matches"),
        (json!({ "cookies": { "a": "b;c" } }), "match.cookies.a: \"b;c\" never matches"),
        (json!({ "paths": "/a/b", "not": { "paths": "/a/**" } }), "match: never matches: `not` excludes all"),
        (
            json!({ "use": "orders", "hosts": "other.example.com" }),
            "match: never matches: no request meets both",
        ),
        (json!({ "use": ["loop"] }), "the match `loop` uses itself"),
    ] {
        let (mut builder, mut problems) = (builder(), Problems::default());
        let wanted: Match = from_json(wanted.to_string().as_bytes()).unwrap();
        builder.compile(Some(&wanted), &FieldPath::root().field("match"), &mut problems);
        assert!(problems.to_string().contains(expected), "{wanted:?}: {problems}");
    }
    for (json, expected) in [
        (r#"{"path":["/"]}"#, "did you mean `paths`?"),
        (r#"{"paths":[]}"#, "an empty list; write at least one value"),
        (r#"{"headers":{"a":{}}}"#, "no condition is given"),
        (r#"{"headers":{"a":{"present":false,"exact":"x"}}}"#, "never matches"),
        (r#"{"headers":{"a":{"item":"x","prefix":"x"}}}"#, "write `item` alone"),
        (r#"{"headers":{"a":{"item":["x",""]}}}"#, "never an item"),
        (r#"{"headers":{"a":{"item":"x,y"}}}"#, "never an item"),
        (r#"{"headers":{"a":{"item":" x"}}}"#, "never an item"),
        (r#"{"headers":{"a b":"x"}}"#, "not a header name"),
        (r#"{"headers":{":path":"/x"}}"#, "is a pseudo-header"),
        (r#"{"hosts":"*"}"#, "leave `hosts` out for every host"),
    ] {
        let error = from_json::<Match>(json.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{json}: {error}");
    }
}

#[test]
fn equal_matches_share_a_selector() {
    let (mut builder, mut problems) = (builder(), Problems::default());
    let wanted: Match = from_json(br#"{"paths":"/a"}"#).unwrap();
    let path = FieldPath::root();
    let first = builder.compile(Some(&wanted), &path, &mut problems);
    assert_eq!(builder.compile(Some(&wanted), &path, &mut problems), first);
    assert_eq!(builder.compile(None, &path, &mut problems), SelectorId::EVERY);
    assert_eq!(builder.compile(Some(&Match::default()), &path, &mut problems), SelectorId::EVERY);
}

#[test]
fn conditions_that_may_not_be_meant_are_warnings() {
    for (wanted, expected) in [
        (
            json!({ "headers": { "connection": "close" } }),
            "match.headers.connection: Envoy removes `connection`",
        ),
        (json!({ "headers": { "te": "gzip" } }), "match.headers.te: Envoy removes `te`"),
        (
            json!({ "headers": { "cookie": { "contains": "a=b" } } }),
            "match.headers.cookie: all cookies stand",
        ),
        (json!({ "headers": { "x-user": "admin" } }), "match.headers.x-user: `x-user` is written by `authn`"),
        (json!({ "query": { "q": "a%20b" } }), "match.query.q: \"a%20b\" looks encoded"),
        (json!({ "query": { "a%20b": "x" } }), "looks encoded"),
        (
            json!({ "query": { "q": "100%" }, "headers": { "x": { "contains": " a " }, "upgrade": { "present": false } } }),
            "",
        ),
    ] {
        let (mut builder, mut problems) = (builder(), Problems::default());
        builder.note_written(crate::http::header::HeaderName::from_static("x-user"), "`authn`");
        let wanted: Match = from_json(wanted.to_string().as_bytes()).unwrap();
        builder.compile(Some(&wanted), &FieldPath::root().field("match"), &mut problems);
        assert_eq!(problems.to_string(), "", "{wanted:?}");
        let warnings: Vec<String> = problems.warnings().iter().map(ToString::to_string).collect();
        assert!(
            warnings.join("\n").contains(expected) && warnings.is_empty() == expected.is_empty(),
            "{wanted:?}: {warnings:?}"
        );
    }
}
