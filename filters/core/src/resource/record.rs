//! What all workers of a proxy know of a resource: a few numbers in shared memory.

use crate::decision::environment::{Environment, SharedError, UnixTime};
use crate::resource::source::Location;
use std::time::Duration;

/// Before every key in shared memory; its number changes with the form of what is there.
const PREFIX: &str = "sluice/resource/1/";
/// A version that no value ever has: sets a key only where it is absent (see `shared_set`).
const NOBODYS_VERSION: u32 = u32::MAX;
/// No lease lasts longer. Where one seems to, the clock has been set back.
const LONGEST_LEASE: Duration = Duration::from_secs(600);
/// The longest ETag that is kept.
const LONGEST_TAG: usize = 1_024;

/// What all workers know of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The number of the value; 0: there is none yet.
    pub generation: u64,
    /// When it was fetched, or confirmed, last.
    pub fetched: UnixTime,
    /// How long it is fresh as of then, where the answer said.
    pub max_age: Option<Duration>,
    /// When the last try began.
    pub attempted: UnixTime,
    /// When the last try failed.
    pub failed: UnixTime,
    /// How many tries have failed since the last that did not.
    pub failures: u32,
    /// How many tries have ended, whatever came of them.
    pub ended: u32,
    /// Who tries now.
    pub lease: Option<Lease>,
    /// The ETag of the value; empty for none.
    pub tag: Vec<u8>,
    /// The ETag of the document that led to it; empty for none.
    pub first_tag: Vec<u8>,
    /// Where that document said that the value is.
    pub location: Option<Location>,
}

/// The right to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Who has it.
    pub holder: u64,
    /// When it ends.
    pub until: UnixTime,
}

/// A record as it was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Versioned {
    pub(crate) record: Record,
    version: Option<u32>,
}

// === impl Record ===

impl Record {
    /// Who fetches at this moment.
    pub fn live_lease(&self, now: UnixTime) -> Option<Lease> {
        self.lease.filter(|lease| now < lease.until && lease.until <= now.after(LONGEST_LEASE))
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        let lease = self.lease.unwrap_or(Lease { holder: 0, until: UnixTime::default() });
        for number in [
            self.generation,
            self.fetched.as_nanos(),
            self.max_age.map_or(u64::MAX, |age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX - 1)),
            self.attempted.as_nanos(),
            self.failed.as_nanos(),
            u64::from(self.failures),
            u64::from(self.ended),
            lease.holder,
            lease.until.as_nanos(),
        ] {
            out.extend(number.to_le_bytes());
        }
        let location = self.location.as_ref();
        let text = |part: fn(&Location) -> &str| location.map_or("", part).as_bytes();
        for bytes in [
            &self.tag,
            &self.first_tag,
            text(|location| &location.cluster),
            text(|location| &location.authority),
            text(|location| &location.path),
        ] {
            out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
            out.extend(bytes);
        }
        out
    }

    /// `None` where another plugin has written something else there.
    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut number = || -> Option<u64> {
            let (first, rest) = bytes.split_first_chunk::<8>()?;
            bytes = rest;
            Some(u64::from_le_bytes(*first))
        };
        let (generation, fetched) = (number()?, UnixTime::from_nanos(number()?));
        let max_age = Some(number()?).filter(|age| *age != u64::MAX).map(Duration::from_nanos);
        let (attempted, failed) = (UnixTime::from_nanos(number()?), UnixTime::from_nanos(number()?));
        let (failures, ended) = (u32::try_from(number()?).ok()?, u32::try_from(number()?).ok()?);
        let lease = Lease { holder: number()?, until: UnixTime::from_nanos(number()?) };
        let mut text = || -> Option<Vec<u8>> {
            let (size, rest) = bytes.split_first_chunk::<4>()?;
            let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*size)).ok()?)?;
            bytes = rest;
            Some(text.to_vec())
        };
        let (tag, first_tag) = (text()?, text()?);
        let mut word = || Some(std::rc::Rc::from(String::from_utf8(text()?).ok()?.as_str()));
        let location = Location { cluster: word()?, authority: word()?, path: word()? };
        let location = (!location.path.is_empty()).then_some(location);
        let lease = (lease.holder != 0).then_some(lease);
        Some(Self {
            generation,
            fetched,
            max_age,
            attempted,
            failed,
            failures,
            ended,
            lease,
            tag,
            first_tag,
            location,
        })
    }
}

