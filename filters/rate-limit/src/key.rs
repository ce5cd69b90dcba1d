//! Whose bucket a request is counted in.

use crate::slot::TAG_BITS;
use siphasher::sip128::{Hasher128, SipHasher13};
use sluice_core::decision::exchange::Exchange;
use sluice_core::rule::attribute::Attribute;
use sluice_core::rule::selector::SelectorId;
use std::hash::Hasher;
use std::net::{IpAddr, Ipv6Addr};

/// A bucket of a rule: the slot in which it lies, and the tag by which it is known there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) slot: u32,
    pub(crate) tag: u64,
}

/// The attributes whose values, together, name a bucket.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) selector: SelectorId,
    /// How many leading bits of an IPv6 address stand for one client.
    pub(crate) ipv6_prefix: u8,
    /// Secret of the proxy: who does not know it can't tell which keys share a slot.
    pub(crate) seed: u64,
    /// The rule's stable hash: no two rules have the same tags.
    pub(crate) rule: u64,
    /// How many slots there are.
    pub(crate) slots: u32,
}

/// A key of which the request lacks a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missing;

// === impl Key ===

impl Key {
    /// The request's bucket, whatever limit holds for it.
    pub(crate) fn bucket(&self, exchange: &Exchange<'_>, missing: MissingValues) -> Result<Bucket, Missing> {
        let mut hasher = SipHasher13::new_with_keys(self.seed, self.rule);
        for attribute in &self.attributes {
            match self.hash(attribute, exchange, &mut hasher) {
                Ok(()) => {}
                Err(Missing) if missing == MissingValues::Share => hasher.write_u8(0),
                Err(Missing) => return Err(Missing),
            }
        }
        let hash = hasher.finish128();
        // The upper half of the hash, scaled to the number of slots.
        let slot = (hash.h1 >> 32).wrapping_mul(u64::from(self.slots)) >> 32;
        Ok(Bucket { slot: u32::try_from(slot).unwrap_or(0), tag: hash.h2 >> (64 - TAG_BITS) })
    }

    /// A value with its length before it, so that no two lists of values read alike.
    fn hash(
        &self,
        attribute: &Attribute,
        exchange: &Exchange<'_>,
        hasher: &mut SipHasher13,
    ) -> Result<(), Missing> {
        let mut write = |bytes: &[u8]| {
            hasher.write_u8(1);
            hasher.write_u64(bytes.len() as u64);
            hasher.write(bytes);
        };
        if *attribute == Attribute::ClientAddress {
            match exchange.client_address().ok_or(Missing)?.to_canonical() {
                IpAddr::V4(address) => write(&address.octets()),
                IpAddr::V6(address) => write(&network(address, self.ipv6_prefix).octets()),
            }
        } else {
            write(&attribute.resolve_key(exchange, self.selector).ok_or(Missing)?);
        }
        Ok(())
    }
}

/// What becomes of requests that lack a value of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MissingValues {
    /// They are counted together.
    Share,
    /// They have no bucket.
    None,
}

/// The first `prefix` bits of an address. Whoever has one IPv6 address commonly has 2⁶⁴ of them.
pub(crate) fn network(address: Ipv6Addr, prefix: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into())).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}
