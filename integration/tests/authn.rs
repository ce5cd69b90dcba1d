//! `authn` on a real Envoy: who is let in with which credential, and what the service gets to know.

use serde_json::{Value, json};
use sluice_integration::tokens::{self, Algorithm, Token};
use sluice_integration::{Answer, Gateway, Request, raw};

/// One JWT provider with the demo issuer's keys, one API-key provider, a path for each kind of rule.
fn policy() -> String {
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
        forward: {{ headers: {{ x-user: sub, x-roles: roles }} }}
    - name: partners
      apiKey:
        from: [{{ header: x-api-key }}]
        keys:
          - {{ id: acme-2026, sha256: 8649cdebee753898fd50e01408a9e438aa5090249bc3e51b65f33dce973b0873, consumer: acme }}
          - {{ id: old, sha256: 0aef9a797b1f4523f91fe6c361cd0df88248789ca6cb8cad188d5030ac2f717e, consumer: old, expires: "2020-01-01T00:00:00Z" }}
        forward: {{ headers: {{ x-consumer: consumer }} }}
  rules:
    - {{ name: public, match: {{ paths: ["/public/**"] }}, require: none }}
    - {{ name: partners, match: {{ paths: ["/partner/**"] }}, require: {{ any: [partners] }} }}
    - {{ name: rest, require: {{ any: [staff] }} }}
telemetry: {{}}
"#,
        keys = tokens::key_set(true)
    )
}

fn assert_refused(gateway: &Gateway, answer: &Answer, what: &str) {
    assert_eq!(answer.status, 401, "{what}: {}", answer.text());
    let challenge = answer.header("www-authenticate").unwrap_or_else(|| panic!("{what}: no challenge"));
    assert!(
        challenge.contains("Bearer") && challenge.contains("error=\"invalid_token\""),
        "{what}: {challenge}"
    );
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
    assert_eq!(gateway.upstream().count(), 0, "{what} reached the service");
}

#[test]
fn a_good_token_of_each_algorithm_is_accepted_and_its_subject_forwarded() {
    let gateway = Gateway::with_policy(&policy());
    for algorithm in Algorithm::ALL {
        // Twice: verified, and remembered.
        for _ in 0..2 {
            let token = Token::of("alice").roles(&["clerk", "reader"]).signed_with(algorithm).sign();
            let answer = gateway.send(Request::get("/a").bearer(&token));
            assert_eq!(answer.status, 200, "{algorithm:?}: {}", answer.text());
            assert_eq!(gateway.upstream().last().headers_named("x-user"), ["alice"], "{algorithm:?}");
            assert_eq!(gateway.upstream().last().headers_named("x-roles"), ["clerk,reader"], "{algorithm:?}");
        }
    }
}

#[test]
fn a_request_without_credential_gets_a_challenge_without_an_error_code() {
    let gateway = Gateway::with_policy(&policy());
    let answer = gateway.get("/a");
    assert_eq!(answer.status, 401);
    // RFC 6750 §3.1: a request that lacks any authentication should get no error code.
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.contains("Bearer") && !challenge.contains("error="), "{challenge}");
    assert!(gateway.details("/a").starts_with("authn."), "{}", gateway.details("/a"));
    assert_eq!(gateway.upstream().count(), 0);
}

