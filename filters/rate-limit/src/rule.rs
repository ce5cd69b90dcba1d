//! One rule: whether it is about a request, and whether it has room for it.

use crate::config::{Contention, MissingKey};
use crate::gcra::{Gcra, Taken};
use crate::key::{Bucket, Key, Missing, MissingValues};
use crate::lease::Leases;
use crate::slot::{Slot, Standing};
use crate::table::{Conflict, Table, Version};
use sluice_core::attribute::Attribute;
use sluice_core::environment::{Environment, UnixTime};
use sluice_core::exchange::Exchange;
use sluice_core::name::Name;
use sluice_core::reason::ReasonId;
use sluice_core::selector::SelectorId;
use sluice_core::when::CompiledWhen;
use std::cell::RefCell;

/// How often a slot is tried to be changed before the rule's `onContention` decides. Each failure means that another worker has just
/// succeeded, so three in a row are rare even under a flood.
pub(crate) const MOST_TRIES: u32 = 3;

/// How many refused keys a worker remembers.
const REMEMBERED: usize = 256;

/// A compiled rule of `rateLimit`.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: Name,
    pub(crate) selector: SelectorId,
    pub(crate) when: CompiledWhen,
    pub(crate) key: Key,
    pub(crate) on_missing_key: MissingKey,
    pub(crate) on_contention: Contention,
    /// The rule's own limit, then those of `by`.
    pub(crate) limits: Vec<Limit>,
    /// For each attribute of `by`, in order: its values, and the position in `limits` of each.
    pub(crate) by: Vec<(Attribute, Vec<(String, u32)>)>,
    /// The units that a request takes.
    pub(crate) cost: u64,
    pub(crate) table: Table,
    /// Only with a `tolerance`.
    pub(crate) leases: Option<Leases>,
    pub(crate) refused: Remembered,
    pub(crate) shadow: bool,
    pub(crate) reasons: Reasons,
}

/// A limit of a rule.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) gcra: Gcra,
    /// Its item of `RateLimit-Policy`.
    pub(crate) policy: String,
}

/// What a rule can decide, besides letting a request pass.
#[derive(Debug)]
pub(crate) struct Reasons {
    pub(crate) exceeded: ReasonId,
    pub(crate) crowded: ReasonId,
    pub(crate) contended: ReasonId,
    pub(crate) missing_key: ReasonId,
}

/// A rule that has room for a request, before anything is taken.
#[derive(Debug)]
pub(crate) struct Look {
    /// The position of the rule among its stage's.
    pub(crate) rule: usize,
    limit: u32,
    bucket: Bucket,
    held: Held,
}

#[derive(Debug)]
enum Held {
    /// This worker has a lease that covers the request.
    Lease,
    /// The slot as it was read.
    Slot(Slot, Version),
}

/// A rule has no room for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The position of the rule among its stage's.
    pub(crate) rule: usize,
    pub(crate) limit: u32,
    pub(crate) why: Why,
    /// Nanoseconds until there may be room.
    pub(crate) wait: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The bucket has too little left.
    Exceeded,
    /// So has the bucket that it took over in a crowded slot.
    Crowded,
    /// Other workers always came first.
    Contended,
    /// There is no key to count it by.
    MissingKey,
}

/// What a request left of a bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    pub(crate) limit: u32,
    pub(crate) remaining: u64,
    /// Nanoseconds until there is one more.
    pub(crate) next_unit_in: u64,
}

/// The keys that were refused lately, so that a flood of one costs no call of the host. Buckets are only ever emptied by others
/// meanwhile, and filled by time: what was known then still suffices to refuse, never to let pass.
#[derive(Debug, Default)]
pub(crate) struct Remembered(RefCell<Vec<(u64, UnixTime)>>);

// === impl Remembered ===

impl Remembered {
    fn full_at(&self, tag: u64) -> Option<UnixTime> {
        let places = self.0.borrow();
        let (known, full_at) = places.get(Self::place(tag))?;
        (*known == tag).then_some(*full_at)
    }

