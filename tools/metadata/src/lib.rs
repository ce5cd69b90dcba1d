//! What a `.wasm` of ours says about itself, as JSON in its custom section `sluice`: which sections of a document it accepts,
//! and which callbacks Envoy finds in it. `tools/trim` writes the section.

use serde::{Deserialize, Serialize};
use std::fmt;
use wasmparser::{BinaryReaderError, Parser, Payload};

/// The name of the custom section.
pub const SECTION: &str = "sluice";

/// What a module says about itself. Unknown fields are let through: an older command may read a newer module.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Metadata {
    /// The release, as in Cargo.toml.
    pub version: String,
    /// Which module of that release, its file's name without `.wasm`: `sluice`, `sluice-headers`, `sluice-auth` …
    pub edition: String,
    /// The sections of a document that it accepts, besides those that every module does.
    pub sections: Vec<String>,
    /// The `proxy_on_*` functions of requests that Envoy finds in it.
    pub callbacks: Vec<String>,
    /// Whether it verifies signatures by itself where the host does not. Those that don't say so do.
    #[serde(default = "yes")]
    pub own_signatures: bool,
}

const fn yes() -> bool {
    true
}

/// Why a file says nothing about itself.
#[derive(Debug)]
pub enum NoMetadata {
    /// No WebAssembly module, or not a whole one.
    NotAModule(BinaryReaderError),
    /// A module without the section.
    NotOurs,
    /// The section is not what it should be.
    Unreadable(serde_json::Error),
}

impl fmt::Display for NoMetadata {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoMetadata::NotAModule(error) => write!(out, "is not a whole WebAssembly module: {error}"),
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
    /// Reads it out of a module, which has to be whole.
    ///
    /// # Errors
    /// [`NoMetadata`].
    pub fn of(module: &[u8]) -> Result<Self, NoMetadata> {
        let mut content = None;
        for payload in Parser::new(0).parse_all(module) {
            match payload.map_err(NoMetadata::NotAModule)? {
                Payload::CustomSection(section) if section.name() == SECTION => {
                    content = content.or(Some(section.data()));
                }
                _ => {}
            }
        }
        serde_json::from_slice(content.ok_or(NoMetadata::NotOurs)?).map_err(NoMetadata::Unreadable)
    }

    /// Whether Envoy finds this function in it, such as `proxy_on_log`.
    pub fn has_callback(&self, name: &str) -> bool {
        self.callbacks.iter().any(|callback| callback == name)
    }
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
        assert!(metadata.has_callback("proxy_on_request_headers") && !metadata.has_callback("proxy_on_log"));
    }

    #[test]
    fn any_other_file_is_told_apart() {
        assert!(matches!(Metadata::of(b""), Err(NoMetadata::NotAModule(_))));
        assert!(matches!(Metadata::of(b"\x7fELF"), Err(NoMetadata::NotAModule(_))));
        let of_somebody_else = Metadata::of(&module(&[("name", b"x")])).unwrap_err();
        assert!(matches!(of_somebody_else, NoMetadata::NotOurs));
        assert!(of_somebody_else.to_string().contains("`make build`"), "it says what to do");
        assert!(matches!(Metadata::of(&module(&[("sluice", b"{}")])), Err(NoMetadata::Unreadable(_))));
        let whole = module(&[("sluice", METADATA)]);
        for end in 9..whole.len() {
            assert!(matches!(Metadata::of(&whole[..end]), Err(NoMetadata::NotAModule(_))), "cut at {end}");
        }
    }
}
