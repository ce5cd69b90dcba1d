//! YAML documents as JSON values: a policy in a test is written as a user writes it.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Number, Value};

use crate::{Error, Result};

/// Reads one YAML document (JSON is YAML, too).
pub fn from_yaml(text: &str) -> Result<Value> {
    let documents = Yaml::load_from_str(text).map_err(|e| Error::Other(format!("not YAML: {e}")))?;
    match documents.as_slice() {
        [] => Ok(Value::Null),
        [document] => to_json(document),
        _ => Err("more than one YAML document".into()),
    }
}

fn to_json(node: &Yaml) -> Result<Value> {
    Ok(match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => Value::Bool(*value),
        Yaml::Value(Scalar::Integer(value)) => Value::from(*value),
        Yaml::Value(Scalar::FloatingPoint(value)) => {
            Number::from_f64(**value).map(Value::Number).ok_or("a number that JSON can't write")?
        }
        Yaml::Value(Scalar::String(value)) => Value::String(value.to_string()),
        Yaml::Sequence(items) => Value::Array(items.iter().map(to_json).collect::<Result<_>>()?),
        Yaml::Mapping(entries) => {
            let mut object = Map::new();
            for (key, value) in entries {
                let key = match to_json(key)? {
                    Value::String(key) => key,
                    other => other.to_string(),
                };
                object.insert(key, to_json(value)?);
            }
            Value::Object(object)
        }
        Yaml::Tagged(_, node) => to_json(node)?,
        other => return Err(Error::Other(format!("a YAML node without a JSON form: {other:?}"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn yaml_becomes_json_with_its_types() {
        let value =
            from_yaml("a: [1, 2.5, true, null, 'x', \"8\"]\nb: {200: ok}\nc: &x {d: e}\nf: *x\n").unwrap();
        assert_eq!(
            value,
            json!({"a": [1, 2.5, true, null, "x", "8"], "b": {"200": "ok"}, "c": {"d": "e"}, "f": {"d": "e"}})
        );
    }

    #[test]
    fn what_is_not_yaml_is_refused() {
        assert!(from_yaml("a: [1").is_err());
        assert!(from_yaml("a: 1\n---\nb: 2\n").is_err());
    }
}
