//! Who cares for a source in one worker: agrees with the keepers of all others, and fetches when it is its turn.

use crate::decision::environment::{Environment, SharedError, UnixTime};
use crate::decision::wait::{Answer, CallFailure, HttpAnswer, HttpCall};
use crate::http::header::{HeaderName, HeaderValue};
use crate::resource::freshness;
use crate::resource::record::{Lease, Record, Versioned, kept_tag, read_value, write_value};
use crate::resource::slot::{Awaited, Fetched, HOPELESS};
use crate::resource::source::{Location, Source};
use std::rc::{Rc, Weak};
use std::time::Duration;

/// How soon a keeper looks again what another one has fetched while somebody waits for it.
const SOON: Duration = Duration::from_millis(20);
/// How much longer a lease lasts for each fetch than that may take.
const GRACE: Duration = Duration::from_secs(2);
/// How soon a value that shared memory has lost is fetched again.
const LOST_AFTER: Duration = Duration::from_secs(1);
/// The longest text of what is wrong with an answer.
const LONGEST_PROBLEM: usize = 300;

/// Cares for one source in one worker.
pub struct Keeper {
    source: Source,
    key: Rc<str>,
    name: Rc<str>,
    /// Tells this keeper from all others.
    holder: u64,
    slots: Vec<Weak<dyn Fetched>>,
    known: Versioned,
    /// What this keeper fetches at this moment.
    fetching: Option<Fetching>,
    /// Whether the value that the record names could be read.
    readable: bool,
}

/// A fetch under way.
struct Fetching {
    /// The call's number: the answer to an older one is nobody's.
    ticket: u64,
    /// What the document said that leads to the value, and its ETag; `None`: this is that document, or there is none.
    led: Option<(Location, Vec<u8>)>,
}

/// What is to be done for a keeper.
#[derive(Debug, Default)]
pub struct Turn {
    /// A call to begin, and its number. Its answer is to be given to [`Keeper::answered`]; also that it could not be begun.
    pub call: Option<(u64, HttpCall)>,
    /// When the keeper is to be [asked again](Keeper::tick), at the latest.
    pub next: Option<UnixTime>,
    /// What has happened.
    pub event: Option<Event>,
}

/// A try that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What came of it: `fetched`, `unchanged`, or why it failed.
    pub outcome: &'static str,
    /// What is to be logged, as a warning.
    pub lines: Vec<String>,
    /// The size of the value, where it was fetched.
    pub size: Option<usize>,
}

/// Why a try has failed.
struct Failed {
    outcome: &'static str,
    problem: String,
}

// === impl Keeper ===

impl Keeper {
    /// A keeper for the source of `resource`.
    pub fn new(resource: &Rc<dyn Fetched>, environment: &dyn Environment) -> Self {
        Self {
            source: resource.source().clone(),
            key: Rc::clone(resource.key()),
            name: Rc::clone(resource.name()),
            holder: environment.random() | 1,
            slots: vec![Rc::downgrade(resource)],
            known: Versioned::default(),
            fetching: None,
            readable: true,
        }
    }

    /// Cares for `resource` too, which has the same source.
    pub fn adopt(&mut self, resource: &Rc<dyn Fetched>) {
        self.slots.push(Rc::downgrade(resource));
    }

    /// The source's key.
    pub fn key(&self) -> &Rc<str> {
        &self.key
    }

    /// The name of the first resource of this source.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether nobody needs the source any more.
    pub fn is_idle(&self) -> bool {
        self.slots.iter().all(|slot| slot.strong_count() == 0)
    }

    /// What is known.
    pub fn record(&self) -> &Record {
        &self.known.record
    }

    /// The number of the call that is under way.
    pub fn fetching(&self) -> Option<u64> {
        self.fetching.as_ref().map(|fetching| fetching.ticket)
    }

    /// How the value is: 0 absent, 1 fresh, 2 stale, 3 too old to be used.
    pub fn state(&self, now: UnixTime) -> u64 {
        let Record { generation, fetched, max_age, .. } = self.known.record;
        let Some(slot) = self.slots().next().filter(|_| generation != 0) else { return 0 };
        let schedule = slot.schedule();
        match now {
            now if now < fetched.after(schedule.lifetime(max_age)) => 1,
            now if now < schedule.expiry(fetched, max_age) => 2,
            _ => 3,
        }
    }

    /// Whether a request that waits for this is to be asked again.
    pub fn has_come(&self, awaited: &Awaited, now: UnixTime) -> bool {
        match awaited.newer_than {
            Some(ended) => self.known.record.ended != ended,
            None => self.known.record.failures >= HOPELESS || self.slots().any(|slot| slot.is_usable(now)),
        }
    }

    fn slots(&self) -> impl Iterator<Item = Rc<dyn Fetched>> {
        self.slots.iter().filter_map(Weak::upgrade)
    }

