//! JSON text as a tree, in slices.

use super::tree::Tree;
use crate::document::pace::Pace;
use serde_json::Error;
use serde_json::from_slice;

/// How deep values may stand within each other, as for `serde_json`.
const DEEPEST: usize = 128;

/// A list or an object that is not closed yet; of an object, the name whose value comes next.
enum Open {
    List(Vec<Tree>),
    Fields(Vec<(String, Tree)>, String),
}

/// Text that is being read.
struct Text<'t> {
    json: &'t [u8],
    at: usize,
}

/// Reads `json`, with a step of `pace` for each value. What is no JSON is found, and told in fewer words than [`super::from_json`] has.
pub(super) async fn tree(json: &[u8], pace: &Pace) -> Result<Tree, Error> {
    let mut text = Text { json, at: 0 };
    let mut open: Vec<Open> = Vec::new();
    loop {
        pace.step().await;
        let mut value = match text.next() {
            Some(b'[') => {
                text.skip();
                open.push(Open::List(Vec::new()));
                if text.next() != Some(b']') {
                    text.bound(&open)?;
                    continue;
                }
                text.skip();
                close(open.pop())
            }
            Some(b'{') => {
                text.skip();
                let fields = Open::Fields(Vec::new(), String::new());
                if text.next() == Some(b'}') {
                    text.skip();
                    close(Some(fields))
                } else {
                    open.push(Open::Fields(Vec::new(), text.name()?));
                    text.bound(&open)?;
                    continue;
                }
            }
            Some(b'"') => Tree::Text(text.string()?),
            _ => text.scalar()?,
        };
        // The value stands in what is open, and may be the last in it.
        loop {
            let Some(outer) = open.last_mut() else {
                return match text.next() {
                    None => Ok(value),
                    Some(_) => Err(text.wrong()),
                };
            };
            let end = match outer {
                Open::List(list) => {
                    list.push(value);
                    b']'
                }
                Open::Fields(fields, name) => {
                    fields.push((std::mem::take(name), value));
                    b'}'
                }
            };
            match text.next() {
                Some(b',') => {
                    text.skip();
                    if let Open::Fields(_, name) = outer {
                        *name = text.name()?;
                    }
                    break;
                }
                Some(byte) if byte == end => {
                    text.skip();
                    value = close(open.pop());
                }
                _ => return Err(text.wrong()),
            }
        }
    }
}

fn close(open: Option<Open>) -> Tree {
    match open {
        Some(Open::List(list)) => Tree::List(list),
        Some(Open::Fields(fields, _)) => Tree::Fields(fields),
        None => Tree::Null,
    }
}

// === impl Text ===

impl<'t> Text<'t> {
    /// The next byte that is no white space.
    fn next(&mut self) -> Option<u8> {
        while let Some(byte) = self.json.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(*byte);
            }
            self.skip();
        }
        None
    }

    fn skip(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    /// What `ends` does not say is the end of, from here.
    fn take_until(&mut self, mut ends: impl FnMut(u8) -> bool) -> &'t [u8] {
        let rest = self.json.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| ends(*byte)).unwrap_or(rest.len());
        self.at = self.at.saturating_add(length);
        rest.get(..length).unwrap_or_default()
    }

    /// The name of a field, and the colon behind it.
    fn name(&mut self) -> Result<String, Error> {
        if self.next() != Some(b'"') {
            return Err(self.wrong());
        }
        let name = self.string()?;
        if self.next() != Some(b':') {
            return Err(self.wrong());
        }
        self.skip();
        Ok(name)
    }

    /// The string that begins here. `serde_json` reads it: escapes and UTF-8 are its affair.
    fn string(&mut self) -> Result<String, Error> {
        let begin = self.at;
        self.skip();
        let mut escaped = false;
        let inner = self.take_until(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        self.skip();
        if inner.iter().all(|byte| *byte >= b' ' && *byte != b'\\')
            && self.json.get(self.at.saturating_sub(1)) == Some(&b'"')
            && let Ok(plain) = std::str::from_utf8(inner)
        {
            return Ok(plain.to_owned());
        }
        from_slice(self.json.get(begin..self.at).or_else(|| self.json.get(begin..)).unwrap_or_default())
    }

    /// The number or word that begins here.
    fn scalar(&mut self) -> Result<Tree, Error> {
        let ends = |byte: u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t');
        from_slice(self.take_until(ends))
    }

    fn bound(&self, open: &[Open]) -> Result<(), Error> {
        if open.len() < DEEPEST { Ok(()) } else { Err(self.wrong()) }
    }

    fn wrong(&self) -> Error {
        <Error as serde::de::Error>::custom(format_args!("unexpected at byte {}", self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::pace::at_once;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Reads both ways: whether it is JSON, and what it says, must be the same.
    fn agree(json: &[u8]) {
        let ours = at_once(tree(json, &Pace::in_slices(|| true))).map(|tree| format!("{tree:?}"));
        let theirs = from_slice::<Tree>(json).map(|tree| format!("{tree:?}"));
        assert_eq!(ours.ok(), theirs.ok(), "{}", String::from_utf8_lossy(json));
    }

    #[test]
    fn text_is_read_as_serde_json_reads_it() {
        for json in [
            "null",
            "true",
            " [ ] ",
            "{ }",
            "[[],{}]",
            "[1,-2,3.5,1e3,18446744073709551615]",
            "\"a\"",
            "[\"\\\"\"]",
            "{\"a\":1,\"a\":[2,{\"b\":null}]}",
            "\"\\u00e9\\n\"",
            "\"\u{e9}\"",
            "[\"\\\\\", \"x\"]",
            "{\"\\\"\" : \"\\\\\"}",
            "",
            "[",
            "]",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\" 1}",
            "[1 2]",
            "[1}",
            "{\"a\":1]",
            "01",
            "1.",
            "-",
            "tru",
            "nulll",
            "\"",
            "\"a",
            "\"\\\"",
            "\"\\x\"",
            "\"\n\"",
            "1 1",
            "[] x",
            "\"\\ud800\"",
            "[1,\t2 ,\n3\r]",
            "[\u{c}1]",
            "\u{feff}[]",
        ] {
            agree(json.as_bytes());
        }
        agree(b"\"\xff\"");
        for depth in [126, 127, 128, 129, 100_000] {
            agree(format!("{}1{}", "[".repeat(depth), "]".repeat(depth)).as_bytes());
            agree(format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth)).as_bytes());
        }
    }

    #[test]
    fn a_changed_text_is_read_as_serde_json_reads_it() {
        let json = br#"{"version":1,"authz":{"rules":[{"name":"a\"b","allow":true,"n":-1.5e3},null,[],{}]}}"#;
        for at in 0..json.len() {
            for byte in b"\"\\[]{},:1 tn-.e\xc3\0" {
                let mut changed = json.to_vec();
                changed[at] = *byte;
                agree(&changed);
                agree(&json[..at]);
            }
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    proptest::proptest! {
        #[test]
        fn drawn_text_is_read_as_serde_json_reads_it(json in r#"([\[\]{},: ]|"(\\.|[a-z\\u{e9}\u{1}])*"|-?[0-9]{1,3}(\.[0-9])?|true|null|"|\\){0,12}"#) {
            agree(json.as_bytes());
        }

        #[test]
        fn any_bytes_are_read_as_serde_json_reads_them(json: Vec<u8>) {
            agree(&json);
        }
    }
}
