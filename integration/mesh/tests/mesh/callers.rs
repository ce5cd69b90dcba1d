//! Who is calling, with Istio's proxies on the way: what one of them writes the next one reads, and nothing that a client wrote.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use serde_json::json;
use sluice_integration::{Error, Gateway, Request, Result};
use sluice_mesh_test::{Mesh, PORT, Plugin, ROOT_NAMESPACE, TRUST_DOMAIN};

use crate::asserts::{read, wait_for_status};
use crate::placement::GATEWAY;
use crate::shipped::render;

/// What some server folds into the same variable as `x-user` or `x-roles` does not come beside what was proven: neither from the
/// one whose word is believed, nor from anybody else.
pub(crate) fn a_name_that_folds_into_a_proven_one_is_removed(mesh: &Mesh) -> Result<()> {
    let policy = |account: &str| {
        format!(
            r#"
version: 1
authn:
  providers:
    - name: caller
      forwarded: {{ peers: ["spiffe://cluster.local/ns/shop/sa/{account}"], principal: x-user, roles: x-roles }}
  rules: [{{ name: all, require: {{ optional: [caller] }} }}]
authz: {{ default: allow }}
telemetry: {{}}
"#
        )
    };
    let mut names = Vec::new();
    for (account, proven) in [("client", Some("alice")), ("orders", None)] {
        let applied =
            mesh.install(&Plugin::new("sluice", &policy(account))?.on("inventory").server().phase("AUTHN"))?;
        mesh.service("inventory").forget();
        let mut request = Request::get("/inventory/teapot").header("x-user", "alice");
        for name in ["X.User", "x_user", "X_USER", "x.roles", "X_Roles", "x~user"] {
            request = request.header(name, "admin");
        }
        assert_eq!(mesh.call("client", "inventory", &request)?.status, 200);
        let arrived = mesh.service("inventory").received();
        let arrived = arrived.last().ok_or("nothing has arrived")?;
        names.clear();
        for (name, value) in &arrived.headers {
            let folded: String =
                name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
            if ["x-user", "x-roles"].contains(&folded.as_str()) {
                names.push((name.clone(), String::from_utf8_lossy(value).into_owned()));
            }
        }
        let expected: Vec<_> =
            proven.map(|user| ("x-user".to_owned(), user.to_owned())).into_iter().collect();
        assert_eq!(names, expected, "believed is the word of {account}");
        applied.remove()?;
    }
    Ok(())
}

/// `x-forwarded-for` with a byte that is no text, through Istio's gateway and a sidecar: only the entry that counts is read, whatever stands
/// beside it. Where that one can't be read, the request is refused; the peer's own address is never taken in its place.
pub(crate) fn what_a_client_writes_into_x_forwarded_for_hides_nothing(mesh: &Mesh) -> Result<()> {
    let policy = |name: &str, address: &str| {
        format!(
            r#"
version: 1
client: {{ address: {address} }}
authz:
  default: deny
  rules:
    - {{ name: {name}-world, deny: true, match: {{ paths: [/denied], client: {{ cidrs: [10.77.0.1/32] }} }} }}
    - {{ name: {name}-others, deny: true, match: {{ paths: [/only-the-world], not: {{ client: {{ cidrs: [10.77.0.1/32] }} }} }} }}
    - {{ name: rest, allow: true }}
telemetry: {{}}
"#
        )
    };
    let _route = mesh.apply(GATEWAY)?;
    let gateway = format!("{}:80", mesh.workload("gateway").namespace().address());
    let ask = |path: &str, forwarded: &[u8]| {
        let request =
            Request::get(path).header("host", "scratch.example").header("x-forwarded-for", forwarded);
        mesh.world().send(&gateway, &request)
    };
    let texts: [&[u8]; 4] = [b"192.0.2.7", b"192.0.2.7\xff", b"\xc3\x28, 10.77.0.9", b"192.0.2.7, \xff"];
    let reason = |path: &str, forwarded: &[u8]| -> Result<(u16, String)> {
        let answer = ask(path, forwarded)?;
        Ok((answer.status, answer.json()["reason"].as_str().unwrap_or_default().to_owned()))
    };

    // At the gateway, whose Envoy appends the peer: the entry before is that of the load balancer, which is trusted here.
    let at_the_gateway = mesh.install(
        &Plugin::new("sluice", &policy("gateway", "{ trustedHops: 1, useRemoteAddress: true }"))?
            .on_the_gateway()
            .on("istio-ingressgateway"),
    )?;
    wait_for_status(mesh, "the gateway to route", 200, || ask("/", b"192.0.2.7"))?;
    let others = (403, "authz.denied.rule:gateway-others".to_owned());
    let unreadable = (400, "request.ambiguous_client_address".to_owned());
    for (text, expected) in texts.into_iter().zip([&others, &unreadable, &others, &unreadable]) {
        assert_eq!(reason("/only-the-world", text)?, *expected, "{}", String::from_utf8_lossy(text));
    }
    at_the_gateway.remove_plugin("sluice")?;

    // At the sidecar: the last entry is what the gateway has appended, since a sidecar's Envoy appends nothing.
    let _at_the_sidecar = mesh.install(
        &Plugin::new("sluice", &policy("sidecar", "{ trustedHops: 1, useRemoteAddress: false }"))?
            .on("orders")
            .server(),
    )?;
    for text in texts {
        let shown = String::from_utf8_lossy(text);
        let (status, why) = reason("/denied", text)?;
        assert_eq!((status, why.as_str()), (403, "authz.denied.rule:sidecar-world"), "{shown}");
        assert_eq!(reason("/only-the-world", text)?.0, 200, "{shown}");
    }
    // Who calls past the gateway writes the last entry alone.
    let past = |text: &[u8]| -> Result<(u16, String)> {
        let answer =
            mesh.call("client", "orders", &Request::get("/denied").header("x-forwarded-for", text))?;
        Ok((answer.status, answer.json()["reason"].as_str().unwrap_or_default().to_owned()))
    };
    assert_eq!(past(b"192.0.2.7, 10.77.0.1\xff")?, (400, "request.ambiguous_client_address".to_owned()));
    Ok(())
}

