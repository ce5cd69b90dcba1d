//! The API server is a real one: it stores, defaults, refuses, and ends with its handle.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::path::Path;
use std::process::Command;

use sluice_integration::{tools, wait_until};
use sluice_kubernetes_test::ApiServer;

const STRICT: &str = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: { name: strict, namespace: shop }\nspec: { mtls: { mode: STRICT } }\n";

#[test]
fn it_serves_istios_kinds_and_refuses_what_they_do_not_have() {
    let server = ApiServer::start().unwrap();
    // Its kinds are unknown until they are installed: that they are accepted afterwards says something.
    server.create_namespace("shop").unwrap();
    let refused = server.apply(STRICT).unwrap_err().to_string();
    assert!(refused.contains("no matches for kind"), "{refused}");

    server.install_istio_crds().unwrap();
    let applied = server.apply(STRICT).unwrap();
    assert!(applied.contains("peerauthentication.security.istio.io/strict serverside-applied"), "{applied}");
    let mode = server
        .kubectl(&["get", "peerauthentication", "strict", "-n", "shop", "-o", "jsonpath={.spec.mtls.mode}"])
        .unwrap();
    assert_eq!(mode, "STRICT");

    for (wrong, said) in [
        (STRICT.replace("mtls:", "mtsl:"), ".spec.mtsl: field not declared in schema"),
        (STRICT.replace("STRICT", "STRIKT"), "Unsupported value: \"STRIKT\""),
        (STRICT.replace("namespace: shop", "namespace: shoop"), "namespaces \"shoop\" not found"),
    ] {
        let refused = server.apply(&wrong).unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
    }

    server.delete(STRICT).unwrap();
    server.delete(STRICT).unwrap();
    let left = server.kubectl(&["get", "peerauthentications", "-A", "-o", "name"]).unwrap();
    assert_eq!(left, "");
}

#[test]
fn nothing_of_it_is_left_when_its_handle_is_gone() {
    let server = ApiServer::start().unwrap();
    let (directory, port) = (server.directory().to_owned(), server.port());
    let of_it = format!("--secure-port={port}");
    assert_eq!(processes_with(&of_it), 1);
    assert_eq!(processes_with(directory.to_str().unwrap()), 2, "etcd and kube-apiserver name their folder");
    drop(server);
    assert_eq!(processes_with(&of_it) + processes_with(directory.to_str().unwrap()), 0);
    assert!(!directory.exists());
}

#[test]
fn it_runs_in_a_network_namespace_too() {
    let name = format!("sluice-k8s-{}", std::process::id());
    let Some(_namespace) = NetworkNamespace::make(&name) else {
        println!("left out: this machine gives no network namespaces");
        return;
    };
    let server = ApiServer::start_in(&name).unwrap();
    assert!(server.kubectl(&["get", "namespaces", "-o", "name"]).unwrap().contains("namespace/default"));
    // Not from here.
    assert!(std::net::TcpStream::connect(("127.0.0.1", server.port())).is_err());
}

/// How many processes have this in their command line.
fn processes_with(part: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(part)).count()
}

struct NetworkNamespace(String);

impl NetworkNamespace {
    fn make(name: &str) -> Option<Self> {
        let ip = tools::find("ip").ok()?;
        let run = |arguments: &[&str]| {
            Command::new(&ip).args(arguments).status().is_ok_and(|status| status.success())
        };
        run(&["netns", "add", name]).then(|| {
            let this = Self(name.to_owned());
            assert!(run(&["-n", name, "link", "set", "lo", "up"]));
            this
        })
    }
}

impl Drop for NetworkNamespace {
    fn drop(&mut self) {
        if let Ok(ip) = tools::find("ip") {
            let _ = Command::new(ip).args(["netns", "del", &self.0]).status();
        }
        // Removed by the kernel a moment after the last process in it.
        let mounted = Path::new("/var/run/netns").join(&self.0);
        let _ = wait_until("the namespace to go", std::time::Duration::from_secs(5), || !mounted.exists());
    }
}
