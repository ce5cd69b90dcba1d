//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Measures the processor time that a request costs in Envoy, with the module and with Envoy's own filters doing the same.
///
/// docs/benchmarks.md tells the method and what each row means.
#[derive(Parser, Debug, Clone)]
#[command(name = "sluice-bench")]
pub struct Arguments {
    /// Only these rows: names or parts of names, separated by commas.
    #[arg(long, value_delimiter = ',')]
    pub rows: Vec<String>,
    /// The rounds of each row; the results are medians over them.
    #[arg(long, default_value_t = 31)]
    pub rounds: usize,
    /// The requests of a round, to each Envoy.
    #[arg(long, default_value_t = 4_000)]
    pub requests: usize,
    /// Few and short rounds: to see that everything works.
    #[arg(long)]
    pub quick: bool,
    /// Only Envoy's own filters: for a checkout without a module.
    #[arg(long)]
    pub native_only: bool,
    /// The folder with the modules to measure, in place of dist/.
    #[arg(long, value_name = "FOLDER")]
    pub dist: Option<PathBuf>,
    /// Another folder with modules, which take the place of Envoy's own filters: to compare two builds.
    #[arg(long, value_name = "FOLDER", conflicts_with = "native_only")]
    pub beside: Option<PathBuf>,
    /// Prints the rows' names and what they are, and measures nothing.
    #[arg(long)]
    pub list: bool,
}

impl Arguments {
    /// Whether the row is asked for.
    pub fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|wanted| row.contains(wanted.as_str()))
    }

    /// The rounds of each row.
    pub fn rounds(&self) -> usize {
        if self.quick { self.rounds.min(7) } else { self.rounds.max(1) }
    }

    /// The requests of a round.
    pub fn requests(&self) -> usize {
        if self.quick { self.requests.min(2_000) } else { self.requests.max(1) }
    }

    /// How often an Envoy is started for what is measured at a start.
    pub fn starts(&self) -> usize {
        if self.quick { 2 } else { 7 }
    }
}