    fn remember(&self, tag: u64, full_at: UnixTime) {
        let mut places = self.0.borrow_mut();
        if places.is_empty() {
            places.resize(REMEMBERED, (0, UnixTime::default()));
        }
        if let Some(place) = places.get_mut(Self::place(tag)) {
            *place = (tag, full_at);
        }
    }

    fn place(tag: u64) -> usize {
        // Tags are hashes: any bits of one do.
        (tag as usize).checked_rem(REMEMBERED).unwrap_or(0)
    }
}

// === impl Rule ===

impl Rule {
    /// Whether the rule is about this request.
    pub(crate) fn applies(&self, exchange: &Exchange<'_>) -> bool {
        let name = &self.name;
        if !exchange.matches(self.selector) {
            exchange.note(|| format!("rule `{name}`: its `match` is about other requests"));
            return false;
        }
        if let Some(key) = self.when.unmet(exchange) {
            exchange.note(|| format!("rule `{name}`: the caller does not meet `when.{key}`"));
            return false;
        }
        true
    }

    /// The limit with this position.
    pub(crate) fn limit(&self, position: u32) -> Option<&Limit> {
        self.limits.get(position as usize)
    }

    /// Looks for room without taking any; `None` where the rule does not count the request. `rule` is its own position.
    pub(crate) fn look(
        &self,
        rule: usize,
        exchange: &Exchange<'_>,
        now: UnixTime,
    ) -> Option<Result<Look, Refusal>> {
        let limit = self.choose_limit(exchange);
        let gcra = self.limit(limit)?.gcra;
        let refusal = |why, wait| Refusal { rule, limit, why, wait };
        let missing = match self.on_missing_key {
            MissingKey::Share => MissingValues::Share,
            MissingKey::Skip | MissingKey::Deny => MissingValues::None,
        };
        let bucket = match self.key.bucket(exchange, limit, missing) {
            Ok(bucket) => bucket,
            Err(Missing) if self.on_missing_key == MissingKey::Skip => {
                exchange
                    .note(|| format!("rule `{}`: a value of its `key` is missing: not counted", self.name));
                return None;
            }
            Err(Missing) => return Some(Err(refusal(Why::MissingKey, 0))),
        };
        if self.leases.as_ref().is_some_and(|leases| leases.covers(bucket.tag, self.cost, now)) {
            return Some(Ok(Look { rule, limit, bucket, held: Held::Lease }));
        }
        if let Some(full_at) = self.refused.full_at(bucket.tag)
            && gcra.mend(full_at, now).is_none()
            && let Err(refused) = gcra.take(full_at, now, self.cost)
        {
            return Some(Err(refusal(Why::Exceeded, refused.wait)));
        }
        let environment = exchange.environment();
        let (mut slot, mut version) = match self.leases {
            // Others give back what they leased, so a guess could be too low as well as too high.
            Some(_) => self.table.read(environment, bucket.slot, now),
            None => self.table.read_or_guess(environment, bucket.slot, now),
        };
        let mut taken = self.take(&gcra, &slot, bucket, now);
        if taken.is_err() && matches!(version, Version::Guessed(_)) {
            (slot, version) = self.table.read(environment, bucket.slot, now);
            taken = self.take(&gcra, &slot, bucket, now);
        }
        Some(match taken {
            Ok(_) => Ok(Look { rule, limit, bucket, held: Held::Slot(slot, version) }),
            Err((why, wait)) => {
                self.mend(&gcra, slot, version, bucket, environment, now);
                Err(refusal(why, wait))
            }
        })
    }

    /// Puts right what a clock that has been set back has left in a slot.
    fn mend(
        &self,
        gcra: &Gcra,
        mut slot: Slot,
        version: Version,
        bucket: Bucket,
        environment: &dyn Environment,
        now: UnixTime,
    ) {
        if let Some(full_at) = gcra.mend(slot.standing(bucket.tag).full_at(), now) {
            slot.put(bucket.tag, full_at);
            // Whoever came first has put it right as well, or the next request will.
            let _ = self.table.write(environment, bucket.slot, &slot, version);
        }
    }

