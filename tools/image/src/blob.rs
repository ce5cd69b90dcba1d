//! Content that is known by its digest: layers, configurations, manifests.

use std::fmt::Write as _;
use std::str::FromStr;

use oci_spec::image::{Descriptor, MediaType, Sha256Digest};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::Result;

/// Bytes and what they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// What they are.
    pub media_type: MediaType,
    /// The bytes.
    pub bytes: Vec<u8>,
}

// === impl Blob ===

impl Blob {
    /// A document as JSON without spaces, the members of every object sorted by name: the types of `oci-spec` keep labels and
    /// annotations in hash maps, whose order changes from run to run.
    pub fn json(media_type: MediaType, document: &impl Serialize) -> Result<Blob> {
        let mut value = serde_json::to_value(document)?;
        value.sort_all_objects();
        Ok(Blob { media_type, bytes: serde_json::to_vec::<Value>(&value)? })
    }

    /// SHA-256 of the bytes in hexadecimal digits: the name of the file in a layout's `blobs/sha256`.
    pub fn sha256(&self) -> String {
        sha256(&self.bytes)
    }

    /// What refers to it from another document.
    pub fn descriptor(&self) -> Result<Descriptor> {
        // No file in memory is larger than u64::MAX.
        let size = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        Ok(Descriptor::new(self.media_type.clone(), size, Sha256Digest::from_str(&self.sha256())?))
    }
}

/// SHA-256 in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut digits, byte| {
        // Writing to a String can't fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}
