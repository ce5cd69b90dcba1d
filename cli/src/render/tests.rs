use super::tree::Tree;
use super::*;
use crate::arguments::Arguments;
use crate::yaml as reader;
use clap::Parser;
use serde_json::{Value, json};

fn render(document: &str, options: &[&str]) -> (Status, String, String) {
    let arguments = ["sluice", "render", "envoy", "-", "--module", "/etc/envoy/sluice.wasm"];
    let arguments = Arguments::parse_from(arguments.iter().chain(options));
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut streams = Streams {
        input: &mut document.as_bytes(),
        output: &mut output,
        errors: &mut errors,
        colours: crate::Colours::default(),
    };
    let status = crate::run(&arguments, &mut streams);
    (status, String::from_utf8(output).unwrap(), String::from_utf8(errors).unwrap())
}

fn value(yaml: &str) -> Value {
    serde_json::from_str(&reader::read(yaml).unwrap().to_json()).unwrap()
}

const DOCUMENT: &str = "version: 1\ndefinitions: { matches: { é: { paths: [/a] } } }\n";
const GOOD: &str = "version: 1\ndefinitions: { matches: { a: { paths: [/a, \"/b c\"], headers: { x: 'it''s: \"#1\" \\ é' } } } }\n";

#[test]
fn the_filter_is_what_envoy_takes_and_holds_the_document() {
    for format in ["yaml", "json"] {
        let (status, output, errors) =
            render(GOOD.replace("/b c", "/b").as_str(), &["--format", format, "--name", "edge"]);
        assert_eq!((status, errors.as_str()), (Status::Fine, ""));
        let filter = value(&output);
        assert_eq!(filter["name"], "edge");
        let config = &filter["typed_config"]["config"];
        assert_eq!(config["vm_config"]["code"]["local"]["filename"], "/etc/envoy/sluice.wasm");
        assert_eq!(config["failure_policy"], "FAIL_RELOAD");
        assert_eq!(config["reload_config"]["backoff"]["base_interval"], "0.010s");
        let policy: Value = serde_json::from_str(config["configuration"]["value"].as_str().unwrap()).unwrap();
        assert_eq!(policy, value(&GOOD.replace("/b c", "/b")));
    }
}

#[test]
fn the_file_of_a_discovery_changes_its_version_with_the_document() {
    let version = |document: &str| {
        let (_, output, _) = render(document, &["--ecds"]);
        let response = value(&output);
        let resource = &response["resources"][0];
        assert_eq!(resource["@type"], "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig");
        assert_eq!(resource["name"], "sluice");
        response["version_info"].as_str().unwrap().to_owned()
    };
    let one = "version: 1";
    assert_eq!(version(one), version("{\"version\": 1}"));
    assert_ne!(version(one), version("version: 1\nclient: {}"));
}

#[test]
fn a_document_that_does_not_check_is_not_rendered() {
    let (status, output, errors) = render(DOCUMENT, &[]);
    assert_eq!((status, output.as_str()), (Status::Wrong, ""));
    assert!(errors.starts_with("stdin:2:27: definitions.matches"), "{errors}");
}

#[test]
fn yaml_reads_back_as_what_was_written() {
    let values = json!({
        "plain": "a-b_c/d.e", "empty": "", "yes": "yes", "on": "no", "number": "1", "colon": "a: b", "hash": "a #b", "dash": "- a",
        "quote": "\"'\\", "unicode": "é😀\u{2028}", "control": "\u{0}\u{7f}\u{85}", "lines": "a:\n  - b\n\"c\": d", "blank": "a\n\nb", "lead": "  a\nb",
        "end": "a\n", "tab": "a\tb", "cr": "a\r\nb", "list": [1, -2.5, true, null, "x", [], {}, [[1], [{"a": [2]}]], {"b": {"c": "d\ne"}, "f": 1}],
        "object": {"": 1, "a: b": {"~": []}}
    });
    assert_eq!(value(&yaml::write(&Tree::from(values.clone()))), values);
}

/// Identity headers of all kinds, headers of routing, what `match` merely asks for, credentials.
const WRITES: &str = r#"
version: 1
client: { address: { peerHeader: x-peer }, peerIdentityHeader: x-peer-id }
authn:
  providers:
    - name: keys
      apiKey:
        from: [{ header: x-api-key }]
        keys: [{ id: acme, sha256: 8649cdebee753898fd50e01408a9e438aa5090249bc3e51b65f33dce973b0873 }]
        forward: { headers: { x-user: id, user: id }, provider: x-proven-by }
    - name: edge
      forwarded: { peers: ["spiffe://a/edge"], principal: x-handed-on, roles: x-handed-on-roles }
  rules: [{ name: all, require: { any: [keys, edge] } }]
routing:
  headers: { subset: x-choice, reserved: [x-tenant, LONGEST, LONGER] }
  rules: [{ name: v2, match: { headers: { x-asked: v2 } }, subset: v2 }]
