//! A resource as a policy declares it and asks for it: the value that was read, and how long it is good.

use crate::decision::environment::{Environment, UnixTime};
use crate::resource::record::{Record, Versioned, read_value};
use crate::resource::source::{Schedule, Source};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// How old what is known of shared memory may be when a request asks: another worker may have fetched meanwhile.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// After so many failures in a row nobody waits any more for a resource that was never there.
pub(crate) const HOPELESS: u32 = 3;

/// A resource of a policy's, to be asked for.
pub struct Resource<T>(Rc<Slot<T>>);

/// What was made of the bytes of a resource.
#[derive(Debug)]
pub struct Parsed<T> {
    /// The value.
    pub value: T,
    /// What of it could not be used. It is logged: nothing secret may be in it.
    pub remarks: Vec<String>,
}

/// That a resource is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// How long until it may be there.
    pub retry_after: Duration,
}

/// A resource that a request waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// Its source's key.
    pub key: Rc<str>,
    /// Its name.
    pub name: Rc<str>,
    /// For how long.
    pub within: Duration,
    /// A value is there, and the request waits for the end of a try that comes after these many.
    pub newer_than: Option<u32>,
}

/// A resource, whatever its type: what a [`crate::resource::Keeper`] cares for.
pub trait Fetched: fmt::Debug {
    /// Its name in logs, metrics and `sluice explain --resource`.
    fn name(&self) -> &Rc<str>;

    /// Where it stands.
    fn source(&self) -> &Source;

    /// Its source's key.
    fn key(&self) -> &Rc<str>;

    /// How often it is fetched.
    fn schedule(&self) -> &Schedule;

    /// This is known of it; the value is read from shared memory where it is new. Whether that could be read.
    fn see(&self, record: &Record, environment: &dyn Environment) -> bool;

    /// Takes a value that was fetched just now. What of it could not be used, for the log.
    ///
    /// # Errors
    /// Where it can't be read; the value before it stays.
    fn offer(&self, bytes: &[u8], record: &Record) -> Result<Vec<String>, String>;

    /// Takes a value by hand, in place of all that could be fetched: for `sluice explain` and tests.
    ///
    /// # Errors
    /// Where it can't be read.
    fn supply(&self, bytes: &[u8]) -> Result<Vec<String>, String>;

    /// Whether there is a value that may be used.
    fn is_usable(&self, now: UnixTime) -> bool;

    /// Whether somebody misses something in the value.
    fn is_missed(&self) -> bool;
}

/// Reads a resource.
type Parse<T> = dyn Fn(&[u8]) -> Result<Parsed<T>, String>;

struct Slot<T> {
    name: Rc<str>,
    source: Source,
    key: Rc<str>,
    schedule: Schedule,
    parse: Box<Parse<T>>,
    held: RefCell<Option<Held<T>>>,
    /// What was known last.
    record: RefCell<Record>,
    looked: Cell<Option<UnixTime>>,
    /// The generation that could not be read.
    refused: Cell<u64>,
    missed: Cell<bool>,
    by_hand: Cell<bool>,
}

struct Held<T> {
    value: Rc<T>,
    generation: u64,
    fetched: UnixTime,
    max_age: Option<Duration>,
}

// === impl Resource ===

