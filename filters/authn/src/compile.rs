//! From the section to the compiled policy, and all that can be wrong with it.

mod api_key;
mod forwarded;
mod jwt;
mod keys;

use crate::algorithm::VERIFIES_BY_ITSELF;
use crate::challenge::{Challenges, Scheme};
use crate::config::{AuthnSection, Passing, ProviderConfig, Require, RuleConfig, SourceConfig};
use crate::credential::CredentialSource;
use crate::failure::Failure;
use crate::forward::IdentityHeaders;
use crate::keys::Keys;
use crate::policy::{Authn, Provider, ProviderKind, Reasons, Requirement, Rule};
use crate::scalar::KeyFact;
use crate::token_cache::TokenCache;
use crate::verifier::Verifier;
use crate::{PLACE, SECTION};
use sluice_core::decision::compile::{Accepting, Compiler, PolicySection, Stage};
use sluice_core::decision::place::{Place, Section};
use sluice_core::decision::reason::{Outcome, ReasonId};
use sluice_core::document::list::OneOrMany;
use sluice_core::document::name::Name;
use sluice_core::document::order::sort_by;
use sluice_core::document::problem::{FieldPath, Problems, quoted_list};
use sluice_core::document::variable::VariableName;
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::rule::reachable::{OrderedRule, check_reachable, unprotected};
use sluice_core::rule::selector::SelectorId;
use std::cell::RefCell;
use std::collections::HashMap;

/// How many tokens a worker remembers where `cache.size` is not given.
const CACHE_SIZE: u32 = 1_000;
/// More would be memory that nobody meant to give: a remembered token takes its own length and about a kibibyte besides.
const MOST_CACHED: u32 = 1_000_000;

/// How many rules are looked at to tell which lets a path in.
const MOST_COMPARED: usize = 64;

impl PolicySection for AuthnSection {
    const SECTION: Section = SECTION;
    const PLACES: &'static [Place] = &[PLACE];

    fn variables(&self) -> Vec<&VariableName> {
        Self::variables(self)
    }

    fn declare(&self, path: &FieldPath, compiler: &mut Compiler) {
        compiler.offers = Some(self.offers());
        for name in self.identity_headers() {
            compiler.selectors.note_written(name, "`authn`");
        }
        compiler.accepted = self.accepted(&path.field("rules"), compiler);
        compiler.challenges = self.offered_challenges();
    }

    fn compile(&self, path: &FieldPath, compiler: &mut Compiler) -> Vec<Box<dyn Stage>> {
        let authn = self.compile_policy(path, compiler);
        if authn.is_none() && compiler.problems.is_empty() {
            // Whatever the reason: a document without its authentication must not be served.
            compiler.problems.report(path, "cannot be compiled");
        }
        authn.map(|authn| Box::new(authn) as Box<dyn Stage>).into_iter().collect()
    }
}

