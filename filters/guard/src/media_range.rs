//! Kinds of content.

use serde::de::{self, Deserialize, Deserializer};
use sluice_core::http::header::is_token;
use std::fmt;
use std::str::FromStr;

/// A media type or all of one type (RFC 9110 §12.5.1): `application/json`, `text/*`. Its case does not matter.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MediaRange {
    /// In lower case, as it is written.
    text: String,
    /// How much of it a media type must begin with: all of it, or up to the slash.
    prefix: Option<usize>,
}

// === impl MediaRange ===

impl MediaRange {
    /// The text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it takes what this `content-type` says (RFC 9110 §8.3): parameters do not matter, nor does case.
    pub fn takes(&self, content_type: &[u8]) -> bool {
        let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let wanted = self.text.as_bytes();
        match self.prefix {
            None => media_type.eq_ignore_ascii_case(wanted),
            Some(length) => {
                let Some((start, subtype)) = media_type.split_at_checked(length) else { return false };
                let wanted = wanted.get(..length).unwrap_or(wanted);
                start.eq_ignore_ascii_case(wanted)
                    && !subtype.is_empty()
                    && subtype.iter().copied().all(is_token)
            }
        }
    }
}

impl FromStr for MediaRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a kind of content: write `application/json` or `text/*`");
        let (kind, subtype) = text.split_once('/').ok_or_else(wrong)?;
        // `*` is a byte of tokens, but no media type has one.
        let is_name =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| is_token(byte) && byte != b'*');
        if !is_name(kind) || !(subtype == "*" || is_name(subtype)) {
            return Err(wrong());
        }
        let prefix = (subtype == "*").then(|| text.len().saturating_sub(1));
        Ok(Self { text: text.to_ascii_lowercase(), prefix })
    }
}

impl fmt::Display for MediaRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl fmt::Debug for MediaRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, out)
    }
}

impl<'de> Deserialize<'de> for MediaRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for MediaRange {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MediaRange".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A media type, or all of one type (RFC 9110 §12.5.1), without parameters.",
            "pattern": "^[!#$%&'+.^_`|~0-9A-Za-z-]+/(\\*|[!#$%&'+.^_`|~0-9A-Za-z-]+)$",
            "examples": ["application/json", "text/*"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_range_takes_its_media_types_whatever_their_case_and_parameters() {
        for (range, content_type, takes) in [
            ("application/json", "application/json", true),
            ("application/json", "Application/JSON; charset=utf-8", true),
            ("application/json", " application/json ;x=y", true),
            ("Application/Json", "application/json", true),
            ("application/json", "application/jsonp", false),
            ("application/json", "application/problem+json", false),
            ("application/json", "application/json, text/plain", false),
            ("application/json", "", false),
            ("text/*", "text/plain", true),
            ("TEXT/*", "Text/html;charset=utf-8", true),
            ("text/*", "text/", false),
            ("text/*", "text", false),
            ("text/*", "texts/plain", false),
            ("text/*", "text/plain, application/json", false),
            ("text/*", "application/text", false),
        ] {
            let parsed: MediaRange = range.parse().unwrap();
            assert_eq!(parsed.takes(content_type.as_bytes()), takes, "{range} {content_type:?}");
        }
    }

    #[test]
    fn what_no_media_type_could_be_is_no_range() {
        for wrong in
            ["", "json", "*/*", "*/json", "text/", "/json", "a/b/c", "a/*b", "a/b;c=d", "a /b", "a/b, c/d"]
        {
            let message = wrong.parse::<MediaRange>().unwrap_err();
            assert!(message.contains("write `application/json` or `text/*`"), "{wrong:?}: {message}");
        }
    }
}
