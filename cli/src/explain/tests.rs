use super::*;
use crate::arguments::{Arguments, Command};
use crate::compile::compile;
use clap::Parser;

const DOCUMENT: &str = r#"
version: 1
client: { address: { trustedHops: 1 } }
authn:
  providers:
    - { name: edge, forwarded: { peers: ["spiffe://example.com/ns/edge/sa/edge"], principal: x-user, roles: x-roles } }
  rules:
    - { name: all, require: { optional: [edge] } }
authz:
  default: deny
  rules:
    - { name: read, allow: true, match: { methods: [GET] }, when: { roles: [reader] } }
    - { name: mesh, allow: true, when: { peers: ["spiffe://example.com/ns/shop/sa/orders"] } }
rateLimit:
  rules:
    - { name: per-address, match: { paths: [/limited] }, key: [client.address], limit: 2/min, burst: 2 }
fault:
  rules:
    - { name: sometimes, match: { paths: [/flaky] }, abort: { status: 503, percent: 5 } }
"#;

fn explain(document: &str, options: &[&str]) -> Result<Played, Failure> {
    let source = Source { name: "test".to_owned(), bytes: document.as_bytes().to_vec() };
    let compiled = compile(&source).unwrap_or_else(|findings| panic!("{findings:#?}"));
    let arguments = Arguments::parse_from(["sluice", "explain", "-"].iter().chain(options));
    let Command::Explain(arguments) = arguments.command else { panic!("not explain") };
    play(&compiled, &arguments)
}

fn json(options: &[&str]) -> serde_json::Value {
    report::json(&explain(DOCUMENT, options).unwrap())
}

