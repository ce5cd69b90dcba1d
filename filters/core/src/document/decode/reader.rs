//! From a [`Tree`] to the document's types. An error gathers its path on the way out, so that nothing is kept while all fits. A type
//! gets only what it asks for, which keeps a tenth of the code out of the module.

use super::tree::Tree;
use crate::document::problem::{Segment, nearest, quoted_list};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;

/// What does not fit. In a box: every function of every type that is read hands it on.
#[derive(Debug)]
pub(super) struct Misfit(pub(super) Box<Details>);

/// What does not fit, and where: the innermost segment first.
#[derive(Debug)]
pub(super) struct Details {
    pub(super) message: String,
    pub(super) suggestion: Option<String>,
    pub(super) inside_out: Vec<Segment>,
}

/// What becomes of what does not fit.
pub(super) trait Recovery: Copy {
    /// Keeps it, so that reading goes on behind it; or gives it back, so that reading ends.
    fn keep(self, misfit: Misfit) -> Result<(), Misfit>;

    /// How much has been kept.
    fn kept(self) -> usize;

    /// What has been kept after the first `kept` stands within `segment`.
    fn enclose(self, kept: usize, segment: &Segment);
}

/// Reading ends with the first thing that does not fit.
#[derive(Clone, Copy)]
pub(super) struct First;

impl Recovery for First {
    fn keep(self, misfit: Misfit) -> Result<(), Misfit> {
        Err(misfit)
    }

    fn kept(self) -> usize {
        0
    }

    fn enclose(self, _kept: usize, _segment: &Segment) {}
}

/// Reading goes on, as far as it can.
impl Recovery for &RefCell<Vec<Misfit>> {
    fn keep(self, misfit: Misfit) -> Result<(), Misfit> {
        self.borrow_mut().push(misfit);
        Ok(())
    }

    fn kept(self) -> usize {
        self.borrow().len()
    }

    fn enclose(self, kept: usize, segment: &Segment) {
        for misfit in self.borrow_mut().iter_mut().skip(kept) {
            misfit.0.inside_out.push(segment.clone());
        }
    }
}

impl Misfit {
    fn inside(mut self, segment: Segment) -> Self {
        self.0.inside_out.push(segment);
        self
    }

    fn not_one_of(found: &str, variants: &'static [&'static str]) -> Self {
        let among = quoted_list(variants.iter().copied());
        Self::custom(format_args!("{found} where one of {among} is expected"))
    }

    fn unknown(what: &str, found: &str, expected: &'static [&'static str]) -> Self {
        let among = quoted_list(expected.iter().copied());
        let expected_text = match expected.len() {
            0 => "nothing can be written here".to_owned(),
            1 => format!("there is {among}"),
            _ => format!("there are {among}"),
        };
        let suggestion = nearest(found, expected.iter().copied()).map(str::to_owned);
        let mut misfit = Self::custom(format_args!("unknown {what} `{found}`; {expected_text}"));
        misfit.0.suggestion = suggestion;
        misfit
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.message)
    }
}

impl std::error::Error for Misfit {}

impl Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(Box::new(Details { message: message.to_string(), suggestion: None, inside_out: Vec::new() }))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = in_words(expected);
        let mut message = format!("{} where {expected} is expected", kind(found));
        if expected == "text"
            && matches!(
                found,
                Unexpected::Bool(_) | Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_)
            )
        {
            message.push_str("; put it in quotes");
        }
        Self::custom(message)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = in_words(expected);
        match found {
            Unexpected::Unsigned(number) => Self::custom(format_args!("{number} is not {expected}")),
            Unexpected::Signed(number) => Self::custom(format_args!("{number} is not {expected}")),
            Unexpected::Float(number) => Self::custom(format_args!("{number} is not {expected}")),
            other => Self::custom(format_args!("{} is not {expected}", kind(other))),
        }
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("{length} elements where {} is expected", in_words(expected)))
    }

    fn unknown_field(found: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown("field", found, expected)
    }

    fn unknown_variant(found: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown("value", found, expected)
    }
}

/// JSON's word for what was found. What it is, is not repeated: it may be a secret.
fn kind(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "`true` or `false`",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Str(_) | Unexpected::Char(_) => "text",
        Unexpected::Unit | Unexpected::Option => "nothing (`null`)",
        Unexpected::Seq => "a list",
        Unexpected::Map => "an object",
        _ => "something else",
    }
}

/// Serde speaks of its data model and of Rust's types; documents have lists, objects and ranges.
fn in_words(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    let words = match expected.as_str() {
        "a string" | "string" => "text",
        "a boolean" => "`true` or `false`",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "i32" | "i64" => "a whole number",
        "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        _ => return expected,
    };
    words.to_owned()
}

/// A [`Tree`], and what becomes of what does not fit in it.
pub(super) struct Reader<R> {
    pub(super) tree: Tree,
    pub(super) recovery: R,
}

