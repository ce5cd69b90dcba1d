#[cfg(not(target_arch = "wasm32"))]
mod slices;

use super::*;
use serde_json::{Value, json};
use sluice_core::decision::follow_up::{BodyPart, Phase};
use sluice_core::decision::place::Place;
use sluice_core::decision::wait::{Answer, Call, HttpAnswer};
use sluice_core::http::header_map::HeaderMap;
use sluice_core::simulation::SimulatedHost;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const SEEDS: Seeds = Seeds { local: 1, shared: 2 };

fn compile(document: &Value) -> Result<Pipeline, String> {
    Pipeline::from_json(document.to_string().as_bytes(), SEEDS).map_err(|problems| problems.to_string())
}

fn pipeline(document: Value) -> Pipeline {
    compile(&document).unwrap()
}

fn request(path: &str, extra: &[(&str, &str)]) -> HeaderMap {
    let base = [(":method", "GET"), (":path", path), (":authority", "api.example.com")];
    HeaderMap::from_pairs(base.into_iter().chain(extra.iter().copied()))
}

fn reasons(pipeline: &Pipeline, decided: &Decided) -> Vec<String> {
    decided.decisions.iter().map(|id| pipeline.reasons().get(*id).unwrap().to_string()).collect()
}

fn status(decided: &Decided) -> Option<u16> {
    match &decided.action {
        Action::Respond(reply) => Some(reply.status),
        Action::Continue => None,
    }
}

/// A key `secret`, limits before and after authentication, a rule, a route.
fn whole() -> Value {
    json!({
        "version": 1,
        "authn": {
            "providers": [{ "name": "partners", "apiKey": {
                "from": [{ "header": "x-api-key" }],
                "keys": [{
                    "id": "acme-2026", "consumer": "acme", "roles": ["reader"],
                    "sha256": "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
                }]
            } }],
            "rules": [{ "name": "all", "require": { "any": ["partners"] } }]
        },
        "authz": {
            "roles": { "reader": { "permissions": ["orders:read"] } },
            "rules": [{ "name": "read", "allow": true, "match": { "paths": ["/orders/**"] }, "when": { "permissions": ["orders:read"] } }]
        },
        "rateLimit": { "rules": [
            { "name": "per-consumer", "key": ["identity.consumer"], "limit": "2/min" },
            { "name": "flood", "key": ["client.address"], "limit": "5/min" }
        ] },
        "routing": { "rules": [{ "name": "canary", "when": { "consumers": ["acme"] }, "subset": "v2" }] }
    })
}

fn request_header(decided: &Decided, name: &str) -> Option<Option<String>> {
    let (_, value) = decided.mutations.request_headers().iter().find(|(known, _)| known.as_str() == name)?;
    Some(value.as_ref().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()))
}

