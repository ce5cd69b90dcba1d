//! Header names and values that may reach the host.
//!
//! Envoy checks neither what a filter sets on a response nor the headers of a filter's local reply: a value with CR LF in it arrives
//! at the client as two headers. So whatever a policy sets goes through these types, which only hold what RFC 9110 §5 allows.

use serde::de::{self, Deserialize, Deserializer};
use std::fmt;
use std::rc::Rc;

/// A field name (RFC 9110 §5.1, a token), in lower case as HTTP/2 has it. Never a pseudo-header.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderName(Rc<str>);

/// Whether a byte may stand in a token (RFC 9110 §5.6.2).
pub const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// The most bytes that a name may have.
pub const LONGEST_NAME: usize = 256;

/// What a server takes a byte of a name for that hands headers on as variables (see [`HeaderName::is_spelt`]).
pub const fn folded(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'_' }
}

/// Names that say where a message ends or where it goes.
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl HeaderName {
    /// Checks `text` to be a field name and lowers its case.
    ///
    /// # Errors
    /// A sentence that says what a field name may be.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.starts_with(':') {
            return Err(format!(
                "{text:?} is a pseudo-header, which is no header here: ask `hosts`, `paths` and `methods` instead"
            ));
        }
        if text.is_empty() || text.len() > LONGEST_NAME || !text.bytes().all(is_token) {
            return Err(format!(
                "{text:?} is not a header name: letters, digits and `-`, as RFC 9110 has it"
            ));
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// The name of a header that came; `None` where it is no field name, or has upper-case letters, which Envoy lowers.
    pub fn from_bytes(came: &[u8]) -> Option<Self> {
        let name = Self::new(std::str::from_utf8(came).ok()?).ok()?;
        (name.as_str().as_bytes() == came).then_some(name)
    }

    /// A name that stands in the source: a token in lower case, which a debug build asserts.
    pub fn from_static(name: &'static str) -> Self {
        debug_assert!(Self::new(name).is_ok_and(|checked| checked.as_str() == name), "{name:?}");
        Self(name.into())
    }

    /// The name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it frames or addresses a message (RFC 9110 §7, RFC 9112 §6): no policy may write it.
    pub fn is_framing(&self) -> bool {
        FRAMING.contains(&self.as_str())
    }

    /// Whether a header that came has this name to a server that takes all bytes but letters and digits for the same, and letters
    /// without their case: servers that hand headers on as variables (CGI, RFC 3875 §4.1.18) take `x_user` and `x.user` for `x-user`.
    pub fn is_spelt(&self, came: &[u8]) -> bool {
        let own = self.as_str().as_bytes();
        own.len() == came.len() && own.iter().zip(came).all(|(own, came)| folded(*own) == folded(*came))
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for HeaderName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, out)
    }
}

impl std::borrow::Borrow<str> for HeaderName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for HeaderName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for HeaderName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HeaderName".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "The name of a header field (RFC 9110 §5.1); its case does not matter.",
            "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$"
        })
    }
}

/// A field value (RFC 9110 §5.5): visible ASCII, space, tab and bytes above 0x7F; no CR, LF, NUL or other control; no blank at
/// either end.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HeaderValue(Rc<[u8]>);

impl HeaderValue {
    /// Checks `bytes` to be a field value.
    ///
    /// # Errors
    /// A sentence that says what a field value may be; it does not repeat the value, which may be secret.
    pub fn new(bytes: &[u8]) -> Result<Self, String> {
        let allowed = |byte: &u8| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f);
        let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        if !bytes.iter().all(allowed) {
            return Err("a header value must hold no control character (line breaks among them)".to_owned());
        }
        if blank(bytes.first()) || blank(bytes.last()) {
            return Err("a header value must neither begin nor end with a blank".to_owned());
        }
        Ok(Self(bytes.into()))
    }

    /// A value that stands in the source: one that [`HeaderValue::new`] takes, which a debug build asserts.
    pub fn from_static(value: &'static str) -> Self {
        debug_assert!(Self::new(value.as_bytes()).is_ok(), "{value:?}");
        Self(value.as_bytes().into())
    }

    /// A number as a field value.
    pub fn from_number(number: u64) -> Self {
        Self(number.to_string().into_bytes().into())
    }

    /// The value.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for HeaderValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), out)
    }
}

impl<'de> Deserialize<'de> for HeaderValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?.as_bytes()).map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for HeaderValue {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HeaderValue".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "The value of a header field (RFC 9110 §5.5)." })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn names_are_tokens_in_lower_case() {
        assert_eq!(HeaderName::new("X-User").unwrap().as_str(), "x-user");
        for wrong in ["", ":path", "x y", "x:y", "x\r\n", "é", "x\0"] {
            assert!(HeaderName::new(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn all_that_is_no_letter_and_no_digit_spells_one_name() {
        let name = HeaderName::new("x-user-id").unwrap();
        for (came, same) in [
            ("x-user-id", true),
            ("x_user-id", true),
            ("x_user_id", true),
            ("x.user-id", true),
            ("x user~id", true),
            ("X-User-Id", true),
            ("x-user", false),
            ("x-user-i", false),
            ("x-userid-", false),
        ] {
            assert_eq!(name.is_spelt(came.as_bytes()), same, "{came}");
        }
        for byte in 0..=255_u8 {
            let came = [b"x".as_slice(), &[byte], b"user-id"].concat();
            assert_eq!(name.is_spelt(&came), !byte.is_ascii_alphanumeric(), "{byte:#04x}");
        }
    }

    #[test]
    fn no_byte_that_could_end_a_line_is_a_value() {
        for byte in 0..=255_u8 {
            let fine = byte == b'\t' || (byte >= 0x20 && byte != 0x7f);
            assert_eq!(HeaderValue::new(&[b'a', byte, b'b']).is_ok(), fine, "{byte}");
        }
        assert!(HeaderValue::new(b" a").is_err() && HeaderValue::new(b"a\t").is_err());
        assert!(HeaderValue::new(b"").is_ok());
    }
}
