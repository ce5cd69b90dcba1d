use super::*;
use crate::test_tokens::encode;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn token(header: &str, payload: &str) -> String {
    format!("{}.{}.{}", encode(header), encode(payload), encode("signature"))
}

#[test]
fn a_token_is_taken_apart() {
    let token = token(r#"{"alg":"ES256","kid":"k","typ":"application/AT+JWT"}"#, r#"{"iss":"i","sub":"s"}"#);
    let jws = Jws::parse(token.as_bytes()).unwrap();
    assert_eq!(jws.algorithm, Algorithm::Es256);
    assert_eq!((jws.key_id.as_deref(), jws.media_type.as_deref()), (Some("k"), Some("at+jwt")));
    assert_eq!(jws.issuer(), Some("i"));
    assert_eq!(jws.signature, b"signature");
    let (signed, _) = token.rsplit_once('.').unwrap();
    assert_eq!(jws.signed(token.as_bytes()), signed.as_bytes());
}

#[test]
fn what_has_not_the_form_of_a_token_is_malformed() {
    let (header, payload) = (encode(r#"{"alg":"ES256"}"#), encode("{}"));
    let cases: Vec<Vec<u8>> = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "abc".to_owned(),
        header.clone(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.AA.AA"),
        format!("{header}.{payload}.AA."),
        format!(".{payload}.AA"),
        format!("{header}..AA"),
        format!("{header}.{payload}.AA.AA.AA"),
        format!(" {header}.{payload}.AA"),
        format!("{header}.{payload}.AA "),
        format!("{header}.{payload}.AA\n"),
        format!("{header}.{payload}.A"),
        format!("{header}.{payload}.AA=="),
        // The last bits of the last digit must be zero: each signature has one spelling.
        format!("{header}.{payload}.AB"),
        format!("{header}.{payload}.A+"),
        format!("{header}.{payload}.A/"),
        format!("{header}.{payload}.A\u{e9}"),
        format!("{header}={payload}.AA.AA"),
        format!("{header}==.{payload}.AA"),
        format!("Bearer {header}.{payload}.AA"),
        format!("{header},{payload}.AA.AA"),
        // Standard Base64 with its padding.
        "eyJhbGciOiJFUzI1NiJ9Cg==.e30.AA".to_owned(),
        token("", "{}"),
        token("null", "{}"),
        token("[]", "{}"),
        token(r#""alg""#, "{}"),
        token("{}", "{}"),
        token(r#"{"alg":7}"#, "{}"),
        token(r#"{"alg":null}"#, "{}"),
        token(r#"{"alg":["ES256"]}"#, "{}"),
        token(r#"{"alg":"ES256","alg":"none"}"#, "{}"),
        token(r#"{"alg":"ES256","kid":7}"#, "{}"),
        token(r#"{"alg":"ES256","kid":null}"#, "{}"),
        token(r#"{"alg":"ES256","typ":{}}"#, "{}"),
        token(r#"{"alg":"ES256"} "#, "{} x"),
        token(r#"{"alg":"ES256"}"#, ""),
        token(r#"{"alg":"ES256"}"#, "[]"),
        token(r#"{"alg":"ES256"}"#, r#""sub""#),
        token(r#"{"alg":"ES256"}"#, "1"),
        token(r#"{"alg":"ES256"}"#, r#"{"sub":"a","sub":"b"}"#),
        token(r#"{"alg":"ES256"}"#, r#"{"a":{"b":1,"b":2}}"#),
        token(r#"{"alg":"ES256"}"#, "{\"sub\":\"a\""),
        token(r#"{"alg":"ES256"}"#, &"[".repeat(3000)),
        // A token within a token (RFC 7519 §5.2): its payload is no claims.
        token(r#"{"alg":"ES256","cty":"JWT"}"#, "eyJ.e30.AA"),
    ]
    .into_iter()
    .map(String::into_bytes)
    .chain([
        vec![0xff; 30],
        b"\0.\0.\0".to_vec(),
        [header.as_bytes(), b".\xff\xfe.AA"].concat(),
        format!("{}.{}.AA", encode(b"{\"alg\":\"ES256\",\"x\":\"\xff\"}"), payload).into_bytes(),
    ])
    .collect();
    for case in cases {
        let shown = String::from_utf8_lossy(&case);
        assert_eq!(Jws::parse(&case).err(), Some(Failure::TokenMalformed), "{shown}");
    }
}

#[test]
fn extensions_that_must_be_understood_are_not() {
    for header in [
        r#"{"alg":"ES256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"ES256","crit":[]}"#,
        r#"{"alg":"ES256","crit":null}"#,
        r#"{"alg":"ES256","b64":false}"#,
        r#"{"alg":"ES256","b64":true,"crit":["b64"]}"#,
    ] {
        assert_eq!(
            Jws::parse(token(header, "{}").as_bytes()).err(),
            Some(Failure::CriticalHeader),
            "{header}"
        );
    }
}

#[test]
fn algorithms_that_nobody_accepts_are_refused_and_case_matters() {
    for algorithm in
        ["none", "None", "NONE", "nOnE", "", "es256", "ES256 ", "ES256K", "ES512", "RS1", "A128KW", "dir"]
    {
        let token = token(&format!(r#"{{"alg":"{algorithm}"}}"#), "{}");
        assert_eq!(Jws::parse(token.as_bytes()).err(), Some(Failure::AlgorithmNotAllowed), "{algorithm}");
    }
    // RFC 7519 §6.1, an unsecured token.
    let unsecured = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.";
    assert_eq!(Jws::parse(unsecured.as_bytes()).err(), Some(Failure::AlgorithmNotAllowed));
}

#[test]
fn keys_that_a_token_brings_along_are_not_even_looked_at() {
    let header = r#"{"alg":"ES256","jwk":{"kty":"oct","k":"AA"},"jku":"https://evil.example","x5u":"https://evil.example","x5c":["AA"]}"#;
    assert_eq!(Jws::parse(token(header, "{}").as_bytes()).unwrap().key_id, None);
}

#[cfg(not(target_arch = "wasm32"))]
proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(token: Vec<u8>) {
        let _ = Jws::parse(&token);
    }

    #[test]
    fn no_parts_make_it_panic(header: Vec<u8>, claims: Vec<u8>, signature: Vec<u8>) {
        let _ = Jws::parse(format!("{}.{}.{}", encode(header), encode(claims), encode(signature)).as_bytes());
    }

    #[test]
    fn one_token_has_one_spelling(position: proptest::sample::Index, byte: u8) {
        let good = token(r#"{"alg":"ES256"}"#, r#"{"sub":"a"}"#).into_bytes();
        let mut other = good.clone();
        let position = position.index(other.len());
        other[position] = byte;
        if let (Ok(one), Ok(two)) = (Jws::parse(&good), Jws::parse(&other)) {
            // Base64url here is strict: another digit is other content.
            let same = one.signed(&good) == two.signed(&other) && one.signature == two.signature;
            proptest::prop_assert_eq!(same, good == other);
        }
    }
}
