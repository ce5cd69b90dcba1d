//! What is in a module, for a person to read.

use std::fmt::Write as _;

use walrus::{ExportItem, Module};

use crate::metadata::Metadata;
use crate::section;

/// The sections with their sizes, the imports, the exports and the metadata of a module, as lines of text.
pub fn list(module: &[u8]) -> Result<String, Box<dyn std::error::Error>> {
    let sections = section::sections(module)?;
    let parsed = Module::from_buffer(module).map_err(|error| format!("{error:#}"))?;
    let mut text = format!("{} bytes\n\nsections\n", module.len());
    for section in sections {
        let kind = if section.id == section::CUSTOM { "custom " } else { "" };
        writeln!(text, "  {:>9}  {kind}{}", section.content.len(), section.title())?;
    }
    text.push_str("\nimports\n");
    for import in parsed.imports.iter() {
        writeln!(text, "  {}.{}", import.module, import.name)?;
    }
    text.push_str("\nexports\n");
    for export in parsed.exports.iter() {
        let kind = match export.item {
            ExportItem::Function(_) => "function",
            ExportItem::Table(_) => "table",
            ExportItem::Memory(_) => "memory",
            ExportItem::Global(_) => "global",
            ExportItem::Tag(_) => "tag",
        };
        writeln!(text, "  {kind:8}  {}", export.name)?;
    }
    text.push_str("\nmetadata\n");
    match Metadata::of(module) {
        Ok(metadata) => writeln!(text, "  {}", serde_json::to_string(&metadata)?)?,
        Err(error) => writeln!(text, "  none: {error}")?,
    }
    Ok(text)
}
