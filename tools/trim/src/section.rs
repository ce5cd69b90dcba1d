//! The sections of a WebAssembly module in binary form (WebAssembly core specification 2.0, §5.5.2): an id, a size, the
//! content; a custom section's content begins with its name.

use std::fmt;

/// `\0asm` and version 1: what every core module begins with.
const PREAMBLE: [u8; 8] = *b"\0asm\x01\0\0\0";

/// The id of a custom section.
pub const CUSTOM: u8 = 0;

/// One section of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section<'module> {
    /// What it is: [`CUSTOM`], or 1 to 13 as the specification numbers them.
    pub id: u8,
    /// The name of a custom section; nothing for the others.
    pub name: Option<&'module str>,
    /// The bytes after the size and, in a custom section, after the name.
    pub content: &'module [u8],
}

impl Section<'_> {
    /// The name by which the specification calls it.
    pub fn title(&self) -> &str {
        match (self.id, self.name) {
            (CUSTOM, Some(name)) => name,
            (1, _) => "type",
            (2, _) => "import",
            (3, _) => "function",
            (4, _) => "table",
            (5, _) => "memory",
            (6, _) => "global",
            (7, _) => "export",
            (8, _) => "start",
            (9, _) => "element",
            (10, _) => "code",
            (11, _) => "data",
            (12, _) => "data count",
            (13, _) => "tag",
            _ => "unknown",
        }
    }
}

/// The bytes are no WebAssembly module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// They don't begin as a core module does.
    Preamble,
    /// They end, or hold a number or a name that can't be, at this offset.
    At(usize),
}

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Preamble => {
                formatter.write_str("not a WebAssembly module: it does not begin with \\0asm, version 1")
            }
            Malformed::At(offset) => {
                write!(formatter, "not a whole WebAssembly module: malformed at byte {offset}")
            }
        }
    }
}

impl std::error::Error for Malformed {}

/// All sections, in order.
pub fn sections(module: &[u8]) -> Result<Vec<Section<'_>>, Malformed> {
    if !module.starts_with(&PREAMBLE) {
        return Err(Malformed::Preamble);
    }
    let mut reader = Reader { bytes: module, offset: PREAMBLE.len() };
    let mut found = Vec::new();
    while reader.offset < module.len() {
        let id = reader.byte()?;
        let end = reader.end_of_length_prefixed()?;
        let name = if id == CUSTOM { Some(reader.name(end)?) } else { None };
        found.push(Section { id, name, content: &module[reader.offset..end] });
        reader.offset = end;
    }
    Ok(found)
}

/// The content of the first custom section of that name.
pub fn custom<'module>(module: &'module [u8], name: &str) -> Result<Option<&'module [u8]>, Malformed> {
    Ok(sections(module)?
        .into_iter()
        .find(|section| section.name == Some(name))
        .map(|section| section.content))
}

struct Reader<'module> {
    bytes: &'module [u8],
    offset: usize,
}

impl<'module> Reader<'module> {
    fn byte(&mut self) -> Result<u8, Malformed> {
        let byte = *self.bytes.get(self.offset).ok_or(Malformed::At(self.offset))?;
        self.offset += 1;
        Ok(byte)
    }

    /// An unsigned LEB128 number of at most 32 bits.
    fn number(&mut self) -> Result<usize, Malformed> {
        let start = self.offset;
        let mut value = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map(|value| value as usize).map_err(|_| Malformed::At(start));
            }
        }
        Err(Malformed::At(start))
    }

    /// Reads a length and gives the offset at which what it measures ends.
    fn end_of_length_prefixed(&mut self) -> Result<usize, Malformed> {
        let start = self.offset;
        let length = self.number()?;
        let end = self.offset.checked_add(length).ok_or(Malformed::At(start))?;
        if end > self.bytes.len() { Err(Malformed::At(start)) } else { Ok(end) }
    }

    /// A name that must lie before `limit`.
    fn name(&mut self, limit: usize) -> Result<&'module str, Malformed> {
        let start = self.offset;
        let end = self.end_of_length_prefixed()?;
        if end > limit {
            return Err(Malformed::At(start));
        }
        let name = std::str::from_utf8(&self.bytes[self.offset..end]).map_err(|_| Malformed::At(start))?;
        self.offset = end;
        Ok(name)
    }
}

#[cfg(test)]
mod tests;
