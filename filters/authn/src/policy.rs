//! The decision: which rule, which of its providers, and what is answered.

use crate::PLACE;
use crate::algorithm::VERIFIES_BY_ITSELF;
use crate::challenge::{Challenges, Scheme};
use crate::credential::{CredentialSource, Found};
use crate::failure::Failure;
use crate::forward::IdentityHeaders;
use crate::keys::Patience;
use crate::presented::{PresentedTokens, Tokens};
use crate::protected_resource::ProtectedResource;
use crate::provider::{Inquiry, Provider};
use crate::requirement::{Proof, Proven, Requirement};
use sluice_core::decision::compile::Stage;
use sluice_core::decision::environment::Environment;
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::place::Place;
use sluice_core::decision::reason::ReasonId;
use sluice_core::decision::verdict::{LocalReply, Mutations, Verdict};
use sluice_core::decision::wait::Wait;
use sluice_core::document::name::Name;
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::rule::selector::SelectorId;
use std::rc::Rc;

/// The compiled section.
#[derive(Debug)]
pub struct Authn {
    /// In order: the first that matches decides.
    pub rules: Vec<Rule>,
    /// The providers that rules refer to by their position.
    pub providers: Vec<Provider>,
    /// What no client may send.
    pub identity_headers: IdentityHeaders,
    /// The names of decisions.
    pub reasons: Reasons,
    /// How clients are told what to show.
    pub challenges: Challenges,
    /// What clients are told of how to get a token.
    pub protected_resources: Vec<ProtectedResource>,
    /// What is known of tokens.
    pub tokens: Tokens,
    /// Whether what is refused goes on all the same.
    pub shadow: bool,
    /// Whether requests wait for one of the providers.
    pub waits: bool,
}

/// A compiled rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub name: Name,
    /// Which requests.
    pub selector: SelectorId,
    /// Which proof.
    pub requirement: Requirement,
    /// Whether it decides nothing: the rules behind it are asked all the same.
    pub shadow: bool,
}

/// The names of decisions.
#[derive(Debug)]
pub struct Reasons {
    /// A rule that asks for nothing.
    pub not_required: ReasonId,
    /// A rule that a caller without a credential may pass.
    pub anonymous: ReasonId,
    /// A rule that a caller with a bad one may pass, too.
    pub failed: ReasonId,
    /// Refusals, in the order of [`Failure::ALL`].
    pub denied: [ReasonId; Failure::ALL.len()],
    /// The same in shadow; the same ids as `denied` where nothing is in shadow.
    pub shadow: [ReasonId; Failure::ALL.len()],
}

// === impl Stage for Authn ===

impl Stage for Authn {
    fn drop_part(&mut self) -> bool {
        self.providers.iter_mut().any(|provider| provider.kind.drop_part())
    }

    fn proves_identity(&self) -> bool {
        true
    }

    fn place(&self) -> Place {
        PLACE
    }

    fn waits(&self) -> bool {
        self.waits
    }

    /// Asked of the host with the document's own keys, once: no token would have an answer but 503.
    fn lacks(&self, environment: &dyn Environment) -> Option<String> {
        let unverifiable = |provider: &&Provider| provider.kind.is_unverifiable(environment);
        let provider = self.providers.iter().filter(|_| !VERIFIES_BY_ITSELF).find(unverifiable)?;
        Some(format!(
            "authn: the host does not verify signatures with the keys of the provider `{}` (it has no `verify_signature`, or refuses a key), and this edition of the module does not by itself: `sluice.wasm` does",
            provider.name
        ))
    }

