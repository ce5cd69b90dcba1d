//! The headers that tell services who is calling, of all providers together.

use super::forwarded;
use crate::config::{AuthnSection, ProviderConfig};
use crate::scalar::KeyFact;
use sluice_core::document::order::sort_by;
use sluice_core::document::problem::{FieldPath, Problems, quoted_list};
use sluice_core::http::header::HeaderName;
use std::collections::HashMap;

impl AuthnSection {
    /// All headers that carry identity, whoever writes them.
    pub fn identity_headers(&self) -> impl Iterator<Item = HeaderName> {
        self.providers.iter().flat_map(|provider| provider.identity_headers().cloned())
    }

    /// Those that trusted peers write (`forwarded`).
    pub fn handed_on_headers(&self) -> impl Iterator<Item = HeaderName> {
        self.providers
            .iter()
            .flat_map(|provider| provider.forwarded.iter().flat_map(forwarded::headers))
            .cloned()
    }

    /// A header that a credential is read from would be removed as an identity header, or the other way round.
    pub(super) fn check_credentials_are_not_forwarded(&self, path: &FieldPath, problems: &mut Problems) {
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
            for name in provider.jwt.iter().flat_map(|jwt| &jwt.forward.payload) {
                report(name, path.field("jwt").field("forward").field("payload"));
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
    pub(super) fn warn_of_mixed_principals(&self, path: &FieldPath, problems: &mut Problems) {
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
}

impl ProviderConfig {
    /// The headers that say who is calling: those that it writes, and those that it believes.
    pub(super) fn identity_headers(&self) -> impl Iterator<Item = &HeaderName> {
        let jwt = self.jwt.iter().map(|jwt| &jwt.forward);
        let jwt =
            jwt.flat_map(|forward| forward.headers.keys().chain(&forward.provider).chain(&forward.payload));
        let api_key = self.api_key.iter().map(|keys| &keys.forward);
        let api_key = api_key.flat_map(|forward| forward.headers.keys().chain(&forward.provider));
        jwt.chain(api_key).chain(self.forwarded.iter().flat_map(forwarded::headers))
    }

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
}
