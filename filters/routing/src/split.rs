//! Shares of requests that stay with their users.
//!
//! Every value of the sticky attribute has a fixed position among a million, and the destinations take up the million one after
//! another in the order of the list, each as much as its percentage. The position depends on nothing but the value and the rule's
//! name: it is the same in every worker, in every proxy that has the rule, and after every reload. So while the order stays, a
//! changed percentage moves only the boundaries: of two destinations, the one that grows keeps all of its users and gets some of the
//! other's.
//!
//! The hash is keyed by the rule's name so that two rules do not send the same unlucky users to both of their canaries. It is no
//! secret: who may choose the value of the attribute may choose a place. `identity.*` is proven, headers and cookies are not.

use crate::policy::Destination;
use siphasher::sip::SipHasher13;
use sluice_core::decision::exchange::Exchange;
use sluice_core::document::name::Name;
use sluice_core::document::scalar::Percentage;
use sluice_core::rule::attribute::Attribute;
use sluice_core::rule::selector::SelectorId;
use std::hash::Hasher;

/// A compiled split.
pub(crate) struct Split {
    sticky: Vec<Attribute>,
    keys: (u64, u64),
    /// Each destination with where it ends among a million (exclusive), in order.
    destinations: Vec<(u32, Destination)>,
}

/// Where a request stands in a split, and why.
pub(crate) struct Chosen<'s> {
    pub(crate) destination: &'s Destination,
    /// 0 to 999,999.
    pub(crate) position: u32,
    /// The attribute that it follows from; `None`: it was drawn.
    pub(crate) by: Option<&'s Attribute>,
}

impl Split {
    /// Destinations with their shares, which make 100 percent.
    pub(crate) fn new(rule: &Name, sticky: Vec<Attribute>, shares: Vec<(Percentage, Destination)>) -> Self {
        let mut end: u32 = 0;
        let destinations = shares
            .into_iter()
            .map(|(percent, destination)| {
                end = end.saturating_add(percent.millionths());
                (end, destination)
            })
            .collect();
        // Two halves of a key from one name, by two different fixed keys.
        let half = |number| hash((number, 0x736c_7569_6365), rule.as_str().as_bytes());
        Self { sticky, keys: (half(1), half(2)), destinations }
    }

    /// Whether requests are sorted by this attribute.
    pub(crate) fn sticks_to(&self, attribute: &Attribute) -> bool {
        self.sticky.contains(attribute)
    }

    /// The place of a request in a rule whose `match` is `selector`.
    pub(crate) fn choose<'s>(&'s self, exchange: &Exchange<'_>, selector: SelectorId) -> Option<Chosen<'s>> {
        let found = self.sticky.iter().find_map(|attribute| {
            let value = attribute.resolve_key(exchange, selector).filter(|value| !value.is_empty())?;
            Some((hash(self.keys, &value), attribute))
        });
        let (draw, by) = match found {
            Some((hash, attribute)) => (hash, Some(attribute)),
            None => (exchange.environment().random(), None),
        };
        let position = position(draw);
        let (_, destination) = self.destinations.iter().find(|(end, _)| position < *end)?;
        Some(Chosen { destination, position, by })
    }
}

/// Scales a number of all of `u64` to 0..1,000,000, without a modulo's bias.
fn position(draw: u64) -> u32 {
    let scaled = u128::from(draw).wrapping_mul(1_000_000) >> 64;
    u32::try_from(scaled).unwrap_or(0)
}

fn hash((first, second): (u64, u64), bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(first, second);
    hasher.write(bytes);
    hasher.finish()
}