    fn decide(&self, exchange: &mut Exchange<'_>, mutations: &mut Mutations) -> Verdict {
        if exchange.identity().is_some() {
            // Only `sluice explain --identity` knows it before it has been proven.
            exchange.note(|| "the identity is given: no credential is asked for".to_owned());
            return Verdict::Continue;
        }
        if !self.protected_resources.is_empty()
            && !self.shadow
            && let Some(reply) = ProtectedResource::answer(&self.protected_resources, exchange.request())
        {
            exchange.note(|| "it asks how to get a token, which everybody may".to_owned());
            return Verdict::Respond(reply);
        }
        let request_rules = self.rules.iter().filter(|rule| {
            let matches = exchange.matches(rule.selector);
            if !matches {
                exchange.note(|| format!("the rule `{}`: {}", rule.name, exchange.unmatched(rule.selector)));
            }
            matches
        });
        let mut decided = None;
        let mut waits = None;
        let mut presented = PresentedTokens::default();
        for rule in request_rules {
            let proof = match self.ask(rule, &mut presented, exchange) {
                Ok(proof) => proof,
                Err(wait) => {
                    waits = Some(wait);
                    break;
                }
            };
            if !rule.shadow {
                decided = Some((rule, proof));
                break;
            }
            if let Some((failure, _)) = rule.requirement.refusal(&proof) {
                exchange.note(|| format!("in shadow: it would refuse ({})", failure.reason()));
                exchange.record(self.reasons.of(failure, true));
            } else {
                exchange.note(|| "in shadow: it would let the request through".to_owned());
            }
        }
        presented.settle(&self.tokens, exchange);
        if let Some(wait) = waits {
            return Verdict::Wait(wait);
        }
        let Some((rule, proof)) = decided else {
            exchange.note(|| "no rule matches".to_owned());
            let everybody: Vec<usize> = (0..self.providers.len()).collect();
            return self.refuse(Failure::NoRule, None, &everybody, exchange, mutations);
        };
        match (rule.requirement.refusal(&proof), proof) {
            (Some((failure, scheme)), _) => {
                self.refuse(failure, scheme, &rule.requirement.providers, exchange, mutations)
            }
            (None, Proof::Accepted(proven)) => self.accept(&proven, exchange, mutations),
            (None, _) if rule.requirement.demand.is_none() => {
                // Authentication is not ours here: the service may verify by itself what came.
                exchange.note(|| "it goes on without an identity: no credential is required".to_owned());
                self.pass(self.reasons.not_required, exchange, mutations)
            }
            (None, proof) => {
                let reason = match proof {
                    Proof::Refused(..) => self.reasons.failed,
                    Proof::Absent | Proof::Accepted(_) => self.reasons.anonymous,
                };
                self.remove_credentials(None, exchange, mutations);
                exchange.note(|| "it goes on without an identity: no credential is required".to_owned());
                self.pass(reason, exchange, mutations)
            }
        }
    }
}

// === impl Authn ===

