//! Lists of a document that may be long.

use crate::document::decode::{Aside, ENTRIES, ENTRIES_OR_ONE};
use crate::document::problem::Problem;
use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

/// A list that may be long: where a document is read in slices, it is empty at first and its entries are read one by one
/// ([`LongList::read_next`]). With `OR_ONE` it may be written as one value, and is never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries<T, const OR_ONE: bool = false> {
    entries: Vec<T>,
    /// The number of what is set aside.
    aside: Option<usize>,
}

/// A list that may be long, whatever it is a list of.
pub trait LongList {
    /// Reads the next entry of those that were set aside; whether there was one.
    ///
    /// # Errors
    /// Where it does not fit. None does not in a document that was read whole before.
    fn read_next(&mut self, aside: &Aside) -> Result<bool, Problem>;

    /// Clears the last entry away; whether there was one.
    fn drop_last(&mut self) -> bool;
}

// === impl Entries ===

impl<T, const OR_ONE: bool> Default for Entries<T, OR_ONE> {
    fn default() -> Self {
        Self { entries: Vec::new(), aside: None }
    }
}

impl<T, const OR_ONE: bool> From<Vec<T>> for Entries<T, OR_ONE> {
    fn from(entries: Vec<T>) -> Self {
        Self { entries, aside: None }
    }
}

impl<T, const OR_ONE: bool> Deref for Entries<T, OR_ONE> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.entries
    }
}

impl<'l, T, const OR_ONE: bool> IntoIterator for &'l Entries<T, OR_ONE> {
    type Item = &'l T;
    type IntoIter = std::slice::Iter<'l, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter()
    }
}

impl<T: DeserializeOwned, const OR_ONE: bool> LongList for Entries<T, OR_ONE> {
    fn read_next(&mut self, aside: &Aside) -> Result<bool, Problem> {
        let Some(number) = self.aside else { return Ok(false) };
        if self.entries.is_empty() {
            // At once: to grow step by step is to move all entries again and again.
            self.entries.reserve_exact(aside.left(number));
        }
        let Some(entry) = aside.next(number) else {
            self.aside = None;
            return Ok(false);
        };
        self.entries.push(entry?);
        Ok(true)
    }

    fn drop_last(&mut self) -> bool {
        self.entries.pop().is_some()
    }
}

impl<'de, T: Deserialize<'de>, const OR_ONE: bool> Deserialize<'de> for Entries<T, OR_ONE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T, const OR_ONE: bool>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const OR_ONE: bool> Visitor<'de> for EntriesVisitor<T, OR_ONE> {
            type Value = Entries<T, OR_ONE>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(if OR_ONE { "a value or a list of values" } else { "a sequence" })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::with_capacity(list.size_hint().unwrap_or_default().min(MOST_RESERVED));
                while let Some(entry) = list.next_element()? {
                    entries.push(entry);
                }
                if OR_ONE && entries.is_empty() {
                    return Err(de::Error::custom("an empty list; write at least one value"));
                }
                Ok(entries.into())
            }

            /// A list that was set aside. (JSON has no such numbers.)
            fn visit_u128<E: de::Error>(self, number: u128) -> Result<Self::Value, E> {
                Ok(Entries { entries: Vec::new(), aside: usize::try_from(number).ok() })
            }

            fn visit_some<D: Deserializer<'de>>(self, one: D) -> Result<Self::Value, D::Error> {
                T::deserialize(one).map(|one| vec![one].into())
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, any: D) -> Result<Self::Value, D::Error> {
                if OR_ONE { any.deserialize_any(self) } else { any.deserialize_seq(self) }
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
                T::deserialize(de::value::StrDeserializer::new(value)).map(|one| vec![one].into())
            }
        }
        let name = if OR_ONE { ENTRIES_OR_ONE } else { ENTRIES };
        deserializer.deserialize_newtype_struct(name, EntriesVisitor(PhantomData))
    }
}

/// Whoever says that more come is not believed.
const MOST_RESERVED: usize = 1 << 17;

#[cfg(feature = "schema")]
impl<T: schemars::JsonSchema, const OR_ONE: bool> schemars::JsonSchema for Entries<T, OR_ONE> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Entries_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        if OR_ONE {
            generator.subschema_for::<super::list::OneOrMany<T>>()
        } else {
            generator.subschema_for::<Vec<T>>()
        }
    }
}
