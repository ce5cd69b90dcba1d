//! The files that a command is given.

use crate::failure::Failure;
use std::io::Read;
use std::path::Path;

/// Nobody writes a policy of this size; reading more would only be slow.
const SIZE_LIMIT: u64 = 64 << 20;

/// A document's text.
#[derive(Clone, Debug)]
pub struct Source {
    /// How it is called in messages: the path as given, or `stdin`.
    pub name: String,
    /// Its bytes; UTF-8 if all is well.
    pub bytes: Vec<u8>,
}

impl Source {
    /// Reads a file, or `input` for `-`.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(path: &Path, input: &mut dyn Read) -> Result<Self, Failure> {
        if path == Path::new("-") {
            let bytes =
                read_limited(input).map_err(|error| Failure::new(format!("standard input: {error}")))?;
            return Ok(Self { name: "stdin".to_owned(), bytes });
        }
        Ok(Self { name: path.display().to_string(), bytes: read_file(path)? })
    }
}

/// Reads a file whole.
///
/// # Errors
/// When it can't be read, with its name.
pub fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::File::open(path)
        .and_then(|mut file| read_limited(&mut file))
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

fn read_limited(from: &mut dyn Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(SIZE_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SIZE_LIMIT {
        return Err(std::io::Error::other(format!("is larger than {} MiB", SIZE_LIMIT >> 20)));
    }
    Ok(bytes)
}
