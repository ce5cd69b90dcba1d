//! The modules of one section each: each does its own and accepts nothing else.

use std::time::Duration;

use sluice_integration::tokens::{AUDIENCE, Algorithm, ISSUER, Token, key_set};
use sluice_integration::{Gateway, Request, repository_root, static_filter, wait_until};

/// A module, its sections with a document that uses them, a request, and the answer's status.
const EDITIONS: [(&str, &[&str], &str, &str, u16); 5] = [
    (
        "sluice-auth.wasm",
        &["authn", "authz"],
        "{version: 1, authz: {default: deny, rules: [{name: a, allow: true, match: {paths: [/a]}}]}}",
        "/b",
        403,
    ),
    (
        "sluice-rate-limit.wasm",
        &["rateLimit"],
        "{version: 1, rateLimit: {rules: [{name: a, key: [client.address], limit: 1/h, burst: 1}]}}",
        "/a",
        429,
    ),
    (
        "sluice-routing.wasm",
        &["routing"],
        "{version: 1, routing: {rules: [{name: a, match: {paths: [/a]}, subset: v2}]}}",
        "/a",
        200,
    ),
    (
        "sluice-fault.wasm",
        &["fault"],
        "{version: 1, fault: {rules: [{name: a, match: {paths: [/a]}, abort: {status: 418, percent: 100}}]}}",
        "/a",
        418,
    ),
    ("sluice-telemetry.wasm", &["telemetry"], "{version: 1, telemetry: {}}", "/a", 200),
];

#[test]
fn each_edition_does_its_own() {
    for (module, _, document, path, status) in EDITIONS {
        let gateway = Gateway::builder().module(module).policy(document).version("v2").start().unwrap();
        // The second request is the one over the limit.
        gateway.get(path);
        let answer = gateway.send(Request::get(path));
        assert_eq!(answer.status, status, "{module}: {}", answer.text());
        match module {
            "sluice-routing.wasm" => assert_eq!(answer.json()["at"], "v2"),
            "sluice-telemetry.wasm" => assert!(gateway.upstream().last().header("traceparent").is_some()),
            _ => {}
        }
    }
}

#[test]
fn each_edition_refuses_what_it_has_not() {
    for (module, own, ..) in EDITIONS {
        for section in sluice_pipeline::SECTIONS.iter().filter(|section| !own.contains(section)) {
            let document = format!("{{version: 1, {section}: {{}}}}");
            let error = match Gateway::builder().module(module).policy(&document).start() {
                Ok(_) => panic!("{module} accepted {section}"),
                Err(error) => error.to_string(),
            };
            assert!(error.contains(section), "{module}, {section}: {error}");
        }
    }
}

/// The edition without callbacks of responses.
const REQUESTS: &str = "sluice-requests.wasm";

#[test]
fn an_edition_that_sees_requests_alone_does_all_that_leaves_responses_alone() {
    let gateway = Gateway::builder()
        .module(REQUESTS)
        .policy(
            "{version: 1, rateLimit: {headers: false, rules: [{name: once, match: {paths: [/once]}, limit: 1/h, burst: 1}]}, \
             authz: {default: allow, rules: [{name: closed, deny: true, match: {paths: [/closed]}}]}, \
             fault: {rules: [{name: slow, match: {paths: [/slow]}, delay: {fixed: 50ms, percent: 100}}]}}",
        )
        .start()
        .unwrap();
    for (path, status) in
        [("/open", 200), ("/closed", 403), ("/once", 200), ("/once", 429), ("/slow", 200), ("/slow", 200)]
    {
        assert_eq!(gateway.get(path).status, status, "{path}");
    }
    wait_until("both delays are counted", Duration::from_secs(60), || {
        gateway.envoy().metric("sluice_decisions", &[("section", "fault"), ("outcome", "changed")]).unwrap()
            == 2.0
    })
    .unwrap();
}

