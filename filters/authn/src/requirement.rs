//! Which proof a rule asks for, and what came of asking for it.

use crate::challenge::Scheme;
use crate::failure::Failure;
use crate::provider::{Accepted, Answer, Inquiry, Provider};
use sluice_core::decision::wait::Wait;
use std::rc::Rc;

/// Which proof a rule asks for; providers by their position.
#[derive(Debug)]
pub enum Requirement {
    /// None.
    None,
    /// The proof of one of these.
    Any(Vec<usize>),
    /// None is fine, a bad one is not.
    Optional(Vec<usize>),
}

/// What the providers of a rule say of a request.
#[derive(Debug)]
pub enum Proof<'p> {
    /// No credential came.
    Absent,
    /// This provider accepts it.
    Accepted(&'p Provider, Rc<Accepted>),
    /// The most telling refusal, and what was refused.
    Refused(Failure, Scheme),
}

// === impl Requirement ===

impl Requirement {
    /// The providers that may be shown something.
    pub fn providers(&self) -> &[usize] {
        match self {
            Self::None => &[],
            Self::Any(providers) | Self::Optional(providers) => providers,
        }
    }

    /// Asks its providers, of `all`, in its order; the first that accepts decides.
    ///
    /// # Errors
    /// [`Wait`], for what one of them needs to know.
    pub fn ask<'r>(&self, all: &'r [Provider], inquiry: &mut Inquiry<'r, '_>) -> Result<Proof<'r>, Wait> {
        let mut refused: Option<(Failure, Scheme)> = None;
        for provider in self.providers().iter().filter_map(|position| all.get(*position)) {
            match provider.judge(inquiry)? {
                Answer::Absent => {}
                Answer::Accepted(accepted) => return Ok(Proof::Accepted(provider, accepted)),
                // Of equally telling ones the first.
                Answer::Refused(failure) if refused.is_none_or(|(known, _)| known < failure) => {
                    refused = Some((failure, provider.kind.scheme()));
                }
                Answer::Refused(_) => {}
            }
        }
        Ok(refused.map_or(Proof::Absent, |(failure, scheme)| Proof::Refused(failure, scheme)))
    }

    /// Why this proof does not do, and what was refused.
    pub fn refusal(&self, proof: &Proof<'_>) -> Option<(Failure, Option<Scheme>)> {
        match (self, proof) {
            (Self::Any(_), Proof::Absent) => Some((Failure::Missing, None)),
            (_, Proof::Refused(failure, scheme)) => Some((*failure, Some(*scheme))),
            (_, Proof::Absent | Proof::Accepted(..)) => None,
        }
    }
}
