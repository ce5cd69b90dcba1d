//! Which path patterns include which, segment by segment.

use super::path_pattern::{PathPattern, PatternSegment};
use std::collections::HashMap;

impl PathPattern {
    /// Whether every path that `narrow` matches is matched by this.
    pub fn includes(&self, narrow: &Self) -> bool {
        let mut others = narrow.segments.iter();
        for segment in &self.segments {
            match (segment, others.next()) {
                (PatternSegment::Rest, Some(_)) => return true,
                (PatternSegment::Literal(own), Some(PatternSegment::Literal(other))) if own == other => {}
                (PatternSegment::One(_), Some(PatternSegment::One(_))) => {}
                (PatternSegment::One(_), Some(PatternSegment::Literal(other))) if !other.is_empty() => {}
                _ => return false,
            }
        }
        others.next().is_none()
    }

    /// Whether no path matches both.
    pub(crate) fn is_disjoint(&self, other: &Self) -> bool {
        let (mut left, mut right) = (self.segments.iter(), other.segments.iter());
        loop {
            match (left.next(), right.next()) {
                (None, None) => return false,
                (Some(PatternSegment::Rest), Some(_)) | (Some(_), Some(PatternSegment::Rest)) => {
                    return false;
                }
                (Some(PatternSegment::Literal(left)), Some(PatternSegment::Literal(right)))
                    if left != right =>
                {
                    return true;
                }
                (Some(PatternSegment::Literal(text)), Some(PatternSegment::One(_)))
                | (Some(PatternSegment::One(_)), Some(PatternSegment::Literal(text)))
                    if text.is_empty() =>
                {
                    return true;
                }
                (Some(_), Some(_)) => {}
                (Some(_), None) | (None, Some(_)) => return true,
            }
        }
    }

    /// The paths beside those that it matches, which many services answer alike: `/admin` beside `/admin/**`, `/admin/` beside `/admin`
    /// and `/admin` beside `/admin/`. `None` where there are none.
    pub(crate) fn beside(&self) -> Option<Self> {
        let mut segments = self.segments.clone();
        match segments.last()? {
            // Nothing is above the root.
            PatternSegment::Rest if segments.len() == 1 => return None,
            PatternSegment::Literal(last) if last.is_empty() && segments.len() == 1 => return None,
            PatternSegment::Rest => {
                segments.pop();
            }
            PatternSegment::Literal(last) if last.is_empty() => {
                segments.pop();
            }
            PatternSegment::Literal(_) | PatternSegment::One(_) => {
                segments.push(PatternSegment::Literal(String::new()));
            }
        }
        Some(Self { segments })
    }
}

/// Path patterns as a tree that finds those which include a given one. Each has a number.
#[derive(Debug, Default)]
pub(crate) struct InclusionTree {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<String, u32>,
    one: Option<u32>,
    ends: bool,
    rest: bool,
}

/// How many nodes one search looks at: patterns with many `*` branch.
const MOST_STEPS: usize = 256;

// === impl InclusionTree ===

impl InclusionTree {
    /// Adds a pattern; those that match the same paths have the same number.
    pub(crate) fn insert(&mut self, pattern: &PathPattern) -> u64 {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut position = 0_u32;
        for segment in &pattern.segments {
            let next = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
            let Some(node) = self.nodes.get_mut(position as usize) else { break };
            let child = match segment {
                PatternSegment::Literal(text) => *node.literals.entry(text.clone()).or_insert(next),
                PatternSegment::One(_) => *node.one.get_or_insert(next),
                PatternSegment::Rest => {
                    node.rest = true;
                    return number(position, true);
                }
            };
            if child == next {
                self.nodes.push(Node::default());
            }
            position = child;
        }
        if let Some(node) = self.nodes.get_mut(position as usize) {
            node.ends = true;
        }
        number(position, false)
    }

    /// The numbers of patterns that include `pattern`; some may be missing where there are very many.
    pub(crate) fn including(&self, pattern: &PathPattern, found: &mut Vec<u64>) {
        let mut open: Vec<(u32, usize)> = vec![(0, 0)];
        let mut steps = 0_usize;
        while let Some((position, depth)) = open.pop() {
            steps = steps.saturating_add(1);
            let Some(node) = self.nodes.get(position as usize).filter(|_| steps <= MOST_STEPS) else {
                return;
            };
            let Some(segment) = pattern.segments.get(depth) else {
                if node.ends {
                    found.push(number(position, false));
                }
                continue;
            };
            if node.rest {
                found.push(number(position, true));
            }
            let below = depth.saturating_add(1);
            match segment {
                PatternSegment::Literal(text) => {
                    open.extend(node.literals.get(text).map(|child| (*child, below)));
                    open.extend(node.one.filter(|_| !text.is_empty()).map(|child| (child, below)));
                }
                PatternSegment::One(_) => open.extend(node.one.map(|child| (child, below))),
                PatternSegment::Rest => {}
            }
        }
    }
}

const fn number(node: u32, rest: bool) -> u64 {
    ((node as u64) << 1) | rest as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const PATTERNS: [&str; 14] = [
        "/", "/a", "/a/", "/b", "/*", "/{x}", "/**", "/a/**", "/a/*", "/a/b", "/*/b", "/*/**", "/a/*/**",
        "/a/b/**",
    ];
    const PATHS: [&str; 14] = [
        "/", "/a", "/a/", "/b", "/b/", "/a/b", "/a/c", "/a/b/", "/a/b/c", "/c/b", "/c", "/a/c/d", "/c/d/e",
        "*",
    ];

    #[test]
    fn inclusion_agrees_with_all_paths_of_a_small_world() {
        for wide in PATTERNS.map(|text| PathPattern::new(text).unwrap()) {
            for narrow in PATTERNS.map(|text| PathPattern::new(text).unwrap()) {
                let of = |pattern: &PathPattern| PATHS.map(|path| pattern.matches(path));
                let all = of(&wide).iter().zip(of(&narrow)).all(|(wide, narrow)| *wide || !narrow);
                assert_eq!(wide.includes(&narrow), all, "{wide} {narrow}");
                let none = !of(&wide).iter().zip(of(&narrow)).any(|(wide, narrow)| *wide && narrow);
                assert_eq!(wide.is_disjoint(&narrow), none, "{wide} {narrow}");
            }
        }
    }

    #[test]
    fn the_tree_finds_what_includes_a_pattern() {
        let mut tree = InclusionTree::default();
        let patterns = PATTERNS.map(|text| PathPattern::new(text).unwrap());
        let numbers: Vec<u64> = patterns.iter().map(|pattern| tree.insert(pattern)).collect();
        for narrow in &patterns {
            let mut found = Vec::new();
            tree.including(narrow, &mut found);
            for (wide, number) in patterns.iter().zip(&numbers) {
                assert_eq!(found.contains(number), wide.includes(narrow), "{wide} {narrow}");
            }
        }
    }
}
