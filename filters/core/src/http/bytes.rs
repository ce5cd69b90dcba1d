//! Comparison of byte strings for hot paths.

/// Whether two byte strings are equal, eight bytes at a time.
///
/// `==` on slices calls `memcmp`, and that of wasi-libc goes byte by byte: a token of 700 bytes cost half a microsecond. Not for secrets:
/// the time it takes tells where they differ.
#[inline]
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let (left_words, left_rest) = left.as_chunks::<8>();
    let (right_words, right_rest) = right.as_chunks::<8>();
    left_words
        .iter()
        .zip(right_words)
        .all(|(left, right)| u64::from_le_bytes(*left) == u64::from_le_bytes(*right))
        && left_rest.iter().zip(right_rest).all(|(left, right)| left == right)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn it_agrees_with_the_slices_own_comparison() {
        let text: Vec<u8> = (0..40).collect();
        for length in 0..40 {
            assert!(equal(&text[..length], &text[..length]));
            assert!(!equal(&text[..length], &text[..length + 1]));
            for differing in 0..length {
                let mut other = text[..length].to_vec();
                other[differing] ^= 1;
                assert!(!equal(&text[..length], &other), "{length} {differing}");
            }
        }
    }
}
