use super::sources::{removes, sources};
use crate::algorithm::AlgorithmSet;
use crate::claims::ClaimRules;
use crate::config::{JwtConfig, JwtForward};
use crate::credential::CredentialSource;
use crate::forward;
use crate::forwarded_fact::ForwardedFact;
use crate::jwk::{Imported, JwkSet};
use crate::jws;
use crate::jwt::{ClaimMapping, JwtProvider};
use crate::key::VerificationKey;
use crate::key_set::KeySet;
use sluice_core::caller::identity::ClaimPath;
use sluice_core::document::list::OneOrMany;
use sluice_core::document::name::Name;
use sluice_core::document::problem::{FieldPath, Problems};
use sluice_core::document::variable::Variables;
use sluice_core::http::header::HeaderName;

/// Where the document does not say, in nanoseconds.
const CLOCK_SKEW: u64 = 60_000_000_000;
/// More than this, in nanoseconds, would no longer be about clocks.
const MOST_CLOCK_SKEW: u64 = 3_600_000_000_000;
/// Where the document does not say, in bytes.
const MAX_SIZE: u64 = 8 << 10;
/// Envoy takes no more than 60 KiB of headers unless it is told to.
const LARGEST_MAX_SIZE: u64 = 64 << 10;
/// To try more keys than this for one token is worth a warning.
const MANY_TRIES: usize = 4;

impl JwtConfig {
    pub(super) fn compile(
        &self,
        provider: &Name,
        path: &FieldPath,
        variables: Variables,
        problems: &mut Problems,
    ) -> Option<JwtProvider> {
        if self.issuer.trim().is_empty() {
            problems.report(&path.field("issuer"), "empty: write the `iss` of the issuer's tokens");
        }
        match (&self.audiences, self.any_audience) {
            (None, false) => problems.report(
                path,
                "no `audiences`: a token that was made for another service would be accepted. List them, or write `anyAudience: true`",
            ),
            (Some(_), true) => {
                problems.report(&path.field("anyAudience"), "contradicts `audiences`: leave out one of them");
            }
            _ => {}
        }
        let empty = |list: &Option<OneOrMany<String>>| {
            let all = list.iter().flatten().enumerate();
            all.filter(|(_, text)| text.trim().is_empty()).map(|(position, _)| position).collect::<Vec<_>>()
        };
        for position in empty(&self.audiences) {
            let message = "empty: write the `aud` of tokens for this service";
            problems.report(&path.field("audiences").index(position), message);
        }
        for position in empty(&self.types) {
            problems.report(&path.field("types").index(position), "empty: write a `typ`, such as `at+jwt`");
        }
        let max_size = self.max_size.map_or(MAX_SIZE, |size| size.bytes());
        if max_size == 0 || max_size > LARGEST_MAX_SIZE {
            problems.report(&path.field("maxSize"), "from 1B to 64KiB");
        }
        if self.clock_skew.is_some_and(|skew| skew.as_nanos() > MOST_CLOCK_SKEW) {
            problems.report(&path.field("clockSkew"), "longer than `1h`: expired tokens would be accepted");
        }
        if self.max_lifetime.is_some() && self.require_expiry == Some(false) {
            problems.report(
                &path.field("requireExpiry"),
                "contradicts `maxLifetime`: a token without `exp` lives for ever",
            );
        }
        let authorization = HeaderName::from_static("authorization");
        let bearer = CredentialSource::Header { name: authorization, scheme: Some("Bearer".to_owned()) };
        let sources = sources(self.from.as_ref(), bearer, &path.field("from"), problems);
        let removes_token =
            removes(self.forward.token, &sources, &path.field("forward").field("token"), problems);
        let keys = self.compile_keys(provider, path, variables, problems);
        let claim = |given: &Option<ClaimPath>, default: &str| match given {
            Some(claim) => Some(claim.clone()),
            None => ClaimPath::new(default).ok(),
        };
        if self.roles_separator.as_deref() == Some("") {
            problems
                .report(&path.field("rolesSeparator"), "empty: leave it out, or write what separates roles");
        }
        let mapping = ClaimMapping {
            principal: claim(&self.principal, "sub")?,
            consumer: self.consumer.clone(),
            roles: claim(&self.roles, "roles")?,
            roles_separator: self.roles_separator.clone(),
            scopes: match &self.scopes {
                Some(claim) => vec![claim.clone()],
                None => ["scope", "scp"].into_iter().map(ClaimPath::new).collect::<Result<_, _>>().ok()?,
            },
        };
        let headers = self.forward.compile(&mapping, &path.field("forward"), problems);
        Some(JwtProvider {
            issuer: self.issuer.clone(),
            keys,
            sources,
            rules: ClaimRules {
                audiences: self.audiences.as_ref().map(|list| list.as_slice().to_vec()),
                clock_skew: self.clock_skew.map_or(CLOCK_SKEW, |skew| skew.as_nanos()),
                require_expiry: self.require_expiry.unwrap_or(true),
                max_lifetime: self.max_lifetime.map(|longest| longest.as_nanos()),
                subjects: self.subjects.clone(),
                claims: self.claims.iter().map(|(path, wanted)| (path.clone(), wanted.clone())).collect(),
            },
            types: self.types.iter().flatten().map(|name| jws::media_type(name)).collect(),
            max_size: usize::try_from(max_size).unwrap_or(usize::MAX),
            mapping,
            headers,
            payload_header: self.forward.payload.clone(),
            removes_token,
        })
    }

