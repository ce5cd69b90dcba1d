//! Why a command could not do what it was asked, other than for what a document says.

use std::fmt;

/// A file that can't be read, an argument that means nothing: a sentence that says what to do.
#[derive(Debug)]
pub struct Failure {
    message: String,
    unheard: bool,
}

impl Failure {
    /// Says why.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), unheard: false }
    }

    /// Whether whoever read the output has gone, as `head` does: nobody wants to be told.
    pub fn is_unheard(&self) -> bool {
        self.unheard
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    /// Of output: what reads files names them.
    fn from(error: std::io::Error) -> Self {
        let unheard = error.kind() == std::io::ErrorKind::BrokenPipe;
        Self { message: format!("can't write: {error}"), unheard }
    }
}
