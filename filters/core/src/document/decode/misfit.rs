//! What of a document does not fit its types, in words of documents, and what becomes of it.

use super::tree::Tree;
use crate::document::problem::{Segment, nearest, quoted_list};
use serde::de::{Error, Expected, Unexpected};
use std::cell::RefCell;
use std::fmt;

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

    /// Takes a long list, to be read later; gives its number then.
    fn set_aside(self, _list: &mut Vec<Tree>) -> Option<u128> {
        None
    }
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
    pub(super) fn plain(message: String) -> Self {
        Self(Box::new(Details { message, suggestion: None, inside_out: Vec::new() }))
    }

    #[cold]
    #[inline(never)]
    pub(super) fn inside(mut self, segment: Segment) -> Self {
        self.0.inside_out.push(segment);
        self
    }

    #[cold]
    #[inline(never)]
    pub(super) fn alone(name: &str) -> Self {
        Self::plain(format!("`{name}` alone says too little: write `{{ {name}: … }}`, with its value"))
    }

    #[cold]
    #[inline(never)]
    pub(super) fn stands_alone(name: &str) -> Self {
        Self::plain(format!("`{name}` stands alone: write `{name}`, without a value"))
            .inside(Segment::Field(name.to_owned()))
    }

    #[cold]
    #[inline(never)]
    pub(super) fn not_one_of(found: &str, variants: &'static [&'static str]) -> Self {
        let among = quoted_list(variants.iter().copied());
        Self::custom(format_args!("{found} where one of {among} is expected"))
    }

    #[cold]
    #[inline(never)]
    pub(super) fn unknown(what: &str, found: &str, expected: &'static [&'static str]) -> Self {
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
pub(super) fn kind(found: Unexpected<'_>) -> &'static str {
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
pub(super) fn in_words(expected: &dyn Expected) -> String {
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
