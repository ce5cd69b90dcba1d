use serde::de::{self, Deserialize, Deserializer};
use std::fmt;

/// A share of requests, from 0 to 100, with fractions to a ten-thousandth: `5`, `0.5`, `12.25`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percentage {
    /// In millionths, 0 to 1,000,000: exact, and what a draw is compared with.
    millionths: u32,
}

impl Percentage {
    /// All requests.
    pub const ALL: Self = Self { millionths: 1_000_000 };

    /// From a number of percent.
    ///
    /// # Errors
    /// A sentence that says what a percentage may be.
    pub fn new(percent: f64) -> Result<Self, String> {
        let scaled = percent * 10_000.0;
        let rounded = scaled.round();
        if !(0.0..=100.0).contains(&percent) {
            return Err(format!("{percent} is not a percentage: from 0 to 100"));
        }
        // A binary fraction is never exactly the decimal that was written: allow what a double loses.
        if (scaled - rounded).abs() > 1e-6 {
            return Err(format!("{percent} has more than four decimal places"));
        }
        // In range by the check above; `as` saturates anyhow.
        Ok(Self { millionths: rounded as u32 })
    }

    /// In millionths of all requests, 0 to 1,000,000.
    pub const fn millionths(self) -> u32 {
        self.millionths
    }

    /// Whether a draw, uniform over all of `u64`, falls within this share. 0 never does, 100 always.
    pub fn takes(self, draw: u64) -> bool {
        // Multiply-shift: the draw scaled to 0..1,000,000 without a modulo's bias.
        let scaled = u128::from(draw).wrapping_mul(1_000_000) >> 64;
        scaled < u128::from(self.millionths)
    }
}

impl fmt::Display for Percentage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", f64::from(self.millionths) / 10_000.0)
    }
}

impl<'de> Deserialize<'de> for Percentage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(f64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Percentage {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Percentage".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "number",
            "description": "A share of requests, from 0 to 100, with up to four decimal places.",
            "minimum": 0,
            "maximum": 100
        })
    }
}
