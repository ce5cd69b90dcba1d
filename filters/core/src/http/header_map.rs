//! All headers of a request in the form in which the host hands them over, read in place.
//!
//! One call of the host gives them all in one buffer: a little-endian `u32` count, then a pair of `u32` lengths for each header, then
//! each name and value, each followed by a zero byte. That is both the quickest way to read headers (two present ones by name cost
//! more) and the only safe one: by name the host gives the first of several headers of that name and hides the rest.

use crate::http::bytes;

/// Headers over a buffer of the host's; the offsets are checked once, when it is read.
#[derive(Clone, Debug, Default)]
pub struct HeaderMap {
    buffer: Vec<u8>,
    /// For each header: where its name begins and ends, where its value begins and ends.
    entries: Vec<[u32; 4]>,
    /// A bit for each length that a name has: most headers that are asked for are absent, and are told so at a glance.
    lengths: u64,
}

impl HeaderMap {
    /// Takes over a buffer as the host wrote it. The map's memory is reused if the map is.
    ///
    /// # Errors
    /// `Err(())`-like: a buffer that contradicts itself leaves the map empty and gives [`Malformed`].
    pub fn read(&mut self, buffer: Vec<u8>) -> Result<(), Malformed> {
        self.buffer = buffer;
        self.entries.clear();
        let parsed = parse(&self.buffer, &mut self.entries);
        if parsed.is_none() {
            self.entries.clear();
        }
        self.lengths = parsed.unwrap_or_default();
        parsed.map(|_| ()).ok_or(Malformed)
    }

    /// A map of these pairs, written and read as the host would: for tests and for the `sluice` command.
    pub fn from_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let pairs: Vec<(N, V)> = pairs.into_iter().collect();
        let mut buffer = Vec::new();
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(0).to_le_bytes();
        buffer.extend(u32::try_from(pairs.len()).unwrap_or(0).to_le_bytes());
        for (name, value) in &pairs {
            buffer.extend(length(name.as_ref()));
            buffer.extend(length(value.as_ref()));
        }
        for (name, value) in &pairs {
            buffer.extend(name.as_ref());
            buffer.push(0);
            buffer.extend(value.as_ref());
            buffer.push(0);
        }
        let mut map = Self::default();
        // What was just written is well-formed; a map too large for `u32` reads as empty.
        let _ = map.read(buffer);
        map
    }

    /// Gives the buffer back for reuse and empties the map.
    pub fn take_buffer(&mut self) -> Vec<u8> {
        self.entries.clear();
        self.lengths = 0;
        std::mem::take(&mut self.buffer)
    }

    /// All headers in their order, pseudo-headers (`:method`, `:path`, `:authority`, `:scheme`) among them. Names are in lower case:
    /// Envoy lowers them.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|[name_start, name_end, value_start, value_end]| {
            (self.slice(*name_start, *name_end), self.slice(*value_start, *value_end))
        })
    }

    /// Every value of the header `name` (in lower case), in order.
    #[inline]
    pub fn all<'m>(&'m self, name: &str) -> impl Iterator<Item = &'m [u8]> {
        let name = name.as_bytes();
        let present = self.lengths & length_bit(name.len()) != 0;
        let entries = if present { self.entries.as_slice() } else { &[] };
        entries
            .iter()
            .filter(move |[start, end, _, _]| {
                end.wrapping_sub(*start) as usize == name.len()
                    && bytes::equal(self.slice(*start, *end), name)
            })
            .map(|[_, _, start, end]| self.slice(*start, *end))
    }

    /// The first value of the header `name` (in lower case).
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The header `name` if it stands there at most once.
    pub fn single(&self, name: &str) -> Single<'_> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (None, _) => Single::Absent,
            (Some(value), None) => Single::Once(value),
            (Some(_), Some(_)) => Single::Repeated,
        }
    }

    /// Several headers of one name as one list, joined with commas (RFC 9110 §5.3): for fields that are lists, and for keys.
    pub fn joined(&self, name: &str) -> Option<std::borrow::Cow<'_, [u8]>> {
        let mut values = self.all(name);
        let first = values.next()?;
        let Some(second) = values.next() else { return Some(first.into()) };
        let mut joined = first.to_vec();
        for value in std::iter::once(second).chain(values) {
            joined.push(b',');
            joined.extend(value);
        }
        Some(joined.into())
    }

    /// How many headers there are, pseudo-headers included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    #[inline]
    fn slice(&self, start: u32, end: u32) -> &[u8] {
        // Checked when read; an empty slice rather than a panic if that were ever wrong.
        self.buffer.get(start as usize..end as usize).unwrap_or_default()
    }
}

