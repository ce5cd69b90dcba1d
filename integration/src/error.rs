//! One error for everything that can go wrong around an Envoy: a sentence that a person can act on.

use std::fmt;
use std::path::Path;

/// The result of the harness' functions.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong while something was prepared, started or asked. It prints as a sentence also where a test unwraps it.
pub enum Error {
    /// A port that is needed is taken: which, by whom if that can be seen, and how to choose another.
    PortInUse {
        /// The port.
        port: u16,
        /// What it is needed for.
        purpose: String,
        /// The process that listens there, such as `nginx (pid 71)`.
        holder: Option<String>,
        /// The environment variable that chooses another port.
        variable: Option<&'static str>,
    },
    /// Something that must exist does not: what, and how to get it.
    Missing {
        /// What is missing.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// Something was not so before its deadline; with the end of the log that may tell why.
    NotInTime {
        /// What was awaited.
        what: String,
        /// The last lines of the log of whom it was awaited from.
        log: String,
    },
    /// Anything else, said in a sentence.
    Other(String),
}

impl Error {
    /// An input/output error on a file.
    pub fn file(doing: &str, path: &Path, error: std::io::Error) -> Self {
        Error::Other(format!("{doing} {}: {error}", path.display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::PortInUse { port, purpose, holder, variable } => {
                write!(f, "port {port} ({purpose}) is in use")?;
                match holder {
                    Some(holder) => write!(f, " by {holder}: stop that process")?,
                    None => write!(f, " by a process that I can't see: stop it")?,
                }
                match variable {
                    Some(variable) => write!(f, " or choose another port with {variable}=<port>"),
                    None => Ok(()),
                }
            }
            Error::Missing { what, remedy } => write!(f, "{what} is missing: {remedy}"),
            Error::NotInTime { what, log } if log.trim().is_empty() => write!(f, "{what}: not in time"),
            Error::NotInTime { what, log } => write!(f, "{what}: not in time; the end of its log:\n{log}"),
            Error::Other(sentence) => f.write_str(sentence),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

impl From<String> for Error {
    fn from(sentence: String) -> Self {
        Error::Other(sentence)
    }
}

impl From<&str> for Error {
    fn from(sentence: &str) -> Self {
        Error::Other(sentence.to_owned())
    }
}