    /// Takes what [`Self::look`] has found.
    ///
    /// # Errors
    /// Other workers have taken it meanwhile.
    pub(crate) fn commit(
        &self,
        look: &Look,
        environment: &dyn Environment,
        now: UnixTime,
    ) -> Result<Left, Refusal> {
        let Look { rule, limit, bucket, .. } = *look;
        let refusal = |why, wait| Refusal { rule, limit, why, wait };
        let contended = match self.on_contention {
            Contention::Allow => Ok(Left { limit, remaining: 0, next_unit_in: 1 }),
            Contention::Deny => Err(refusal(Why::Contended, 1)),
        };
        let Some(gcra) = self.limit(limit).map(|limit| limit.gcra) else { return contended };
        let mut held = match look.held {
            Held::Slot(slot, version) => Some((slot, version)),
            Held::Lease => {
                let leases = self.leases.as_ref();
                if leases.is_some_and(|leases| leases.spend(bucket.tag, self.cost, now)) {
                    let remaining = leases.map_or(0, |leases| leases.left(bucket.tag));
                    return Ok(Left { limit, remaining, next_unit_in: gcra.interval() });
                }
                None
            }
        };
        let mut tries = 0;
        while tries < MOST_TRIES {
            let (mut slot, version) =
                held.take().unwrap_or_else(|| self.table.read(environment, bucket.slot, now));
            let (taken, units) =
                self.take(&gcra, &slot, bucket, now).map_err(|(why, wait)| refusal(why, wait))?;
            slot.put(bucket.tag, taken.full_at);
            match self.table.write(environment, bucket.slot, &slot, version) {
                Ok(()) => {
                    let mut remaining = taken.remaining;
                    if let Some(leases) = &self.leases {
                        leases.grant(bucket.tag, units, self.cost, now);
                        remaining = remaining.saturating_add(leases.left(bucket.tag));
                    }
                    return Ok(Left { limit, remaining, next_unit_in: taken.next_unit_in });
                }
                // A wrong guess is not another worker's coming first.
                Err(Conflict) if matches!(version, Version::Guessed(_)) => {}
                Err(Conflict) => tries = tries.saturating_add(1),
            }
        }
        contended
    }

    /// What the request takes from its bucket in `slot`, and how many units that are: with leases, more than it needs, if there are.
    fn take(
        &self,
        gcra: &Gcra,
        slot: &Slot,
        bucket: Bucket,
        now: UnixTime,
    ) -> Result<(Taken, u64), (Why, u64)> {
        let standing = slot.standing(bucket.tag);
        let mut full_at = standing.full_at();
        if let Some(leases) = &self.leases {
            if let Standing::Known(_) = standing {
                // What an earlier lease has not spent is given back.
                let unspent = leases.left(bucket.tag).saturating_mul(gcra.interval());
                full_at = UnixTime::from_nanos(full_at.as_nanos().saturating_sub(unspent));
            }
            let units = leases.next_size(bucket.tag, self.cost);
            if let Ok(taken) = gcra.take(full_at, now, units) {
                return Ok((taken, units));
            }
        }
        match gcra.take(full_at, now, self.cost) {
            Ok(taken) => Ok((taken, self.cost)),
            Err(refused) => {
                let why = match standing {
                    Standing::Crowded(_) => Why::Crowded,
                    Standing::Known(_) | Standing::Full => Why::Exceeded,
                };
                // Leases give back, and strangers' buckets change hands: only what surely stays is remembered.
                if self.leases.is_none() && why == Why::Exceeded {
                    self.refused.remember(bucket.tag, full_at);
                }
                Err((why, refused.wait))
            }
        }
    }

    /// The position of the limit that holds for this request: the first of `by` that fits, or the rule's own.
    fn choose_limit(&self, exchange: &Exchange<'_>) -> u32 {
        let chosen = self.by.iter().find_map(|(attribute, values)| {
            let value = attribute.resolve(exchange, self.selector)?;
            values.iter().find(|(wanted, _)| wanted.as_bytes() == value.as_ref()).map(|(_, limit)| *limit)
        });
        chosen.unwrap_or(0)
    }
}
