//! The section `authn` as the document writes it.

use crate::algorithm::Algorithm;
use crate::scalar::{KeyFact, SecretSource, Sha256Digest, Timestamp};
use serde::Deserialize;
use sluice_core::caller::identity::ClaimPath;
use sluice_core::caller::offer::{Offer, Possible};
use sluice_core::document::entries::Entries;
use sluice_core::document::list::{OneOrMany, OrderedMap};
use sluice_core::document::name::Name;
use sluice_core::document::order::sorted_set;
use sluice_core::document::problem::FieldPath;
use sluice_core::document::scalar::{Duration, Rate, Size};
use sluice_core::document::variable::VariableName;
use sluice_core::http::header::HeaderName;
use sluice_core::rule::selector::{Match, ValueMatch};
use sluice_core::rule::when::PeerPattern;
use std::collections::BTreeMap;

mod keys;
mod protected_resource;
mod require;

pub use keys::{KeyFetch, KeySource, KeysLocation};
pub use protected_resource::ProtectedResourceConfig;
pub use require::{Proof, Require};

/// `authn`: who is calling. The first rule that matches a request says which providers may prove it; a request that no rule matches
/// is refused. Without any rule one of all providers is required of every request.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct AuthnSection {
    /// What proves an identity.
    pub providers: Vec<ProviderConfig>,
    /// Which requests need which proof, in order: the first that matches decides.
    pub rules: Vec<RuleConfig>,
    /// The `realm` of challenges (RFC 9110 §11.5); `sluice` by default.
    pub realm: Option<String>,
    /// The resources behind this proxy: what clients are told of how to get tokens for them (RFC 9728), in challenges and in a document that
    /// is served without a credential.
    pub protected_resources: Vec<ProtectedResourceConfig>,
    /// Tokens that have been verified, remembered so that repeats cost no crypto.
    pub cache: CacheConfig,
    /// What a worker spends at most on verifying signatures, in units of 50 µs: RS256 and ES256 take one, slower algorithms and longer keys
    /// more. Bad tokens of one source (IPv4 address, IPv6 prefix of 64 bits) get a tenth of it, all sources of forged tokens together a
    /// half. What is over it is answered with 503. Default `1000/s`.
    pub budget: Option<Rate>,
    /// Decides, counts and logs, but refuses nobody: what would be refused goes on without an identity.
    pub shadow: bool,
}

/// What proves an identity: exactly one of `jwt`, `apiKey` and `forwarded`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ProviderConfig {
    /// The provider's name; rules, reasons and `when.providers` use it.
    pub name: Name,
    /// JSON Web Tokens of one issuer.
    pub jwt: Option<JwtConfig>,
    /// Keys that the document lists by their hashes.
    pub api_key: Option<ApiKeyConfig>,
    /// Headers of a proxy that has authenticated the caller already.
    pub forwarded: Option<ForwardedConfig>,
}

/// Which requests need which proof.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RuleConfig {
    /// The rule's name.
    pub name: Name,
    /// Which requests; without it every request.
    #[serde(rename = "match")]
    pub matches: Option<Match>,
    /// Which proof. Without it one of all providers.
    pub require: Option<Require>,
    /// Decides, counts and logs, and changes nothing: the rules behind it are asked as if it were not there.
    #[serde(default)]
    pub shadow: bool,
}

