//! What docs/compose.md says of hardening, as the kernel and the engine see it.

use std::fs;

use sluice_integration::{Error, Result};

use crate::{Demo, must, start};

pub(crate) fn check(demo: &Demo) -> Result<()> {
    for service in start::services(demo)?.iter().filter(|service| *service != "prepare") {
        let inspected = demo.project.inspect(service)?;
        let host = &inspected["HostConfig"];
        let pid = demo.project.state(service)?.1;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))
            .map_err(|e| Error::Other(format!("the process of {service}: {e}")))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
            line.unwrap_or_default().split_whitespace().next().unwrap_or_default().to_owned()
        };
        must(
            format!(
                "{service}: user {}, capabilities {}, no new privileges {}, read-only {}",
                field("Uid"),
                field("CapEff"),
                field("NoNewPrivs"),
                host["ReadonlyRootfs"]
            ),
            field("Uid") != "0"
                && field("CapEff").chars().all(|digit| digit == '0')
                && field("CapBnd").chars().all(|digit| digit == '0')
                && field("NoNewPrivs") == "1"
                && host["ReadonlyRootfs"] == true
                && host["PidsLimit"].as_i64().is_some_and(|limit| limit > 0)
                && host["Memory"].as_i64().is_some_and(|limit| limit > 0),
        )?;
        let published = host["PortBindings"].as_object().cloned().unwrap_or_default();
        let addresses =
            published.values().filter_map(|bindings| bindings[0]["HostIp"].as_str().map(str::to_owned));
        let addresses: Vec<String> = addresses.collect();
        let expected = usize::from(["edge", "prometheus", "jaeger"].contains(&service.as_str()));
        must(
            format!("{service}: published {addresses:?}"),
            addresses.len() == expected && addresses.iter().all(|address| address == "127.0.0.1"),
        )?;
    }
    for proxy in ["edge", "orders-sidecar", "inventory-sidecar"] {
        let pid = demo.project.state(proxy)?.1;
        let folder = format!("/proc/{pid}/root/etc/sluice");
        let files = fs::read_dir(&folder).map_err(|e| Error::Other(format!("{folder}: {e}")))?;
        let names = files.filter_map(|file| Some(file.ok()?.file_name().to_string_lossy().into_owned()));
        let keys: Vec<String> = names.filter(|name| name.ends_with(".key")).collect();
        let own = format!("{}.key", proxy.trim_end_matches("-sidecar"));
        must(format!("{proxy} has the keys {keys:?}"), keys == [own])?;
    }
    let networks = |service: &str| -> Result<Vec<String>> {
        let inspected = demo.project.inspect(service)?;
        let networks = inspected["NetworkSettings"]["Networks"].as_object().cloned().unwrap_or_default();
        Ok(networks.keys().map(|name| name.rsplit('_').next().unwrap_or(name).to_owned()).collect())
    };
    must("redis is in a network with ratelimit alone", networks("redis")? == ["counters"])
}