#[test]
fn what_is_answered_keeps_its_new_trace_and_nothing_else_that_was_asked_for() {
    const SENT: &str = "00-12345678901234567890123456789012-1234567890123456-01";
    let document = |context: &str| {
        let mut document = whole();
        document["authn"]["providers"][0]["apiKey"]["forward"] = json!({ "headers": { "x-key": "id" } });
        document["telemetry"] = json!({ "trace": { "context": context } });
        document["fault"] = json!({ "rules": [
            { "name": "later", "match": { "paths": ["/orders/later"] }, "delay": { "fixed": "1s", "percent": 100 },
              "abort": { "status": 503, "percent": 100 } },
            { "name": "now", "match": { "paths": ["/orders/now"] }, "abort": { "status": 204, "percent": 100 } }
        ] });
        pipeline(document)
    };
    for (context, sent, new) in [
        ("restart", vec![("traceparent", SENT), ("tracestate", "a=1")], true),
        ("restart", vec![], true),
        ("continue", vec![], true),
        ("continue", vec![("traceparent", "00-x")], true),
        ("continue", vec![("traceparent", SENT)], false),
        ("off", vec![("traceparent", SENT)], false),
    ] {
        let pipeline = document(context);
        // Without a single reading; without a key; after all stages, and after a delay.
        for (path, key, status_expected) in [
            ("/a/../b", false, 400),
            ("/orders/1", false, 401),
            ("/closed", true, 403),
            ("/orders/now", true, 204),
            ("/orders/later", true, 503),
        ] {
            let mut headers = sent.clone();
            if key {
                headers.push(("x-api-key", "secret"));
            }
            let decided = pipeline.decide(&request(path, &headers), &SimulatedHost::default());
            let what = format!("{context} {sent:?} {path}");
            assert_eq!(status(&decided), Some(status_expected), "{what}");
            let Action::Respond(reply) = &decided.action else { panic!("{what}") };
            let told: Vec<_> =
                reply.headers.iter().filter(|(name, _)| name.as_str() == "server-timing").collect();
            let names: Vec<_> =
                decided.mutations.request_headers().iter().map(|(name, _)| name.as_str()).collect();
            assert!(names.iter().all(|name| name.starts_with("trace")), "{what}: {names:?}");
            assert_eq!(decided.mutations.response_headers(), [], "{what}");
            assert!(!decided.mutations.clears_route_cache(), "{what}");
            let counted = reasons(&pipeline, &decided);
            let counted = |reason: &str| counted.iter().filter(|known| *known == reason).count();
            let begun = counted("telemetry.trace_restarted") + counted("telemetry.trace_started");
            assert_eq!(begun, usize::from(new), "{what}");
            if !new {
                assert!(names.is_empty() && told.is_empty(), "{what}");
                continue;
            }
            let traceparent = request_header(&decided, "traceparent").flatten().unwrap();
            assert_ne!(traceparent, SENT);
            let [(_, told)] = told.as_slice() else { panic!("{what}: {told:?}") };
            assert_eq!(told.as_bytes(), format!("trace;desc={traceparent}").as_bytes(), "{what}");
            let had_state = sent.iter().any(|(name, _)| *name == "tracestate");
            assert_eq!(request_header(&decided, "tracestate"), had_state.then_some(None), "{what}");
        }
    }
}

#[test]
fn answers_that_have_no_content_have_no_body_and_nothing_that_describes_one() {
    for (status, content) in [
        (200, true),
        (203, true),
        (204, false),
        (205, false),
        (206, true),
        (304, false),
        (305, true),
        (404, true),
    ] {
        let document = json!({ "version": 1, "fault": { "rules": [
            { "name": "a", "abort": { "status": status, "percent": 100, "headers": { "etag": "x" } } }
        ] } });
        let decided = pipeline(document.clone()).decide(&request("/", &[]), &SimulatedHost::default());
        let Action::Respond(reply) = decided.action else { panic!("{status}") };
        let names: Vec<_> = reply.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(!reply.body.is_empty(), content, "{status}");
        assert_eq!(names.contains(&"content-type"), content, "{status}");
        assert!(names.contains(&"etag"), "{status}");
        // A gRPC answer is 200 with trailers.
        let grpc = request("/", &[("content-type", "application/grpc")]);
        let decided = pipeline(document).decide(&grpc, &SimulatedHost::default());
        let Action::Respond(reply) = decided.action else { panic!("{status}") };
        assert!(reply.grpc_status.is_some() && !reply.body.is_empty(), "{status}");
    }
}

#[test]
fn an_empty_document_asks_nothing() {
    let pipeline = pipeline(json!({ "version": 1 }));
    assert!(pipeline.is_empty());
    let decided = pipeline.decide(&request("/a/../b", &[]), &SimulatedHost::default());
    assert_eq!(status(&decided), Some(400), "asked all the same, it refuses what can't be read");
}

