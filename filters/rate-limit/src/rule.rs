//! One rule: whether it is about a request, and whether it has room for it.

use crate::config::{Contention, MissingKey};
use crate::fleet::Fleet;
use crate::gcra::{Gcra, Taken};
use crate::key::{Bucket, Key, Missing, MissingValues};
use crate::lease::{Lease, Leases, Terms};
use crate::slot::{Slot, Standing, Used};
use crate::table::{Conflict, Table, Version};
use sluice_core::decision::environment::{Environment, UnixTime};
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::reason::ReasonId;
use sluice_core::rule::attribute::Attribute;
use sluice_core::rule::head::Head;
use std::cell::RefCell;

/// How often a slot is tried to be changed before the rule's `onContention` decides. Each failure means that another worker has just
/// succeeded, so three in a row are rare even under a flood.
pub(crate) const MOST_TRIES: u32 = 3;

/// How many refused keys a worker remembers.
const REMEMBERED: usize = 256;

/// A compiled rule of `rateLimit`.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) head: Head,
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
    pub(crate) leases: Leases,
    /// The most units that a bucket of any limit holds.
    pub(crate) most_units: u64,
    pub(crate) refused: RecentRefusals,
    pub(crate) shadow: bool,
    pub(crate) reasons: Reasons,
    /// With `scope: fleet`: the service that counts. What this rule counts itself stands in where that fails.
    pub(crate) fleet: Option<Fleet>,
}

/// A limit of a rule.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) gcra: Gcra,
    /// Only with a `tolerance`.
    pub(crate) terms: Option<Terms>,
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

/// What a request is counted as by a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    /// The position of the limit that holds for it.
    pub(crate) limit: u32,
    pub(crate) bucket: Bucket,
}

/// A rule that has room for a request, before anything is taken.
#[derive(Debug)]
pub(crate) struct Look {
    /// The position of the rule among its stage's.
    pub(crate) rule: usize,
    counted: Counted,
    held: Held,
}

/// Kept in memory that is used again, so its size costs nothing.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a box would be an allocation for each request")]
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
    /// The rate-limit service says so.
    OverLimit,
    /// The rate-limit service has failed.
    Unavailable,
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
pub(crate) struct RecentRefusals(RefCell<Vec<(u64, Used)>>);

// === impl RecentRefusals ===

impl RecentRefusals {
    fn used(&self, tag: u64) -> Option<Used> {
        let places = self.0.borrow();
        let (known, used) = places.get(Self::place(tag))?;
        (*known == tag).then_some(*used)
    }

    fn remember(&self, tag: u64, used: Used) {
        let mut places = self.0.borrow_mut();
        if places.is_empty() {
            places.resize(REMEMBERED, (0, Used::default()));
        }
        if let Some(place) = places.get_mut(Self::place(tag)) {
            *place = (tag, used);
        }
    }

    fn place(tag: u64) -> usize {
        // Tags are hashes: any bits of one do.
        (tag as usize).checked_rem(REMEMBERED).unwrap_or(0)
    }
}

// === impl Rule ===

impl Rule {
    /// The limit with this position.
    pub(crate) fn limit(&self, position: u32) -> Option<&Limit> {
        self.limits.get(position as usize)
    }

    /// What the request is counted as; `None` where the rule does not count it.
    ///
    /// # Errors
    /// [`Missing`]: it is refused for want of a key.
    pub(crate) fn count(&self, exchange: &Exchange<'_>) -> Option<Result<Counted, Missing>> {
        let missing = match self.on_missing_key {
            MissingKey::Share => MissingValues::Share,
            MissingKey::Skip | MissingKey::Deny => MissingValues::None,
        };
        match self.key.bucket(exchange, missing) {
            Ok(bucket) => Some(Ok(Counted { limit: self.choose_limit(exchange), bucket })),
            Err(Missing) if self.on_missing_key == MissingKey::Skip => {
                exchange.note(|| {
                    format!("rule `{}`: a value of its `key` is missing: not counted", self.head.name)
                });
                None
            }
            Err(Missing) => Some(Err(Missing)),
        }
    }

