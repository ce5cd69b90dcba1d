//! `when`: what a rule asks of the caller. `match` is about the request, `when` about who sends it.

mod inclusion;
mod principal;
mod references;

use self::principal::PrincipalRef;
use crate::caller::identity::{ClaimPath, Identity, scalar_text};
use crate::decision::compile::Compiler;
use crate::decision::exchange::Exchange;
use crate::document::decode::SHORT_OR_OBJECT;
use crate::document::list::{OneOrMany, OrderedMap};
use crate::document::name::Name;
use crate::document::problem::FieldPath;
use crate::rule::selector::{SelectorId, ValueMatch};
use serde::de::{self, Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

/// `when`: what a rule asks of the caller. Values of a key are alternatives; different keys must all hold; no key: anybody, proven or
/// not.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct When {
    /// Whether anybody is proven to call at all.
    pub authenticated: Option<bool>,
    /// The provider (of `authn`) that proved the identity.
    pub providers: Option<OneOrMany<Name>>,
    /// Principals, each with the provider that proved it: `staff/alice` for a token's `sub`, `partners/acme-2026` for the id of an API key;
    /// behind a provider that tells origins, `edge/staff/alice`. The provider may be left out where only one can give this principal.
    pub principals: Option<OneOrMany<String>>,
    /// Consumers.
    pub consumers: Option<OneOrMany<String>>,
    /// Roles of which the caller has one; `{ all: […] }` for all of them.
    pub roles: Option<AnyOrAll>,
    /// OAuth scopes of which the caller has one; `{ all: […] }` for all of them.
    pub scopes: Option<AnyOrAll>,
    /// Permissions (of `authz.roles`) of which the caller's roles give one; `{ all: […] }` for all of them.
    pub permissions: Option<AnyOrAll>,
    /// Claims of the token by path. Of a list, one item must meet all conditions of the claim.
    pub claims: OrderedMap<ClaimPath, ValueMatch>,
    /// Attributes that the document gives the consumer (`attributes` of an API key).
    pub attributes: OrderedMap<String, ValueMatch>,
    /// SPIFFE identities of the connection's peer, proven by mutual TLS: `spiffe://example.com/ns/shop/sa/orders`, or with a final
    /// `/**` all below.
    pub peers: Option<OneOrMany<PeerPattern>>,
    /// What must not hold; takes the same keys.
    pub not: Option<Box<When>>,
}

/// A list of which one must be there, or `{ all: […] }`, of which all must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnyOrAll {
    values: OneOrMany<String>,
    all: bool,
}

impl AnyOrAll {
    /// The values that suffice: all of them, or the first of those of which one must be there.
    pub fn sufficient(&self) -> &[String] {
        let values = self.values.as_slice();
        if self.all { values } else { values.get(..1).unwrap_or_default() }
    }

    fn is_met_by(&self, held: &[String]) -> bool {
        if self.all {
            self.values.iter().all(|value| held.contains(value))
        } else {
            self.values.iter().any(|value| held.contains(value))
        }
    }
}

impl<'de> Deserialize<'de> for AnyOrAll {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct All {
            all: OneOrMany<String>,
        }
        struct ListVisitor;
        impl<'de> de::Visitor<'de> for ListVisitor {
            type Value = AnyOrAll;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a value, a list of values (one of which must be there), or `{ all: [...] }`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<AnyOrAll, E> {
                Ok(AnyOrAll { values: text.to_owned().into(), all: false })
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<AnyOrAll, A::Error> {
                let values = OneOrMany::deserialize(de::value::SeqAccessDeserializer::new(list))?;
                Ok(AnyOrAll { values, all: false })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<AnyOrAll, A::Error> {
                self.visit_some(de::value::MapAccessDeserializer::new(map))
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, any: D) -> Result<AnyOrAll, D::Error> {
                any.deserialize_any(self)
            }
            fn visit_some<D: Deserializer<'de>>(self, object: D) -> Result<AnyOrAll, D::Error> {
                let All { all } = All::deserialize(object)?;
                Ok(AnyOrAll { values: all, all: true })
            }
        }
        deserializer.deserialize_newtype_struct(SHORT_OR_OBJECT, ListVisitor)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for AnyOrAll {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AnyOrAll".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let list = serde_json::json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 });
        schemars::json_schema!({
            "description": "A value, a list of which one must be there, or `{ all: […] }`.",
            "anyOf": [
                { "type": "string" },
                list,
                { "type": "object", "properties": { "all": list }, "required": ["all"], "additionalProperties": false }
            ]
        })
    }
}

/// A SPIFFE identity, or with a final `/**` every identity below a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PeerPattern {
    /// This identity.
    Exact(String),
    /// Every identity that begins so; ends with a slash.
    Below(String),
}

