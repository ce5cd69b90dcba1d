//! The client's address behind a load balancer: two real Envoys, one in front of the other.

use std::net::Ipv4Addr;

use serde_json::json;
use sluice_integration::{Answer, Client, Gateway, Request};

/// The load balancer, as the edge sees it.
const BALANCER: &str = "127.0.0.9";
/// A client that is denied, one that is not, and one that may see what nobody else may.
const DENIED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);
const OFFICE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn policy(address: &str) -> String {
    format!(
        r#"
version: 1
client: {{ address: {address} }}
authz:
  default: deny
  rules:
    - {{ name: bad-network, deny: true, match: {{ client: {{ cidrs: [127.0.0.3/32] }} }} }}
    - {{ name: not-ours, deny: true, match: {{ paths: [/office], not: {{ client: {{ cidrs: [127.0.0.2/32] }} }} }} }}
    - {{ name: not-the-balancer, deny: true, match: {{ paths: [/balancer], not: {{ client: {{ cidrs: [127.0.0.9/32] }} }} }} }}
    - {{ name: rest, allow: true }}
rateLimit:
  rules:
    - {{ name: per-client, match: {{ paths: [/limited] }}, key: [client.address], limit: 2/day, burst: 2 }}
telemetry: {{}}
"#
    )
}

/// The edge, and the load balancer in front of it.
fn gateways(address: &str, use_remote_address: bool) -> (Gateway, Gateway) {
    let edge = Gateway::builder()
        .policy(&policy(address))
        .edit(move |bootstrap| {
            let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
            bootstrap.pointer_mut(manager).unwrap()["use_remote_address"] = json!(use_remote_address);
        })
        .start()
        .unwrap();
    let port = edge.port();
    let balancer = Gateway::builder()
        .edit(move |bootstrap| {
            let cluster = bootstrap.pointer_mut("/static_resources/clusters/0").unwrap();
            *cluster
                .pointer_mut(
                    "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/port_value",
                )
                .unwrap() = json!(port);
            cluster["upstream_bind_config"] =
                json!({ "source_address": { "address": BALANCER, "port_value": 0 } });
        })
        .start()
        .unwrap();
    (edge, balancer)
}

fn get(address: Ipv4Addr, gateway: &Gateway, path: &str, lines: &[&[u8]]) -> Answer {
    let request =
        lines.iter().fold(Request::get(path), |request, line| request.header("x-forwarded-for", line));
    Client::from_address(address, gateway.port()).send(&request).unwrap()
}

/// What a client may write into `x-forwarded-for` to be taken for somebody else.
fn lies() -> Vec<Vec<&'static [u8]>> {
    vec![
        vec![],
        vec![b"\xff"],
        vec![b"127.0.0.2"],
        vec![b"127.0.0.9"],
        vec![b"127.0.0.2, 127.0.0.9"],
        vec![b"\xff", b"127.0.0.2"],
        vec![b"127.0.0.2", b"\x80\xfe, 127.0.0.9"],
        vec![b",,,"],
        vec![b"127.0.0.2,"],
        vec![b"127.0.0.2:80, [::1]:443, fe80::1%eth0, unknown, _hidden"],
        vec![b"\xc3\xa9, 127.0.0.2, \xc3"],
    ]
}

#[test]
fn no_bytes_in_x_forwarded_for_change_whom_a_rule_sees() {
    for (address, use_remote_address) in [
        ("{ trustedHops: 1, useRemoteAddress: true }", true),
        ("{ trustedHops: 1, peerHeader: x-sluice-peer }", true),
        ("{ trustedHops: 1, peerHeader: x-sluice-peer }", false),
        ("{ trustedHops: 1, peerHeader: x-sluice-peer, useRemoteAddress: false }", false),
        ("{ trustedHops: 1, useRemoteAddress: false }", false),
    ] {
        let (_edge, balancer) = gateways(address, use_remote_address);
        for lines in lies() {
            let shown: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(line)).collect();
            let what = format!("{address}, use_remote_address: {use_remote_address}, {shown:?}");
            for (client, path, status) in [
                (DENIED, "/", 403),
                (STRANGER, "/", 200),
                (OFFICE, "/office", 200),
                (STRANGER, "/office", 403),
                (STRANGER, "/balancer", 403),
                (OFFICE, "/balancer", 403),
            ] {
                let answer = get(client, &balancer, path, &lines);
                assert_eq!(answer.status, status, "{what}: {client} {path}: {}", answer.text());
            }
        }
        // One bucket, whatever is written.
        let limited: Vec<u16> =
            lies().iter().map(|lines| get(STRANGER, &balancer, "/limited", lines).status).collect();
        assert_eq!(limited.iter().filter(|status| **status == 200).count(), 2, "{address}: {limited:?}");
    }
}

#[test]
fn an_entry_of_the_balancers_that_is_no_address_is_refused_before_any_rule() {
    let address = "{ trustedHops: 1, peerHeader: x-sluice-peer, useRemoteAddress: false }";
    let (edge, _balancer) = gateways(address, false);
    for line in
        [b"127.0.0.2, \xff".as_slice(), b"127.0.0.2, unknown", b"127.0.0.2,", b"127.0.0.2, 127.0.0.2\xc3\xa9"]
    {
        for path in ["/", "/office", "/balancer", "/limited"] {
            let answer = get(STRANGER, &edge, path, &[line]);
            assert_eq!(answer.status, 400, "{path} {}", String::from_utf8_lossy(line));
            assert_eq!(answer.json()["reason"], "request.ambiguous_client_address");
        }
    }
    assert_eq!(edge.details("/limited"), "request.ambiguous_client_address");
    assert_eq!(get(STRANGER, &edge, "/", &[b"\xff, 127.0.0.4"]).status, 200);
    // Nothing was appended, though the document says so: refused, not guessed.
    let (edge, _balancer) =
        gateways("{ trustedHops: 1, peerHeader: x-sluice-peer, useRemoteAddress: true }", false);
    assert_eq!(get(STRANGER, &edge, "/", &[b"127.0.0.2"]).status, 400);
}

#[test]
fn a_document_that_does_not_ask_for_the_address_does_not_mind_it() {
    let gateway = Gateway::with_policy(
        "{version: 1, client: {address: {trustedHops: 1, useRemoteAddress: true}}, authz: {default: allow}}",
    );
    assert_eq!(get(STRANGER, &gateway, "/", &[b"unknown"]).status, 200);
}