"#;

#[test]
fn what_only_the_document_may_write_is_removed_before_any_filter() {
    // As many instructions as Envoy takes in a regular expression, and one more.
    let longest = format!("x{}-a", "-ab".repeat(15));
    let longer = format!("{longest}b");
    let document = WRITES.replace("LONGEST", &longest).replace("LONGER", &longer);
    let arguments =
        Arguments::parse_from(["sluice", "render", "envoy", "-", "--connection-manager", "--format", "json"]);
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut streams = Streams {
        input: &mut document.as_bytes(),
        output: &mut output,
        errors: &mut errors,
        colours: crate::Colours::default(),
    };
    assert_eq!(crate::run(&arguments, &mut streams), Status::Fine);
    let errors = String::from_utf8(errors).unwrap();
    assert!(errors.contains("`x-handed-on`, `x-handed-on-roles` of `forwarded`"), "{errors}");
    let fields: Value = serde_json::from_slice(&output).unwrap();
    let removed =
        |regex: &str| json!({ "remove_on_match": { "key_matcher": { "safe_regex": { "regex": regex } } } });
    let written = |name: &str, value: &str| {
        json!({ "append": {
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD", "header": { "key": name, "value": value },
        } })
    };
    assert_eq!(
        fields["early_header_mutation_extensions"][0]["typed_config"]["mutations"],
        json!([
            removed("x[[:punct:]]user"),
            json!({ "remove": "user" }),
            removed("x[[:punct:]]proven[[:punct:]]by"),
            removed("x[[:punct:]]sluice[[:punct:]]cluster"),
            removed("x[[:punct:]]choice"),
            removed("x[[:punct:]]tenant"),
            removed(&longest.replace('-', "[[:punct:]]")),
            json!({ "remove": longer }),
            written("x-peer", "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"),
            written("x-peer-id", "%DOWNSTREAM_PEER_URI_SAN%"),
        ])
    );
    assert_eq!(
        fields["common_http_protocol_options"],
        json!({ "headers_with_underscores_action": "REJECT_REQUEST" })
    );
}

#[test]
fn a_rate_limit_service_gets_the_names_and_limits_of_one_domain() {
    let render = |document: &str, options: &[&str]| {
        let arguments = ["sluice", "render", "rate-limit-service", "-", "--format", "json"];
        let arguments = Arguments::parse_from(arguments.iter().chain(options));
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let mut streams = Streams {
            input: &mut document.as_bytes(),
            output: &mut output,
            errors: &mut errors,
            colours: crate::Colours::default(),
        };
        let status = crate::run(&arguments, &mut streams);
        (status, String::from_utf8(output).unwrap(), String::from_utf8(errors).unwrap())
    };
    let rule = |name: &str, rest: &str| format!("{{name: {name}, scope: fleet, {rest}}}");
    let document = |rules: &[String]| {
        format!(
            "{{version: 1, rateLimit: {{service: {{cluster: c, expectedProxies: 1}}, rules: [{{name: own, limit: 1/s}}, {}]}}}}",
            rules.join(", ")
        )
    };
    let first = rule("first", "limit: 5/h");
    let two = rule("two", "limit: 7/day, key: [client.address, request.host]");
    let (status, output, _) = render(&document(&[first.clone(), two]), &[]);
    assert_eq!(status, Status::Fine);
    let limit = |unit: &str, requests: u32| json!({ "unit": unit, "requests_per_unit": requests });
    assert_eq!(
        serde_json::from_str::<Value>(&output).unwrap(),
        json!({ "domain": "sluice", "descriptors": [
            { "key": "rule", "value": "first", "rate_limit": limit("hour", 5) },
            { "key": "rule", "value": "two", "descriptors": [
                { "key": "client.address", "descriptors": [
                    { "key": "request.host", "rate_limit": limit("day", 7) }
                ] }
            ] },
        ] })
    );
    let elsewhere = rule("x", "limit: 1/s, service: {cluster: c, expectedProxies: 1, domain: d}");
    let several = document(&[first, elsewhere]);
    assert!(render(&several, &[]).2.contains("in the domains `sluice` and `d`: say which with --domain"));
    assert!(render(&several, &["--domain", "e"]).2.contains("not in `e`"));
    let (status, output, _) = render(&several, &["--domain", "d"]);
    assert_eq!((status, output.contains("\"domain\": \"d\"")), (Status::Fine, true));
    assert!(render("version: 1", &[]).2.contains("it needs no rate-limit service"));
}

#[test]
fn the_filter_says_what_it_needs_around_it() {
    let (_, output, _) = render(WRITES, &[]);
    assert!(
        output.contains("# The connection manager needs what `sluice render envoy --connection-manager`"),
        "{output}"
    );
    let (_, output, _) = render("version: 1", &[]);
    assert!(!output.contains("connection-manager"), "{output}");
}
