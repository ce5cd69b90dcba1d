//! What the command line says.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::IpAddr;
use std::path::PathBuf;

/// Checks, explains and renders policy documents of Sluice, with the code that runs in the proxy.
#[derive(Debug, Parser)]
#[command(
    name = "sluice",
    version,
    disable_help_subcommand = true,
    after_help = "Exit status: 0 fine, 1 a document is wrong, 2 the command line is, or a file can't be read."
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what is wrong with documents, by line and column
    Check(CheckArguments),
    /// Play a request and tell how each policy decided, and why
    Explain(Box<ExplainArguments>),
    /// Print the JSON Schema of the document, for editors
    #[command(
        after_help = "Example, for an editor with the YAML language server:\n  sluice schema > sluice.schema.json\n  and as first line of the document:  # yaml-language-server: $schema=sluice.schema.json"
    )]
    Schema,
    /// Print a document in the form that a proxy takes
    Render {
        /// The form.
        #[command(subcommand)]
        target: RenderTarget,
    },
}

/// What `check` is told.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice check policy.yaml
  sluice check envoy-configs/*/*policy.yaml
  kubectl get wasmplugin sluice -o json | jq .spec.pluginConfig | sluice check -
  sluice check --module dist/sluice-headers.wasm policy.yaml

Each problem is printed as FILE:LINE:COLUMN: field: what was found and what is allowed.
Exit status: 0 all are fine, 1 some are not, 2 a file can't be read.")]
pub struct CheckArguments {
    /// The documents, YAML or JSON; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Say also whether this module can run the documents: a `.wasm` made by `make build`
    #[arg(long, value_name = "FILE")]
    pub module: Option<PathBuf>,
    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
}

/// What `explain` is told.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice explain policy.yaml --path /orders/7
  sluice explain policy.yaml --method POST --path /orders --header 'authorization: Bearer eyJ…'
  sluice explain policy.yaml --path /admin --source 192.0.2.7 --identity '{\"principal\": \"alice\", \"roles\": [\"admin\"]}'
  sluice explain policy.yaml --path /catalog --source 192.0.2.7 --repeat 6

The request is played through the policies as the proxy runs them, with nothing counted before. What Envoy does before the
filter is played too as far as the document relies on it: `client.address.peerHeader` is overwritten with --source, and with
`client.address.trustedHops` --source is appended to x-forwarded-for. Credentials given here are printed as ***.
Exit status: 0 explained, whatever was decided; 1 the document is wrong; 2 the command line is, or a file can't be read.")]
pub struct ExplainArguments {
    /// The document, YAML or JSON; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The request's method
    #[arg(long, default_value = "GET")]
    pub method: String,
    /// The request's path, with its query
    #[arg(long)]
    pub path: String,
    /// The request's host
    #[arg(long, default_value = "localhost")]
    pub host: String,
    /// A header, `name: value`, or @FILE with a header on each line; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// The address of the connection's peer
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub source: IpAddr,
    /// The identity in the peer's certificate, such as spiffe://example.com/ns/shop/sa/orders
    #[arg(long, value_name = "URI")]
    pub peer: Option<String>,
    /// Who calls, in place of what authentication would find: JSON, or @FILE with it, of the fields provider, principal,
    /// consumer, roles, scopes, claims, attributes
    #[arg(long, value_name = "JSON")]
    pub identity: Option<String>,
    /// When: a time as 2026-01-31T12:00:00Z; now, if not given
    #[arg(long, value_name = "TIME")]
    pub time: Option<String>,
    /// What every draw by chance comes to, from 0 to 100: a rule with `percent: 5` takes draws below 5. Without it, draws are by
    /// chance, but the same in every run
    #[arg(long, value_name = "PERCENT")]
    pub random: Option<f64>,
    /// Play the request this many times at the same moment and explain the last: to see a limit reached
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub repeat: u32,
    /// Print the explanation as JSON
    #[arg(long)]
    pub json: bool,
}

/// The forms that `render` knows.
#[derive(Debug, Subcommand)]
pub enum RenderTarget {
    /// The HTTP filter for an Envoy's configuration, or the file from which Envoy takes it
    Envoy(RenderEnvoyArguments),
}

/// What `render envoy` is told.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice render envoy policy.yaml --module /etc/envoy/sluice.wasm
      an element of http_filters, to be put before the router

  sluice render envoy policy.yaml --module /etc/envoy/sluice.wasm --ecds > policy.ecds.yaml.next
  mv policy.ecds.yaml.next policy.ecds.yaml
      the file of a filter with config_discovery and path_config_source: Envoy takes over a new one when it is moved into
      place, and keeps the old one if the new one does not load

A document that `sluice check` would refuse is not rendered.
Exit status: 0 rendered, 1 the document is wrong, 2 the command line is, or a file can't be read.")]
pub struct RenderEnvoyArguments {
    /// The document, YAML or JSON; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the Envoy finds the module. If it is there on this machine too, it must fit the document
    #[arg(long, value_name = "FILE")]
    pub module: PathBuf,
    /// The name of the filter; filters of one name share a VM and their counters
    #[arg(long, default_value = "sluice")]
    pub name: String,
    /// Print a file for `path_config_source` (a DiscoveryResponse)
    #[arg(long)]
    pub ecds: bool,
    /// YAML, with the document readable in it, or JSON
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    pub format: Format,
}

/// How configuration is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}
