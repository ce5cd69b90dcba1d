//! What the providers of `authn` can say of a caller: declared before any section is compiled, so that every section can tell which
//! references can ever hold.

use crate::document::name::Name;
use crate::document::order::sorted_set;
use std::collections::BTreeMap;

/// What one provider can say of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The provider's name.
    pub provider: Name,
    /// Who the caller may be ([`crate::caller::identity::Identity::principal`]).
    pub principals: Possible,
    /// Whether it tells which provider of another proxy proved the identity ([`crate::caller::identity::Identity::origin`]).
    pub origins: bool,
    /// Whom it may count for ([`crate::caller::identity::Identity::consumer`]).
    pub consumers: Possible,
    /// Which roles it may have.
    pub roles: Possible,
    /// Which scopes it may have.
    pub scopes: Possible,
    /// The attributes that it may have, and their values.
    pub attributes: BTreeMap<String, Possible>,
    /// Whether it brings claims.
    pub claims: bool,
}

/// The values that a fact may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Possible {
    /// An issuer or another proxy chooses them.
    Any,
    /// The document lists them, here in order and each once; an empty list: the fact is never there.
    These(Vec<String>),
}

// === impl Offer ===

impl Offer {
    /// A provider whose issuer says what it likes: claims, roles, scopes, consumers, but no attributes, which only a document gives.
    pub fn of_an_issuer(provider: Name) -> Self {
        Self {
            provider,
            principals: Possible::Any,
            origins: false,
            consumers: Possible::Any,
            roles: Possible::Any,
            scopes: Possible::Any,
            attributes: BTreeMap::new(),
            claims: true,
        }
    }
}

// === impl Possible ===

impl Possible {
    /// The fact is never there.
    pub const fn never() -> Self {
        Self::These(Vec::new())
    }

    /// Whether the fact may have this value.
    pub fn holds(&self, value: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(values) => values.binary_search_by(|known| known.as_str().cmp(value)).is_ok(),
        }
    }

    /// Whether the fact is never there.
    pub fn is_never(&self) -> bool {
        matches!(self, Self::These(values) if values.is_empty())
    }

    /// The values that the document lists.
    pub fn listed(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::Any => None,
            Self::These(values) => Some(values),
        }
        .into_iter()
        .flatten()
        .map(String::as_str)
    }
}

impl<T: Into<String>> FromIterator<T> for Possible {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self::These(sorted_set(values.into_iter().map(Into::into)))
    }
}
