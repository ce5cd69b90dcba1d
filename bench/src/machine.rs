//! What it was measured on.

use std::process::Command;

use sluice_integration::envoy_binary;

/// Above this load the machine is busy with something else, and the figures spread.
const QUIET: f64 = 0.7;

/// The processor, the Envoy, and a warning if the machine is busy.
pub fn describe() -> Vec<String> {
    let mut lines = vec![format!("{}; {}", processor(), envoy())];
    let average = load_average();
    if average > QUIET {
        lines.push(format!(
            "The machine is busy (load {average:.1}): the ratios hold better than the times, and neither as well as on a quiet one."
        ));
    }
    lines
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()))
        .collect();
    format!("{} × {}", models.len(), models.first().unwrap_or(&"unknown processor"))
}

/// The version within `envoy  version: <commit>/<version>/<tree>/<build>/<TLS library>`.
fn envoy() -> String {
    let output = envoy_binary().ok().and_then(|binary| Command::new(binary).arg("--version").output().ok());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    format!("Envoy {}", text.split('/').nth_back(3).unwrap_or("of unknown version"))
}

fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|minute| minute.parse().ok()).unwrap_or(0.0)
}
