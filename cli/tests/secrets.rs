//! A secret that stands in a document, rightly or in any wrong way, is printed by no command.

use clap::Parser;
use sluice_cli::arguments::Arguments;
use sluice_cli::{Colours, Streams};

/// Is written nowhere else, and begins as no name of a field does.
const MARK: &str = "Zm9vYmFyLXNlY3JldA";

/// What is printed, to both outputs.
fn printed(arguments: &[&str], document: &str) -> String {
    let arguments = Arguments::try_parse_from(["sluice"].iter().chain(arguments)).unwrap();
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    sluice_cli::run(
        &arguments,
        &mut Streams {
            input: &mut document.as_bytes(),
            output: &mut output,
            errors: &mut errors,
            colours: Colours::default(),
        },
    );
    format!("{}{}", String::from_utf8(output).unwrap(), String::from_utf8(errors).unwrap())
}

/// `check` does not print it.
fn check_keeps_secret(document: &str) {
    for arguments in [&["check", "--all", "-"][..], &["check", "--json", "-"]] {
        let printed = printed(arguments, document);
        for mark in [MARK, &MARK[2..14], "424242424242"] {
            assert!(!printed.contains(mark), "{arguments:?} of\n{document}\nprints\n{printed}");
        }
    }
}

/// No command prints it; `render` only of what is wrong, since it has to print what is right.
fn keep_secret(document: &str) {
    for arguments in [
        &["check", "--all", "-"][..],
        &["check", "--json", "-"],
        &["explain", "-", "--path", "/"],
        &["explain", "-", "--path", "/", "--json"],
    ] {
        let printed = printed(arguments, document);
        for mark in [MARK, &MARK[2..14], "424242424242"] {
            assert!(!printed.contains(mark), "{arguments:?} of\n{document}\nprints\n{printed}");
        }
    }
    if printed(&["check", "--json", "-"], document).contains("\"ok\": false") {
        for arguments in [
            &["render", "envoy", "-", "--module", "sluice.wasm"][..],
            &["render", "wasm-plugin", "-", "--image", "sluice:1"],
            &["render", "envoy-filter", "-", "--image", "sluice:1"],
        ] {
            let printed = printed(arguments, document);
            assert!(!printed.contains(MARK), "{arguments:?} of\n{document}\nprints\n{printed}");
        }
    }
}

/// Every way of writing a value that is no text as it should be, and some that are.
fn values() -> Vec<String> {
    let mut values: Vec<String> = [
        "MARK",
        "\"MARK\"",
        "'MARK'",
        "MARK extra",
        "\"MARK\\t\\\"MARK\"",
        "[MARK]",
        "[[MARK], { a: MARK }]",
        "{ MARK: 1 }",
        "{ a: MARK }",
        "{ environment: MARK-x }",
        "{ value: MARK, MARK: MARK }",
        "&a MARK",
        "&MARK x",
        "*MARK",
        "*.MARK",
        "!!str MARK",
        "!MARK x",
        "MARK # was MARK",
        "\"MARK",
        "[MARK",
        "{ a: MARK",
        "@MARK",
        "`MARK",
        "%MARK",
        "\"\\qMARK\"",
        "424242424242",
        "0x424242424242",
        "424242424242.5",
        "424242424242424242424242424242",
        "-424242424242",
        "{ 424242424242: x }",
        "{ MARK: 1, MARK: 2 }",
        "null # MARK",
    ]
    .iter()
    .map(|value| value.replace("MARK", MARK))
    .collect();
    values.push(String::new());
    values
}

/// Members of objects with credentials, and where they stand: `NAME` and `VALUE` are replaced.
const PLACES: [&str; 12] = [
    "version: 1\nauthn:\n  providers:\n    - name: a\n      apiKey:\n        keys:\n          - id: x\n            NAME: VALUE\n            consumer: acme\n",
    "version: 1\nauthn:\n  providers:\n    - { name: a, apiKey: { keys: [{ id: x, NAME: VALUE, consumer: 7 }] } }\n",
    "version: 1\nauthn:\n  providers:\n    - name: a\n      jwt:\n        issuer: i\n        keys:\n          inline:\n            keys:\n              - kty: oct\n                NAME: VALUE\n                kid: 1\n",
    "version: 1\nauthn: { providers: [{ name: a, jwt: { issuer: i, keys: { inline: { keys: [{ kty: oct, NAME: VALUE, kid: 1 }] } } } }] }\n",
    "version: 1\nauthn:\n  providers:\n    - name: a\n      apiKey:\n        NAME: VALUE\n      other: 1\n",
    "version: 1\nauthn:\n  providers:\n    - name: a\n      jwt:\n        NAME: VALUE\n",
    "version: 1\nauthn:\n  providers:\n    - name: a\n      NAME: VALUE\n",
    "version: 1\nNAME: VALUE\nauthz: 7\n",
    "NAME: VALUE\nkty: oct\n",
    "version: 1\nauthz:\n  rules:\n    - { name: a, allow: yes, match: { headers: { NAME: VALUE, \"x y\": 1 } } }\n",
    "apiVersion: v1\nkind: Secret\ndata: { a: MARK, NAME: VALUE }\n",
    "static_resources: { a: MARK, NAME: VALUE }\n",
];