/// Tokens of one issuer.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct JwtConfig {
    /// The `iss` that a token must have, exactly.
    pub issuer: String,
    /// The `aud` of which a token must have one. A token for another service is not for this one: only `anyAudience: true` waives it.
    pub audiences: Option<OneOrMany<String>>,
    /// Tokens for any audience, and without one, are accepted.
    #[serde(default)]
    pub any_audience: bool,
    /// The algorithms that are accepted, where a key fits them. Default: `RS256`, `ES256` and `EdDSA` as the keys are, and `HS256`
    /// for keys of the type `oct`. Slower ones only where they are named.
    pub algorithms: Option<OneOrMany<Algorithm>>,
    /// The issuer's keys.
    pub keys: KeySource,
    /// Where tokens are read; default `{ header: authorization, scheme: Bearer }` (RFC 6750 §2.1).
    pub from: Option<OneOrMany<SourceConfig>>,
    /// How far the issuer's clock may differ from ours; default `60s`.
    pub clock_skew: Option<Duration>,
    /// Whether a token without `exp` is refused; default `true`.
    pub require_expiry: Option<bool>,
    /// How far off `exp` may be at most, `clockSkew` besides: tokens that live longer are refused. Default: no bound.
    pub max_lifetime: Option<Duration>,
    /// What the `sub` of a token must be: values, or conditions such as `{ prefix: "spiffe://example.com/" }`. Default: anything.
    pub subjects: Option<ValueMatch>,
    /// Claims that a token must have, by path, each with what it must be. Of a list, one item must meet all conditions of the claim.
    #[serde(default)]
    pub claims: OrderedMap<ClaimPath, ValueMatch>,
    /// The `typ` (RFC 7515 §4.1.9) that a token must have; `application/` may be left out. Default: none, `JWT` or `at+jwt`.
    pub types: Option<OneOrMany<String>>,
    /// The longest token that is looked at; default `8KiB`.
    pub max_size: Option<Size>,
    /// The claim that says who it is; default `sub`. A token without it is refused.
    pub principal: Option<ClaimPath>,
    /// The claim that says whom to count and bill it to, such as `azp` or `client_id`. Default: none.
    pub consumer: Option<ClaimPath>,
    /// The claim with the roles; default `roles` (RFC 9068 §2.2.3.1). A list has a role in each item, a string is one role.
    pub roles: Option<ClaimPath>,
    /// What separates roles where the claim is a string with several, such as `" "` or `","`. Default: nothing, a string is one role.
    pub roles_separator: Option<String>,
    /// The claim with the scopes; default `scope` (RFC 8693 §4.2), or `scp` where that is absent. A list has a scope in each item, a
    /// string is split at blanks.
    pub scopes: Option<ClaimPath>,
    /// What the service gets to know.
    #[serde(default)]
    pub forward: JwtForward,
}

/// What the service gets to know of a token.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct JwtForward {
    /// Headers, each with the claim that it gets. The claim of the scopes is written with blanks between them, other lists with commas. A
    /// token of which the reader would not get back exactly that is refused. What a client sends under these names is always removed.
    pub headers: OrderedMap<HeaderName, ClaimPath>,
    /// A header with the name of this provider. Principals of several providers are told apart by it: see `forwarded.provider`.
    pub provider: Option<HeaderName>,
    /// A header with all claims: the token's payload as the issuer signed it, Base64url without padding.
    pub payload: Option<HeaderName>,
    /// Whether the token itself goes on to the service; removed by default. One in the query always does.
    pub token: Option<Passing>,
}

/// Whether a credential goes on to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Passing {
    /// It goes on.
    Keep,
    /// It is taken out.
    Remove,
}

/// Where a credential is read: exactly one of `header`, `query` and `cookie`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct SourceConfig {
    /// A header.
    pub header: Option<HeaderName>,
    /// The authentication scheme before it (RFC 9110 §11.4), such as `Bearer`; its case does not matter. Only with `header`.
    pub scheme: Option<String>,
    /// A parameter of the query. It ends up in logs and histories: prefer anything else (RFC 6750 §2.3).
    pub query: Option<String>,
    /// A cookie.
    pub cookie: Option<String>,
}

/// Keys that the document lists by their hashes.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ApiKeyConfig {
    /// Where keys are read; default `{ header: x-api-key }`.
    pub from: Option<OneOrMany<SourceConfig>>,
    /// The keys.
    pub keys: Entries<ApiKeyEntry>,
    /// What the service gets to know.
    #[serde(default)]
    pub forward: ApiKeyForward,
}