impl AuthnSection {
    /// The compiled section; `None`, with problems, where that makes no sense.
    fn compile_policy(&self, path: &FieldPath, compiler: &mut Compiler) -> Option<Authn> {
        let providers_path = path.field("providers");
        if self.providers.is_empty() {
            compiler.problems.report(&providers_path, "no provider: nobody could prove who is calling");
        }
        compiler.check_unique(self.providers.iter().map(|provider| &provider.name), &providers_path);
        let providers: Vec<Option<Provider>> = self
            .providers
            .iter()
            .enumerate()
            .map(|(position, provider)| provider.compile(position, &providers_path.index(position), compiler))
            .collect();
        if !VERIFIES_BY_ITSELF {
            for (path, algorithm) in self.beyond_hosts(path) {
                let message = format!(
                    "no host verifies `{algorithm}`, and this edition of the module does not by itself: `sluice.wasm` does"
                );
                compiler.problems.report(&path, message);
            }
        }
        self.warn_of_mixed_principals(&path.field("providers"), &mut compiler.problems);
        self.check_credentials_are_not_forwarded(&providers_path, &mut compiler.problems);
        let rules = self.compile_rules(&path.field("rules"), compiler);
        let challenges = Challenges::new(self.realm())
            .map_err(|message| compiler.problems.report(&path.field("realm"), message))
            .ok()?;
        let cache_size = self.cache.size.unwrap_or(CACHE_SIZE);
        if cache_size > MOST_CACHED {
            let message =
                format!("{cache_size} tokens are more than a worker can remember; at most {MOST_CACHED}");
            compiler.problems.report(&path.field("cache").field("size"), message);
        }
        let budget = match self.budget {
            Some(budget) => budget,
            None => "1000/s".parse().ok()?,
        };
        // One is missing only where a problem was reported.
        let providers = providers.into_iter().collect::<Option<Vec<Provider>>>()?;
        let identity_headers = IdentityHeaders::new(self.identity_headers());
        compiler.protected.extend(identity_headers.iter().cloned());
        let handed_on: Vec<HeaderName> = self.handed_on_headers().collect();
        let written = identity_headers.iter().filter(|name| !handed_on.contains(name));
        compiler.written.extend(written.cloned());
        let sources = providers.iter().flat_map(|provider| provider.kind.sources());
        compiler.protected.extend(sources.filter_map(CredentialSource::header));
        Some(Authn {
            rules,
            identity_headers,
            reasons: self.reasons(compiler),
            challenges,
            cache: RefCell::new(TokenCache::new(cache_size.min(MOST_CACHED), compiler.seed)),
            verifier: Verifier::new(budget, compiler.seed),
            shadow: self.shadow,
            fetches_keys: providers
                .iter()
                .any(|provider| matches!(&provider.kind, ProviderKind::Jwt(jwt) if jwt.keys.are_fetched())),
            providers,
        })
    }

    /// The challenges that a client can answer: by a token, by an API key.
    fn offered_challenges(&self) -> Vec<HeaderValue> {
        // A realm that can't be written is a problem of its own.
        let Ok(challenges) = Challenges::new(self.realm()) else { return Vec::new() };
        let jwt = self.providers.iter().any(|provider| provider.jwt.is_some());
        let api_key = self.providers.iter().any(|provider| provider.api_key.is_some());
        [(jwt, Scheme::Bearer), (api_key, Scheme::ApiKey)]
            .into_iter()
            .filter(|(offered, _)| *offered)
            .filter_map(|(_, scheme)| challenges.challenge(scheme, None))
            .collect()
    }

    fn realm(&self) -> &str {
        self.realm.as_deref().unwrap_or("sluice")
    }

    fn compile_rules(&self, path: &FieldPath, compiler: &mut Compiler) -> Vec<Rule> {
        compiler.check_unique(self.rules.iter().map(|rule| &rule.name), path);
        let mut rules: Vec<Rule> = self
            .rules
            .iter()
            .enumerate()
            .map(|(position, rule)| self.compile_rule(rule, &path.index(position), compiler))
            .collect();
        let ordered: Vec<OrderedRule<'_>> = rules
            .iter()
            .map(|rule| OrderedRule {
                name: &rule.name,
                selector: rule.selector,
                when: None,
                shadow: rule.shadow,
            })
            .collect();
        check_reachable(&ordered, path, compiler);
        if rules.iter().all(|rule| rule.shadow) {
            // As if there were none.
            rules.extend(self.every_request());
        }
        Self::check_neighbours(&rules, path, compiler);
        let uses = |provider: usize| {
            rules.iter().any(|rule| match &rule.requirement {
                Requirement::None => false,
                Requirement::Any(providers) | Requirement::Optional(providers) => {
                    providers.contains(&provider)
                }
            })
        };
        for (position, provider) in self.providers.iter().enumerate() {
            // A rule that names a provider that isn't there has been reported; another problem would only distract.
            if compiler.problems.is_empty() && !uses(position) {
                let message = format!("no rule accepts the provider `{}`", provider.name);
                // `path` is that of the rules: what is missing is missing there.
                compiler.problems.report(path, message);
            }
        }
        rules
    }

