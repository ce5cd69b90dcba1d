use super::*;

/// The lines of a document as they are shown.
fn shown(document: &str) -> String {
    let secrets = Secrets::of(document.as_bytes());
    let lines = yaml::lines(document).enumerate();
    lines.map(|(index, line)| secrets.line(index + 1, line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn values_are_hidden_by_where_they_stand() {
    for (document, expected) in [
        ("keys: [{ kty: oct, k: ZGVtby1z, kid: demo }]", "keys: [{ kty: oct, k: ********, kid: demo }]"),
        (
            r#"{"keys":[{"kty":"oct","k":"ZGVtby1z","x":"public"}]}"#,
            r#"{"keys":[{"kty":"oct","k":"********","x":"public"}]}"#,
        ),
        ("k: |\n  ab cd\n  - x", "k: |\n  ** **\n  - *"),
        ("k: &anchor !tag x", "k: ******* **** *"),
        ("k: x # was y", "k: * # *** *"),
        ("k: { environment: NAME }", "k: { environment: NAME }"),
        ("k: { environment: na-me }", "k: { environment: ***** }"),
        (
            "apiKey: { from: { header: x-api-key }, keys: [{ id: a, zzz: b }] }",
            "apiKey: { from: { header: x-api-key }, keys: [{ id: a, ***: * }] }",
        ),
        (
            "rateLimit: { rules: [{ key: client.address }] }",
            "rateLimit: { rules: [{ key: client.address }] }",
        ),
        ("jwt: { forward: { token: keep } }", "jwt: { forward: { token: keep } }"),
        (
            "match: { headers: { authorization: Basic abc, x-a: b } }",
            "match: { headers: { authorization: ***** ***, x-a: b } }",
        ),
        (
            "keys: { discovery: { cluster: id, keys: { cluster: other } } }",
            "keys: { discovery: { cluster: id, keys: { cluster: other } } }",
        ),
        ("keys: { remote: { k: abcd, cluster: id } }", "keys: { remote: { k: ****, cluster: id } }"),
        ("keys: { remote: { k: abcd } }", "keys: { remote: { k: **** } }"),
        ("keys: { remote: abcd }", "keys: { remote: **** }"),
        ("kinds: abcd # d ok", "kinds: abcd # d ok"),
        // Broken off: all but names of fields, behind the first sensitive word.
        (
            "version: 1\na: b [\nsha256: abc\n: : consumer: x",
            "version: 1\na: b [\nsha256: ***\n: : consumer: x",
        ),
    ] {
        assert_eq!(shown(document), expected);
    }
}

#[test]
fn messages_lose_what_stands_where_a_credential_belongs() {
    let secrets = Secrets::of(
        b"authn: { providers: [{ name: p, apiKey: { keys: [{ sha256: \"ab\\\"cd\", s3cret: 1 }] } }] }",
    );
    assert_eq!(
        secrets.redact("`ab\"cd` or \"ab\\\"cd\" at keys[0].s3cret of p"),
        "`***` or \"***\" at keys[0].*** of p"
    );
    assert_eq!(Secrets::of(b"version: 1").redact("as it is"), "as it is");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic_and_columns_stay(text in "[-a:{}\\[\\],&*!|>'\"%@`#?~<1e.\\\\u \t\r\n\u{feff}é😀]{0,40}(sha256|keys|k): [-a:{}|>'\"\\\\ \n]{0,20}") {
        let secrets = Secrets::of(text.as_bytes());
        for (index, line) in yaml::lines(text.trim_start_matches('\u{feff}')).enumerate() {
            proptest::prop_assert_eq!(secrets.line(index + 1, line).chars().count(), line.chars().count());
        }
        secrets.redact(&text);
    }
}