impl PeerPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// A sentence that says what a pattern may be.
    pub fn new(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "{text:?} is not a SPIFFE identity: {why}; write `spiffe://example.com/ns/shop/sa/orders`, or `spiffe://example.com/ns/shop/**` for all below"
            )
        };
        let rest = text.strip_prefix("spiffe://").ok_or_else(|| wrong("it must begin with `spiffe://`"))?;
        let (domain, path) =
            rest.split_once('/').ok_or_else(|| wrong("it has no path behind the trust domain"))?;
        check_trust_domain(domain).map_err(wrong)?;
        if text.len() > LONGEST_SPIFFE_ID {
            return Err(wrong("it is longer than 2048 bytes"));
        }
        let check = |path: &str| path.split('/').try_for_each(check_segment).map_err(wrong);
        if path == "**" {
            return Ok(Self::Below(format!("spiffe://{domain}/")));
        }
        if let Some(above) = path.strip_suffix("/**") {
            check(above)?;
            return Ok(Self::Below(format!("spiffe://{domain}/{above}/")));
        }
        check(path)?;
        Ok(Self::Exact(text.to_owned()))
    }

    /// Whether it matches a peer's identity.
    pub fn matches(&self, identity: &str) -> bool {
        match self {
            Self::Exact(exact) => identity == exact,
            Self::Below(prefix) => identity.len() > prefix.len() && identity.starts_with(prefix.as_str()),
        }
    }
}

impl<'de> Deserialize<'de> for PeerPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for PeerPattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PeerPattern".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A SPIFFE identity, or all below one with a final `/**`.",
            "pattern": "^spiffe://"
        })
    }
}

/// SPIFFE-ID §2.3.
const LONGEST_SPIFFE_ID: usize = 2048;

/// SPIFFE-ID §2.1.
fn check_trust_domain(domain: &str) -> Result<(), &'static str> {
    if domain.is_empty() {
        return Err("it has no trust domain");
    }
    if domain.contains('*') {
        return Err("a trust domain can't hold `*`: name each trust domain");
    }
    if domain.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("a trust domain is in lower case");
    }
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_');
    if domain.len() > 255 || !domain.bytes().all(allowed) {
        return Err(
            "a trust domain has at most 255 lower-case letters, digits, `.`, `-` and `_`, and no port",
        );
    }
    Ok(())
}

/// SPIFFE-ID §2.2.
fn check_segment(segment: &str) -> Result<(), &'static str> {
    match segment {
        "" => Err("a path has no empty segment and no slash at its end"),
        "." | ".." => Err("a path has no segment `.` or `..`"),
        _ if segment.contains('*') => Err("`*` stands only as a last segment `**`"),
        _ if segment.contains('%') => Err("a path is never percent-encoded"),
        _ if segment
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')) =>
        {
            Ok(())
        }
        _ => Err("a path has letters, digits, `.`, `-` and `_` only, without query and fragment"),
    }
}

/// The key of `when` that is asked last.
const SCOPES: &str = "scopes";

/// A compiled [`When`]; in a box, since most rules have none.
#[derive(Clone, Debug, Default)]
pub struct CompiledWhen(Option<Box<Compiled>>);

#[derive(Clone, Debug)]
struct Compiled {
    when: When,
    /// For each permission asked for: the roles that give it.
    permissions: Vec<BTreeSet<String>>,
    /// Of those asked for, the principals that there can be.
    principals: Vec<PrincipalRef>,
    not: CompiledWhen,
}

impl When {
    /// Compiles a rule's `when`, which stands at `path`; none holds for anybody. What no provider can say of a caller whose request
    /// matches `selector`, the rule's compiled `match`, is reported.
    pub fn compile(
        when: Option<&When>,
        selector: SelectorId,
        path: &FieldPath,
        compiler: &mut Compiler,
    ) -> CompiledWhen {
        let compiled = Self::compile_within(when, None, path, compiler);
        Self::check_offered(when, selector, path, compiler);
        compiled
    }

