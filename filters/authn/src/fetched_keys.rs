//! Keys that an issuer publishes: a JWK set, and the metadata that leads to it.
//!
//! What comes from the network is judged more strictly than what the document holds, and can't be mended by whoever reads an error: what of
//! a set is no good is left out, and only a set of which nothing is left is refused.

use crate::algorithm::{Algorithm, AlgorithmSet};
use crate::jwk::{Imported, Jwk};
use crate::key_set::KeySet;
use crate::strict_json;
use serde::Deserialize;
use serde_json::Value;
use sluice_core::document::variable::Variable;
use sluice_core::resource::Parsed;

/// The most keys that a set may have. A token without `kid` is tried with all that fit.
const MOST_KEYS: usize = 100;
/// The most remarks about one set.
const MOST_REMARKS: usize = 4;
/// The longest name of a key that is repeated in a remark.
const LONGEST_NAME: usize = 40;

/// Reads a JWK set (RFC 7517 §5). `accepted` are the algorithms that keys may be for.
///
/// # Errors
/// Where it is none, or no key of it can be used.
pub(crate) fn read_set(bytes: &[u8], accepted: AlgorithmSet) -> Result<Parsed<KeySet>, String> {
    let set = strict_json::parse(bytes).ok_or("not JSON, or a member stands twice in an object")?;
    let Some(Value::Array(entries)) = set.get("keys") else {
        return Err("not a JWK set: there is no list `keys`".to_owned());
    };
    if entries.len() > MOST_KEYS {
        return Err(format!("{} keys; at most {MOST_KEYS} are taken", entries.len()));
    }
    let (mut keys, mut remarks) = (Vec::new(), Vec::new());
    for (position, entry) in entries.iter().enumerate() {
        match read_key(entry, accepted) {
            Ok(key) => keys.push(key),
            Err(problem) => {
                let name = entry.get("kid").and_then(Value::as_str).unwrap_or_default();
                let name: String = name.chars().take(LONGEST_NAME).collect();
                remarks.push(format!("keys[{position}] (kid {name:?}) is left out: {problem}"));
            }
        }
    }
    let left_out = remarks.len();
    remarks.truncate(MOST_REMARKS);
    if let Some(more) = left_out.checked_sub(MOST_REMARKS).filter(|more| *more > 0) {
        remarks.push(format!("{more} more keys are left out"));
    }
    if keys.is_empty() {
        let why = remarks.first().map_or("it is empty", String::as_str);
        return Err(format!("no key can be used: {why}"));
    }
    Ok(Parsed { value: KeySet::new(keys), remarks })
}

fn read_key(entry: &Value, accepted: AlgorithmSet) -> Result<crate::key::VerificationKey, String> {
    let key = Jwk::deserialize(entry).map_err(|error| format!("not a JWK: {error}"))?;
    if key.kty == "oct" {
        // Whoever can read the set could sign, and make a public key of ours into a shared secret.
        return Err("a shared secret; it is no secret where everybody can fetch it".to_owned());
    }
    // No variable of the proxy's is anybody else's business.
    match key.import(accepted, |_| Variable::Absent) {
        Ok(Imported::Key(key)) => Ok(key),
        Ok(Imported::Unusable(problem)) | Err(problem) => {
            Err(format!("`{}`: {}", problem.member, problem.message))
        }
    }
}

/// An `https` or `http` URL without query and fragment: an issuer (RFC 8414 §2), or where its keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IssuerUrl {
    pub(crate) scheme: String,
    /// In lower case, without the scheme's own port.
    pub(crate) authority: String,
    /// Empty, or with a `/` before it.
    pub(crate) path: String,
}

impl IssuerUrl {
    /// `None` where it is none.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let port = match scheme {
            "https" => ":443",
            "http" => ":80",
            _ => return None,
        };
        let start = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(start)?;
        let host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        let visible = |byte: u8| (0x21..0x7f).contains(&byte) && !b"\"<>\\^`{|}#".contains(&byte);
        if authority.is_empty() || !authority.bytes().all(host) || !path.bytes().all(visible) {
            return None;
        }
        let authority = authority.to_ascii_lowercase();
        let authority = authority.strip_suffix(port).unwrap_or(&authority).to_owned();
        Some(Self { scheme: scheme.to_owned(), authority, path: path.to_owned() })
    }

    /// Where the issuer's metadata is (OpenID Connect Discovery 1.0 §4).
    pub(crate) fn metadata_path(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.path.trim_end_matches('/'))
    }
}

/// Reads an issuer's metadata and gives the path of its keys. They must be at `authority`, and the issuer must be who it should be
/// (RFC 8414 §3.3): the metadata of another would make its keys those of this one.
///
/// # Errors
/// Where it is no metadata of this issuer, or its keys are elsewhere.
pub(crate) fn read_metadata(
    bytes: &[u8],
    issuer: &str,
    scheme: &str,
    authority: &str,
) -> Result<String, String> {
    let metadata = strict_json::parse(bytes).ok_or("not JSON, or a member stands twice in an object")?;
    let text = |name: &str| {
        let found = metadata.get(name).and_then(Value::as_str);
        found.ok_or_else(|| format!("no metadata of an issuer: there is no text `{name}`"))
    };
    let found = text("issuer")?;
    if found != issuer {
        let found: String = found.chars().take(100).collect();
        return Err(format!("the metadata of another issuer, {found:?}"));
    }
    let uri = text("jwks_uri")?;
    let shown: String = uri.chars().take(100).collect();
    let url = IssuerUrl::read(uri).ok_or_else(|| format!("`jwks_uri` is no URL of a key set: {shown:?}"))?;
    if url.scheme != scheme || url.authority != authority {
        return Err(format!(
            "`jwks_uri` is {shown:?}, and not at {scheme}://{authority}: name its host in `keys.authority` and its cluster in `keys.cluster`"
        ));
    }
    Ok(if url.path.is_empty() { "/".to_owned() } else { url.path })
}

/// The algorithms of `wanted` that no key of a set verifies.
pub(crate) fn unverified(wanted: &[Algorithm], keys: &KeySet) -> Option<String> {
    let missing: Vec<String> = wanted
        .iter()
        .filter(|algorithm| !keys.algorithms().has(**algorithm))
        .map(|algorithm| format!("`{algorithm}`"))
        .collect();
    (!missing.is_empty()).then(|| format!("no key verifies {}", missing.join(", ")))
}

#[cfg(test)]
mod tests;
