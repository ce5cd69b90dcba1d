//! What lists of rules share: which of their rules can ever decide anything.

mod index;
mod neighbours;

use crate::decision::compile::Compiler;
use crate::document::name::Name;
use crate::document::problem::FieldPath;
use crate::rule::inclusion::Work;
use crate::rule::selector::{SelectorBuilder, SelectorId};
use crate::rule::when::When;
use index::RuleIndex;
pub(crate) use index::{Feature, Features};
pub use neighbours::{check_neighbours, unprotected};

/// A rule of a list in which the first that matches decides, as far as it matters for which rules are ever asked.
#[derive(Clone, Copy, Debug)]
pub struct OrderedRule<'r> {
    /// Its name.
    pub name: &'r Name,
    /// Its compiled `match`.
    pub selector: SelectorId,
    /// Its `when`.
    pub when: Option<&'r When>,
    /// Whether it is in shadow: it decides nothing, and the rules behind it are asked all the same.
    pub shadow: bool,
}

/// A rule of a list whose order says nothing: `deny` comes before `allow`.
#[derive(Clone, Copy, Debug)]
pub struct EffectRule<'r> {
    /// Its position in the document.
    pub position: usize,
    /// Its name.
    pub name: &'r Name,
    /// Its compiled `match`.
    pub selector: SelectorId,
    /// Its `when`.
    pub when: Option<&'r When>,
    /// Whether it denies; else it allows.
    pub denies: bool,
}

/// When a rule matches.
#[derive(Clone, Copy, Debug)]
struct Conditions<'r> {
    selector: SelectorId,
    when: Option<&'r When>,
}

// === impl EffectRule ===

impl EffectRule<'_> {
    /// Whether it matches every request of everybody.
    pub fn matches_everything(&self) -> bool {
        Conditions { selector: self.selector, when: self.when }.is_everything()
    }
}

// === impl Conditions ===

impl<'r> Conditions<'r> {
    fn when(self) -> Option<&'r When> {
        self.when.filter(|when| **when != When::default())
    }

    fn is_everything(self) -> bool {
        self.selector == SelectorId::EVERY && self.when().is_none()
    }

    fn is_same(self, other: Self) -> bool {
        self.selector == other.selector && self.when() == other.when()
    }

    /// Whether every request that `narrow` matches is matched by this, too. Only what is certain.
    fn includes(self, narrow: Self, selectors: &SelectorBuilder, work: &Work) -> bool {
        work.begin();
        let callers = match (self.when(), narrow.when()) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(wide), Some(narrow)) => wide.includes(narrow, work),
        };
        callers && selectors.includes(self.selector, narrow.selector, work)
    }

    /// What it takes, in words: "every request to `/api/**`".
    fn takes(self, narrow: Self, selectors: &SelectorBuilder) -> String {
        if self.is_same(narrow) && !self.is_everything() {
            return "the same requests".to_owned();
        }
        match self.when() {
            None => selectors.describe(self.selector),
            Some(_) => None,
        }
        .unwrap_or_else(|| "all requests that it is about".to_owned())
    }
}

/// Reports the rules of a list at `path` that are never asked, because an earlier one decides every request that they are about.
pub fn check_reachable(rules: &[OrderedRule<'_>], path: &FieldPath, compiler: &mut Compiler) {
    if compiler.proven {
        return;
    }
    let work = Work::for_rules(rules.len());
    check_reachable_with(rules, path, compiler, &work);
}

fn check_reachable_with(rules: &[OrderedRule<'_>], path: &FieldPath, compiler: &mut Compiler, work: &Work) {
    let of = |position: usize| {
        rules.get(position).map(|rule| (rule, Conditions { selector: rule.selector, when: rule.when }))
    };
    let enforced = rules.iter().enumerate().filter(|(_, rule)| !rule.shadow);
    let enforced =
        enforced.map(|(position, rule)| (position, Conditions { selector: rule.selector, when: rule.when }));
    let selectors = &compiler.selectors;
    let index = RuleIndex::new(enforced, selectors);
    for (position, rule) in rules.iter().enumerate() {
        let own = Conditions { selector: rule.selector, when: rule.when };
        let found = index.candidates(own, position, selectors).into_iter().find_map(|earlier| {
            let (first, wide) = of(earlier)?;
            wide.includes(own, selectors, work).then_some((earlier, first, wide))
        });
        if let Some((earlier, first, wide)) = found {
            let message = format!(
                "`{}` is never asked: `{}` (rule {earlier}) stands before it and takes {}",
                rule.name,
                first.name,
                wide.takes(own, selectors)
            );
            compiler.problems.report(&path.index(position), message);
        }
    }
}

/// Looks at the enforced rules of a list at `path` in which `deny` comes before `allow`: those that can never decide anything are errors,
/// those that others make superfluous are warnings.
pub fn check_effects(rules: &[EffectRule<'_>], path: &FieldPath, compiler: &mut Compiler) {
    if compiler.proven {
        return;
    }
    let work = Work::for_rules(rules.len());
    check_effects_with(rules, path, compiler, &work);
}

fn check_effects_with(rules: &[EffectRule<'_>], path: &FieldPath, compiler: &mut Compiler, work: &Work) {
    let selectors = &compiler.selectors;
    let list = |denies: bool| -> Vec<(usize, &EffectRule<'_>)> {
        rules.iter().enumerate().filter(|(_, rule)| rule.denies == denies).collect()
    };
    fn conditions<'r>(rule: &EffectRule<'r>) -> Conditions<'r> {
        Conditions { selector: rule.selector, when: rule.when }
    }
    let index = |denies: bool| {
        let entered = list(denies);
        RuleIndex::new(entered.into_iter().map(|(at, rule)| (at, conditions(rule))), selectors)
    };
    let (deny, allow) = (index(true), index(false));
    for (at, rule) in rules.iter().enumerate() {
        let own = conditions(rule);
        let path = path.index(rule.position);
        let including = |index: &RuleIndex| {
            index.candidates(own, usize::MAX, selectors).into_iter().find_map(|other| {
                let wide = rules.get(other).filter(|_| other != at)?;
                // Of two rules about the same requests, the later one is the superfluous one.
                let counts = conditions(wide).includes(own, selectors, work)
                    && (wide.denies != rule.denies
                        || other < at
                        || !own.includes(conditions(wide), selectors, work));
                counts.then_some(wide)
            })
        };
        if !rule.denies
            && let Some(wide) = including(&deny)
        {
            let message = format!(
                "`{}` never decides: `{}` (rule {}) denies {}, and `deny` comes before `allow`",
                rule.name,
                wide.name,
                wide.position,
                conditions(wide).takes(own, selectors)
            );
            compiler.problems.report(&path, message);
            continue;
        }
        let Some(wide) = including(if rule.denies { &deny } else { &allow }) else { continue };
        let conditions = conditions(wide);
        let does = if rule.denies { "denies" } else { "allows" };
        let takes = conditions.takes(own, selectors);
        let message = format!(
            "`{}` is superfluous: `{}` (rule {}) {does} {takes}",
            rule.name, wide.name, wide.position
        );
        if conditions.is_everything() || conditions.is_same(own) {
            compiler.problems.report(&path, message);
        } else {
            compiler.problems.warn(&path, message);
        }
    }
}

#[cfg(test)]
mod tests;
