use crate::algorithm::Algorithm;
use crate::config::AuthnSection;
use crate::test_tokens::{ISSUER, provider, token};
use serde_json::{Value, json};
use sluice_core::decision::verdict::{LocalReply, Verdict};
use sluice_core::simulation::{SimulatedHost, SimulatedRequest, Stand};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const ROOT: &str = "/.well-known/oauth-protected-resource";

fn section(resources: Value) -> Value {
    json!({ "providers": [provider(json!({}))], "protectedResources": resources })
}

fn stand(section: Value) -> Stand {
    Stand::new::<AuthnSection>("authn", section).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Two resources of one host, one of another.
fn three() -> Stand {
    stand(section(json!([
        { "url": "https://shop.example.com", "name": "Shop", "scopes": ["orders:read"] },
        { "url": "https://shop.example.com/mcp", "authorizationServers": ["https://mcp.example.com"] },
        { "url": "https://other.example.com:8443/a/b" },
    ])))
}

fn request(method: &str, host: &str, path: &str) -> SimulatedRequest {
    SimulatedRequest::new(method, path).at_host(host)
}

fn reply(stand: &Stand, request: &SimulatedRequest) -> LocalReply {
    match stand.play(request, &SimulatedHost::default()).verdict {
        Verdict::Respond(reply) => reply,
        other => panic!("{other:?}"),
    }
}

fn challenge(reply: &LocalReply) -> String {
    let found = reply.headers.iter().find(|(name, _)| name.as_str() == "www-authenticate");
    String::from_utf8(found.unwrap().1.as_bytes().to_vec()).unwrap()
}

#[test]
fn the_document_is_served_to_anybody_under_its_own_host_and_path_alone() {
    let stand = three();
    for (host, path, resource) in [
        ("shop.example.com", ROOT.to_owned(), Some("https://shop.example.com")),
        ("SHOP.example.com:443", ROOT.to_owned(), Some("https://shop.example.com")),
        ("shop.example.com", format!("{ROOT}?x=1"), Some("https://shop.example.com")),
        ("shop.example.com", format!("{ROOT}/mcp"), Some("https://shop.example.com/mcp")),
        ("other.example.com", format!("{ROOT}/a/b"), Some("https://other.example.com:8443/a/b")),
        ("shop.example.com", format!("{ROOT}/"), None),
        ("shop.example.com", format!("{ROOT}/mcp/x"), None),
        ("shop.example.com", format!("{ROOT}x"), None),
        ("other.example.com", ROOT.to_owned(), None),
        ("evil.example.com", ROOT.to_owned(), None),
    ] {
        let reply = reply(&stand, &request("GET", host, &path));
        let Some(resource) = resource else {
            assert_eq!(reply.status, 401, "{host}{path}");
            continue;
        };
        assert_eq!(reply.status, 200, "{host}{path}");
        let content = reply.content.unwrap();
        assert_eq!(content.media_type.as_bytes(), b"application/json");
        let document: Value = serde_json::from_slice(&content.body).unwrap();
        assert_eq!(document["resource"], resource);
    }
}

#[test]
fn the_document_says_where_tokens_are_had_and_how_they_are_shown() {
    let stand = three();
    let document = |path: &str| -> Value {
        let reply = reply(&stand, &request("GET", "shop.example.com", path));
        serde_json::from_slice(&reply.content.unwrap().body).unwrap()
    };
    assert_eq!(
        document(ROOT),
        json!({
            "resource": "https://shop.example.com", "authorization_servers": [ISSUER], "resource_name": "Shop",
            "bearer_methods_supported": ["header"], "scopes_supported": ["orders:read"]
        })
    );
    let mcp = document(&format!("{ROOT}/mcp"));
    assert_eq!(mcp["authorization_servers"], json!(["https://mcp.example.com"]));
}

#[test]
fn a_browser_may_read_it_from_any_site_and_nobody_may_write_it() {
    let stand = three();
    let preflight =
        request("OPTIONS", "shop.example.com", ROOT).header("access-control-request-method", "GET");
    for request in [request("GET", "shop.example.com", ROOT), preflight] {
        let reply = reply(&stand, &request);
        let origin = reply.headers.iter().find(|(name, _)| name.as_str() == "access-control-allow-origin");
        assert_eq!((reply.status, origin.unwrap().1.as_bytes()), (200, b"*".as_slice()));
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "get"] {
        assert_eq!(reply(&stand, &request(method, "shop.example.com", ROOT)).status, 401, "{method}");
    }
}

#[test]
fn challenges_name_the_document_of_the_resource_that_was_asked_for() {
    let stand = three();
    for (host, path, url) in [
        ("shop.example.com", "/", Some("https://shop.example.com/.well-known/oauth-protected-resource")),
        (
            "shop.example.com",
            "/mcp",
            Some("https://shop.example.com/.well-known/oauth-protected-resource/mcp"),
        ),
        (
            "shop.example.com",
            "/mcp/x",
            Some("https://shop.example.com/.well-known/oauth-protected-resource/mcp"),
        ),
        ("shop.example.com", "/mcpx", Some("https://shop.example.com/.well-known/oauth-protected-resource")),
        (
            "other.example.com",
            "/a/b/c",
            Some("https://other.example.com:8443/.well-known/oauth-protected-resource/a/b"),
        ),
        ("other.example.com", "/a", None),
        ("evil.example.com", "/mcp", None),
    ] {
        let challenge = challenge(&reply(&stand, &request("GET", host, path)));
        let expected = url.map(|url| format!(", resource_metadata=\"{url}\"")).unwrap_or_default();
        assert_eq!(challenge, format!("Bearer realm=\"sluice\"{expected}"), "{host}{path}");
    }
    let expired = token(Algorithm::Es256, json!({ "exp": 1 }));
    let request =
        request("GET", "shop.example.com", "/").header("authorization", format!("Bearer {expired}"));
    let challenge = challenge(&reply(&stand, &request));
    assert!(
        challenge.contains("error=\"invalid_token\"") && challenge.contains("resource_metadata="),
        "{challenge}"
    );
}

#[test]
fn in_shadow_nothing_is_answered() {
    let mut section = section(json!([{ "url": "https://shop.example.com" }]));
    section["shadow"] = json!(true);
    let played = stand(section).play(&request("GET", "shop.example.com", ROOT), &SimulatedHost::default());
    assert_eq!(played.verdict, Verdict::Continue);
}

#[test]
fn what_no_client_could_use_is_refused() {
    for (resource, path, message) in [
        (json!({ "url": "shop.example.com" }), "[0].url", "is not the URL of a resource"),
        (json!({ "url": "http://shop.example.com" }), "[0].url", "is not the URL of a resource"),
        (json!({ "url": "https://shop.example.com/?a=b" }), "[0].url", "is not the URL of a resource"),
        (json!({ "url": "https://shop.example.com/#a" }), "[0].url", "is not the URL of a resource"),
        (json!({ "url": "https://me@shop.example.com/" }), "[0].url", "is not the URL of a resource"),
        (json!({ "url": "https://shop.example.com/\"" }), "[0].url", "is not the URL of a resource"),
        (json!({ "url": "https://" }), "[0].url", "is not the URL of a resource"),
        (json!({ "url": "https://shop.example.com/a/../b" }), "[0].url", "is not the normal form"),
        (json!({ "url": "https://shop.example.com/a%62" }), "[0].url", "is not the normal form"),
        (
            json!({ "url": "https://a.example", "authorizationServers": "id" }),
            "[0].authorizationServers[0]",
            "not the issuer",
        ),
        (json!({ "url": "https://a.example", "scopes": ["a b"] }), "[0].scopes[0]", "is not a scope"),
        (json!({ "url": "https://a.example", "documentation": "here" }), "[0].documentation", "is not a URL"),
    ] {
        let problems =
            Stand::new::<AuthnSection>("authn", section(json!([resource]))).map(|_| ()).unwrap_err();
        let problems = problems.to_string();
        assert!(
            problems.contains(&format!("authn.protectedResources{path}")) && problems.contains(message),
            "{problems}"
        );
    }
    let twice = section(json!([{ "url": "https://a.example/" }, { "url": "https://a.example" }]));
    let problems = Stand::new::<AuthnSection>("authn", twice).map(|_| ()).unwrap_err().to_string();
    assert!(problems.contains("another resource has the same host and path"), "{problems}");
    let local = section(json!([{ "url": "http://localhost:8080/mcp" }]));
    assert!(Stand::new::<AuthnSection>("authn", local).is_ok());
}
