//! The demo in kind, as far as it runs where there is no kind: `up` and `down` with stand-ins for `docker`, `kind` and `istioctl` that
//! write down how they are called, and the real kubectl with a real API server; the tour with the real demo of Envoys in place of the cluster.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests"
)]

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{SIGNER, documents, file, kustomize, script};
use sluice_integration::{Mesh, repository_root, tools};
use sluice_kubernetes_test::ApiServer;

/// Where the programs are that scripts may call besides the stand-ins.
const SYSTEM: &str = "/usr/bin:/bin";

/// A copy of what `up` and `down` need, so that the images that they ask for can be made up, beside stand-ins in `bin`.
struct Checkout {
    folder: tempfile::TempDir,
}

impl Checkout {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for made in ["envoy-configs", "bin", "dist/images/sluice", "tools"] {
            std::fs::create_dir_all(root.join(made)).unwrap();
        }
        for name in ["istio", "kind"] {
            let from = repository_root().join("envoy-configs").join(name);
            let copied =
                Command::new("cp").arg("-r").arg(from).arg(root.join("envoy-configs")).status().unwrap();
            assert!(copied.success());
        }
        for image in ["dist/images/sluice-demo.tar", "dist/images/sluice/index.json"] {
            std::fs::write(root.join(image), "").unwrap();
        }
        let this = Self { folder };
        this.stand_in("docker", "case \"$*\" in *format*) echo 192.0.2.7;; *inspect*) [ -e \"$ROOT/registry-runs\" ];; run*) touch \"$ROOT/registry-runs\";; rm*) rm \"$ROOT/registry-runs\";; esac");
        this.stand_in("kind", "case \"$*\" in 'get clusters') [ ! -e \"$ROOT/cluster-runs\" ] || echo sluice;; create*) touch \"$ROOT/cluster-runs\";; delete*) rm -f \"$ROOT/cluster-runs\";; esac");
        this.stand_in(
            "istioctl",
            "case \"$*\" in version*) echo \"client version: ${STAND_IN_VERSION:-1.30.4}\";; esac",
        );
        script(this.root(), "tools/push-images", &recorded("push-images", ""));
        this.tour("exit 0");
        this
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn stand_in(&self, name: &str, body: &str) {
        script(&self.root().join("bin"), name, &recorded(name, body));
    }

    fn tour(&self, body: &str) {
        script(self.root(), "envoy-configs/kind/tour", &recorded("tour", body));
    }

    /// The real kubectl, with its server as the cluster. There are no controllers: nothing is ever rolled out.
    fn kubectl(&self, server: &ApiServer) {
        let kubectl = tools::find("kubectl").unwrap();
        let body = format!(
            "shift 2\ncase \"$*\" in *rollout*) exit 0;; esac\nKUBECONFIG='{}' exec '{}' \"$@\"",
            server.kubeconfig().display(),
            kubectl.display()
        );
        self.stand_in("kubectl", &body);
    }

    fn run(&self, name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        Command::new(self.root().join("envoy-configs/kind").join(name))
            .args(arguments)
            .env_clear()
            .env("PATH", format!("{}:{SYSTEM}", self.root().join("bin").display()))
            .env("ROOT", self.root())
            .env("HOME", self.root())
            .envs(environment.iter().copied())
            .output()
            .unwrap()
    }

    /// How the stand-ins were called since the last time.
    fn calls(&self) -> Vec<String> {
        let record = self.root().join("calls");
        let calls = std::fs::read_to_string(&record).unwrap_or_default();
        let _ = std::fs::remove_file(record);
        calls.lines().map(str::to_owned).collect()
    }
}

