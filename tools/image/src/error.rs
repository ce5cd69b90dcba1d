//! What can go wrong, as sentences that say what to do.

use std::fmt;
use std::path::{Path, PathBuf};

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why images could not be made or pushed.
#[derive(Debug)]
pub enum Error {
    /// A file or folder could not be read or written.
    File {
        /// What was tried, such as `can't read`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file can't go into an image as it is: why, and what to do.
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// A document of the image can't be written: a value that the specification doesn't allow.
    Specification(String),
    /// There is nothing to push.
    NoImages(PathBuf),
    /// The registry did not take an image.
    Push {
        /// What was to be pushed, with registry, name and tag.
        reference: String,
        /// Why, and what to do.
        reason: String,
    },
}

impl Error {
    /// An error on a file.
    pub fn file(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        move |error| Error::File { doing, path: path.to_owned(), error }
    }

    /// A file that can't go into an image.
    pub fn unfit(path: &Path, reason: impl Into<String>) -> Error {
        Error::Unfit { path: path.to_owned(), reason: reason.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::File { doing, path, error } => write!(out, "{doing} {}: {error}", path.display()),
            Error::Unfit { path, reason } => write!(out, "{} {reason}", path.display()),
            Error::Specification(reason) => write!(out, "a part of the image can't be written: {reason}"),
            Error::NoImages(folder) => {
                write!(out, "there are no images in {}: run `make images` first", folder.display())
            }
            Error::Push { reference, reason } => write!(out, "{reference} was not pushed: {reason}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<oci_spec::OciSpecError> for Error {
    fn from(error: oci_spec::OciSpecError) -> Self {
        Error::Specification(error.to_string())
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Error::Specification(error.to_string())
    }
}
