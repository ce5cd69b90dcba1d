//! The command as it is typed: what it prints where, and how it ends.

mod command;
use command::{sluice, sluice_with};
use serde_json::Value;
use std::path::Path;

const HERE: &str = env!("CARGO_MANIFEST_DIR");
const GOOD: &str = "version: 1\nauthz:\n  default: deny\n  rules:\n    - { name: read, allow: true, match: { methods: [GET] } }\n";

fn run(arguments: &[&str], input: &str) -> command::Ran {
    sluice(arguments, input, Path::new(HERE))
}

/// A module that says this about itself, in a file.
fn module(folder: &Path, metadata: &str) -> String {
    let mut bytes = b"\0asm\x01\0\0\0".to_vec();
    let size = u16::try_from(1 + 6 + metadata.len()).unwrap();
    bytes.extend([0, (size & 0x7f) as u8 | 0x80, (size >> 7) as u8, 6]);
    bytes.extend(b"sluice");
    bytes.extend(metadata.as_bytes());
    let path = folder.join("module.wasm");
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn help_of_every_command_shows_examples_and_exit_status() {
    for command in [
        &["check"][..],
        &["explain"],
        &["keys", "new"],
        &["keys", "hash"],
        &["keys", "list"],
        &["render", "envoy"],
        &["render", "wasm-plugin"],
        &["render", "envoy-filter"],
    ] {
        let arguments: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
        let ran = run(&arguments, "");
        assert_eq!(ran.code, 0);
        assert!(ran.output.contains("Examples:") && ran.output.contains("Exit status:"), "{}", ran.output);
    }
    assert_eq!(run(&["--version"], "").code, 0);
}

#[test]
fn a_wrong_command_line_ends_with_2_and_says_what_to_do() {
    for (arguments, part) in [
        (&[][..], "Usage"),
        (&["chek", "x"], "check"),
        (&["check"], "FILE"),
        (&["check", "no-such-file.yaml"], "no-such-file.yaml: No such file"),
        (&["check", "-", "--module", "Cargo.toml"], "Cargo.toml is not a WebAssembly module"),
        (&["explain", "-"], "--path"),
        (&["explain", "-", "--path", "/", "--header", "nothing"], "`name: value`"),
        (&["explain", "-", "--path", "/", "--header", ":path: /x"], "--method, --path, --host"),
        (&["explain", "-", "--path", "/", "--header", "x y: 1"], "not a header name"),
        (&["explain", "-", "--path", "/", "--header", "x: a\r\nb: c"], "control character"),
        (&["explain", "-", "--path", "/", "--time", "noon"], "2026-01-31T12:00:00Z"),
        (&["explain", "-", "--path", "/", "--peer", "foo"], "write a SPIFFE ID such as"),
        (&["explain", "-", "--path", "/", "--expect", "deny"], "write `allowed` or `denied`"),
        (&["explain", "-", "orders/7"], "write a whole URL"),
        (&["explain", "-", "https://a/b", "--path", "/"], "cannot be used with"),
        (&["man", "chek"], "no command `chek`; there are check, "),
        (&["completions", "tcsh"], "bash"),
        (&["explain", "-", "--path", "/", "--random", "101"], "from 0 to 100"),
        (&["explain", "-", "--path", "/", "--source", "nowhere"], "--source"),
        (&["explain", "-", "--path", "/", "--identity", "{\"princpal\": \"a\"}"], "did you mean `principal`"),
        (&["explain", "-", "--path", "/", "--identity", "@no-such-file.json"], "no-such-file.json"),
        (&["render", "envoy", "-"], "--module"),
    ] {
        let ran = run(arguments, GOOD);
        assert_eq!((ran.code, ran.output.as_str()), (2, ""), "{arguments:?}: {}", ran.errors);
        assert!(ran.errors.contains(part), "{arguments:?}: {}", ran.errors);
    }
}

#[test]
fn a_document_that_is_fine_is_summed_up_in_a_line() {
    let ran = run(&["check", "-"], GOOD);
    assert_eq!((ran.code, ran.errors.as_str()), (0, ""));
    assert_eq!(ran.output, "stdin: fine: authz (rules: 1); 107 B as JSON; sluice-requests.wasm is enough\n");
}

#[test]
fn several_files_are_all_told_about() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.yaml"), GOOD).unwrap();
    std::fs::write(folder.path().join("b.yaml"), "version: 1\nauthx: {}\n").unwrap();
    std::fs::write(folder.path().join("c.yaml"), b"version: 1\n# \xff\n").unwrap();
    let ran = sluice(&["check", "a.yaml", "b.yaml", "c.yaml"], "", folder.path());
    assert_eq!(ran.code, 1);
    let lines: Vec<&str> = ran.output.lines().collect();
    assert!(lines[0].starts_with("a.yaml: fine:"), "{}", ran.output);
    assert!(lines[1].starts_with("b.yaml:2:1: authx: unknown field `authx`"), "{}", ran.output);
    assert!(ran.output.contains("c.yaml:2:3: the document: not UTF-8"), "{}", ran.output);
}