impl Authn {
    /// Asks the providers of a rule that matches.
    fn ask<'r>(
        &'r self,
        rule: &Rule,
        presented: &mut PresentedTokens<'r>,
        exchange: &Exchange<'r>,
    ) -> Result<Proof<'r>, Wait> {
        exchange.note(|| format!("the rule `{}` matches", rule.name));
        let patience = if rule.shadow { Patience::Hurries } else { Patience::Waits };
        let mut inquiry = Inquiry { exchange, tokens: &self.tokens, presented, patience };
        rule.requirement.ask(&self.providers, &mut inquiry)
    }

    /// In how many seconds keys of these providers may be there that are not now.
    fn keys_return_after(&self, providers: &[usize], exchange: &Exchange<'_>) -> u64 {
        let now = exchange.environment().now();
        let providers = providers.iter().filter_map(|position| self.providers.get(*position));
        providers.filter_map(|provider| provider.kind.returns_after(now)).min().unwrap_or(1)
    }

    fn accept(&self, proven: &Proven<'_>, exchange: &mut Exchange<'_>, mutations: &mut Mutations) -> Verdict {
        for (provider, accepted) in proven.all() {
            exchange.note(|| {
                format!("`{}` accepts: the principal is {:?}", provider.name, accepted.identity.principal)
            });
        }
        let request = exchange.request();
        let believed = proven.all().flat_map(|(provider, _)| provider.kind.believed_headers());
        self.identity_headers.remove(request.headers(), believed, mutations);
        let keeping = proven.all().filter(|(provider, _)| provider.kind.keeps_credential());
        // An accepted credential stood in one place alone.
        let kept = keeping.filter_map(|(provider, _)| {
            provider.kind.sources().iter().find(|source| source.read(request) != Found::Absent)
        });
        self.remove_credentials(kept, exchange, mutations);
        for (provider, accepted) in proven.all() {
            for (name, value) in &accepted.headers {
                mutations.set_request_header(name.clone(), value.clone());
            }
            exchange.record(provider.accepted);
        }
        exchange.set_identity(Rc::clone(&proven.accepted.identity));
        Verdict::Continue
    }

    /// Takes out what any provider of the document would read as a credential, but for the accepted ones that stand at `kept`: what
    /// nobody has verified proves nothing, and the service might believe it.
    fn remove_credentials<'s>(
        &'s self,
        kept: impl IntoIterator<Item = &'s CredentialSource, IntoIter: Clone>,
        exchange: &Exchange<'_>,
        mutations: &mut Mutations,
    ) {
        let sources = self.providers.iter().flat_map(|provider| provider.kind.sources());
        CredentialSource::remove_all(sources, kept, exchange.request(), mutations);
    }

    /// The request goes on without an identity.
    fn pass(&self, reason: ReasonId, exchange: &Exchange<'_>, mutations: &mut Mutations) -> Verdict {
        self.identity_headers.remove(exchange.request().headers(), None, mutations);
        exchange.record(reason);
        Verdict::Continue
    }

    /// `scheme` is what the refused credential was, if one came.
    fn refuse(
        &self,
        failure: Failure,
        scheme: Option<Scheme>,
        providers: &[usize],
        exchange: &Exchange<'_>,
        mutations: &mut Mutations,
    ) -> Verdict {
        let reason = self.reasons.of(failure, self.shadow);
        if self.shadow {
            exchange.note(|| format!("in shadow: it would be refused ({}), but goes on", failure.reason()));
            return self.pass(reason, exchange, mutations);
        }
        let mut reply = LocalReply::new(failure.status(), reason, failure.description());
        let retry_after = match failure {
            Failure::BudgetExhausted | Failure::SourceBudgetExhausted => Some(1),
            Failure::KeysUnavailable => Some(self.keys_return_after(providers, exchange)),
            _ => None,
        };
        if let Some(seconds) = retry_after {
            let retry_after = HeaderName::from_static("retry-after");
            return Verdict::Respond(reply.with_header(retry_after, HeaderValue::from_number(seconds)));
        }
        let offers = |scheme: Scheme| {
            let mut accepted = providers.iter().filter_map(|position| self.providers.get(*position));
            accepted.any(|provider| provider.kind.scheme() == scheme)
        };
        let resource = ProtectedResource::of_request(&self.protected_resources, exchange.request());
        let metadata_url = resource.map(|resource| resource.metadata_url.as_str());
        for offered in Scheme::ALL.into_iter().filter(|scheme| offers(*scheme)) {
            let failure = (scheme == Some(offered)).then_some(failure);
            if let Some(value) = self.challenges.challenge_for(offered, failure, metadata_url) {
                reply = reply.with_header(HeaderName::from_static("www-authenticate"), value);
            }
        }
        Verdict::Respond(reply)
    }
}

// === impl Reasons ===

impl Reasons {
    const fn of(&self, failure: Failure, shadow: bool) -> ReasonId {
        // A failure's number is its position in `Failure::ALL`.
        #[allow(clippy::indexing_slicing)]
        if shadow { self.shadow[failure as usize] } else { self.denied[failure as usize] }
    }
}

#[cfg(test)]
mod tests;
