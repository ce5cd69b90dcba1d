//! What was decided, counted here and handed to the host once a second: an increment in the host costs 0.4 µs, one here nothing.

use crate::calls::{self, HostResult};
use sluice_core::decision::reason::{Reason, ReasonId, ReasonTable};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

/// How long a count may wait for the host, in nanoseconds.
pub const FLUSH_AFTER: u64 = 1_000_000_000;

/// How many counters of other names than decisions' may wait at once. The names come from the document, so this is never reached unless
/// something is wrong; and a metric is never freed.
const MOST_NAMED: usize = 10_000;

thread_local! {
    /// The host's ids of the counters of this VM, by name. The host makes a new id at each definition and never frees one, so that
    /// without this every configuration update would cost memory. Names mean the same to every document in the VM.
    static IDS: RefCell<HashMap<String, u32>> = RefCell::default();
}

/// The counts of one root context that the host has not got yet.
#[derive(Debug, Default)]
pub struct Counters {
    decisions: Vec<Count>,
    named: BTreeMap<String, u64>,
    due: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Count {
    pending: u64,
    id: Option<u32>,
}

impl Counters {
    /// Counters for the decisions of `reasons`.
    pub fn new(reasons: &ReasonTable) -> Self {
        Self { decisions: vec![Count::default(); reasons.len()], ..Self::default() }
    }

    /// Counts a decision.
    pub fn count(&mut self, reason: ReasonId) {
        if let Some(count) = self.decisions.get_mut(reason.index()) {
            count.pending = count.pending.saturating_add(1);
        }
    }

    /// Counts under a name that the document makes of labels.
    pub fn count_named(&mut self, name: String) {
        self.count_named_by(name, 1);
    }

    /// Counts several at once under such a name.
    pub fn count_named_by(&mut self, name: String, by: u64) {
        if by > 0 && (self.named.len() < MOST_NAMED || self.named.contains_key(&name)) {
            let pending = self.named.entry(name).or_default();
            *pending = pending.saturating_add(by);
        }
    }

    /// When the host is to get the counts; `None` while there are none.
    pub fn due(&self) -> Option<u64> {
        self.due
    }

    /// Something was counted: has it handed over at `due`, unless that is settled already.
    pub fn set_due(&mut self, due: u64) {
        self.due.get_or_insert(due);
    }

    /// Hands all counts to the host.
    ///
    /// # Errors
    /// The first refusal; the counts that were refused are lost.
    pub fn flush(&mut self, reasons: &ReasonTable) -> HostResult<()> {
        self.due = None;
        let mut result = Ok(());
        for (count, reason) in self.decisions.iter_mut().zip(reasons.iter()) {
            let pending = std::mem::take(&mut count.pending);
            if pending > 0 {
                let id = count.id.map_or_else(|| define(decision_counter(reason)), Ok);
                count.id = id.ok();
                result = result.and(id.and_then(|id| increment(id, pending)));
            }
        }
        for (name, pending) in std::mem::take(&mut self.named) {
            result = result.and(define(name).and_then(|id| increment(id, pending)));
        }
        result
    }
}

/// The name of a decision's counter. The bootstrap's `stats_tags` make labels of it; without them it is one long name.
pub fn decision_counter(reason: &Reason) -> String {
    let Reason { section, outcome, text } = reason;
    format!("sluice_decisions.section.{}.outcome.{}.reason.{text}", section.name, outcome.as_str())
}

fn increment(id: u32, by: u64) -> HostResult<()> {
    calls::increment_counter(id, i64::try_from(by).unwrap_or(i64::MAX))
}

fn define(name: String) -> HostResult<u32> {
    IDS.with(|ids| {
        let mut ids = ids.borrow_mut();
        if let Some(id) = ids.get(&name) {
            return Ok(*id);
        }
        let id = calls::define_counter(&name)?;
        ids.insert(name, id);
        Ok(id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::stand_in::{self, StandIn};
    use sluice_core::decision::place::Section;
    use sluice_core::decision::reason::Outcome;

    #[test]
    fn counts_reach_the_host_together_under_the_decisions_names() {
        stand_in::install(StandIn::default());
        let mut reasons = ReasonTable::default();
        let expired = reasons.register(Section::new("authn", "authn"), Outcome::Denied, "token_expired");
        let unused = reasons.register(Section::new("authn", "authn"), Outcome::Denied, "token_missing");
        let rule = reasons.register(Section::new("authz", "authz"), Outcome::Allowed, "allowed.rule:read");
        let mut counters = Counters::new(&reasons);
        for reason in [expired, rule, expired] {
            counters.count(reason);
        }
        counters.count_named("sluice_responses.class.2xx".to_owned());
        counters.set_due(7);
        counters.set_due(9);
        assert_eq!(counters.due(), Some(7));
        assert!(stand_in::with(|host| host.called.is_empty()));
        counters.flush(&reasons).unwrap();
        counters.count(expired);
        counters.flush(&reasons).unwrap();
        assert_eq!(counters.due(), None);
        let counted = stand_in::with(|host| {
            let mut counted: Vec<_> = host.counters.clone().into_iter().collect();
            counted.sort();
            counted
        });
        let expected = [
            ("sluice_decisions.section.authn.outcome.denied.reason.token_expired", 3),
            ("sluice_decisions.section.authz.outcome.allowed.reason.allowed.rule:read", 1),
            ("sluice_responses.class.2xx", 1),
        ];
        assert_eq!(counted, expected.map(|(name, count)| (name.to_owned(), count)));
        let defined =
            stand_in::with(|host| host.called.iter().filter(|call| **call == "define_counter").count());
        assert_eq!(defined, 3, "each once; nothing for {unused:?}");
    }

    #[test]
    fn a_second_configuration_uses_the_first_ones_counters() {
        stand_in::install(StandIn::default());
        let mut reasons = ReasonTable::default();
        let reason =
            reasons.register(Section::new("fault", "fault"), Outcome::Denied, "shared_by_two_configurations");
        for _ in 0..2 {
            let mut counters = Counters::new(&reasons);
            counters.count(reason);
            counters.flush(&reasons).unwrap();
        }
        stand_in::with(|host| {
            assert_eq!(host.called, ["define_counter", "increment_counter", "increment_counter"]);
        });
    }
}
