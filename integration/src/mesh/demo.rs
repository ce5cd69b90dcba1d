//! The demo as the tour needs it.

use std::time::Duration;

use super::{Mesh, filter_file};
use crate::envoy::LOGGED;
use crate::{AccessLogEntry, Client, Error, Proxy, Result, repository_root, tour, wait_until_some};

impl tour::Demo for Mesh {
    fn edge_port(&self) -> u16 {
        self.ports.edge
    }

    fn logged(&self, proxy: Proxy, request_id: &str, reached: bool) -> Option<AccessLogEntry> {
        let limit = if reached { LOGGED } else { Duration::from_millis(150) };
        let wanted =
            |entry: &AccessLogEntry| entry["request_id"] == request_id && entry["proxy"] != "orders-outbound";
        wait_until_some("the log line", limit, || {
            self.envoy(proxy).access_log().into_iter().rev().find(wanted)
        })
        .ok()
    }

    fn edge_metrics(&self) -> Result<String> {
        self.envoy(Proxy::Edge).prometheus()
    }

    fn edge_policy(&self) -> Result<String> {
        let file = repository_root().join(Proxy::Edge.policy());
        std::fs::read_to_string(&file).map_err(|e| Error::file("can't read", &file, e))
    }

    fn reload_edge(&self, policy: &str) -> Result<bool> {
        self.reload(Proxy::Edge, policy)
    }

    fn issuer(&self) -> Client {
        Client::new(self.ports.issuer)
    }

    fn lines(&self) -> tour::Lines {
        let here = std::env::current_dir().unwrap_or_default();
        let ecds = filter_file(Proxy::Edge, &self.directory);
        let ecds = ecds.strip_prefix(&here).unwrap_or(&ecds).display();
        tour::Lines {
            this_program: tour::this_program(),
            from_another_address: String::new(),
            issuer: format!("http://127.0.0.1:{}", self.ports.issuer),
            metrics: format!(
                "curl -s http://127.0.0.1:{}/stats/prometheus | grep ^sluice_",
                self.ports.edge_admin
            ),
            access_log: Some(format!("tail -n1 {}", self.edge.access_log_file().display())),
            reload: format!(
                "dist/sluice render envoy NEW.yaml --module dist/sluice-bodies.wasm --ecds > {ecds}.next && mv {ecds}.next {ecds}"
            ),
        }
    }
}
