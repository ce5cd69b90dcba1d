//! `authz` on a real Envoy: who may do what.

use std::net::Ipv4Addr;

use sluice_integration::tokens::{self, Token};
use sluice_integration::{Client, Gateway, Request, raw};

fn policy() -> String {
    format!(
        r#"
version: 1
client: {{ address: {{ peerHeader: x-sluice-peer }} }}
definitions:
  ipLists:
    office: {{ cidrs: [127.0.0.2/32] }}
authn:
  providers:
    - name: staff
      jwt: {{ issuer: "https://id.sluice.demo", audiences: [orders], keys: {{ inline: {keys} }} }}
  rules:
    - {{ name: public, match: {{ paths: [/open] }}, require: none }}
    - {{ name: rest, require: {{ any: [staff] }} }}
authz:
  roles:
    reader: {{ permissions: ["orders:read"] }}
    clerk: {{ inherits: [reader], permissions: ["orders:write"] }}
  default: deny
  rules:
    - {{ name: office-only, deny: true, match: {{ paths: [/admin, "/admin/**"], not: {{ client: {{ ipLists: [office] }} }} }} }}
    - {{ name: admin, allow: true, match: {{ paths: [/admin, "/admin/**"] }}, when: {{ roles: [admin] }} }}
    - {{ name: open, allow: true, match: {{ paths: [/open] }} }}
    - {{ name: scope, allow: true, match: {{ paths: ["/scope/**"] }}, when: {{ scopes: {{ all: ["a", "b"] }} }} }}
    - {{ name: read, allow: true, match: {{ paths: ["/orders/**"], methods: [GET] }}, when: {{ permissions: ["orders:read"] }} }}
    - {{ name: write, allow: true, match: {{ paths: ["/orders/**"], methods: [POST] }}, when: {{ permissions: ["orders:write"] }} }}
telemetry: {{}}
"#,
        keys = tokens::key_set(false)
    )
}

#[test]
fn roles_scopes_and_permissions_decide_and_what_no_rule_allows_is_denied() {
    let gateway = Gateway::with_policy(&policy());
    let token = |token: Token| token.sign();
    let reader = token(Token::of("r").roles(&["reader"]));
    let clerk = token(Token::of("c").roles(&["clerk"]));
    let nobody = token(Token::of("n"));
    let both = token(Token::of("s").scope("b x a"));
    let one = token(Token::of("s").scope("a"));
    let glued = token(Token::of("s").scope("ab"));
    for (what, method, path, bearer, status) in [
        ("an open path needs nobody", "GET", "/open", None, 200),
        ("a reader reads", "GET", "/orders/1", Some(&reader), 200),
        ("a reader does not write", "POST", "/orders/1", Some(&reader), 403),
        ("a clerk writes", "POST", "/orders/1", Some(&clerk), 200),
        ("a clerk reads, inheriting", "GET", "/orders/1", Some(&clerk), 200),
        ("nobody's roles give nothing", "GET", "/orders/1", Some(&nobody), 403),
        ("a method that no rule names", "DELETE", "/orders/1", Some(&clerk), 403),
        ("a path that no rule names", "GET", "/elsewhere", Some(&clerk), 403),
        ("all scopes", "GET", "/scope/x", Some(&both), 200),
        ("not all scopes", "GET", "/scope/x", Some(&one), 403),
        ("scopes are words", "GET", "/scope/x", Some(&glued), 403),
    ] {
        gateway.upstream().forget();
        let mut request = Request::new(method, path);
        if let Some(bearer) = bearer {
            request = request.bearer(bearer);
        }
        let answer = gateway.send(request);
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert_eq!(gateway.upstream().count(), usize::from(status == 200), "{what}");
        if status == 403 {
            assert!(gateway.details(path).starts_with("authz.denied"), "{what}: {}", gateway.details(path));
        }
    }
}

#[test]
fn a_network_decides_by_the_connections_peer_whatever_the_client_writes() {
    let gateway = Gateway::with_policy(&policy());
    let admin = Token::of("a").roles(&["admin"]).sign();
    let from = |address: Ipv4Addr, request: Request| {
        Client::from_address(address, gateway.port()).send(&request.bearer(&admin)).unwrap().status
    };
    let office = Ipv4Addr::new(127, 0, 0, 2);
    let outside = Ipv4Addr::new(127, 0, 0, 3);
    assert_eq!(from(office, Request::get("/admin/x")), 200);
    assert_eq!(from(outside, Request::get("/admin/x")), 403);
    for header in ["x-forwarded-for", "x-sluice-peer", "x-real-ip", "x-envoy-external-address", "forwarded"] {
        assert_eq!(from(outside, Request::get("/admin/x").header(header, "127.0.0.2")), 403, "{header}");
    }
}

#[test]
fn no_spelling_of_a_path_gets_around_a_rule() {
    let gateway = Gateway::with_policy(&policy());
    let admin = format!("Bearer {}", Token::of("a").roles(&["reader"]).sign());
    for path in [
        "/admin",
        "/admin/",
        "//admin/x",
        "/./admin/x",
        "/x/../admin/x",
        "/%61dmin/x",
        "/admin%2fx",
        "/admin%5cx",
        "/admin\\x",
        "/admin;/x",
        "/admin/x;a=b",
        "/admin/%2e%2e/admin/x",
        "/orders/../admin/x",
        "/orders/%2e%2e/admin/x",
        "/orders/..%2fadmin/x",
        "/orders/x%00",
        "/orders/%",
        "/orders/%zz",
        "/ADMIN/x",
        "/admin/x?y=/orders/",
        "/admin/x#/orders/1",
        "/orders/..;/admin/x",
        "/orders//../../admin/x",
    ] {
        gateway.upstream().forget();
        let answer = gateway.send_raw(&raw::request(
            "GET",
            path.as_bytes(),
            &[(b"authorization", admin.as_bytes())],
            b"",
        ));
        let Ok(answer) = answer else { continue };
        for received in gateway.upstream().received() {
            // What got through is an order, and no server can read it as anything below /admin.
            let arrived = received.path.to_ascii_lowercase();
            assert!(
                arrived.starts_with("/orders/") && !arrived.contains("admin") && !arrived.contains(".."),
                "{path} → {arrived}"
            );
        }
        assert!(matches!(answer.status, 200 | 307 | 400 | 403 | 404), "{path}: {}", answer.status);
    }
}