/// A certificate of the mesh's own authority with two names is nobody's (X.509-SVID §2: exactly one URI), whichever of them comes first:
/// otherwise who may not come in under the one name would, with another one before it. Envoy tells a filter the first only; what
/// `sluice render envoy-filter --beside-wasm-plugin` adds to a sidecar says all of them.
pub(crate) fn a_certificate_with_two_names_is_nobodys(mesh: &Mesh) -> Result<()> {
    let policy = r#"
version: 1
client: { peerIdentityHeader: x-sluice-peer-identity }
authz:
  default: allow
  rules: [{ name: not-evil, deny: true, when: { peers: ["spiffe://cluster.local/ns/shop/sa/evil"] } }]
telemetry: {}
"#;
    let file = mesh.directory().join("peers.policy.yaml");
    std::fs::write(&file, policy).map_err(refused)?;
    let file = file.display().to_string();
    let filter =
        render(&["envoy-filter", &file, "-n", "shop", "-l", "app=inventory", "--beside-wasm-plugin"])?;
    let _filter = mesh.apply(&filter)?;
    let _applied = mesh.install(&Plugin::new("sluice", policy)?.on("inventory").server())?;
    wait_for_status(mesh, "the filter beside the plugin", 200, || read(mesh))?;

    let authority = Authority::of(mesh)?;
    let (other, evil) = ("spiffe://cluster.local/ns/shop/sa/other", "spiffe://cluster.local/ns/shop/sa/evil");
    let ambiguous = (400, "request.ambiguous_peer_identity");
    for (names, (status, reason)) in [
        (&[other][..], (200, "")),
        (&[evil], (403, "authz.denied.rule:not-evil")),
        (&[other, evil], ambiguous),
        (&[evil, other], ambiguous),
        (&[other, other], ambiguous),
    ] {
        let stranger = authority.proxy_of(names, mesh)?;
        mesh.service("inventory").forget();
        // A client's own word in that header counts for nothing.
        for request in [Request::get("/"), Request::get("/").header("x-sluice-peer-identity", other)] {
            let answer = stranger.send(request.header("host", "inventory.shop:8080"));
            let said = answer.json()["reason"].as_str().unwrap_or_default().to_owned();
            assert_eq!((answer.status, said.as_str()), (status, reason), "{names:?}: {}", answer.text());
        }
        let expected = if status == 200 { 2 } else { 0 };
        assert_eq!(mesh.service("inventory").received().len(), expected, "{names:?}");
    }
    Ok(())
}

/// The authority of the mesh: istiod's own, whose key it keeps in a Secret.
struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    fn of(mesh: &Mesh) -> Result<Self> {
        let secret =
            ["get", "secret", "istio-ca-secret", "-n", ROOT_NAMESPACE, "-o", r"jsonpath={.data.ca-key\.pem}"];
        let pem = decoded(&mesh.api().kubectl(&secret)?)?;
        let pem = String::from_utf8(pem).map_err(refused)?;
        let key: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let key = KeyPair::try_from(pkcs8(&decoded(&key)?)).map_err(refused)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        // As istiod names its own.
        params.distinguished_name.push(DnType::OrganizationName, TRUST_DOMAIN);
        Ok(Self(Issuer::new(params, key)))
    }

    /// A proxy outside of the mesh's workloads that calls `inventory` with a certificate of these names.
    fn proxy_of(&self, names: &[&str], mesh: &Mesh) -> Result<Gateway> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for name in names {
            params.subject_alt_names.push(SanType::URI((*name).try_into().map_err(refused)?));
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().map_err(refused)?;
        let certificate = params.signed_by(&key, &self.0).map_err(refused)?;
        let (certificate, key) = (certificate.pem(), key.serialize_pem());
        let address = mesh.workload("inventory").namespace().address().to_string();
        Gateway::builder()
            .edit(move |bootstrap| {
                let cluster = &mut bootstrap["static_resources"]["clusters"][0];
                cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] =
                    json!({ "socket_address": { "address": address, "port_value": PORT } });
                cluster["transport_socket"] = json!({
                    "name": "envoy.transport_sockets.tls",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                        "common_tls_context": { "tls_certificates": [{
                            "certificate_chain": { "inline_string": certificate },
                            "private_key": { "inline_string": key },
                        }] },
                    },
                });
            })
            .start()
    }
}

fn decoded(text: &str) -> Result<Vec<u8>> {
    STANDARD.decode(text.trim()).map_err(refused)
}

/// An RSA key as istiod writes it (PKCS #1), in the form that our library reads (PKCS #8, RFC 5208 §5: version 0, rsaEncryption).
fn pkcs8(key: &[u8]) -> Vec<u8> {
    let element = |tag: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
        [&[tag, 0x82], &length[..], content].concat()
    };
    let algorithm =
        [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    element(0x30, &[&[0x02, 0x01, 0x00][..], &algorithm, &element(0x04, key)].concat())
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::Other(error.to_string())
}