    /// An empty text proves nothing: a token may hold one, and nobody means it. (Providers, principals and permissions are looked up.)
    fn report_empty(&self, path: &FieldPath, compiler: &mut Compiler) {
        let consumers = self.consumers.as_ref();
        let values = |list: &'_ Option<AnyOrAll>| list.as_ref().map(|list| list.values.clone());
        let lists = [
            ("consumers", consumers.cloned()),
            ("roles", values(&self.roles)),
            ("scopes", values(&self.scopes)),
        ];
        for (field, list) in lists {
            for (position, _) in list.iter().flatten().enumerate().filter(|(_, text)| text.is_empty()) {
                let message = "empty: it proves nothing; leave it out, or write whom the rule is about";
                compiler.problems.report(&path.field(field).index(position), message);
            }
        }
    }

    /// As [`When::compile`], where the caller is known to be proven by one of `providers`.
    fn compile_within(
        when: Option<&When>,
        providers: Option<&OneOrMany<Name>>,
        path: &FieldPath,
        compiler: &mut Compiler,
    ) -> CompiledWhen {
        let Some(when) = when else { return CompiledWhen::default() };
        let providers = when.providers.as_ref().or(providers);
        let mut principals = Vec::new();
        for (position, entry) in when.principals.iter().flatten().enumerate() {
            let path = path.field("principals").index(position);
            principals.extend(PrincipalRef::compile(entry, providers, &path, compiler));
        }
        for (position, name) in when.providers.iter().flatten().enumerate() {
            let known = compiler.offers.iter().flatten().map(|offer| offer.provider.as_str());
            if compiler.offers.is_some() && !known.clone().any(|known| known == name.as_str()) {
                let path = path.field("providers").index(position);
                compiler.problems.unknown_name(&path, "a provider", name.as_str(), known);
            }
        }
        if !compiler.proven {
            when.report_empty(path, compiler);
        }
        let mut permissions = Vec::new();
        for (position, permission) in when.permissions.iter().flat_map(|list| list.values.iter()).enumerate()
        {
            match compiler.roles.holders(permission) {
                Some(holders) => permissions.push(holders.clone()),
                None => {
                    let path = path.field("permissions").index(position);
                    compiler.problems.unknown_name(
                        &path,
                        "a permission of any role",
                        permission,
                        compiler.roles.permissions(),
                    );
                }
            }
        }
        if when.authenticated == Some(false) && when.asks_identity_besides_authenticated() {
            compiler
                .problems
                .report(path, "asks for an identity and for none (`authenticated: false`): this never holds");
        }
        let not = when.not.as_ref().map_or_else(CompiledWhen::default, |not| {
            let path = path.field("not");
            if **not == When::default() {
                compiler.problems.report(&path, "an empty `not` excludes everybody: this never holds");
            }
            if not.peers.is_some() {
                compiler.warn_of_several_peer_identities(&path.field("peers"));
            }
            Self::compile_within(Some(not), providers, &path, compiler)
        });
        if !compiler.proven && when.excludes_all() {
            let message = "`not` excludes everybody that the other keys are about: this never holds";
            compiler.problems.report(path, message);
        }
        CompiledWhen(Some(Box::new(Compiled { when: when.clone(), permissions, principals, not })))
    }

    /// Whether it needs to know who is calling by authentication (not only by mutual TLS).
    pub fn asks_identity(&self) -> bool {
        self.authenticated.is_some()
            || self.asks_identity_besides_authenticated()
            || self.not.as_ref().is_some_and(|not| not.asks_identity())
    }

    fn asks_identity_besides_authenticated(&self) -> bool {
        self.providers.is_some()
            || self.principals.is_some()
            || self.consumers.is_some()
            || self.roles.is_some()
            || self.scopes.is_some()
            || self.permissions.is_some()
            || !self.claims.is_empty()
            || !self.attributes.is_empty()
    }
}

impl CompiledWhen {
    /// Whether the caller is as asked.
    pub fn holds(&self, exchange: &Exchange<'_>) -> bool {
        self.unmet(exchange).is_none()
    }