/// The ETag to keep of an answer.
pub(crate) fn kept_tag(tag: Option<&[u8]>) -> Vec<u8> {
    tag.filter(|tag| tag.len() <= LONGEST_TAG).unwrap_or_default().to_vec()
}

// === impl Versioned ===

impl Versioned {
    /// What shared memory holds of the resource `key`; `None` where there is no such memory, or nothing in it.
    pub(crate) fn read(key: &str, environment: &dyn Environment) -> Option<Self> {
        let (bytes, version) = environment.shared_get(&format!("{PREFIX}record {key}"))?;
        Some(Self { record: Record::decode(&bytes).unwrap_or_default(), version: Some(version) })
    }

    /// Puts `record` in the place of the one that was read.
    pub(crate) fn replace(
        &self,
        record: &Record,
        key: &str,
        environment: &dyn Environment,
    ) -> Result<(), SharedError> {
        let version = self.version.unwrap_or(NOBODYS_VERSION);
        environment.shared_set(&format!("{PREFIX}record {key}"), &record.encode(), version)
    }
}

/// The value of this generation; `None` where it is not there.
pub(crate) fn read_value(key: &str, generation: u64, environment: &dyn Environment) -> Option<Vec<u8>> {
    let (mut bytes, _) = environment.shared_get(&format!("{PREFIX}value {key}"))?;
    if *bytes.first_chunk::<8>()? != generation.to_le_bytes() {
        return None;
    }
    Some(bytes.split_off(8))
}

/// Puts a value in the place of all before. Only who has the lease may: the record then names its generation.
pub(crate) fn write_value(
    key: &str,
    generation: u64,
    value: &[u8],
    environment: &dyn Environment,
) -> Result<(), SharedError> {
    let bytes = [&generation.to_le_bytes(), value].concat();
    environment.shared_set(&format!("{PREFIX}value {key}"), &bytes, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn record() -> Record {
        let seconds = UnixTime::from_seconds;
        Record {
            generation: 7,
            fetched: seconds(8),
            max_age: Some(Duration::from_secs(300)),
            attempted: seconds(9),
            failed: seconds(10),
            failures: 2,
            ended: 3,
            lease: Some(Lease { holder: 4, until: seconds(11) }),
            tag: b"\"a\"".to_vec(),
            first_tag: Vec::new(),
            location: Some(Location {
                cluster: "id".into(),
                authority: "id.example.com".into(),
                path: "/keys".into(),
            }),
        }
    }

    #[test]
    fn a_record_comes_back_as_it_was_and_nothing_else_is_taken_for_one() {
        for record in [Record::default(), record()] {
            let bytes = record.encode();
            assert_eq!(Record::decode(&bytes), Some(record));
            for end in 0..bytes.len() {
                assert_eq!(Record::decode(&bytes[..end]), None);
            }
        }
        assert_eq!(Record::decode(&[0xff; 200]), None);
    }

    #[test]
    fn a_lease_ends_also_where_the_clock_was_set_back() {
        let record = record();
        assert!(record.live_lease(UnixTime::from_seconds(10)).is_some());
        assert_eq!(record.live_lease(UnixTime::from_seconds(11)), None);
        let mut far = record;
        far.lease = Some(Lease { holder: 4, until: UnixTime::from_seconds(1_000_000) });
        assert_eq!(far.live_lease(UnixTime::from_seconds(10)), None);
    }
}
