//! Layers: files as a gzipped tar, the same bytes for the same files.

use std::io::Write;

use flate2::{Compression, GzBuilder};
use oci_spec::image::MediaType;
use tar::{Builder, EntryType, Header};

use crate::blob::{Blob, sha256};
use crate::{Error, Result};

/// "Unknown", RFC 1952 §2.3.1: what made the file must not be seen in it.
const GZIP_UNKNOWN_SYSTEM: u8 = 255;

/// The user whose files are nobody else's to change.
const ROOT: u32 = 0;

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// As it is stored and sent.
    pub blob: Blob,
    /// The digest before compression, `sha256:` and hexadecimal digits: what a configuration's `rootfs` lists.
    pub diff_id: String,
}

/// The files of a layer, in the order in which they were added.
#[derive(Default)]
pub struct Files {
    entries: Vec<Entry>,
}

struct Entry {
    path: String,
    mode: u32,
    /// User and group, by number.
    owner: u32,
    /// Nothing: a folder.
    content: Option<Vec<u8>>,
}

// === impl Layer ===

impl Layer {
    /// A layer that is stored as it is: neither tar nor compressed.
    pub fn plain(blob: Blob) -> Layer {
        let diff_id = format!("sha256:{}", blob.sha256());
        Layer { blob, diff_id }
    }
}

// === impl Files ===

impl Files {
    /// No files.
    pub fn new() -> Files {
        Files::default()
    }

    /// Adds a folder; its path has no `/` at its start.
    #[must_use]
    pub fn folder(mut self, path: &str, mode: u32) -> Files {
        self.entries.push(Entry { path: format!("{path}/"), mode, owner: ROOT, content: None });
        self
    }

    /// Adds a folder that belongs to the user and the group of this number.
    #[must_use]
    pub fn folder_of(mut self, path: &str, mode: u32, owner: u32) -> Files {
        self.entries.push(Entry { path: format!("{path}/"), mode, owner, content: None });
        self
    }

    /// Adds a file; its path has no `/` at its start.
    #[must_use]
    pub fn file(mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) -> Files {
        self.entries.push(Entry { path: path.to_owned(), mode, owner: ROOT, content: Some(content.into()) });
        self
    }

    /// The files as a tar: owners without names, of 1970.
    pub fn tar(&self) -> Result<Vec<u8>> {
        let failed = |error: std::io::Error| Error::Specification(format!("tar: {error}"));
        let mut tar = Builder::new(Vec::new());
        for entry in &self.entries {
            let content = entry.content.as_deref();
            let mut header = Header::new_ustar();
            header.set_entry_type(if content.is_some() { EntryType::Regular } else { EntryType::Directory });
            header.set_mode(entry.mode);
            header.set_uid(entry.owner.into());
            header.set_gid(entry.owner.into());
            header.set_mtime(0);
            header.set_size(u64::try_from(content.unwrap_or_default().len()).unwrap_or(u64::MAX));
            tar.append_data(&mut header, &entry.path, content.unwrap_or_default()).map_err(failed)?;
        }
        tar.into_inner().map_err(failed)
    }

    /// The files as a layer, `application/vnd.oci.image.layer.v1.tar+gzip`.
    pub fn layer(&self) -> Result<Layer> {
        let tar = self.tar()?;
        let diff_id = format!("sha256:{}", sha256(&tar));
        let mut gzip = GzBuilder::new()
            .mtime(0)
            .operating_system(GZIP_UNKNOWN_SYSTEM)
            .write(Vec::new(), Compression::best());
        let bytes = gzip
            .write_all(&tar)
            .and_then(|()| gzip.finish())
            .map_err(|error| Error::Specification(format!("gzip: {error}")))?;
        Ok(Layer { blob: Blob { media_type: MediaType::ImageLayerGzip, bytes }, diff_id })
    }
}
