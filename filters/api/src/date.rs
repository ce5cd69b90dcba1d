//! Dates of the document, and as headers write them.

use serde::de::{self, Deserialize, Deserializer};
use sluice_core::decision::environment::UnixTime;
use sluice_core::http::header::HeaderValue;
use std::fmt;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A day, `2027-01-01`, which begins at midnight UTC, or a point in time, `2027-01-01T12:00:00Z` (RFC 3339); to the second, from 1970 to 2554.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(u64);

impl Date {
    /// Reads a date.
    ///
    /// # Errors
    /// A sentence that says how one is written.
    pub fn new(text: &str) -> Result<Self, String> {
        let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
        let parsed = OffsetDateTime::parse(&whole, &Rfc3339).ok();
        let fits = |time: &OffsetDateTime| u64::try_from(time.unix_timestamp_nanos()).is_ok();
        parsed.filter(fits).and_then(|time| u64::try_from(time.unix_timestamp()).ok()).map(Self).ok_or_else(
            || {
                format!(
                    "{text:?} is not a date from 1970 to 2554: write `2027-01-01` or `2027-01-01T12:00:00Z`"
                )
            },
        )
    }

    /// When it begins.
    pub const fn begins(self) -> UnixTime {
        UnixTime::from_seconds(self.0)
    }

    /// As a Date of structured fields (RFC 9651 §3.3.7): `@1688169599`.
    pub fn structured(self) -> HeaderValue {
        value(format!("@{}", self.0))
    }

    /// As an HTTP-date (RFC 9110 §5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub fn http(self) -> HeaderValue {
        let time =
            i64::try_from(self.0).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
        let time = time.unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (weekday, month) = (time.weekday().to_string(), time.month().to_string());
        let short = |name: &str| name.get(..3).unwrap_or_default().to_owned();
        value(format!(
            "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
            short(&weekday),
            time.day(),
            short(&month),
            time.year(),
            time.hour(),
            time.minute(),
            time.second()
        ))
    }
}

/// What is made of digits and letters is one.
fn value(text: String) -> HeaderValue {
    HeaderValue::new(text.as_bytes()).unwrap_or_else(|_| HeaderValue::from_static(""))
}

impl fmt::Debug for Date {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&String::from_utf8_lossy(self.http().as_bytes()))
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Date {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Date".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A day, which begins at midnight UTC, or a point in time (RFC 3339).",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].+)?$",
            "examples": ["2027-01-01", "2027-01-01T12:00:00Z"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn dates_are_written_as_the_standards_examples_are() {
        for (text, structured, http) in [
            // RFC 9745 §2.1.
            ("2023-06-30T23:59:59Z", "@1688169599", "Fri, 30 Jun 2023 23:59:59 GMT"),
            // RFC 8594 §3, RFC 9110 §5.6.7.
            ("2018-12-31T23:59:59Z", "@1546300799", "Mon, 31 Dec 2018 23:59:59 GMT"),
            ("1994-11-06T08:49:37Z", "@784111777", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("1970-01-01", "@0", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("2024-02-29", "@1709164800", "Thu, 29 Feb 2024 00:00:00 GMT"),
            ("2026-06-01T02:00:00+02:00", "@1780272000", "Mon, 01 Jun 2026 00:00:00 GMT"),
            ("2026-06-01T00:00:00.999Z", "@1780272000", "Mon, 01 Jun 2026 00:00:00 GMT"),
        ] {
            let date = Date::new(text).unwrap();
            assert_eq!(date.structured(), HeaderValue::from_static(structured), "{text}");
            assert_eq!(date.http(), HeaderValue::from_static(http), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_told_how_one_is_written() {
        for text in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-30",
            "01.06.2026",
            "1969-12-31",
            "2600-01-01",
            "tomorrow",
            "2026-06-01T00",
        ] {
            let error = Date::new(text).unwrap_err();
            assert!(error.contains("2027-01-01"), "{error}");
        }
    }
}