#[test]
fn what_is_wrong_with_a_token_is_401_and_never_reaches_the_service() {
    let gateway = Gateway::with_policy(&policy());
    let good = Token::of("alice").sign();
    let parts: Vec<&str> = good.split('.').collect();
    let other = Token::of("mallory").sign();
    let foreign = other.split('.').nth(1).unwrap();
    let header = br#"{"alg":"ES256","kid":"demo-es256"}"#;
    let claims = format!(
        r#"{{"iss":"{}","aud":"orders","sub":"alice","exp":{}}}"#,
        tokens::ISSUER,
        tokens::now() + 60
    );
    let mut wrong = vec![
        ("empty", String::new()),
        ("one part", parts[0].to_owned()),
        ("two parts", parts[..2].join(".")),
        ("four parts", format!("{good}.x")),
        ("five parts, as an encrypted token", format!("{good}.x.y")),
        ("dots only", "..".to_owned()),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("another payload", format!("{}.{foreign}.{}", parts[0], parts[2])),
        ("a signature cut short", good[..good.len() - 4].to_owned()),
        ("a longer signature", format!("{good}AAAA")),
        ("padding", format!("{good}==")),
        ("not Base64", format!("{}.{}.!!!!", parts[0], parts[1])),
        ("the standard alphabet", format!("{}.{}.+/+/", parts[0], parts[1])),
        ("a header that is not JSON", tokens::sign(Algorithm::Es256, b"nonsense", claims.as_bytes())),
        ("a header that is a list", tokens::sign(Algorithm::Es256, b"[]", claims.as_bytes())),
        ("claims that are not JSON", tokens::sign(Algorithm::Es256, header, b"nonsense")),
        ("claims that are a list", tokens::sign(Algorithm::Es256, header, b"[]")),
        ("claims that are not UTF-8", tokens::sign(Algorithm::Es256, header, b"{\"sub\":\"\xff\"}")),
        ("claims that end early", tokens::sign(Algorithm::Es256, header, &claims.as_bytes()[..20])),
        ("claims nested deeply", tokens::sign(Algorithm::Es256, header, "[".repeat(6000).as_bytes())),
        ("expired", Token::of("alice").expires_in(-3600).sign()),
        ("without an end", Token::of("alice").claim("exp", Value::Null).sign()),
        ("an end that is text", Token::of("alice").claim("exp", "tomorrow").sign()),
        ("an end that is negative", Token::of("alice").claim("exp", -1).sign()),
        ("an end that is not", Token::of("alice").claim("exp", json!({})).sign()),
        ("not yet valid", Token::of("alice").claim("nbf", tokens::now() + 3600).sign()),
        ("another issuer", Token::of("alice").claim("iss", "https://evil.example").sign()),
        ("no issuer", Token::of("alice").claim("iss", Value::Null).sign()),
        ("an issuer that is a list", Token::of("alice").claim("iss", json!([tokens::ISSUER])).sign()),
        ("another audience", Token::of("alice").claim("aud", "billing").sign()),
        ("no audience", Token::of("alice").claim("aud", Value::Null).sign()),
        ("an audience that is a number", Token::of("alice").claim("aud", 7).sign()),
        ("an unknown key", Token::of("alice").header("kid", "demo-nobody").sign()),
        ("a key id that is a number", Token::of("alice").header("kid", 7).sign()),
        ("a key id that climbs", Token::of("alice").header("kid", "../../etc/passwd").sign()),
        ("algorithm none", Token::of("alice").header("alg", "none").sign()),
        ("algorithm None", Token::of("alice").header("alg", "None").sign()),
        ("algorithm missing", Token::of("alice").header("alg", Value::Null).sign()),
        ("algorithm a number", Token::of("alice").header("alg", 256).sign()),
        ("the key's algorithm differs", Token::of("alice").header("alg", "RS256").sign()),
        ("another algorithm's key", Token::of("alice").header("kid", "demo-rs256").sign()),
        ("the public key as HMAC secret", tokens::algorithm_confusion("alice")),
        (
            "a critical extension",
            Token::of("alice").header("crit", json!(["b64"])).header("b64", false).sign(),
        ),
        (
            "a key of its own",
            Token::of("alice")
                .header("jwk", json!({"kty": "oct", "k": "AAAA"}))
                .header("kid", Value::Null)
                .header("alg", "HS256")
                .sign(),
        ),
    ];
    for algorithm in Algorithm::ALL {
        let token = Token::of("alice").signed_with(algorithm).sign();
        let (input, signature) = token.rsplit_once('.').unwrap();
        let changed = if signature.starts_with('A') { "B" } else { "A" };
        wrong.push(("a changed signature", format!("{input}.{changed}{}", &signature[1..])));
        wrong.push(("a signature of zeros", format!("{input}.{}", "A".repeat(signature.len()))));
    }
    for (what, token) in &wrong {
        let answer = gateway.send(Request::get("/a").bearer(token));
        if token.is_empty() {
            // `Bearer` with nothing: as good as no credential.
            assert_eq!(answer.status, 401, "{what}");
            continue;
        }
        assert_refused(&gateway, &answer, what);
    }
    // And still a good one is good.
    assert_eq!(gateway.send(Request::get("/a").bearer(&good)).status, 200);
}

#[test]
fn a_credential_that_comes_twice_is_refused() {
    let gateway = Gateway::with_policy(&policy());
    let bearer = format!("Bearer {}", Token::of("alice").sign());
    // Envoy joins two lines of `authorization` to one, which is no token; of other headers both arrive, and RFC 6750 §3.1 calls that
    // `invalid_request`, answered with 400.
    for (path, name, value, status, reason) in [
        ("/a", "authorization", bearer.as_str(), 401, "authn.token_malformed"),
        ("/partner/a", "x-api-key", "demo-key-acme", 400, "authn.credential_repeated"),
    ] {
        let twice: [(&[u8], &[u8]); 2] =
            [(name.as_bytes(), value.as_bytes()), (name.as_bytes(), value.as_bytes())];
        let answer = gateway.send_raw(&raw::request("GET", path.as_bytes(), &twice, b"")).unwrap();
        assert_eq!((answer.status, gateway.details(path).as_str()), (status, reason), "{name}");
    }
    assert_eq!(gateway.upstream().count(), 0);
}

