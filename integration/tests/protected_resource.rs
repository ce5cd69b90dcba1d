//! What a client that knows nothing learns of how to get a token (RFC 9728), on a real Envoy.

use serde_json::json;
use sluice_integration::tokens::{self, Token};
use sluice_integration::{Gateway, Request};

fn gateway() -> Gateway {
    let policy = json!({ "version": 1, "telemetry": {}, "authn": {
        "protectedResources": [
            { "url": "http://localhost/mcp", "scopes": ["tools:call"] },
            { "url": "https://other.example.com", "authorizationServers": "https://id.example.com" }
        ],
        "providers": [{ "name": "staff", "jwt": {
            "issuer": tokens::ISSUER, "audiences": ["orders"], "keys": { "inline": tokens::key_set(false) }
        } }]
    } });
    Gateway::with_policy(&policy.to_string())
}

fn at(host: &str, method: &str, path: &str) -> Request {
    Request::new(method, path).header("host", host)
}

#[test]
fn from_the_first_401_a_client_finds_its_way() {
    let gateway = gateway();
    let refused = gateway.send(at("localhost", "POST", "/mcp"));
    assert_eq!(refused.status, 401);
    let challenge = refused.header("www-authenticate").unwrap();
    let (_, url) = challenge.split_once("resource_metadata=\"").unwrap_or_else(|| panic!("{challenge}"));
    let path = url.strip_suffix('"').and_then(|url| url.strip_prefix("http://localhost")).unwrap();

    let answer = gateway.send(at("localhost", "GET", path));
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    // RFC 9728 §3.3: the client takes it only if it is of the URL that it called.
    let document = answer.json();
    assert_eq!(document["resource"], "http://localhost/mcp");
    assert_eq!(document["authorization_servers"], json!([tokens::ISSUER]));
    assert_eq!(document["scopes_supported"], json!(["tools:call"]));
    assert_eq!(gateway.upstream().count(), 0);

    let token = Token::of("alice").sign();
    assert_eq!(gateway.send(at("localhost", "POST", "/mcp").bearer(&token)).status, 200);
}

#[test]
fn nothing_but_the_document_is_open() {
    let gateway = gateway();
    let root = "/.well-known/oauth-protected-resource";
    for (host, method, path, status) in [
        ("localhost", "HEAD", "/.well-known/oauth-protected-resource/mcp", 200),
        ("localhost", "GET", "/.well-known/oauth-protected-resource/mcp?a=b", 200),
        ("other.example.com", "GET", root, 200),
        ("localhost", "GET", root, 401),
        ("other.example.com", "GET", "/.well-known/oauth-protected-resource/mcp", 401),
        ("evil.example.com", "GET", root, 401),
        ("other.example.com", "POST", root, 401),
        ("other.example.com", "GET", "/.well-known/oauth-protected-resource/", 401),
    ] {
        let answer = gateway.send(at(host, method, path));
        assert_eq!(answer.status, status, "{method} {host}{path}: {}", answer.text());
    }
    // However the proxy reads them.
    for path in ["/../admin", "/%2e%2e/admin", "%2f", "//x", "/;x", "/%"] {
        let path = format!("{root}{path}");
        let status = gateway.send(at("other.example.com", "GET", &path)).status;
        assert!(matches!(status, 400 | 401), "{path}: {status}");
    }
    assert_eq!(gateway.upstream().count(), 0);
}