/// An API key.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ApiKeyEntry {
    /// The key's name, which logs may show; the principal.
    pub id: Name,
    /// The SHA-256 of the key in hexadecimal: `printf %s "$KEY" | sha256sum`. Keys must be random: a guessable one can be found from
    /// its hash.
    pub sha256: Sha256Digest,
    /// Whose key it is: what limits and bills count by. Several keys may be of one consumer.
    pub consumer: Option<String>,
    /// What else is to be known of the consumer, such as `plan: gold`.
    #[serde(default)]
    pub attributes: OrderedMap<String, String>,
    /// Roles, for `authz` and `when`.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Scopes, for `when`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// From when on it is refused (RFC 3339): `2027-01-01T00:00:00Z`.
    pub expires: Option<Timestamp>,
    /// Before when it is refused (RFC 3339).
    pub not_before: Option<Timestamp>,
}

/// What the service gets to know of an API key.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ApiKeyForward {
    /// Headers, each with what it gets: `id`, `consumer`, `roles`, `scopes` or `attributes.<name>`. What a client sends under these
    /// names is always removed.
    pub headers: OrderedMap<HeaderName, KeyFact>,
    /// A header with the name of this provider. Principals of several providers are told apart by it: see `forwarded.provider`.
    pub provider: Option<HeaderName>,
    /// Whether the key itself goes on to the service; removed by default. One in the query always does.
    pub key: Option<Passing>,
}

/// Headers of a proxy that has authenticated the caller already, such as the edge's in front of a sidecar.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ForwardedConfig {
    /// Whose word is believed: SPIFFE identities of the connection's peer, proven by mutual TLS. From anybody else the headers are
    /// removed.
    pub peers: OneOrMany<PeerPattern>,
    /// The header with the principal.
    pub principal: HeaderName,
    /// The header with the name of the provider there that proved the principal (`forward.provider` there). With it, two providers'
    /// `alice` stay two; an identity without it is refused.
    pub provider: Option<HeaderName>,
    /// The header with the consumer.
    pub consumer: Option<HeaderName>,
    /// The header with the roles, separated by commas.
    pub roles: Option<HeaderName>,
    /// The header with the scopes, separated by blanks.
    pub scopes: Option<HeaderName>,
    /// Attributes by name, each with its header.
    #[serde(default)]
    pub attributes: OrderedMap<String, HeaderName>,
}

/// Tokens that have been verified.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct CacheConfig {
    /// How many a worker remembers; default 1000, 0 for none. The least recently used goes first.
    pub size: Option<u32>,
}

impl AuthnSection {
    /// What the providers can say of a caller, for references to them in all sections.
    pub fn offers(&self) -> Vec<Offer> {
        self.providers.iter().map(|provider| provider.offer(true)).collect()
    }

    /// The same as far as rules are compiled by it: which principals there are. The rest is only looked through for problems.
    pub(crate) fn offers_of_principals(&self) -> Vec<Offer> {
        self.providers.iter().map(|provider| provider.offer(false)).collect()
    }

    /// The fields, below `path`, that ask for signatures which no host verifies, and what they ask for: they need a module that verifies
    /// by itself.
    pub fn beyond_hosts(&self, path: &FieldPath) -> Vec<(FieldPath, Algorithm)> {
        let path = path.field("providers");
        let of_provider = |(position, provider): (usize, &ProviderConfig)| {
            let jwt = provider.jwt.as_ref()?;
            Some(jwt.beyond_hosts(&path.index(position).field("jwt")))
        };
        self.providers.iter().enumerate().filter_map(of_provider).flatten().collect()
    }