fn recorded(name: &str, body: &str) -> String {
    format!("#!/bin/bash\nprintf '%s\\n' \"{name} $*\" >>\"$ROOT/calls\"\n{body}\n")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn up_makes_a_cluster_whose_api_server_takes_everything_and_down_removes_it() {
    let server = ApiServer::start().unwrap();
    server.install_istio_crds().unwrap();
    let checkout = Checkout::new();
    checkout.kubectl(&server);

    let up = checkout.run("up", &[], &[]);
    assert!(up.status.success(), "{}\n{}", text(&up.stdout), text(&up.stderr));
    let calls = checkout.calls();
    let position = |part: &str| {
        calls.iter().position(|call| call.contains(part)).unwrap_or_else(|| panic!("no {part} in {calls:#?}"))
    };
    let order = [
        "kind create cluster --name sluice --image kindest/node:v1.36.1 --config envoy-configs/kind/cluster.yaml",
        "docker run --detach --name sluice-registry --publish 127.0.0.1:5001:5000 registry:3",
        "docker network connect kind sluice-registry",
        "push-images 127.0.0.1:5001",
        "kind load image-archive dist/images/sluice-demo.tar --name sluice",
        "namespaces.yaml",
        "istioctl install --context kind-sluice --skip-confirmation -f envoy-configs/istio/mesh-config.yaml -f envoy-configs/kind/istio.yaml",
        "-k envoy-configs/kind/sidecar",
        "-k envoy-configs/kind/edge",
        "services.yaml",
        "rollout status deployment/inventory-v1",
        "tour http://127.0.0.1:8080",
    ];
    let positions: Vec<usize> = order.iter().map(|part| position(part)).collect();
    assert!(positions.is_sorted(), "{calls:#?}");
    // Every call is for this cluster and no other that a user may have.
    for call in calls.iter().filter(|call| call.starts_with("kubectl")) {
        assert!(call.starts_with("kubectl --context kind-sluice "), "{call}");
    }

    let names = server.kubectl(&["get", "wasmplugins,deployments", "-A", "-o", "name"]).unwrap();
    for name in ["sluice", "sluice-orders", "sluice-inventory"] {
        assert!(names.contains(&format!("wasmplugin.extensions.istio.io/{name}\n")), "{names}");
    }
    let expected = documents(&file("envoy-configs/kind/services.yaml"))
        .iter()
        .filter(|d| d["kind"] == "Deployment")
        .count();
    assert_eq!(names.matches("deployment.apps/").count(), expected, "{names}");
    let address = server
        .kubectl(&[
            "get",
            "endpointslice",
            "registry",
            "-n",
            "sluice-registry",
            "-o",
            "jsonpath={.endpoints[0].addresses[0]}",
        ])
        .unwrap();
    assert_eq!(address, "192.0.2.7");
    // The name by which the proxies ask for the module is the one that the registry has in the cluster.
    let url = server
        .kubectl(&["get", "wasmplugin", "sluice", "-n", "istio-ingress", "-o", "jsonpath={.spec.url}"])
        .unwrap();
    assert_eq!(url, "oci://registry.sluice-registry.svc.cluster.local:5000/sluice:0.1.0");
    assert!(
        file("envoy-configs/kind/istio.yaml")
            .contains("WASM_INSECURE_REGISTRIES: registry.sluice-registry.svc.cluster.local:5000")
    );

    // Once more: what is there stays, and all is applied again.
    let again = checkout.run("up", &[], &[]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    let calls = checkout.calls();
    assert!(
        !calls.iter().any(|call| call.contains("kind create") || call.contains("docker run")),
        "{calls:#?}"
    );
    assert!(calls.iter().any(|call| call == "docker start sluice-registry"), "{calls:#?}");

    let down = checkout.run("down", &[], &[]);
    assert!(down.status.success(), "{}", text(&down.stderr));
    assert!(checkout.calls().ends_with(&["docker rm --force --volumes sluice-registry".to_owned()]));
    let down = checkout.run("down", &[], &[]);
    assert!(down.status.success(), "{}", text(&down.stderr));
    assert!(!checkout.calls().iter().any(|call| call.starts_with("docker rm")));
}

#[test]
fn up_ends_at_the_first_thing_that_fails() {
    let checkout = Checkout::new();
    checkout.stand_in("kubectl", "echo refused >&2; exit 1");
    let up = checkout.run("up", &[], &[]);
    assert!(!up.status.success());
    let calls = checkout.calls();
    assert!(calls.last().unwrap().ends_with("-f envoy-configs/kind/namespaces.yaml"), "{calls:#?}");

    checkout.stand_in("kubectl", "cat >/dev/null");
    checkout.tour("exit 1");
    assert!(!checkout.run("up", &[], &[]).status.success(), "the tour's failure is the demo's");
}

#[test]
fn up_says_what_is_missing_before_it_does_anything() {
    let checkout = Checkout::new();
    let up = checkout.run("up", &[], &[("PATH", SYSTEM)]);
    let said = text(&up.stderr);
    assert_eq!((up.status.code(), up.stdout.as_slice()), (Some(1), &b""[..]), "{said}");
    for program in ["kind: https://", "istioctl: https://"] {
        assert!(said.contains(program), "{said}");
    }

    checkout.stand_in("kubectl", "");
    let changed: [(&str, &dyn Fn(), &str); 3] = [
        ("", &|| checkout.stand_in("docker", "exit 1"), "Docker does not answer"),
        ("1.2.3", &|| checkout.stand_in("docker", ""), "istioctl is of version client version: 1.2.3"),
        (
            "",
            &|| std::fs::remove_file(checkout.root().join("dist/images/sluice-demo.tar")).unwrap(),
            "run `make images` first",
        ),
    ];
    for (version, change, expected) in changed {
        change();
        let environment = [("STAND_IN_VERSION", if version.is_empty() { "1.30.4" } else { version })];
        let up = checkout.run("up", &[], &environment);
        let said = text(&up.stderr);
        assert!(up.status.code() == Some(1) && said.contains(expected), "{said}");
        assert!(!checkout.calls().iter().any(|call| call.contains("create") || call.contains("run")));
    }
    let up = checkout.run("up", &["--help-me"], &[]);
    assert_eq!(up.status.code(), Some(2));
}

#[test]
fn a_dry_run_prints_the_commands_and_runs_none() {
    let checkout = Checkout::new();
    checkout.stand_in("kubectl", "exit 1");
    let up = checkout.run("up", &["--dry-run"], &[]);
    assert!(up.status.success(), "{}", text(&up.stderr));
    let printed = text(&up.stdout);
    for part in [
        "+ kind create cluster",
        "+ istioctl install",
        "+ kubectl --context kind-sluice apply",
        "+ envoy-configs/kind/tour",
    ] {
        assert!(printed.contains(part), "{printed}");
    }
    let calls = checkout.calls();
    let asked = ["docker info", "istioctl version --remote=false --short"];
    assert!(calls.iter().all(|call| asked.contains(&call.as_str())), "{calls:#?}");
}

#[test]
fn the_tour_holds_on_the_demo_of_envoys_and_fails_where_something_is_otherwise() {
    let mesh = Mesh::for_test("kind-tour");
    let edge = format!("http://127.0.0.1:{}", mesh.ports().edge);
    let tour = |edge: &str, signer: &str| {
        Command::new(repository_root().join("envoy-configs/kind/tour"))
            .arg(edge)
            .env("SLUICE_TOUR", signer)
            .output()
            .unwrap()
    };
    let walked = tour(&edge, SIGNER);
    let said = text(&walked.stdout);
    assert!(walked.status.success(), "{said}{}", text(&walked.stderr));
    assert!(said.ends_with("All of it held.\n") && said.matches(", it held").count() == 13, "{said}");
    // The partner has used up its minute: the same calls are answered otherwise now, and that is told.
    let walked = tour(&edge, SIGNER);
    assert!(!walked.status.success());
    assert!(text(&walked.stderr).contains("3 of these did not hold"), "{}", text(&walked.stderr));
}

#[test]
fn the_scripts_are_as_shellcheck_wants_them() {
    let Ok(shellcheck) = tools::find("shellcheck") else {
        println!("left out: this machine has no shellcheck");
        return;
    };
    let checked = Command::new(shellcheck)
        .arg("-x")
        .args(["up", "down", "tour"].map(|name| format!("envoy-configs/kind/{name}")))
        .current_dir(repository_root())
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", text(&checked.stdout));
}

#[test]
fn the_kustomizations_of_the_demo_are_those_for_users_with_another_registry() {
    for folder in ["edge", "sidecar"] {
        let demo = documents(&kustomize(&format!("envoy-configs/kind/{folder}")));
        let users = documents(&kustomize(&format!("envoy-configs/istio/{folder}")));
        for mut plugin in users {
            if plugin["kind"] == "WasmPlugin" {
                plugin["spec"]["url"] =
                    "oci://registry.sluice-registry.svc.cluster.local:5000/sluice:0.1.0".into();
            }
            assert!(demo.contains(&plugin), "{plugin:#}");
        }
    }
}
