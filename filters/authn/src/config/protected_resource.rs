use serde::Deserialize;
use sluice_core::document::list::OneOrMany;

/// A resource behind this proxy and how clients get tokens for it: OAuth 2.0 Protected Resource Metadata (RFC 9728).
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ProtectedResourceConfig {
    /// Its identifier: the URL under which clients call it, such as `https://api.example.com` or `https://api.example.com/mcp`. It stands
    /// for all paths below it.
    pub url: String,
    /// The issuers at which clients get tokens for it. Default: the `issuer`s of the providers of tokens.
    pub authorization_servers: Option<OneOrMany<String>>,
    /// The scopes that a client may ask for.
    pub scopes: Option<OneOrMany<String>>,
    /// Its name, for people.
    pub name: Option<String>,
    /// The URL of a page for developers.
    pub documentation: Option<String>,
}
