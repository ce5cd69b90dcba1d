use super::{number_and_unit, string_scalar};
use std::fmt;
use std::str::FromStr;

/// How often something may happen: `100/s`, `6000/min`, `1000/h`, `1000000/day`, `1000000/month`. At least one, at most a thousand million a
/// period.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    count: u64,
    period: Period,
}

/// The period of a [`Rate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day of 24 hours.
    Day,
    /// 30 days, as rate-limit services count them.
    Month,
    /// 365 days.
    Year,
}

const MOST: u64 = 1_000_000_000;

impl Period {
    const ALL: [(&'static str, Period); 10] = [
        ("s", Period::Second),
        ("sec", Period::Second),
        ("min", Period::Minute),
        ("m", Period::Minute),
        ("h", Period::Hour),
        ("hour", Period::Hour),
        ("d", Period::Day),
        ("day", Period::Day),
        ("month", Period::Month),
        ("year", Period::Year),
    ];

    const fn seconds(self) -> u64 {
        match self {
            Period::Second => 1,
            Period::Minute => 60,
            Period::Hour => 3_600,
            Period::Day => 86_400,
            Period::Month => 30 * 86_400,
            Period::Year => 365 * 86_400,
        }
    }
}

impl Rate {
    /// How many in a period.
    pub const fn count(self) -> u64 {
        self.count
    }

    /// The period.
    pub const fn period(self) -> Period {
        self.period
    }

    /// The period's length in seconds.
    pub const fn period_seconds(self) -> u64 {
        self.period.seconds()
    }

    /// The time between two events at exactly this rate, in nanoseconds, rounded down; at least 1 (GCRA's emission interval).
    pub fn interval_nanos(self) -> u64 {
        self.period.seconds().saturating_mul(1_000_000_000).checked_div(self.count).unwrap_or(u64::MAX).max(1)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not a rate: write `100/s`, `6000/min`, `1000/h`, `1000000/day` or `1000000/month`"
            )
        };
        let (count, unit) = number_and_unit(text).ok_or_else(wrong)?;
        let unit = unit.strip_prefix('/').ok_or_else(wrong)?;
        let period = Period::ALL
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, period)| *period)
            .ok_or_else(wrong)?;
        if count == 0 {
            return Err(format!("{text:?} allows nothing; to refuse requests write a rule in `authz`"));
        }
        if count > MOST {
            return Err(format!("{text:?} is above the most that can be counted, {MOST} a period"));
        }
        Ok(Self { count, period })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.period {
            Period::Second => "s",
            Period::Minute => "min",
            Period::Hour => "h",
            Period::Day => "day",
            Period::Month => "month",
            Period::Year => "year",
        };
        write!(out, "{}/{unit}", self.count)
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

string_scalar!(
    Rate,
    "a rate such as `100/s`",
    "How often: `100/s`, `6000/min`, `1000/h`, `1000000/day`, `1000000/month`.",
    "^[0-9]+/(s|sec|min|m|h|hour|d|day|month|year)$",
    "100/s"
);
