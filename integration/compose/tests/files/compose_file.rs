//! docker-compose.yml as both versions of Compose read it.

use std::process::Command;

use serde_json::Value;
use sluice_compose_test::{dot_env, run};
use sluice_integration::{document, repository_root, tools};

use crate::read;

/// The file with everything put in, by that program.
fn configuration(program: &str) -> Value {
    let mut command = Command::new(tools::find(program).unwrap());
    command.current_dir(repository_root()).args(["--profile", "tour", "config"]);
    command.env_remove("SLUICE_MODULE_DIR").env_remove("SLUICE_POLICIES");
    let output = run(&mut command).unwrap();
    assert!(output.success, "{program}: {}", output.both());
    document::from_yaml(&output.stdout).unwrap_or_else(|e| panic!("{program}: {e}"))
}

fn services(configuration: &Value) -> Vec<(String, Value)> {
    let services = configuration["services"].as_object().unwrap();
    services.iter().map(|(name, service)| (name.clone(), service.clone())).collect()
}

#[test]
fn both_versions_read_the_same_services() {
    let (one, two) = (configuration("docker-compose"), configuration("docker-compose-v2"));
    let names =
        |configuration: &Value| services(configuration).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(&one), names(&two));
    assert_eq!(names(&one).len(), 14);
    for (name, service) in services(&one) {
        let other = &two["services"][&name];
        for key in
            ["image", "user", "entrypoint", "command", "read_only", "cap_drop", "restart", "network_mode"]
        {
            assert_eq!(service[key], other[key], "{name}: {key}");
        }
        for (of, dependency) in service["depends_on"].as_object().into_iter().flatten() {
            assert_eq!(dependency["condition"], other["depends_on"][of]["condition"], "{name} on {of}");
        }
        assert_eq!(service["healthcheck"]["test"], other["healthcheck"]["test"], "{name}");
    }
}

#[test]
fn every_service_is_hardened() {
    for (name, service) in services(&configuration("docker-compose-v2")) {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
        assert_eq!(service["security_opt"], serde_json::json!(["no-new-privileges:true"]), "{name}");
        assert!(service["pids_limit"].is_u64() && !service["mem_limit"].is_null(), "{name}");
        let user = service["user"].as_str().unwrap_or_else(|| panic!("{name} has no user"));
        assert!(!user.starts_with('0') && !user.starts_with("root"), "{name}: {user}");
        for key in ["privileged", "cap_add", "devices", "pid", "ipc", "userns_mode"] {
            assert!(service[key].is_null(), "{name}: {key}");
        }
        let once = ["prepare", "tour"].contains(&name.as_str());
        assert_eq!(service["restart"], if once { "no" } else { "unless-stopped" }, "{name}");
        assert_eq!(service["healthcheck"].is_null(), once, "{name}");
        for mount in service["volumes"].as_array().into_iter().flatten() {
            // Of the host's files nothing can be written to.
            assert!(mount["type"] != "bind" || mount["read_only"] == true, "{name}: {mount}");
            assert!(!mount.to_string().contains("docker.sock"), "{name}: {mount}");
        }
    }
}

#[test]
fn only_the_edge_and_the_dashboards_are_published_on_this_machine_alone() {
    let mut published = Vec::new();
    for (name, service) in services(&configuration("docker-compose-v2")) {
        for port in service["ports"].as_array().into_iter().flatten() {
            assert_eq!(port["host_ip"], "127.0.0.1", "{name}");
            published.push((name.clone(), port["published"].as_str().unwrap().to_owned()));
        }
        assert_ne!(service["network_mode"], "host", "{name}");
    }
    let expected = [("edge", "10000"), ("grafana", "3000"), ("jaeger", "16686"), ("prometheus", "9090")];
    assert_eq!(published, expected.map(|(name, port)| (name.to_owned(), port.to_owned())));
}

#[test]
fn every_image_is_named_in_dot_env_by_an_exact_version() {
    let text = read("docker-compose.yml");
    let images: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("image: ")).collect();
    assert_eq!(images.len(), 7);
    let environment = dot_env().unwrap();
    for image in images {
        let variables: Vec<&str> =
            image.split("${").skip(1).filter_map(|part| part.split('}').next()).collect();
        assert!(!variables.is_empty(), "{image} names no variable");
        let full = variables.iter().fold(image.to_owned(), |image, name| {
            let value = environment.get(*name).unwrap_or_else(|| panic!(".env does not have {name}"));
            image.replace(&format!("${{{name}}}"), value)
        });
        let (_, tag) = full.rsplit_once(':').unwrap_or_else(|| panic!("{full} has no version"));
        // Digits throughout, or a commit: not `latest`, not `v3`.
        let exact =
            tag.matches('.').count() >= 2 || (tag.len() >= 8 && tag.bytes().all(|b| b.is_ascii_hexdigit()));
        assert!(exact, "{full}");
    }
    assert_eq!(environment["SLUICE_VERSION"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn what_is_mounted_exists() {
    for (name, service) in services(&configuration("docker-compose-v2")) {
        for mount in
            service["volumes"].as_array().into_iter().flatten().filter(|mount| mount["type"] == "bind")
        {
            let source = std::path::Path::new(mount["source"].as_str().unwrap());
            assert!(source.exists(), "{name}: {}", source.display());
        }
    }
}