#[test]
fn a_document_that_is_none_says_what_the_smallest_is() {
    for (text, expected) in [
        ("", r#"the smallest document is `{"version": 1}`"#),
        ("{}", "missing field `version`"),
        (r#"{"version":2}"#, "version: version 2 of the document is not known"),
        (r#"{"version":1,"autn":{}}"#, "did you mean `authn`?"),
        ("[]", "a list where an object is expected"),
    ] {
        let problems = Pipeline::from_json(text.as_bytes(), SEEDS).err().unwrap().to_string();
        assert!(problems.contains(expected), "{text}: {problems}");
    }
    assert!(Pipeline::from_json(br#"{"version":1.0}"#, SEEDS).is_ok(), "a protobuf Struct has doubles only");
}

#[test]
fn what_is_wrong_in_several_sections_is_said_at_once() {
    let mut document = whole();
    document["authz"]["rules"][0]["when"]["permissions"] = json!(["orders:reed"]);
    document["routing"]["rules"][0]["match"] = json!({ "use": ["nothing"] });
    let problems = compile(&document).err().unwrap();
    assert!(problems.contains("authz.rules[0].when.permissions[0]: `orders:reed`"), "{problems}");
    assert!(problems.contains("did you mean `orders:read`?"), "{problems}");
    assert!(problems.contains("routing.rules[0].match.use[0]: `nothing`"), "{problems}");
}

#[test]
fn a_when_that_nobody_meets_is_an_error_in_every_section() {
    let when = json!({ "roles": ["admin"] });
    let rules = [
        ("authz", json!({ "name": "a", "allow": true, "when": when })),
        ("rateLimit", json!({ "name": "a", "limit": "1/s", "when": when })),
        ("routing", json!({ "name": "a", "subset": "v2", "when": when })),
        ("fault", json!({ "name": "a", "abort": { "status": 503, "percent": 1 }, "when": when })),
        (
            "compose",
            json!({ "name": "a", "within": "1s", "parts": { "a": { "cluster": "a", "path": "/a" } }, "when": when }),
        ),
    ];
    let without_when = ["guard", "authn", "api", "telemetry"];
    let tried: Vec<&str> = rules.iter().map(|(section, _)| *section).collect();
    for section in SECTIONS {
        assert!(
            tried.contains(section) != without_when.contains(section),
            "`{section}`: has its rules a `when`?"
        );
    }
    for (section, rule) in rules {
        let problems = compile(&json!({ "version": 1, section: { "rules": [rule] } })).err().unwrap();
        let expected = format!("{section}.rules[0].when: this never holds: it asks who is calling");
        assert!(problems.contains(&expected), "{section}: {problems}");
        // Somebody is proven, but never an admin: the keys have another role.
        let mut document = whole();
        document[section] = json!({ "rules": [rule] });
        let problems = compile(&document).err().unwrap();
        assert!(problems.contains(&format!("{section}.rules[0].when.roles: this never holds")), "{problems}");
    }
}

#[test]
fn a_section_without_rules_is_warned_of() {
    for section in ["rateLimit", "routing", "fault", "compose"] {
        let pipeline = pipeline(json!({ "version": 1, section: { "rules": [] } }));
        let warnings: Vec<_> = pipeline.warnings().iter().map(ToString::to_string).collect();
        assert!(warnings.concat().contains(&format!("{section}.rules: no rule")), "{section}: {warnings:?}");
    }
}

#[test]
fn stages_are_asked_in_the_fixed_order_and_the_first_answer_ends_it() {
    let pipeline = pipeline(whole());
    let environment = SimulatedHost::default().with_peer_address("192.0.2.1");
    let good = request("/orders/7", &[("x-api-key", "secret")]);
    let decided = pipeline.decide(&good, &environment);
    assert_eq!(decided.action, Action::Continue);
    let sections: Vec<String> = reasons(&pipeline, &decided)
        .iter()
        .map(|reason| reason.split('.').next().unwrap().to_owned())
        .collect();
    let mut expected: Vec<&str> = vec!["authn", "authz", "routing"];
    expected.retain(|section| sections.iter().any(|found| found == section));
    assert_eq!(expected, ["authn", "authz", "routing"], "{sections:?}");
    assert!(decided.mutations.clears_route_cache());

    let nobody = pipeline.decide(&request("/orders/7", &[]), &environment);
    assert_eq!(status(&nobody), Some(401), "authentication comes before authorization");
    let elsewhere = pipeline.decide(&request("/elsewhere", &[("x-api-key", "secret")]), &environment);
    assert_eq!(status(&elsewhere), Some(403));
    assert_eq!(status(&pipeline.decide(&good, &environment)), None);
    assert_eq!(status(&pipeline.decide(&good, &environment)), Some(429), "the consumer's two are used up");
    assert_eq!(
        status(&pipeline.decide(&request("/orders/7", &[]), &environment)),
        Some(429),
        "the address' five, before authentication"
    );
}

#[test]
fn an_answer_is_a_problem_document_with_its_reason() {
    let pipeline = pipeline(whole());
    let environment = SimulatedHost::default().with_peer_address("192.0.2.1");
    let decided = pipeline.decide(&request("/elsewhere", &[("x-api-key", "secret")]), &environment);
    let Action::Respond(reply) = decided.action else { panic!("{:?}", decided.action) };
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((&body["status"], &body["title"]), (&json!(403), &json!("Forbidden")));
    assert_eq!(body["reason"], json!(reply.details));
    assert!(reply.details.starts_with("authz.") && !reply.details.contains(' '), "{}", reply.details);
    assert!(reply.headers.iter().any(|(name, value)| {
        name.as_str() == "content-type" && value.as_bytes() == b"application/problem+json"
    }));
}

#[test]
fn a_grpc_request_gets_a_status_and_a_plain_message() {
    let pipeline = pipeline(whole());
    let headers = request("/orders/7", &[("content-type", "application/grpc")]);
    let decided = pipeline.decide(&headers, &SimulatedHost::default());
    let Action::Respond(reply) = decided.action else { panic!("{:?}", decided.action) };
    assert_eq!(reply.grpc_status, Some(16));
    assert!(!reply.body.starts_with(b"{"), "{}", String::from_utf8_lossy(&reply.body));
}

#[test]
fn a_request_without_a_single_reading_is_refused_before_any_rule() {
    let pipeline = pipeline(whole());
    for path in ["/orders/..;/admin", "/orders/%2e%2e/admin", "//orders/7"] {
        let decided = pipeline.decide(&request(path, &[("x-api-key", "secret")]), &SimulatedHost::default());
        assert_eq!(status(&decided), Some(400), "{path}");
        assert_eq!(reasons(&pipeline, &decided), ["request.ambiguous_path"]);
    }
}

#[test]
fn an_explanation_decides_as_the_proxy_does_and_says_how() {
    let pipeline = pipeline(whole());
    let headers = request("/orders/7", &[("x-api-key", "secret")]);
    let explanation = pipeline.explain(&headers, &SimulatedHost::default(), None, |_| panic!("no call"));
    let decided = pipeline.decide(&headers, &SimulatedHost::default());
    assert_eq!(explanation.decided.action, decided.action);
    assert_eq!(explanation.decided.decisions, decided.decisions);
    assert_eq!(explanation.identity.unwrap().consumer.as_deref(), Some("acme"));
    assert!(
        explanation.stages.iter().all(|stage| stage.asked && !stage.notes.is_empty()),
        "{:?}",
        explanation.stages
    );
    let written = format!("{:?}", explanation.stages);
    assert!(!written.contains("secret"), "a credential is never noted: {written}");
}

#[test]
fn the_summary_for_the_log_says_why_also_of_what_goes_on() {
    let mut document = whole();
    document["telemetry"] = json!({});
    let pipeline = pipeline(document);
    let environment = SimulatedHost::default();
    let summary = |path, extra: &[(&str, &str)]| pipeline.decide(&request(path, extra), &environment).summary;
    let good = summary("/orders/7", &[("x-api-key", "secret")]);
    assert!(good.starts_with("allowed:authz.allowed.rule:read,"), "{good}");
    assert_eq!(summary("/orders/7", &[]), "denied:authn.missing");

    let open = self::pipeline(json!({ "version": 1, "telemetry": {} }));
    let decided = open.decide(&request("/", &[]), &environment);
    assert_eq!(decided.summary.split(',').next(), Some("allowed"), "nothing decided about it");
}

#[test]
fn a_client_whose_address_can_not_be_told_gets_to_no_rule_that_asks_for_it() {
    let client = json!({ "address": { "trustedHops": 1, "useRemoteAddress": true } });
    let deny = json!({ "default": "allow", "rules": [
        { "name": "bad", "deny": true, "match": { "client": { "cidrs": ["198.51.100.0/24"] } } }
    ] });
    let not = json!({ "default": "allow", "rules": [
        { "name": "others", "deny": true, "match": { "not": { "client": { "cidrs": ["198.51.100.0/24"] } } } }
    ] });
    let limit = json!({ "rules": [{ "name": "a", "key": ["client.address"], "limit": "9/s" }] });
    let split = json!({ "rules": [
        { "name": "a", "split": { "sticky": "client.address", "to": [{ "subset": "v2", "percent": 100 }] } }
    ] });
    let unreadable: &[u8] = b"198.51.100.1\xff, 192.0.2.9";
    let base: [(&str, &[u8]); 4] =
        [(":method", b"GET"), (":path", b"/"), (":authority", b"h"), ("x-forwarded-for", unreadable)];
    let map = HeaderMap::from_pairs(base);
    for (section, config) in [("authz", &deny), ("authz", &not), ("rateLimit", &limit), ("routing", &split)] {
        let mut document = json!({ "version": 1, "client": client });
        document[section] = config.clone();
        let pipeline = pipeline(document);
        let decided = pipeline.decide(&map, &SimulatedHost::default());
        assert_eq!(status(&decided), Some(400), "{config}");
        assert_eq!(reasons(&pipeline, &decided), ["request.ambiguous_client_address"]);
        let explained = pipeline.explain(&map, &SimulatedHost::default(), None, |_| panic!("no call"));
        assert_eq!((explained.client_address, status(&explained.decided)), (None, Some(400)), "{config}");
    }
    let indifferent = pipeline(json!({ "version": 1, "client": client, "authz": { "default": "allow" } }));
    assert_eq!(status(&indifferent.decide(&map, &SimulatedHost::default())), None);
}

#[test]
fn a_document_says_whether_the_peer_is_appended() {
    let address = |address: Value| compile(&json!({ "version": 1, "client": { "address": address } }));
    let warnings =
        |pipeline: Pipeline| pipeline.warnings().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(warnings(address(json!({ "trustedHops": 1, "useRemoteAddress": false })).unwrap()).is_empty());
    assert!(warnings(address(json!({ "peerHeader": "x-sluice-peer" })).unwrap()).is_empty());
    let guessed = warnings(address(json!({ "trustedHops": 1, "peerHeader": "x-sluice-peer" })).unwrap());
    assert!(
        guessed[0].contains("client.address.trustedHops") && guessed[0].contains("useRemoteAddress"),
        "{guessed:?}"
    );
    let idle = address(json!({ "useRemoteAddress": true })).err().unwrap();
    assert!(idle.contains("client.address.useRemoteAddress: does nothing without `trustedHops`"), "{idle}");
}

#[test]
fn a_peer_with_several_identities_gets_to_no_rule() {
    let document = json!({
        "version": 1, "client": { "peerIdentityHeader": "x-sluice-peer-identity" },
        "authz": { "default": "allow", "rules": [{ "name": "evil", "deny": true, "when": { "peers": "spiffe://d/evil" } }] }
    });
    let pipeline = pipeline(document.clone());
    assert!(pipeline.warnings().is_empty(), "{:?}", pipeline.warnings());
    let played = |listed: &[&str]| {
        let headers: Vec<_> = listed.iter().map(|value| ("x-sluice-peer-identity", *value)).collect();
        let environment = SimulatedHost::default().with_peer_identity("spiffe://d/other");
        let decided = pipeline.decide(&request("/", &headers), &environment);
        let explained = pipeline.explain(&request("/", &headers), &environment, None, |_| panic!("no call"));
        assert_eq!(status(&decided), status(&explained.decided));
        (status(&decided), reasons(&pipeline, &decided).last().cloned().unwrap())
    };
    assert_eq!(played(&["spiffe://d/other"]), (None, "authz.allowed.default".to_owned()));
    for several in [vec!["spiffe://d/other,spiffe://d/evil"], vec![], vec!["spiffe://d/evil"]] {
        assert_eq!(
            played(&several),
            (Some(400), "request.ambiguous_peer_identity".to_owned()),
            "{several:?}"
        );
    }
    let mut without = document;
    without["client"] = json!({});
    let warnings = compile(&without).unwrap();
    let warnings: Vec<_> = warnings.warnings().iter().map(ToString::to_string).collect();
    assert!(
        warnings[0].contains("authz.rules[0].when.peers") && warnings[0].contains("peerIdentityHeader"),
        "{warnings:?}"
    );
}

#[test]
fn names_that_servers_take_for_protected_ones_do_not_go_on() {
    let pipeline = pipeline(json!({
        "version": 1,
        "client": { "address": { "peerHeader": "x-sluice-peer" } },
        "authn": {
            "providers": [
                { "name": "partners", "apiKey": {
                    "keys": [{ "id": "a", "sha256": "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b" }],
                    "forward": { "headers": { "x-user": "id" } }
                } },
                { "name": "edge", "forwarded": { "peers": "spiffe://a/b", "principal": "x-edge-user" } }
            ],
            "rules": [{ "name": "all", "require": { "optional": ["partners", "edge"] } }]
        },
        "authz": { "default": "allow", "rules": [{ "name": "child", "deny": true, "match": { "headers": { "x-age": "child" } } }] },
        "routing": { "headers": { "reserved": ["x-shard"] }, "rules": [{ "name": "a", "match": { "paths": ["/a"] }, "subset": "v2" }] }
    }));
    for name in [
        "x-user",
        "x-edge-user",
        "x-sluice-subset",
        "x-sluice-cluster",
        "x-shard",
        "x-api-key",
        "x-age",
        "x-sluice-peer",
    ] {
        for hyphen in ["_", ".", "~", "+", "'"] {
            let folded = name.replace('-', hyphen);
            let decided = pipeline.decide(&request("/", &[(&folded, "forged")]), &SimulatedHost::default());
            assert_eq!(status(&decided), None, "{folded}");
            let removed = decided
                .mutations
                .request_headers()
                .iter()
                .any(|(name, value)| name.as_str() == folded && value.is_none());
            assert!(removed, "{folded}");
        }
        // What is no field name can't be removed.
        for hyphen in [" ", "\0", "\u{e9}", "(", "X"] {
            let folded = name.replacen('-', hyphen, 1);
            let decided = pipeline.decide(&request("/", &[(&folded, "forged")]), &SimulatedHost::default());
            let refused = hyphen.len() == 1 && hyphen != "X";
            assert_eq!(status(&decided), refused.then_some(400), "{folded:?}");
            assert_eq!(
                reasons(&pipeline, &decided).contains(&"request.malformed_header_name".to_owned()),
                refused
            );
        }
        let trailers = HeaderMap::from_pairs([
            (name, "a"),
            (&name.replace('-', "_"), "b"),
            ("grpc-status", "0"),
            ("x-users", "c"),
        ]);
        let gone: Vec<&[u8]> = pipeline.on_request_trailers(&trailers).collect();
        assert_eq!(gone, [name.as_bytes(), name.replace('-', "_").as_bytes()]);
    }
    let honest =
        pipeline.decide(&request("/", &[("accept", "*/*"), ("x_other", "1")]), &SimulatedHost::default());
    assert!(honest.mutations.request_headers().is_empty());
}

#[test]
fn what_cannot_be_read_is_refused_in_the_form_that_the_client_reads() {
    let pipeline = pipeline(whole());
    let long = format!("/{}", "a".repeat(16 * 1024));
    for (path, status, reason, grpc_status) in
        [("/%2561dmin", 400, "request.ambiguous_path", 3), (&long, 414, "request.uri_too_long", 3)]
    {
        for grpc in [false, true] {
            let content_type = if grpc { "application/grpc+proto" } else { "application/json" };
            let headers = request(path, &[("content-type", content_type)]);
            let decided = pipeline.decide(&headers, &SimulatedHost::default());
            let Action::Respond(reply) = decided.action else { panic!("an answer") };
            assert_eq!((reply.status, reply.details.as_str()), (status, reason));
            assert_eq!(reply.grpc_status, grpc.then_some(grpc_status));
            assert_eq!(reply.body.starts_with(b"{"), !grpc);
        }
    }
}

/// What the pipeline's policies say of themselves, in the order of execution, is what docs/overview.md tells.
#[test]
fn the_overview_lists_all_places_in_their_order() {
    let mut places: Vec<_> = PLACES.iter().copied().flatten().collect();
    places.sort_by_key(|place| place.order);
    let rows: Vec<String> = places
        .iter()
        .map(|place| {
            let (field, Place { order, name, title, .. }) = (place.section.field, place);
            format!("| {order} | `{name}` | {title} | `{field}` |")
        })
        .collect();
    let page = include_str!("../../../docs/overview.md");
    let table = page.lines().skip_while(|line| !line.starts_with("| order |")).skip(2);
    let table: Vec<&str> = table.take_while(|line| line.starts_with('|')).collect();
    assert_eq!(table, rows);
    assert!(places.windows(2).all(|pair| pair[0].order < pair[1].order), "two stages at one place");
}

/// The fields of the document are named by hand, for serde; the sections name themselves.
#[test]
fn each_section_is_the_field_that_it_says() {
    for section in SECTIONS {
        let error = compile(&json!({ "version": 1, *section: 7 })).err().unwrap_or_default();
        assert!(error.starts_with(&format!("{section}: ")), "{section}: {error}");
    }
}

/// A service may answer while it still reads, as gRPC services do.
#[test]
fn a_body_is_judged_to_its_end_also_once_the_response_has_begun() {
    for others in [json!(null), json!({ "rules": [{ "name": "all", "limit": "9/s" }] })] {
        let mut document = json!({ "version": 1, "guard": { "limits": { "body": "10B" } } });
        if !others.is_null() {
            document["rateLimit"] = others;
        }
        let pipeline = pipeline(document.clone());
        let environment = SimulatedHost::default();
        let mut decided = pipeline.decide(&request("/", &[("upgrade", "a")]), &environment);
        let part = |size, last| BodyPart { size, last };
        let body = |follow_ups: &mut FollowUps, part| {
            pipeline.on_request_body(follow_ups, part, &environment).reply.map(|reply| reply.status)
        };
        assert_eq!(body(&mut decided.follow_ups, part(10, false)), None);
        pipeline.on_response(&mut decided.follow_ups, 200, &HeaderMap::default(), &environment);
        assert!(
            !decided.follow_ups.wait_for(Phase::Response) && decided.follow_ups.wait_for(Phase::RequestBody)
        );
        assert_eq!(body(&mut decided.follow_ups, part(1, true)), Some(413), "{document}");
        assert!(!decided.follow_ups.wait_for_any(), "what is answered is over");
    }
}

/// A stage that may wait sees what was changed before it: what `compose` forwards is what `authn` proved, and not what the client sent.
#[test]
fn the_parts_of_an_answer_get_the_identity_that_was_proven() {
    let pipeline = pipeline(json!({
        "version": 1,
        "authn": { "providers": [{ "name": "partners", "apiKey": {
            "from": [{ "header": "x-api-key" }],
            "keys": [{ "id": "a", "sha256": "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b", "consumer": "acme" }],
            "forward": { "headers": { "x-user": "consumer" } }
        } }] },
        "compose": { "rules": [{
            "name": "overview", "match": { "paths": ["/overview"] }, "within": "1s", "forward": ["x-user"],
            "parts": { "order": { "cluster": "orders", "path": "/orders" } }
        }] }
    }));
    let headers = request("/overview", &[("x-api-key", "secret"), ("x-user", "root")]);
    let mut users = Vec::new();
    let explanation = pipeline.explain(&headers, &SimulatedHost::default(), None, |call| {
        let Call::Http(call) = call else { panic!("{call}") };
        let sent = call.headers.iter().filter(|(name, _)| name.as_str() == "x-user");
        users.extend(sent.map(|(_, value)| value.as_bytes().to_vec()));
        Answer::Http(HttpAnswer { status: 200, headers: HeaderMap::default(), body: b"1".to_vec() })
    });
    assert_eq!(status(&explanation.decided), Some(200));
    assert_eq!(users, [b"acme"]);
}