    /// The scopes that are asked for, where the caller is as asked but for them.
    pub fn missing_scopes(&self, exchange: &Exchange<'_>) -> Option<&AnyOrAll> {
        (exchange.identity().is_some() && self.unmet(exchange) == Some(SCOPES))
            .then_some(self.0.as_ref()?.when.scopes.as_ref()?)
    }

    /// The first key of `when` that the caller does not meet: `scopes` only where all others are met.
    pub fn unmet(&self, exchange: &Exchange<'_>) -> Option<&'static str> {
        self.0.as_ref()?.unmet(exchange)
    }
}

impl Compiled {
    fn unmet(&self, exchange: &Exchange<'_>) -> Option<&'static str> {
        let when = &self.when;
        let identity = exchange.identity().map(AsRef::as_ref);
        // Whoever is nobody is none of those that a key asks for.
        let lacks = |asked: bool, met: &dyn Fn(&Identity) -> bool| asked && !identity.is_some_and(met);
        let one_of = |list: &Option<OneOrMany<String>>, value: Option<&str>| {
            list.iter().flatten().any(|wanted| value == Some(wanted))
        };
        let proven_by = |identity: &Identity| {
            let provider = identity.provider.as_ref();
            when.providers.iter().flatten().any(|wanted| provider == Some(wanted))
        };
        let permitted = |identity: &Identity| {
            let held = |holders: &BTreeSet<String>| identity.roles.iter().any(|role| holders.contains(role));
            if when.permissions.as_ref().is_some_and(|wanted| wanted.all) {
                self.permissions.iter().all(held)
            } else {
                self.permissions.iter().any(held)
            }
        };
        let meets = |list: &Option<AnyOrAll>, held: &[String]| {
            list.as_ref().is_some_and(|wanted| wanted.is_met_by(held))
        };
        let claims_match = |identity: &Identity| {
            when.claims.iter().all(|(path, wanted)| claim_matches(path, wanted, &identity.claims))
        };
        let attributes_match = |identity: &Identity| {
            let value = |name: &str| identity.attributes.get(name).map(String::as_bytes);
            when.attributes.iter().all(|(name, wanted)| wanted.matches(value(name)))
        };
        let is_peer = |patterns: &OneOrMany<PeerPattern>| {
            let peer = exchange.peer_identity();
            peer.is_some_and(|peer| patterns.iter().any(|pattern| pattern.matches(peer)))
        };
        if when.authenticated.is_some_and(|wanted| wanted != identity.is_some()) {
            Some("authenticated")
        } else if lacks(when.providers.is_some(), &proven_by) {
            Some("providers")
        } else if lacks(when.principals.is_some(), &|identity| {
            self.principals.iter().any(|wanted| wanted.is(identity))
        }) {
            Some("principals")
        } else if lacks(when.consumers.is_some(), &|identity| {
            one_of(&when.consumers, identity.consumer.as_deref())
        }) {
            Some("consumers")
        } else if lacks(when.roles.is_some(), &|identity| meets(&when.roles, &identity.roles)) {
            Some("roles")
        } else if lacks(when.permissions.is_some(), &permitted) {
            Some("permissions")
        } else if lacks(!when.claims.is_empty(), &claims_match) {
            Some("claims")
        } else if lacks(!when.attributes.is_empty(), &attributes_match) {
            Some("attributes")
        } else if !when.peers.as_ref().is_none_or(is_peer) {
            Some("peers")
        } else if self.not.0.is_some() && self.not.holds(exchange) {
            Some("not")
        } else if lacks(when.scopes.is_some(), &|identity| meets(&when.scopes, &identity.scopes)) {
            Some(SCOPES)
        } else {
            None
        }
    }
}

/// Whether a claim is as asked. Of a list, one item must meet all conditions. A value without a text (an object, a number that is not
/// exact) is there, and meets no other condition; `null` is not there.
pub fn claim_matches(path: &ClaimPath, wanted: &ValueMatch, claims: &serde_json::Value) -> bool {
    let text_matches =
        |value| scalar_text(value).is_some_and(|text: Cow<'_, str>| wanted.matches(Some(text.as_bytes())));
    match path.find(claims) {
        None | Some(serde_json::Value::Null) => wanted.matches(None),
        Some(_) if wanted.asks_only_for_presence() => true,
        Some(serde_json::Value::Array(items)) => items.iter().any(text_matches),
        Some(value) => text_matches(value),
    }
}

#[cfg(test)]
mod tests;
