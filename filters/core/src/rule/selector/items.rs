//! Items of a header that is a list.

use std::borrow::Cow;

/// The items of a list (RFC 9110 §5.6.1), without the blanks around them; empty ones are none.
///
/// Not everybody respects quoted strings (RFC 9110 §5.6.4). So both readings are given: items split at commas outside of quotes, a quoted
/// string without its quotes, and items split at every comma.
pub(super) fn items(line: &[u8]) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let plain = line.split(|byte| *byte == b',').map(trim).filter(|item| !item.is_empty());
    let quoted = line.contains(&b'"').then(|| quoted_items(line)).into_iter().flatten();
    plain.map(Cow::Borrowed).chain(quoted.map(Cow::Owned))
}

fn trim(item: &[u8]) -> &[u8] {
    item.trim_ascii()
}

fn quoted_items(line: &[u8]) -> Vec<Vec<u8>> {
    let mut items = Vec::new();
    let mut item = Vec::new();
    let (mut in_quotes, mut bytes) = (false, line.iter().copied());
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_quotes = !in_quotes,
            b'\\' if in_quotes => item.extend(bytes.next()),
            b',' if !in_quotes => items.push(std::mem::take(&mut item)),
            other => item.push(other),
        }
    }
    items.push(item);
    items.iter().map(|item| trim(item).to_vec()).filter(|item| !item.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_list_has_the_items_that_some_server_reads() {
        for (line, expected) in [
            ("", vec![]),
            ("a", vec!["a"]),
            (" a ,\tb,,c ,", vec!["a", "b", "c"]),
            ("a b", vec!["a b"]),
            ("\"a\"", vec!["\"a\"", "a"]),
            ("\"a,b\", c", vec!["\"a", "b\"", "c", "a,b", "c"]),
            (r#""a\"b""#, vec![r#""a\"b""#, "a\"b"]),
            // A quote that is never closed.
            ("\"a,b", vec!["\"a", "b", "a,b"]),
            ("x\"y\"z", vec!["x\"y\"z", "xyz"]),
        ] {
            let found: Vec<_> =
                items(line.as_bytes()).map(|item| String::from_utf8_lossy(&item).into_owned()).collect();
            assert_eq!(found, expected, "{line}");
        }
    }
}