    /// The environment variables that the section refers to, each once.
    pub fn variables(&self) -> Vec<&VariableName> {
        let sets = self.providers.iter().filter_map(|provider| provider.jwt.as_ref()).map(|jwt| &jwt.keys);
        let inline = sets.filter_map(|source| match source {
            KeySource::Inline(set) => Some(&set.keys),
            KeySource::Remote(_) | KeySource::Discovery(_) => None,
        });
        sorted_set(inline.flatten().filter_map(|key| match &key.k {
            Some(SecretSource::Environment(name)) => Some(name),
            Some(SecretSource::Text(_)) | None => None,
        }))
    }
}

// === impl JwtConfig ===

impl JwtConfig {
    /// The fields, below `path`, that ask for signatures which no host verifies, and what they ask for: they need a module that verifies
    /// by itself. What an issuer publishes later is not known.
    fn beyond_hosts(&self, path: &FieldPath) -> Vec<(FieldPath, Algorithm)> {
        let mut beyond = Vec::new();
        for (position, algorithm) in self.algorithms.iter().flatten().enumerate() {
            if !algorithm.is_known_to_hosts() {
                beyond.push((path.field("algorithms").index(position), *algorithm));
            }
        }
        if let KeySource::Inline(set) = &self.keys
            && self.algorithms.is_none()
        {
            let keys = path.field("keys").field("inline").field("keys");
            for (position, _) in set.keys.iter().enumerate().filter(|(_, key)| key.is_for_ed25519()) {
                beyond.push((keys.index(position), Algorithm::EdDsa));
            }
        }
        beyond
    }
}

// === impl ProviderConfig ===

impl ProviderConfig {
    fn offer(&self, whole: bool) -> Offer {
        let provider = self.name.clone();
        if let Some(keys) = &self.api_key {
            return keys.offer(provider, whole);
        }
        if let Some(forwarded) = &self.forwarded {
            return forwarded.offer(provider);
        }
        let consumers = match self.jwt.as_ref().and_then(|jwt| jwt.consumer.as_ref()) {
            Some(_) => Possible::Any,
            None => Possible::never(),
        };
        Offer { consumers, ..Offer::of_an_issuer(provider) }
    }
}

impl ApiKeyConfig {
    fn offer(&self, provider: Name, whole: bool) -> Offer {
        let principals = self.keys.iter().map(|key| key.id.to_string()).collect();
        if !whole {
            return Offer { principals, ..Offer::of_an_issuer(provider) };
        }
        let keys = || self.keys.iter();
        Offer {
            provider,
            principals,
            origins: false,
            consumers: keys().filter_map(|key| key.consumer.clone()).collect(),
            roles: keys().flat_map(|key| key.roles.iter().cloned()).collect(),
            scopes: keys().flat_map(|key| key.scopes.iter().cloned()).collect(),
            attributes: self.attributes(),
            claims: false,
        }
    }
}

impl ApiKeyConfig {
    /// The attributes of all keys, with the values that they have.
    fn attributes(&self) -> BTreeMap<String, Possible> {
        let stated = sorted_set(self.keys.iter().flat_map(|key| key.attributes.iter()));
        let mut attributes = BTreeMap::new();
        for of_one_name in stated.chunk_by(|(left, _), (right, _)| left == right) {
            let values = of_one_name.iter().map(|(_, value)| (*value).clone()).collect();
            if let Some((name, _)) = of_one_name.first() {
                attributes.insert((*name).clone(), Possible::These(values));
            }
        }
        attributes
    }
}

impl ForwardedConfig {
    fn offer(&self, provider: Name) -> Offer {
        let from = |header: &Option<HeaderName>| match header {
            Some(_) => Possible::Any,
            None => Possible::never(),
        };
        let mut attributes = BTreeMap::new();
        for name in self.attributes.keys() {
            attributes.insert(name.clone(), Possible::Any);
        }
        Offer {
            provider,
            principals: Possible::Any,
            origins: self.provider.is_some(),
            consumers: from(&self.consumer),
            roles: from(&self.roles),
            scopes: from(&self.scopes),
            attributes,
            claims: false,
        }
    }
}
