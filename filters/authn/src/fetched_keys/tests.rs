use super::*;
use crate::test_tokens::{ISSUER, jwk};
use serde_json::json;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn read(set: &Value) -> Result<Parsed<KeySet>, String> {
    read_set(set.to_string().as_bytes(), AlgorithmSet::quick())
}

#[test]
fn what_of_a_set_is_no_good_is_left_out_and_said() {
    let mut private = jwk("ed");
    private["d"] = json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    let mut encryption = jwk("rsa");
    encryption["use"] = json!("enc");
    for (bad, why) in [
        (json!(7), "not a JWK"),
        (json!({ "kid": 7 }), "not a JWK"),
        (json!({ "kty": "RSA" }), "`n`: missing"),
        (json!({ "kty": "AKP", "alg": "ML-DSA-44" }), "`kty`: `AKP` is not supported"),
        (jwk("secret"), "a shared secret"),
        (json!({ "kty": "oct", "k": { "environment": "PATH" } }), "a shared secret"),
        (private, "`d`: part of a private key"),
        (encryption, "`use`: `enc`"),
        (jwk("p384"), "`alg`: it verifies `ES384`"),
    ] {
        let Parsed { value, remarks } = read(&json!({ "keys": [bad, jwk("p256")], "more": 1 })).unwrap();
        assert!(value.names("p256"), "{bad}");
        let [remark] = &remarks[..] else { panic!("{remarks:?}") };
        assert!(remark.starts_with("keys[0]") && remark.contains(why), "{bad}: {remark}");
        let alone = read(&json!({ "keys": [bad] })).unwrap_err();
        assert!(alone.starts_with("no key can be used: keys[0]") && alone.contains(why), "{alone}");
    }
}

#[test]
fn remarks_are_few_and_short() {
    let bad: Vec<Value> = (0..50).map(|_| json!({ "kty": "RSA", "kid": "k".repeat(500) })).collect();
    let set = json!({ "keys": ([bad, vec![jwk("p256")]].concat()) });
    let remarks = read(&set).unwrap().remarks;
    assert_eq!((remarks.len(), remarks.last().unwrap().as_str()), (5, "46 more keys are left out"));
    assert!(remarks.iter().all(|remark| remark.len() < 200));
}

#[test]
fn what_is_no_set_is_refused() {
    let many: Vec<Value> = (0..101).map(|_| jwk("p256")).collect();
    for (set, why) in [
        (json!({}), "no list `keys`"),
        (json!([]), "no list `keys`"),
        (json!({ "keys": {} }), "no list `keys`"),
        (json!({ "keys": [] }), "it is empty"),
        (json!({ "keys": many }), "at most 100"),
    ] {
        let problem = read(&set).unwrap_err();
        assert!(problem.contains(why), "{problem}");
    }
    for text in ["", "<html>", "{\"keys\": [], \"keys\": []}", "{\"keys\": []} x"] {
        let problem = read_set(text.as_bytes(), AlgorithmSet::quick()).unwrap_err();
        assert!(problem.starts_with("not JSON"), "{problem}");
    }
}

#[test]
fn an_issuers_url_is_one_of_http_without_query() {
    for (text, expected) in [
        ("https://id.example.com", Some(("https", "id.example.com", ""))),
        ("https://ID.example.com:443/", Some(("https", "id.example.com", "/"))),
        ("https://id.example.com:8443/realms/a", Some(("https", "id.example.com:8443", "/realms/a"))),
        ("http://127.0.0.1:80/a?b=c", Some(("http", "127.0.0.1", "/a?b=c"))),
        ("https://[::1]:8443", Some(("https", "[::1]:8443", ""))),
        ("id.example.com", None),
        ("ftp://id.example.com", None),
        ("https://", None),
        ("https:///keys", None),
        ("https://user@id.example.com/", None),
        ("https://id.example.com?x", None),
        ("https://id.example.com/#x", None),
        ("https://id.example.com/a b", None),
        ("https://id.example.com/\r\nx: y", None),
        ("https://id.example.com\\@evil/", None),
    ] {
        let url = IssuerUrl::read(text);
        let parts = url.as_ref().map(|url| (url.scheme.as_str(), url.authority.as_str(), url.path.as_str()));
        assert_eq!(parts, expected, "{text:?}");
    }
    let metadata = |text: &str| IssuerUrl::read(text).unwrap().metadata_path();
    assert_eq!(metadata("https://a.example"), "/.well-known/openid-configuration");
    assert_eq!(metadata("https://a.example/t/"), "/t/.well-known/openid-configuration");
}

#[test]
fn metadata_leads_nowhere_but_to_keys_of_the_same_issuer() {
    let read =
        |metadata: Value| read_metadata(metadata.to_string().as_bytes(), ISSUER, "https", "id.example.com");
    let with = |issuer: Value, uri: Value| read(json!({ "issuer": issuer, "jwks_uri": uri }));
    let keys = "https://id.example.com/keys";
    assert_eq!(with(json!(ISSUER), json!(keys)), Ok("/keys".to_owned()));
    assert_eq!(with(json!(ISSUER), json!("https://ID.EXAMPLE.com:443")), Ok("/".to_owned()));
    for (issuer, uri, why) in [
        (json!("https://id.example.com/"), json!(keys), "another issuer"),
        (json!("https://evil.example.com"), json!(keys), "another issuer"),
        (json!(null), json!(keys), "no text `issuer`"),
        (json!(ISSUER), json!(null), "no text `jwks_uri`"),
        (json!(ISSUER), json!("/keys"), "no URL"),
        (json!(ISSUER), json!("https://evil.example.com/keys"), "not at https://id.example.com"),
        (json!(ISSUER), json!("https://id.example.com:8443/keys"), "not at https://id.example.com"),
        (json!(ISSUER), json!("http://id.example.com/keys"), "not at https://id.example.com"),
        (json!(ISSUER), json!("https://id.example.com@evil.example.com/keys"), "no URL"),
    ] {
        let problem = with(issuer, uri).unwrap_err();
        assert!(problem.contains(why), "{problem}");
    }
    let twice = format!(r#"{{"issuer":"{ISSUER}","issuer":"x","jwks_uri":"{keys}"}}"#);
    assert!(read_metadata(twice.as_bytes(), ISSUER, "https", "id.example.com").is_err());
}

#[cfg(not(target_arch = "wasm32"))]
proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64), at in 0_usize..400) {
        let mut set = json!({ "keys": [jwk("p256"), jwk("rsa"), jwk("ed")], "issuer": ISSUER, "jwks_uri": "https://id.example.com/keys" })
            .to_string()
            .into_bytes();
        let at = at.min(set.len());
        let until = (at + bytes.len() / 2).min(set.len());
        set.splice(at..until, bytes.iter().copied());
        for text in [&bytes, &set] {
            let _ = read_set(text, AlgorithmSet::quick());
            if let Ok(path) = read_metadata(text, ISSUER, "https", "id.example.com") {
                proptest::prop_assert!(path.starts_with('/') && path.bytes().all(|byte| (0x21..0x7f).contains(&byte)));
            }
        }
    }
}
