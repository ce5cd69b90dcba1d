use super::*;
use serde_json::{Value as Json, json};

fn json(text: &str) -> Json {
    serde_json::from_str(&read(text).unwrap().to_json()).unwrap()
}

/// `LINE:COLUMN: path: message` of each problem.
fn problems(text: &str) -> Vec<String> {
    let problems = read(text).unwrap_err();
    problems
        .iter()
        .map(|problem| {
            let Position { line, column } = problem.span.start;
            format!("{line}:{column}: {}: {}", problem.path, problem.message)
        })
        .collect()
}

#[test]
fn plain_scalars_follow_the_core_schema_of_yaml_1_2() {
    for (text, expected) in [
        ("no", json!("no")),
        ("on", json!("on")),
        ("y", json!("y")),
        ("2026-01-01", json!("2026-01-01")),
        ("12:30:45", json!("12:30:45")),
        ("1_000", json!("1_000")),
        ("192.0.2.1", json!("192.0.2.1")),
        ("5s", json!("5s")),
        ("100/s", json!("100/s")),
        ("true", json!(true)),
        ("False", json!(false)),
        ("~", json!(null)),
        ("null", json!(null)),
        ("7", json!(7)),
        ("-7", json!(-7)),
        ("+7", json!(7)),
        ("0x1f", json!(31)),
        ("0o17", json!(15)),
        ("0.5", json!(0.5)),
        (".5", json!(0.5)),
        ("1e3", json!(1000.0)),
        ("1e", json!("1e")),
        (".", json!(".")),
        ("-", json!([null])),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
        ("'7'", json!("7")),
        ("\"true\"", json!("true")),
    ] {
        assert_eq!(json(text), expected, "{text}");
    }
}

#[test]
fn a_number_that_json_cannot_carry_is_refused_with_the_way_out() {
    let digits = "1234567890".repeat(6);
    for text in [digits.as_str(), "1e999", ".inf", "-.INF", ".nan"] {
        let problems = problems(&format!("a: {text}"));
        assert!(
            problems[0].starts_with("1:4: a: ") && problems[0].contains("put it in quotes"),
            "{problems:?}"
        );
    }
}

#[test]
fn json_is_read_as_it_stands() {
    let text = "{\n\t\"a\": [1, 2.50, true, null, \"x\\n\\u00e9\\ud83d\\ude00\\/\"],\n\t\"b\":{\"c\":\"d: e # f\"},\"long\":\"x\"\n}\n";
    assert_eq!(json(text), serde_json::from_str::<Json>(text).unwrap());
}

#[test]
fn an_escaped_backslash_before_a_u_is_no_surrogate() {
    let text = r#"{"a":"\\ud83d\\ude00 \ud83d\ude00 \\\ud83d\ude00 \u0041"}"#;
    assert_eq!(json(text), serde_json::from_str::<Json>(text).unwrap());
}

#[test]
fn json_with_long_keys_and_without_blanks_is_read() {
    let text = format!("{{\"{}\":1,\"b\":[{{\"c\":-1}}]}}", "k".repeat(2000));
    assert_eq!(json(&text), serde_json::from_str::<Json>(&text).unwrap());
}

#[test]
fn every_key_and_value_knows_its_place() {
    let root = read("version: 1\nrules:\n  - name: é\n    match: { paths: [/a, /b] }\n").unwrap();
    let place = |node: &Node| (node.span.start.line, node.span.start.column);
    let rule = &root.get("rules").unwrap().elements()[0];
    assert_eq!(place(rule.get("name").unwrap()), (3, 11));
    let paths = rule.get("match").unwrap().get("paths").unwrap();
    assert_eq!(place(&paths.elements()[1]), (4, 26));
    let key = rule.entries()[1].key_span;
    assert_eq!((key.start.line, key.start.column, key.end.column), (4, 5, 10));
}

