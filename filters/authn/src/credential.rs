//! Where a credential is read from, and how it is taken out of the request.

use crate::config::SourceConfig;
use sluice_core::decision::verdict::Mutations;
use sluice_core::http::cookie;
use sluice_core::http::header::{HeaderName, HeaderValue, is_token};
use sluice_core::http::header_map::Single;
use sluice_core::http::request::RequestView;
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
        let is_name = |text: &str| HeaderName::new(text).is_ok();
        match (header, query, cookie) {
            (Some(name), None, None) => match scheme {
                Some(scheme) if !is_name(scheme) => Err(format!(
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
            (None, None, Some(name)) if is_name(name) => Ok(Self::Cookie(name.clone())),
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
            Self::Header { name, scheme: None } => match request.headers().single(name.as_str()) {
                Single::Absent => Found::Absent,
                Single::Repeated => Found::Repeated,
                Single::Once(value) => Found::Once(value.into()),
            },
            Self::Header { name, scheme: Some(scheme) } => {
                behind_scheme(request.headers().all(name.as_str()), scheme)
            }
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

    /// The header that it stands in; none for the query.
    pub fn header(&self) -> Option<HeaderName> {
        match self {
            Self::Header { name, .. } => Some(name.clone()),
            Self::Cookie(_) => Some(HeaderName::from_static("cookie")),
            Self::Query(_) => None,
        }
    }

    /// Takes the credentials of `sources` out of what goes on to the service, but for those at `kept`. One in the query stays: the
    /// path is not rewritten here.
    pub fn remove_all<'s>(
        sources: impl Iterator<Item = &'s Self>,
        kept: impl IntoIterator<Item = &'s Self, IntoIter: Clone>,
        request: &RequestView<'_>,
        mutations: &mut Mutations,
    ) {
        let kept = kept.into_iter();
        let keeps_header = |name: &HeaderName| {
            kept.clone().any(|kept| matches!(kept, Self::Header { name: kept, .. } if kept == name))
        };
        let mut cookies: Vec<&str> = Vec::new();
        for source in sources {
            match source {
                Self::Header { name, .. } if keeps_header(name) => {}
                Self::Header { name, .. } => {
                    if source.read(request) != Found::Absent {
                        mutations.remove_request_header(name.clone());
                    }
                }
                Self::Cookie(name) => cookies.push(name),
                Self::Query(_) => {}
            }
        }
        if !cookies.is_empty() {
            let keeps_cookie = |key: &[u8]| {
                kept.clone().any(|kept| matches!(kept, Self::Cookie(name) if name.as_bytes() == key))
            };
            remove_cookies(&cookies, keeps_cookie, request, mutations);
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

/// The credential behind `scheme` in a field that has room for one credential (RFC 9110 §11.6.2), whichever header it is.
///
/// Envoy joins several lines of `authorization` with commas, so that one more credential may stand on the same line: it is a repeated
/// one, since the service might read it.
fn behind_scheme<'v>(mut lines: impl Iterator<Item = &'v [u8]>, scheme: &str) -> Found<'v> {
    let Some(first) = lines.next() else { return Found::Absent };
    let mut others = lines.peekable();
    if others.peek().is_none() {
        return match after_scheme(first, scheme) {
            Some(credential) => Found::Once(credential.into()),
            None if is_mentioned(first, scheme) => Found::Repeated,
            None => Found::Absent,
        };
    }
    let ours = |line: &[u8]| after_scheme(line, scheme).is_some() || is_mentioned(line, scheme);
    if std::iter::once(first).chain(others).any(ours) { Found::Repeated } else { Found::Absent }
}

/// The credential behind `scheme`, whose case does not matter (RFC 9110 §11.1); `None` for another scheme.
///
/// RFC 9110 §11.4 has blanks between the two, and tabs are taken for blanks by many. What else ends the scheme's name (`Bearer:abc`) makes
/// a credential that is no good, rather than none.
fn after_scheme<'v>(value: &'v [u8], scheme: &str) -> Option<&'v [u8]> {
    let (found, rest) = value.split_at_checked(scheme.len())?;
    let ends = rest.first().is_none_or(|byte| !is_token(*byte));
    (ends && found.eq_ignore_ascii_case(scheme.as_bytes())).then(|| rest.trim_ascii())
}

/// Whether a value that begins with another scheme has `scheme` further on: `Basic YTpi,Bearer abc`.
fn is_mentioned(value: &[u8], scheme: &str) -> bool {
    let words = value.split(|byte| matches!(byte, b' ' | b'\t' | b',' | b';' | b'"' | b'\''));
    words.skip(1).any(|word| word.eq_ignore_ascii_case(scheme.as_bytes()))
}

/// Leaves the other cookies as they are, in one line. Some servers decode the names of cookies and turn what is neither a letter nor a
/// digit into `_` (PHP): whatever they take for one of `names` goes as well.
fn remove_cookies(
    names: &[&str],
    keeps: impl Fn(&[u8]) -> bool,
    request: &RequestView<'_>,
    mutations: &mut Mutations,
) {
    let mut line = Vec::new();
    let mut removed = false;
    for pair in request.headers().all("cookie").flat_map(|line| line.split(|byte| *byte == b';')) {
        let pair = pair.trim_ascii();
        let key = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        if !keeps(key) && names.iter().any(|name| cookie::is_spelt(name, key)) {
            removed = true;
            continue;
        }
        if pair.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.extend(b"; ");
        }
        line.extend(pair);
    }
    if !removed {
        return;
    }
    let header = HeaderName::from_static("cookie");
    match HeaderValue::new(&line) {
        Ok(value) if !line.is_empty() => mutations.set_request_header(header, value),
        _ => mutations.remove_request_header(header),
    }
}

#[cfg(test)]
mod tests;
