//! `routing` on a real Envoy: which endpoint answers.

use sluice_integration::tokens::{self, Token};
use sluice_integration::{Gateway, Request};

fn gateway() -> Gateway {
    let policy = format!(
        r#"
version: 1
authn:
  providers:
    - name: staff
      jwt: {{ issuer: "https://id.sluice.demo", audiences: [orders], keys: {{ inline: {} }} }}
  rules:
    - {{ name: claims, match: {{ paths: ["/claim/**", "/canary/**"] }}, require: {{ any: [staff] }} }}
    - {{ name: rest, require: none }}
routing:
  rules:
    - {{ name: cluster, match: {{ paths: ["/other/**"] }}, cluster: other }}
    - {{ name: header, match: {{ headers: {{ x-version: v2 }} }}, subset: v2 }}
    - {{ name: cookie, match: {{ cookies: {{ preview: "on" }} }}, subset: v2 }}
    - {{ name: claim, match: {{ paths: ["/claim/**"] }}, when: {{ claims: {{ tier: beta }} }}, subset: v2 }}
    - {{ name: canary, match: {{ paths: ["/canary/**"] }}, split: {{ sticky: identity.principal, to: [{{ subset: v2, percent: 20 }}, {{ subset: v1, percent: 80 }}] }} }}
"#,
        tokens::key_set(false)
    );
    Gateway::builder().policy(&policy).version("v2").cluster("other").start().unwrap()
}

fn answered_by(gateway: &Gateway, request: Request) -> String {
    let answer = gateway.send(request);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["at"].as_str().unwrap().to_owned()
}

#[test]
fn header_cookie_path_and_claim_choose() {
    let gateway = gateway();
    let beta = Token::of("a").claim("tier", "beta").sign();
    let other = Token::of("a").claim("tier", "alpha").sign();
    for (what, request, expected) in [
        ("nothing", Request::get("/a"), "upstream"),
        ("a header", Request::get("/a").header("x-version", "v2"), "v2"),
        ("the header with another value", Request::get("/a").header("x-version", "v3"), "upstream"),
        ("a cookie", Request::get("/a").header("cookie", "a=b; preview=on; c=d"), "v2"),
        ("another cookie", Request::get("/a").header("cookie", "apreview=on"), "upstream"),
        ("a path", Request::get("/other/a"), "other"),
        ("a claim", Request::get("/claim/a").bearer(&beta), "v2"),
        ("another claim", Request::get("/claim/a").bearer(&other), "upstream"),
    ] {
        assert_eq!(answered_by(&gateway, request), expected, "{what}");
    }
}

#[test]
fn a_client_cannot_choose_for_itself() {
    let gateway = gateway();
    for name in ["x-sluice-subset", "X-SLUICE-SUBSET"] {
        assert_eq!(answered_by(&gateway, Request::get("/a").header(name, "v2")), "upstream");
    }
    assert_eq!(answered_by(&gateway, Request::get("/a").header("x-sluice-cluster", "other")), "upstream");
}

#[test]
fn a_canary_takes_its_share_of_users_and_keeps_them() {
    let gateway = gateway();
    let tokens: Vec<String> = (0..200).map(|user| Token::of(&format!("user-{user}")).sign()).collect();
    let choose = || -> Vec<String> {
        tokens.iter().map(|token| answered_by(&gateway, Request::get("/canary/a").bearer(token))).collect()
    };
    let first = choose();
    assert_eq!(first, choose());
    let canaries = first.iter().filter(|at| *at == "v2").count();
    // Binomial(200, 0.2): mean 40, standard deviation 5.7; the names and the hash are fixed, so this never flickers.
    assert!((20..=60).contains(&canaries), "{canaries}");
}
