//! The published tests of W3C Trace Context (github.com/w3c/trace-context, `test/test.py` as of June 2026, with `SPEC_LEVEL=2`), each by
//! its name there, where they concern what arrives. `integration/tests/telemetry.rs` sends the same through a real Envoy. (Ours is a proxy that starts traces and otherwise passes the context on, so a valid `traceparent` keeps its
//! parent id.) Header names in other cases are Envoy's business: it lowers them.

use crate::TelemetrySection;
use crate::traceparent::TraceParent;
use serde_json::json;
use sluice_core::decision::verdict::Verdict;
use sluice_core::simulation::{Played, SimulatedHost, SimulatedRequest, Stand};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const TRACE: &str = "12345678901234567890123456789012";
const VALID: &str = "00-12345678901234567890123456789012-1234567890123456-01";

fn stand(trace: serde_json::Value) -> Stand {
    let section = json!({ "trace": trace });
    Stand::new::<TelemetrySection>("telemetry", section).unwrap_or_else(|problems| panic!("{problems}"))
}

fn request(headers: &[(&str, &str)]) -> SimulatedRequest {
    headers.iter().fold(SimulatedRequest::get("/"), |request, (name, value)| request.header(name, value))
}

fn play(stand: &Stand, headers: &[(&str, &str)]) -> Played {
    let played = stand.play(&request(headers), &SimulatedHost::default());
    assert_eq!(played.verdict, Verdict::Continue, "no trace context keeps a request from going on");
    played
}

/// The trace that was started in place of the one sent; `None`: the one sent goes on.
fn started(played: &Played) -> Option<TraceParent> {
    let value = played.request_header("traceparent")?.expect("a traceparent is never only removed");
    let parsed = TraceParent::parse(value.as_bytes()).expect("a valid one");
    assert_eq!(parsed.to_string(), value);
    Some(parsed)
}

fn goes_on(traceparent: &str) -> bool {
    let played = play(&stand(json!({})), &[("traceparent", traceparent), ("tracestate", "foo=1")]);
    let new = started(&played);
    assert_eq!(
        played.request_header("tracestate"),
        new.map(|_| None),
        "the state goes with its trace: {traceparent:?}"
    );
    assert_eq!(
        played.decisions,
        [if new.is_some() { "telemetry.trace_restarted" } else { "telemetry.trace_continued" }]
    );
    new.is_none()
}

/// Whether the `tracestate` of a request with a valid `traceparent` goes on.
fn state_goes_on(lines: &[&str]) -> bool {
    let mut headers = vec![("traceparent", VALID)];
    headers.extend(lines.iter().map(|line| ("tracestate", *line)));
    let played = play(&stand(json!({})), &headers);
    assert_eq!(started(&played), None, "a malformed tracestate does not end the trace");
    let dropped = played.request_header("tracestate").is_some();
    assert_eq!(played.decisions.contains(&"telemetry.tracestate_dropped".to_owned()), dropped);
    !dropped
}

#[test]
fn test_both_traceparent_and_tracestate_missing() {
    let played = play(&stand(json!({})), &[]);
    assert!(started(&played).is_some());
    assert_eq!(played.decisions, ["telemetry.trace_started"]);
}

#[test]
fn test_traceparent_included_tracestate_missing() {
    let played = play(&stand(json!({})), &[("traceparent", VALID)]);
    assert_eq!(played.mutations.request_headers(), []);
}

#[test]
fn test_traceparent_duplicated() {
    let other = VALID.replace("12345678901234567890123456789012", "12345678901234567890123456789011");
    for second in [VALID, &other] {
        let played = play(&stand(json!({})), &[("traceparent", VALID), ("traceparent", second)]);
        let new = started(&played).expect("neither goes on");
        assert!(!new.to_string().contains("1234567890123456789012345678901"));
    }
}

#[test]
fn test_traceparent_header_name() {
    for name in ["trace-parent", "trace.parent"] {
        let played = play(&stand(json!({})), &[(name, VALID)]);
        assert!(started(&played).is_some(), "{name}");
        assert_eq!(played.request_header(name), None, "{name} is somebody else's header");
    }
}

