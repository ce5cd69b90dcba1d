//! Names of headers that a client must not be able to write under another spelling.

use crate::http::bytes;
use crate::http::header::{HeaderName, folded};
use crate::http::header_map::length_bit;
use std::collections::BTreeMap;

/// Header names that mean something to the document: the caller's identity, a choice of route, a credential, what a rule asks for.
///
/// Servers that hand headers on as variables (CGI, RFC 3875 §4.1.18; WSGI, PHP, Rack, servlet containers) turn every byte that is neither
/// a letter nor a digit into `_`. To them `x.user`, `x_user` and `x-user` are one, so a name that [folds](HeaderName::is_spelt) into a
/// protected one is taken for it.
#[derive(Clone, Debug, Default)]
pub struct ProtectedNames {
    names: Vec<HeaderName>,
    /// The same by a hash of their folded form, in which different names may be one: what a request costs must not grow with their
    /// number. The names are the document's, so nobody else chooses which of them share a hash.
    spellings: BTreeMap<u64, Vec<HeaderName>>,
    /// A bit for each length that a name has, to pass over most headers at a glance; names of 63 bytes and more share one.
    lengths: u64,
}

/// How a header that came spells a protected name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// As the document does.
    Exact,
    /// Another name, which some servers take for it.
    Folded,
}

// === impl ProtectedNames ===

impl ProtectedNames {
    /// Protects `name` as well.
    pub fn protect(&mut self, name: HeaderName) {
        let bytes = name.as_str().as_bytes();
        self.lengths |= length_bit(bytes.len());
        let same = self.spellings.entry(hash(bytes)).or_default();
        if !same.contains(&name) {
            same.push(name.clone());
            self.names.push(name);
        }
    }

    /// Whether the name of a header that came spells a protected one.
    pub fn spelling(&self, came: &[u8]) -> Option<Spelling> {
        if self.lengths & length_bit(came.len()) == 0 {
            return None;
        }
        let mut spelling = None;
        for own in self.spellings.get(&hash(came))? {
            if bytes::equal(own.as_str().as_bytes(), came) {
                return Some(Spelling::Exact);
            }
            if own.is_spelt(came) {
                spelling = Some(Spelling::Folded);
            }
        }
        spelling
    }

    /// Whether the name of a header that came spells a protected one in any way.
    pub fn has(&self, came: &[u8]) -> bool {
        self.spelling(came).is_some()
    }

    /// The names, in the order in which they were added.
    pub fn iter(&self) -> std::slice::Iter<'_, HeaderName> {
        self.names.iter()
    }
}

impl FromIterator<HeaderName> for ProtectedNames {
    fn from_iter<I: IntoIterator<Item = HeaderName>>(names: I) -> Self {
        let mut all = Self::default();
        all.extend(names);
        all
    }
}

impl Extend<HeaderName> for ProtectedNames {
    fn extend<I: IntoIterator<Item = HeaderName>>(&mut self, names: I) {
        names.into_iter().for_each(|name| self.protect(name));
    }
}

/// Of a name's folded form, a step of FNV-1a for each byte.
fn hash(name: &[u8]) -> u64 {
    name.iter().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(folded(*byte))).wrapping_mul(0x0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::header::LONGEST_NAME;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn names(names: &[&str]) -> ProtectedNames {
        names.iter().map(|name| HeaderName::new(name).unwrap()).collect()
    }

    #[test]
    fn another_spelling_is_told_from_the_name_itself() {
        let protected = names(&["x-user", "x_role", "x-role"]);
        for (came, spelling) in [
            (&b"x-user"[..], Some(Spelling::Exact)),
            (b"x_user", Some(Spelling::Folded)),
            (b"x.user", Some(Spelling::Folded)),
            (b"x user", Some(Spelling::Folded)),
            (b"X-User", Some(Spelling::Folded)),
            (b"x\xffuser", Some(Spelling::Folded)),
            // Both are the document's.
            (b"x_role", Some(Spelling::Exact)),
            (b"x-role", Some(Spelling::Exact)),
            (b"x+role", Some(Spelling::Folded)),
            (b"x-users", None),
            (b"y-user", None),
            (b"xuser", None),
            (b"", None),
        ] {
            assert_eq!(protected.spelling(came), spelling, "{}", String::from_utf8_lossy(came));
        }
    }

    #[test]
    fn it_finds_what_comparing_with_each_name_finds() {
        let bytes = [b'a', b'b', b'-', b'_', b'.', b'A', b'1', 0xFF];
        // All names of three of these bytes, of which those that may be names are protected: one in two, so that spellings stand alone too.
        let all: Vec<Vec<u8>> = bytes
            .iter()
            .flat_map(|first| bytes.iter().flat_map(|second| bytes.map(|third| vec![*first, *second, third])))
            .collect();
        let own: Vec<HeaderName> =
            all.iter().step_by(2).filter_map(|name| HeaderName::from_bytes(name)).collect();
        let protected: ProtectedNames = own.iter().chain(&own).cloned().collect();
        assert!(protected.iter().eq(&own), "each once, in their order");
        for came in &all {
            let expected = if own.iter().any(|own| own.as_str().as_bytes() == came.as_slice()) {
                Some(Spelling::Exact)
            } else {
                own.iter().any(|own| own.is_spelt(came)).then_some(Spelling::Folded)
            };
            assert_eq!(protected.spelling(came), expected, "{came:?}");
        }
    }

    #[test]
    fn names_longer_than_the_lengths_that_are_told_apart_are_found_too() {
        let long = "x-".to_owned() + &"a".repeat(90);
        assert!(names(&[&long]).has(long.replace('-', ".").as_bytes()));
        assert!(!names(&[&long]).has("b".repeat(70).as_bytes()));
        let longest = "a".repeat(LONGEST_NAME);
        assert_eq!(names(&[&longest]).spelling(longest.as_bytes()), Some(Spelling::Exact));
        assert!(!names(&[&longest]).has("a".repeat(LONGEST_NAME + 1).as_bytes()));
    }
}
