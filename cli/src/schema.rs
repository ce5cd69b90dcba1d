//! `sluice schema`: the JSON Schema of the document, from the types that read it.

use serde_json::Value;
use sluice_pipeline::Document;

/// The schema (JSON Schema 2020-12).
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Document).to_value();
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("title".to_owned(), "Sluice policy document".into());
    }
    schema
}
