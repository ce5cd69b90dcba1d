//! Where tokens come from, and which of these sources have lately shown forged ones: what one source spends on bad tokens is not taken
//! from the others.

use siphasher::sip::SipHasher13;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

/// How many places a set of the table has.
const PLACES: usize = 8;
/// How many sets the table has; 4,096 sources in all, some 100 KiB.
const SETS: usize = 512;
/// How long a forged token is held against its source, in nanoseconds.
const SUSPICION: u64 = 60_000_000_000;

/// A source of requests: the client's address as `client.address` finds it. An IPv4 address is one source. Of IPv6 the prefix of 64
/// bits is, since one network has at least that many. All clients without an address are one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// No address is known.
    Unknown,
    /// An IPv4 address.
    Ipv4(u32),
    /// The first 64 bits of an IPv6 address.
    Ipv6(u64),
}

/// What is held against a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Up to when its share is spent.
    pub spent_until: u64,
    /// Up to when it is a suspect: it has shown a forged token.
    pub suspect_until: u64,
}

/// The sources that have lately shown bad tokens. Its size is fixed. Times are those of a clock that never goes back, in nanoseconds.
pub struct SourceTable {
    seed: u64,
    sets: Vec<Vec<Entry>>,
}

struct Entry {
    hash: u64,
    account: Account,
}

// === impl Source ===

impl Source {
    /// The source of a client with this address.
    pub fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            None => Self::Unknown,
            Some(IpAddr::V4(address)) => Self::Ipv4(address.to_bits()),
            Some(IpAddr::V6(address)) => {
                Self::Ipv6(u64::try_from(address.to_bits() >> 64).unwrap_or_default())
            }
        }
    }
}

// === impl Account ===

impl Account {
    /// Whether it has shown a forged token within the last minute.
    pub const fn is_suspect(self, now: u64) -> bool {
        self.suspect_until > now
    }

    /// When the last of it is forgotten.
    fn forgotten_at(self) -> u64 {
        self.spent_until.max(self.suspect_until)
    }
}

// === impl SourceTable ===

impl SourceTable {
    /// A table in which nothing is held against anybody. Clients can't choose addresses that collide: `seed` is secret.
    pub fn new(seed: u64) -> Self {
        Self { seed, sets: Vec::new() }
    }

    /// What is held against `source`.
    pub fn account(&self, source: Source) -> Account {
        let (hash, set) = self.place(source);
        let known = self.sets.get(set).into_iter().flatten().find(|entry| entry.hash == hash);
        known.map(|entry| entry.account).unwrap_or_default()
    }

    /// Charges `source` with `cost` nanoseconds of its share, and makes it a suspect if its token was `forged`. In a full set the source
    /// goes of which least is left to be forgotten.
    pub fn charge(&mut self, source: Source, cost: u64, forged: bool, now: u64) {
        let (hash, set) = self.place(source);
        if self.sets.is_empty() {
            self.sets.resize_with(SETS, Vec::new);
        }
        let Some(set) = self.sets.get_mut(set) else { return };
        let charge = |account: Account| Account {
            spent_until: account.spent_until.max(now).saturating_add(cost),
            suspect_until: if forged { now.saturating_add(SUSPICION) } else { account.suspect_until },
        };
        if let Some(known) = set.iter_mut().find(|entry| entry.hash == hash) {
            known.account = charge(known.account);
            return;
        }
        let entry = Entry { hash, account: charge(Account::default()) };
        if set.len() < PLACES {
            set.push(entry);
        } else if let Some(first) = set.iter_mut().min_by_key(|entry| entry.account.forgotten_at()) {
            *first = entry;
        }
    }

    /// A source's keyed hash, and its set.
    fn place(&self, source: Source) -> (u64, usize) {
        let mut hasher = SipHasher13::new_with_keys(self.seed, self.seed.rotate_left(32));
        source.hash(&mut hasher);
        let hash = hasher.finish();
        let set = hash.checked_rem(SETS as u64).and_then(|set| usize::try_from(set).ok());
        (hash, set.unwrap_or_default())
    }
}

impl fmt::Debug for SourceTable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} sources", self.sets.iter().map(Vec::len).sum::<usize>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn source(address: &str) -> Source {
        Source::of(address.parse().ok())
    }

    #[test]
    fn an_ipv4_address_and_a_prefix_of_64_bits_are_one_source() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::", "0.0.0.0", false),
            ("unknown", "unix", true),
            ("unknown", "::", false),
        ] {
            assert_eq!(source(one) == source(other), same, "{one} {other}");
        }
    }

    #[test]
    fn a_forged_token_is_held_against_its_source_for_a_minute_and_a_genuine_one_is_not() {
        let mut table = SourceTable::new(1);
        table.charge(source("192.0.2.1"), 5, true, 100);
        table.charge(source("192.0.2.2"), 5, false, 100);
        let account = table.account(source("192.0.2.1"));
        assert_eq!(account.spent_until, 105);
        assert!(account.is_suspect(100 + SUSPICION - 1) && !account.is_suspect(100 + SUSPICION));
        assert_eq!(table.account(source("192.0.2.2")), Account { spent_until: 105, suspect_until: 0 });
        assert_eq!(table.account(source("192.0.2.3")), Account::default());
        table.charge(source("192.0.2.1"), 7, false, 101);
        assert_eq!(table.account(source("192.0.2.1")).spent_until, 112);
        assert!(table.account(source("192.0.2.1")).is_suspect(102));
    }

    #[test]
    fn it_never_holds_more_than_it_may_and_forgets_first_what_ends_first() {
        let mut table = SourceTable::new(7);
        for number in 0..50_000_u64 {
            table.charge(Source::Ipv6(number), 1, true, number);
        }
        assert!(table.sets.iter().all(|set| set.len() <= PLACES));
        let held: usize = table.sets.iter().map(Vec::len).sum();
        assert_eq!(held, SETS * PLACES);
        assert!(table.account(Source::Ipv6(49_999)).is_suspect(50_000));
        assert_eq!(table.account(Source::Ipv6(0)), Account::default());
        assert!(std::mem::size_of::<Entry>() <= 24);
    }
}
