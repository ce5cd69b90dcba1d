//! Documents that are shipped check, and fit the schema; documents of a wrong shape fit neither.

mod json_schema;

use json_schema::misfits;
use serde_json::Value;
use sluice_cli::compile::compile;
use sluice_cli::source::Source;
use sluice_cli::{schema, yaml};
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn value(text: &str) -> Value {
    serde_json::from_str(&yaml::read(text).unwrap().to_json()).unwrap()
}

/// The files below `folder` whose names end like this.
fn files(folder: &Path, ends: &[&str], found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files(&path, ends, found);
        } else if ends.iter().any(|end| path.to_str().unwrap().ends_with(end)) {
            found.push(path);
        }
    }
    found.sort();
}

/// The documents in a page: its blocks of YAML or JSON that begin with a version.
fn documents_of_page(page: &str) -> Vec<String> {
    let blocks = page.split("\n```").skip(1).step_by(2);
    let text = blocks.filter_map(|block| {
        let (language, text) = block.split_once('\n')?;
        matches!(language, "yaml" | "json").then(|| text.to_owned())
    });
    text.filter(|text| {
        let first = text
            .lines()
            .find(|line| !line.trim_start().starts_with('#') && line.trim() != "{")
            .unwrap_or_default();
        matches!(first.trim_end_matches(',').trim(), "version: 1" | "\"version\": 1")
            || first.starts_with("{\"version\"")
    })
    .collect()
}

fn must_be_fine(name: &str, text: &str, schema: &Value) {
    let source = Source { name: name.to_owned(), bytes: text.as_bytes().to_vec() };
    if let Err(findings) = compile(&source) {
        panic!("{name}: {findings:#?}\n{text}");
    }
    let problems = misfits(schema, &value(text));
    assert!(problems.is_empty(), "{name} checks, but the schema refuses it: {problems:#?}");
}

#[test]
fn every_document_that_is_shipped_checks_and_fits_the_schema() {
    let schema = schema::schema();
    let mut documents = Vec::new();
    files(&repository().join("envoy-configs"), &["policy.yaml", "policy.json"], &mut documents);
    assert!(documents.len() >= 3, "{documents:?}");
    let mut examples = Vec::new();
    files(&repository().join("docs/examples"), &[".yaml", ".json"], &mut examples);
    examples.retain(|path| !path.iter().any(|folder| folder == "broken"));
    documents.extend(examples);
    for path in documents {
        must_be_fine(path.to_str().unwrap(), &std::fs::read_to_string(&path).unwrap(), &schema);
    }
}

#[test]
fn every_document_in_the_pages_checks_and_fits_the_schema() {
    let schema = schema::schema();
    let mut pages = vec![repository().join("README.md")];
    files(&repository().join("docs"), &[".md"], &mut pages);
    let mut count = 0;
    for page in pages {
        for document in documents_of_page(&std::fs::read_to_string(&page).unwrap()) {
            must_be_fine(page.to_str().unwrap(), &document, &schema);
            count += 1;
        }
    }
    assert!(count >= 2, "{count} documents in the pages");
}

#[test]
fn what_has_a_wrong_shape_does_not_fit_the_schema() {
    let schema = schema::schema();
    let folder = repository().join("docs/examples/broken");
    for name in ["misspelled.yaml", "wrong-types.yaml", "wrong-units.yaml", "other-version.yaml", "json.json"]
    {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        assert!(!misfits(&schema, &value(&text)).is_empty(), "{name}");
    }
}

#[test]
fn every_field_is_described_and_no_object_takes_fields_that_nobody_knows() {
    let schema = schema::schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let mut wrong = Vec::new();
    look("", &schema, &mut wrong);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Keys of an issuer are not ours to define: members that nobody knows are ignored (RFC 7517 §4, §5).
const OPEN: [&str; 2] = ["/$defs/Jwk", "/$defs/JwkSet"];

fn look(path: &str, value: &Value, wrong: &mut Vec<String>) {
    if let Some(properties) = value.get("properties").and_then(Value::as_object) {
        if value.get("additionalProperties") != Some(&Value::Bool(false)) && !OPEN.contains(&path) {
            wrong.push(format!("{path} takes any field"));
        }
        // An alternative of one field, `{ any: […] }`, is described as a whole.
        let alternative = properties.len() == 1 && path.contains("Of/");
        for (name, property) in properties {
            let described = property.get("description").is_some() || property.get("$ref").is_some();
            if !described && !alternative {
                wrong.push(format!("{path}.{name} is not described"));
            }
        }
    }
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| look(&format!("{path}/{name}"), value, wrong))
        }
        Value::Array(items) => {
            for (position, item) in items.iter().enumerate() {
                look(&format!("{path}/{position}"), item, wrong);
            }
        }
        _ => {}
    }
}