    /// Looks for room without taking any; `None` where the rule has no such limit. `rule` is its own position.
    pub(crate) fn look(
        &self,
        rule: usize,
        counted: Counted,
        environment: &dyn Environment,
        now: UnixTime,
    ) -> Option<Result<Look, Refusal>> {
        let Counted { limit, bucket } = counted;
        let Limit { gcra, terms, .. } = *self.limit(limit)?;
        let refusal = |why, wait| Refusal { rule, limit, why, wait };
        if terms.is_some() && self.leases.covers(bucket.tag, gcra.interval(), self.cost, now) {
            return Some(Ok(Look { rule, counted, held: Held::Lease }));
        }
        if let Some(used) = self.refused.used(bucket.tag)
            && !self.is_of_another_clock(used, now)
            && let Err(refused) = gcra.take(gcra.convert(used.full_at, used.interval, now), now, self.cost)
        {
            return Some(Err(refusal(Why::Exceeded, refused.wait)));
        }
        self.table.hold(environment, now);
        let (mut slot, mut version) = match terms {
            // Others give back what they leased, so a guess could be too low as well as too high.
            Some(_) => self.table.read(environment, bucket.slot, now),
            None => self.table.read_or_guess(environment, bucket.slot, now),
        };
        // What is taken here is not written: all rules are looked at first.
        let mut trial = slot;
        let mut taken = self.take(&gcra, terms, &mut trial, bucket, now);
        if taken.is_err() && matches!(version, Version::Guessed(_)) {
            (slot, version) = self.table.read(environment, bucket.slot, now);
            trial = slot;
            taken = self.take(&gcra, terms, &mut trial, bucket, now);
        }
        Some(match taken {
            Ok(_) => Ok(Look { rule, counted, held: Held::Slot(slot, version) }),
            Err((why, wait)) => {
                if slot.is_mended() {
                    // Whoever came first has put it right as well, or the next request will.
                    let _ = self.table.write(environment, bucket.slot, &slot.written(now), version);
                }
                Err(refusal(why, wait))
            }
        })
    }

    /// Whether more was taken than any bucket of the rule holds, which only a clock that has been set back can leave.
    fn is_of_another_clock(&self, used: Used, now: UnixTime) -> bool {
        let empty = now.as_nanos().saturating_add(self.most_units.saturating_mul(used.interval));
        used.full_at.as_nanos() > empty
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
        let Look { rule, counted: Counted { limit, bucket }, .. } = *look;
        let refusal = |why, wait| Refusal { rule, limit, why, wait };
        let contended = match self.on_contention {
            Contention::Allow => Ok(Left { limit, remaining: 0, next_unit_in: 1 }),
            Contention::Deny => Err(refusal(Why::Contended, 1)),
        };
        let Some(&Limit { gcra, terms, .. }) = self.limit(limit) else { return contended };
        let mut held = match look.held {
            Held::Slot(slot, version) => Some((slot, version)),
            Held::Lease => {
                if self.leases.spend(bucket.tag, gcra.interval(), self.cost, now) {
                    let remaining = self.leases.left(bucket.tag);
                    return Ok(Left { limit, remaining, next_unit_in: gcra.interval() });
                }
                self.table.hold(environment, now);
                None
            }
        };
        let mut tries = 0;
        while tries < MOST_TRIES {
            let (mut slot, version) =
                held.take().unwrap_or_else(|| self.table.read(environment, bucket.slot, now));
            let (taken, units) =
                self.take(&gcra, terms, &mut slot, bucket, now).map_err(|(why, wait)| refusal(why, wait))?;
            match self.table.write(environment, bucket.slot, &slot.written(now), version) {
                Ok(()) => {
                    let left = units.saturating_sub(self.cost);
                    if let Some(Terms { life, .. }) = terms {
                        self.leases.grant(Lease {
                            tag: bucket.tag,
                            interval: gcra.interval(),
                            size: units,
                            left,
                            from: now,
                            until: UnixTime::from_nanos(now.as_nanos().saturating_add(life)),
                            full_at: taken.full_at,
                            returned: slot.returned(),
                        });
                    }
                    let remaining = taken.remaining.saturating_add(left);
                    return Ok(Left { limit, remaining, next_unit_in: taken.next_unit_in });
                }
                // A wrong guess is not another worker's coming first.
                Err(Conflict) if matches!(version, Version::Guessed(_)) => {}
                Err(Conflict) => tries = tries.saturating_add(1),
            }
        }
        contended
    }