/// How often a header stands in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Single<'m> {
    /// Not at all.
    Absent,
    /// Once, with this value.
    Once(&'m [u8]),
    /// Several times: for a credential, an error.
    Repeated,
}

/// The host's buffer contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A bit for each length of a name; names of 63 bytes and more share one.
pub(super) const fn length_bit(length: usize) -> u64 {
    1 << if length < 63 { length } else { 63 }
}

/// Fills `entries`, and gives the lengths of the names.
fn parse(buffer: &[u8], entries: &mut Vec<[u32; 4]>) -> Option<u64> {
    let mut name_lengths = 0;
    if buffer.is_empty() {
        return Some(name_lengths);
    }
    let (count, rest) = read_u32(buffer)?;
    let lengths_size = (count as usize).checked_mul(8)?;
    let mut lengths = rest.get(..lengths_size)?;
    let mut position = u32::try_from(lengths_size.checked_add(4)?).ok()?;
    entries.reserve(count as usize);
    for _ in 0..count {
        let (name_length, after) = read_u32(lengths)?;
        let (value_length, after) = read_u32(after)?;
        lengths = after;
        name_lengths |= length_bit(name_length as usize);
        let name_end = position.checked_add(name_length)?;
        let value_start = name_end.checked_add(1)?;
        let value_end = value_start.checked_add(value_length)?;
        entries.push([position, name_end, value_start, value_end]);
        position = value_end.checked_add(1)?;
    }
    (position as usize <= buffer.len()).then_some(name_lengths)
}

fn read_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*head), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn pairs_come_back_as_they_went_in() {
        let pairs: [(&[u8], &[u8]); 4] = [(b":path", b"/"), (b"a", b"1"), (b"b", b""), (b"a", b"\xff\x00")];
        let map = HeaderMap::from_pairs(pairs);
        assert_eq!(map.iter().collect::<Vec<_>>(), pairs);
        assert_eq!(map.single("a"), Single::Repeated);
        assert_eq!(map.single("b"), Single::Once(b""));
        assert_eq!(map.single("c"), Single::Absent);
        assert_eq!(map.joined("a").unwrap().as_ref(), b"1,\xff\x00");
    }

    #[test]
    fn names_are_found_whatever_their_length() {
        let names: Vec<String> = (1..130).map(|length| "n".repeat(length)).collect();
        for missing in 0..names.len() {
            let others = names.iter().enumerate().filter(|(position, _)| *position != missing);
            let map = HeaderMap::from_pairs(others.map(|(_, name)| (name, name)));
            for (position, name) in names.iter().enumerate() {
                let expected = (position != missing).then_some(name.as_bytes());
                assert_eq!(map.first(name), expected, "{} without {}", name.len(), missing + 1);
            }
        }
    }

    #[test]
    fn a_map_that_is_read_again_has_the_new_names_alone() {
        let mut map = HeaderMap::from_pairs([("one", "1"), ("three", "3")]);
        map.read(HeaderMap::from_pairs([("seven77", "7")]).take_buffer()).unwrap();
        assert_eq!((map.first("one"), map.first("three")), (None, None));
        assert_eq!(map.first("seven77"), Some(&b"7"[..]));
        map.take_buffer();
        assert_eq!(map.first("seven77"), None);
    }

    #[test]
    fn a_buffer_that_contradicts_itself_gives_an_empty_map() {
        let good = HeaderMap::from_pairs([("name", "value")]).take_buffer();
        for end in 1..good.len() {
            let mut map = HeaderMap::default();
            assert_eq!(map.read(good[..end].to_vec()), Err(Malformed), "cut at {end}");
            assert!(map.is_empty());
        }
        let mut huge = good.clone();
        huge[0..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(HeaderMap::default().read(huge), Err(Malformed));
    }

    #[cfg(not(target_arch = "wasm32"))]
    proptest::proptest! {
        #[test]
        fn no_buffer_makes_it_panic(buffer: Vec<u8>) {
            let mut map = HeaderMap::default();
            let _ = map.read(buffer);
            let _ = map.iter().count();
        }
    }
}
