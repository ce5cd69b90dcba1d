use super::*;
use crate::arguments::{Arguments, Command};
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