#[test]
fn findings_are_there_for_programs_too() {
    let ran = run(&["check", "--json", "-"], "version: 1\nauthx: {}\n");
    assert_eq!(ran.code, 1);
    let report: Value = serde_json::from_str(&ran.output).unwrap();
    let problem = &report["files"][0]["problems"][0];
    assert_eq!(
        (problem["line"].as_u64(), problem["column"].as_u64(), problem["endColumn"].as_u64()),
        (Some(2), Some(1), Some(6))
    );
    assert_eq!((problem["path"].as_str(), problem["suggestion"].as_str()), (Some("authx"), Some("authz")));
    assert_eq!(report["ok"], false);
    let ran = run(&["check", "--json", "-"], GOOD);
    let report: Value = serde_json::from_str(&ran.output).unwrap();
    assert_eq!(report["files"][0]["document"]["edition"], "sluice-requests");
}

#[test]
fn a_large_document_is_warned_about() {
    let cidrs: Vec<String> =
        (0..14_000).map(|number| format!("10.{}.{}.0/24", number >> 8, number & 255)).collect();
    let document =
        format!("version: 1\ndefinitions: {{ ipLists: {{ many: {{ cidrs: [{}] }} }} }}\n", cidrs.join(", "));
    let ran = run(&["check", "-"], &document);
    assert_eq!(ran.code, 0, "{}", ran.output);
    assert!(ran.output.contains("stdin: warning: ") && ran.output.contains("kubectl"), "{}", ran.output);
}

#[test]
fn a_module_without_code_for_signatures_needs_a_host_that_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let release = env!("CARGO_PKG_VERSION");
    let module_file = module(
        folder.path(),
        &format!(
            r#"{{"version":"{release}","edition":"small","sections":["authn"],"callbacks":["proxy_on_request_headers","proxy_on_request_trailers"],"own_signatures":false}}"#
        ),
    );
    let key = r#"{ kty: EC, crv: P-256, x: axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY, y: T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU }"#;
    for (algorithms, refused) in
        [("", false), ("algorithms: [ES256], ", false), ("algorithms: [ES256, EdDSA], ", true)]
    {
        let keys = if refused {
            format!("{key}, {{ kty: OKP, crv: Ed25519, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo }}")
        } else {
            key.to_owned()
        };
        let document = format!(
            "version: 1\nauthn:\n  providers:\n    - {{ name: a, jwt: {{ issuer: i, audiences: [b], {algorithms}keys: {{ inline: {{ keys: [{keys}] }} }} }} }}\n  rules: [{{ name: all, require: {{ any: [a] }} }}]\n"
        );
        let ran = run(&["check", "-", "--module", &module_file], &document);
        assert_eq!(ran.code, i32::from(refused), "{}", ran.output);
        let told = "authn.providers[0].jwt.algorithms[1]: no host verifies `EdDSA`, and the module `small` does not by itself; `sluice";
        assert_eq!(ran.output.contains(told), refused, "{}", ran.output);
        let ran = run(&["check", "-", "--json"], &document);
        assert_eq!(
            ran.output.contains("\"beyondHosts\": [\n") || ran.output.contains("algorithms[1]"),
            refused,
            "{}",
            ran.output
        );
    }
}

