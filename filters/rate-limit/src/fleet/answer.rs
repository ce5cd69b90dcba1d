//! What the service's answer says of each descriptor, or why it says nothing.

use super::message::{DescriptorStatus, OK, OVER_LIMIT, RateLimitResponse};
use prost::Message;
use sluice_core::decision::wait::{Answer, CallFailure};

/// What the service says of one descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// Whether it is over the limit.
    pub(crate) over: bool,
    /// Units that are left.
    pub(crate) remaining: u64,
    /// Nanoseconds until its window ends.
    pub(crate) reset: u64,
}

/// Why the service has said nothing of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// There is no answer.
    Call(CallFailure),
    /// It is none that the protocol has.
    Unreadable,
    /// It limits nothing: it does not know the domain.
    NoLimit,
}

/// How many windows an end may lie away: one, and what clocks differ.
const LONGEST_RESET: i64 = 366 * 86_400;

const SECOND: u64 = 1_000_000_000;

// === impl Failed ===

impl Failed {
    /// How many there are.
    pub(crate) const COUNT: usize = 8;

    /// The names in reasons, in the order of [`Self::index`].
    pub(crate) const NAMES: [&str; Self::COUNT] = [
        "service_timed_out",
        "service_unreachable",
        "service_refused",
        "service_not_tried",
        "service_answer_too_large",
        "service_grpc_error",
        "service_unreadable",
        "service_without_limit",
    ];

    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Call(CallFailure::TimedOut) => 0,
            Self::Call(CallFailure::Unreachable) => 1,
            Self::Call(CallFailure::Refused) => 2,
            Self::Call(CallFailure::NotTried) => 3,
            Self::Call(CallFailure::TooLarge) => 4,
            Self::Call(CallFailure::GrpcStatus(_)) => 5,
            Self::Unreadable => 6,
            Self::NoLimit => 7,
        }
    }

    /// For a note.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Call(failure) => failure.to_string(),
            Self::Unreadable => "its answer can't be read".to_owned(),
            Self::NoLimit => "it limits nothing: does it know the domain?".to_owned(),
        }
    }
}

/// What an answer says of each of `count` descriptors.
///
/// # Errors
/// Why it says nothing of any.
pub(crate) fn read(answer: &Answer, count: usize) -> Result<Vec<Result<Told, Failed>>, Failed> {
    let message = match answer {
        Answer::Grpc(message) => message.as_slice(),
        Answer::Failed(failure) => return Err(Failed::Call(*failure)),
        Answer::Http(_) => return Err(Failed::Unreadable),
    };
    let response = RateLimitResponse::decode(message).map_err(|_| Failed::Unreadable)?;
    let refused = match response.overall_code {
        OK => false,
        OVER_LIMIT => true,
        _ => return Err(Failed::Unreadable),
    };
    if response.statuses.len() != count {
        return Err(Failed::Unreadable);
    }
    let told: Vec<Result<Told, Failed>> =
        response.statuses.iter().map(|status| status.read(refused)).collect();
    // Of several descriptors one must be the reason.
    if refused && !told.iter().any(|told| told.is_ok_and(|told| told.over)) {
        return Err(Failed::Unreadable);
    }
    Ok(told)
}

// === impl DescriptorStatus ===

