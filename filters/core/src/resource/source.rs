//! Where a resource stands, and how often it is fetched.

use crate::decision::environment::UnixTime;
use crate::resource::record::Record;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// How long after a first failure is tried again, at most; twice as long after each that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause between tries while a value is there, and while none is.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE_WITHOUT: Duration = Duration::from_secs(5);

/// What lies further in the future than this was written before the clock was set back.
const CLOCK_STEP: Duration = Duration::from_secs(10);

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The cluster, by the name that it has in the proxy.
    pub cluster: Rc<str>,
    /// The `:authority`.
    pub authority: Rc<str>,
    /// The path with its query.
    pub path: Rc<str>,
}

/// Reads in a document where something stands, or says what is wrong with it.
pub type ReadLocation = dyn Fn(&[u8]) -> Result<Location, String>;

/// Reads in a document where the resource itself stands.
#[derive(Clone)]
pub struct Follow {
    /// The cluster that it leads to.
    pub cluster: Rc<str>,
    /// What makes it differ from others that read the same document: equal texts read alike.
    pub identity: Rc<str>,
    /// Reads it.
    pub read: Rc<ReadLocation>,
}

/// Where a resource stands. Equal sources are fetched once.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it stands, or the document that says so.
    pub first: Location,
    /// Reads that document; `None`: the resource itself stands at `first`.
    pub follow: Option<Follow>,
}

/// How often a resource is fetched, and how long it is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// How long it is fresh where the answer does not say.
    pub refresh: Duration,
    /// The bounds of what the answer may say (`Cache-Control: max-age`).
    pub shortest: Duration,
    /// See `shortest`.
    pub longest: Duration,
    /// How long after the last try it is tried again because somebody misses something in it.
    pub early: Duration,
    /// How long it is used beyond its freshness while it can't be fetched.
    pub stale: Duration,
    /// How long one fetch may take; a resource that another document leads to takes two.
    pub timeout: Duration,
    /// How long a request waits for it.
    pub within: Duration,
    /// The largest, in bytes.
    pub most_bytes: usize,
}

// === impl Location ===

impl fmt::Display for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}{}", self.cluster, self.authority, self.path)
    }
}

// === impl Source ===

impl Source {
    /// What it is known by, in shared memory too.
    pub fn key(&self) -> Rc<str> {
        match &self.follow {
            None => self.first.to_string().into(),
            Some(follow) => format!("{} then {}", self.first, follow.identity).into(),
        }
    }

    /// The clusters that are called for it.
    pub fn clusters(&self) -> impl Iterator<Item = &Rc<str>> {
        std::iter::once(&self.first.cluster).chain(self.follow.as_ref().map(|follow| &follow.cluster))
    }

    /// How many fetches it takes.
    pub(crate) const fn steps(&self) -> u32 {
        if self.follow.is_some() { 2 } else { 1 }
    }
}

impl fmt::Debug for Follow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.identity)
    }
}

// === impl Schedule ===

impl Schedule {
    /// How long what was fetched is fresh; `max_age` is what the answer said.
    pub(crate) fn lifetime(&self, max_age: Option<Duration>) -> Duration {
        max_age.unwrap_or(self.refresh).clamp(self.shortest, self.longest.max(self.shortest))
    }

    /// Until when what was fetched then may be used.
    pub(crate) fn expiry(&self, fetched: UnixTime, max_age: Option<Duration>) -> UnixTime {
        fetched.after(self.lifetime(max_age).saturating_add(self.stale))
    }

    /// When it is to be fetched again, or for the first time. Without a lease the same for all workers: chance comes from the record.
    pub(crate) fn due(&self, record: &Record, now: UnixTime) -> UnixTime {
        let future = now.after(CLOCK_STEP);
        if record.failed > future || record.fetched > future {
            return now;
        }
        if record.failures > 0 {
            let usable = record.generation != 0 && now < self.expiry(record.fetched, record.max_age);
            let longest = if usable { LONGEST_PAUSE } else { LONGEST_PAUSE_WITHOUT };
            let doublings = record.failures.saturating_sub(1).min(16);
            let pause = FIRST_PAUSE.saturating_mul(1 << doublings).min(longest);
            // From half of it to all of it, so that many proxies don't come together.
            return record.failed.after(portion(pause, 500, 1_000, record.failed, record.failures));
        }
        if record.generation == 0 {
            return UnixTime::default();
        }
        // Before it runs out: from eight tenths of its time to nine.
        let lifetime = self.lifetime(record.max_age);
        record.fetched.after(portion(lifetime, 800, 900, record.fetched, record.ended))
    }
}

/// From `least` to `most` thousandths of `whole`, by a draw that follows from `time` and `count`.
fn portion(whole: Duration, least: u64, most: u64, time: UnixTime, count: u32) -> Duration {
    let mixed = (time.as_nanos() ^ u64::from(count)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32;
    let drawn = mixed.checked_rem(most.saturating_sub(least).saturating_add(1)).unwrap_or(0);
    let thousandths = u128::from(least.saturating_add(drawn));
    let nanoseconds = whole.as_nanos().saturating_mul(thousandths) / 1_000;
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}
