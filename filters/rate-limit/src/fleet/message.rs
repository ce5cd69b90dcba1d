//! The messages of `envoy.service.ratelimit.v3.RateLimitService`, the few fields of them that are needed: `rls.proto` and, for
//! descriptors, `envoy/extensions/common/ratelimit/v3/ratelimit.proto`.

use prost::Message;

/// The service with its package.
pub const SERVICE: &str = "envoy.service.ratelimit.v3.RateLimitService";

/// Its method.
pub const METHOD: &str = "ShouldRateLimit";

/// What is asked.
#[derive(Clone, PartialEq, Message)]
pub struct RateLimitRequest {
    /// The domain of the service's configuration.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// What the request is counted as, each for itself.
    #[prost(message, repeated, tag = "2")]
    pub descriptors: Vec<Descriptor>,
    /// How many units it takes of each.
    #[prost(uint32, tag = "3")]
    pub hits_addend: u32,
}

/// What a request is counted as.
#[derive(Clone, PartialEq, Message)]
pub struct Descriptor {
    /// Pairs that, together and in order, name a counter.
    #[prost(message, repeated, tag = "1")]
    pub entries: Vec<Entry>,
    /// The limit, in place of the one in the service's configuration.
    #[prost(message, optional, tag = "2")]
    pub limit: Option<LimitOverride>,
}

/// A pair of a descriptor.
#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    /// What it is.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A limit that goes with a request.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct LimitOverride {
    /// Units in a window.
    #[prost(uint32, tag = "1")]
    pub requests_per_unit: u32,
    /// The window's length: `envoy.type.v3.RateLimitUnit`.
    #[prost(int32, tag = "2")]
    pub unit: i32,
}

/// What is answered.
#[derive(Clone, PartialEq, Message)]
pub struct RateLimitResponse {
    /// [`OK`], or [`OVER_LIMIT`] where a limit is exceeded that the service enforces.
    #[prost(int32, tag = "1")]
    pub overall_code: i32,
    /// One for each descriptor, in their order.
    #[prost(message, repeated, tag = "2")]
    pub statuses: Vec<DescriptorStatus>,
}

/// How it stands with one counter.
#[derive(Clone, PartialEq, Message)]
pub struct DescriptorStatus {
    /// [`OK`] or [`OVER_LIMIT`].
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// The limit that holds for it; none where the service limits nothing.
    #[prost(message, optional, tag = "2")]
    pub current_limit: Option<LimitOverride>,
    /// Units that are left in the window.
    #[prost(uint32, tag = "3")]
    pub limit_remaining: u32,
    /// How long it is until the window ends.
    #[prost(message, optional, tag = "4")]
    pub duration_until_reset: Option<ProtobufDuration>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct ProtobufDuration {
    /// Whole seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// And so many nanoseconds.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// A code: there is room.
pub const OK: i32 = 1;

/// A code: there is none.
pub const OVER_LIMIT: i32 = 2;
