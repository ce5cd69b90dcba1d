//! Removes from a module what an edition doesn't need.

use std::collections::BTreeSet;
use std::fmt;

use sluice_metadata::{Metadata, SECTION};
use walrus::{ModuleConfig, RawCustomSection};

/// How the text begins in which a module reads which callbacks it exports: `name=1;` for each (filters/host/src/exported.rs).
const MARK: &str = "sluice.exported;";

/// Custom sections that survive: what the module says about itself.
const KEPT_SECTIONS: [&str; 1] = [SECTION];

/// The module that came out, and what is gone from it.
#[derive(Debug)]
pub struct Trimmed {
    /// The module in binary form.
    pub module: Vec<u8>,
    /// Exports that were removed, by name.
    pub removed_exports: Vec<String>,
    /// How many functions were there, and how many are left.
    pub functions: (usize, usize),
}

/// Why a module can't be trimmed.
#[derive(Debug)]
pub enum Error {
    /// The bytes are no module that the library understands.
    Unreadable(String),
    /// The module doesn't export something that is to be kept.
    Missing(Vec<String>),
    /// The module has no place, or several, where it reads which callbacks it exports.
    Unmarked(usize),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unreadable(reason) => write!(formatter, "the module can't be read: {reason}"),
            Error::Unmarked(places) => {
                write!(formatter, "the module has {places} texts `{}…` where it should have one", MARK)
            }
            Error::Missing(names) => {
                write!(formatter, "the module doesn't export what should be kept: {}", names.join(", "))
            }
        }
    }
}

impl std::error::Error for Error {}

/// Keeps the exports that `keep` names, all of which must be there, and what they reach; writes `metadata`, or leaves the
/// module's own when there is none to write.
pub fn trim(module: &[u8], keep: &BTreeSet<&str>, metadata: Option<&Metadata>) -> Result<Trimmed, Error> {
    let mut config = ModuleConfig::new();
    config.generate_name_section(false).generate_producers_section(false).generate_dwarf(false);
    let mut parsed = config.parse(module).map_err(|error| Error::Unreadable(format!("{error:#}")))?;

    let missing: Vec<String> = keep
        .iter()
        .filter(|name| !parsed.exports.iter().any(|export| export.name == **name))
        .map(|name| (*name).to_owned())
        .collect();
    if !missing.is_empty() {
        return Err(Error::Missing(missing));
    }

    let functions_before = parsed.funcs.iter().count();
    let mut removed_exports = Vec::new();
    let unwanted: Vec<_> = parsed
        .exports
        .iter()
        .filter(|export| !keep.contains(export.name.as_str()))
        .map(|export| (export.id(), export.name.clone()))
        .collect();
    for (id, name) in unwanted {
        parsed.exports.delete(id);
        removed_exports.push(name);
    }

    let segments: Vec<_> = parsed.data.iter().map(|segment| segment.id()).collect();
    let places: usize = segments
        .into_iter()
        .map(|id| write_exports(&mut parsed.data.get_mut(id).value, |name| keep.contains(name)))
        .sum();
    // Of somebody else's module nothing needs to be known; ours would take documents that it can't serve.
    if metadata.is_some() && places != 1 {
        return Err(Error::Unmarked(places));
    }

    let dropped: Vec<_> = parsed
        .customs
        .iter()
        .filter(|(_, section)| metadata.is_some() || !KEPT_SECTIONS.contains(&section.name()))
        .map(|(id, _)| id)
        .collect();
    for id in dropped {
        parsed.customs.delete(id);
    }
    if let Some(metadata) = metadata {
        let data = serde_json::to_vec(metadata).expect("strings and lists of strings are always JSON");
        parsed.customs.add(RawCustomSection { name: SECTION.to_owned(), data });
    }

    walrus::passes::gc::run(&mut parsed);
    let functions_after = parsed.funcs.iter().count();
    Ok(Trimmed {
        module: parsed.emit_wasm(),
        removed_exports,
        functions: (functions_before, functions_after),
    })
}

/// Writes `1` or `0` behind each callback in the module's text of them. Gives how many such texts there are.
fn write_exports(data: &mut [u8], is_kept: impl Fn(&str) -> bool) -> usize {
    let mark = MARK.as_bytes();
    let starts: Vec<usize> = data
        .windows(mark.len())
        .enumerate()
        .filter(|(_, window)| *window == mark)
        .map(|(start, _)| start + mark.len())
        .collect();
    for start in &starts {
        let mut rest = &mut data[*start..];
        while let Some(end) = rest.iter().position(|byte| *byte == b';') {
            let (entry, following) = rest.split_at_mut(end);
            let Some((flag, name)) = entry.split_last_mut() else { break };
            let Some(name) = name.strip_suffix(b"=").and_then(|name| std::str::from_utf8(name).ok()) else {
                break;
            };
            if !matches!(flag, b'0' | b'1') {
                break;
            }
            *flag = if is_kept(name) { b'1' } else { b'0' };
            rest = &mut following[1..];
        }
    }
    starts.len()
}

#[cfg(test)]
mod tests;
