//! From the section to the compiled policy, and all that can be wrong with it.

mod api_key;
mod forwarded;
mod forwarding;
mod jwt;
mod keys;
mod protected_resource;
mod require;
mod rules;
mod sources;

use crate::algorithm::VERIFIES_BY_ITSELF;
use crate::challenge::{Challenges, Scheme};
use crate::config::{AuthnSection, ProviderConfig, Require, RuleConfig};
use crate::credential::CredentialSource;
use crate::failure::Failure;
use crate::forward::IdentityHeaders;
use crate::keys::Keys;
use crate::policy::{Authn, Reasons};
use crate::presented::Tokens;
use crate::provider::{Kind, Provider};
use crate::token_cache::TokenCache;
use crate::verifier::Verifier;
use crate::{PLACE, SECTION};
use sluice_core::decision::compile::{Compiler, PolicySection, Stage};
use sluice_core::decision::place::{Place, Section};
use sluice_core::decision::reason::{Outcome, ReasonId};
use sluice_core::document::entries::LongList;
use sluice_core::document::pace::at_once;
use sluice_core::document::problem::FieldPath;
use sluice_core::document::variable::VariableName;
use sluice_core::http::header::{HeaderName, HeaderValue};
use std::cell::RefCell;

/// How many tokens a worker remembers where `cache.size` is not given.
const CACHE_SIZE: u32 = 1_000;
/// More would be memory that nobody meant to give: a remembered token takes its own length and about a kibibyte besides.
const MOST_CACHED: u32 = 1_000_000;

impl PolicySection for AuthnSection {
    const SECTION: Section = SECTION;
    const PLACES: &'static [Place] = &[PLACE];

    fn variables(&self) -> Vec<&VariableName> {
        Self::variables(self)
    }

    fn declare(&self, path: &FieldPath, compiler: &mut Compiler) {
        compiler.offers = Some(if compiler.proven { self.offers_of_principals() } else { self.offers() });
        for name in self.identity_headers() {
            compiler.selectors.note_written(name, "`authn`");
        }
        compiler.accepted = self.accepted(&path.field("rules"), compiler);
        compiler.challenges = self.offered_challenges();
    }

    fn long_lists(&mut self) -> Vec<&mut dyn LongList> {
        let keys = self.providers.iter_mut().filter_map(|provider| provider.api_key.as_mut());
        keys.map(|api_key| &mut api_key.keys as _).collect()
    }

    fn compile(&self, path: &FieldPath, compiler: &mut Compiler) -> Vec<Box<dyn Stage>> {
        at_once(self.compile_in_slices(path, compiler))
    }

    async fn compile_in_slices(&self, path: &FieldPath, compiler: &mut Compiler) -> Vec<Box<dyn Stage>> {
        let authn = self.compile_policy(path, compiler).await;
        if authn.is_none() && compiler.problems.is_empty() {
            // Whatever the reason: a document without its authentication must not be served.
            compiler.problems.report(path, "cannot be compiled");
        }
        authn.map(|authn| Box::new(authn) as Box<dyn Stage>).into_iter().collect()
    }
}

