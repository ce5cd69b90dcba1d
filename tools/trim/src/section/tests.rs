use super::*;

fn module(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the test's module is well-formed")
}

#[test]
fn sections_come_in_order_with_their_content() {
    let bytes = module(r#"(module (memory (export "memory") 1) (@custom "note" "hello"))"#);
    let found = sections(&bytes).expect("a module");
    let titles: Vec<_> = found.iter().map(Section::title).collect();
    assert_eq!(titles, ["memory", "export", "note"]);
    assert_eq!(custom(&bytes, "note"), Ok(Some(&b"hello"[..])));
    assert_eq!(custom(&bytes, "other"), Ok(None));
}

#[test]
fn what_is_no_module_is_refused() {
    for bytes in [&b""[..], b"\0as", b"\0asm\x02\0\0\0", b"plain text"] {
        assert_eq!(sections(bytes), Err(Malformed::Preamble), "{bytes:?}");
    }
}

#[test]
fn a_module_cut_off_or_overlong_is_refused_at_its_byte() {
    let cases: [(&str, &[u8], usize); 5] = [
        ("an id without a size", &[1], 9),
        ("a size beyond the end", &[1, 5, 0], 9),
        ("a size that never ends", &[1, 0x80, 0x80, 0x80, 0x80, 0x80, 0], 9),
        ("a name beyond its section", &[0, 2, 9, b'a'], 10),
        ("a name that is not UTF-8", &[0, 2, 1, 0xff], 10),
    ];
    for (what, tail, at) in cases {
        let bytes = [&PREAMBLE[..], tail].concat();
        assert_eq!(sections(&bytes), Err(Malformed::At(at)), "{what}");
    }
}

#[test]
fn every_truncation_of_a_module_is_an_error_or_a_shorter_list() {
    let bytes = module(r#"(module (func (export "a")) (@custom "note" "hello"))"#);
    let whole = sections(&bytes).expect("a module").len();
    for length in 0..bytes.len() {
        assert!(sections(&bytes[..length]).map_or(true, |found| found.len() < whole), "cut at {length}");
    }
}