    /// Warns of paths beside those that need proof, which a rule lets in without: `/admin` beside `/admin/**`.
    fn check_neighbours(rules: &[Rule], path: &FieldPath, compiler: &mut Compiler) {
        let selectors = &compiler.selectors;
        let needs_proof = |rule: &&Rule| !rule.shadow && matches!(rule.requirement, Requirement::Any(_));
        let paths = |rule: &Rule| selectors.own_paths(rule.selector);
        let protected = rules.iter().filter(needs_proof).flat_map(paths);
        let mut warnings = Vec::new();
        for (pattern, beside) in unprotected(protected.clone(), protected) {
            // The first rule that is about that path, as far as paths tell.
            let about = |rule: &&Rule| {
                let own = paths(rule);
                !rule.shadow
                    && if own.is_empty() {
                        selectors.names_nothing(rule.selector)
                    } else {
                        own.iter().any(|own| own.includes(&beside))
                    }
            };
            let mut first = rules.iter().take(MOST_COMPARED).filter(about);
            if let Some(open) = first.next().filter(|rule| matches!(rule.requirement, Requirement::None)) {
                let message = format!(
                    "`{pattern}` does not include `{beside}`, which many services answer alike: the rule `{}` lets that in without proof",
                    open.name
                );
                let is_of = |rule: &Rule| needs_proof(&rule) && paths(rule).contains(pattern);
                let at = rules.iter().take(MOST_COMPARED).position(is_of);
                warnings.extend(at.map(|at| (path.index(at).field("match").field("paths"), message)));
            }
        }
        for (path, message) in warnings {
            compiler.problems.warn(&path, message);
        }
    }

    /// Which providers the rules accept. `None` where something is wrong with them: that would make others look wrong.
    fn accepted(&self, path: &FieldPath, compiler: &mut Compiler) -> Option<Vec<Accepting>> {
        let all = || self.providers.iter().map(|provider| provider.name.clone()).collect::<Vec<_>>();
        let mut accepting = Vec::new();
        for (position, rule) in self.rules.iter().enumerate().filter(|(_, rule)| !rule.shadow) {
            let providers = match &rule.require {
                None => all(),
                Some(Require::None) => Vec::new(),
                Some(Require::Any(names) | Require::Optional(names)) => names.iter().cloned().collect(),
            };
            let exists = |name: &Name| self.providers.iter().any(|provider| provider.name == *name);
            if !providers.iter().all(exists) {
                return None;
            }
            let selector = compiler.selector(rule.matches.as_ref(), &path.index(position));
            accepting.push(Accepting { selector, providers });
        }
        if accepting.is_empty() {
            // As if there were no rules: one of all providers is required of every request.
            accepting.push(Accepting { selector: SelectorId::EVERY, providers: all() });
        }
        compiler.problems.is_empty().then_some(accepting)
    }

    /// What holds where no rule decides anything: one of all providers is required of every request.
    fn every_request(&self) -> Option<Rule> {
        let requirement = Requirement::Any((0..self.providers.len()).collect());
        let name = Name::new("every-request").ok()?;
        Some(Rule { name, selector: SelectorId::EVERY, requirement, shadow: false })
    }

    fn compile_rule(&self, rule: &RuleConfig, path: &FieldPath, compiler: &mut Compiler) -> Rule {
        let require = path.field("require");
        let requirement = match &rule.require {
            None => Requirement::Any((0..self.providers.len()).collect()),
            Some(Require::None) => Requirement::None,
            Some(Require::Any(names)) => {
                Requirement::Any(self.references(names, &require.field("any"), &mut compiler.problems))
            }
            Some(Require::Optional(names)) => Requirement::Optional(self.references(
                names,
                &require.field("optional"),
                &mut compiler.problems,
            )),
        };
        Rule {
            name: rule.name.clone(),
            selector: compiler.selector(rule.matches.as_ref(), path),
            requirement,
            shadow: rule.shadow,
        }
    }

    /// The positions of the providers that a rule names.
    fn references(&self, names: &OneOrMany<Name>, path: &FieldPath, problems: &mut Problems) -> Vec<usize> {
        let mut positions = Vec::new();
        for (position, name) in names.iter().enumerate() {
            match self.providers.iter().position(|provider| provider.name == *name) {
                Some(provider) if positions.contains(&provider) => {
                    problems.report(&path.index(position), format!("`{name}` stands twice"));
                }
                Some(provider) => positions.push(provider),
                None => {
                    let known = self.providers.iter().map(|provider| provider.name.as_str());
                    problems.unknown_name(&path.index(position), "a provider", name.as_str(), known);
                }
            }
        }
        positions
    }