    /// Looks around and does what is due; `waited_for` says whether requests wait.
    pub fn tick(&mut self, waited_for: bool, environment: &dyn Environment) -> Turn {
        self.slots.retain(|slot| slot.strong_count() > 0);
        self.look(environment);
        let now = environment.now();
        let soon = now.after(SOON);
        if let Some(lease) = self.known.record.live_lease(now) {
            // Its own answer comes by itself. What another fetches is looked at when it must be there, or as soon as anybody asks.
            let next = match (lease.holder == self.holder, waited_for) {
                (false, true) => soon,
                _ => lease.until,
            };
            return Turn { next: Some(next), ..Turn::default() };
        }
        // A fetch that has outlived its lease is anybody's.
        self.fetching = None;
        let due = self.due(now);
        if due > now {
            return Turn { next: Some(due), ..Turn::default() };
        }
        match self.claim(now, environment) {
            Some(call) => {
                Turn { call: Some(call), next: self.known.record.lease.map(|lease| lease.until), event: None }
            }
            // Another was faster.
            None => Turn { next: Some(soon), ..Turn::default() },
        }
    }

    fn look(&mut self, environment: &dyn Environment) {
        if let Some(known) = Versioned::read(&self.key, environment) {
            self.known = known;
        }
        let record = &self.known.record;
        let mut readable = true;
        for slot in self.slots() {
            readable &= slot.see(record, environment);
        }
        self.readable = readable;
    }

    fn due(&self, now: UnixTime) -> UnixTime {
        let record = &self.known.record;
        let due_for = |slot: Rc<dyn Fetched>| {
            let schedule = slot.schedule();
            let regular = schedule.due(record, now);
            if slot.is_missed() && record.failures == 0 {
                regular.min(record.attempted.after(schedule.early))
            } else {
                regular
            }
        };
        let due = self.slots().map(due_for).min();
        // Nobody needs it.
        let due = due.unwrap_or(UnixTime::from_nanos(u64::MAX));
        if self.readable { due } else { due.min(record.attempted.after(LOST_AFTER)) }
    }

    fn timeout(&self) -> Duration {
        self.slots().map(|slot| slot.schedule().timeout).max().unwrap_or_default()
    }

    /// Takes the lease, and begins.
    fn claim(&mut self, now: UnixTime, environment: &dyn Environment) -> Option<(u64, HttpCall)> {
        let mut record = self.known.record.clone();
        let lasts = self.timeout().saturating_add(GRACE).saturating_mul(self.source.steps());
        record.lease = Some(Lease { holder: self.holder, until: now.after(lasts) });
        record.attempted = now;
        match self.known.replace(&record, &self.key, environment) {
            // Without shared memory each worker fetches for itself.
            Ok(()) | Err(SharedError::Unavailable) => {}
            Err(SharedError::Conflict) => return None,
        }
        self.known.record = record;
        let ticket = environment.random();
        self.fetching = Some(Fetching { ticket, led: None });
        let record = &self.known.record;
        // What a 304 confirms must be there.
        let follows = self.source.follow.is_some();
        let tag = if follows { &record.first_tag } else { &record.tag };
        let known = if follows { record.location.is_some() } else { self.may_confirm() };
        Some((ticket, self.call(&self.source.first, tag.as_slice(), known)))
    }

    /// Whether the value that the record names is at hand, so that it suffices to hear that it has not changed.
    fn may_confirm(&self) -> bool {
        self.known.record.generation != 0 && self.readable
    }

    fn call(&self, location: &Location, tag: &[u8], known: bool) -> HttpCall {
        let mut headers = vec![(
            HeaderName::from_static("accept"),
            HeaderValue::from_static("application/json, */*;q=0.1"),
        )];
        if known && !tag.is_empty() {
            let tag = HeaderValue::new(tag).ok();
            headers.extend(tag.map(|tag| (HeaderName::from_static("if-none-match"), tag)));
        }
        HttpCall {
            cluster: Rc::clone(&location.cluster),
            method: "GET".into(),
            authority: Rc::clone(&location.authority),
            path: Rc::clone(&location.path),
            headers,
            body: Rc::from([].as_slice()),
            timeout: self.timeout(),
        }
    }

    /// The call of this number was answered, or could not be made.
    pub fn answered(&mut self, ticket: u64, answer: &Answer, environment: &dyn Environment) -> Turn {
        let Some(fetching) = self.fetching.take_if(|fetching| fetching.ticket == ticket) else {
            return Turn::default();
        };
        self.look(environment);
        let now = environment.now();
        if self.known.record.lease.is_none_or(|lease| lease.holder != self.holder) {
            // It took so long that another has taken over.
            return Turn { next: Some(now), ..Turn::default() };
        }
        let result = match (&self.source.follow, fetching.led) {
            (Some(_), None) => match self.read_first(answer) {
                Ok((location, tag)) => {
                    let known = self.may_confirm() && self.known.record.location.as_ref() == Some(&location);
                    let call = self.call(&location, &self.known.record.tag, known);
                    let ticket = environment.random();
                    self.fetching = Some(Fetching { ticket, led: Some((location, tag)) });
                    return Turn { call: Some((ticket, call)), ..Turn::default() };
                }
                Err(failed) => Err(failed),
            },
            (_, led) => self.read_value(answer, led, environment),
        };
        let (record, event) = match result {
            Ok(done) => done,
            Err(failed) => self.failed(failed, now),
        };
        self.end(record, environment);
        Turn { call: None, next: Some(self.due(now)), event: Some(event) }
    }

