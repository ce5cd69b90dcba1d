//! What is written: JSON values whose objects keep the order in which a reader expects their fields.

use crate::node::{self, Node};
use serde_json::Value;

/// A value to be written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    /// An object, in this order.
    Object(Vec<(String, Tree)>),
    /// A list.
    List(Vec<Tree>),
    /// Text, a number, `true`, `false` or `null`.
    Scalar(Value),
}

impl Tree {
    /// An object of these fields; those without a value are left out.
    pub(crate) fn object<const N: usize>(fields: [(&str, Option<Tree>); N]) -> Self {
        Tree::Object(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
    }

    /// Its JSON.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Tree::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), value.to_json())).collect()
            }
            Tree::List(elements) => elements.iter().map(Tree::to_json).collect(),
            Tree::Scalar(value) => value.clone(),
        }
    }
}

impl From<&Node> for Tree {
    fn from(node: &Node) -> Self {
        match &node.value {
            node::Value::Object(entries) => Tree::Object(
                entries.iter().map(|entry| (entry.key.clone(), Tree::from(&entry.value))).collect(),
            ),
            node::Value::List(elements) => Tree::List(elements.iter().map(Tree::from).collect()),
            node::Value::Text(text) => Tree::from(text.as_str()),
            node::Value::Number(number) => Tree::Scalar(Value::Number(number.clone())),
            node::Value::Boolean(flag) => Tree::Scalar(Value::Bool(*flag)),
            node::Value::Null => Tree::Scalar(Value::Null),
        }
    }
}

impl From<Value> for Tree {
    /// Objects in the order of their fields' names.
    fn from(value: Value) -> Self {
        match value {
            Value::Object(fields) => {
                Tree::Object(fields.into_iter().map(|(name, value)| (name, Tree::from(value))).collect())
            }
            Value::Array(elements) => Tree::List(elements.into_iter().map(Tree::from).collect()),
            scalar => Tree::Scalar(scalar),
        }
    }
}

impl From<&str> for Tree {
    fn from(text: &str) -> Self {
        Tree::Scalar(Value::from(text))
    }
}

impl From<String> for Tree {
    fn from(text: String) -> Self {
        Tree::Scalar(Value::from(text))
    }
}