fn text(options: &[&str]) -> String {
    let mut text = Vec::new();
    report::write_text(&explain(DOCUMENT, options).unwrap(), &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

const READER: &str = r#"{"principal": "alice", "roles": ["reader"]}"#;

#[test]
fn each_stage_is_told_in_order_with_its_decision_and_the_verdict() {
    let explained = json(&["--path", "/orders/7", "--identity", READER]);
    assert_eq!(explained["verdict"]["action"], "continue");
    assert_eq!(explained["rulesSee"]["path"], "/orders/7");
    let sections: Vec<&str> = explained["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stage| stage["section"].as_str().unwrap())
        .collect();
    assert_eq!(sections, ["rate_limit", "authn", "authz", "fault"]);

    let explained = json(&["--path", "/orders/7"]);
    assert_eq!(explained["verdict"]["action"], "respond");
    let reply = &explained["verdict"]["reply"];
    assert!(reply["reason"].as_str().unwrap().starts_with("authz."), "{reply}");
    let last = explained["stages"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((last["section"].as_str(), last["asked"].as_bool()), (Some("fault"), Some(false)));
    let text = text(&["--path", "/orders/7"]);
    assert!(text.contains("verdict: answered with 40") && text.contains("not asked"), "{text}");
}

#[test]
fn the_peer_is_who_it_is_said_to_be() {
    let mesh = ["--path", "/", "--method", "POST", "--peer", "spiffe://example.com/ns/shop/sa/orders"];
    assert_eq!(json(&mesh)["verdict"]["action"], "continue");
    assert_eq!(json(&mesh[..4])["verdict"]["action"], "respond");
}

#[test]
fn what_envoy_does_before_the_filter_is_played_too() {
    let client = |options: &[&str]| {
        let all: Vec<&str> = ["--path", "/"].iter().chain(options).copied().collect();
        json(&all)["rulesSee"]["client"].as_str().unwrap().to_owned()
    };
    assert_eq!(client(&["--source", "192.0.2.1"]), "192.0.2.1");
    assert_eq!(
        client(&["--source", "192.0.2.1", "-H", "X-Forwarded-For: 6.6.6.6, 198.51.100.7"]),
        "198.51.100.7"
    );

    let document = DOCUMENT.replace("trustedHops: 1", "peerHeader: x-peer");
    let played =
        explain(&document, &["--path", "/", "--source", "192.0.2.1", "-H", "x-peer: 6.6.6.6"]).unwrap();
    assert_eq!(report::json(&played)["rulesSee"]["client"], "192.0.2.1");
}

#[test]
fn a_request_played_often_enough_reaches_its_limit() {
    let limited = ["--path", "/limited", "--identity", READER, "--repeat"];
    let action = |times: &str| {
        json(&[&limited[..], &[times]].concat())["verdict"]["action"].as_str().unwrap().to_owned()
    };
    assert_eq!((action("2").as_str(), action("3").as_str()), ("continue", "respond"));
}

#[test]
fn a_rate_limit_service_is_stood_in_for_and_may_fail() {
    let document = "{version: 1, rateLimit: {rules: [{name: all, limit: 2/min, scope: fleet, service: {cluster: counts, expectedProxies: 2}}]}}";
    let played = |options: &[&str]| {
        let options: Vec<&str> = ["--path", "/"].iter().chain(options).copied().collect();
        let played = explain(document, &options).unwrap();
        let json = report::json(&played);
        (json["verdict"]["reply"]["status"].as_u64(), json["stoodIn"].clone(), played.decisions.join(" "))
    };
    let counts = || serde_json::json!(["counts"]);
    assert_eq!(played(&[]), (None, counts(), String::new()));
    assert_eq!(played(&["--repeat", "3"]), (Some(429), counts(), "rate_limit.exceeded.rule:all".to_owned()));
    let failed = "rate_limit.service_unreachable.rule:all".to_owned();
    let nobody = || serde_json::json!([]);
    assert_eq!(played(&["--failing", "counts"]), (None, nobody(), failed.clone()));
    assert_eq!(
        played(&["--failing", "counts", "--repeat", "2"]),
        (Some(429), nobody(), format!("{failed} rate_limit.share_exceeded.rule:all"))
    );
}

#[test]
fn chance_is_as_it_is_said_to_be() {
    let flaky = ["--path", "/flaky", "--identity", READER, "--random"];
    let action = |percent: &str| {
        json(&[&flaky[..], &[percent]].concat())["verdict"]["action"].as_str().unwrap().to_owned()
    };
    for (percent, expected) in
        [("0", "respond"), ("4.9999", "respond"), ("5", "continue"), ("50", "continue"), ("100", "continue")]
    {
        assert_eq!(action(percent), expected, "{percent}");
    }
}

#[test]
fn credentials_are_not_printed_wherever_they_turn_up() {
    let secret = "s3cr3t-t0ken";
    let authorization = format!("authorization: Bearer {secret}");
    let cookie = format!("cookie: a=1; session={secret}");
    let options =
        ["--path", "/?copy=s3cr3t-t0ken", "-H", &authorization, "-H", &cookie, "-H", "x-api-key: s3cr3t-key"];
    for printed in [text(&options), json(&options).to_string()] {
        assert!(!printed.contains("s3cr3t"), "{printed}");
        assert!(printed.contains("***"), "{printed}");
    }
}

#[test]
fn a_host_header_is_the_host() {
    assert_eq!(
        json(&["--path", "/", "-H", "Host: API.example.com:8080"])["rulesSee"]["host"],
        "api.example.com"
    );
    assert_eq!(json(&["--path", "/", "--host", "api.example.com"])["rulesSee"]["host"], "api.example.com");
}

#[test]
fn a_request_with_two_readings_is_explained_too() {
    let explained = json(&["--path", "/a%2fb"]);
    assert_eq!(explained["verdict"]["reply"]["status"], 400);
    assert!(text(&["--path", "/a%2fb"]).contains("rules don't see it"));
}

#[test]
fn a_header_can_play_no_tricks_with_a_terminal() {
    let printed = text(&["--path", "/\u{1b}]0;x\u{7}", "--method", "GET\u{1b}"]);
    assert!(!printed.contains('\u{1b}') && !printed.contains('\u{7}'), "{printed:?}");
}

const TOKENS: &str = r#"
version: 1
authn:
  providers:
    - name: joe
      jwt:
        issuer: jim
        audiences: [shop]
        keys: { inline: { keys: [{ kty: oct, alg: HS256, k: AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow }] } }
    - name: keys
      apiKey: { keys: [{ id: a, sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 }] }
  rules:
    - { name: health, match: { paths: /healthz, methods: [GET] }, require: none }
    - { name: rest, require: { any: [joe, keys] } }
authz:
  default: deny
  rules:
    - { name: below, allow: true, match: { paths: ["/a/**"], hosts: [api.example.com, "*.test"] } }
    - { name: header, allow: true, match: { headers: { x-a: secret-a } } }
    - { name: query, allow: true, match: { query: { page: "2" } } }
    - { name: client, allow: true, match: { client: { cidrs: 192.0.2.0/24 } } }
    - { name: not, allow: true, match: { not: { methods: [POST] } } }
fault:
  rules:
    - { name: slow, match: { methods: [PUT] }, when: { roles: x }, delay: { fixed: 1s, percent: 100 } }
"#;

/// The token of RFC 7515, appendix A.1: `iss` joe, `exp` 1300819380, no `aud`.
const TOKEN: &str = "authorization: Bearer eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

fn told(options: &[&str]) -> String {
    let mut text = Vec::new();
    report::write_text(&explain(TOKENS, options).unwrap(), &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn claims_are_shown_beside_what_is_wanted_and_the_token_is_not() {
    let text = told(&["--path", "/", "-H", TOKEN, "--time", "2011-03-22T20:43:00Z"]);
    let wanted = r#"its iss is "joe", wanted is "jim"; its aud is absent, wanted is one of ["shop"]; its exp is 2011-03-22T18:43:00Z, 2 h ago; clocks may differ by 60s"#;
    assert!(text.contains(wanted), "{text}");
    assert!(!text.contains("eyJ") && !text.contains("dBjft"), "{text}");
    let text = told(&["--path", "/", "-H", TOKEN, "--time", "2011-03-21T18:42:00Z"]);
    assert!(text.contains("its exp is 2011-03-22T18:43:00Z, in 1 d 1 min"), "{text}");
}

#[test]
fn a_credential_in_the_wrong_place_is_told_and_not_shown() {
    for (header, part) in [
        (
            "authorization: s3cr3t-t0ken",
            "`authorization` holds something without a scheme: `Bearer` and a blank",
        ),
        ("authorization: Basic s3cr3t-t0ken", "`authorization` holds another scheme: `Bearer`"),
        ("x-auth-token: s3cr3t-t0ken", "there is a header `x-auth-token`, where it does not look"),
        ("api-key: s3cr3t-t0ken", "there is a header `api-key`, where it does not look"),
    ] {
        let text = told(&["--path", "/", "-H", header]);
        assert!(text.contains(part), "{header}: {text}");
        assert!(!text.contains("s3cr3t"), "{header}: {text}");
    }
    let text = told(&["--path", "/?access_token=s3cr3t-t0ken"]);
    assert!(text.contains("there is a `access_token` in the query") && !text.contains("s3cr3t"), "{text}");
}

#[test]
fn the_key_of_match_that_does_not_fit_is_named() {
    let identity = ["--identity", READER, "--method", "POST", "--path", "/x", "--source", "198.51.100.1"];
    let text = told(&identity);
    for part in [
        "allow rule `below`: host localhost is not in [*.test, api.example.com]",
        "allow rule `header`: header `x-a` is absent",
        "allow rule `query`: query parameter `page` is absent",
        "allow rule `client`: the client's address 198.51.100.1 is in none of `client`",
        "allow rule `not`: `not` excludes it",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = told(&[&identity[..], &["--host", "a.test", "-H", "x-a: other"]].concat());
    for part in [
        "allow rule `below`: path /x is not in [/a/**]",
        "allow rule `header`: header `x-a` is not as asked for",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("secret-a"), "{text}");
    let text = told(&["--path", "/healthz", "--method", "DELETE"]);
    assert!(text.contains("the rule `health`: method DELETE is not in [GET]"), "{text}");
    let text = told(&["--identity", READER, "--path", "/", "--source", "192.0.2.1"]);
    assert!(text.contains("rule `slow`: method GET is not in [PUT]"), "{text}");
    let text = told(&["--identity", READER, "--path", "/", "--source", "192.0.2.1", "--method", "PUT"]);
    assert!(text.contains("rule `slow`: the caller does not meet `when.roles`"), "{text}");
}
