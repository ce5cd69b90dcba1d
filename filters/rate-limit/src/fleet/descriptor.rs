//! What a rule is to the service: a descriptor whose first entry is the rule's name, and an entry for each attribute of its key.
//!
//! A value stands as it is where it is short plain text. Headers, cookies and parameters of the query may be credentials, and clients
//! write them: those, and whatever else is not plain, are sent as `sha256:` and 128 bits of it. Services write descriptors to logs,
//! statistics and the keys of their store, joined with `_`; so nobody may write a value that reads as several entries.

use super::message::{Descriptor, Entry, LimitOverride};
use crate::key::{Key, network};
use sluice_core::decision::exchange::Exchange;
use sluice_core::document::name::Name;
use sluice_core::document::scalar::{Period, Rate};
use sluice_core::rule::attribute::Attribute;
use std::fmt::Write as _;
use std::net::IpAddr;

/// The key of the first entry.
pub const RULE: &str = "rule";

/// The longest value that is sent as it is.
const LONGEST_VALUE: usize = 128;

/// How many bytes of a SHA-256 stand for a value.
const HASH_BYTES: usize = 16;

const HASHED: &str = "sha256:";

/// The names of a rule's entries.
#[derive(Debug)]
pub(crate) struct EntryNames {
    rule: String,
    keys: Vec<String>,
}

// === impl EntryNames ===

impl EntryNames {
    pub(crate) fn new(rule: &Name, attributes: &[Attribute]) -> Self {
        Self { rule: rule.to_string(), keys: attributes.iter().map(ToString::to_string).collect() }
    }

    /// The request's descriptor. A value that it lacks is empty: whoever lacks the same ones shares a counter.
    pub(crate) fn descriptor(&self, key: &Key, limit: LimitOverride, exchange: &Exchange<'_>) -> Descriptor {
        let mut entries = Vec::with_capacity(self.keys.len().saturating_add(1));
        entries.push(Entry { key: RULE.to_owned(), value: self.rule.clone() });
        for (attribute, name) in key.attributes.iter().zip(&self.keys) {
            let value = self.value(attribute, key, exchange).unwrap_or_default();
            entries.push(Entry { key: name.clone(), value });
        }
        Descriptor { entries, limit: Some(limit) }
    }

    fn value(&self, attribute: &Attribute, key: &Key, exchange: &Exchange<'_>) -> Option<String> {
        if *attribute == Attribute::ClientAddress {
            return Some(match exchange.client_address()?.to_canonical() {
                IpAddr::V6(address) if key.ipv6_prefix < 128 => {
                    format!("{}/{}", network(address, key.ipv6_prefix), key.ipv6_prefix)
                }
                address => address.to_string(),
            });
        }
        let value = attribute.resolve_key(exchange, key.selector)?;
        let shown = !matches!(attribute, Attribute::Header(_) | Attribute::Cookie(_) | Attribute::Query(_));
        let text = std::str::from_utf8(&value).ok().filter(|text| shown && self.is_plain(text));
        Some(text.map_or_else(|| hashed(&value), str::to_owned))
    }

    fn is_plain(&self, text: &str) -> bool {
        let is_entry = |name: &String| {
            text.match_indices(name.as_str()).any(|(at, _)| {
                let before = text.get(..at).is_some_and(|before| before.ends_with('_'));
                let after = at.checked_add(name.len()).and_then(|end| text.get(end..));
                before && after.is_some_and(|after| after.starts_with('_'))
            })
        };
        (1..=LONGEST_VALUE).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic())
            && !text.starts_with(HASHED)
            && !self.keys.iter().any(is_entry)
    }
}

/// The limit as the protocol has it.
pub(crate) fn limit_override(limit: Rate) -> LimitOverride {
    // `envoy.type.v3.RateLimitUnit`. Its windows begin at multiples of their length since 1970; a month has 30 days, a year 365.
    let unit = match limit.period() {
        Period::Second => 1,
        Period::Minute => 2,
        Period::Hour => 3,
        Period::Day => 4,
        Period::Month => 5,
        Period::Year => 6,
    };
    LimitOverride { requests_per_unit: u32::try_from(limit.count()).unwrap_or(u32::MAX), unit }
}

fn hashed(value: &[u8]) -> String {
    let digest = hmac_sha256::Hash::hash(value);
    let mut text = HASHED.to_owned();
    for byte in digest.iter().take(HASH_BYTES) {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn only_short_plain_text_that_is_no_entry_is_sent_as_it_is() {
        let attributes = ["identity.consumer", "path.id"].map(|text| Attribute::new(text).unwrap());
        let names = EntryNames::new(&Name::new("a").unwrap(), &attributes);
        for (value, plain) in [
            ("acme", true),
            ("staff/alice@example.com", true),
            ("acme_corp", true),
            ("acme_path.id", true),
            ("path.id_7", true),
            ("acme_path.id_7", false),
            ("x_identity.consumer_", false),
            ("", false),
            ("two words", false),
            ("line\nbreak", false),
            ("\u{e9}", false),
            ("sha256:00", false),
            (&"a".repeat(128), true),
            (&"a".repeat(129), false),
        ] {
            assert_eq!(names.is_plain(value), plain, "{value}");
        }
    }

    #[test]
    fn a_hash_is_half_a_sha256() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(hashed(b"abc"), "sha256:ba7816bf8f01cfea414140de5dae2223");
    }
}
