//! The table and `results.json`.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};
use sluice_integration::{Error, Result};

use crate::statistics::Estimate;

/// A line of the table.
pub struct Line {
    /// The row's name.
    pub row: String,
    /// Ours, above the Envoy without filters.
    pub sluice: Option<Estimate>,
    /// Envoy's own filters, above the Envoy without filters.
    pub native: Option<Estimate>,
    /// The Envoy without filters, under the same requests.
    pub bare: Option<Estimate>,
    /// How many values the medians are of.
    pub rounds: usize,
    /// `us` per request; `ms` and `bytes` for what a start, a file and a worker cost; `latency_ms` and `percent` for what clients notice
    /// during a flood, where `bare` is ours without one.
    pub unit: &'static str,
}

impl Line {
    /// How many times as much as Envoy's own filters.
    pub fn ratio(&self) -> Option<f64> {
        Some(self.sluice?.median / self.native?.median)
    }

    /// As in `results.json`. `sluice_us` holds the value whatever its `unit`, so that every entry has the same names.
    fn json(&self) -> Value {
        let median = |estimate: Option<Estimate>| estimate.map(|estimate| rounded(estimate.median));
        let spread = |estimate: Option<Estimate>| estimate.map(|estimate| rounded(estimate.spread));
        json!({
            "row": self.row,
            "sluice_us": median(self.sluice),
            "native_us": median(self.native),
            "ratio": self.ratio().map(rounded),
            "rounds": self.rounds,
            "unit": self.unit,
            "sluice_spread": spread(self.sluice),
            "native_spread": spread(self.native),
            "bare": median(self.bare),
        })
    }
}

/// Three digits after the point are more than is known.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The table as text.
pub fn table(lines: &[Line]) -> String {
    let mut text = String::new();
    let width = lines.iter().map(|line| line.row.len()).max().unwrap_or(0).max(3);
    let _ = writeln!(
        text,
        "{:width$}  {:>18}  {:>16}  {:>6}  {:>8}  {:>6}",
        "row", "sluice", "native", "ratio", "bare", "rounds"
    );
    for line in lines {
        let ratio = line.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let bare = line.bare.map_or_else(|| "-".to_owned(), |bare| format!("{:.1}", bare.median));
        let _ = writeln!(
            text,
            "{:width$}  {:>18}  {:>16}  {ratio:>6}  {bare:>8}  {:>6}",
            line.row,
            shown(line.sluice, line.unit),
            shown(line.native, line.unit),
            line.rounds
        );
    }
    text
}

fn shown(estimate: Option<Estimate>, unit: &str) -> String {
    let Some(Estimate { median, spread }) = estimate else { return "-".to_owned() };
    match unit {
        "bytes" if spread == 0.0 => format!("{:.0} KiB", median / 1024.0),
        "bytes" => format!("{:.0} ±{:.0} KiB", median / 1024.0, spread / 1024.0),
        "latency_ms" if spread == 0.0 => format!("{median:.2} ms"),
        "latency_ms" => format!("{median:.2} ±{spread:.2} ms"),
        "percent" => format!("{median:.0} %"),
        "ms" => format!("{median:.0} ±{spread:.0} ms"),
        _ => format!("{median:.2} ±{spread:.2} µs"),
    }
}

/// Writes `results.json`.
pub fn write(lines: &[Line], file: &Path) -> Result<()> {
    let results = Value::Array(lines.iter().map(Line::json).collect());
    std::fs::write(file, format!("{results:#}\n")).map_err(|e| Error::file("can't write", file, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sluice: Option<f64>, native: Option<f64>) -> Line {
        let estimate = |median| Estimate { median, spread: 0.25 };
        Line {
            row: "edge".to_owned(),
            sluice: sluice.map(estimate),
            native: native.map(estimate),
            bare: None,
            rounds: 3,
            unit: "us",
        }
    }

    #[test]
    fn the_ratio_is_ours_to_the_peers() {
        assert_eq!(line(Some(3.0), Some(2.0)).json()["ratio"], 1.5);
    }

    #[test]
    fn a_row_without_a_peer_has_all_names_and_no_ratio() {
        let json = line(Some(3.0), None).json();
        for name in ["row", "sluice_us", "native_us", "ratio", "rounds"] {
            assert!(json.get(name).is_some(), "{name}");
        }
        assert!(json["ratio"].is_null() && json["native_us"].is_null());
    }

    #[test]
    fn the_table_has_a_line_for_each_row() {
        let text = table(&[line(Some(3.0), Some(2.0)), line(None, Some(2.0))]);
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("3.00 ±0.25 µs") && text.contains("1.50"), "{text}");
    }
}