    /// All headers that carry identity, whoever writes them.
    pub fn identity_headers(&self) -> impl Iterator<Item = HeaderName> {
        self.providers.iter().flat_map(|provider| {
            let jwt = provider.jwt.iter().map(|jwt| &jwt.forward);
            let jwt = jwt.flat_map(|forward| forward.headers.keys().chain(&forward.provider));
            let api_key = provider.api_key.iter().map(|keys| &keys.forward);
            let api_key = api_key.flat_map(|forward| forward.headers.keys().chain(&forward.provider));
            let forwarded = provider.forwarded.iter().flat_map(forwarded::headers);
            jwt.chain(api_key).chain(forwarded).cloned()
        })
    }

    /// Those that trusted peers write (`forwarded`).
    pub fn handed_on_headers(&self) -> impl Iterator<Item = HeaderName> {
        self.providers
            .iter()
            .flat_map(|provider| provider.forwarded.iter().flat_map(forwarded::headers))
            .cloned()
    }

    /// A header that a credential is read from would be removed as an identity header, or the other way round.
    fn check_credentials_are_not_forwarded(&self, path: &FieldPath, problems: &mut Problems) {
        let credentials: Vec<&HeaderName> = self
            .providers
            .iter()
            .flat_map(|provider| {
                let jwt = provider.jwt.iter().filter_map(|jwt| jwt.from.as_ref());
                let api_key = provider.api_key.iter().filter_map(|keys| keys.from.as_ref());
                jwt.chain(api_key).flatten()
            })
            .filter_map(|source| source.header.as_ref())
            .collect();
        let mut report = |name: &HeaderName, path: FieldPath| {
            let name = name.as_str();
            let is_credential = |credential: &&HeaderName| credential.is_spelt(name.as_bytes());
            if name == "authorization" || credentials.iter().any(is_credential) {
                problems.report(
                    &path,
                    format!("`{name}` is where a credential is read: it cannot carry identity too"),
                );
            }
        };
        for (position, provider) in self.providers.iter().enumerate() {
            let path = path.index(position);
            let headers = |kind: &str| path.field(kind).field("forward").field("headers");
            for name in provider.jwt.iter().flat_map(|jwt| jwt.forward.headers.keys()) {
                report(name, headers("jwt").field(name.as_str()));
            }
            for name in provider.api_key.iter().flat_map(|keys| keys.forward.headers.keys()) {
                report(name, headers("apiKey").field(name.as_str()));
            }
            for name in provider.jwt.iter().flat_map(|jwt| &jwt.forward.provider) {
                report(name, path.field("jwt").field("forward").field("provider"));
            }
            for name in provider.api_key.iter().flat_map(|keys| &keys.forward.provider) {
                report(name, path.field("apiKey").field("forward").field("provider"));
            }
            for name in provider.forwarded.iter().flat_map(forwarded::headers) {
                report(name, path.field("forwarded"));
            }
        }
    }

    /// Two providers that write principals into one header make one of two callers of the same name, unless it is told who proved them.
    fn warn_of_mixed_principals(&self, path: &FieldPath, problems: &mut Problems) {
        let mut writers: HashMap<&HeaderName, Vec<&ProviderConfig>> = HashMap::new();
        for provider in &self.providers {
            for name in provider.principal_headers() {
                writers.entry(name).or_default().push(provider);
            }
        }
        let mut mixed: Vec<(&HeaderName, Vec<&ProviderConfig>)> = writers
            .into_iter()
            .filter(|(_, providers)| {
                providers.len() > 1 && providers.iter().any(|provider| !provider.tells_itself())
            })
            .collect();
        sort_by(&mut mixed, |(left, _), (right, _)| left.as_str().cmp(right.as_str()));
        for (name, providers) in mixed {
            let names = quoted_list(providers.iter().map(|provider| provider.name.as_str()));
            problems.warn(
                path,
                format!("{names} forward their principals in `{name}`: behind it nobody can tell one's `alice` from the other's; add `forward.provider`, the same header for all"),
            );
        }
    }

