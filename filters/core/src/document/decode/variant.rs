//! The values of an enumeration.

use super::misfit::{Misfit, Recovery, kind};
use super::reader::{Place, Reader, Unknown, leave, place};
use super::tree::Tree;
use crate::document::problem::Segment;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, VariantAccess, Visitor};

/// A variant of an enumeration: by its name alone, or as the one field of an object.
pub(super) struct Variant<'t, R> {
    name: &'t str,
    variants: &'static [&'static str],
    value: Option<&'t mut Tree>,
    recovery: R,
}

impl<'t, R: Recovery> Variant<'t, R> {
    pub(super) fn of(reader: Reader<'t, R>, variants: &'static [&'static str]) -> Result<Self, Misfit> {
        let Reader { tree, recovery } = reader;
        let (name, value) = named(tree, variants)?;
        Ok(Self { name, variants, value, recovery })
    }
}

#[inline(never)]
pub(super) fn named<'t>(
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
pub(super) struct Content<'t, R> {
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
