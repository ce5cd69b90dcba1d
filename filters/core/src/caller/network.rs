//! Sets of networks: a client's address against any number of CIDR ranges in logarithmic time.

use ipnet::IpNet;
use serde::de::{self, Deserialize, Deserializer};
use std::fmt;
use std::net::IpAddr;

/// A CIDR range, `192.0.2.0/24`, or one address, `2001:db8::1`. Bits behind the prefix must be zero: `10.0.0.1/8` is probably not
/// what was meant.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr(IpNet);

impl Cidr {
    /// Reads a range or an address.
    ///
    /// # Errors
    /// A sentence that says what a range may be.
    pub fn new(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.into()));
        }
        let network: IpNet = text.parse().map_err(|_| {
            format!("{text:?} is not an address or CIDR range: write `192.0.2.0/24` or `2001:db8::/32`")
        })?;
        if network.trunc() != network {
            return Err(format!(
                "{text:?} has bits set behind its prefix; did you mean `{}`?",
                network.trunc()
            ));
        }
        Ok(Self(network))
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Cidr {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cidr".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "An address or a CIDR range: `192.0.2.0/24`, `2001:db8::/32`, `203.0.113.7`."
        })
    }
}

/// A set of addresses, as sorted ranges that neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NetworkSet {
    /// First and last address of each range, IPv4 as IPv4-mapped IPv6 (RFC 4291 §2.5.5.2): one order for both.
    ranges: Vec<(u128, u128)>,
}

impl NetworkSet {
    /// The set of all addresses in `cidrs`.
    pub fn new<'c>(cidrs: impl IntoIterator<Item = &'c Cidr>) -> Self {
        let mut ranges: Vec<(u128, u128)> =
            cidrs.into_iter().map(|cidr| (number(cidr.0.network()), number(cidr.0.broadcast()))).collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = (*end).max(last),
                _ => merged.push((first, last)),
            }
        }
        Self { ranges: merged }
    }

    /// Whether `address` is in the set. An IPv4 address and its IPv4-mapped form are the same.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = number(address);
        let after = self.ranges.partition_point(|(first, _)| *first <= address);
        after
            .checked_sub(1)
            .and_then(|position| self.ranges.get(position))
            .is_some_and(|(_, last)| address <= *last)
    }

    /// Whether every address of `narrow` is in this set.
    pub(crate) fn includes(&self, narrow: &Self) -> bool {
        narrow.ranges.iter().all(|(first, last)| {
            let after = self.ranges.partition_point(|(begin, _)| begin <= first);
            let before = after.checked_sub(1).and_then(|position| self.ranges.get(position));
            before.is_some_and(|(_, end)| last <= end)
        })
    }

    /// Whether no address is in both sets.
    pub(crate) fn is_disjoint(&self, other: &Self) -> bool {
        other.ranges.iter().all(|(first, last)| {
            let after = self.ranges.partition_point(|(begin, _)| begin <= last);
            let before = after.checked_sub(1).and_then(|position| self.ranges.get(position));
            before.is_none_or(|(_, end)| end < first)
        })
    }

    /// How many ranges it has.
    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_ipv6_mapped()),
        IpAddr::V6(address) => u128::from(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn set(cidrs: &[&str]) -> NetworkSet {
        let cidrs: Vec<Cidr> = cidrs.iter().map(|text| Cidr::new(text).unwrap()).collect();
        NetworkSet::new(&cidrs)
    }

    #[test]
    fn an_address_is_in_the_ranges_that_hold_it() {
        let set = set(&["192.0.2.0/24", "10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32", "203.0.113.7"]);
        for (address, inside) in [
            ("192.0.2.0", true),
            ("192.0.2.255", true),
            ("192.0.3.0", false),
            ("10.200.0.1", true),
            ("203.0.113.7", true),
            ("203.0.113.8", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("::ffff:192.0.2.1", true),
        ] {
            assert_eq!(set.contains(address.parse().unwrap()), inside, "{address}");
        }
        assert!(!NetworkSet::default().contains("0.0.0.0".parse().unwrap()));
    }

    #[test]
    fn sets_include_and_exclude_each_other() {
        for (wide, narrow, includes, disjoint) in [
            (&["10.0.0.0/8"][..], &["10.1.0.0/16", "10.2.0.1"][..], true, false),
            (&["10.1.0.0/16"], &["10.0.0.0/8"], false, false),
            (&["10.0.0.0/9", "10.128.0.0/9"], &["10.0.0.0/8"], true, false),
            (&["10.0.0.0/8"], &["11.0.0.0/8", "2001:db8::/32"], false, true),
            (&["10.0.0.0/8", "192.0.2.0/24"], &["10.1.0.0/16", "198.51.100.0/24"], false, false),
        ] {
            let (wide, narrow) = (set(wide), set(narrow));
            assert_eq!(
                (wide.includes(&narrow), wide.is_disjoint(&narrow)),
                (includes, disjoint),
                "{wide:?} {narrow:?}"
            );
            assert_eq!(narrow.is_disjoint(&wide), disjoint);
        }
    }

    #[test]
    fn bits_behind_the_prefix_are_a_typing_error() {
        let error = Cidr::new("10.0.0.1/8").unwrap_err();
        assert!(error.contains("`10.0.0.0/8`"), "{error}");
        for wrong in ["", "10.0.0.0/33", "10.0.0", "example.com", "10.0.0.0/"] {
            assert!(Cidr::new(wrong).is_err(), "{wrong}");
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    proptest::proptest! {
        #[test]
        fn it_agrees_with_asking_every_range(
            networks in proptest::collection::vec((proptest::prelude::any::<u32>(), 0_u8..=32), 0..20),
            address: u32,
        ) {
            let cidrs: Vec<Cidr> = networks
                .iter()
                .map(|(bits, length)| Cidr(IpNet::new(std::net::Ipv4Addr::from(*bits).into(), *length).unwrap().trunc()))
                .collect();
            let address: IpAddr = std::net::Ipv4Addr::from(address).into();
            assert_eq!(NetworkSet::new(&cidrs).contains(address), cidrs.iter().any(|cidr| cidr.0.contains(&address)));
        }
    }
}