    fn reasons(&self, compiler: &mut Compiler) -> Reasons {
        let mut reason = |outcome, text: &str| compiler.reason(SECTION, outcome, text);
        let denied = Failure::ALL.map(|failure| reason(Outcome::Denied, failure.reason()));
        let in_shadow = self.shadow || self.rules.iter().any(|rule| rule.shadow);
        let shadow: [ReasonId; Failure::ALL.len()] = if in_shadow {
            Failure::ALL.map(|failure| reason(Outcome::Shadow, failure.reason()))
        } else {
            denied
        };
        Reasons {
            not_required: reason(Outcome::Allowed, "ok.not_required"),
            anonymous: reason(Outcome::Allowed, "ok.anonymous"),
            denied,
            shadow,
        }
    }
}

impl ProviderConfig {
    /// The headers that get the principal.
    fn principal_headers(&self) -> Vec<&HeaderName> {
        let jwt = self.jwt.iter().flat_map(|jwt| {
            let principal = jwt.principal.as_ref().map_or("sub", |claim| claim.as_str());
            jwt.forward
                .headers
                .iter()
                .filter(move |(_, claim)| claim.as_str() == principal)
                .map(|(name, _)| name)
        });
        let keys = self.api_key.iter().flat_map(|keys| {
            keys.forward.headers.iter().filter(|(_, fact)| **fact == KeyFact::Id).map(|(name, _)| name)
        });
        jwt.chain(keys).collect()
    }

    /// Whether it forwards its own name.
    fn tells_itself(&self) -> bool {
        let jwt = self.jwt.as_ref().and_then(|jwt| jwt.forward.provider.as_ref());
        jwt.or(self.api_key.as_ref().and_then(|keys| keys.forward.provider.as_ref())).is_some()
    }

    fn compile(&self, position: usize, path: &FieldPath, compiler: &mut Compiler) -> Option<Provider> {
        let kind = match (&self.jwt, &self.api_key, &self.forwarded) {
            (Some(jwt), None, None) => {
                let path = path.field("jwt");
                let jwt = jwt.compile(&self.name, &path, compiler.variables, &mut compiler.problems);
                if let Some(Keys::Fetched { set, .. }) = jwt.as_ref().map(|jwt| &jwt.keys) {
                    compiler.resource(set, &path.field("keys"));
                }
                jwt.map(ProviderKind::Jwt)
            }
            (None, Some(keys), None) => {
                keys.compile(&self.name, position, &path.field("apiKey"), compiler).map(ProviderKind::ApiKey)
            }
            (None, None, Some(forwarded)) => forwarded
                .compile(&path.field("forwarded"), &mut compiler.problems)
                .map(ProviderKind::Forwarded),
            _ => {
                compiler
                    .problems
                    .report(path, "exactly one of `jwt`, `apiKey` and `forwarded` must be given");
                None
            }
        }?;
        let accepted = compiler.reason(SECTION, Outcome::Allowed, &format!("ok.provider:{}", self.name));
        Some(Provider { name: self.name.clone(), kind, accepted })
    }
}

/// Where a credential is read; `default` where the document does not say.
fn sources(
    from: Option<&OneOrMany<SourceConfig>>,
    default: CredentialSource,
    path: &FieldPath,
    problems: &mut Problems,
) -> Vec<CredentialSource> {
    let Some(from) = from else { return vec![default] };
    let mut sources = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (position, source) in from.iter().enumerate() {
        let path = path.index(position);
        match CredentialSource::new(source) {
            Ok(source) => {
                // Two schemes of one header are two places, but a header has room for one.
                if let Some(first) = seen.insert(source.to_string(), position) {
                    problems.report(&path, format!("{source} stands here and at {first}"));
                }
                sources.push(source);
            }
            Err(message) => problems.report(&path, message),
        }
    }
    sources
}

/// Whether a credential is taken out of the request. One in the query stays: a promise to remove it would be false.
fn removes(
    passing: Option<Passing>,
    sources: &[CredentialSource],
    path: &FieldPath,
    problems: &mut Problems,
) -> bool {
    let in_query = sources.iter().any(|source| matches!(source, CredentialSource::Query(_)));
    if in_query && passing == Some(Passing::Remove) {
        problems.report(
            path,
            "what is read from the query can't be taken out of it and goes on to the service: write `keep`, or read it elsewhere",
        );
    }
    passing != Some(Passing::Keep)
}

#[cfg(test)]
mod tests;
