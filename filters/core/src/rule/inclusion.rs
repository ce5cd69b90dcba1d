//! Whether one condition includes another: what tells which rules can ever decide anything.
//!
//! The answers are sound and not complete: `true` is certain, `false` may also mean that it was not found out. The same few steps serve
//! `match` and `when`: values of a key are alternatives, different keys must all hold, `not` takes the same keys.

use std::cell::Cell;

/// A `match` or `when`, as far as it matters for inclusion. A handle: cheap to copy.
pub(crate) trait Clause: Copy {
    /// Clauses of which one must hold besides (`use`); empty where none is asked for.
    fn alternatives(self) -> Vec<Self>;

    /// The clause that must not hold (`not`).
    fn excluded(self) -> Option<Self>;

    /// Whether its own keys (without alternatives and `not`) are met by all that meets every one of `facts`.
    fn follows_from(self, facts: &[Self], work: &Work) -> bool;

    /// Whether nothing can meet the own keys of both.
    fn contradicts(self, other: Self, work: &Work) -> bool;
}

/// How much an analysis may still do. Whoever runs out of it gives up, and says nothing.
#[derive(Debug)]
pub(crate) struct Work {
    left: Cell<u64>,
    left_here: Cell<u64>,
    spent: Cell<u64>,
}

/// How many steps one comparison of two rules may take; a step compares two values.
const PER_COMPARISON: u64 = 20_000;
/// How deep `not` and `use` are followed.
const DEPTH: usize = 8;
/// How many ways to meet nested `use` are told apart.
const EXPANSIONS: usize = 8;

// === impl Work ===

impl Work {
    /// Work for comparisons of so many rules.
    pub(crate) const fn for_rules(count: usize) -> Self {
        let left = 1_000_000_u64.saturating_add((count as u64).saturating_mul(500));
        Self { left: Cell::new(left), left_here: Cell::new(PER_COMPARISON), spent: Cell::new(0) }
    }

    /// Begins a comparison, which has its own bound.
    pub(crate) fn begin(&self) {
        self.left_here.set(PER_COMPARISON.min(self.left.get()));
    }

    /// Takes so many steps; `false` where they are not left.
    pub(crate) fn spend(&self, steps: usize) -> bool {
        let steps = steps as u64;
        let enough = steps <= self.left_here.get();
        let steps = steps.min(self.left_here.get());
        self.left_here.set(self.left_here.get().saturating_sub(steps));
        self.left.set(self.left.get().saturating_sub(steps));
        self.spent.set(self.spent.get().saturating_add(steps));
        enough
    }

    /// How many steps were taken.
    #[cfg(test)]
    pub(crate) fn spent(&self) -> u64 {
        self.spent.get()
    }
}

/// Whether all that meets `narrow` meets `wide`.
pub(crate) fn includes<C: Clause>(wide: C, narrow: C, work: &Work) -> bool {
    expand(narrow, 0).iter().all(|facts| implied(wide, facts, 0, work))
}

/// Whether nothing can meet `clause`.
pub(crate) fn is_impossible<C: Clause>(clause: C, work: &Work) -> bool {
    expand(clause, 0).iter().all(|facts| impossible(facts, 0, work))
}

/// Whether nothing can meet all of `clauses`.
pub(crate) fn cannot_meet<C: Clause>(clauses: &[C], work: &Work) -> bool {
    work.begin();
    impossible(clauses, 0, work)
}

fn implied<C: Clause>(wanted: C, facts: &[C], depth: usize, work: &Work) -> bool {
    if depth > DEPTH || !work.spend(1) || !wanted.follows_from(facts, work) {
        return false;
    }
    let deeper = depth.saturating_add(1);
    let alternatives = wanted.alternatives();
    (alternatives.is_empty() || alternatives.into_iter().any(|one| implied(one, facts, deeper, work)))
        && wanted.excluded().is_none_or(|excluded| {
            expand(excluded, 0).into_iter().all(|more| {
                let together: Vec<C> = facts.iter().copied().chain(more).collect();
                impossible(&together, deeper, work)
            })
        })
}

/// Whether nothing can meet all of `facts`.
fn impossible<C: Clause>(facts: &[C], depth: usize, work: &Work) -> bool {
    if depth > DEPTH || !work.spend(1) {
        return false;
    }
    let deeper = depth.saturating_add(1);
    facts.iter().enumerate().any(|(position, fact)| {
        facts.iter().take(position).any(|other| fact.contradicts(*other, work))
            || fact.excluded().is_some_and(|excluded| implied(excluded, facts, deeper, work))
    })
}

/// The ways to meet a clause, each as clauses whose own keys and `not` all hold: one for each alternative. Where these are too many, the
/// alternatives are left out, which includes more.
pub(crate) fn expand<C: Clause>(clause: C, depth: usize) -> Vec<Vec<C>> {
    let alternatives = clause.alternatives();
    if alternatives.is_empty() || depth > DEPTH {
        return vec![vec![clause]];
    }
    let mut ways = Vec::new();
    for alternative in alternatives {
        for way in expand(alternative, depth.saturating_add(1)) {
            if ways.len() >= EXPANSIONS {
                return vec![vec![clause]];
            }
            ways.push(std::iter::once(clause).chain(way).collect());
        }
    }
    ways
}
