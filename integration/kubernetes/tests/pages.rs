//! The pages "Put it into your Envoy", "Put it into your Istio" and "Try it with kind": their commands are run as they stand, with the `sluice`
//! of this tree, a stock Envoy and a real API server.
//!
//! Blocks of ```` ```sh ```` are run, one after the other, in one shell. In blocks of ```` ```console ```` each line after `$ ` is run, and must print what stands
//! below it. All else is for the reader.

#![allow(clippy::unwrap_used, clippy::panic, clippy::arithmetic_side_effects, reason = "tests")]

mod common;

use std::fmt::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{SLUICE, file, script};
use sluice_integration::{Process, envoy_binary, ports, repository_root, tools};
use sluice_kubernetes_test::ApiServer;

/// A page's commands as a script that fails where one does, or prints something else than the page shows.
fn commands(page: &str) -> (String, usize) {
    let mut shell = String::from("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n");
    let mut count = 0;
    for block in page.split("\n```").skip(1).step_by(2) {
        let (language, text) = block.split_once('\n').unwrap();
        match language {
            "sh" => {
                let _ = writeln!(shell, "{text}");
                count += 1;
            }
            "console" => {
                for example in text.split("$ ").skip(1) {
                    let (command, expected) = example.split_once('\n').unwrap_or((example, ""));
                    // Quoted for the shell: nothing in it means anything.
                    let quoted = |text: &str| format!("'{}'", text.trim_end().replace('\'', "'\\''"));
                    let _ = writeln!(
                        shell,
                        "got=$({command})\n[ \"$got\" = {} ] || {{ printf 'page: %s\\nprints now:\\n%s\\n' {} \"$got\" >&2; exit 1; }}",
                        quoted(expected),
                        quoted(command)
                    );
                    count += 1;
                }
            }
            _ => {}
        }
    }
    (shell, count)
}

/// A folder in which a page is run: what it reads of the repository, and nothing that it could change there.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = repository_root();
        symlink(root.join("docs"), folder.path().join("docs")).unwrap();
        let copied =
            Command::new("cp").arg("-r").arg(root.join("envoy-configs")).arg(folder.path()).status().unwrap();
        assert!(copied.success());
        std::fs::create_dir_all(folder.path().join("bin")).unwrap();
        std::fs::create_dir_all(folder.path().join("dist")).unwrap();
        symlink(sluice_integration::module().unwrap(), folder.path().join("dist/sluice.wasm")).unwrap();
        symlink(SLUICE, folder.path().join("bin/sluice")).unwrap();
        symlink(tools::find("kubectl").unwrap(), folder.path().join("bin/real-kubectl")).unwrap();
        // The page's cluster is the server of the test.
        script(
            &folder.path().join("bin"),
            "kubectl",
            "#!/bin/bash\nif [ \"${1:-}\" = --context ]; then shift 2; fi\nexec real-kubectl \"$@\"\n",
        );
        if let Ok(envoy) = envoy_binary() {
            symlink(envoy, folder.path().join("bin/envoy")).unwrap();
        }
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs a page to its end.
    fn run(&self, shell: &str, kubeconfig: Option<&Path>) {
        let page: PathBuf = self.path().join("page.sh");
        std::fs::write(&page, shell).unwrap();
        let mut command = Command::new("bash");
        let path = std::env::var("PATH").unwrap_or_default();
        command.arg(&page).current_dir(self.path()).env("HOME", self.path());
        command.env("PATH", format!("{}:{path}", self.path().join("bin").display()));
        for variable in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"] {
            command.env_remove(variable);
        }
        if let Some(kubeconfig) = kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        let mut process = Process::start("page", command, self.path()).unwrap();
        let ended =
            sluice_integration::wait_until("the page to end", std::time::Duration::from_secs(300), || {
                process.exit_status().is_some()
            });
        let (output, errors) = (process.stdout(), process.stderr());
        ended.unwrap_or_else(|error| panic!("{error}\n{output}\n{errors}"));
        let status = process.exit_status().unwrap();
        assert!(status.success(), "{status}\n{output}\n{errors}\n{shell}");
    }
}

#[test]
fn put_it_into_your_envoy() {
    let (mut shell, count) = commands(&file("docs/envoy.md"));
    assert!(count >= 9, "{count} commands");
    for port in ["10000", "9901"] {
        shell = shell.replace(port, &ports::free().to_string());
    }
    Folder::new().run(&shell, None);
}

#[test]
fn put_it_into_your_istio() {
    let server = ApiServer::start().unwrap();
    server.install_istio_crds().unwrap();
    for namespace in ["istio-ingress", "shop"] {
        server.create_namespace(namespace).unwrap();
    }
    let (shell, count) = commands(&file("docs/istio.md"));
    assert!(count >= 9, "{count} commands");
    Folder::new().run(&shell, Some(server.kubeconfig()));
}

#[test]
fn try_it_with_kind() {
    let server = ApiServer::start().unwrap();
    server.install_istio_crds().unwrap();
    server.create_namespace("istio-ingress").unwrap();
    let (shell, count) = commands(&file("docs/kind.md"));
    assert!(count >= 1, "{count} commands");
    Folder::new().run(&shell, Some(server.kubeconfig()));
    let stored =
        server.kubectl(&["get", "wasmplugin", "sluice", "-n", "istio-ingress", "-o", "name"]).unwrap();
    assert_eq!(stored.trim(), "wasmplugin.extensions.istio.io/sluice");
}