#[test]
fn an_edition_that_sees_requests_alone_refuses_what_needs_responses() {
    let document = "{version: 1, rateLimit: {rules: [{name: a, limit: 1/h, burst: 1}]}}";
    let error = match Gateway::builder().module(REQUESTS).policy(document).start() {
        Ok(_) => panic!("{REQUESTS} accepted a document that changes responses"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains("rateLimit.headers") && error.contains("proxy_on_response_headers"), "{error}");
}

#[test]
fn plugins_that_share_a_vm_judge_their_own_streams() {
    let abort = |path: &str, status: u16| {
        format!(
            r#"{{"version": 1, "fault": {{"rules": [{{"name": "a", "match": {{"paths": ["{path}"]}}, "abort": {{"status": {status}, "percent": 100}}}}]}}}}"#
        )
    };
    for module in [REQUESTS, "sluice.wasm"] {
        let path = repository_root().join("dist").join(module);
        // In one VM, for all that makes one is the same: of each request there are two streams. One plugin stays, the other is replaced.
        let gateway = Gateway::builder()
            .module(module)
            .filter_before(static_filter(&path, &abort("/first", 418)))
            .policy(&abort("/second", 450))
            .ecds()
            .start()
            .unwrap();
        for status in [451, 452, 453] {
            assert!(gateway.reload(&abort("/second", status)).unwrap());
            wait_until("the new policy", Duration::from_secs(60), || {
                assert_eq!(gateway.get("/first").status, 418, "{module}: while the other is replaced");
                gateway.get("/second").status == status
            })
            .unwrap();
            assert_eq!(gateway.get("/first").status, 418, "{module}: the other was replaced");
            assert_eq!(gateway.get("/third").status, 200, "{module}");
        }
    }
}

#[test]
fn an_edition_is_smaller_than_the_whole() {
    let size = |module: &str| std::fs::metadata(repository_root().join("dist").join(module)).unwrap().len();
    for (module, ..) in EDITIONS {
        assert!(size(module) < size("sluice.wasm"), "{module}");
    }
}

/// A document whose tokens are signed with the demo's key of this algorithm.
fn document_of_tokens(algorithm: Algorithm, more: &str) -> String {
    let keys = key_set(false)["keys"].as_array().unwrap().clone();
    let key = keys.into_iter().find(|key| key["alg"] == algorithm.name()).unwrap();
    let set = serde_json::json!({ "keys": [key] });
    format!(
        "{{version: 1, authn: {{providers: [{{name: a, jwt: {{issuer: \"{ISSUER}\", audiences: [{AUDIENCE}], {more}keys: {{inline: {set}}}}}}}], rules: [{{name: all, require: {{any: [a]}}}}]}}}}"
    )
}

const HOST_SIGNATURES: &str = "sluice-host-signatures.wasm";

#[test]
fn without_code_for_signatures_a_module_leaves_them_to_the_host() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
        let document = document_of_tokens(algorithm, "");
        let gateway = Gateway::builder().module(HOST_SIGNATURES).policy(&document).start().unwrap();
        let status = |token: &str| gateway.send(Request::get("/").bearer(token)).status;
        let good = Token::of("alice").signed_with(algorithm).sign();
        assert_eq!(status(&good), 200, "{algorithm:?}");
        let other = Token::of("mallory").signed_with(algorithm).sign();
        let (signed, _) = other.rsplit_once('.').unwrap();
        let (_, signature) = good.rsplit_once('.').unwrap();
        assert_eq!(status(&format!("{signed}.{signature}")), 401, "{algorithm:?}: of another token");
        assert_eq!(status(&good), 200, "{algorithm:?}");
    }
}

#[test]
fn without_code_for_signatures_a_module_refuses_what_the_host_does_not_verify() {
    for (algorithm, more, path) in [
        (Algorithm::EdDsa, "", "authn.providers[0].jwt.keys.inline.keys[0]"),
        (Algorithm::Rs256, "algorithms: [RS256, PS256], ", "authn.providers[0].jwt.algorithms[1]"),
    ] {
        let document = document_of_tokens(algorithm, more);
        let error = match Gateway::builder().module(HOST_SIGNATURES).policy(&document).start() {
            Ok(_) => panic!("accepted: {document}"),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(path) && error.contains("no host verifies"), "{error}");
    }
}
