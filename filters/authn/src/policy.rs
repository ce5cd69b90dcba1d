//! The decision: which rule, which of its providers, and what is answered.

use crate::PLACE;
use crate::algorithm::VERIFIES_BY_ITSELF;
use crate::api_key::ApiKeyProvider;
use crate::challenge::{Challenges, Scheme};
use crate::credential::{CredentialSource, Found};
use crate::explain;
use crate::failure::Failure;
use crate::forward::IdentityHeaders;
use crate::forwarded::{Forwarded, ForwardedProvider};
use crate::jws::Jws;
use crate::jwt::{JwtProvider, Shown};
use crate::keys::{Keys, Patience};
use crate::token_cache::{Remembered, TokenCache, TokenHash};
use crate::verifier::{Signatures, Verifier};
use sluice_core::caller::identity::Identity;
use sluice_core::decision::compile::Stage;
use sluice_core::decision::environment::Environment;
use sluice_core::decision::exchange::Exchange;
use sluice_core::decision::place::Place;
use sluice_core::decision::reason::ReasonId;
use sluice_core::decision::verdict::{LocalReply, Mutations, Verdict};
use sluice_core::decision::wait::Wait;
use sluice_core::document::name::Name;
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::http::request::RequestView;
use sluice_core::rule::selector::SelectorId;
use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
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
    /// Tokens verified before.
    pub cache: RefCell<TokenCache>,
    /// Verifies signatures, within the budget.
    pub verifier: Verifier,
    /// Whether what is refused goes on all the same.
    pub shadow: bool,
    /// Whether a provider has keys that are fetched.
    pub fetches_keys: bool,
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

/// A compiled provider.
#[derive(Debug)]
pub struct Provider {
    /// Its name.
    pub name: Name,
    /// Its kind.
    pub kind: ProviderKind,
    /// The reason of what it accepted.
    pub accepted: ReasonId,
}

/// A provider by its kind.
#[derive(Debug)]
pub enum ProviderKind {
    /// Tokens.
    Jwt(JwtProvider),
    /// API keys.
    ApiKey(ApiKeyProvider),
    /// A trusted proxy's headers.
    Forwarded(ForwardedProvider),
}

/// The names of decisions.
#[derive(Debug)]
pub struct Reasons {
    /// A rule that asks for nothing.
    pub not_required: ReasonId,
    /// A rule that a caller without a credential may pass.
    pub anonymous: ReasonId,
    /// Refusals, in the order of [`Failure::ALL`].
    pub denied: [ReasonId; Failure::ALL.len()],
    /// The same in shadow; the same ids as `denied` where nothing is in shadow.
    pub shadow: [ReasonId; Failure::ALL.len()],
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

/// A token as it came, and what has been found out about it; providers that read the same place share it.
struct Presented<'r> {
    token: Cow<'r, [u8]>,
    hash: TokenHash,
    parsed: OnceCell<Result<Jws, Failure>>,
    signatures: Signatures,
}

/// What the providers of a rule say of a request.
enum Proof<'p> {
    /// No credential came.
    Absent,
    /// This provider accepts it.
    Accepted(&'p Provider, Rc<Accepted>),
    /// The most telling refusal, and what was refused.
    Refused(Failure, Scheme),
}

/// What one provider says of a request.
enum Answer {
    Absent,
    Accepted(Rc<Accepted>),
    Refused(Failure),
}

// === impl Stage for Authn ===

impl Stage for Authn {
    fn proves_identity(&self) -> bool {
        true
    }

    fn place(&self) -> Place {
        PLACE
    }

    fn waits(&self) -> bool {
        self.fetches_keys
    }

