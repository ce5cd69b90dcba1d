//! The section `fault` of the document.

use serde::Deserialize;
use serde::de::{self, Deserializer};
use sluice_core::document::list::OrderedMap;
use sluice_core::document::name::Name;
use sluice_core::document::scalar::{Duration, Percentage, Status};
use sluice_core::http::header::{HeaderName, HeaderValue};
use sluice_core::rule::selector::Match;
use sluice_core::rule::when::When;

/// `fault`: delays and aborts a share of requests on purpose. The first rule that matches decides.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct FaultSection {
    /// The rules, in the order in which they are asked.
    pub rules: Vec<RuleConfig>,
    /// Draw and count, but harm no request.
    pub shadow: bool,
}

/// A rule of `fault`: `delay`, `abort` or both.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RuleConfig {
    /// The rule's name, in reasons, metrics and logs.
    pub name: Name,
    /// Which requests; none: every request.
    #[serde(default, rename = "match")]
    pub matches: Option<Match>,
    /// Whose requests; none: anybody's.
    #[serde(default)]
    pub when: Option<When>,
    /// Lets requests wait.
    #[serde(default)]
    pub delay: Option<DelayConfig>,
    /// Answers requests in place of the service; those that are delayed too, after the delay.
    #[serde(default)]
    pub abort: Option<AbortConfig>,
    /// Draw and count, but leave the request to the rules that follow.
    #[serde(default)]
    pub shadow: bool,
}

/// `delay`: lets a share of the requests wait.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DelayConfig {
    /// How long, from 1ms to 5m.
    pub fixed: Duration,
    /// The share of the rule's requests.
    pub percent: Percentage,
}

/// `abort`: answers a share of the requests in place of the service.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AbortConfig {
    /// The status.
    pub status: Status,
    /// The gRPC status for gRPC requests, 1 to 16. By default the one that goes with `status`.
    #[serde(default)]
    pub grpc_status: Option<GrpcStatus>,
    /// Further headers of the answer, as the service would send them. 429 and 503 have `retry-after: 1` unless it stands here, and
    /// 401 the challenges of `authn` unless `www-authenticate` does.
    #[serde(default)]
    pub headers: OrderedMap<HeaderName, HeaderValue>,
    /// The share of the rule's requests, drawn apart from that of `delay`.
    pub percent: Percentage,
}

/// The status of a gRPC answer that is an error: 1 (CANCELLED) to 16 (UNAUTHENTICATED).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcStatus(u8);

impl GrpcStatus {
    /// Checks that `code` is the status of an error.
    ///
    /// # Errors
    /// A sentence that says what it may be.
    pub fn new(code: u64) -> Result<Self, String> {
        u8::try_from(code)
            .ok()
            .filter(|code| (1..=16).contains(code))
            .map(Self)
            .ok_or_else(|| format!("{code} is not the gRPC status of an error: from 1 to 16"))
    }

    /// The status.
    pub const fn code(self) -> u8 {
        self.0
    }
}

impl<'de> Deserialize<'de> for GrpcStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u64::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for GrpcStatus {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "GrpcStatus".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "integer",
            "description": "The gRPC status of an error.",
            "minimum": 1,
            "maximum": 16
        })
    }
}
