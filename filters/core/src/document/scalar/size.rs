use super::{number_and_unit, string_scalar};
use std::fmt;
use std::str::FromStr;

/// A number of bytes: `512B`, `8KiB`, `1MiB`, `2GiB`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Size {
    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a size: write `512B`, `8KiB`, `1MiB` or `2GiB`");
        let (number, unit) = number_and_unit(text).ok_or_else(wrong)?;
        let scale =
            UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale).ok_or_else(wrong)?;
        number.checked_mul(scale).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fitting = UNITS.iter().find(|(_, scale)| self.0.checked_rem(*scale) == Some(0));
        let (unit, scale) = fitting.copied().unwrap_or(("B", 1));
        write!(out, "{}{unit}", self.0.checked_div(scale).unwrap_or(self.0))
    }
}

impl fmt::Debug for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

string_scalar!(
    Size,
    "a size such as `8KiB`",
    "A number of bytes: `512B`, `8KiB`, `1MiB`, `2GiB`.",
    "^[0-9]+(B|KiB|MiB|GiB)$",
    "8KiB"
);
