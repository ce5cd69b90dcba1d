//! What `sluice render` makes for Istio. The files below `tests/istio` are what it prints; `SLUICE_BLESS=1 cargo test -p sluice-cli --test
//! istio` writes them anew; look at the difference. That a real API server takes them is shown in `integration/kubernetes`, that a real
//! Istio does in `integration/mesh`.

mod command;
use command::{Ran, sluice};
use std::path::{Path, PathBuf};

const DIGEST: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/istio")
}

fn render(line: &str) -> Ran {
    let line = line.replace("DIGEST", DIGEST);
    let arguments: Vec<&str> = ["render"].into_iter().chain(line.split_whitespace()).collect();
    sluice(&arguments, "", &folder())
}

#[test]
fn each_form_is_as_it_stands_beside_this() {
    let mut wrong = Vec::new();
    for (file, line) in [
        (
            "wasm-plugin.yaml",
            "wasm-plugin policy.yaml -n shop -l app=orders --image oci://ghcr.io/sluice/sluice:0.1.0",
        ),
        (
            "wasm-plugin-gateway.yaml",
            "wasm-plugin policy.yaml --name edge -n shop --gateway=shop --image ghcr.io/sluice/sluice@sha256:DIGEST --phase STATS --priority -7 --fail-strategy FAIL_CLOSE --pull-policy IfNotPresent --pull-secret registry",
        ),
        (
            "wasm-plugin-url.yaml",
            "wasm-plugin policy.yaml --url https://modules.example.com/sluice.wasm --sha256 DIGEST --phase unset --fail-strategy FAIL_OPEN",
        ),
        ("wasm-plugin-patch.yaml", "wasm-plugin policy.yaml --name orders --patch"),
        (
            "wasm-plugin-secret.yaml",
            "wasm-plugin ../../../docs/examples/shared-secret.yaml -n shop --image oci://ghcr.io/sluice/sluice:0.1.0",
        ),
        (
            "envoy-filter-secret.yaml",
            "envoy-filter ../../../docs/examples/shared-secret.yaml -n shop --image oci://ghcr.io/sluice/sluice:0.1.0",
        ),
        (
            "envoy-filter.yaml",
            "envoy-filter policy.yaml -n shop -l app=orders -l version=v1 --image oci://ghcr.io/sluice/sluice:0.1.0 --access-log",
        ),
        (
            "envoy-filter-file.yaml",
            "envoy-filter policy.yaml -n shop --gateway -l istio=ingressgateway --url file:///etc/sluice/sluice.wasm --position last --restart-interval 1250",
        ),
        ("envoy-filter-beside.yaml", "envoy-filter policy.yaml --gateway --beside-wasm-plugin"),
    ] {
        let ran = render(line);
        assert_eq!(ran.code, 0, "{line}: {}", ran.errors);
        let file = folder().join(file);
        if std::env::var_os("SLUICE_BLESS").is_some() {
            std::fs::write(&file, &ran.output).unwrap();
        } else if std::fs::read_to_string(&file).ok().as_ref() != Some(&ran.output) {
            wrong.push(format!("sluice render {line}\n{}", ran.output));
        }
    }
    assert!(wrong.is_empty(), "{}\nSLUICE_BLESS=1 takes these over", wrong.join("\n"));
}

#[test]
fn what_would_let_requests_through_is_warned_about() {
    for (line, said) in [
        ("wasm-plugin policy.yaml --image sluice:1", "clients could write their own address"),
        ("wasm-plugin policy.yaml --image localhost:5000/sluice", "names no release"),
        ("wasm-plugin policy.yaml --image sluice:latest", "names no release"),
        ("wasm-plugin policy.yaml --image sluice:1 --fail-strategy FAIL_OPEN", "without any policy"),
    ] {
        let ran = render(line);
        assert_eq!(ran.code, 0);
        assert!(
            ran.errors.contains("policy.yaml: warning: ") && ran.errors.contains(said),
            "{line}: {}",
            ran.errors
        );
    }
    // The patch that overwrites the header is in an EnvoyFilter: nothing to warn about.
    assert_eq!(render("envoy-filter policy.yaml --image localhost:5000/sluice:1").errors, "");
    assert_eq!(render("envoy-filter policy.yaml --image localhost:5000/sluice@sha256:DIGEST").errors, "");
}

