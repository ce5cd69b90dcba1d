//! A provider: what proves an identity. Its kinds are modules, each with the one trait that the policy knows.

mod api_key;
mod forwarded;
mod jwt;

use crate::challenge::Scheme;
use crate::credential::CredentialSource;
use crate::failure::Failure;
use crate::keys::Patience;
use crate::presented::{PresentedTokens, Tokens};
use sluice_core::caller::identity::Identity;
use sluice_core::decision::environment::{Environment, UnixTime};
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::reason::ReasonId;
use sluice_core::decision::wait::Wait;
use sluice_core::document::name::Name;
use sluice_core::http::header::{HeaderName, HeaderValue};
use std::fmt;
use std::rc::Rc;

/// A compiled provider.
#[derive(Debug)]
pub struct Provider {
    /// Its name.
    pub name: Name,
    /// Its position among the document's providers.
    pub position: usize,
    /// The reason of what it accepted.
    pub accepted: ReasonId,
    /// What it does.
    pub kind: Box<dyn Kind>,
}

/// A kind of provider: how it finds its credential, how it judges it, and what it needs.
pub trait Kind: fmt::Debug {
    /// What is asked for where it is not shown.
    fn scheme(&self) -> Scheme;

    /// Where its credentials are read.
    fn sources(&self) -> &[CredentialSource];

    /// Whether an accepted credential goes on to the service.
    fn keeps_credential(&self) -> bool;

    /// The identity headers of the request that stay as they came where it accepts: those that it has read itself.
    fn believed_headers(&self) -> &[HeaderName] {
        &[]
    }

    /// What it says of the request.
    ///
    /// # Errors
    /// [`Wait`], for what it needs to know.
    fn judge<'r>(&'r self, provider: &Provider, inquiry: &mut Inquiry<'r, '_>) -> Result<Answer, Wait>;

    /// Whether requests wait for it.
    fn waits(&self) -> bool {
        false
    }

    /// Whether the host lacks what it needs, so that nothing could be accepted.
    fn is_unverifiable(&self, _: &dyn Environment) -> bool {
        false
    }

    /// In how many seconds what it lacks may be there; `None` where it lacks nothing.
    fn returns_after(&self, _: UnixTime) -> Option<u64> {
        None
    }

    /// Clears a part of it away, where it has many; whether there was one.
    fn drop_part(&mut self) -> bool {
        false
    }

    /// Where it looks, for `sluice explain`.
    fn place(&self) -> String;

    /// What may have been meant for it, for `sluice explain`.
    fn misplaced(&self, exchange: &Exchange<'_>) -> Option<String>;

    /// What the credential says that came, for `sluice explain`.
    fn shown(&self, _: &Exchange<'_>) -> Option<String> {
        None
    }
}

/// What the providers are asked about.
pub struct Inquiry<'r, 'e> {
    /// The request.
    pub exchange: &'e Exchange<'r>,
    /// What is known of tokens.
    pub tokens: &'r Tokens,
    /// The tokens of the request that have been looked at.
    pub presented: &'e mut PresentedTokens<'r>,
    /// Whether the request may wait.
    pub patience: Patience,
}

/// What one provider says of a request.
#[derive(Debug)]
pub enum Answer {
    /// No credential came.
    Absent,
    /// This is a good one.
    Accepted(Rc<Accepted>),
    /// This is why the one that came is not.
    Refused(Failure),
}

/// An accepted credential.
#[derive(Debug)]
pub struct Accepted {
    /// The provider, by its position.
    pub provider: usize,
    /// Who it is.
    pub identity: Rc<Identity>,
    /// The headers that tell the service.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

// === impl Provider ===

impl Provider {
    /// What it says of the request, with notes for `sluice explain`.
    ///
    /// # Errors
    /// [`Wait`], for what it needs to know.
    pub fn judge<'r>(&'r self, inquiry: &mut Inquiry<'r, '_>) -> Result<Answer, Wait> {
        let answer = self.kind.judge(self, inquiry)?;
        let exchange = inquiry.exchange;
        match &answer {
            Answer::Absent => exchange.note(|| {
                let hint = self.kind.misplaced(exchange);
                let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                format!("`{}` finds no credential {}{hint}", self.name, self.kind.place())
            }),
            Answer::Accepted(_) => exchange.note_where(|| self.kind.shown(exchange)),
            Answer::Refused(failure) => {
                exchange.note(|| format!("`{}` refuses: {}", self.name, failure.reason()));
                exchange.note_where(|| self.kind.shown(exchange));
            }
        }
        Ok(answer)
    }
}

/// Where a provider looks that reads from `sources`.
fn places(sources: &[CredentialSource]) -> String {
    let places: Vec<String> = sources.iter().map(ToString::to_string).collect();
    format!("in {}", places.join(", "))
}
