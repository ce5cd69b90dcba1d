//! Where a credential is read from, and how it is taken out of the request.

use crate::config::SourceConfig;
use sluice_core::cookie;
use sluice_core::header::{HeaderName, HeaderValue};
use sluice_core::header_map::Single;
use sluice_core::request::RequestView;
use sluice_core::verdict::Mutations;
use std::borrow::Cow;
use std::fmt;

/// Where a credential is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// A header, perhaps behind an authentication scheme (RFC 9110 §11.4).
    Header {
        /// Its name.
        name: HeaderName,
        /// The scheme; other schemes are no credential of ours.
        scheme: Option<String>,
    },
    /// A parameter of the query.
    Query(String),
    /// A cookie.
    Cookie(String),
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'r> {
    /// No credential.
    Absent,
    /// This one.
    Once(Cow<'r, [u8]>),
    /// More than one: an error, since the service might read another one than we.
    Repeated,
}

impl CredentialSource {
    /// Reads a source of the document.
    ///
    /// # Errors
    /// A sentence: none or several places, or a scheme where there can be none.
    pub fn new(config: &SourceConfig) -> Result<Self, String> {
        let SourceConfig { header, scheme, query, cookie } = config;
        let is_token = |text: &str| HeaderName::new(text).is_ok();
        match (header, query, cookie) {
            (Some(name), None, None) => match scheme {
                Some(scheme) if !is_token(scheme) => Err(format!(
                    "{scheme:?} is not an authentication scheme: write it alone, such as `Bearer`"
                )),
                None if name.as_str() == "authorization" => {
                    Err("`authorization` holds a scheme and then the credential: add `scheme: Bearer`"
                        .to_owned())
                }
                scheme => Ok(Self::Header { name: name.clone(), scheme: scheme.clone() }),
            },
            (None, ..) if scheme.is_some() => Err("`scheme` goes with `header` only".to_owned()),
            (None, Some(name), None) if !name.is_empty() => Ok(Self::Query(name.clone())),
            (None, None, Some(name)) if is_token(name) => Ok(Self::Cookie(name.clone())),
            (None, None, Some(name)) => {
                Err(format!("{name:?} is not the name of a cookie (RFC 6265 §4.1.1)"))
            }
            (None, Some(_), None) => Err("the query's parameter has no name".to_owned()),
            _ => Err("exactly one of `header`, `query` and `cookie` must be given".to_owned()),
        }
    }

    /// Reads it.
    pub fn read<'r>(&'r self, request: &'r RequestView<'_>) -> Found<'r> {
        match self {
            Self::Header { name, scheme } => match (request.headers().single(name.as_str()), scheme) {
                (Single::Absent, _) => Found::Absent,
                (Single::Repeated, _) => Found::Repeated,
                (Single::Once(value), None) => Found::Once(value.into()),
                (Single::Once(value), Some(scheme)) => after_scheme(value, scheme)
                    .map_or(Found::Absent, |credential| Found::Once(credential.into())),
            },
            Self::Query(name) => one(request.query_values(name)),
            Self::Cookie(name) => one(cookie::values(request.headers(), name).map(Cow::Borrowed)),
        }
    }

    /// Reads all `sources`; a credential in two of them is a repeated one (RFC 6750 §2).
    pub fn read_all<'r>(sources: &'r [Self], request: &'r RequestView<'_>) -> Found<'r> {
        let mut found = Found::Absent;
        for source in sources {
            match (source.read(request), &found) {
                (Found::Absent, _) => {}
                (Found::Once(credential), Found::Absent) => found = Found::Once(credential),
                (Found::Once(_) | Found::Repeated, _) => return Found::Repeated,
            }
        }
        found
    }

    /// Takes the credential out of what goes on to the service. One in the query stays: the path is not rewritten here.
    pub fn remove(&self, request: &RequestView<'_>, mutations: &mut Mutations) {
        match self {
            Self::Header { name, .. } => {
                if self.read(request) != Found::Absent {
                    mutations.remove_request_header(name.clone());
                }
            }
            Self::Cookie(name) => {
                if self.read(request) != Found::Absent {
                    remove_cookie(name, request, mutations);
                }
            }
            Self::Query(_) => {}
        }
    }
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header { name, scheme: Some(scheme) } => write!(out, "the header `{name}` ({scheme})"),
            Self::Header { name, scheme: None } => write!(out, "the header `{name}`"),
            Self::Query(name) => write!(out, "the query's `{name}`"),
            Self::Cookie(name) => write!(out, "the cookie `{name}`"),
        }
    }
}

fn one<'r>(mut values: impl Iterator<Item = Cow<'r, [u8]>>) -> Found<'r> {
    match (values.next(), values.next()) {
        (None, _) => Found::Absent,
        (Some(value), None) => Found::Once(value),
        (Some(_), Some(_)) => Found::Repeated,
    }
}

/// The credential behind `scheme`, whose case does not matter (RFC 9110 §11.1); `None` for another scheme.
fn after_scheme<'v>(value: &'v [u8], scheme: &str) -> Option<&'v [u8]> {
    let (found, rest) = value.split_at_checked(scheme.len())?;
    if !found.eq_ignore_ascii_case(scheme.as_bytes()) {
        return None;
    }
    match rest.first() {
        // The scheme without a credential: one that is no good, rather than none.
        None => Some(rest),
        Some(b' ' | b'\t') => Some(rest.trim_ascii()),
        Some(_) => None,
    }
}

/// Leaves the other cookies as they are, in one line.
fn remove_cookie(name: &str, request: &RequestView<'_>, mutations: &mut Mutations) {
    let header = HeaderName::from_static("cookie");
    let mut line = Vec::new();
    for pair in request.headers().all("cookie").flat_map(|line| line.split(|byte| *byte == b';')) {
        let pair = pair.trim_ascii();
        let key = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        if pair.is_empty() || key == name.as_bytes() {
            continue;
        }
        if !line.is_empty() {
            line.extend(b"; ");
        }
        line.extend(pair);
    }
    match HeaderValue::new(&line) {
        Ok(value) if !line.is_empty() => mutations.set_request_header(header, value),
        _ => mutations.remove_request_header(header),
    }
}

#[cfg(test)]
mod tests;