    /// Takes what the request needs from its bucket in `slot`, and says how many units that are: with a lease, more than it needs, if
    /// there are. Where there are too few, nothing is taken.
    fn take(
        &self,
        gcra: &Gcra,
        terms: Option<Terms>,
        slot: &mut Slot,
        bucket: Bucket,
        now: UnixTime,
    ) -> Result<(Taken, u64), (Why, u64)> {
        let standing = slot.standing(bucket.tag);
        // A stranger's bucket is taken over with the time that it needs, not with its units: whoever had it before is owed that time.
        let mut full_at = match standing {
            Standing::Known(used) => gcra.convert(used.full_at, used.interval, now),
            Standing::Crowded(full_at) => full_at,
            Standing::Full => UnixTime::default(),
        };
        let known = full_at;
        let mut moved = 0;
        if let Standing::Known(used) = standing
            && terms.is_some()
        {
            moved = if used.interval == gcra.interval() {
                // What an earlier lease has not spent is handed back.
                let unspent = self.leases.unspent(bucket.tag, gcra.interval(), now, slot.returned());
                full_at = UnixTime::from_nanos(full_at.as_nanos().saturating_sub(unspent));
                unspent
            } else {
                // Times of another limit say nothing any more: no lease that was given before can be handed back.
                used.full_at.as_nanos().saturating_sub(now.as_nanos())
            };
        }
        let sizes = terms.map(|terms| self.leases.next_size(bucket.tag, self.cost, terms));
        let mut sizes = sizes.into_iter().chain([self.cost]);
        let taken = sizes.find_map(|units| Some((gcra.take(full_at, now, units).ok()?, units)));
        if let Some((taken, units)) = taken {
            slot.give_back(moved);
            slot.put(bucket.tag, Used { full_at: taken.full_at, interval: gcra.interval() });
            return Ok((taken, units));
        }
        let wait = gcra.take(full_at, now, self.cost).err().map_or(0, |refused| refused.wait);
        let why = match standing {
            Standing::Crowded(_) => Why::Crowded,
            Standing::Known(_) | Standing::Full => Why::Exceeded,
        };
        // Leases are handed back, and strangers' buckets change hands: only what surely stays is remembered.
        if why == Why::Exceeded && self.limits.iter().all(|limit| limit.terms.is_none()) {
            // No more than is needed to refuse: beyond that, the clock would seem to have been set back.
            let full_at = known.min(UnixTime::from_nanos(now.as_nanos().saturating_add(gcra.capacity())));
            self.refused.remember(bucket.tag, Used { full_at, interval: gcra.interval() });
        }
        Err((why, wait))
    }

    /// The position of the limit that holds for this request: the first of `by` that fits, or the rule's own.
    fn choose_limit(&self, exchange: &Exchange<'_>) -> u32 {
        let chosen = self.by.iter().find_map(|(attribute, values)| {
            let value = attribute.resolve(exchange, self.head.selector)?;
            values.iter().find(|(wanted, _)| wanted.as_bytes() == value.as_ref()).map(|(_, limit)| *limit)
        });
        chosen.unwrap_or(0)
    }
}
