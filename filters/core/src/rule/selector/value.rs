mod inclusion;

use super::items::items;
use crate::document::decode::SHORT_OR_OBJECT;
use crate::document::list::OneOrMany;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// What a header, cookie, query parameter or claim must be: a value, a list of values (any of), or conditions, all of which must
/// hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ValueMatch(ValueCondition);

/// Conditions on a value; all that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ValueCondition {
    /// Whether there is a value at all.
    pub present: Option<bool>,
    /// It is one of these.
    pub exact: Option<OneOrMany<String>>,
    /// It begins with one of these.
    pub prefix: Option<OneOrMany<String>>,
    /// It ends with one of these.
    pub suffix: Option<OneOrMany<String>>,
    /// It holds one of these.
    pub contains: Option<OneOrMany<String>>,
    /// It is a list, separated by commas, that has one of these as an item (RFC 9110 §5.6.1). Anybody on the way may join the lines of a
    /// header into one such list (§5.3): a `deny` by `exact` could be dodged by `x-role: a,evil`. Stands without `exact`, `prefix`,
    /// `suffix` and `contains`.
    pub item: Option<OneOrMany<String>>,
}

impl ValueMatch {
    /// Whether one of several values is as asked; none at all is the absence of the header, cookie or parameter.
    ///
    /// Each is looked at by itself, as Envoy's RBAC filter does: joined with commas, a rule against `x-age: child` could be dodged by
    /// sending a second `x-age`.
    pub fn matches_any<V: AsRef<[u8]>>(&self, values: impl IntoIterator<Item = V>) -> bool {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return self.matches(None);
        }
        values.any(|value| self.matches(Some(value.as_ref())))
    }

    /// Whether any value will do, even one that has no text.
    pub fn asks_only_for_presence(&self) -> bool {
        self.0 == ValueCondition { present: Some(true), ..ValueCondition::default() }
    }

    /// Whether `value` is as asked; `None` is the absence of the header, cookie or claim.
    pub fn matches(&self, value: Option<&[u8]>) -> bool {
        let condition = &self.0;
        let Some(value) = value else {
            // Nothing satisfies a condition on the value, so only `present: false` alone holds.
            return condition.present == Some(false);
        };
        let any = |alternatives: &Option<OneOrMany<String>>, holds: &dyn Fn(&[u8]) -> bool| {
            alternatives.as_ref().is_none_or(|list| list.iter().any(|text| holds(text.as_bytes())))
        };
        condition.present != Some(false)
            && any(&condition.exact, &|text| value == text)
            && any(&condition.prefix, &|text| value.starts_with(text))
            && any(&condition.suffix, &|text| value.ends_with(text))
            && any(&condition.contains, &|text| {
                text.is_empty() || value.windows(text.len()).any(|part| part == text)
            })
            && condition.item.as_ref().is_none_or(|wanted| {
                items(value).any(|item| wanted.iter().any(|wanted| wanted.as_bytes() == &*item))
            })
    }

    /// Whether a value may be as asked that does not match any more when another is joined to it with a comma.
    pub fn can_be_dodged_by_joining(&self) -> bool {
        let ValueCondition { exact, prefix, suffix, .. } = &self.0;
        exact.is_some() || prefix.is_some() || suffix.is_some()
    }
}

impl<'de> Deserialize<'de> for ValueMatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = ValueMatch;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a value, a list of values, or conditions (`present`, `exact`, `prefix`, `suffix`, `contains`, `item`)")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ValueMatch, E> {
                Ok(exact(OneOrMany::from(text.to_owned())))
            }
            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<ValueMatch, E> {
                self.visit_str(if flag { "true" } else { "false" })
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<ValueMatch, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<ValueMatch, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<ValueMatch, A::Error> {
                OneOrMany::deserialize(de::value::SeqAccessDeserializer::new(list)).map(exact)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ValueMatch, A::Error> {
                self.visit_some(de::value::MapAccessDeserializer::new(map))
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, any: D) -> Result<ValueMatch, D::Error> {
                any.deserialize_any(self)
            }
            fn visit_some<D: Deserializer<'de>>(self, object: D) -> Result<ValueMatch, D::Error> {
                let condition = ValueCondition::deserialize(object)?;
                if condition == ValueCondition::default() {
                    return Err(de::Error::custom(
                        "no condition is given: one of `present`, `exact`, `prefix`, `suffix`, `contains`, `item`",
                    ));
                }
                let others = ValueCondition { present: None, ..condition.clone() };
                if condition.present == Some(false) && others != ValueCondition::default() {
                    return Err(de::Error::custom(
                        "a value that must not be present can meet no other condition: this never matches",
                    ));
                }
                if let Some(items) = &condition.item {
                    check_items(items, &condition).map_err(de::Error::custom)?;
                }
                Ok(ValueMatch(condition))
            }
        }
        deserializer.deserialize_newtype_struct(SHORT_OR_OBJECT, ValueVisitor)
    }
}

fn check_items(items: &OneOrMany<String>, condition: &ValueCondition) -> Result<(), String> {
    let ValueCondition { exact, prefix, suffix, contains, .. } = condition;
    if [exact, prefix, suffix, contains].iter().any(|other| other.is_some()) {
        return Err(
            "`item` asks for an item of a list, the other conditions for the whole value: write `item` alone"
                .to_owned(),
        );
    }
    match items.iter().find(|item| item.is_empty() || item.contains(',') || item.trim() != *item) {
        Some(item) => Err(format!(
            "{item:?} is never an item: one is not empty and has no comma, and no blank at its ends"
        )),
        None => Ok(()),
    }
}

fn exact(values: OneOrMany<String>) -> ValueMatch {
    ValueMatch(ValueCondition { exact: Some(values), ..ValueCondition::default() })
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ValueMatch {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ValueMatch".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let condition = generator.subschema_for::<ValueCondition>();
        schemars::json_schema!({
            "description": "A value, a list of values (any of), or conditions that must all hold.",
            "anyOf": [
                { "type": ["string", "number", "boolean"] },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 },
                condition
            ]
        })
    }
}
