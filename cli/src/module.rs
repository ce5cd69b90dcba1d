//! What a `.wasm` of ours says about itself, in its custom section `sluice`: which sections of a document it accepts, and which
//! callbacks Envoy finds in it. `tools/trim` writes the section.

use serde::Deserialize;
use std::fmt;

/// The name of the custom section.
const SECTION: &str = "sluice";

/// The callback that a document needs which counts finished requests.
pub const LOG_CALLBACK: &str = "proxy_on_log";

/// What a module says about itself. Unknown fields are let through: an older command may read a newer module.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Metadata {
    /// The release.
    pub version: String,
    /// Which module of that release: `sluice`, `sluice-headers`, `sluice-auth` …
    pub edition: String,
    /// The sections of a document that it accepts, besides those that every module does.
    pub sections: Vec<String>,
    /// The `proxy_on_*` functions of requests that Envoy finds in it.
    pub callbacks: Vec<String>,
}

/// Why a file says nothing about itself.
#[derive(Debug)]
pub enum NoMetadata {
    /// No WebAssembly module, or not a whole one.
    NotAModule,
    /// A module without the section.
    NotOurs,
    /// The section is not what it should be.
    Unreadable(serde_json::Error),
}

impl fmt::Display for NoMetadata {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoMetadata::NotAModule => out.write_str("is not a whole WebAssembly module"),
            NoMetadata::NotOurs => {
                write!(
                    out,
                    "does not say which sections it accepts (it has no custom section `{SECTION}`): name a module of dist/, as `make build` makes them"
                )
            }
            NoMetadata::Unreadable(error) => {
                write!(out, "has a custom section `{SECTION}` that is unreadable: {error}")
            }
        }
    }
}

impl std::error::Error for NoMetadata {}

impl Metadata {
    /// Reads it out of a module.
    ///
    /// # Errors
    /// [`NoMetadata`].
    pub fn of(module: &[u8]) -> Result<Self, NoMetadata> {
        let content = custom_section(module).ok_or(NoMetadata::NotAModule)?.ok_or(NoMetadata::NotOurs)?;
        serde_json::from_slice(content).map_err(NoMetadata::Unreadable)
    }

    /// Whether a document that counts finished requests can run in it.
    pub fn sees_the_end_of_requests(&self) -> bool {
        self.callbacks.iter().any(|callback| callback == LOG_CALLBACK)
    }
}

/// The content of the custom section. `None`: no module. `Some(None)`: it has no such section.
/// (WebAssembly core specification 2.0, §5.5.2: id, size, content; a custom section's content begins with its name.)
fn custom_section(module: &[u8]) -> Option<Option<&[u8]>> {
    let mut rest = module.strip_prefix(b"\0asm\x01\0\0\0")?;
    while let Some((id, after)) = rest.split_first() {
        let (size, after) = length(after)?;
        let (content, after) = after.split_at_checked(size)?;
        if *id == 0 {
            let (size, content) = length(content)?;
            let (name, content) = content.split_at_checked(size)?;
            if name == SECTION.as_bytes() {
                return Some(Some(content));
            }
        }
        rest = after;
    }
    Some(None)
}

/// A `u32` in LEB128 (§5.2.2), at most five bytes.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (position, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, bytes.get(position + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module with these custom sections.
    fn module(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        for (name, content) in sections {
            let size = u16::try_from(1 + name.len() + content.len()).unwrap();
            // Always in two bytes: allowed, and what linkers do.
            module.extend([0, (size & 0x7f) as u8 | 0x80, (size >> 7) as u8, name.len() as u8]);
            module.extend(name.as_bytes());
            module.extend(*content);
        }
        module
    }

    const METADATA: &[u8] = br#"{"version":"0.1.0","edition":"sluice-headers","sections":["authn"],"callbacks":["proxy_on_request_headers"],"later":1}"#;

    #[test]
    fn a_module_says_what_it_accepts() {
        let module = module(&[("producers", &[7; 300]), ("sluice", METADATA)]);
        let metadata = Metadata::of(&module).unwrap();
        assert_eq!(
            (metadata.edition.as_str(), metadata.sections.as_slice()),
            ("sluice-headers", &["authn".to_owned()][..])
        );
        assert!(!metadata.sees_the_end_of_requests());
    }

    #[test]
    fn any_other_file_is_told_apart() {
        assert!(matches!(Metadata::of(b""), Err(NoMetadata::NotAModule)));
        assert!(matches!(Metadata::of(b"\x7fELF"), Err(NoMetadata::NotAModule)));
        assert!(matches!(Metadata::of(&module(&[("name", b"x")])), Err(NoMetadata::NotOurs)));
        assert!(matches!(Metadata::of(&module(&[("sluice", b"{}")])), Err(NoMetadata::Unreadable(_))));
        let whole = module(&[("sluice", METADATA)]);
        for end in 9..whole.len() {
            assert!(matches!(Metadata::of(&whole[..end]), Err(NoMetadata::NotAModule)), "cut at {end}");
        }
    }
}