impl AuthnSection {
    /// The compiled section; `None`, with problems, where that makes no sense.
    async fn compile_policy(&self, path: &FieldPath, compiler: &mut Compiler) -> Option<Authn> {
        let providers_path = path.field("providers");
        if self.providers.is_empty() {
            compiler.problems.report(&providers_path, "no provider: nobody could prove who is calling");
        }
        compiler.check_unique(self.providers.iter().map(|provider| &provider.name), &providers_path);
        let mut providers: Vec<Option<Provider>> = Vec::new();
        for (position, provider) in self.providers.iter().enumerate() {
            providers.push(provider.compile(position, &providers_path.index(position), compiler).await);
        }
        if !VERIFIES_BY_ITSELF {
            for (path, algorithm) in self.beyond_hosts(path) {
                let message = format!(
                    "no host verifies `{algorithm}`, and this edition of the module does not by itself: `sluice.wasm` does"
                );
                compiler.problems.report(&path, message);
            }
        }
        if !compiler.proven {
            self.warn_of_mixed_principals(&path.field("providers"), &mut compiler.problems);
            self.check_credentials_are_not_forwarded(&providers_path, &mut compiler.problems);
        }
        let rules = self.compile_rules(&providers, &path.field("rules"), compiler);
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
        let protected_resources =
            self.compile_protected_resources(&path.field("protectedResources"), compiler);
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
            protected_resources,
            challenges,
            tokens: Tokens {
                cache: RefCell::new(TokenCache::new(cache_size.min(MOST_CACHED), compiler.seed)),
                verifier: Verifier::new(budget, compiler.seed),
                issuers: self.providers.iter().map(|it| Some(it.jwt.as_ref()?.issuer.clone())).collect(),
            },
            shadow: self.shadow,
            waits: providers.iter().any(|provider| provider.kind.waits()),
            providers,
        })
    }

    /// The challenges that a client can answer: by a token, by an API key.
    fn offered_challenges(&self) -> Vec<HeaderValue> {
        // A realm that can't be written is a problem of its own.
        let Ok(challenges) = Challenges::new(self.realm()) else { return Vec::new() };
        // Other sections have one challenge for all requests.
        let metadata_url = match self.protected_resources.as_slice() {
            [only] => protected_resource::metadata_url(&only.url),
            _ => None,
        };
        let metadata_url = metadata_url.as_deref();
        let jwt = self.providers.iter().any(|provider| provider.jwt.is_some());
        let api_key = self.providers.iter().any(|provider| provider.api_key.is_some());
        [(jwt, Scheme::Bearer), (api_key, Scheme::ApiKey)]
            .into_iter()
            .filter(|(offered, _)| *offered)
            .filter_map(|(_, scheme)| challenges.challenge_for(scheme, None, metadata_url))
            .collect()
    }

    fn realm(&self) -> &str {
        self.realm.as_deref().unwrap_or("sluice")
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
        let is_lenient = |rule: &RuleConfig| matches!(rule.require, Some(Require::AllowMissingOrFailed(_)));
        let lenient = self.rules.iter().any(is_lenient);
        let anonymous = reason(Outcome::Allowed, "ok.anonymous");
        Reasons {
            not_required: reason(Outcome::Allowed, "ok.not_required"),
            anonymous,
            failed: if lenient { reason(Outcome::Allowed, "ok.failed") } else { anonymous },
            denied,
            shadow,
        }
    }
}

impl ProviderConfig {
    async fn compile(&self, position: usize, path: &FieldPath, compiler: &mut Compiler) -> Option<Provider> {
        let kind: Box<dyn Kind> = match (&self.jwt, &self.api_key, &self.forwarded) {
            (Some(jwt), None, None) => {
                let path = path.field("jwt");
                let jwt = jwt.compile(&self.name, &path, compiler.variables, &mut compiler.problems)?;
                if let Keys::Fetched { set, .. } = &jwt.keys {
                    compiler.resource(set, &path.field("keys"));
                }
                Box::new(jwt)
            }
            (None, Some(keys), None) => {
                Box::new(keys.compile(&self.name, position, &path.field("apiKey"), compiler).await?)
            }
            (None, None, Some(forwarded)) => {
                Box::new(forwarded.compile(&path.field("forwarded"), &mut compiler.problems)?)
            }
            _ => {
                compiler
                    .problems
                    .report(path, "exactly one of `jwt`, `apiKey` and `forwarded` must be given");
                return None;
            }
        };
        let accepted = compiler.reason(SECTION, Outcome::Allowed, &format!("ok.provider:{}", self.name));
        Some(Provider { name: self.name.clone(), position, accepted, kind })
    }
}

#[cfg(test)]
mod tests;