impl<'de, R: Recovery> IntoDeserializer<'de, Misfit> for Reader<R> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de, R: Recovery> Deserializer<'de> for Reader<R> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.tree {
            Tree::Null => visitor.visit_unit(),
            Tree::Bool(value) => visitor.visit_bool(value),
            Tree::Unsigned(value) => visitor.visit_u64(value),
            Tree::Signed(value) => visitor.visit_i64(value),
            Tree::Float(value) => visitor.visit_f64(value),
            Tree::Text(text) => visitor.visit_string(text),
            Tree::List(_) => self.deserialize_seq(visitor),
            Tree::Fields(_) => self.deserialize_map(visitor),
        }
    }

    // A type that says what it wants gets only that, and an error in its own words for anything else. (By `deserialize_any` the
    // code for all that it does not want would be in the module too: for an object, to read it from a list.)

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let recovery = self.recovery;
        match self.tree {
            Tree::Fields(fields) => {
                visitor.visit_map(Fields { rest: fields.into_iter(), value: None, recovery })
            }
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
        let recovery = self.recovery;
        match self.tree {
            Tree::List(elements) => {
                let mut elements = Elements { rest: elements.into_iter(), position: 0, recovery };
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
        match self.tree {
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
        match self.tree {
            Tree::Bool(value) => visitor.visit_bool(value),
            other => Err(Misfit::invalid_type(other.unexpected(), &visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.tree {
            Tree::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
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
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let Self { tree, recovery } = self;
        match tree {
            Tree::Text(name) => visitor.visit_enum(Variant { name, value: None, recovery }),
            Tree::Fields(fields) if fields.len() == 1 => match fields.into_iter().next() {
                Some((name, value)) => visitor.visit_enum(Variant { name, value: Some(value), recovery }),
                None => Err(Misfit::not_one_of("nothing", variants)),
            },
            Tree::Fields(fields) if fields.is_empty() => Err(Misfit::not_one_of("an empty object", variants)),
            Tree::Fields(_) => Err(Misfit::not_one_of("an object with several fields", variants)),
            other => Err(Misfit::not_one_of(kind(other.unexpected()), variants)),
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

struct Elements<R> {
    rest: std::vec::IntoIter<Tree>,
    position: usize,
    recovery: R,
}

impl<'de, R: Recovery> SeqAccess<'de> for &mut Elements<R> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        let Some(tree) = self.rest.next() else { return Ok(None) };
        let (position, recovery) = (self.position, self.recovery);
        self.position = position.saturating_add(1);
        let kept = recovery.kept();
        let element = seed.deserialize(Reader { tree, recovery });
        recovery.enclose(kept, &Segment::Index(position));
        element.map(Some).map_err(|misfit| misfit.inside(Segment::Index(position)))
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

struct Fields<R> {
    rest: std::vec::IntoIter<(String, Tree)>,
    /// The value whose name was handed out last.
    value: Option<(String, Tree)>,
    recovery: R,
}

impl<'de, R: Recovery> MapAccess<'de> for Fields<R> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        let (name, _) = self.value.insert((name, value));
        match seed.deserialize(Reader { tree: Tree::Text(name.clone()), recovery: self.recovery }) {
            Ok(key) => Ok(Some(key)),
            Err(misfit) => Err(misfit.inside(Segment::Field(name.clone()))),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let Some((name, tree)) = self.value.take() else {
            return Err(Misfit::custom("a value was asked for before its name"));
        };
        let recovery = self.recovery;
        let kept = recovery.kept();
        let value = seed.deserialize(Reader { tree, recovery });
        let segment = Segment::Field(name);
        recovery.enclose(kept, &segment);
        value.map_err(|misfit| misfit.inside(segment))
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

/// A variant of an enumeration: by its name alone, or as the one field of an object.
struct Variant<R> {
    name: String,
    value: Option<Tree>,
    recovery: R,
}

impl<'de, R: Recovery> EnumAccess<'de> for Variant<R> {
    type Error = Misfit;
    type Variant = Content<R>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<R>), Misfit> {
        let Self { name, value, recovery } = self;
        let in_object = value.is_some();
        match seed.deserialize(Reader { tree: Tree::Text(name.clone()), recovery }) {
            Ok(variant) => Ok((variant, Content { name, value, recovery })),
            Err(misfit) if in_object => Err(misfit.inside(Segment::Field(name))),
            Err(misfit) => Err(misfit),
        }
    }
}

/// What a variant holds.
struct Content<R> {
    name: String,
    value: Option<Tree>,
    recovery: R,
}

impl<R: Recovery> Content<R> {
    fn with<T>(self, read: impl FnOnce(Reader<R>) -> Result<T, Misfit>) -> Result<T, Misfit> {
        let Self { name, value, recovery } = self;
        let Some(tree) = value else {
            return Err(Misfit::custom(format_args!(
                "`{name}` alone says too little: write `{{ {name}: … }}`, with its value"
            )));
        };
        let kept = recovery.kept();
        let content = read(Reader { tree, recovery });
        let segment = Segment::Field(name);
        recovery.enclose(kept, &segment);
        content.map_err(|misfit| misfit.inside(segment))
    }
}

impl<'de, R: Recovery> VariantAccess<'de> for Content<R> {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        match self.value {
            None | Some(Tree::Null) => Ok(()),
            Some(_) => {
                let message = format!("`{0}` stands alone: write `{0}`, without a value", self.name);
                Err(Misfit::custom(message).inside(Segment::Field(self.name)))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Misfit> {
        self.with(|reader| seed.deserialize(reader))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.with(|reader| reader.deserialize_seq(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.with(|reader| reader.deserialize_map(visitor))
    }
}
