//! The fields that tell a client where it stands: `RateLimit-Policy`, `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11; structured
//! fields, RFC 9651) and `Retry-After` (RFC 9110 §10.2.3).

use sluice_core::decision::verdict::{LocalReply, Mutations};
use sluice_core::document::name::Name;
use sluice_core::document::scalar::Rate;
use sluice_core::http::header::{HeaderName, HeaderValue};

/// The names of the fields.
#[derive(Debug)]
pub(crate) struct Fields {
    policy: HeaderName,
    limit: HeaderName,
    retry_after: HeaderName,
    /// Whether a client is told more than when to come back.
    pub(crate) shown: bool,
}

/// What a client is told of one rule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LimitState<'r> {
    pub(crate) rule: &'r Name,
    /// The rule's item of `RateLimit-Policy`.
    pub(crate) policy: &'r str,
    /// Units that are left.
    pub(crate) remaining: u64,
    /// Nanoseconds until there is one more; for a refusal, until there are enough.
    pub(crate) wait: u64,
}

/// The item of `RateLimit-Policy` for a limit. `sluice-burst`, where it is not the limit's own count, is a parameter of ours, as §3.1 of
/// the draft has them.
pub(crate) fn policy_item(rule: &Name, limit: Rate, burst: u64) -> String {
    policy_text(rule, limit.count(), limit.period_seconds(), burst)
}

/// As [`policy_item`], for `count` units in `period` seconds.
pub(crate) fn policy_text(rule: &Name, count: u64, period: u64, burst: u64) -> String {
    let item = format!("\"{rule}\";q={count};w={period}");
    if burst == count { item } else { format!("{item};sluice-burst={burst}") }
}

/// Nanoseconds as whole seconds, rounded up, at least 1: what is told must not be too early.
pub(crate) fn seconds(nanoseconds: u64) -> u64 {
    nanoseconds.div_ceil(1_000_000_000).max(1)
}

// === impl LimitState ===

impl LimitState<'_> {
    fn item(&self) -> String {
        format!("\"{}\";r={};t={}", self.rule, self.remaining, seconds(self.wait))
    }
}

// === impl Fields ===

impl Fields {
    pub(crate) fn new(shown: bool) -> Self {
        Self {
            policy: HeaderName::from_static("ratelimit-policy"),
            limit: HeaderName::from_static("ratelimit"),
            retry_after: HeaderName::from_static("retry-after"),
            shown,
        }
    }

    /// The response shall tell of `state`, besides what limits that were asked before authentication have to tell.
    pub(crate) fn tell(&self, state: &LimitState<'_>, mutations: &mut Mutations) {
        for (name, item) in [(&self.policy, state.policy.to_owned()), (&self.limit, state.item())] {
            let earlier = mutations.response_headers().iter().find(|(known, _)| known == name);
            let list = match earlier {
                Some((_, earlier)) => [earlier.as_bytes(), b", ", item.as_bytes()].concat(),
                None => item.into_bytes(),
            };
            // Names of rules are plain: the value is always one.
            if let Ok(value) = HeaderValue::new(&list) {
                mutations.set_response_header(name.clone(), value);
            }
        }
    }

    /// A reply that says when to come back: in `wait` nanoseconds.
    pub(crate) fn come_back(&self, reply: LocalReply, wait: u64) -> LocalReply {
        reply.with_header(self.retry_after.clone(), HeaderValue::from_number(seconds(wait)))
    }

    /// The reply to a request that `state` has no room for. `Retry-After` and the effective window `t` end at the same time, as §6 of
    /// the draft wants.
    pub(crate) fn refuse(&self, mut reply: LocalReply, state: &LimitState<'_>) -> LocalReply {
        reply = self.come_back(reply, state.wait);
        if self.shown {
            let items = [(&self.policy, state.policy.to_owned()), (&self.limit, state.item())];
            for (name, item) in items {
                if let Ok(value) = HeaderValue::new(item.as_bytes()) {
                    reply = reply.with_header(name.clone(), value);
                }
            }
        }
        reply
    }
}