#[test]
fn a_module_says_whether_it_can_run_a_document() {
    let folder = tempfile::tempdir().unwrap();
    let release = env!("CARGO_PKG_VERSION");
    let fits = format!(
        r#"{{"version":"{release}","edition":"sluice-auth","sections":["authn","authz"],"callbacks":["proxy_on_request_headers"]}}"#
    );
    let module_file = module(folder.path(), &fits);
    let ran = run(&["check", "-", "--module", &module_file], GOOD);
    assert_eq!(ran.code, 0);
    assert!(ran.output.ends_with("the module `sluice-auth` runs it\n"), "{}", ran.output);

    let other = fits
        .replace(r#""authn","authz""#, r#""rateLimit""#)
        .replace("sluice-auth", "sluice-rate-limit")
        .replace(release, "0.0.1");
    let module_file = module(folder.path(), &other);
    let ran = run(&["check", "-", "--module", &module_file], GOOD);
    assert_eq!(ran.code, 1);
    assert!(ran.output.starts_with("stdin:2:1: authz: the module `sluice-rate-limit` does not accept this section; it accepts `rateLimit`"), "{}", ran.output);
    assert!(ran.output.contains("warning: the module is of release 0.0.1"), "{}", ran.output);
    let ran = run(&["render", "envoy", "-", "--module", &module_file], GOOD);
    assert_eq!((ran.code, ran.output.as_str()), (1, ""));
    assert!(ran.errors.contains("does not accept this section"), "{}", ran.errors);
}

/// The token and the secret of RFC 7515, appendix A.1.
const SIGNED_TOKEN: &str = "authorization: Bearer eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const ITS_SECRET: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

#[test]
fn a_secret_by_reference_that_the_command_does_not_know_is_told() {
    let document = r#"
version: 1
authn:
  providers:
    - name: joe
      jwt:
        issuer: joe
        anyAudience: true
        principal: iss
        keys: { inline: { keys: [{ kty: oct, alg: HS256, k: { environment: SLUICE_TEST_SECRET } }] } }
"#;
    let arguments =
        ["explain", "-", "--path", "/", "--time", "2011-03-22T18:00:00Z", "-H", SIGNED_TOKEN, "--json"];
    let explain = |variables: &[(&str, &str)]| {
        let ran = sluice_with(variables, &arguments, document, Path::new(HERE));
        assert_eq!((ran.code, ran.errors.as_str()), (0, ""));
        serde_json::from_str::<Value>(&ran.output).unwrap()
    };
    let unknown = explain(&[]);
    assert_eq!(unknown["unknownVariables"], serde_json::json!(["SLUICE_TEST_SECRET"]));
    assert_eq!(unknown["verdict"]["action"], "respond", "{unknown:#}");
    let known = explain(&[("SLUICE_TEST_SECRET", ITS_SECRET)]);
    assert_eq!(known["unknownVariables"], serde_json::json!([]));
    assert_eq!(known["verdict"]["action"], "continue", "{known:#}");

    let ran = run(&arguments[..arguments.len() - 1], document);
    assert!(ran.output.contains("not known here: the variable SLUICE_TEST_SECRET;"), "{}", ran.output);
}

#[test]
fn every_file_gets_its_result_also_beside_one_that_can_not_be_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.yaml"), GOOD).unwrap();
    std::fs::write(folder.path().join("b.yaml"), "version: 1\nauthx: {}\n").unwrap();
    let files = ["a.yaml", "missing.yaml", "b.yaml"];
    let ran = sluice(&["check", files[0], files[1], files[2]], "", folder.path());
    assert_eq!(ran.code, 2);
    assert!(
        ran.output.contains("a.yaml: fine") && ran.output.contains("b.yaml:2:1: authx"),
        "{}",
        ran.output
    );
    assert!(ran.errors.starts_with("sluice: missing.yaml: No such file"), "{}", ran.errors);

    let ran = sluice(&["check", "--json", files[0], files[1], files[2]], "", folder.path());
    assert_eq!(ran.code, 2);
    let report: Value = serde_json::from_str(&ran.output).unwrap();
    let oks: Vec<_> = report["files"].as_array().unwrap().iter().map(|file| file["ok"].as_bool()).collect();
    assert_eq!(oks, [Some(true), Some(false), Some(false)]);
    assert!(report["files"][1]["error"].as_str().unwrap().starts_with("No such file"), "{report:#}");
    assert_eq!(report["files"][0]["error"], Value::Null);
}