    /// Asked of the host with the document's own keys, once: no token would have an answer but 503.
    fn lacks(&self, environment: &dyn Environment) -> Option<String> {
        let unverifiable = |provider: &&Provider| match &provider.kind {
            ProviderKind::Jwt(jwt) => jwt.keys.are_unverifiable(environment),
            ProviderKind::ApiKey(_) | ProviderKind::Forwarded(_) => false,
        };
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
        let request_rules = self.rules.iter().filter(|rule| {
            let matches = exchange.matches(rule.selector);
            if !matches {
                exchange.note(|| format!("the rule `{}`: {}", rule.name, exchange.unmatched(rule.selector)));
            }
            matches
        });
        let mut decided = None;
        let mut waits = None;
        let mut presented = Vec::new();
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
        for token in &presented {
            self.verifier.settle(&token.signatures, exchange);
        }
        if let Some(wait) = waits {
            // What was verified until now is paid for, and what was forged is remembered as that.
            return Verdict::Wait(wait);
        }
        let Some((rule, proof)) = decided else {
            exchange.note(|| "no rule matches".to_owned());
            let everybody: Vec<usize> = (0..self.providers.len()).collect();
            return self.refuse(Failure::NoRule, None, &everybody, exchange, mutations);
        };
        match (rule.requirement.refusal(&proof), proof) {
            (Some((failure, scheme)), _) => {
                self.refuse(failure, scheme, rule.requirement.providers(), exchange, mutations)
            }
            (None, Proof::Accepted(provider, accepted)) => {
                self.accept(provider, &accepted, exchange, mutations)
            }
            (None, _) => {
                let reason = match rule.requirement {
                    // Authentication is not ours here: the service may verify by itself what came.
                    Requirement::None => self.reasons.not_required,
                    Requirement::Any(_) | Requirement::Optional(_) => {
                        self.remove_credentials(None, exchange, mutations);
                        self.reasons.anonymous
                    }
                };
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
        presented: &mut Vec<Presented<'r>>,
        exchange: &Exchange<'r>,
    ) -> Result<Proof<'r>, Wait> {
        exchange.note(|| format!("the rule `{}` matches", rule.name));
        let patience = if rule.shadow { Patience::Hurries } else { Patience::Waits };
        match &rule.requirement {
            Requirement::None => Ok(Proof::Absent),
            Requirement::Any(providers) | Requirement::Optional(providers) => {
                self.prove(providers, patience, presented, exchange)
            }
        }
    }

    /// Asks the providers in the rule's order; the first that accepts decides. `presented` are the tokens that have been looked at.
    fn prove<'r>(
        &'r self,
        providers: &[usize],
        patience: Patience,
        presented: &mut Vec<Presented<'r>>,
        exchange: &Exchange<'r>,
    ) -> Result<Proof<'r>, Wait> {
        let request = exchange.request();
        let mut refused: Option<(Failure, Scheme)> = None;
        for (position, provider) in
            providers.iter().filter_map(|position| Some((*position, self.providers.get(*position)?)))
        {
            let answer = match &provider.kind {
                ProviderKind::Jwt(jwt) => match CredentialSource::read_all(&jwt.sources, request) {
                    Found::Absent => Answer::Absent,
                    Found::Repeated => Answer::Refused(Failure::CredentialRepeated),
                    Found::Once(token) if token.len() > jwt.max_size => {
                        Answer::Refused(Failure::TokenTooLarge)
                    }
                    Found::Once(token) => {
                        let token = self.present(token, presented);
                        self.verify_token((position, provider), jwt, token, patience, exchange)?
                    }
                },
                ProviderKind::ApiKey(keys) => match CredentialSource::read_all(&keys.sources, request) {
                    Found::Absent => Answer::Absent,
                    Found::Repeated => Answer::Refused(Failure::CredentialRepeated),
                    Found::Once(key) => match keys.verify(&key, exchange.environment().now()) {
                        Ok(accepted) => Answer::Accepted(Rc::clone(accepted)),
                        Err(failure) => Answer::Refused(failure),
                    },
                },
                ProviderKind::Forwarded(forwarded) => read_forwarded(position, provider, forwarded, exchange),
            };
            match answer {
                Answer::Absent => exchange.note(|| {
                    let hint = provider.kind.misplaced(request);
                    let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                    format!("`{}` finds no credential {}{hint}", provider.name, provider.kind.place())
                }),
                Answer::Accepted(accepted) => {
                    provider.kind.note_claims(exchange);
                    return Ok(Proof::Accepted(provider, accepted));
                }
                Answer::Refused(failure) => {
                    exchange.note(|| format!("`{}` refuses: {}", provider.name, failure.reason()));
                    provider.kind.note_claims(exchange);
                    // Of equally telling ones the first.
                    if refused.is_none_or(|(known, _)| known < failure) {
                        refused = Some((failure, provider.kind.scheme()));
                    }
                }
            }
        }
        Ok(refused.map_or(Proof::Absent, |(failure, scheme)| Proof::Refused(failure, scheme)))
    }

    /// What is known of a token, which another provider may have looked at before.
    fn present<'p, 'r>(
        &self,
        token: Cow<'r, [u8]>,
        presented: &'p mut Vec<Presented<'r>>,
    ) -> &'p mut Presented<'r> {
        let known = presented.iter().position(|known| known.token == token).unwrap_or(presented.len());
        if known == presented.len() {
            let hash = self.cache.borrow().hash(&token);
            let signatures = Signatures::default();
            presented.push(Presented { token, hash, parsed: OnceCell::new(), signatures });
        }
        // It stands there already, or was just added there.
        #[allow(clippy::indexing_slicing)]
        &mut presented[known]
    }

    fn verify_token(
        &self,
        (position, provider): (usize, &Provider),
        jwt: &JwtProvider,
        presented: &mut Presented<'_>,
        patience: Patience,
        exchange: &Exchange<'_>,
    ) -> Result<Answer, Wait> {
        let Presented { token, hash, parsed, signatures } = presented;
        match self.cache.borrow().find(token, *hash, position, exchange.environment().now()) {
            Remembered::Accepted { accepted, key } if jwt.keys.still_have(key, exchange) => {
                exchange.note(|| format!("`{}` has verified this token before", provider.name));
                return Ok(Answer::Accepted(Rc::clone(accepted)));
            }
            Remembered::Accepted { .. } => {
                exchange.note(|| {
                    format!("`{}` has verified this token before, with a key that is gone", provider.name)
                });
            }
            // A token is of one issuer: no need to read it again.
            Remembered::Signed { provider: other, .. }
                if self.issuer(other).is_some_and(|issuer| issuer != jwt.issuer) =>
            {
                return Ok(Answer::Refused(Failure::IssuerMismatch));
            }
            Remembered::Signed { key, .. } => signatures.add(key, true),
            Remembered::Nothing => {}
        }
        let jws = match parsed.get_or_init(|| Jws::parse(token)) {
            Ok(jws) => jws,
            Err(failure) => return Ok(Answer::Refused(*failure)),
        };
        exchange.note(|| {
            format!(
                "`{}` looks at a token: alg {}, kid {:?}, iss {:?}",
                provider.name,
                jws.algorithm,
                jws.key_id.as_deref().unwrap_or_default(),
                jws.issuer().unwrap_or_default()
            )
        });
        let shown = Shown { token, jws, patience };
        Ok(match jwt.verify(&provider.name, shown, signatures, &self.verifier, exchange)? {
            Ok(verified) => {
                signatures.accept();
                let identity = Rc::new(verified.identity);
                let accepted = Rc::new(Accepted { provider: position, identity, headers: verified.headers });
                let remembered = Rc::clone(&accepted);
                self.cache.borrow_mut().remember(token, *hash, remembered, verified.key, verified.until);
                Answer::Accepted(accepted)
            }
            Err(failure) => Answer::Refused(failure),
        })
    }

    /// In how many seconds keys of these providers may be there that are not now.
    fn keys_return_after(&self, providers: &[usize], exchange: &Exchange<'_>) -> u64 {
        let now = exchange.environment().now();
        let providers = providers.iter().filter_map(|position| self.providers.get(*position));
        let waits = providers.filter_map(|provider| match &provider.kind {
            ProviderKind::Jwt(JwtProvider { keys: Keys::Fetched { set, .. }, .. }) => {
                Some(set.unavailable(now).retry_after.as_secs())
            }
            _ => None,
        });
        waits.min().unwrap_or(1)
    }

    fn issuer(&self, provider: usize) -> Option<&str> {
        match &self.providers.get(provider)?.kind {
            ProviderKind::Jwt(jwt) => Some(&jwt.issuer),
            ProviderKind::ApiKey(_) | ProviderKind::Forwarded(_) => None,
        }
    }

    fn accept(
        &self,
        provider: &Provider,
        accepted: &Accepted,
        exchange: &mut Exchange<'_>,
        mutations: &mut Mutations,
    ) -> Verdict {
        exchange.note(|| {
            format!("`{}` accepts: the principal is {:?}", provider.name, accepted.identity.principal)
        });
        let request = exchange.request();
        let kept: &[HeaderName] = match &provider.kind {
            ProviderKind::Forwarded(forwarded) => &forwarded.headers,
            ProviderKind::Jwt(_) | ProviderKind::ApiKey(_) => &[],
        };
        self.identity_headers.remove(request.headers(), kept, mutations);
        // The accepted credential stood in one place alone.
        let kept = provider.kind.kept_sources().iter().find(|source| source.read(request) != Found::Absent);
        self.remove_credentials(kept, exchange, mutations);
        for (name, value) in &accepted.headers {
            mutations.set_request_header(name.clone(), value.clone());
        }
        exchange.record(provider.accepted);
        exchange.set_identity(Rc::clone(&accepted.identity));
        Verdict::Continue
    }

    /// Takes out what any provider of the document would read as a credential, but for the accepted one that stands at `kept`: what
    /// nobody has verified proves nothing, and the service might believe it.
    fn remove_credentials(
        &self,
        kept: Option<&CredentialSource>,
        exchange: &Exchange<'_>,
        mutations: &mut Mutations,
    ) {
        let sources = self.providers.iter().flat_map(|provider| provider.kind.sources());
        CredentialSource::remove_all(sources, kept, exchange.request(), mutations);
    }

    /// The request goes on without an identity.
    fn pass(&self, reason: ReasonId, exchange: &Exchange<'_>, mutations: &mut Mutations) -> Verdict {
        self.identity_headers.remove(exchange.request().headers(), &[], mutations);
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
        for offered in Scheme::ALL.into_iter().filter(|scheme| offers(*scheme)) {
            let failure = (scheme == Some(offered)).then_some(failure);
            if let Some(value) = self.challenges.challenge(offered, failure) {
                reply = reply.with_header(HeaderName::from_static("www-authenticate"), value);
            }
        }
        Verdict::Respond(reply)
    }
}

