//! The committed configurations: they run as they stand, and say the same where they must.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sluice_integration::certificates::{Authority, identity};
use sluice_integration::{Ports, Proxy, discovery_response, document, envoy_binary, repository_root, tokens};

fn read(file: &str) -> String {
    std::fs::read_to_string(repository_root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn yaml(file: &str) -> Value {
    document::from_yaml(&read(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// Every value under a key of that name, however deep.
fn all_under<'v>(value: &'v Value, key: &str, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                if name == key {
                    found.push(value);
                }
                all_under(value, key, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| all_under(item, key, found)),
        _ => {}
    }
}

#[test]
fn envoy_accepts_every_bootstrap_as_it_stands() {
    // A folder that looks like the root of a checkout after the demo has made its certificates.
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let authority = Authority::new().unwrap();
    for proxy in Proxy::ALL {
        authority.issue(proxy.name(), &identity(proxy.name()), &root.join("target/demo/certs")).unwrap();
        let filter = root.join("target/demo").join(proxy.name()).join("policy.ecds.yaml");
        std::fs::create_dir_all(filter.parent().unwrap()).unwrap();
        std::fs::write(filter, "resources: []").unwrap();
    }
    for proxy in Proxy::ALL {
        let output = Command::new(envoy_binary().unwrap())
            .current_dir(root)
            .args(["--mode", "validate", "--disable-hot-restart", "--log-level", "warning", "--config-path"])
            .arg(repository_root().canonicalize().unwrap().join(proxy.bootstrap()))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}: {said}", proxy.bootstrap());
        // Nothing deprecated, nothing that Envoy finds doubtful.
        assert!(!said.contains("[warning]"), "{}: {said}", proxy.bootstrap());
    }
}

#[test]
fn every_port_of_the_demo_is_in_a_bootstrap_and_no_other() {
    let documented: Vec<u64> =
        Ports::default().all().iter().map(|purposed| u64::from(purposed.port)).collect();
    let mut used = Vec::new();
    for proxy in Proxy::ALL {
        let bootstrap = yaml(proxy.bootstrap());
        let mut found = Vec::new();
        all_under(&bootstrap, "port_value", &mut found);
        used.extend(found.into_iter().map(|port| port.as_u64().unwrap()));
    }
    for port in &documented {
        assert!(used.contains(port), "{port} is in no bootstrap");
    }
    for port in &used {
        assert!(documented.contains(port), "{port} is not among the ports of the demo");
    }
}

#[test]
fn the_key_set_of_the_edge_is_that_of_the_published_demo_keys() {
    let policy = yaml(Proxy::Edge.policy());
    let mut found = Vec::new();
    all_under(&policy, "n", &mut found);
    all_under(&policy, "x", &mut found);
    all_under(&policy, "y", &mut found);
    let mut expected = Vec::new();
    let key_set = tokens::key_set(false);
    all_under(&key_set, "n", &mut expected);
    all_under(&key_set, "x", &mut expected);
    all_under(&key_set, "y", &mut expected);
    assert_eq!(found, expected);
}

#[test]
fn metrics_get_the_same_labels_in_every_proxy() {
    let tags: Vec<Value> = Proxy::ALL.map(|proxy| yaml(proxy.bootstrap())["stats_config"].clone()).to_vec();
    assert_eq!(tags[0], tags[1]);
    assert_eq!(tags[0], tags[2]);
}

#[test]
fn every_listener_of_a_policy_removes_what_only_policies_and_proxies_may_say() {
    for proxy in Proxy::ALL {
        let bootstrap = yaml(proxy.bootstrap());
        let mut mutations = Vec::new();
        all_under(&bootstrap, "mutations", &mut mutations);
        assert_eq!(mutations.len(), 1, "{}", proxy.bootstrap());
        for prefix in ["x-sluice-", "x-envoy-"] {
            let removal = json!({ "remove_on_match": { "key_matcher": { "prefix": prefix } } });
            assert!(mutations[0].as_array().unwrap().contains(&removal), "{}: {prefix}", proxy.bootstrap());
        }
        for (key, value) in [
            ("forward_client_cert_details", json!("SANITIZE_SET")),
            ("path_with_escaped_slashes_action", json!("REJECT_REQUEST")),
            ("normalize_path", json!(true)),
            ("merge_slashes", json!(true)),
            ("headers_with_underscores_action", json!("REJECT_REQUEST")),
        ] {
            let mut found = Vec::new();
            all_under(&bootstrap, key, &mut found);
            assert_eq!(found, [&value], "{}: {key}", proxy.bootstrap());
        }
    }
}

/// Also on routes that leave the filter out.
#[test]
fn the_edges_remove_all_that_only_their_policies_may_write() {
    let root = repository_root();
    for (bootstrap, policy) in [
        (Proxy::Edge.bootstrap(), Proxy::Edge.policy()),
        ("envoy-configs/compose/edge.envoy.yaml", "envoy-configs/compose/edge.policy.yaml"),
    ] {
        let output = Command::new(root.join("dist/sluice"))
            .current_dir(&root)
            .args(["render", "envoy", policy, "--connection-manager", "--format", "json"])
            .output()
            .expect("dist/sluice is made by `make build`");
        assert!(output.status.success(), "{policy}: {}", String::from_utf8_lossy(&output.stderr));
        let rendered: Value = serde_json::from_slice(&output.stdout).unwrap();
        let shipped = yaml(bootstrap);
        let (mut rendered_lists, mut shipped_lists) = (Vec::new(), Vec::new());
        all_under(&rendered, "mutations", &mut rendered_lists);
        all_under(&shipped, "mutations", &mut shipped_lists);
        let shipped = shipped_lists[0].as_array().unwrap();
        let rendered = rendered_lists[0].as_array().unwrap();
        assert!(rendered.len() > 6, "{rendered:?}");
        for mutation in rendered {
            assert!(shipped.contains(mutation), "{bootstrap}: {mutation}");
        }
    }
}

#[test]
fn the_command_renders_the_same_filter_as_the_demo_uses() {
    let root = repository_root();
    for proxy in Proxy::ALL {
        let module = format!("dist/{}", proxy.module());
        let output = Command::new(root.join("dist/sluice"))
            .current_dir(&root)
            .args(["render", "envoy", proxy.policy(), "--module", &module, "--ecds", "--format", "json"])
            .output()
            .expect("dist/sluice is made by `make build`");
        assert!(output.status.success(), "{}: {}", proxy.policy(), String::from_utf8_lossy(&output.stderr));
        let mut rendered: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut ours = discovery_response(Path::new(&module), &yaml(proxy.policy()).to_string(), "");
        for response in [&mut rendered, &mut ours] {
            response["version_info"] = Value::Null;
            let policy = &mut response["resources"][0]["typed_config"]["config"]["configuration"]["value"];
            *policy = serde_json::from_str(policy.as_str().unwrap()).unwrap();
        }
        assert_eq!(rendered, ours, "{}", proxy.policy());
    }
}

#[test]
fn the_command_finds_nothing_wrong_with_the_committed_documents() {
    let root = repository_root();
    for proxy in Proxy::ALL {
        let output = Command::new(root.join("dist/sluice"))
            .current_dir(&root)
            .args(["check", "--module", &format!("dist/{}", proxy.module()), proxy.policy()])
            .output()
            .expect("dist/sluice is made by `make build`");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn no_committed_file_names_a_path_of_one_machine() {
    for proxy in Proxy::ALL {
        for file in [proxy.bootstrap(), proxy.policy()] {
            let text = read(file);
            assert!(!text.contains("/root") && !text.contains("/home") && !text.contains("/work"), "{file}");
        }
    }
}

#[test]
fn no_access_log_that_we_ship_holds_a_query() {
    let mut files: Vec<String> = Proxy::ALL.iter().map(|proxy| proxy.bootstrap().to_owned()).collect();
    let more = [
        "compose/edge.envoy.yaml",
        "compose/orders.envoy.yaml",
        "compose/inventory.envoy.yaml",
        "istio/mesh-config.yaml",
    ];
    files.extend(more.map(|file| format!("envoy-configs/{file}")));
    for file in files {
        let text = read(&file);
        assert!(text.contains("%PATH(NQ:"), "{file} logs no path");
        for holds in [":PATH)%", "X-ENVOY-ORIGINAL-PATH", "%PATH(WQ", "REFERER", "%PROTOCOL_QUERY"] {
            let found = text.replace("%PATH(NQ:PATH)%", "").contains(holds);
            assert!(!found, "{file}: {holds} holds the query, where keys may be");
        }
    }
}

/// The edge of docker-compose.yml has a policy of its own: the demo's, where it has no reason to say more.
#[test]
fn the_edge_of_compose_has_every_section_of_the_demos_edge() {
    let (demo, compose) =
        (yaml("envoy-configs/edge/policy.yaml"), yaml("envoy-configs/compose/edge.policy.yaml"));
    // A quota over all edges, and Envoy's own spans.
    let its_own = ["rateLimit", "telemetry"];
    let sections = demo.as_object().unwrap();
    assert!(sections.len() > its_own.len());
    for (section, wanted) in sections {
        let found = &compose[section];
        if its_own.contains(&section.as_str()) {
            assert!(!found.is_null(), "{section} is missing");
        } else {
            assert_eq!(found, wanted, "{section}");
        }
    }
}
