use super::{number_and_unit, string_scalar};
use std::fmt;
use std::str::FromStr;

/// A length of time, written `250ms`, `5s`, `10m`, `1h30m`, `7d`; above zero, to the microsecond, at most ten years.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(std::time::Duration);

const UNITS: [(&str, u64); 6] = [
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];
const LONGEST_NANOSECONDS: u64 = 3_653 * 86_400_000_000_000;

impl Duration {
    /// This duration for the standard library.
    pub const fn get(self) -> std::time::Duration {
        self.0
    }

    /// In nanoseconds; fits since the longest is ten years.
    pub fn as_nanos(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a duration: write `250ms`, `5s`, `10m`, `1h30m` or `7d`");
        let mut nanoseconds: u64 = 0;
        let mut rest = text;
        let mut smallest = u64::MAX;
        while !rest.is_empty() {
            let (number, after) = number_and_unit(rest).ok_or_else(wrong)?;
            let end = after.bytes().position(|byte| byte.is_ascii_digit()).unwrap_or(after.len());
            let (unit, next) = after.split_at_checked(end).ok_or_else(wrong)?;
            let scale =
                UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale).ok_or_else(wrong)?;
            // `30m1h` and `1h1h` are typing errors.
            if scale >= smallest {
                return Err(wrong());
            }
            smallest = scale;
            nanoseconds = number
                .checked_mul(scale)
                .and_then(|part| nanoseconds.checked_add(part))
                .filter(|sum| *sum <= LONGEST_NANOSECONDS)
                .ok_or_else(|| format!("{text:?} is longer than ten years"))?;
            rest = next;
        }
        if nanoseconds == 0 {
            return Err(if text.is_empty() {
                wrong()
            } else {
                format!("{text:?} is no time at all; it must be above zero")
            });
        }
        Ok(Self(std::time::Duration::from_nanos(nanoseconds)))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.as_nanos();
        for (unit, scale) in UNITS.iter().rev() {
            let whole = rest.checked_div(*scale).unwrap_or(0);
            if whole > 0 {
                write!(out, "{whole}{unit}")?;
            }
            rest = rest.checked_rem(*scale).unwrap_or(0);
        }
        Ok(())
    }
}

impl fmt::Debug for Duration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

string_scalar!(
    Duration,
    "a duration such as `250ms` or `5s`",
    "A length of time above zero: `250ms`, `5s`, `10m`, `1h30m`, `7d`.",
    "^([0-9]+(us|ms|s|m|h|d))+$",
    "5s"
);
