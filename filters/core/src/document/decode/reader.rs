//! From a [`Tree`] to the document's types. An error gathers its path on the way out, so that nothing is kept while all fits. A type
//! gets only what it asks for, which keeps a tenth of the code out of the module.

use super::misfit::{Misfit, Recovery};
use super::tree::Tree;
use super::variant::Variant;
use super::{ENTRIES, ENTRIES_OR_ONE, LIST_OR_ONE, SHORT_OR_OBJECT};
use crate::document::problem::Segment;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use std::fmt;
use std::marker::PhantomData;
use std::mem::take;

/// A [`Tree`], and what becomes of what does not fit in it. It is lent, not given: a type that is read has then nothing to clear away.
pub(super) struct Reader<'t, R> {
    pub(super) tree: &'t mut Tree,
    pub(super) recovery: R,
}

impl<'de, R: Recovery> IntoDeserializer<'de, Misfit> for Reader<'_, R> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de, R: Recovery> Deserializer<'de> for Reader<'_, R> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.tree {
            Tree::Fields(_) => self.deserialize_map(visitor),
            _ => self.deserialize_flat(visitor),
        }
    }

    // A type that says what it wants gets only that, and an error in its own words for anything else. (By `deserialize_any` the
    // code for all that it does not want would be in the module too: for an object, to read it from a list.)

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match Fields::of(self) {
            Ok(fields) => visitor.visit_map(fields),
            Err(tree) => Err(tree.is_not(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match Fields::of(self) {
            Ok(fields) => visitor.visit_map(Members { fields, names }),
            Err(tree) => Err(tree.is_not(&visitor)),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.tree {
            Tree::List(elements) => {
                let mut elements =
                    Elements { rest: elements.iter_mut(), position: 0, recovery: self.recovery };
                let value = visitor.visit_seq(&mut elements)?;
                // A visitor that is content before the end, such as a tuple's.
                match elements.rest.len() {
                    0 => Ok(value),
                    _ => Err(Misfit::plain("too many elements in this list".to_owned())),
                }
            }
            other => Err(other.is_not(&visitor)),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.tree {
            Tree::Text(text) => visitor.visit_string(take(text)),
            other => Err(other.is_not(&visitor)),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_string(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.tree {
            Tree::Bool(value) => visitor.visit_bool(*value),
            other => Err(other.is_not(&visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.tree {
            Tree::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    // Inlined, so that for each type one way is left.
    #[inline(always)]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match name {
            LIST_OR_ONE => match self.tree {
                Tree::List(_) => self.deserialize_seq(visitor),
                Tree::Null | Tree::Float(_) => Err(self.tree.is_not(&visitor)),
                _ => visitor.visit_some(self),
            },
            ENTRIES | ENTRIES_OR_ONE => match self.tree {
                Tree::List(list) => match self.recovery.set_aside(list) {
                    Some(number) => visitor.visit_u128(number),
                    None => self.deserialize_seq(visitor),
                },
                Tree::Null | Tree::Float(_) => Err(self.tree.is_not(&visitor)),
                _ if name == ENTRIES_OR_ONE => visitor.visit_some(self),
                other => Err(other.is_not(&visitor)),
            },
            SHORT_OR_OBJECT => match self.tree {
                Tree::Fields(_) => visitor.visit_some(self),
                _ => self.deserialize_flat(visitor),
            },
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_enum(Variant::of(self, variants)?)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple_struct identifier
    }
}

impl<R: Recovery> Reader<'_, R> {
    /// What is no object.
    fn deserialize_flat<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.tree {
            Tree::Null => visitor.visit_unit(),
            Tree::Bool(value) => visitor.visit_bool(*value),
            Tree::Unsigned(value) => visitor.visit_u64(*value),
            Tree::Signed(value) => visitor.visit_i64(*value),
            Tree::Float(value) => visitor.visit_f64(*value),
            Tree::Text(text) => visitor.visit_string(take(text)),
            Tree::List(_) => self.deserialize_seq(visitor),
            Tree::Fields(_) => Err(self.tree.is_not(&visitor)),
        }
    }
}

impl Tree {
    pub(super) fn unexpected(&self) -> Unexpected<'_> {
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

    #[cold]
    #[inline(never)]
    fn is_not(&self, expected: &dyn Expected) -> Misfit {
        Misfit::invalid_type(self.unexpected(), expected)
    }
}

struct Elements<'t, R> {
    rest: std::slice::IterMut<'t, Tree>,
    position: usize,
    recovery: R,
}

/// What is done behind every value of every type, and so not in the code of each: it is cleared away, and what did not fit in it gets its place.
#[inline(never)]
pub(super) fn leave<R: Recovery>(
    tree: &mut Tree,
    segment: Segment,
    recovery: R,
    kept: usize,
    misfit: Option<&mut Misfit>,
) {
    *tree = Tree::Null;
    recovery.enclose(kept, &segment);
    if let Some(misfit) = misfit {
        misfit.0.inside_out.push(segment);
    }
}

impl<'de, R: Recovery> SeqAccess<'de> for &mut Elements<'_, R> {
    type Error = Misfit;

    #[inline(never)]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        let Some(tree) = self.rest.next() else { return Ok(None) };
        let (position, recovery) = (self.position, self.recovery);
        self.position = position.saturating_add(1);
        let kept = recovery.kept();
        let mut element = seed.deserialize(Reader { tree, recovery });
        leave(tree, Segment::Index(position), recovery, kept, element.as_mut().err());
        element.map(Some)
    }

    /// Lists read their elements by this one; an element that does not fit can be left out.
    fn next_element<T: Deserialize<'de>>(&mut self) -> Result<Option<T>, Misfit> {
        loop {
            match self.next_element_seed(PhantomData) {
                Ok(element) => return Ok(element),
                Err(misfit) => self.recovery.keep(misfit)?,
            }
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

struct Fields<'t, R> {
    rest: std::slice::IterMut<'t, (String, Tree)>,
    /// The value whose name was handed out last.
    value: Option<&'t mut (String, Tree)>,
    recovery: R,
}

impl<'t, R: Recovery> Fields<'t, R> {
    fn of(reader: Reader<'t, R>) -> Result<Self, &'t Tree> {
        match reader.tree {
            Tree::Fields(fields) => {
                Ok(Self { rest: fields.iter_mut(), value: None, recovery: reader.recovery })
            }
            other => Err(other),
        }
    }

    /// Turns to the next field. `None` behind the last; a place behind all `names` for a name that is none of them.
    #[inline(never)]
    fn next_place(&mut self, names: &[&str]) -> Option<u64> {
        let field = self.rest.next()?;
        let (name, _) = self.value.insert(field);
        Some(place(name, names))
    }

    #[cold]
    #[inline(never)]
    fn unknown(&self, names: &'static [&'static str]) -> Misfit {
        let name = self.value.as_ref().map(|field| field.0.as_str()).unwrap_or_default();
        Misfit::unknown("field", name, names).inside(Segment::Field(name.to_owned()))
    }
}

/// Where `name` stands among `names`; behind all where it does not.
#[inline(never)]
pub(super) fn place(name: &str, names: &[&str]) -> u64 {
    names
        .iter()
        .position(|known| *known == name)
        .and_then(|place| u64::try_from(place).ok())
        .unwrap_or(u64::MAX)
}

impl<'de, R: Recovery> MapAccess<'de> for Fields<'_, R> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some(field) = self.rest.next() else { return Ok(None) };
        let (name, _) = self.value.insert(field);
        let mut text = Tree::Text(name.clone());
        match seed.deserialize(Reader { tree: &mut text, recovery: self.recovery }) {
            Ok(key) => Ok(Some(key)),
            Err(misfit) => Err(misfit.inside(Segment::Field(name.clone()))),
        }
    }

    #[inline(never)]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let Some((name, tree)) = self.value.take() else {
            return Err(Misfit::plain("a value was asked for before its name".to_owned()));
        };
        let recovery = self.recovery;
        let kept = recovery.kept();
        let mut value = seed.deserialize(Reader { tree, recovery });
        leave(tree, Segment::Field(take(name)), recovery, kept, value.as_mut().err());
        value
    }

    /// Objects read the names of their fields by this one; a name that does not fit can be left out.
    fn next_key<K: Deserialize<'de>>(&mut self) -> Result<Option<K>, Misfit> {
        loop {
            match self.next_key_seed(PhantomData) {
                Ok(key) => return Ok(key),
                Err(misfit) => self.recovery.keep(misfit)?,
            }
        }
    }

    /// Maps read their entries by this one; an entry that does not fit can be left out.
    fn next_entry<K: Deserialize<'de>, V: Deserialize<'de>>(&mut self) -> Result<Option<(K, V)>, Misfit> {
        loop {
            let Some(key) = self.next_key()? else { return Ok(None) };
            match self.next_value_seed(PhantomData) {
                Ok(value) => return Ok(Some((key, value))),
                Err(misfit) => self.recovery.keep(misfit)?,
            }
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// The fields of an object that a type names. A name is looked up here, once for all types, and handed on as its place: no type needs code to
/// compare names.
struct Members<'t, R> {
    fields: Fields<'t, R>,
    names: &'static [&'static str],
}

impl<'de, R: Recovery> MapAccess<'de> for Members<'_, R> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        match self.fields.next_place(self.names).map(|place| seed.deserialize(Place(place))) {
            None => Ok(None),
            Some(Ok(key)) => Ok(Some(key)),
            Some(Err(Unknown)) => Err(self.fields.unknown(self.names)),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        self.fields.next_value_seed(seed)
    }

    /// A name that does not fit can be left out.
    fn next_key<K: Deserialize<'de>>(&mut self) -> Result<Option<K>, Misfit> {
        loop {
            match self.next_key_seed(PhantomData) {
                Ok(key) => return Ok(key),
                Err(misfit) => self.fields.recovery.keep(misfit)?,
            }
        }
    }
}

/// The place of a name among those of a type's fields or variants.
pub(super) struct Place(pub(super) u64);

impl<'de> Deserializer<'de> for Place {
    type Error = Unknown;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unknown> {
        visitor.visit_u64(self.0)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

/// The type has no such name, and does not leave out what it does not know.
#[derive(Debug)]
pub(super) struct Unknown;

impl fmt::Display for Unknown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("unknown")
    }
}

impl std::error::Error for Unknown {}

impl Error for Unknown {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self
    }

    fn invalid_value(_found: Unexpected<'_>, _expected: &dyn Expected) -> Self {
        Self
    }
}
