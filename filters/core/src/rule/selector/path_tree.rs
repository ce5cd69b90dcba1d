use super::path_pattern::{PathPattern, PatternSegment};
use crate::document::pace::Pace;
use std::collections::HashMap;

/// All path patterns of a document as one tree: a path is walked once, whatever the number of rules.
#[derive(Debug, Default)]
pub(super) struct PathTree {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<String, usize>,
    one: Option<usize>,
    /// Selectors whose pattern ends here.
    here: Vec<u32>,
    /// Selectors whose pattern goes on with `**` here.
    rest: Vec<u32>,
}

impl PathTree {
    /// Clears it away in slices.
    pub(super) async fn clear_away(self, pace: &Pace) {
        for node in self.nodes {
            for literal in node.literals {
                drop(literal);
                pace.step().await;
            }
            pace.step().await;
        }
    }

    pub(super) fn insert(&mut self, pattern: &PathPattern, selector: u32) {
        let mut position = 0;
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        for segment in &pattern.segments {
            let next = self.nodes.len();
            let Some(node) = self.nodes.get_mut(position) else { return };
            let child = match segment {
                PatternSegment::Literal(text) => *node.literals.entry(text.clone()).or_insert(next),
                PatternSegment::One(_) => *node.one.get_or_insert(next),
                PatternSegment::Rest => {
                    node.rest.push(selector);
                    return;
                }
            };
            if child == next {
                self.nodes.push(Node::default());
            }
            position = child;
        }
        if let Some(node) = self.nodes.get_mut(position) {
            node.here.push(selector);
        }
    }

    /// Calls `found` with every selector one of whose patterns matches `path` (in normal form); with some more than once. The work
    /// is bounded by the size of the tree, whatever the path.
    pub(super) fn walk(&self, path: &str, found: &mut impl FnMut(u32)) {
        if let (Some(root), Some(rest)) = (self.nodes.first(), path.strip_prefix('/')) {
            self.descend(root, Some(rest), found);
        }
    }

    fn descend(&self, node: &Node, remaining: Option<&str>, found: &mut impl FnMut(u32)) {
        let Some(remaining) = remaining else {
            node.here.iter().copied().for_each(found);
            return;
        };
        node.rest.iter().copied().for_each(&mut *found);
        let (segment, after) = match remaining.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (remaining, None),
        };
        if let Some(child) = node.literals.get(segment).and_then(|child| self.nodes.get(*child)) {
            self.descend(child, after, found);
        }
        if !segment.is_empty()
            && let Some(child) = node.one.and_then(|child| self.nodes.get(child))
        {
            self.descend(child, after, found);
        }
    }
}
