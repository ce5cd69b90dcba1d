use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn what_has_one_reading_is_read_as_any_other_reader_does() {
    for json in [
        "{}",
        "[]",
        "null",
        r#"{"a":1,"b":-1,"c":1.5,"d":"x","e":[true,false,null,{"a":{"a":1}}],"f":"\u00e9\n"}"#,
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775808",
        " { \"a\" : 1e3 } ",
    ] {
        assert_eq!(parse(json.as_bytes()), Some(serde_json::from_str(json).unwrap()), "{json}");
    }
}

#[test]
fn what_has_several_readings_or_none_is_refused() {
    let deep = "[".repeat(100_000);
    for json in [
        "",
        "{",
        "{} x",
        "{}{}",
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"x":{"a":1,"b":2,"a":3}}"#,
        r#"[{"a":1,"a":2}]"#,
        r#"{'a':1}"#,
        r#"{"a":1,}"#,
        r#"{"a":NaN}"#,
        r#"{"a":1e999}"#,
        r#"{"a":01}"#,
        "{\"a\":\"\u{0}\"}",
        r#"{"a":"\ud800"}"#,
        "\u{feff}{}",
        &deep,
    ] {
        assert_eq!(parse(json.as_bytes()), None, "{}", json.get(..40).unwrap_or(json));
    }
    assert_eq!(parse(b"{\"a\":\"\xff\"}"), None);
    assert_eq!(parse(b"\xff\xfe{\0}\0"), None);
}

#[cfg(not(target_arch = "wasm32"))]
proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(json: Vec<u8>) {
        let _ = parse(&json);
    }

    #[test]
    fn nothing_is_read_that_another_reader_refuses(json in "[\\[\\]{}:,\"a-c0-9.e\\\\ -]{0,40}") {
        if let Some(value) = parse(json.as_bytes()) {
            proptest::prop_assert_eq!(serde_json::from_str::<Value>(&json).ok(), Some(value));
        }
    }
}
