use crate::jwk::JwkSet;
use serde::Deserialize;
use sluice_core::document::scalar::{Duration, Size};

/// Where an issuer's keys come from.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum KeySource {
    /// A JWK set (RFC 7517) in the document itself.
    Inline(JwkSet),
    /// A JWK set that is fetched, once for all workers of a proxy.
    Remote(KeyFetch),
    /// A JWK set that is fetched from where the issuer's metadata says it is (OpenID Connect Discovery 1.0, RFC 8414).
    Discovery(KeyFetch),
}

/// A JWK set that is fetched: where, and how often.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct KeyFetch {
    /// The cluster, by the name that it has in the proxy.
    pub cluster: String,
    /// The `:authority` of the request. Default: for `remote` the cluster's name, for `discovery` that of `issuer`.
    pub authority: Option<String>,
    /// The path with its query: for `remote` of the key set, which must be given; for `discovery` of the metadata, by default the path of
    /// `issuer` with `/.well-known/openid-configuration` behind it.
    pub path: Option<String>,
    /// Only for `discovery`: where the key set is, if at another place than the metadata.
    pub keys: Option<KeysLocation>,
    /// How long keys are fresh where the answer does not say (`Cache-Control: max-age`); default `5m`. They are fetched again when eight or nine
    /// tenths of that are over.
    pub refresh: Option<Duration>,
    /// The shortest time that the answer may say; default `1m`, or `refresh` where that is shorter.
    pub shortest_refresh: Option<Duration>,
    /// The longest time that the answer may say; default `1h`, or `refresh` where that is longer.
    pub longest_refresh: Option<Duration>,
    /// How long after the last fetch keys are fetched again because a token names a key that is not among them; default `10s`.
    pub early_refresh: Option<Duration>,
    /// How long keys are used beyond their time while they can't be fetched; default `24h`.
    pub stale: Option<Duration>,
    /// How long one fetch may take; default `5s`.
    pub timeout: Option<Duration>,
    /// How long a request waits for keys that are not there yet; default `2s`. Then it is answered with 503.
    pub within: Option<Duration>,
    /// The largest key set that is taken; default `256KiB`.
    pub max_size: Option<Size>,
}

/// Where a key set is that the metadata leads to.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct KeysLocation {
    /// The cluster; by default that of the metadata.
    pub cluster: Option<String>,
    /// The host, with a port if it has one, that `jwks_uri` must name; by default that of `issuer`.
    pub authority: Option<String>,
}