    pub(super) fn key_set(
        &self,
        set: &JwkSet,
        accepted: AlgorithmSet,
        path: &FieldPath,
        variables: Variables,
        problems: &mut Problems,
    ) -> KeySet {
        let path_of_keys = path.field("keys").field("inline").field("keys");
        let mut keys: Vec<VerificationKey> = Vec::new();
        let mut unusable = Vec::new();
        for (position, jwk) in set.keys.iter().enumerate() {
            let path = path_of_keys.index(position);
            match jwk.import(accepted, variables) {
                Ok(Imported::Key(key)) => {
                    let same = |known: &VerificationKey| {
                        known.id.is_some()
                            && known.id == key.id
                            && !known.algorithms.and(key.algorithms).is_empty()
                    };
                    if keys.iter().any(same) {
                        problems.report(
                            &path.field("kid"),
                            "an earlier key has this `kid` and verifies the same algorithm: which one is meant?",
                        );
                    }
                    keys.push(key);
                }
                Ok(Imported::Unusable(problem)) => {
                    unusable.push((path.field(problem.member), problem.message))
                }
                Err(problem) => problems.report(&path.field(problem.member), problem.message),
            }
        }
        for (path, message) in unusable {
            if keys.is_empty() {
                problems.report(&path, message);
            } else {
                // RFC 7517 §5: what a set holds besides is no reason to refuse it.
                problems.warn(&path, format!("the key is left out: {message}"));
            }
        }
        let keys = KeySet::new(keys);
        if problems.is_empty() && keys.algorithms().is_empty() {
            problems.report(&path_of_keys, format!("no key verifies {accepted}: no token could be accepted"));
        }
        let (tries, cost) = keys.most_tries();
        if tries > MANY_TRIES {
            let message = format!(
                "a token without `kid` is tried with up to {tries} of these keys, which takes up to {cost} units of `authn.budget`; let the issuer write the `kid`"
            );
            problems.warn(&path_of_keys, message);
        }
        for (position, algorithm) in self.algorithms.iter().flatten().enumerate() {
            if problems.is_empty() && !keys.algorithms().has(*algorithm) {
                let path = path.field("algorithms").index(position);
                problems.report(&path, format!("no key verifies `{algorithm}`"));
            }
        }
        keys
    }
}

impl JwtForward {
    /// The headers, each with what it tells.
    fn compile(
        &self,
        mapping: &ClaimMapping,
        path: &FieldPath,
        problems: &mut Problems,
    ) -> Vec<(HeaderName, ForwardedFact)> {
        let mut headers = Vec::new();
        for (name, claim) in self.headers.iter() {
            let path = path.field("headers").field(name.as_str());
            if let Err(message) = forward::check_name(name) {
                problems.report(&path, message);
            }
            match ForwardedFact::of(claim, mapping) {
                Ok(fact) => headers.push((name.clone(), fact)),
                Err(message) => problems.report(&path, message),
            }
        }
        if let Some(name) = &self.provider {
            forward::check_provider_name(name, self.headers.keys(), &path.field("provider"), problems);
            headers.push((name.clone(), ForwardedFact::Provider));
        }
        if let Some(name) = &self.payload {
            let path = path.field("payload");
            if let Err(message) = forward::check_name(name) {
                problems.report(&path, message);
            }
            if headers.iter().any(|(other, _)| other == name) {
                problems.report(&path, format!("the header `{name}` is to say two things"));
            }
        }
        headers
    }
}