    fn failed(&self, Failed { outcome, problem }: Failed, now: UnixTime) -> (Record, Event) {
        let mut record = self.known.record.clone();
        record.failures = record.failures.saturating_add(1);
        record.failed = now;
        // Said when it begins; the counter tells how often.
        let mut problem = problem;
        while problem.len() > LONGEST_PROBLEM {
            problem.pop();
        }
        let lines =
            if record.failures == 1 { vec![format!("can't be fetched: {problem}")] } else { Vec::new() };
        (record, Event { outcome, lines, size: None })
    }

    /// The document that leads to the value: where that is, and the ETag.
    fn read_first(&self, answer: &Answer) -> Result<(Location, Vec<u8>), Failed> {
        let record = &self.known.record;
        let answer = http(answer)?;
        match (&self.source.follow, &record.location) {
            (_, Some(location)) if answer.status == 304 && !record.first_tag.is_empty() => {
                Ok((location.clone(), record.first_tag.clone()))
            }
            (Some(follow), _) if answer.status == 200 => {
                let location = (follow.read)(&answer.body)
                    .map_err(|problem| Failed { outcome: "unreadable", problem })?;
                Ok((location, kept_tag(answer.headers.first("etag"))))
            }
            _ => Err(status(answer.status)),
        }
    }

    fn read_value(
        &self,
        answer: &Answer,
        led: Option<(Location, Vec<u8>)>,
        environment: &dyn Environment,
    ) -> Result<(Record, Event), Failed> {
        let answer = http(answer)?;
        let mut record = self.known.record.clone();
        let recovered = record.failures > 0;
        record.fetched = environment.now();
        record.max_age = freshness::max_age(&answer.headers);
        record.failures = 0;
        if let Some((location, tag)) = led {
            (record.location, record.first_tag) = (Some(location), tag);
        }
        let mut lines = Vec::new();
        if recovered {
            lines.push("can be fetched again".to_owned());
        }
        let unchanged =
            |record: Record, lines| Ok((record, Event { outcome: "unchanged", lines, size: None }));
        match answer.status {
            304 if !record.tag.is_empty() && self.may_confirm() => return unchanged(record, lines),
            200 => {}
            other => return Err(status(other)),
        }
        record.tag = kept_tag(answer.headers.first("etag"));
        // A server that knows no ETag gives the same again and again: nobody need read that.
        let before =
            (record.generation != 0).then(|| read_value(&self.key, record.generation, environment)).flatten();
        if before.is_some_and(|before| before == answer.body) {
            return unchanged(record, lines);
        }
        record.generation = environment.random() | 1;
        let mut problem = "nobody needs it".to_owned();
        let mut taken = false;
        for slot in self.slots() {
            match slot.offer(&answer.body, &record) {
                Ok(remarks) => {
                    taken = true;
                    for remark in remarks {
                        if !lines.contains(&remark) {
                            lines.push(remark);
                        }
                    }
                }
                Err(why) => problem = why,
            }
        }
        if !taken {
            return Err(Failed { outcome: "unreadable", problem });
        }
        // Without shared memory it is this worker's alone; the record can't be shared either then.
        let _ = write_value(&self.key, record.generation, &answer.body, environment);
        Ok((record, Event { outcome: "fetched", lines, size: Some(answer.body.len()) }))
    }

    /// The try has ended: the lease goes.
    fn end(&mut self, mut record: Record, environment: &dyn Environment) {
        record.lease = None;
        record.ended = record.ended.wrapping_add(1);
        // Who took over in the meantime knows better.
        match self.known.replace(&record, &self.key, environment) {
            Ok(()) => {}
            Err(SharedError::Unavailable) => self.known.record = record.clone(),
            Err(SharedError::Conflict) => return,
        }
        self.known.record = record;
        self.look(environment);
    }

    /// This worker needs it no longer. A fetch under way is given up, so that another need not wait for the end of the lease.
    pub fn leave(&mut self, environment: &dyn Environment) {
        if self.fetching.take().is_none() {
            return;
        }
        self.look(environment);
        if self.known.record.lease.is_some_and(|lease| lease.holder == self.holder) {
            let mut record = self.known.record.clone();
            record.lease = None;
            // Where that fails the lease ends by itself.
            let _ = self.known.replace(&record, &self.key, environment);
        }
    }
}

fn http(answer: &Answer) -> Result<&HttpAnswer, Failed> {
    match answer {
        Answer::Http(answer) => Ok(answer),
        Answer::Failed(failure) => Err(Failed { outcome: failure.name(), problem: failure.to_string() }),
        Answer::Grpc(_) => {
            let failure = CallFailure::Unreachable;
            Err(Failed { outcome: failure.name(), problem: failure.to_string() })
        }
    }
}

fn status(status: u16) -> Failed {
    Failed { outcome: "status", problem: format!("the answer has the status {status}") }
}