#[test]
fn test_traceparent_version() {
    for (value, expected) in [
        // test_traceparent_version_0x00
        (format!("{VALID}."), false),
        (format!("{VALID}-what-the-future-will-be-like"), false),
        // test_traceparent_version_0xcc
        (format!("cc-{TRACE}-1234567890123456-01"), true),
        (format!("cc-{TRACE}-1234567890123456-01-what-the-future-will-be-like"), true),
        (format!("cc-{TRACE}-1234567890123456-01.what-the-future-will-be-like"), false),
        // test_traceparent_version_0xff
        (format!("ff-{TRACE}-1234567890123456-01"), false),
        // test_traceparent_version_illegal_characters
        (format!(".0-{TRACE}-1234567890123456-01"), false),
        (format!("0.-{TRACE}-1234567890123456-01"), false),
        // test_traceparent_version_too_long, test_traceparent_version_too_short
        (format!("000-{TRACE}-1234567890123456-01"), false),
        (format!("0000-{TRACE}-1234567890123456-01"), false),
        (format!("0-{TRACE}-1234567890123456-01"), false),
    ] {
        assert_eq!(goes_on(&value), expected, "{value}");
    }
}

#[test]
fn test_traceparent_trace_id() {
    for trace_id in [
        // test_traceparent_trace_id_all_zero, test_traceparent_trace_id_illegal_characters
        "00000000000000000000000000000000",
        ".2345678901234567890123456789012",
        "1234567890123456789012345678901.",
        // test_traceparent_trace_id_too_long, test_traceparent_trace_id_too_short
        "123456789012345678901234567890123",
        "1234567890123456789012345678901",
        // Not among the published: §3.2.2.3 has lower case only.
        "1234567890123456789012345678901A",
        "",
    ] {
        assert!(!goes_on(&format!("00-{trace_id}-1234567890123456-01")), "{trace_id}");
    }
}

#[test]
fn test_traceparent_parent_id() {
    for parent_id in
        // test_traceparent_parent_id_all_zero, _illegal_characters, _too_long, _too_short
        [
            "0000000000000000",
            ".234567890123456",
            "123456789012345.",
            "12345678901234567",
            "123456789012345",
            "123456789012345F",
        ]
    {
        assert!(!goes_on(&format!("00-{TRACE}-{parent_id}-01")), "{parent_id}");
    }
}

#[test]
fn test_traceparent_trace_flags() {
    // test_traceparent_trace_flags_illegal_characters, _too_long, _too_short
    for flags in [".0", "0.", "001", "1", "0G", "AB"] {
        assert!(!goes_on(&format!("00-{TRACE}-1234567890123456-{flags}")), "{flags}");
    }
    // Unknown flags are no error (§3.2.3.3.2).
    assert!(goes_on(&format!("00-{TRACE}-1234567890123456-ff")));
}

#[test]
fn test_traceparent_ows_handling() {
    for (before, after) in [(" ", ""), ("\t", ""), ("", " "), ("", "\t"), ("\t ", " \t")] {
        assert!(goes_on(&format!("{before}{VALID}{after}")), "{before:?} {after:?}");
    }
}

#[test]
fn test_tracestate_included_traceparent_missing() {
    for state in ["foo=1", "foo=1,bar=2"] {
        let played = play(&stand(json!({})), &[("tracestate", state)]);
        assert!(started(&played).is_some());
        assert_eq!(played.request_header("tracestate"), Some(None));
    }
}

