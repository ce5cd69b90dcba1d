//! One identity at the edge and in the sidecar behind it: two real Envoys with mutual TLS between them.

use std::path::Path;

use serde_json::{Value, json};
use sluice_integration::certificates::{Authority, Files, identity};
use sluice_integration::tokens::{self, Token};
use sluice_integration::{Gateway, Request};

fn edge_policy() -> String {
    format!(
        r#"
version: 1
authn:
  providers:
    - name: staff
      jwt:
        issuer: https://id.sluice.demo
        audiences: [orders]
        keys: {{ inline: {keys} }}
        forward: {{ headers: {{ x-user: sub, x-roles: roles, x-scopes: scope }}, provider: x-user-provider }}
    - name: partners
      apiKey:
        # `demo-key-acme`, under the name of an employee.
        keys: [{{ id: alice, sha256: 8649cdebee753898fd50e01408a9e438aa5090249bc3e51b65f33dce973b0873 }}]
        forward: {{ headers: {{ x-user: id }}, provider: x-user-provider }}
  rules: [{{ name: all, require: {{ any: [staff, partners] }} }}]
telemetry: {{}}
"#,
        keys = tokens::key_set(false)
    )
}

const SIDECAR_POLICY: &str = r#"
version: 1
client: { peerIdentityHeader: x-sluice-peer-identity }
authn:
  providers:
    - name: edge
      forwarded:
        peers: ["spiffe://sluice.demo/ns/shop/sa/edge"]
        principal: x-user
        provider: x-user-provider
        roles: x-roles
        scopes: x-scopes
authz:
  default: deny
  rules:
    - { name: admin, allow: true, match: { paths: [/admin] }, when: { roles: [admin] } }
    - { name: scope, allow: true, match: { paths: [/scope] }, when: { scopes: [admin] } }
    - { name: alice, allow: true, match: { paths: [/alice] }, when: { principals: [edge/staff/alice] } }
telemetry: {}
"#;

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

/// The edge, and the sidecar that it calls.
fn gateways(directory: &Path) -> (Gateway, Gateway) {
    let authority = Authority::new().unwrap();
    let certificate = |name: &str| authority.issue(name, &identity(name), directory).unwrap();
    let inbound =
        tls("DownstreamTlsContext", &certificate("orders"), json!({ "require_client_certificate": true }));
    let sidecar = Gateway::builder()
        .policy(SIDECAR_POLICY)
        .edit(move |bootstrap| {
            let chain = bootstrap.pointer_mut("/static_resources/listeners/0/filter_chains/0").unwrap();
            chain["transport_socket"] = inbound;
            let mutations =
                "/filters/0/typed_config/early_header_mutation_extensions/0/typed_config/mutations";
            chain.pointer_mut(mutations).unwrap().as_array_mut().unwrap().push(json!({ "append": {
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                "header": { "key": "x-sluice-peer-identity", "value": "%DOWNSTREAM_PEER_URI_SAN%" },
            } }));
        })
        .start()
        .unwrap();
    let (port, outbound) = (sidecar.port(), tls("UpstreamTlsContext", &certificate("edge"), json!({})));
    let edge = Gateway::builder()
        .policy(&edge_policy())
        .edit(move |bootstrap| {
            let cluster = bootstrap.pointer_mut("/static_resources/clusters/0").unwrap();
            let address =
                "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/port_value";
            *cluster.pointer_mut(address).unwrap() = json!(port);
            cluster["transport_socket"] = outbound;
        })
        .start()
        .unwrap();
    (edge, sidecar)
}

#[test]
fn what_the_edge_has_read_the_sidecar_reads() {
    let directory = tempfile::tempdir().unwrap();
    let (edge, _sidecar) = gateways(directory.path());
    let token = |name: &str, value: Value| Token::of("alice").claim(name, value).sign();
    for (what, path, token, status) in [
        ("a list of roles", "/admin", token("roles", json!(["reader", "admin"])), 200),
        ("a string is one role", "/admin", token("roles", json!("not admin")), 403),
        ("a role of that name", "/admin", token("roles", json!("admin")), 200),
        ("a comma would make two roles", "/admin", token("roles", json!("reader,admin")), 401),
        ("a blank would be trimmed", "/admin", token("roles", json!(["x", " admin"])), 401),
        ("an empty role", "/admin", token("roles", json!(["", "admin"])), 401),
        ("two scopes", "/scope", token("scope", json!("a admin")), 200),
        ("one scope with a comma", "/scope", token("scope", json!("a,admin")), 403),
        ("a scope with a blank", "/scope", token("scope", json!(["a admin"])), 401),
        ("a list of scopes", "/scope", token("scope", json!(["a", "admin"])), 200),
        ("the employee", "/alice", token("roles", json!([])), 200),
        ("a number that is not exact", "/alice", token("sub", json!(1e30)), 401),
    ] {
        // What a client writes itself is never handed on.
        let request = Request::get(path).header("x-roles", "admin").header("x-user-provider", "staff");
        let answer = edge.send(request.bearer(&token));
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
    }
    let partner =
        Request::get("/alice").header("x-api-key", "demo-key-acme").header("x-user-provider", "staff");
    assert_eq!(edge.send(partner).status, 403, "another provider's alice");
}