impl DescriptorStatus {
    /// What it says, where the answer as a whole refuses or not: a service in shadow says of descriptors that they are over the limit, and
    /// lets the request go on.
    fn read(&self, refused: bool) -> Result<Told, Failed> {
        let over = match self.code {
            OK => false,
            OVER_LIMIT => refused,
            _ => return Err(Failed::Unreadable),
        };
        if self.current_limit.is_none() {
            return Err(Failed::NoLimit);
        }
        let reset = match self.duration_until_reset {
            None => SECOND,
            Some(until) => {
                let seconds = u64::try_from(until.seconds.clamp(0, LONGEST_RESET)).unwrap_or(0);
                let nanoseconds = u64::try_from(until.nanos.clamp(0, 999_999_999)).unwrap_or(0);
                seconds.saturating_mul(SECOND).saturating_add(nanoseconds).max(1)
            }
        };
        Ok(Told { over, remaining: self.limit_remaining.into(), reset })
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::{LimitOverride, ProtobufDuration};
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn status(code: i32, limited: bool, reset: Option<(i64, i32)>) -> DescriptorStatus {
        DescriptorStatus {
            code,
            current_limit: limited.then_some(LimitOverride { requests_per_unit: 5, unit: 1 }),
            limit_remaining: 3,
            duration_until_reset: reset.map(|(seconds, nanos)| ProtobufDuration { seconds, nanos }),
        }
    }

    fn answer(overall_code: i32, statuses: &[DescriptorStatus]) -> Answer {
        Answer::Grpc(RateLimitResponse { overall_code, statuses: statuses.to_vec() }.encode_to_vec())
    }

    fn told(over: bool, reset: u64) -> Result<Told, Failed> {
        Ok(Told { over, remaining: 3, reset })
    }

    #[test]
    fn an_answer_is_what_the_protocol_has_or_nothing() {
        let good = status(OK, true, Some((2, 5)));
        let over = status(OVER_LIMIT, true, Some((60, 0)));
        let open = status(OK, false, None);
        let second = 2 * SECOND + 5;
        for (overall, statuses, expected) in [
            (OK, vec![good.clone()], Ok(vec![told(false, second)])),
            (OVER_LIMIT, vec![over.clone()], Ok(vec![told(true, 60 * SECOND)])),
            (
                OVER_LIMIT,
                vec![good.clone(), over.clone()],
                Ok(vec![told(false, second), told(true, 60 * SECOND)]),
            ),
            // The service is in shadow.
            (OK, vec![over.clone()], Ok(vec![told(false, 60 * SECOND)])),
            (OK, vec![open.clone()], Ok(vec![Err(Failed::NoLimit)])),
            (OK, vec![good.clone(), open.clone()], Ok(vec![told(false, second), Err(Failed::NoLimit)])),
            (OK, vec![status(OK, true, None)], Ok(vec![told(false, SECOND)])),
            (OK, vec![status(OK, true, Some((-5, -1)))], Ok(vec![told(false, 1)])),
            (
                OK,
                vec![status(OK, true, Some((i64::MAX, i32::MAX)))],
                Ok(vec![told(false, 366 * 86_400 * SECOND + 999_999_999)]),
            ),
            (OVER_LIMIT, vec![good.clone()], Err(Failed::Unreadable)),
            (OVER_LIMIT, vec![open], Err(Failed::Unreadable)),
            (OVER_LIMIT, vec![], Err(Failed::Unreadable)),
            (OK, vec![], Err(Failed::Unreadable)),
            (0, vec![good.clone()], Err(Failed::Unreadable)),
            (7, vec![good.clone()], Err(Failed::Unreadable)),
            (OK, vec![status(0, true, None)], Ok(vec![Err(Failed::Unreadable)])),
            (OK, vec![status(9, true, None)], Ok(vec![Err(Failed::Unreadable)])),
        ] {
            let count = statuses.len().max(1);
            assert_eq!(read(&answer(overall, &statuses), count), expected, "{overall} {statuses:?}");
            assert_eq!(read(&answer(overall, &statuses), count + 1), Err(Failed::Unreadable));
        }
        for garbage in
            [&b""[..], b"\x00", b"\xff\xff\xff\xff", b"{\"overallCode\":\"OK\"}", &[0x12, 0xff, 0x01]]
        {
            assert_eq!(read(&Answer::Grpc(garbage.to_vec()), 1), Err(Failed::Unreadable), "{garbage:?}");
        }
        let failure = CallFailure::GrpcStatus(2);
        assert_eq!(read(&Answer::Failed(failure), 1), Err(Failed::Call(failure)));
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use super::*;
        use proptest::prelude::*;

        fn statuses() -> impl Strategy<Value = Vec<DescriptorStatus>> {
            let status = (-1..4_i32, any::<bool>(), any::<Option<(i64, i32)>>())
                .prop_map(|(code, limited, reset)| status(code, limited, reset));
            prop::collection::vec(status, 0..4)
        }

        proptest! {
            #[test]
            fn whatever_a_service_sends_is_an_answer_or_a_failure(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 1..4_usize) {
                if let Ok(told) = read(&Answer::Grpc(bytes), count) {
                    prop_assert_eq!(told.len(), count);
                }
            }

            #[test]
            fn nobody_is_refused_or_let_pass_but_by_a_limit(overall in -1..4_i32, statuses in statuses(), count in 1..4_usize) {
                let Ok(told) = read(&answer(overall, &statuses), count) else { return Ok(()) };
                for (told, status) in told.iter().zip(&statuses) {
                    if let Ok(told) = told {
                        prop_assert!(status.current_limit.is_some());
                        prop_assert_eq!(told.over, overall == OVER_LIMIT && status.code == OVER_LIMIT);
                        prop_assert!((1..=(LONGEST_RESET as u64 + 1) * SECOND).contains(&told.reset));
                    }
                }
                let refuses = told.iter().any(|told| told.is_ok_and(|told| told.over));
                prop_assert_eq!(refuses, overall == OVER_LIMIT);
            }
        }
    }
}
