//! What is in a module, for a person to read.

use std::fmt::Write as _;

use sluice_metadata::Metadata;
use walrus::{ExportItem, Module};
use wasmparser::{Parser, Payload};

/// The sections with their sizes, the imports, the exports and the metadata of a module, as lines of text.
pub fn list(module: &[u8]) -> Result<String, Box<dyn std::error::Error>> {
    let parsed = Module::from_buffer(module).map_err(|error| format!("{error:#}"))?;
    let mut text = format!("{} bytes\n\nsections\n", module.len());
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        if let Payload::CustomSection(section) = &payload {
            writeln!(text, "  {:>9}  custom {}", section.data().len(), section.name())?;
        } else if let Some((id, range)) = payload.as_section() {
            writeln!(text, "  {:>9}  {}", range.len(), title(id))?;
        }
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

/// The name of a section that is not custom (WebAssembly core specification 2.0, §5.5.2).
fn title(id: u8) -> &'static str {
    const TITLES: [&str; 14] = [
        "custom",
        "type",
        "import",
        "function",
        "table",
        "memory",
        "global",
        "export",
        "start",
        "element",
        "code",
        "data",
        "data count",
        "tag",
    ];
    TITLES.get(usize::from(id)).copied().unwrap_or("unknown")
}