impl<T> Clone for Resource<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Resource<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl<T: 'static> Resource<T> {
    /// A resource with this name, which `parse` reads. It is to be given to [`crate::decision::compile::Compiler::resource`].
    pub fn declare(
        name: &str,
        source: Source,
        schedule: Schedule,
        parse: impl Fn(&[u8]) -> Result<Parsed<T>, String> + 'static,
    ) -> Self {
        let key = source.key();
        Self(Rc::new(Slot {
            name: name.into(),
            source,
            key,
            schedule,
            parse: Box::new(parse),
            held: RefCell::default(),
            record: RefCell::default(),
            looked: Cell::new(None),
            refused: Cell::new(0),
            missed: Cell::new(false),
            by_hand: Cell::new(false),
        }))
    }

    /// The same, for who keeps it.
    pub fn fetched(&self) -> Rc<dyn Fetched> {
        Rc::clone(&self.0) as Rc<dyn Fetched>
    }

    /// Its name.
    pub fn name(&self) -> &Rc<str> {
        &self.0.name
    }

    /// Its source's key.
    pub fn key(&self) -> &Rc<str> {
        &self.0.key
    }

    /// The value, if there is one that may be used. Looks into shared memory from time to time.
    pub fn find(&self, environment: &dyn Environment) -> Option<Rc<T>> {
        let now = environment.now();
        let looked = self.0.looked.get();
        if looked.is_none_or(|looked| now < looked || now >= looked.after(LOOK_AGAIN_AFTER)) {
            self.look(environment);
        }
        self.0.usable(now)
    }

    /// Looks into shared memory at once: another worker may have fetched a newer value.
    pub(crate) fn look(&self, environment: &dyn Environment) {
        if self.0.by_hand.get() {
            return;
        }
        self.0.looked.set(Some(environment.now()));
        if let Some(Versioned { record, .. }) = Versioned::read(&self.0.key, environment) {
            self.0.see(&record, environment);
        }
    }

    /// What a request waits for that needs the value, which is not there; `None` where that is in vain.
    pub(crate) fn awaited(&self) -> Option<Awaited> {
        let hopeless = self.0.by_hand.get() || self.0.record.borrow().failures >= HOPELESS;
        (!hopeless).then(|| self.wait(None))
    }

    /// What a request waits for that misses something in the value; `None` where none newer is to be had now.
    pub(crate) fn awaited_newer(&self, now: UnixTime) -> Option<Awaited> {
        let record = self.0.record.borrow();
        let early = record.failures == 0 && now >= record.attempted.after(self.0.schedule.early);
        if self.0.by_hand.get() || !(early || record.live_lease(now).is_some()) {
            return None;
        }
        self.0.missed.set(true);
        Some(self.wait(Some(record.ended)))
    }

    fn wait(&self, newer_than: Option<u32>) -> Awaited {
        let Slot { key, name, schedule, .. } = &*self.0;
        Awaited { key: Rc::clone(key), name: Rc::clone(name), within: schedule.within, newer_than }
    }

    /// Whether there may be a newer value that could not be had: the last try has failed, or goes on.
    pub fn may_be_outdated(&self, now: UnixTime) -> bool {
        let record = self.0.record.borrow();
        record.failures > 0 || record.live_lease(now).is_some()
    }

    /// How long until there may be another value, in whole seconds, at least one.
    pub fn unavailable(&self, now: UnixTime) -> Unavailable {
        let due = self.0.schedule.due(&self.0.record.borrow(), now);
        let seconds = due.since(now).as_millis().div_ceil(1_000).max(1);
        Unavailable { retry_after: Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX)) }
    }
}

// === impl Slot ===

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the resource {}", self.name)
    }
}

impl<T> Slot<T> {
    fn usable(&self, now: UnixTime) -> Option<Rc<T>> {
        let held = self.held.borrow();
        let held = held.as_ref()?;
        let usable = self.by_hand.get() || now < self.schedule.expiry(held.fetched, held.max_age);
        usable.then(|| Rc::clone(&held.value))
    }

    fn take(&self, bytes: &[u8], record: &Record) -> Result<Vec<String>, String> {
        let Record { generation, fetched, max_age, .. } = *record;
        let parsed = if bytes.len() > self.schedule.most_bytes {
            Err(format!("larger than {} bytes", self.schedule.most_bytes))
        } else {
            (self.parse)(bytes)
        };
        let Parsed { value, remarks } = parsed.inspect_err(|_| self.refused.set(generation))?;
        self.held.replace(Some(Held { value: Rc::new(value), generation, fetched, max_age }));
        Ok(remarks)
    }
}

impl<T> Fetched for Slot<T> {
    fn name(&self) -> &Rc<str> {
        &self.name
    }

    fn source(&self) -> &Source {
        &self.source
    }

    fn key(&self) -> &Rc<str> {
        &self.key
    }

    fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    fn see(&self, record: &Record, environment: &dyn Environment) -> bool {
        if self.by_hand.get() {
            return true;
        }
        if self.record.borrow().ended != record.ended {
            self.missed.set(false);
        }
        self.record.replace(record.clone());
        if record.generation == 0 || record.generation == self.refused.get() {
            return true;
        }
        if let Some(held) =
            self.held.borrow_mut().as_mut().filter(|held| held.generation == record.generation)
        {
            held.fetched = record.fetched;
            held.max_age = record.max_age;
            return true;
        }
        match read_value(&self.key, record.generation, environment) {
            // Who fetched it has said what is wrong with it.
            Some(bytes) => drop(self.take(&bytes, record)),
            None => return false,
        }
        true
    }

    fn offer(&self, bytes: &[u8], record: &Record) -> Result<Vec<String>, String> {
        if self.by_hand.get() {
            return Ok(Vec::new());
        }
        self.take(bytes, record)
    }

    fn supply(&self, bytes: &[u8]) -> Result<Vec<String>, String> {
        let remarks = self.take(bytes, &Record::default())?;
        self.by_hand.set(true);
        Ok(remarks)
    }

    fn is_usable(&self, now: UnixTime) -> bool {
        self.usable(now).is_some()
    }

    fn is_missed(&self) -> bool {
        self.missed.get()
    }
}