#[test]
fn test_tracestate_that_is_kept() {
    let allowed_key = "abcdefghijklmnopqrstuvwxyz0123456789_-*/";
    let allowed_value: String =
        (0x20..=0x7e_u8).map(char::from).filter(|byte| !",=".contains(*byte)).collect();
    let longest = "z".repeat(256);
    let (tenant, vendor) = ("t".repeat(241), "v".repeat(14));
    let members = |numbers: std::ops::RangeInclusive<u32>| {
        numbers.map(|number| format!("bar{number:02}={number:02}")).collect::<Vec<_>>().join(",")
    };
    for lines in [
        // test_tracestate_included_traceparent_included
        vec!["foo=1,bar=2"],
        // test_tracestate_empty_header
        vec![""],
        vec!["foo=1", ""],
        vec!["", "foo=1"],
        // test_tracestate_multiple_headers_different_keys
        vec!["foo=1,bar=2", "rojo=1,congo=2", "baz=3"],
        // test_tracestate_all_allowed_characters
        vec![&*format!("{allowed_key}={allowed_value}")],
        vec![&*format!("{allowed_key}@a-z0-9_-*/={allowed_value}")],
        // test_tracestate_ows_handling
        vec!["foo=1 \t , \t bar=2, \t baz=3"],
        vec!["foo=1\t \t,\t \tbar=2,\t \tbaz=3"],
        vec![" foo=1"],
        vec!["\tfoo=1"],
        vec!["foo=1 "],
        vec!["foo=1\t"],
        vec!["\t foo=1 \t"],
        // test_tracestate_member_count_limit
        vec![&*members(1..=10), &*members(11..=20), &*members(21..=30), &*members(31..=32)],
        // test_tracestate_key_length_limit
        vec!["foo=1", &*format!("{longest}=1")],
        vec!["foo=1", &*format!("{tenant}@{vendor}=1")],
        vec!["foo=1", &*format!("{}@v=1", "t".repeat(242))],
        vec!["foo=1", &*format!("t@{}=1", "v".repeat(15))],
        // test_tracestate_duplicated_keys
        vec!["foo=1,foo=1"],
        vec!["foo=1,foo=2"],
        vec!["foo=1", "foo=1"],
        vec!["foo=1", "foo=2"],
        // test_tracestate_key_illegal_vendor_format
        vec!["foo@=1,bar=2"],
        vec!["foo@@bar=1,bar=2"],
        vec!["foo@bar@baz=1,bar=2"],
        // Not among the published: a key of one digit, and of the longest length with `@` only after the first.
        vec!["0=1"],
        vec![&*format!("z{}=1", "@".repeat(255))],
    ] {
        assert!(state_goes_on(&lines), "{lines:?}");
    }
}

#[test]
fn test_tracestate_that_is_discarded() {
    let members = (1..=33).map(|number| format!("bar{number:02}={number:02}")).collect::<Vec<_>>().join(",");
    let too_long = "z".repeat(257);
    let at_too_long = format!("z{}", "@".repeat(256));
    for lines in [
        // test_tracestate_key_illegal_characters
        vec!["foo =1"],
        vec!["FOO=1"],
        vec!["foo.bar=1"],
        // test_tracestate_key_illegal_vendor_format
        vec!["@foo=1,bar=2"],
        // test_tracestate_member_count_limit
        vec![&*members],
        // test_tracestate_key_length_limit
        vec!["foo=1", &*format!("{too_long}=1")],
        vec!["foo=1", &*format!("{at_too_long}=1")],
        // test_tracestate_value_illegal_characters
        vec!["foo=bar=baz"],
        vec!["foo=,bar=3"],
        // Not among the published.
        vec!["foo"],
        vec!["foo=\u{e9}"],
        vec!["=1"],
        vec!["_foo=1"],
        vec!["foo=1", "bar= "],
    ] {
        assert!(!state_goes_on(&lines), "{lines:?}");
    }
}

#[test]
fn test_tracestate_header_name() {
    for name in ["trace-state", "trace.state"] {
        let played = play(&stand(json!({})), &[("traceparent", VALID), (name, "foo=1")]);
        assert_eq!(played.mutations.request_headers(), [], "{name} is somebody else's header");
    }
}

#[test]
fn test_multiple_requests_with_illegal_traceparent() {
    let stand = stand(json!({}));
    let environment = SimulatedHost::default();
    let request = request(&[("traceparent", "00-00000000000000000000000000000000-1234567890123456-01")]);
    let traces: std::collections::HashSet<[u64; 2]> =
        (0..100).map(|_| started(&stand.play(&request, &environment)).unwrap().trace_id()).collect();
    assert_eq!(traces.len(), 100);
}

#[test]
fn test_propagates_random_flag() {
    for flags in ["02", "03"] {
        assert!(goes_on(&format!("00-{TRACE}-1234567890123456-{flags}")));
    }
}

