use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn durations_are_read_and_printed_the_same_way() {
    for (text, nanoseconds) in [
        ("250ms", 250_000_000),
        ("5s", 5_000_000_000),
        ("1h30m", 5_400_000_000_000),
        ("7d", 604_800_000_000_000),
        ("10us", 10_000),
    ] {
        let duration: Duration = text.parse().unwrap();
        assert_eq!(duration.as_nanos(), nanoseconds, "{text}");
        assert_eq!(duration.to_string(), text);
    }
    for wrong in
        ["", "5", "s", "5 s", "-5s", "30m1h", "1h1h", "0s", "5y", "99999d", "99999999999999999999s", "é"]
    {
        assert!(wrong.parse::<Duration>().is_err(), "{wrong}");
    }
}

#[test]
fn rates_name_a_count_and_a_period() {
    for (text, interval) in [
        ("100/s", 10_000_000),
        ("60/min", 1_000_000_000),
        ("3600/h", 1_000_000_000),
        ("1/day", 86_400_000_000_000),
        ("3/s", 333_333_333),
    ] {
        assert_eq!(text.parse::<Rate>().unwrap().interval_nanos(), interval, "{text}");
    }
    for wrong in ["", "100", "/s", "0/s", "1.5/s", "100/fortnight", "100 /s", "2000000000/s"] {
        assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
    }
}

#[test]
fn sizes_are_binary() {
    assert_eq!("8KiB".parse::<Size>().unwrap().bytes(), 8192);
    assert_eq!("8KiB".parse::<Size>().unwrap().to_string(), "8KiB");
    for wrong in ["8", "8KB", "KiB", "99999999999999GiB"] {
        assert!(wrong.parse::<Size>().is_err(), "{wrong}");
    }
}

#[test]
fn a_percentage_takes_its_share_of_draws_and_its_ends_are_exact() {
    assert!(!Percentage::new(0.0).unwrap().takes(0));
    assert!(Percentage::ALL.takes(u64::MAX));
    let half = Percentage::new(50.0).unwrap();
    assert!(half.takes(u64::MAX / 2) && !half.takes(u64::MAX / 2 + 1));
    assert_eq!(Percentage::new(0.1).unwrap().millionths(), 1_000);
    for wrong in [-0.1, 100.1, f64::NAN, f64::INFINITY, 0.00001] {
        assert!(Percentage::new(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_status_is_final() {
    for wrong in [0, 100, 199, 600, 70_000] {
        assert!(Status::new(wrong).is_err());
    }
    assert_eq!(Status::new(503).unwrap().code(), 503);
}

#[test]
fn a_value_of_another_type_is_told_what_is_expected() {
    let error = crate::document::decode::from_json::<Duration>(b"250").unwrap_err().to_string();
    assert!(error.contains("where a duration such as `250ms`"), "{error}");
}