fn read_forwarded(
    position: usize,
    provider: &Provider,
    forwarded: &ForwardedProvider,
    exchange: &Exchange<'_>,
) -> Answer {
    match forwarded.read(&provider.name, exchange) {
        Ok(Forwarded::Absent) => Answer::Absent,
        Ok(Forwarded::NotBelieved) => {
            exchange.note(|| {
                let peer = exchange.peer_identity().unwrap_or("a peer without a certificate");
                format!("`{}` does not believe {peer}", provider.name)
            });
            Answer::Absent
        }
        Ok(Forwarded::Identity(identity)) => Answer::Accepted(Rc::new(Accepted {
            provider: position,
            identity: Rc::new(identity),
            headers: Vec::new(),
        })),
        Err(failure) => Answer::Refused(failure),
    }
}

// === impl Requirement ===

impl Requirement {
    fn providers(&self) -> &[usize] {
        match self {
            Self::None => &[],
            Self::Any(providers) | Self::Optional(providers) => providers,
        }
    }

    /// Why this proof does not do, and what was refused.
    fn refusal(&self, proof: &Proof<'_>) -> Option<(Failure, Option<Scheme>)> {
        match (self, proof) {
            (Self::Any(_), Proof::Absent) => Some((Failure::Missing, None)),
            (_, Proof::Refused(failure, scheme)) => Some((*failure, Some(*scheme))),
            (_, Proof::Absent | Proof::Accepted(..)) => None,
        }
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

// === impl ProviderKind ===

impl ProviderKind {
    /// What is asked for where this is not shown.
    pub const fn scheme(&self) -> Scheme {
        match self {
            Self::Jwt(_) => Scheme::Bearer,
            Self::ApiKey(_) => Scheme::ApiKey,
            Self::Forwarded(_) => Scheme::Forwarded,
        }
    }

    /// Notes the claims of the token that came, for `sluice explain`.
    fn note_claims(&self, exchange: &Exchange<'_>) {
        exchange.note_where(|| match self {
            Self::Jwt(jwt) => explain::claims(jwt, exchange.request(), exchange.environment().now()),
            Self::ApiKey(_) | Self::Forwarded(_) => None,
        });
    }

    /// What may have been meant for it, for `sluice explain`.
    fn misplaced(&self, request: &RequestView<'_>) -> Option<String> {
        match self {
            Self::Jwt(JwtProvider { sources, .. }) | Self::ApiKey(ApiKeyProvider { sources, .. }) => {
                explain::misplaced(sources, request)
            }
            Self::Forwarded(_) => None,
        }
    }

    /// Where its credentials are read.
    pub fn sources(&self) -> &[CredentialSource] {
        match self {
            Self::Jwt(jwt) => &jwt.sources,
            Self::ApiKey(keys) => &keys.sources,
            Self::Forwarded(_) => &[],
        }
    }

    /// Where its credentials are read, if an accepted one goes on to the service.
    fn kept_sources(&self) -> &[CredentialSource] {
        match self {
            Self::Jwt(jwt) if !jwt.removes_token => &jwt.sources,
            Self::ApiKey(keys) if !keys.removes_key => &keys.sources,
            Self::Jwt(_) | Self::ApiKey(_) | Self::Forwarded(_) => &[],
        }
    }

    /// Where it looks, for `sluice explain`.
    fn place(&self) -> String {
        match self {
            Self::Jwt(JwtProvider { sources, .. }) | Self::ApiKey(ApiKeyProvider { sources, .. }) => {
                let places: Vec<String> = sources.iter().map(ToString::to_string).collect();
                format!("in {}", places.join(", "))
            }
            Self::Forwarded(forwarded) => format!("in the header `{}`", forwarded.principal),
        }
    }
}

#[cfg(test)]
mod tests;
