use super::*;
use crate::arguments::Arguments;
use clap::Parser;
use serde_json::Value;

/// Runs `sluice keys …`: exit status, output, errors.
fn run(arguments: &[&str], mut input: &[u8]) -> (u8, String, String) {
    let arguments = Arguments::parse_from(["sluice", "keys"].iter().chain(arguments));
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let colours = crate::Colours::default();
    let mut streams = Streams { input: &mut input, output: &mut output, errors: &mut errors, colours };
    let status = crate::run(&arguments, &mut streams).code();
    (status, String::from_utf8(output).unwrap(), String::from_utf8(errors).unwrap())
}

fn document(entry: &str) -> String {
    let entry = entry.lines().map(|line| format!("          {line}\n")).collect::<String>();
    format!(
        "version: 1\nauthn:\n  providers:\n    - name: partners\n      apiKey:\n        keys:\n{entry}  \
         rules:\n    - {{ name: all, require: {{ any: [partners] }} }}\n"
    )
}

#[test]
fn a_new_key_is_accepted_by_the_document_that_its_entry_is_put_into() {
    let made = |arguments: &[&str]| -> (String, Value) {
        let (status, output, errors) = run(arguments, b"");
        assert_eq!((status, errors.as_str()), (0, ""));
        let made: Value = serde_json::from_str(&output).unwrap();
        (made["key"].as_str().unwrap().to_owned(), made["entry"].clone())
    };
    let arguments = ["new", "--id", "acme", "--prefix", "acme_", "--json"];
    let (key, entry) = made(&arguments);
    let (other, _) = made(&arguments);
    assert_ne!(key, other);
    assert!(key.starts_with("acme_") && key.len() == "acme_".len() + 43, "{key}");

    let policy = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(policy.path(), document(&format!("- {entry}"))).unwrap();
    let policy = policy.path().to_str().unwrap();
    for (shown, expected) in [(&key, "allowed"), (&other, "denied:authn.api_key_unknown")] {
        let header = format!("x-api-key: {shown}");
        let arguments = ["sluice", "explain", policy, "--path", "/", "-H", &header, "--expect", expected];
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let mut streams = Streams {
            input: &mut std::io::empty(),
            output: &mut output,
            errors: &mut errors,
            colours: crate::Colours::default(),
        };
        let status = crate::run(&Arguments::parse_from(arguments), &mut streams).code();
        assert_eq!(status, 0, "{}{}", String::from_utf8_lossy(&output), String::from_utf8_lossy(&errors));
    }
}

#[test]
fn what_is_printed_for_people_is_the_key_and_an_entry_that_checks() {
    let (status, output, _) =
        run(&["new", "--id", "acme", "--consumer", "Acme: Ltd", "--role", "reader"], b"");
    assert_eq!(status, 0);
    let (key, entry) = output.split_once("\n\n").unwrap();
    assert_eq!(key.lines().count(), 2, "{key}");
    let (status, listed, errors) = run(&["list", "-"], document(entry).as_bytes());
    assert_eq!((status, errors.as_str()), (0, ""));
    assert!(listed.contains("partners  acme  Acme: Ltd  accepted"), "{listed}");
    assert!(!listed.contains(key.lines().last().unwrap()));
}

#[test]
fn the_hash_of_a_key_is_that_of_sha256sum() {
    // printf %s 0123456789abcdef0123456789abcdef | sha256sum
    let key = "0123456789abcdef0123456789abcdef";
    for text in [key.to_owned(), format!("{key}\n"), format!("{key}\r\n")] {
        let (status, output, errors) = run(&["hash", "--id", "old", "--json"], text.as_bytes());
        assert_eq!((status, errors.as_str()), (0, ""));
        let entry: Value = serde_json::from_str(&output).unwrap();
        assert_eq!(entry["sha256"], "3eb1bd439947eb762998e566ccc2e099c791118b2f40579cc4f7da2b5061b7f9");
        assert!(!output.contains(key));
    }
}

#[test]
fn what_is_no_key_is_refused_and_not_repeated() {
    for (text, part) in [
        (&b"secret"[..], "can be guessed"),
        (b"", "can be guessed"),
        (b"0123456789 0123456789 0123456789", "lost in a header: ' '"),
        (b"0123456789-0123456789-0123456789\n\n", "lost in a header"),
        ("0123456789-0123456789-0123456789-\u{e9}".as_bytes(), "lost in a header"),
        (b"0123456789-0123456789-0123456789-\xff", "not text"),
        (&[b'k'; 5_000], "longer than 4096"),
    ] {
        let (status, output, errors) = run(&["hash", "--id", "old"], text);
        assert_eq!((status, output.as_str()), (2, ""));
        assert!(errors.contains(part), "{errors}");
        assert!(!errors.contains("0123456789"), "{errors}");
    }
}

#[test]
fn a_key_that_would_never_be_accepted_is_not_made() {
    let times = ["--not-before", "2028-01-01T00:00:00Z", "--expires", "2027-01-01T00:00:00Z"];
    let (status, output, errors) = run(&[&["new", "--id", "acme"][..], &times].concat(), b"");
    assert_eq!((status, output.as_str()), (2, ""));
    assert!(errors.contains("--expires: must be after --not-before"), "{errors}");
    for arguments in [
        &["new", "--id", ""][..],
        &["new", "--id", "acme", "--prefix", "a b"],
        &["new", "--id", "acme", "--expires", "tomorrow"],
        &["new"],
    ] {
        let arguments = ["sluice", "keys"].iter().chain(arguments);
        assert!(Arguments::try_parse_from(arguments).is_err());
    }
}

#[test]
fn the_list_tells_the_state_at_a_time() {
    let entry = |id: &str, times: &str| {
        let (_, output, _) = run(&["new", "--id", id, "--json"], b"");
        let entry = serde_json::from_str::<Value>(&output).unwrap()["entry"]["sha256"].clone();
        format!("- {{ id: {id}, sha256: {entry}{times} }}\n")
    };
    let text = document(
        &[
            entry("always", ""),
            entry("later", ", notBefore: \"2027-01-01T00:00:00Z\""),
            entry("ends", ", expires: \"2027-01-01T00:00:00Z\""),
        ]
        .concat(),
    );
    let states = |time: &str| -> Vec<String> {
        let (status, output, errors) = run(&["list", "-", "--json", "--time", time], text.as_bytes());
        assert_eq!((status, errors.as_str()), (0, ""));
        let listed: Vec<Value> = serde_json::from_str(&output).unwrap();
        listed.iter().map(|key| format!("{} {}", key["id"], key["state"]).replace('"', "")).collect()
    };
    assert_eq!(states("2026-12-31T23:59:59Z"), ["always accepted", "later not yet valid", "ends accepted"]);
    assert_eq!(states("2027-01-01T00:00:00Z"), ["always accepted", "later accepted", "ends expired"]);
    let (status, output, errors) = run(&["list", "-"], b"version: 1\n");
    assert_eq!((status, output.as_str(), errors.as_str()), (0, "", "stdin: has no API keys\n"));
    assert_eq!(run(&["list", "-"], b"version: 2\n").0, 1);
}
