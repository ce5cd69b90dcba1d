//! What the service gets to know of the caller, in headers; and that no client can say it instead.

use sluice_core::decision::verdict::Mutations;
use sluice_core::document::problem::{FieldPath, Problems};
use sluice_core::http::header::HeaderName;
use sluice_core::http::header_map::HeaderMap;
use sluice_core::http::protected::ProtectedNames;

/// Headers that carry identity. What a client sends under one of these names is removed, in whatever spelling (see [`ProtectedNames`]).
#[derive(Debug, Default)]
pub struct IdentityHeaders(ProtectedNames);

/// Why no identity can be written into this header.
///
/// # Errors
/// A sentence.
pub fn check_name(name: &HeaderName) -> Result<(), String> {
    if name.is_framing() || name.as_str() == "cookie" {
        return Err(format!("`{name}` has a meaning of its own and can carry no identity"));
    }
    if name.as_str().starts_with("x-envoy-") {
        return Err(format!("`{name}` steers Envoy itself and can carry no identity"));
    }
    Ok(())
}

/// Says what is wrong with the header that is to tell the provider beside `others`.
pub fn check_provider_name<'n>(
    name: &HeaderName,
    mut others: impl Iterator<Item = &'n HeaderName>,
    path: &FieldPath,
    problems: &mut Problems,
) {
    if let Err(message) = check_name(name) {
        problems.report(path, message);
    }
    if others.any(|other| other == name) {
        problems.report(path, format!("the header `{name}` is to say two things"));
    }
}

impl IdentityHeaders {
    /// Headers of these names.
    pub fn new(names: impl IntoIterator<Item = HeaderName>) -> Self {
        Self(names.into_iter().collect())
    }

    /// The names.
    pub fn iter(&self) -> std::slice::Iter<'_, HeaderName> {
        self.0.iter()
    }

    /// Removes what came under these names, except what is in `kept`, which a trusted proxy wrote. (A request with a name that spells one
    /// of these and is none itself is refused before.)
    pub fn remove<'n>(
        &self,
        headers: &HeaderMap,
        kept: impl IntoIterator<Item = &'n HeaderName, IntoIter: Clone>,
        mutations: &mut Mutations,
    ) {
        let kept = kept.into_iter();
        for (name, _) in headers.iter().filter(|(name, _)| self.0.has(name)) {
            if let Some(name) = HeaderName::from_bytes(name)
                && !kept.clone().any(|kept| *kept == name)
            {
                mutations.remove_request_header(name);
            }
        }
    }
}

#[cfg(test)]
mod tests;
