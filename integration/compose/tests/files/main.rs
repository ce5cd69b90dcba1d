//! docker-compose.yml and what it mounts, without starting anything.

mod bootstraps;
mod compose_file;
mod grafana;

use serde_json::Value;
use sluice_integration::{document, repository_root};

fn read(file: &str) -> String {
    std::fs::read_to_string(repository_root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn yaml(file: &str) -> Value {
    document::from_yaml(&read(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}