#[test]
fn how_many_problems_are_not_shown_is_told() {
    let document =
        format!("version: 1\nauthz:\n  rules:\n{}", "    - { nme: a, allow: true }\n".repeat(3000));
    let ran = run(&["check", "-"], &document);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.output.matches("unknown field `nme`").count(), 50);
    assert!(
        ran.output.ends_with("stdin: … and 2950 more errors; `sluice check --all` shows them\n"),
        "{}",
        ran.output
    );
    assert_eq!(run(&["check", "--all", "-"], &document).output.matches("unknown field `nme`").count(), 3000);
    let report: Value = serde_json::from_str(&run(&["check", "--json", "-"], &document).output).unwrap();
    assert_eq!(report["files"][0]["problems"].as_array().unwrap().len(), 3000);
    // The same for what is found once all has the right form.
    let document = format!(
        "version: 1\nauthz:\n  rules:\n{}",
        (0..60).map(|number| format!("    - {{ name: r{number} }}\n")).collect::<String>()
    );
    let ran = run(&["check", "-"], &document);
    assert!(
        ran.output.ends_with("stdin: … and 10 more errors; `sluice check --all` shows them\n"),
        "{}",
        ran.output
    );
}

#[test]
fn a_number_without_quotes_hides_nothing() {
    let ran = run(
        &["check", "-"],
        "version: 1\nauthn:\n  providers:\n    - { name: 7, forwarded: { peers: [\"spiffe://a/b\"], principal: x-user } }\n  rules:\n    - { name: a, require: { any: [b] } }\nauthz:\n  rules:\n    - { name: x, allow: true, match: { use: nothing } }\n",
    );
    assert_eq!(ran.code, 1);
    for part in [
        "authn.providers[0].name: a number where text is expected; put it in quotes",
        "`b` is not a provider",
        "`nothing` is not a match",
    ] {
        assert!(ran.output.contains(part), "{part}: {}", ran.output);
    }
    // What is wrong with one section hides nothing of the others.
    let ran = run(
        &["check", "-"],
        "version: 1\nauthz:\n  rules:\n    - { name: x, alow: true }\n    - { name: y }\nfault:\n  rules:\n    - { name: z }\n",
    );
    assert!(
        ran.output.contains("alow") && ran.output.contains("fault.rules[0]: does nothing"),
        "{}",
        ran.output
    );
    assert!(!ran.output.contains("says neither"), "{}", ran.output);
    // Nor what a YAML reader stumbles over.
    let ran = run(&["check", "-"], "version: 1\nversion: 1\nauthx: {}\n");
    assert!(
        ran.output.contains("stands twice") && ran.output.contains("unknown field `authx`"),
        "{}",
        ran.output
    );
}

