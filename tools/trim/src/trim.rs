//! Removes from a module what an edition doesn't need.

use std::collections::BTreeSet;
use std::fmt;

use sluice_metadata::{Metadata, SECTION};
use walrus::{ModuleConfig, RawCustomSection};

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
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unreadable(reason) => write!(formatter, "the module can't be read: {reason}"),
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

#[cfg(test)]
mod tests;
