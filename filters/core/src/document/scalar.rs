//! The document's small values: durations, rates, sizes, percentages, statuses.

mod duration;
mod percentage;
mod rate;
mod size;
mod status;

pub use duration::Duration;
pub use percentage::Percentage;
pub use rate::{Period, Rate};
pub use size::Size;
pub use status::Status;

/// Splits `250ms` into `250` and `ms`. `None` where it does not begin with a digit.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit))
}

/// A scalar that is written as a string: `Deserialize` and, with the feature `schema`, `JsonSchema`.
macro_rules! string_scalar {
    ($type:ident, $expected:literal, $description:literal, $pattern:literal, $example:literal) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct TextVisitor;
                impl serde::de::Visitor<'_> for TextVisitor {
                    type Value = $type;
                    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        out.write_str($expected)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(TextVisitor)
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "description": $description,
                    "pattern": $pattern,
                    "examples": [$example]
                })
            }
        }
    };
}
use string_scalar;

#[cfg(test)]
mod tests;
