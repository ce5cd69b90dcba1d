use serde::de::{self, Deserialize, Deserializer};
use sluice_core::document::decode::SHORT_OR_OBJECT;
use sluice_core::document::list::OneOrMany;
use sluice_core::document::name::Name;
use std::fmt;

/// Which proof a rule asks for.
#[derive(Clone, Debug, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Require {
    /// None: credentials are not even looked at.
    None,
    /// The proof of one of these.
    Any(OneOrMany<Proof>),
    /// The proof of all of these together. The first says who is calling.
    All(OneOrMany<Proof>),
    /// The proof of one of these. None is fine; but who shows a credential must show a good one.
    Optional(OneOrMany<Proof>),
    /// The proof of one of these. None is fine, and so is a bad one: it is taken out, and the request goes on without an identity.
    AllowMissingOrFailed(OneOrMany<Proof>),
}

/// A proof: a provider's name, or an object with exactly one of `provider`, `any`, `all` and `optional`.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    /// That of this provider.
    pub provider: Option<Name>,
    /// With `provider`: the `aud` of which the token must name one.
    pub audiences: Option<OneOrMany<String>>,
    /// That of one of these.
    pub any: Option<OneOrMany<Proof>>,
    /// That of all of these.
    pub all: Option<OneOrMany<Proof>>,
    /// That of one of these, unless nothing is shown for it.
    pub optional: Option<OneOrMany<Proof>>,
}

// === impl Require ===

impl Require {
    /// What stands in it, and the name that it stands under.
    pub fn proofs(&self) -> Option<(&'static str, &OneOrMany<Proof>)> {
        match self {
            Self::None => None,
            Self::Any(proofs) => Some(("any", proofs)),
            Self::All(proofs) => Some(("all", proofs)),
            Self::Optional(proofs) => Some(("optional", proofs)),
            Self::AllowMissingOrFailed(proofs) => Some(("allowMissingOrFailed", proofs)),
        }
    }

    /// The providers that may say who is calling.
    pub fn identifying(&self) -> Vec<&Name> {
        let mut names = Vec::new();
        match self {
            Self::None => {}
            Self::All(proofs) => add_first(proofs, &mut names),
            Self::Any(proofs) | Self::Optional(proofs) | Self::AllowMissingOrFailed(proofs) => {
                add_each(proofs, &mut names);
            }
        }
        names
    }
}

fn add_first<'c>(proofs: &'c OneOrMany<Proof>, names: &mut Vec<&'c Name>) {
    proofs.iter().take(1).for_each(|proof| proof.add_identifying(names));
}

fn add_each<'c>(proofs: &'c OneOrMany<Proof>, names: &mut Vec<&'c Name>) {
    proofs.iter().for_each(|proof| proof.add_identifying(names));
}

// === impl Proof ===

impl Proof {
    fn add_identifying<'c>(&'c self, names: &mut Vec<&'c Name>) {
        names.extend(&self.provider);
        self.any.iter().chain(&self.optional).for_each(|proofs| add_each(proofs, names));
        self.all.iter().for_each(|proofs| add_first(proofs, names));
    }
}

/// A proof as an object: exactly one of `provider`, `any`, `all` and `optional`.
#[derive(serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct LongProof {
    /// That of this provider.
    provider: Option<Name>,
    /// With `provider`: the `aud` of which the token must name one.
    audiences: Option<OneOrMany<String>>,
    /// That of one of these.
    any: Option<OneOrMany<Proof>>,
    /// That of all of these together. The first says who is calling.
    all: Option<OneOrMany<Proof>>,
    /// That of one of these, unless nothing is shown for it. Only within `all`, and not first.
    optional: Option<OneOrMany<Proof>>,
}

impl<'de> Deserialize<'de> for Proof {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ProofVisitor;
        impl<'de> de::Visitor<'de> for ProofVisitor {
            type Value = Proof;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a provider's name, or one of `{ provider, audiences }`, `{ any }`, `{ all }` and `{ optional }`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Proof, E> {
                Ok(Proof { provider: Some(Name::new(text).map_err(E::custom)?), ..Proof::default() })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Proof, A::Error> {
                self.visit_some(de::value::MapAccessDeserializer::new(map))
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, any: D) -> Result<Proof, D::Error> {
                any.deserialize_any(self)
            }
            fn visit_some<D: Deserializer<'de>>(self, object: D) -> Result<Proof, D::Error> {
                let LongProof { provider, audiences, any, all, optional } = LongProof::deserialize(object)?;
                Ok(Proof { provider, audiences, any, all, optional })
            }
        }
        deserializer.deserialize_newtype_struct(SHORT_OR_OBJECT, ProofVisitor)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Proof {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Proof".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let name = generator.subschema_for::<Name>();
        let long = generator.subschema_for::<LongProof>();
        schemars::json_schema!({ "description": "A provider's name, or a proof as an object.", "anyOf": [name, long] })
    }
}
