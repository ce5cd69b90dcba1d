use serde::de::{self, Deserialize, Deserializer};

/// A final HTTP status code that a policy may answer with: 200 to 599 (RFC 9110 §15; 1xx are interim and Envoy's own).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(u16);

impl Status {
    /// Checks that `code` is a final status.
    ///
    /// # Errors
    /// A sentence that says what a status may be.
    pub fn new(code: u64) -> Result<Self, String> {
        u16::try_from(code)
            .ok()
            .filter(|code| (200..=599).contains(code))
            .map(Self)
            .ok_or_else(|| format!("{code} is not a final status: from 200 to 599"))
    }

    /// The number.
    pub const fn code(self) -> u16 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Status {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Status".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "integer",
            "description": "A final HTTP status code.",
            "minimum": 200,
            "maximum": 599
        })
    }
}
