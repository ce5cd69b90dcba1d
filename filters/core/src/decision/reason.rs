//! The stable names of decisions. All that a document can decide are known when it is compiled, so labels are bounded by construction.

use crate::decision::place::Section;
use crate::document::pace::Pace;
use crate::document::places::{Places, hash};
use std::fmt;

/// What a decision does to the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It goes on.
    Allowed,
    /// It is answered by the policy.
    Denied,
    /// It is answered by the policy with what was asked for.
    Answered,
    /// It goes on changed: routed elsewhere, delayed.
    Changed,
    /// It would have been denied or changed by a rule that is in shadow: it goes on.
    Shadow,
}

impl Outcome {
    /// The name in metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Allowed => "allowed",
            Outcome::Denied => "denied",
            Outcome::Answered => "answered",
            Outcome::Changed => "changed",
            Outcome::Shadow => "shadow",
        }
    }
}

/// A decision that a compiled document can make.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reason {
    /// The deciding section.
    pub section: Section,
    /// What the decision does.
    pub outcome: Outcome,
    /// What was decided, without the section: `token_expired`, `denied.rule:admin-only`.
    pub text: String,
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.section.name, self.text)
    }
}

/// A [`Reason`] of one compiled document: its position in the [`ReasonTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReasonId(u32);

impl ReasonId {
    /// The position in the table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// All reasons of one compiled document.
#[derive(Clone, Debug, Default)]
pub struct ReasonTable {
    reasons: Vec<Reason>,
    /// Where each stands: documents with thousands of rules register several reasons a rule.
    known: Places,
}

impl ReasonTable {
    /// The id of this reason, which is added if new. `text` consists of letters, digits and `._:-`; others become `_`, since it
    /// stands in metric names and in response-code details.
    pub fn register(&mut self, section: Section, outcome: Outcome, text: &str) -> ReasonId {
        let plain =
            |byte: char| if byte.is_ascii_alphanumeric() || "._:-".contains(byte) { byte } else { '_' };
        let reason = Reason { section, outcome, text: text.chars().map(plain).collect() };
        let hash = hash(&reason);
        let known = self.known.find(hash, &mut |position| self.reasons.get(position) == Some(&reason));
        let position = known.unwrap_or_else(|| {
            let position = self.reasons.len();
            self.known.add(hash, position);
            self.reasons.push(reason);
            position
        });
        ReasonId(u32::try_from(position).unwrap_or(u32::MAX))
    }

    /// Clears it away in slices.
    pub async fn clear_away(self, pace: &Pace) {
        for reason in self.reasons {
            drop(reason);
            pace.step().await;
        }
    }

    /// The reason of `id`; `None` only for the id of another table.
    pub fn get(&self, id: ReasonId) -> Option<&Reason> {
        self.reasons.get(id.index())
    }

    /// All reasons in the order of their ids.
    pub fn iter(&self) -> std::slice::Iter<'_, Reason> {
        self.reasons.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.reasons.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.reasons.is_empty()
    }
}
