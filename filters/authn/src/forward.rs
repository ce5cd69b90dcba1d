//! What the service gets to know of the caller, in headers; and that no client can say it instead.

use sluice_core::header::HeaderName;
use sluice_core::header_map::HeaderMap;
use sluice_core::problem::{FieldPath, Problems};
use sluice_core::verdict::Mutations;

/// Headers that carry identity. What a client sends under one of these names is removed, however its hyphens are spelt: servers that
/// hand headers on as variables (CGI, RFC 3875 §4.1.18) take `x_user` for `x-user`.
#[derive(Debug, Default)]
pub struct IdentityHeaders {
    names: Vec<HeaderName>,
    /// A bit for each length that a name has, to pass over most headers at a glance; names of 63 bytes and more share one.
    lengths: u64,
}

/// Headers that no claim may be written into: they say where a message ends or where it goes (RFC 9110 §7, RFC 9112 §6).
const FRAMING: [&str; 10] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "cookie",
];

/// Why no identity can be written into this header.
///
/// # Errors
/// A sentence.
pub fn check_name(name: &HeaderName) -> Result<(), String> {
    if FRAMING.contains(&name.as_str()) {
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
        let mut all = Self::default();
        for name in names {
            if !all.names.contains(&name) {
                all.lengths |= length_bit(name.as_str().len());
                all.names.push(name);
            }
        }
        all
    }

    /// Removes what came under these names, except what is in `kept`, which a trusted proxy wrote.
    pub fn remove(&self, headers: &HeaderMap, kept: &[HeaderName], mutations: &mut Mutations) {
        for (name, _) in headers.iter() {
            if self.lengths & length_bit(name.len()) == 0 || !self.names.iter().any(|own| own.is_spelt(name))
            {
                continue;
            }
            let Ok(name) =
                std::str::from_utf8(name).map_err(drop).and_then(|name| HeaderName::new(name).map_err(drop))
            else {
                continue;
            };
            if !kept.contains(&name) {
                mutations.remove_request_header(name);
            }
        }
    }
}

const fn length_bit(length: usize) -> u64 {
    1 << if length < 63 { length } else { 63 }
}

#[cfg(test)]
mod tests;
