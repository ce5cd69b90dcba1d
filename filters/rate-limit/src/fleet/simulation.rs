//! A rate-limit service in memory that counts as envoyproxy/ratelimit does (`src/redis/fixed_cache_impl.go`): in windows that begin at
//! multiples of their length since 1970, whatever was refused included.

use super::message::{
    DescriptorStatus, METHOD, OK, OVER_LIMIT, ProtobufDuration, RateLimitRequest, RateLimitResponse, SERVICE,
};
use prost::Message;
use sluice_core::decision::environment::UnixTime;
use sluice_core::decision::wait::{Answer, CallFailure, GrpcCall};
use std::collections::HashMap;

/// The service.
#[derive(Debug, Default)]
pub struct SimulatedService {
    counts: HashMap<String, u64>,
    asked: u64,
}

// === impl SimulatedService ===

impl SimulatedService {
    /// Whether a call is one that it serves.
    pub fn serves(call: &GrpcCall) -> bool {
        *call.service == *SERVICE && *call.method == *METHOD
    }

    /// How many calls it has answered.
    pub fn asked(&self) -> u64 {
        self.asked
    }

    /// Counts, and answers.
    pub fn answer(&mut self, call: &GrpcCall, now: UnixTime) -> Answer {
        let Ok(request) = RateLimitRequest::decode(&*call.message) else {
            return Answer::Failed(CallFailure::GrpcStatus(2));
        };
        self.asked = self.asked.saturating_add(1);
        let seconds = now.as_nanos() / 1_000_000_000;
        let hits = u64::from(request.hits_addend.max(1));
        let (mut statuses, mut overall_code) = (Vec::new(), OK);
        for descriptor in &request.descriptors {
            let Some(limit) = descriptor.limit else {
                statuses.push(DescriptorStatus { code: OK, ..DescriptorStatus::default() });
                continue;
            };
            let window = match limit.unit {
                1 => 1,
                2 => 60,
                3 => 3_600,
                4 => 86_400,
                5 => 30 * 86_400,
                6 => 365 * 86_400,
                _ => return Answer::Failed(CallFailure::GrpcStatus(2)),
            };
            let into = seconds.checked_rem(window).unwrap_or(0);
            let entries: String =
                descriptor.entries.iter().map(|entry| format!("{}_{}_", entry.key, entry.value)).collect();
            let key = format!("{}_{entries}{}", request.domain, seconds.saturating_sub(into));
            let count = self.counts.entry(key).or_default();
            *count = count.saturating_add(hits);
            let most = u64::from(limit.requests_per_unit);
            let code = if *count > most { OVER_LIMIT } else { OK };
            overall_code = overall_code.max(code);
            statuses.push(DescriptorStatus {
                code,
                current_limit: Some(limit),
                limit_remaining: u32::try_from(most.saturating_sub(*count)).unwrap_or(u32::MAX),
                duration_until_reset: Some(ProtobufDuration {
                    seconds: i64::try_from(window.saturating_sub(into)).unwrap_or(1),
                    nanos: 0,
                }),
            });
        }
        Answer::Grpc(RateLimitResponse { overall_code, statuses }.encode_to_vec())
    }
}
