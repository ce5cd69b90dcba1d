use super::sources::{removes, sources};
use crate::api_key::{ApiKey, ApiKeyProvider};
use crate::config::{ApiKeyConfig, ApiKeyEntry};
use crate::credential::CredentialSource;
use crate::forward;
use crate::forwarded_fact::{self, Separator};
use crate::provider::Accepted;
use crate::scalar::{KeyFact, Sha256Digest};
use sluice_core::caller::identity::Identity;
use sluice_core::decision::compile::Compiler;
use sluice_core::decision::environment::UnixTime;
use sluice_core::document::name::Name;
use sluice_core::document::order::sorted_set;
use sluice_core::document::problem::{FieldPath, Problems};
use sluice_core::http::header::{HeaderName, HeaderValue};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

impl ApiKeyConfig {
    pub(super) async fn compile(
        &self,
        provider: &Name,
        position: usize,
        path: &FieldPath,
        compiler: &mut Compiler,
    ) -> Option<ApiKeyProvider> {
        let pace = compiler.pace.clone();
        let problems = &mut compiler.problems;
        if self.keys.is_empty() {
            problems.report(&path.field("keys"), "no key: nobody could be accepted");
        }
        if !compiler.proven {
            self.check_keys(&path.field("keys"), problems);
        }
        if let Some(now) = compiler.now {
            self.check_expiry(now, &path.field("keys"), problems);
        }
        let headers = path.field("forward").field("headers");
        for (name, fact) in self.forward.headers.iter() {
            let path = headers.field(name.as_str());
            if let Err(message) = forward::check_name(name) {
                problems.report(&path, message);
            }
            if let KeyFact::Attribute(attribute) = fact {
                let known = || self.keys.iter().flat_map(|key| key.attributes.keys()).map(String::as_str);
                if !known().any(|known| known == attribute) {
                    problems.unknown_name(&path, "an attribute of any key", attribute, sorted_set(known()));
                }
            }
        }
        if let Some(name) = &self.forward.provider {
            let path = path.field("forward").field("provider");
            forward::check_provider_name(name, self.forward.headers.keys(), &path, problems);
        }
        let default = CredentialSource::Header { name: HeaderName::from_static("x-api-key"), scheme: None };
        let sources = sources(self.from.as_ref(), default, &path.field("from"), problems);
        let removes_key = removes(self.forward.key, &sources, &path.field("forward").field("key"), problems);
        let mut keys = Vec::with_capacity(self.keys.len());
        for (index, key) in self.keys.iter().enumerate() {
            keys.push(ApiKey {
                digest: key.sha256,
                accepted: Rc::new(Accepted {
                    provider: position,
                    identity: Rc::new(key.identity(provider)),
                    headers: self.forwarded(provider, key, &path.field("keys").index(index), problems),
                }),
                not_before: key.not_before.map(|time| time.get()),
                expires: key.expires.map(|time| time.get()),
            });
            pace.step().await;
        }
        Some(ApiKeyProvider::new(sources, removes_key, keys, compiler.seed))
    }

    /// Warns of keys that have expired.
    fn check_expiry(&self, now: UnixTime, path: &FieldPath, problems: &mut Problems) {
        let expired = |key: &ApiKeyEntry| key.expires.is_some_and(|end| end.get() <= now);
        if !self.keys.is_empty() && self.keys.iter().all(expired) {
            problems.warn(path, "all keys have expired: nobody is accepted");
            return;
        }
        for (position, key) in self.keys.iter().enumerate().filter(|(_, key)| expired(key)) {
            let path = path.index(position).field("expires");
            problems.warn(&path, format!("the key `{}` has expired: it is refused", key.id));
        }
    }

    fn check_keys(&self, path: &FieldPath, problems: &mut Problems) {
        let (mut ids, mut digests) = (HashMap::new(), HashMap::new());
        let no_keys = [("nothing", ""), ("a line feed", "\n"), ("a line break", "\r\n"), ("a blank", " ")]
            .map(|(what, text)| (what, Sha256Digest::of(text.as_bytes())));
        for (position, key) in self.keys.iter().enumerate() {
            let path = path.index(position);
            if let Some(first) = ids.insert(&key.id, position) {
                problems
                    .report(&path.field("id"), format!("`{}` is also the id of the key at {first}", key.id));
            }
            if let Some(first) = digests.insert(key.sha256, position) {
                problems
                    .report(&path.field("sha256"), format!("the same key stands at {first}: whose is it?"));
            }
            if let Some((what, _)) = no_keys.iter().find(|(_, digest)| *digest == key.sha256) {
                let message = format!(
                    "the SHA-256 of {what}, as a command prints it whose variable is not set: write that of the key, as `printf %s \"$KEY\" | sha256sum` prints it"
                );
                problems.report(&path.field("sha256"), message);
            }
            if key.consumer.as_ref().is_some_and(String::is_empty) {
                problems.report(&path.field("consumer"), "empty: leave it out, or write whose key it is");
            }
            for (field, names) in [("roles", &key.roles), ("scopes", &key.scopes)] {
                for (position, _) in names.iter().enumerate().filter(|(_, name)| name.is_empty()) {
                    problems.report(&path.field(field).index(position), "empty: nobody can be asked for it");
                }
            }
            if let (Some(begin), Some(end)) = (key.not_before, key.expires)
                && begin.get() >= end.get()
            {
                problems.report(&path.field("expires"), "not after `notBefore`: the key is never valid");
            }
        }
    }

    /// The headers that tell the service of a key.
    fn forwarded(
        &self,
        provider: &Name,
        key: &ApiKeyEntry,
        path: &FieldPath,
        problems: &mut Problems,
    ) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        for (name, fact) in self.forward.headers.iter() {
            match key.fact(fact) {
                Ok(value) => headers.extend(value.map(|value| (name.clone(), value))),
                Err(message) => {
                    problems.report(path, format!("its {fact} is to stand in `{name}`, but {message}"))
                }
            }
        }
        if let (Some(name), Ok(value)) =
            (&self.forward.provider, HeaderValue::new(provider.as_str().as_bytes()))
        {
            headers.push((name.clone(), value));
        }
        headers
    }
}

impl ApiKeyEntry {
    fn identity(&self, provider: &Name) -> Identity {
        let mut attributes = BTreeMap::new();
        for (name, value) in self.attributes.iter() {
            attributes.insert(name.clone(), value.clone());
        }
        Identity {
            provider: Some(provider.clone()),
            origin: None,
            principal: self.id.to_string(),
            consumer: self.consumer.clone(),
            roles: self.roles.clone(),
            scopes: self.scopes.clone(),
            claims: Rc::default(),
            attributes,
        }
    }

    /// A header's value for a fact; `None` where there is nothing to tell.
    fn fact(&self, fact: &KeyFact) -> Result<Option<HeaderValue>, String> {
        match fact {
            KeyFact::Id => forwarded_fact::text(self.id.as_str()),
            KeyFact::Consumer => forwarded_fact::text(self.consumer.as_deref().unwrap_or_default()),
            KeyFact::Roles => forwarded_fact::list(&self.roles, Separator::Comma),
            KeyFact::Scopes => forwarded_fact::list(&self.scopes, Separator::Blank),
            KeyFact::Attribute(name) => {
                forwarded_fact::text(self.attributes.get(name).map(String::as_str).unwrap_or_default())
            }
        }
    }
}
