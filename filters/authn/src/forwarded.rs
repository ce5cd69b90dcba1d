//! Identities that a trusted proxy has proven already and forwards in headers. A header alone proves nothing: the connection's peer must
//! have proven, by mutual TLS, to be that proxy.

use crate::failure::Failure;
use sluice_core::caller::identity::Identity;
use sluice_core::decision::exchange::Exchange;
use sluice_core::document::name::Name;
use sluice_core::http::header::HeaderName;
use sluice_core::http::header_map::{HeaderMap, Single};
use sluice_core::rule::when::PeerPattern;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A compiled provider of forwarded identities.
#[derive(Debug)]
pub struct ForwardedProvider {
    /// Whose word is believed.
    pub peers: Vec<PeerPattern>,
    /// The header with the principal.
    pub principal: HeaderName,
    /// The header with the provider there that proved it.
    pub provider: Option<HeaderName>,
    /// The header with the consumer.
    pub consumer: Option<HeaderName>,
    /// The header with the roles.
    pub roles: Option<HeaderName>,
    /// The header with the scopes.
    pub scopes: Option<HeaderName>,
    /// Attributes, each with its header.
    pub attributes: Vec<(String, HeaderName)>,
    /// All of these headers.
    pub headers: Vec<HeaderName>,
}

/// What came of a look at the headers.
#[derive(Debug, PartialEq)]
pub enum Forwarded {
    /// Nobody is named.
    Absent,
    /// Somebody is named by a peer that is not believed: as if nobody were.
    NotBelieved,
    /// This identity.
    Identity(Identity),
}

impl ForwardedProvider {
    /// Who the peer says it is.
    ///
    /// # Errors
    /// [`Failure::ForwardedMalformed`]: headers of a believed peer that have no single reading.
    pub fn read(&self, provider: &Name, exchange: &Exchange<'_>) -> Result<Forwarded, Failure> {
        let headers = exchange.request().headers();
        if headers.first(self.principal.as_str()).is_none_or(<[u8]>::is_empty) {
            return Ok(Forwarded::Absent);
        }
        let peer = exchange.peer_identity();
        if !peer.is_some_and(|peer| self.peers.iter().any(|pattern| pattern.matches(peer))) {
            return Ok(Forwarded::NotBelieved);
        }
        let principal = single(headers, &self.principal)?.ok_or(Failure::ForwardedMalformed)?;
        let origin = match &self.provider {
            Some(name) => {
                let origin = single(headers, name)?.ok_or(Failure::ForwardedMalformed)?;
                Some(Name::new(&origin).map_err(|_| Failure::ForwardedMalformed)?)
            }
            None => None,
        };
        let consumer = match &self.consumer {
            Some(name) => single(headers, name)?,
            None => None,
        };
        let mut attributes = BTreeMap::new();
        for (attribute, name) in &self.attributes {
            if let Some(value) = single(headers, name)? {
                attributes.insert(attribute.clone(), value);
            }
        }
        Ok(Forwarded::Identity(Identity {
            provider: Some(provider.clone()),
            origin,
            principal,
            consumer,
            roles: roles(headers, self.roles.as_ref())?,
            scopes: scopes(headers, self.scopes.as_ref())?,
            claims: Rc::default(),
            attributes,
        }))
    }
}

/// A header that stands once at most, as text; an empty one is none.
fn single(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Failure> {
    match headers.single(name.as_str()) {
        Single::Absent | Single::Once([]) => Ok(None),
        Single::Once(value) => text(value).map(|value| Some(value.to_owned())),
        Single::Repeated => Err(Failure::ForwardedMalformed),
    }
}

/// Roles: a list, over several lines perhaps (RFC 9110 §5.3). Around an item only blanks and tabs are white space (RFC 9110 §5.6.3).
fn roles(headers: &HeaderMap, name: Option<&HeaderName>) -> Result<Vec<String>, Failure> {
    let Some(line) = name.and_then(|name| headers.joined(name.as_str())) else { return Ok(Vec::new()) };
    let items = text(&line)?.split(',').map(|item| item.trim_matches([' ', '\t']));
    Ok(items.filter(|item| !item.is_empty()).map(str::to_owned).collect())
}

/// Scopes: on one line, since they may hold commas (RFC 6749 §3.3) and only blanks separate them.
fn scopes(headers: &HeaderMap, name: Option<&HeaderName>) -> Result<Vec<String>, Failure> {
    let line = name.map(|name| single(headers, name)).transpose()?.flatten().unwrap_or_default();
    Ok(line.split(' ').filter(|item| !item.is_empty()).map(str::to_owned).collect())
}

fn text(value: &[u8]) -> Result<&str, Failure> {
    std::str::from_utf8(value).map_err(|_| Failure::ForwardedMalformed)
}

#[cfg(test)]
mod tests;
