//! References to facts of a request: `identity.consumer`, `header.x-tenant`. Keys of limits, sticky splits and labels name them.

use crate::caller::identity::ClaimPath;
use crate::decision::exchange::Exchange;
use crate::document::problem::{nearest, quoted_list};
use crate::http::cookie;
use crate::http::header::HeaderName;
use crate::rule::selector::SelectorId;
use serde::de::{self, Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;

/// A reference to a fact of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// `client.address`: the client's address as `client.address` of the document says.
    ClientAddress,
    /// `peer.identity`: the SPIFFE identity of the connection's peer.
    PeerIdentity,
    /// `identity.principal`. Keys of limits and sticky splits take it with who proved it: see [`Attribute::resolve_key`].
    Principal,
    /// `identity.consumer`; where there is none, there is no value.
    Consumer,
    /// `identity.provider`.
    Provider,
    /// `identity.claims.<path>`.
    Claim(ClaimPath),
    /// `identity.attributes.<name>`.
    IdentityAttribute(String),
    /// `header.<name>`: all headers of this name, joined with commas.
    Header(HeaderName),
    /// `cookie.<name>`: the first of this name.
    Cookie(String),
    /// `query.<name>`: the first of this name, decoded.
    Query(String),
    /// `path.<name>`: where `{name}` stands in the rule's `match`.
    PathCapture(String),
    /// `api.version`: the name of the version in `api.versions` that is called.
    ApiVersion,
    /// `request.host`, without port.
    Host,
    /// `request.method`.
    Method,
    /// `request.path`, in normal form.
    Path,
}

const WHOLE: [(&str, Attribute); 9] = [
    ("client.address", Attribute::ClientAddress),
    ("peer.identity", Attribute::PeerIdentity),
    ("identity.principal", Attribute::Principal),
    ("identity.consumer", Attribute::Consumer),
    ("identity.provider", Attribute::Provider),
    ("api.version", Attribute::ApiVersion),
    ("request.host", Attribute::Host),
    ("request.method", Attribute::Method),
    ("request.path", Attribute::Path),
];
const PREFIXES: [&str; 6] = [
    "identity.claims.<path>",
    "identity.attributes.<name>",
    "header.<name>",
    "cookie.<name>",
    "query.<name>",
    "path.<name>",
];

impl Attribute {
    /// Reads a reference.
    ///
    /// # Errors
    /// A sentence with all references that there are, and the nearest.
    pub fn new(text: &str) -> Result<Self, String> {
        if let Some((_, attribute)) = WHOLE.iter().find(|(name, _)| *name == text) {
            return Ok(attribute.clone());
        }
        let rest = |prefix: &str| text.strip_prefix(prefix).filter(|rest| !rest.is_empty());
        if let Some(path) = rest("identity.claims.") {
            return ClaimPath::new(path).map(Self::Claim);
        }
        if let Some(name) = rest("header.") {
            return HeaderName::new(name).map(Self::Header);
        }
        let named = [
            ("identity.attributes.", Self::IdentityAttribute as fn(String) -> Self),
            ("cookie.", Self::Cookie),
            ("query.", Self::Query),
            ("path.", Self::PathCapture),
        ];
        if let Some((name, make)) = named.iter().find_map(|(prefix, make)| Some((rest(prefix)?, make))) {
            return Ok(make(name.to_owned()));
        }
        let known = || WHOLE.iter().map(|(name, _)| *name).chain(PREFIXES);
        let near = nearest(text, known()).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        Err(format!("`{text}` is not a reference; there are {}{near}", quoted_list(known())))
    }

    /// Its value for a request, where the rule's `match` is `selector`. `None`: the request has no such fact.
    pub fn resolve<'e>(&'e self, exchange: &'e Exchange<'_>, selector: SelectorId) -> Option<Cow<'e, [u8]>> {
        let text = |text: &'e str| Cow::Borrowed(text.as_bytes());
        let request = exchange.request();
        let identity = || exchange.identity();
        match self {
            Self::ClientAddress => Some(Cow::Owned(exchange.client_address()?.to_string().into_bytes())),
            Self::PeerIdentity => exchange.peer_identity().map(text),
            Self::Principal => identity().map(|identity| text(&identity.principal)),
            Self::Consumer => identity()?.consumer.as_deref().map(text),
            Self::Provider => identity()?.provider.as_ref().map(|name| text(name.as_str())),
            Self::Claim(path) => Some(Cow::Owned(path.text(&identity()?.claims)?.into_bytes())),
            Self::IdentityAttribute(name) => identity()?.attributes.get(name).map(|value| text(value)),
            Self::Header(name) => request.headers().joined(name.as_str()),
            Self::Cookie(name) => cookie::values(request.headers(), name).next().map(Cow::Borrowed),
            Self::Query(name) => request.query_values(name).next(),
            Self::PathCapture(name) => exchange.path_capture(selector, name).map(text),
            Self::ApiVersion => exchange.api_version().map(text),
            Self::Host => Some(text(request.host())),
            Self::Method => Some(text(request.method())),
            Self::Path => Some(text(request.path())),
        }
    }

    /// Its value where requests are told apart by it, in keys of limits and sticky splits: as [`Attribute::resolve`], but a principal
    /// stands with who proved it.
    pub fn resolve_key<'e>(
        &'e self,
        exchange: &'e Exchange<'_>,
        selector: SelectorId,
    ) -> Option<Cow<'e, [u8]>> {
        if *self != Self::Principal {
            return self.resolve(exchange, selector);
        }
        Some(match exchange.identity()?.qualified_principal() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        })
    }

    /// Whether it is known only after authentication.
    pub fn asks_identity(&self) -> bool {
        matches!(
            self,
            Self::Principal | Self::Consumer | Self::Provider | Self::Claim(_) | Self::IdentityAttribute(_)
        )
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(path) => write!(out, "identity.claims.{path}"),
            Self::IdentityAttribute(name) => write!(out, "identity.attributes.{name}"),
            Self::Header(name) => write!(out, "header.{name}"),
            Self::Cookie(name) => write!(out, "cookie.{name}"),
            Self::Query(name) => write!(out, "query.{name}"),
            Self::PathCapture(name) => write!(out, "path.{name}"),
            whole => {
                out.write_str(WHOLE.iter().find(|(_, known)| known == whole).map_or("", |(name, _)| name))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Attribute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Attribute {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Attribute".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A reference to a fact of the request: `identity.consumer`, `identity.claims.<path>`, `header.<name>`, `client.address` …",
            "pattern": "^(api|client|peer|identity|header|cookie|query|path|request)\\."
        })
    }
}