#[test]
fn whoever_has_read_enough_is_no_failure() {
    use std::process::{Command, Stdio};
    for arguments in [
        &["schema"][..],
        &["render", "envoy", "../docs/examples/partners.yaml", "--module", "sluice.wasm"],
        &["check", "../docs/examples/partners.yaml"],
        &["explain", "../docs/examples/partners.yaml", "--path", "/", "--json"],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sluice"))
            .args(arguments)
            .current_dir(HERE)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        assert_eq!(
            (ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

#[test]
fn nothing_is_coloured_in_a_pipe() {
    for arguments in [&["check", "-"][..], &["check", "--help"], &["explain", "-", "--path", "/"]] {
        let ran = run(arguments, GOOD);
        assert!(!ran.output.contains('\u{1b}') && !ran.errors.contains('\u{1b}'), "{arguments:?}");
    }
    let ran = sluice_with(&[("CLICOLOR_FORCE", "1")], &["check", "-"], GOOD, Path::new(HERE));
    assert!(ran.output.contains("\u{1b}["), "{}", ran.output);
    let ran =
        sluice_with(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], &["check", "-"], GOOD, Path::new(HERE));
    assert!(!ran.output.contains('\u{1b}'), "{}", ran.output);
}

#[test]
fn an_expectation_sets_the_exit_status() {
    for (expected, code) in [
        ("allowed", 0),
        ("allowed:authz.allowed.rule:read", 0),
        ("allowed:allowed.rule:read", 0),
        ("allowed:authz", 0),
        ("allowed:authn", 1),
        ("denied", 1),
        ("denied:authz", 1),
    ] {
        let ran = run(&["explain", "-", "https://api.example.com/orders/7?x=1", "--expect", expected], GOOD);
        assert_eq!(ran.code, code, "{expected}: {}", ran.errors);
        assert!(ran.output.starts_with("GET api.example.com/orders/7?x=1 from"), "{}", ran.output);
        let difference = format!("sluice: expected {expected}, but it is allowed:authz.allowed.rule:read\n");
        assert_eq!(ran.errors, if code == 0 { String::new() } else { difference });
    }
    let ran =
        run(&["explain", "-", "--path", "/", "--method", "POST", "--expect", "denied:authz.denied"], GOOD);
    assert_eq!(ran.code, 0, "{}", ran.errors);
}

#[test]
fn pages_and_completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(&["completions", shell], "");
        assert_eq!(ran.code, 0);
        assert!(ran.output.contains("envoy-filter") && ran.output.contains("strict"), "{shell}");
    }
    let page = run(&["man"], "").output;
    for command in ["check", "explain", "schema", "completions", "man", "render"] {
        assert!(page.contains(command), "{command}");
        assert!(run(&["help", command], "").output.contains("Usage: sluice "), "{command}");
    }
    let page = run(&["man", "render", "envoy"], "").output;
    assert!(page.contains(".TH sluice-render-envoy") && page.contains("ecds"), "{page}");
}

#[test]
fn the_schema_is_json() {
    let ran = run(&["schema"], "");
    assert_eq!(ran.code, 0);
    let schema: Value = serde_json::from_str(&ran.output).unwrap();
    assert_eq!(schema["title"], "Sluice policy document");
}

#[test]
fn what_the_proxy_fetches_is_stood_in_for_by_a_file() {
    // Of the example's issuer, with the key `k`, and a signature that is nobody's.
    let token = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJodHRwczovL2lkLnNsdWljZS5kZW1vIn0.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let keys = write(
        "keys.json",
        r#"{"keys":[{"kty":"EC","kid":"k","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#,
    );
    let bad = write("bad.json", r#"{"keys":[]}"#);
    let header = format!("authorization: Bearer {token}");
    let explain = |more: &[&str]| {
        let mut arguments =
            vec!["explain", "../docs/examples/remote-keys.yaml", "--path", "/", "-H", &header];
        arguments.extend(more);
        run(&arguments, "")
    };
    let without = explain(&["--expect", "denied:authn.keys_unavailable"]);
    assert_eq!(without.code, 0, "{}", without.output);
    assert!(
        without
            .output
            .contains("not there: authn.staff, which the proxy fetches; --resource authn.staff=FILE")
    );
    let with = explain(&[
        "--resource",
        &format!("authn.staff={keys}"),
        "--expect",
        "denied:authn.signature_invalid",
    ]);
    assert_eq!(with.code, 0, "{}", with.output);
    assert!(!with.output.contains("not there"), "{}", with.output);
    for (argument, part) in [
        ("nothing".to_owned(), "is not NAME=FILE"),
        (
            format!("authn.stuff={keys}"),
            "no `authn.stuff` is fetched; the document has `authn.staff` fetched",
        ),
        ("authn.staff=no-such-file.json".to_owned(), "No such file"),
        (format!("authn.staff={bad}"), "no key can be used: it is empty"),
    ] {
        let ran = explain(&["--resource", &argument]);
        assert_eq!(ran.code, 2, "{argument}");
        assert!(ran.errors.contains(part), "{argument}: {}", ran.errors);
    }
    let ran = run(&["check", "../docs/examples/remote-keys.yaml"], "");
    assert!(ran.output.contains("calls the cluster `id`"), "{}", ran.output);
}
