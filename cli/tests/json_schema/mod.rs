//! As much of JSON Schema 2020-12 as our schema uses. A validator from a registry takes minutes to build, on every machine that tests
//! this; a keyword that is not known here fails the test, so that nothing is passed over in silence.

use regex_lite::Regex;
use serde_json::Value;

/// What does not fit, each with its place in the document.
pub fn misfits(schema: &Value, document: &Value) -> Vec<String> {
    let mut misfits = Vec::new();
    Validator { root: schema }.validate(schema, document, "", &mut misfits);
    misfits
}

struct Validator<'s> {
    root: &'s Value,
}

impl Validator<'_> {
    fn fits(&self, schema: &Value, value: &Value) -> bool {
        let mut misfits = Vec::new();
        self.validate(schema, value, "", &mut misfits);
        misfits.is_empty()
    }

    fn validate(&self, schema: &Value, value: &Value, place: &str, misfits: &mut Vec<String>) {
        let keywords = match schema {
            Value::Bool(true) => return,
            Value::Bool(false) => return misfits.push(format!("{place}: nothing is allowed here")),
            Value::Object(keywords) => keywords,
            other => panic!("not a schema: {other}"),
        };
        let mut must = |holds: bool, what: &str| {
            if !holds {
                misfits.push(format!("{place}: {value} is against {what}"));
            }
        };
        for (keyword, argument) in keywords {
            match keyword.as_str() {
                "type" => {
                    let types = argument.as_array().map_or(vec![argument], |types| types.iter().collect());
                    must(
                        types.iter().any(|name| is_type(value, name.as_str().unwrap())),
                        &format!("type {argument}"),
                    );
                }
                "const" => must(value == argument, &format!("const {argument}")),
                "enum" => must(argument.as_array().unwrap().contains(value), &format!("enum {argument}")),
                "minimum" => {
                    must(number(value).is_none_or(|found| found >= number(argument).unwrap()), "minimum")
                }
                "maximum" => {
                    must(number(value).is_none_or(|found| found <= number(argument).unwrap()), "maximum")
                }
                "exclusiveMinimum" => {
                    must(number(value).is_none_or(|found| found > number(argument).unwrap()), keyword)
                }
                "minLength" => {
                    must(length(value).is_none_or(|found| found >= argument.as_u64().unwrap()), keyword)
                }
                "maxLength" => {
                    must(length(value).is_none_or(|found| found <= argument.as_u64().unwrap()), keyword)
                }
                "minItems" | "minProperties" => {
                    let size = value.as_array().map(Vec::len).or(value.as_object().map(serde_json::Map::len));
                    must(size.is_none_or(|size| size as u64 >= argument.as_u64().unwrap()), keyword);
                }
                "maxItems" | "maxProperties" => {
                    let size = value.as_array().map(Vec::len).or(value.as_object().map(serde_json::Map::len));
                    must(size.is_none_or(|size| size as u64 <= argument.as_u64().unwrap()), keyword);
                }
                "pattern" => {
                    let pattern = Regex::new(argument.as_str().unwrap()).unwrap();
                    must(
                        value.as_str().is_none_or(|text| pattern.is_match(text)),
                        &format!("pattern {argument}"),
                    );
                }
                "anyOf" => {
                    must(argument.as_array().unwrap().iter().any(|schema| self.fits(schema, value)), "anyOf")
                }
                "oneOf" => {
                    let count =
                        argument.as_array().unwrap().iter().filter(|schema| self.fits(schema, value)).count();
                    must(count == 1, &format!("oneOf ({count} hold)"));
                }
                "not" => must(!self.fits(argument, value), "not"),
                "required" => {
                    let missing = argument.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
                    for name in missing.filter(|name| value.is_object() && value.get(name).is_none()) {
                        must(false, &format!("required {name}"));
                    }
                }
                _ => {}
            }
        }
        for (keyword, argument) in keywords {
            match keyword.as_str() {
                "$ref" => {
                    let target = argument
                        .as_str()
                        .unwrap()
                        .strip_prefix('#')
                        .and_then(|pointer| self.root.pointer(pointer));
                    self.validate(
                        target.unwrap_or_else(|| panic!("{argument} leads nowhere")),
                        value,
                        place,
                        misfits,
                    );
                }
                "allOf" => argument
                    .as_array()
                    .unwrap()
                    .iter()
                    .for_each(|schema| self.validate(schema, value, place, misfits)),
                "items" => {
                    for (position, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.validate(argument, item, &format!("{place}/{position}"), misfits);
                    }
                }
                "properties" => {
                    for (name, schema) in argument.as_object().unwrap() {
                        if let Some(field) = value.get(name) {
                            self.validate(schema, field, &format!("{place}/{name}"), misfits);
                        }
                    }
                }
                "propertyNames" => {
                    for name in value.as_object().into_iter().flat_map(serde_json::Map::keys) {
                        self.validate(
                            argument,
                            &Value::from(name.as_str()),
                            &format!("{place}/{name}"),
                            misfits,
                        );
                    }
                }
                "additionalProperties" => {
                    let known = keywords.get("properties").and_then(Value::as_object);
                    for (name, field) in value.as_object().into_iter().flatten() {
                        if known.is_none_or(|known| !known.contains_key(name)) {
                            self.validate(argument, field, &format!("{place}/{name}"), misfits);
                        }
                    }
                }
                "type" | "const" | "enum" | "minimum" | "maximum" | "exclusiveMinimum" | "minLength"
                | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" | "pattern"
                | "anyOf" | "oneOf" | "not" | "required" => {}
                // What says nothing about validity.
                "$schema" | "$defs" | "title" | "description" | "default" | "examples" | "format"
                | "deprecated" | "writeOnly" => {}
                other => panic!("the schema uses `{other}`: teach it to cli/tests/json_schema"),
            }
        }
    }
}

fn is_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => number(value).is_some_and(|number| number.fract() == 0.0),
        other => panic!("no type: {other}"),
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64()
}

fn length(value: &Value) -> Option<u64> {
    value.as_str().map(|text| text.chars().count() as u64)
}
