//! Lists and maps as the document writes them.

use crate::document::decode::LIST_OR_ONE;
use crate::document::places::{Places, hash};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

/// A list that may be written as one value: `paths: /healthz` is `paths: [/healthz]`. Never empty: an empty list of alternatives
/// would match nothing, which nobody means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OneOrMany<T>(Vec<T>);

impl<T> OneOrMany<T> {
    /// The values; at least one.
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// Goes over the values.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<T> From<T> for OneOrMany<T> {
    fn from(one: T) -> Self {
        Self(vec![one])
    }
}

impl<'l, T> IntoIterator for &'l OneOrMany<T> {
    type Item = &'l T;
    type IntoIter = std::slice::Iter<'l, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = OneOrMany<T>;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a value or a list of values")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                if values.is_empty() {
                    return Err(de::Error::custom("an empty list; write at least one value"));
                }
                Ok(OneOrMany(values))
            }
            fn visit_some<D: Deserializer<'de>>(self, one: D) -> Result<Self::Value, D::Error> {
                T::deserialize(one).map(OneOrMany::from)
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, any: D) -> Result<Self::Value, D::Error> {
                any.deserialize_any(self)
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
                T::deserialize(de::value::StrDeserializer::new(value)).map(OneOrMany::from)
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
                T::deserialize(de::value::U64Deserializer::new(value)).map(OneOrMany::from)
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
                T::deserialize(de::value::I64Deserializer::new(value)).map(OneOrMany::from)
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
                T::deserialize(de::value::BoolDeserializer::new(value)).map(OneOrMany::from)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(map)).map(OneOrMany::from)
            }
        }
        deserializer.deserialize_newtype_struct(LIST_OR_ONE, ListVisitor(PhantomData))
    }
}

#[cfg(feature = "schema")]
impl<T: schemars::JsonSchema> schemars::JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = generator.subschema_for::<T>();
        schemars::json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

/// A map in the order of the file, in which a key may stand once. (Plain maps take the last of two equal keys in silence.)
#[derive(Clone)]
pub struct OrderedMap<K, V> {
    entries: Vec<(K, V)>,
    /// Where keys stand, in a map that is not small. In a box: most maps are empty, and a document may have a hundred thousand of them.
    places: Option<Box<Places>>,
}

/// Larger maps are searched by hash.
const SMALL: usize = 8;

impl<K, V> Default for OrderedMap<K, V> {
    fn default() -> Self {
        Self { entries: Vec::new(), places: None }
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for OrderedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl<K: Eq, V: Eq> Eq for OrderedMap<K, V> {}

impl<K: Hash, V: Hash> Hash for OrderedMap<K, V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.entries.hash(state);
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for OrderedMap<K, V> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self.entries.iter().map(|(key, value)| (key, value))).finish()
    }
}

impl<K: PartialEq, V> OrderedMap<K, V> {
    /// Goes over the entries in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// Goes over the values, to change them.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    /// The keys in the order of the file.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.iter().map(|(key, _)| key)
    }

    /// The value of `key`.
    pub fn get<Q: ?Sized + PartialEq + Hash>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.position(key).and_then(|position| self.entries.get(position)).map(|(_, value)| value)
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    fn position<Q: ?Sized + PartialEq + Hash>(&self, key: &Q) -> Option<usize>
    where
        K: std::borrow::Borrow<Q>,
    {
        let mut is =
            |position: usize| self.entries.get(position).is_some_and(|(known, _)| known.borrow() == key);
        match &self.places {
            None => (0..self.entries.len()).find(|position| is(*position)),
            Some(places) => places.find(hash(key), &mut is),
        }
    }

    /// Adds an entry whose key is not there.
    fn push(&mut self, key: K, value: V)
    where
        K: Hash,
    {
        let position = self.entries.len();
        if position == SMALL {
            let places = self.places.insert(Box::default());
            for (position, (key, _)) in self.entries.iter().enumerate() {
                places.add(hash(key), position);
            }
        }
        if let Some(places) = &mut self.places {
            places.add(hash(&key), position);
        }
        self.entries.push((key, value));
    }
}

impl<'de, K: Deserialize<'de> + PartialEq + Hash + fmt::Display, V: Deserialize<'de>> Deserialize<'de>
    for OrderedMap<K, V>
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapVisitor<K, V>(PhantomData<(K, V)>);
        impl<'de, K: Deserialize<'de> + PartialEq + Hash + fmt::Display, V: Deserialize<'de>> Visitor<'de>
            for MapVisitor<K, V>
        {
            type Value = OrderedMap<K, V>;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = OrderedMap::default();
                while let Some((key, value)) = map.next_entry::<K, V>()? {
                    if entries.position(&key).is_some() {
                        return Err(de::Error::custom(format!("`{key}` stands twice")));
                    }
                    entries.push(key, value);
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(MapVisitor(PhantomData))
    }
}

#[cfg(feature = "schema")]
impl<K: schemars::JsonSchema, V: schemars::JsonSchema> schemars::JsonSchema for OrderedMap<K, V> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("OrderedMap_{}_{}", K::schema_name(), V::schema_name()).into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let value = generator.subschema_for::<V>();
        schemars::json_schema!({ "type": "object", "additionalProperties": value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::decode::from_json;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn one_value_is_a_list_of_one() {
        assert_eq!(from_json::<OneOrMany<String>>(br#""a""#).unwrap().as_slice(), ["a"]);
        assert_eq!(from_json::<OneOrMany<String>>(br#"["a","b"]"#).unwrap().as_slice(), ["a", "b"]);
        assert_eq!(from_json::<OneOrMany<u16>>(b"3").unwrap().as_slice(), [3]);
    }

    #[test]
    fn an_empty_list_is_an_error() {
        assert!(from_json::<OneOrMany<String>>(b"[]").unwrap_err().message.contains("at least one value"));
    }

    #[test]
    fn a_key_may_stand_once() {
        let error = from_json::<OrderedMap<String, u8>>(br#"{"a":1,"b":2,"a":3}"#).unwrap_err();
        assert!(error.message.contains("`a` stands twice"), "{error}");
    }

    #[test]
    fn large_maps_are_the_same_as_small_ones() {
        let entries: Vec<String> = (0..50).map(|key| format!(r#""k{key}":{key}"#)).collect();
        let map =
            from_json::<OrderedMap<String, u8>>(format!("{{{}}}", entries.join(",")).as_bytes()).unwrap();
        assert!((0..50).all(|key| map.get(format!("k{key}").as_str()) == Some(&key)));
        assert_eq!(map.get("k50"), None);
        let twice = format!(r#"{{{},"k7":1}}"#, entries.join(","));
        let error = from_json::<OrderedMap<String, u8>>(twice.as_bytes()).unwrap_err();
        assert!(error.message.contains("`k7` stands twice"), "{error}");
    }

    #[test]
    fn a_map_keeps_the_order_of_the_file() {
        let map = from_json::<OrderedMap<String, u8>>(br#"{"b":1,"a":2}"#).unwrap();
        assert_eq!(map.keys().collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(map.get("a"), Some(&2));
    }
}