const NAMES: [&str; 22] = [
    "sha256",
    "key",
    "k",
    "d",
    "p",
    "q",
    "dp",
    "dq",
    "qi",
    "oth",
    "secret",
    "clientSecret",
    "password",
    "token",
    "authorization",
    "apiKey",
    "api_key",
    "x-api-key",
    "keys",
    "\"key\"",
    "sharedSecret",
    "cookie",
];

#[test]
fn no_value_in_the_place_of_a_credential_is_printed() {
    for place in PLACES {
        for name in NAMES {
            for (position, value) in values().into_iter().enumerate() {
                let document = place.replace("NAME", name).replace("VALUE", &value).replace("MARK", MARK);
                // The commands share what prints findings.
                if position % 8 == 0 { keep_secret(&document) } else { check_keeps_secret(&document) }
            }
        }
    }
}

#[test]
fn no_block_scalar_is_printed() {
    for style in ["|", "|-", ">", ">+", "|2"] {
        for name in NAMES {
            for end in ["", "    other: [1\n", "   \t- x\n", "    other: 7\n", "  wrong: indent\n 7: 8\n"] {
                keep_secret(&format!(
                    "version: 1\nauthn:\n  providers:\n  - name: a\n    apiKey:\n      keys:\n      - id: x\n        {name}: {style}\n          {MARK}\n          {MARK}\n{end}"
                ));
            }
        }
    }
}

#[test]
fn a_secret_is_hidden_where_a_name_or_an_object_should_stand() {
    for place in [
        "keys: MARK",
        "keys: [MARK]",
        "keys: [[MARK]]",
        "keys: { MARK: acme }",
        "keys: { MARK: { id: a } }",
        "keys: [{ MARK: a }]",
        "keys: [{ id: a, MARK: 1 }]",
        "keys: [{ id: a, sha256: { MARK: 1 } }]",
        "keys: [{ id: { sha256: MARK } }]",
        "keys: [&MARK { id: a }]",
        "keys: [? MARK : a]",
        "keys:\n            - MARK",
        "keys:\n            MARK: x",
        "MARK: acme",
        "keys: [{ id: a, sha256: MARK, sha256: MARK }]",
        "keys: [{ id: a, sah256: MARK }]",
        "keys: [{ id: a, hash: MARK }]",
        "keys: [{ id: a, value: MARK }]",
        "keys: [{ id: a, \"sha256\": \"MARK\"}] # MARK",
        "keys: [MARK, MARK]\n            broken: [",
    ] {
        let place = place.replace("MARK", MARK);
        for end in ["", "\nversion: 2\n", "\n\t- x\n", "\nx: [\n", "\n---\na: 1\n"] {
            keep_secret(&format!(
                "version: 1\nauthn:\n  providers:\n    - name: a\n      apiKey:\n            {place}{end}"
            ));
            // The names of `jwt` itself are shown: those of other gateways among them.
            if place.starts_with("keys: ") {
                keep_secret(&format!(
                    "version: 1\nauthn:\n  providers:\n    - name: a\n      jwt:\n            {place}{end}"
                ));
            }
        }
    }
    for document in [
        "MARK",
        "[MARK]",
        "- MARK\n- 1\n",
        "MARK: x: y\n",
        "\"MARK",
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"MARK\"}]}",
    ] {
        let document = document.replace("MARK", MARK);
        if !document.contains(": x: y") {
            keep_secret(&document);
        }
    }
}

#[test]
fn json_in_one_line_is_no_less_secret() {
    let json = format!(
        r#"{{"version":1,"authn":{{"providers":[{{"name":"😀 a","apiKey":{{"keys":[{{"id":"x","sha256":"{MARK}","consumer":7}}]}}}}]}},"authz":{{"default":"x"}}}}"#
    );
    keep_secret(&json);
    keep_secret(&json.replace("😀", r"\ud83d\ude00\ud83d\ude00\ud83d\ude00"));
    for broken in [",,", "]", "}", "\"", "\t:", "\r", "\u{0}"] {
        for (position, _) in json.match_indices(',') {
            let (before, after) = json.split_at(position);
            keep_secret(&format!("{before}{broken}{after}"));
        }
    }
    let mut bytes = json.into_bytes();
    bytes.extend(b"\xff");
    let document = String::from_utf8_lossy(&bytes).into_owned();
    keep_secret(&document);
}

#[test]
fn lines_that_end_in_carriage_returns_alone_hide_the_right_text() {
    keep_secret(&format!(
        "version: 1\rauthn:\r  providers:\r  - name: a\r    apiKey:\r      keys: [{{ id: 7, sha256: {MARK} }}]\r"
    ));
}

#[test]
fn what_is_no_secret_is_shown() {
    let printed = printed(
        &["check", "-"],
        "version: 1\nauthn:\n  providers:\n    - { name: a, apiKey: { keys: [{ id: acme-2026, sah256: 9f86d0, roles: 7 }], forward: { key: kep } } }\nrateLimit:\n  rules: [{ name: b b, key: [identity.consumer], limit: 1/s }]\n",
    );
    for part in
        ["id: acme-2026", "sah256", "sha256", "roles: 7", "key: [identity.consumer]", "name: a", "b b"]
    {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    assert!(!printed.contains("9f86d0"), "{printed}");
}
