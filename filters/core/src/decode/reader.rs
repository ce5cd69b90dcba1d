//! From a [`Tree`] to the document's types. An error gathers its path on the way out, so that nothing is kept while all fits. A type
//! gets only what it asks for, which keeps a tenth of the code out of the module.

use super::tree::Tree;
use crate::problem::Segment;
use serde::de::value::SeqDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use std::fmt;

/// What does not fit, and where: the innermost segment first.
#[derive(Debug)]
pub(super) struct Misfit {
    pub(super) message: String,
    pub(super) inside_out: Vec<Segment>,
}

impl Misfit {
    fn inside(mut self, segment: Segment) -> Self {
        self.inside_out.push(segment);
        self
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Misfit {}

impl Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), inside_out: Vec::new() }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        match found {
            // JSON's word for it.
            Unexpected::Unit => Self::custom(format_args!("invalid type: null, expected {expected}")),
            found => Self::custom(format_args!("invalid type: {found}, expected {expected}")),
        }
    }
}

impl<'de> IntoDeserializer<'de, Misfit> for Tree {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Tree {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self {
            Tree::Null => visitor.visit_unit(),
            Tree::Bool(value) => visitor.visit_bool(value),
            Tree::Unsigned(value) => visitor.visit_u64(value),
            Tree::Signed(value) => visitor.visit_i64(value),
            Tree::Float(value) => visitor.visit_f64(value),
            Tree::Text(text) => visitor.visit_string(text),
            list @ Tree::List(_) => list.deserialize_seq(visitor),
            fields @ Tree::Fields(_) => fields.deserialize_map(visitor),
        }
    }

    // A type that says what it wants gets only that, and an error in its own words for anything else. (By `deserialize_any` the
    // code for all that it does not want would be in the module too: for an object, to read it from a list.)

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self {
            Tree::Fields(fields) => visitor.visit_map(Fields { rest: fields.into_iter(), value: None }),
            other => Err(Misfit::invalid_type(other.unexpected(), &visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.deserialize_map(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self {
            Tree::List(elements) => {
                let mut elements = Elements { rest: elements.into_iter(), position: 0 };
                let value = visitor.visit_seq(&mut elements)?;
                // A visitor that is content before the end, such as a tuple's.
                match elements.rest.len() {
                    0 => Ok(value),
                    _ => Err(Misfit::custom("too many elements in this list")),
                }
            }
            other => Err(Misfit::invalid_type(other.unexpected(), &visitor)),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self {
            Tree::Text(text) => visitor.visit_string(text),
            other => Err(Misfit::invalid_type(other.unexpected(), &visitor)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_string(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_string(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self {
            Tree::Bool(value) => visitor.visit_bool(value),
            other => Err(Misfit::invalid_type(other.unexpected(), &visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self {
            Tree::Null => visitor.visit_none(),
            some => visitor.visit_some(some),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self {
            Tree::Text(variant) => visitor.visit_enum(Variant { name: variant, value: None }),
            Tree::Fields(fields) if fields.len() == 1 => match fields.into_iter().next() {
                Some((name, value)) => visitor.visit_enum(Variant { name, value: Some(value) }),
                None => Err(Misfit::invalid_type(Unexpected::Map, &"a name or an object with one field")),
            },
            other => Err(Misfit::invalid_type(other.unexpected(), &"a name or an object with one field")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple_struct
    }
}

impl Tree {
    fn unexpected(&self) -> Unexpected<'_> {
        match self {
            Tree::Null => Unexpected::Unit,
            Tree::Bool(value) => Unexpected::Bool(*value),
            Tree::Unsigned(value) => Unexpected::Unsigned(*value),
            Tree::Signed(value) => Unexpected::Signed(*value),
            Tree::Float(value) => Unexpected::Float(*value),
            Tree::Text(text) => Unexpected::Str(text),
            Tree::List(_) => Unexpected::Seq,
            Tree::Fields(_) => Unexpected::Map,
        }
    }
}

struct Elements {
    rest: std::vec::IntoIter<Tree>,
    position: usize,
}

impl<'de> SeqAccess<'de> for &mut Elements {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        let Some(element) = self.rest.next() else { return Ok(None) };
        let position = self.position;
        self.position = position.saturating_add(1);
        seed.deserialize(element).map(Some).map_err(|misfit| misfit.inside(Segment::Index(position)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

struct Fields {
    rest: std::vec::IntoIter<(String, Tree)>,
    /// The value whose name was handed out last.
    value: Option<(String, Tree)>,
}

impl<'de> MapAccess<'de> for Fields {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        let (name, _) = self.value.insert((name, value));
        match seed.deserialize(Tree::Text(name.clone())) {
            Ok(key) => Ok(Some(key)),
            Err(misfit) => Err(misfit.inside(Segment::Field(name.clone()))),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let Some((name, value)) = self.value.take() else {
            return Err(Misfit::custom("a value was asked for before its name"));
        };
        seed.deserialize(value).map_err(|misfit| misfit.inside(Segment::Field(name)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// A variant of an enumeration: by its name alone, or as the one field of an object.
struct Variant {
    name: String,
    value: Option<Tree>,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = Misfit;
    type Variant = Content;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content), Misfit> {
        let Self { name, value } = self;
        let in_object = value.is_some();
        match seed.deserialize(Tree::Text(name.clone())) {
            Ok(variant) => Ok((variant, Content { name, value })),
            Err(misfit) if in_object => Err(misfit.inside(Segment::Field(name))),
            Err(misfit) => Err(misfit),
        }
    }
}

/// What a variant holds.
struct Content {
    name: String,
    value: Option<Tree>,
}

impl Content {
    fn with<T>(
        self,
        expected: &'static str,
        read: impl FnOnce(Tree) -> Result<T, Misfit>,
    ) -> Result<T, Misfit> {
        let Self { name, value } = self;
        let Some(value) = value else {
            return Err(Misfit::invalid_type(Unexpected::UnitVariant, &expected));
        };
        read(value).map_err(|misfit| misfit.inside(Segment::Field(name)))
    }
}

impl<'de> VariantAccess<'de> for Content {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        match self.value {
            None | Some(Tree::Null) => Ok(()),
            Some(value) => {
                Err(Misfit::invalid_type(value.unexpected(), &"the name alone")
                    .inside(Segment::Field(self.name)))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Misfit> {
        self.with("a value", |value| seed.deserialize(value))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.with("a list", |value| match value {
            Tree::List(elements) => SeqDeserializer::new(elements.into_iter()).deserialize_any(visitor),
            other => Err(Misfit::invalid_type(other.unexpected(), &"a list")),
        })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.with("an object", |value| match value {
            Tree::Fields(_) => value.deserialize_any(visitor),
            other => Err(Misfit::invalid_type(other.unexpected(), &"an object")),
        })
    }
}
