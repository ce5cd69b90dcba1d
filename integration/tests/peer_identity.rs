//! Whom a certificate names, on a real Envoy with mutual TLS; another Envoy is the peer, so that the certificate may be any.

use std::path::Path;

use serde_json::{Value, json};
use sluice_integration::certificates::{Authority, Files};
use sluice_integration::{Gateway, Request};

const OTHER: &str = "spiffe://sluice.demo/ns/shop/sa/other";
const BAR: &str = "spiffe://sluice.demo/ns/shop/sa/bar";

const POLICY: &str = r#"
version: 1
client: { peerIdentityHeader: x-sluice-peer-identity }
authz:
  default: allow
  rules:
    - { name: bar, deny: true, when: { peers: ["spiffe://sluice.demo/ns/shop/sa/bar"] } }
telemetry: {}
"#;

/// A gateway that wants a client's certificate, and lists its URIs in a header if `listed`.
fn gateway(server: &Files, listed: bool) -> Gateway {
    let context = tls("DownstreamTlsContext", server, json!({ "require_client_certificate": true }));
    Gateway::builder()
        .policy(POLICY)
        .edit(move |bootstrap| {
            let chain = bootstrap.pointer_mut("/static_resources/listeners/0/filter_chains/0").unwrap();
            chain["transport_socket"] = context;
            let manager = chain.pointer_mut("/filters/0/typed_config").unwrap();
            if listed {
                let mutations = "/early_header_mutation_extensions/0/typed_config/mutations";
                let mutations = manager.pointer_mut(mutations).unwrap().as_array_mut().unwrap();
                mutations.push(json!({ "append": {
                    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                    "header": { "key": "x-sluice-peer-identity", "value": "%DOWNSTREAM_PEER_URI_SAN%" },
                } }));
            } else {
                // What a client writes gets through.
                manager["early_header_mutation_extensions"] = json!([]);
            }
        })
        .start()
        .unwrap()
}

/// An Envoy that calls the gateway with this certificate.
fn peer(certificate: &Files, gateway: &Gateway) -> Gateway {
    let port = gateway.port();
    let context = tls("UpstreamTlsContext", certificate, json!({}));
    Gateway::builder()
        .edit(move |bootstrap| {
            let cluster = bootstrap.pointer_mut("/static_resources/clusters/0").unwrap();
            let address =
                "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/port_value";
            *cluster.pointer_mut(address).unwrap() = json!(port);
            cluster["transport_socket"] = context;
            // The header is the gateway's to write.
            let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
            bootstrap.pointer_mut(manager).unwrap()["early_header_mutation_extensions"] = json!([]);
        })
        .start()
        .unwrap()
}

fn tls(kind: &str, files: &Files, more: Value) -> Value {
    let file = |path: &Path| json!({ "filename": path });
    let mut config = json!({
        "@type": format!("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{kind}"),
        "common_tls_context": {
            "tls_certificates": [{ "certificate_chain": file(&files.certificate), "private_key": file(&files.key) }],
            "validation_context": { "trusted_ca": file(&files.authority) },
        },
    });
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    json!({ "name": "envoy.transport_sockets.tls", "typed_config": config })
}

#[test]
fn a_certificate_with_several_uris_does_not_dodge_a_rule_about_one() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new().unwrap();
    let issue = |name: &str, uris: &[&str]| authority.issue_for(name, uris, directory.path()).unwrap();
    let server = issue("server", &["spiffe://sluice.demo/ns/shop/sa/gateway"]);
    let listed = gateway(&server, true);
    let unlisted = gateway(&server, false);
    for (name, uris, status) in [
        ("other", vec![OTHER], 200),
        ("bar", vec![BAR], 403),
        ("other-bar", vec![OTHER, BAR], 400),
        ("bar-other", vec![BAR, OTHER], 400),
        ("twice", vec![OTHER, OTHER], 400),
        ("web", vec![OTHER, "https://example.com/"], 400),
    ] {
        let certificate = issue(name, &uris);
        let caller = peer(&certificate, &listed);
        for claimed in [None, Some(OTHER), Some("spiffe://sluice.demo/ns/shop/sa/admin")] {
            let mut request = Request::get("/");
            if let Some(claimed) = claimed {
                request = request.header("x-sluice-peer-identity", claimed);
            }
            let answer = caller.send(request);
            assert_eq!(answer.status, status, "{uris:?} {claimed:?}: {}", answer.text());
            if status == 400 {
                assert_eq!(answer.json()["reason"], "request.ambiguous_peer_identity");
            }
        }
    }
    // Nobody writes the header: refused, whoever it is, rather than believed.
    let caller = peer(&issue("other", &[OTHER]), &unlisted);
    assert_eq!(caller.get("/").status, 400);
    let admin = Request::get("/").header("x-sluice-peer-identity", "spiffe://sluice.demo/ns/shop/sa/admin");
    assert_eq!(caller.send(admin).status, 400);
}