#[test]
fn a_remembered_token_is_not_taken_for_one_that_differs_in_its_last_letter() {
    let gateway = Gateway::with_policy(&policy());
    let token = Token::of("alice").sign();
    assert_eq!(gateway.send(Request::get("/a").bearer(&token)).status, 200);
    assert_eq!(gateway.send(Request::get("/a").bearer(&token)).status, 200);
    for position in [token.len() - 2, token.len() / 2, 10] {
        let mut changed = token.clone().into_bytes();
        changed[position] = if changed[position] == b'x' { b'y' } else { b'x' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(gateway.send(Request::get("/a").bearer(&changed)).status, 401, "changed at {position}");
    }
}

#[test]
fn identity_headers_of_a_client_are_always_removed() {
    let gateway = Gateway::with_policy(&policy());
    let forged = |path: &str| {
        Request::get(path)
            .header("x-user", "root")
            .header("X-User", "admin")
            .header("x-roles", "admin")
            .header("x-consumer", "acme")
    };
    assert_eq!(gateway.send(forged("/public/a")).status, 200);
    for name in ["x-user", "x-roles", "x-consumer"] {
        assert!(gateway.upstream().last().headers_named(name).is_empty(), "{name}");
    }
    assert_eq!(gateway.send(forged("/a").bearer(&Token::of("alice").sign())).status, 200);
    assert_eq!(gateway.upstream().last().headers_named("x-user"), ["alice"]);
    assert!(gateway.upstream().last().headers_named("x-roles").is_empty());
    assert!(gateway.upstream().last().headers_named("x-consumer").is_empty());
}

#[test]
fn api_keys_are_known_by_their_digest_and_expire() {
    let gateway = Gateway::with_policy(&policy());
    let with = |key: &str| gateway.send(Request::get("/partner/a").header("x-api-key", key));
    assert_eq!(with("demo-key-acme").status, 200);
    assert_eq!(gateway.upstream().last().headers_named("x-consumer"), ["acme"]);
    gateway.upstream().forget();
    for (what, key) in [
        ("unknown", "demo-key-nobody"),
        ("expired", "demo-key-globex"),
        ("empty", ""),
        ("the digest itself", "8649cdebee753898fd50e01408a9e438aa5090249bc3e51b65f33dce973b0873"),
        ("a prefix", "demo-key-acm"),
        ("a longer one", "demo-key-acmee"),
        ("another case", "DEMO-KEY-ACME"),
    ] {
        let answer = with(key);
        assert_eq!(answer.status, 401, "{what}");
        assert!(answer.header("www-authenticate").is_some(), "{what}");
    }
    assert_eq!(gateway.send(Request::get("/partner/a").bearer(&Token::of("alice").sign())).status, 401);
    assert_eq!(gateway.upstream().count(), 0);
}

#[test]
fn a_claim_that_no_header_can_carry_adds_no_header() {
    let gateway = Gateway::with_policy(&policy());
    for subject in
        ["alice\r\nx-admin: yes", "alice\nx-admin: yes", "alice\0", "al\u{7f}ice", "\r\n\r\nGET / HTTP/1.1"]
    {
        gateway.upstream().forget();
        let answer = gateway.send(Request::get("/a").bearer(&Token::of(subject).sign()));
        assert!(
            answer.status == 200 || answer.status == 401 || answer.status == 403,
            "{subject:?}: {}",
            answer.status
        );
        for received in gateway.upstream().received() {
            assert_eq!(received.header("x-admin"), None, "{subject:?}");
            assert!(received.headers_named("x-user").is_empty(), "{subject:?}");
        }
    }
}

/// The policy of `docs/examples/shared-secret.yaml` on an Envoy whose VM has this environment.
fn gateway_with_environment(variables: Value) -> sluice_integration::Result<Gateway> {
    let policy = include_str!("../../docs/examples/shared-secret.yaml");
    let edit = move |bootstrap: &mut Value| {
        let filters = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";
        for filter in bootstrap.pointer_mut(filters).and_then(Value::as_array_mut).unwrap() {
            if let Some(vm) = filter.pointer_mut("/typed_config/config/vm_config") {
                vm["environment_variables"] = json!({ "key_values": variables.clone() });
            }
        }
    };
    Gateway::builder().policy(policy).edit(edit).start()
}

#[test]
fn a_secret_comes_from_the_environment_of_the_vm() {
    let secret = base64::Engine::encode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        tokens::HS256_SECRET.trim(),
    );
    let gateway = gateway_with_environment(json!({ "SLUICE_STAFF_SECRET": secret })).unwrap();
    let token = Token::of("alice").signed_with(Algorithm::Hs256).sign();
    assert_eq!(gateway.send(Request::get("/a").bearer(&token)).status, 200);
    assert_eq!(gateway.upstream().last().headers_named("x-user"), ["alice"]);
    let mut forged = token.clone();
    forged.pop();
    forged.push(if token.ends_with('A') { 'Q' } else { 'A' });
    assert_eq!(gateway.send(Request::get("/b").bearer(&forged)).status, 401);
    assert!(!gateway.envoy().log().contains(&secret));
}

#[test]
fn without_its_secret_the_policy_is_refused() {
    let error = gateway_with_environment(json!({ "ANOTHER": "x" })).map(drop).unwrap_err().to_string();
    assert!(
        error.contains("keys[0].k: there is no environment variable `SLUICE_STAFF_SECRET`"),
        "the log says which: {error}"
    );
}
