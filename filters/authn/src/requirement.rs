//! Which proof a rule asks for, and what came of asking for it.

use crate::challenge::Scheme;
use crate::claims::names_audience;
use crate::failure::Failure;
use crate::provider::{Accepted, Answer, Inquiry, Provider};
use sluice_core::decision::wait::Wait;
use std::rc::Rc;

/// What a rule asks for.
#[derive(Debug)]
pub struct Requirement {
    /// The proof; `None`: credentials are not even looked at.
    pub demand: Option<Demand>,
    /// Who goes on without an identity.
    pub leniency: Leniency,
    /// The providers that may be shown something, by their positions.
    pub providers: Vec<usize>,
}

/// Who goes on without an identity where a rule asks for proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leniency {
    /// Nobody.
    None,
    /// Who shows nothing (`optional`).
    Missing,
    /// Who shows nothing, or nothing good (`allowMissingOrFailed`).
    MissingOrFailed,
}

/// A proof that is asked for.
#[derive(Debug)]
pub enum Demand {
    /// That of one provider.
    Provider {
        /// Its position.
        provider: usize,
        /// The audiences of which the token must name one besides; none are asked for where the list is empty.
        audiences: Vec<String>,
    },
    /// One of these, asked in this order.
    Any(Vec<Demand>),
    /// All of these. The first says who it is.
    All(Vec<Demand>),
    /// This one, unless nothing is shown for it. Stands only within [`Demand::All`], and never first.
    Optional(Box<Demand>),
}

/// What came of a request's credentials.
#[derive(Debug)]
pub enum Proof<'p> {
    /// None came.
    Absent,
    /// They do.
    Accepted(Proven<'p>),
    /// The most telling refusal, and what was refused; no scheme where something is missing besides what came.
    Refused(Failure, Option<Scheme>),
}

/// Credentials that are accepted together.
#[derive(Debug)]
pub struct Proven<'p> {
    /// The provider of the one that says who it is.
    pub provider: &'p Provider,
    /// That one.
    pub accepted: Rc<Accepted>,
    /// The others, where a rule asks for several.
    pub others: Vec<(&'p Provider, Rc<Accepted>)>,
}

// === impl Requirement ===

impl Requirement {
    /// Asks its providers, of `all`.
    ///
    /// # Errors
    /// [`Wait`], for what one of them needs to know.
    pub fn ask<'r>(&self, all: &'r [Provider], inquiry: &mut Inquiry<'r, '_>) -> Result<Proof<'r>, Wait> {
        self.demand.as_ref().map_or(Ok(Proof::Absent), |demand| demand.ask(all, inquiry))
    }

    /// Why this proof does not do, and what was refused.
    pub fn refusal(&self, proof: &Proof<'_>) -> Option<(Failure, Option<Scheme>)> {
        match (self.leniency, proof) {
            _ if self.demand.is_none() => None,
            (_, Proof::Accepted(_)) | (Leniency::MissingOrFailed, _) => None,
            (Leniency::Missing, Proof::Absent) => None,
            (Leniency::None, Proof::Absent) => Some((Failure::Missing, None)),
            (_, Proof::Refused(failure, scheme)) => Some((*failure, *scheme)),
        }
    }

    /// Whether nobody passes without proof.
    pub fn needs_proof(&self) -> bool {
        self.demand.is_some() && self.leniency == Leniency::None
    }
}

// === impl Demand ===

impl Demand {
    fn ask<'r>(&self, all: &'r [Provider], inquiry: &mut Inquiry<'r, '_>) -> Result<Proof<'r>, Wait> {
        match self {
            Self::Provider { provider, audiences } => match all.get(*provider) {
                Some(provider) => ask_one(provider, audiences, inquiry),
                // Positions are those of the providers; nobody is let in by one that is none.
                None => Ok(Proof::Absent),
            },
            Self::Any(demands) => ask_any(demands, all, inquiry),
            Self::All(demands) => ask_all(demands, all, inquiry),
            Self::Optional(demand) => demand.ask(all, inquiry),
        }
    }
}

fn ask_one<'r>(
    provider: &'r Provider,
    audiences: &[String],
    inquiry: &mut Inquiry<'r, '_>,
) -> Result<Proof<'r>, Wait> {
    let refused = |failure| Proof::Refused(failure, Some(provider.kind.scheme()));
    Ok(match provider.judge(inquiry)? {
        Answer::Absent => Proof::Absent,
        Answer::Refused(failure) => refused(failure),
        Answer::Accepted(accepted) => {
            let is_meant = audiences.is_empty()
                || names_audience(&accepted.identity.claims, audiences).is_ok_and(|named| named);
            if is_meant {
                Proof::Accepted(Proven { provider, accepted, others: Vec::new() })
            } else {
                inquiry
                    .exchange
                    .note(|| format!("the rule wants a token for one of {}", audiences.join(", ")));
                refused(Failure::AudienceMismatch)
            }
        }
    })
}

/// The first that is accepted decides.
fn ask_any<'r>(
    demands: &[Demand],
    all: &'r [Provider],
    inquiry: &mut Inquiry<'r, '_>,
) -> Result<Proof<'r>, Wait> {
    let mut refused: Option<(Failure, Option<Scheme>)> = None;
    for demand in demands {
        match demand.ask(all, inquiry)? {
            Proof::Absent => {}
            Proof::Accepted(proven) => return Ok(Proof::Accepted(proven)),
            // Of equally telling ones the first.
            Proof::Refused(failure, scheme) if refused.is_none_or(|(known, _)| known < failure) => {
                refused = Some((failure, scheme));
            }
            Proof::Refused(..) => {}
        }
    }
    Ok(refused.map_or(Proof::Absent, |(failure, scheme)| Proof::Refused(failure, scheme)))
}

/// The first that is refused decides. Where only some came, what came is refused for what is missing.
fn ask_all<'r>(
    demands: &[Demand],
    all: &'r [Provider],
    inquiry: &mut Inquiry<'r, '_>,
) -> Result<Proof<'r>, Wait> {
    let mut together: Option<Proven<'r>> = None;
    let mut lacks = false;
    for demand in demands {
        match demand.ask(all, inquiry)? {
            Proof::Refused(failure, scheme) => return Ok(Proof::Refused(failure, scheme)),
            Proof::Absent => lacks |= !matches!(demand, Demand::Optional(_)),
            Proof::Accepted(proven) => match &mut together {
                None => together = Some(proven),
                Some(first) => {
                    first.others.push((proven.provider, proven.accepted));
                    first.others.extend(proven.others);
                }
            },
        }
    }
    Ok(match together {
        None => Proof::Absent,
        Some(_) if lacks => Proof::Refused(Failure::Missing, None),
        Some(proven) => Proof::Accepted(proven),
    })
}

// === impl Proven ===

impl<'p> Proven<'p> {
    /// All of them; the one that says who it is comes first.
    pub fn all(&self) -> impl Iterator<Item = (&'p Provider, &Rc<Accepted>)> + Clone {
        let others = self.others.iter().map(|(provider, accepted)| (*provider, accepted));
        std::iter::once((self.provider, &self.accepted)).chain(others)
    }
}

#[cfg(test)]
mod tests;
