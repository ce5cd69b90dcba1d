use super::path_pattern::PathPattern;
use super::value::ValueMatch;
use crate::caller::network::Cidr;
use crate::document::list::{OneOrMany, OrderedMap};
use crate::document::name::Name;
use crate::http::header::HeaderName;
use crate::http::host::HostPattern;
use serde::Deserialize;

/// `match`: which requests a rule is about. Values of a key are alternatives; different keys must all hold; no key: every request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Match {
    /// Named matches of `definitions.matches`, any of which must hold.
    #[serde(rename = "use")]
    pub named: Option<OneOrMany<Name>>,
    /// Hosts without port: `api.example.com`, `*.example.com`.
    pub hosts: Option<OneOrMany<HostPattern>>,
    /// Paths without query: `/orders`, `/orders/{id}`, `/orders/*`, `/orders/**`.
    pub paths: Option<OneOrMany<PathPattern>>,
    /// Methods, in the case in which they are sent: `GET`.
    pub methods: Option<OneOrMany<String>>,
    /// Headers by name; of several of one name, one must be as asked.
    pub headers: OrderedMap<HeaderName, ValueMatch>,
    /// Query parameters by name, decoded; of several of one name, one must be as asked.
    pub query: OrderedMap<String, ValueMatch>,
    /// Cookies by name; of several of one name, one must be as asked.
    pub cookies: OrderedMap<String, ValueMatch>,
    /// The client's address (see `client`).
    pub client: Option<ClientMatch>,
    /// What must not hold; takes the same keys.
    pub not: Option<Box<Match>>,
}

/// `match.client`: the client's address is in one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ClientMatch {
    /// Ranges and addresses.
    pub cidrs: Option<OneOrMany<Cidr>>,
    /// Named lists of `definitions.ipLists`.
    pub ip_lists: Option<OneOrMany<Name>>,
}