#[test]
fn the_order_of_the_file_is_kept() {
    assert_eq!(read("b: 1\na: {z: 1, y: 2}\n").unwrap().to_json(), r#"{"b":1,"a":{"z":1,"y":2}}"#);
}

#[test]
fn a_key_that_stands_twice_is_refused_with_both_places() {
    assert_eq!(
        problems("a:\n  b: 1\n  c: 2\n  b: 3\n"),
        ["4:3: a.b: the key `b` stands twice in this object, first at line 2, column 3"]
    );
    assert_eq!(problems(r#"{"a": 1, "a": 2}"#).len(), 1);
}

#[test]
fn what_readers_could_read_differently_is_refused() {
    for (text, start, part) in [
        ("a: &x 1\nb: 2\n", "1:", "anchors"),
        ("a: *x\n", "1:", "anchors"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "1:", "anchors"),
        ("<<: {a: 1}\n", "1:1: <<", "merge keys"),
        ("a: !!str 1\n", "1:", "tags"),
        ("a: !custom {b: 1}\n", "1:", "tags"),
        ("1: a\n", "1:1:", "write \"1\" in quotes"),
        ("true: a\n", "1:1:", "write \"true\" in quotes"),
        ("? [a]\n: b\n", "1:3:", "a key must be text"),
        ("? {a: b}\n: c\n", "1:3:", "a key must be text"),
        (": a\n", "1:1:", "a key"),
        ("a: 1\n---\nb: 2\n", "2:", "second document"),
        ("a: [1\n", "2:", "not YAML"),
        ("a: 1\n b: 2\n", "2:", "not YAML"),
        ("a: \"x\n", "", "not YAML"),
        ("a:\n\tb: 1\n", "2:", "not YAML"),
    ] {
        let problems = problems(text);
        assert!(problems[0].starts_with(start) && problems[0].contains(part), "{text:?}: {problems:?}");
    }
}

#[test]
fn an_empty_file_is_null() {
    for text in ["", "# nothing\n", "---\n", "\u{feff}", "~"] {
        assert_eq!(json(text), Json::Null, "{text:?}");
    }
}

#[test]
fn a_byte_order_mark_does_not_shift_columns() {
    assert_eq!(read("\u{feff}a: 1").unwrap().entries()[0].key_span.start, Position { line: 1, column: 1 });
}

#[test]
fn nesting_has_a_limit_however_it_is_written() {
    let flow = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let block: String = (0..1000).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    let dashes = "- ".repeat(20_000);
    for text in [flow, block, dashes] {
        let problems = problems(&text);
        assert!(problems[0].contains("nested deeper") || problems[0].contains("recursion"), "{problems:?}");
    }
}

#[test]
fn a_bomb_of_aliases_is_refused_at_its_first_anchor() {
    let mut text = String::from("a0: &a0 [x, x]\n");
    for level in 1..60 {
        text.push_str(&format!("a{level}: &a{level} [*a{0}, *a{0}]\n", level - 1));
    }
    assert!(problems(&text)[0].contains("anchors"));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_makes_it_panic(text in "[-a:{}\\[\\],&*!|>'\"%@`#?~<1e.\\\\u \t\r\n\u{feff}\u{85}é]{0,60}") {
        if let Ok(node) = read(&text) {
            let json = node.to_json();
            proptest::prop_assert!(serde_json::from_str::<Json>(&json).is_ok(), "{json}");
            proptest::prop_assert_eq!(
                serde_json::from_str::<Json>(&node.to_json_lines()).unwrap(),
                serde_json::from_str::<Json>(&json).unwrap()
            );
        }
    }

    #[test]
    fn every_json_is_read_as_json_has_it(text in json_text(4)) {
        let expected: Json = serde_json::from_str(&text).unwrap();
        proptest::prop_assert_eq!(json(&text), expected, "{}", text);
    }
}

/// JSON texts, pretty or not, with every character escaped or not.
fn json_text(depth: u32) -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    let scalar = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        "\\PC{0,12}".prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ];
    let value = scalar.prop_recursive(depth, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("\\PC{0,8}", inner, 0..4)
                .prop_map(|fields| Json::Object(fields.into_iter().collect())),
        ]
    });
    (value, any::<bool>(), any::<bool>()).prop_map(|(value, pretty, ascii)| {
        let text = if pretty { format!("{value:#}") } else { value.to_string() };
        if !ascii {
            return text;
        }
        let mut escaped = String::new();
        for unit in text.encode_utf16() {
            match u8::try_from(unit) {
                Ok(byte) if byte.is_ascii() => escaped.push(byte.into()),
                _ => escaped.push_str(&format!("\\u{unit:04x}")),
            }
        }
        escaped
    })
}
