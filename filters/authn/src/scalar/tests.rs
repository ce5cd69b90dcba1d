use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn a_digest_is_64_hexadecimal_digits_and_a_message_never_repeats_what_stood_there() {
    let hex = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    assert_eq!(Sha256Digest::new(hex).unwrap(), Sha256Digest::of(b"test"));
    assert_eq!(Sha256Digest::new(&hex.to_uppercase()).unwrap(), Sha256Digest::of(b"test"));
    for wrong in ["", "my-secret-key", &hex[1..], &format!("{hex}0"), &hex.replace('9', "g"), &"é".repeat(64)]
    {
        let error = Sha256Digest::new(wrong).unwrap_err();
        assert!(error.contains("64 hexadecimal digits"), "{error}");
        assert!(wrong.is_empty() || !error.contains(wrong), "{error}");
    }
    assert_eq!(format!("{:?}", Sha256Digest::of(b"test")), "***");
}

#[test]
fn times_are_those_of_rfc_3339() {
    for (text, seconds) in [
        ("1970-01-01T00:00:00Z", 0),
        ("2027-01-01T00:00:00Z", 1_798_761_600),
        ("2027-01-01T02:00:00+02:00", 1_798_761_600),
    ] {
        assert_eq!(Timestamp::new(text).unwrap().get(), UnixTime::from_seconds(seconds), "{text}");
    }
    for wrong in [
        "",
        "2027-01-01",
        "2027-01-01T00:00:00",
        "2027-13-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "9999-01-01T00:00:00Z",
    ] {
        assert!(Timestamp::new(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn facts_of_a_key_are_named() {
    for text in ["id", "consumer", "roles", "scopes", "attributes.plan"] {
        assert_eq!(KeyFact::new(text).unwrap().to_string(), text);
    }
    assert!(KeyFact::new("consumr").unwrap_err().contains("did you mean `consumer`"));
    assert!(KeyFact::new("attributes.").is_err());
}