#[test]
fn new_ids_are_random_and_say_so() {
    let section = |sampling: u32| stand(json!({ "context": "restart", "sampling": sampling }));
    for (sampling, flags) in [(0, "-02"), (100, "-03")] {
        for sent in [vec![], vec![("traceparent", VALID)], vec![("traceparent", "x")]] {
            let new = started(&play(&section(sampling), &sent)).unwrap();
            assert!(new.is_random() && new.to_string().ends_with(flags), "{new}");
        }
    }
}

#[test]
fn zeros_are_never_started_with() {
    for random in [[0, 0, 0], [0, 0, 1], [0, 1, 0], [u64::MAX, u64::MAX, u64::MAX]] {
        let parent = TraceParent::start(random, false);
        assert_eq!(TraceParent::parse(parent.to_string().as_bytes()), Some(parent), "{random:?}");
    }
}

#[test]
fn an_edge_may_restart_every_trace() {
    let stand = stand(json!({ "context": "restart" }));
    let played = play(&stand, &[("traceparent", VALID), ("tracestate", "foo=1")]);
    assert!(!started(&played).unwrap().to_string().contains(TRACE));
    assert_eq!(played.request_header("tracestate"), Some(None));
    assert_eq!(played.decisions, ["telemetry.trace_restarted"]);
    assert_eq!(play(&stand, &[]).decisions, ["telemetry.trace_started"]);
}

#[test]
fn what_is_off_looks_at_nothing() {
    for headers in [vec![], vec![("traceparent", "x")], vec![("traceparent", VALID), ("tracestate", "=")]] {
        let played = play(&stand(json!({ "context": "off" })), &headers);
        assert_eq!(played.mutations.request_headers(), []);
        assert!(played.decisions.is_empty());
    }
}

#[test]
fn new_traces_are_sampled_at_their_share_and_others_keep_their_mark() {
    for (sampling, low, high) in [(0.0, 0, 0), (25.0, 2_350, 2_650), (100.0, 10_000, 10_000)] {
        let stand = stand(json!({ "sampling": sampling }));
        let environment = SimulatedHost::default();
        let sampled = (0..10_000)
            .filter(|_| started(&stand.play(&SimulatedRequest::get("/"), &environment)).unwrap().is_sampled())
            .count();
        assert!((low..=high).contains(&sampled), "{sampling}: {sampled}");
        assert_eq!(play(&stand, &[("traceparent", VALID)]).mutations.request_headers(), []);
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever arrives, what goes on is one valid traceparent: the one that was sent, or a new one.
        #[test]
        fn what_goes_on_is_valid(lines in proptest::collection::vec(any::<Vec<u8>>(), 0..3), state: Vec<u8>) {
            let mut request = SimulatedRequest::get("/").header("tracestate", &state);
            for line in &lines {
                request = request.header("traceparent", line);
            }
            let played = super::stand(json!({})).play(&request, &SimulatedHost::default());
            match started(&played) {
                Some(_) => prop_assert_eq!(played.request_header("tracestate"), Some(None)),
                None => prop_assert!(lines.len() == 1 && TraceParent::parse(&lines[0]).is_some()),
            }
        }

        #[test]
        fn what_is_written_is_read_back(random: [u64; 3], sampled: bool) {
            let parent = TraceParent::start(random, sampled);
            prop_assert_eq!(TraceParent::parse(parent.to_string().as_bytes()), Some(parent));
            prop_assert_eq!(parent.is_sampled(), sampled);
        }

        /// One wrong byte anywhere: never a panic, and the fixed parts must be right.
        #[test]
        fn one_wrong_byte(position in 0..55_usize, byte: u8) {
            let mut text = VALID.as_bytes().to_vec();
            text[position] = byte;
            let hexadecimal = byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            let hyphen = matches!(position, 2 | 35 | 52);
            // Other versions than 00 are read too.
            let expected = if hyphen { byte == b'-' } else { hexadecimal };
            prop_assert_eq!(TraceParent::parse(&text).is_some(), expected);
        }
    }
}