#[test]
fn what_istio_would_refuse_or_not_verify_is_refused_with_what_to_do() {
    for (line, said) in [
        ("wasm-plugin policy.yaml", "--image oci://REGISTRY/NAME:TAG, or --url"),
        (
            "wasm-plugin policy.yaml --image https://x/sluice.wasm",
            "for http(s):// and file:// there is --url",
        ),
        ("wasm-plugin policy.yaml --image sluice@sha256:12", "64 hexadecimal digits"),
        (
            "wasm-plugin policy.yaml --image sluice:1@sha256:DIGEST --sha256 DIGESTDIGEST",
            "64 hexadecimal digits",
        ),
        (
            "wasm-plugin policy.yaml --image sluice:1@sha256:DIGEST --sha256 ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "another digest",
        ),
        ("wasm-plugin policy.yaml --url https://x/sluice.wasm", "needs --sha256"),
        (
            "wasm-plugin policy.yaml --url file:///sluice.wasm --sha256 DIGEST",
            "does not verify a file:// module",
        ),
        ("wasm-plugin policy.yaml --url ftp://x/sluice.wasm", "must be http://"),
        ("wasm-plugin policy.yaml --url file://sluice.wasm", "file:///…"),
        ("wasm-plugin policy.yaml --image sluice:1 --url file:///x", "cannot be used with"),
        ("wasm-plugin policy.yaml --image sluice:1 --patch", "cannot be used with"),
        ("wasm-plugin policy.yaml --patch --fail-strategy FAIL_OPEN", "cannot be used with"),
        ("wasm-plugin policy.yaml --image localhost:5000/sluice:", "the tag behind `:` is missing"),
        ("wasm-plugin policy.yaml --image sluice:1 -l app", "KEY=VALUE"),
        ("wasm-plugin policy.yaml --image sluice:1 -l app=*", "no patterns"),
        ("wasm-plugin policy.yaml --image sluice:1 -n Shop", "lower-case"),
        ("wasm-plugin policy.yaml --image sluice:1 --name .sluice", "--name"),
        (
            "wasm-plugin policy.yaml --image sluice:1 --phase LATER",
            "[possible values: AUTHN, AUTHZ, STATS, unset]",
        ),
        ("wasm-plugin policy.yaml --image sluice:1 --module no-such.wasm", "no-such.wasm"),
        ("envoy-filter policy.yaml --image sluice:1 --restart-interval 1", "2..=60000"),
        ("envoy-filter policy.yaml --beside-wasm-plugin --image sluice:1", "cannot be used with"),
        ("envoy-filter ../../../docs/examples/partners.yaml --beside-wasm-plugin", "nothing to patch"),
    ] {
        let ran = render(line);
        assert_eq!((ran.code, ran.output.as_str()), (2, ""), "{line}: {}", ran.errors);
        assert!(ran.errors.contains(said), "{line}: {}", ran.errors);
    }
}

#[test]
fn a_selector_and_a_named_gateway_exclude_each_other() {
    let ran = render("wasm-plugin policy.yaml --image sluice:1 --gateway=shop -l app=orders");
    assert_eq!(ran.code, 2);
    assert!(ran.errors.contains("--gateway=shop") && ran.errors.contains("--selector"), "{}", ran.errors);
}

#[test]
fn a_number_that_istio_would_round_is_refused() {
    let document = |number: u64| {
        format!(
            "version: 1\nauthz:\n  rules:\n    - {{ name: a, allow: true, match: {{ headers: {{ tenant: {number} }} }} }}\n"
        )
    };
    let exact = 1 << 53;
    for (form, number, code) in [
        ("wasm-plugin", exact, 0),
        ("wasm-plugin", exact + 1, 1),
        // Here the document is a text, which nobody reads but the module.
        ("envoy-filter", exact + 1, 0),
    ] {
        let ran = sluice(&["render", form, "-", "--image", "sluice:1"], &document(number), &folder());
        assert_eq!(ran.code, code, "{form} {number}: {}", ran.errors);
        let carried = ran.output.contains(&number.to_string());
        let refused = ran.errors.starts_with("stdin:4:")
            && ran.errors.contains("tenant: Istio reads numbers of a WasmPlugin as doubles");
        assert_eq!((carried, refused), (code == 0, code == 1), "{form} {number}: {}", ran.errors);
    }
}

#[test]
fn sizes_that_a_cluster_does_not_take_are_said_with_the_way_out() {
    for (networks, said) in [
        (100, None),
        (13_500, Some("is close to the 256 KiB that `kubectl apply` takes")),
        (18_000, Some("needs `kubectl apply --server-side`")),
        (110_000, Some("is more than the 1.5 MiB that Kubernetes' etcd takes")),
    ] {
        let list: Vec<String> =
            (0..networks).map(|n| format!("10.{}.{}.{}/32", n >> 16, (n >> 8) & 255, n & 255)).collect();
        let document = format!(
            "version: 1\ndefinitions: {{ ipLists: {{ many: {{ cidrs: [{}] }} }} }}\n",
            list.join(", ")
        );
        for arguments in [
            &["check", "-"][..],
            &["render", "wasm-plugin", "-", "--image", "sluice:1"],
            &["render", "envoy-filter", "-", "--image", "sluice:1", "--format", "json"],
        ] {
            let ran = sluice(arguments, &document, &folder());
            assert_eq!(ran.code, 0, "{}", ran.errors);
            let told = if arguments.starts_with(&["check"]) { ran.output } else { ran.errors };
            match said {
                None => assert!(!told.contains("warning"), "{told}"),
                Some(said) => {
                    assert!(told.contains("stdin: warning: ") && told.contains(said), "{networks}: {told}")
                }
            }
        }
    }
}
