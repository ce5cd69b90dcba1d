//! From a [`Tree`] to the document's types. An error gathers its path on the way out, so that nothing is kept while all fits. A type
//! gets only what it asks for, which keeps a tenth of the code out of the module.

use super::tree::Tree;
use super::{LIST_OR_ONE, SHORT_OR_OBJECT};
use crate::document::problem::{Segment, nearest, quoted_list};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::take;

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
    #[cold]
    #[inline(never)]
    fn plain(message: String) -> Self {
        Self(Box::new(Details { message, suggestion: None, inside_out: Vec::new() }))
    }

    #[cold]
    #[inline(never)]
    fn inside(mut self, segment: Segment) -> Self {
        self.0.inside_out.push(segment);
        self
    }

    #[cold]
    #[inline(never)]
    fn alone(name: &str) -> Self {
        Self::plain(format!("`{name}` alone says too little: write `{{ {name}: … }}`, with its value"))
    }

    #[cold]
    #[inline(never)]
    fn stands_alone(name: &str) -> Self {
        Self::plain(format!("`{name}` stands alone: write `{name}`, without a value"))
            .inside(Segment::Field(name.to_owned()))
    }

    #[cold]
    #[inline(never)]
    fn not_one_of(found: &str, variants: &'static [&'static str]) -> Self {
        let among = quoted_list(variants.iter().copied());
        Self::custom(format_args!("{found} where one of {among} is expected"))
    }

    #[cold]
    #[inline(never)]
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
        Self::plain(message.to_string())
    }

    #[cold]
    #[inline(never)]
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

    #[cold]
    #[inline(never)]
    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = in_words(expected);
        match found {
            Unexpected::Unsigned(number) => Self::custom(format_args!("{number} is not {expected}")),
            Unexpected::Signed(number) => Self::custom(format_args!("{number} is not {expected}")),
            Unexpected::Float(number) => Self::custom(format_args!("{number} is not {expected}")),
            other => Self::custom(format_args!("{} is not {expected}", kind(other))),
        }
    }

    #[cold]
    #[inline(never)]
    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("{length} elements where {} is expected", in_words(expected)))
    }

    fn unknown_field(found: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown("field", found, expected)
    }

    fn unknown_variant(found: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown("value", found, expected)
    }

    #[cold]
    #[inline(never)]
    fn missing_field(field: &'static str) -> Self {
        Self::plain(format!("missing field `{field}`"))
    }

    #[cold]
    #[inline(never)]
    fn duplicate_field(field: &'static str) -> Self {
        Self::plain(format!("duplicate field `{field}`"))
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
fn leave<R: Recovery>(
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
fn place(name: &str, names: &[&str]) -> u64 {
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
struct Place(u64);

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
struct Unknown;

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

/// A variant of an enumeration: by its name alone, or as the one field of an object.
struct Variant<'t, R> {
    name: &'t str,
    variants: &'static [&'static str],
    value: Option<&'t mut Tree>,
    recovery: R,
}

impl<'t, R: Recovery> Variant<'t, R> {
    fn of(reader: Reader<'t, R>, variants: &'static [&'static str]) -> Result<Self, Misfit> {
        let Reader { tree, recovery } = reader;
        let (name, value) = named(tree, variants)?;
        Ok(Self { name, variants, value, recovery })
    }
}

#[inline(never)]
fn named<'t>(
    tree: &'t mut Tree,
    variants: &'static [&'static str],
) -> Result<(&'t str, Option<&'t mut Tree>), Misfit> {
    match tree {
        Tree::Text(name) => Ok((name, None)),
        Tree::Fields(fields) => match fields.as_mut_slice() {
            [(name, value)] => Ok((name, Some(value))),
            [] => Err(Misfit::not_one_of("an empty object", variants)),
            _ => Err(Misfit::not_one_of("an object with several fields", variants)),
        },
        other => Err(Misfit::not_one_of(kind(other.unexpected()), variants)),
    }
}

impl<'de, 't, R: Recovery> EnumAccess<'de> for Variant<'t, R> {
    type Error = Misfit;
    type Variant = Content<'t, R>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'t, R>), Misfit> {
        let Self { name, variants, value, recovery } = self;
        match seed.deserialize(Place(place(name, variants))) {
            Ok(variant) => Ok((variant, Content { name, value, recovery })),
            Err(Unknown) => {
                let misfit = Misfit::unknown("value", name, variants);
                Err(if value.is_some() { misfit.inside(Segment::Field(name.to_owned())) } else { misfit })
            }
        }
    }
}

/// What a variant holds.
struct Content<'t, R> {
    name: &'t str,
    value: Option<&'t mut Tree>,
    recovery: R,
}

impl<R: Recovery> Content<'_, R> {
    fn with<T>(self, read: impl FnOnce(Reader<'_, R>) -> Result<T, Misfit>) -> Result<T, Misfit> {
        let Self { name, value, recovery } = self;
        let Some(tree) = value else { return Err(Misfit::alone(name)) };
        let kept = recovery.kept();
        let mut content = read(Reader { tree, recovery });
        leave(tree, Segment::Field(name.to_owned()), recovery, kept, content.as_mut().err());
        content
    }
}

impl<'de, R: Recovery> VariantAccess<'de> for Content<'_, R> {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        match self.value {
            None | Some(Tree::Null) => Ok(()),
            Some(_) => Err(Misfit::stands_alone(self.name)),
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
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.with(|reader| reader.deserialize_struct("", fields, visitor))
    }
}
