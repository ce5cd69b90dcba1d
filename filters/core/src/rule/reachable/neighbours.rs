//! Paths beside those that a rule protects, which services often answer alike: `/admin` beside `/admin/**`, `/admin/` beside `/admin`.

use super::EffectRule;
use crate::decision::compile::Compiler;
use crate::document::problem::FieldPath;
use crate::rule::inclusion::{Work, cannot_meet};
use crate::rule::selector::{InclusionTree, MatchClause, PathPattern, SelectorBuilder};
use std::collections::HashMap;

/// How many rules are looked at that may open one path.
const MOST_OPENING: usize = 24;

/// Warns of paths beside those of the `deny` rules of a list at `path` that stay open: no rule denies them, and an `allow` rule or the
/// default lets them in.
pub fn check_neighbours(
    rules: &[EffectRule<'_>],
    allows_by_default: bool,
    path: &FieldPath,
    compiler: &mut Compiler,
) {
    if compiler.proven {
        return;
    }
    let selectors = &compiler.selectors;
    let paths = |rule: &EffectRule<'_>| selectors.own_paths(rule.selector);
    let (mut denied, mut opened) = (InclusionTree::default(), InclusionTree::default());
    let mut opening: HashMap<u64, Vec<&EffectRule<'_>>> = HashMap::new();
    let mut everywhere: Vec<&EffectRule<'_>> = Vec::new();
    for rule in rules {
        match (rule.denies, paths(rule)) {
            (true, patterns) => patterns.iter().for_each(|pattern| {
                denied.insert(pattern);
            }),
            (false, []) if selectors.names_nothing(rule.selector) => everywhere.push(rule),
            (false, patterns) => patterns.iter().for_each(|pattern| {
                opening.entry(opened.insert(pattern)).or_default().push(rule);
            }),
        }
    }
    // A `deny` rule that is about all paths leaves none open that its callers and hosts could reach; which these are is not looked into.
    if rules.iter().any(|rule| rule.denies && paths(rule).is_empty() && rule.when.is_none()) {
        return;
    }
    let mut warnings = Vec::new();
    for rule in rules.iter().filter(|rule| rule.denies) {
        for pattern in paths(rule) {
            let Some(beside) = pattern.beside() else { continue };
            let mut found = Vec::new();
            denied.including(&beside, &mut found);
            if !found.is_empty() {
                continue;
            }
            opened.including(&beside, &mut found);
            let of_path = found.iter().filter_map(|number| opening.get(number)).flatten();
            let mut opening = of_path.chain(&everywhere).take(MOST_OPENING);
            let opens = opening.find(|open| may_meet(rule, open, selectors));
            let who = match opens {
                _ if allows_by_default => "`default: allow` lets it in".to_owned(),
                Some(open) => format!("`{}` (rule {}) lets it in", open.name, open.position),
                None => continue,
            };
            let message = format!(
                "`{pattern}` does not include `{beside}`, which many services answer alike: no rule denies that, and {who}"
            );
            warnings.push((path.index(rule.position).field("match").field("paths"), message));
        }
    }
    for (path, message) in warnings {
        compiler.problems.warn(&path, message);
    }
}

/// Whether one caller and host may meet both rules, but for their paths. Where that is not certain: yes.
fn may_meet(deny: &EffectRule<'_>, allow: &EffectRule<'_>, selectors: &SelectorBuilder) -> bool {
    let work = Work::for_rules(2);
    let callers = match (deny.when, allow.when) {
        (Some(deny), Some(allow)) => !cannot_meet(&[deny, allow], &work),
        (Some(deny), None) => !cannot_meet(&[deny], &work),
        (None, Some(allow)) => !cannot_meet(&[allow], &work),
        (None, None) => true,
    };
    let (deny, allow) =
        (MatchClause::new(selectors, deny.selector), MatchClause::new(selectors, allow.selector));
    callers && !deny.is_elsewhere(allow, &work)
}

/// The patterns beside those of a list that none of `protected` includes.
pub fn unprotected<'p>(
    patterns: impl IntoIterator<Item = &'p PathPattern>,
    protected: impl IntoIterator<Item = &'p PathPattern>,
) -> Vec<(&'p PathPattern, PathPattern)> {
    let mut tree = InclusionTree::default();
    protected.into_iter().for_each(|pattern| {
        tree.insert(pattern);
    });
    let beside = patterns.into_iter().filter_map(|pattern| Some((pattern, pattern.beside()?)));
    let open = |beside: &PathPattern| {
        let mut found = Vec::new();
        tree.including(beside, &mut found);
        found.is_empty()
    };
    beside.filter(|(_, beside)| open(beside)).collect()
}
