//! What the command line says.

mod keys;
mod render;

use crate::explain::address::{RequestUrl, spiffe_id};
use crate::explain::expectation::Expectation;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::net::IpAddr;
use std::path::PathBuf;

pub use keys::{HashKeyArguments, KeyArguments, KeysCommand, ListKeysArguments, NewKeyArguments};
pub use render::*;

/// Checks, explains and renders policy documents of Sluice, with the code that runs in the proxy.
#[derive(Debug, Parser)]
#[command(
    name = "sluice",
    version,
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
    /// Print a script with which a shell completes this command
    #[command(after_help = "\
Examples:
  sluice completions bash > ~/.local/share/bash-completion/completions/sluice
  sluice completions zsh > \"${fpath[1]}/_sluice\"
  sluice completions fish > ~/.config/fish/completions/sluice.fish")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print a manual page
    #[command(after_help = "\
Examples:
  sluice man > sluice.1
  sluice man render envoy | man -l -")]
    Man {
        /// The command that it is about; without it, all of them
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Make API keys, hash them for a document, and list those of a document
    Keys {
        /// What to do with keys.
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Print a document in the form that a proxy takes
    Render {
        /// The form.
        #[command(subcommand)]
        target: Box<RenderTarget>,
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

Each problem is printed as FILE:LINE:COLUMN: field: what was found and what is allowed; what is allowed but may not be meant as
FILE:LINE:COLUMN: warning: field: why. Credentials are printed as *.
Exit status: 0 all are fine, 1 some are not, 2 a file can't be read.")]
pub struct CheckArguments {
    /// The documents, YAML or JSON; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Say also whether this module can run the documents: a `.wasm` made by `make build`
    #[arg(long, value_name = "FILE")]
    pub module: Option<PathBuf>,
    /// Fail on warnings, too
    #[arg(long)]
    pub strict: bool,
    /// Print all problems of a file, not the first 50
    #[arg(long)]
    pub all: bool,
    /// Print the findings as JSON, all of them
    #[arg(long)]
    pub json: bool,
}

/// What `explain` is told.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice explain policy.yaml https://api.example.com/orders/7?page=2
  sluice explain policy.yaml --path /orders/7
  sluice explain policy.yaml --method POST --path /orders --header 'authorization: Bearer eyJ…'
  sluice explain policy.yaml --path /admin --source 192.0.2.7 --identity '{\"principal\": \"alice\", \"roles\": [\"admin\"]}'
  sluice explain policy.yaml --path /catalog --source 192.0.2.7 --repeat 6
  sluice explain policy.yaml --path /catalog --source 192.0.2.7 --failing ratelimit
  sluice explain policy.yaml --path /orders --header 'authorization: Bearer eyJ…' --resource authn.staff=keys.json
  sluice explain policy.yaml --path /admin --expect denied:authn.missing

The request is played through the policies as the proxy runs them, with nothing counted before. What Envoy does before the
filter is played too as far as the document relies on it: `client.address.peerHeader` is overwritten with --source, and with
`client.address.trustedHops` --source is appended to x-forwarded-for. Credentials given here are printed as ***.
Exit status: 0 explained, whatever was decided (with --expect: as expected); 1 the document is wrong, or with --expect the
decision; 2 the command line is, or a file can't be read.")]
pub struct ExplainArguments {
    /// The document, YAML or JSON; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Scheme, host, path and query of the request in one, such as `https://api.example.com/orders/7?x=1`
    #[arg(value_name = "URL", conflicts_with_all = ["path", "host"])]
    pub url: Option<RequestUrl>,
    /// The request's method
    #[arg(long, default_value = "GET")]
    pub method: String,
    /// The request's path, with its query
    #[arg(long, required_unless_present = "url")]
    pub path: Option<String>,
    /// The request's host; `localhost` unless said otherwise
    #[arg(long)]
    pub host: Option<String>,
    /// A header, `name: value`, or @FILE with a header on each line; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// The address of the connection's peer
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub source: IpAddr,
    /// The identity in the peer's certificate, such as spiffe://example.com/ns/shop/sa/orders
    #[arg(long, value_name = "URI", value_parser = spiffe_id)]
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
    /// A cluster whose calls fail; may be repeated. The rate-limit service of limits with `scope: fleet` is stood in for otherwise, with
    /// nothing counted before; other clusters can never be reached here
    #[arg(long, value_name = "CLUSTER")]
    pub failing: Vec<String>,
    /// What is fetched for the document, such as `authn.staff=keys.json`; may be repeated. Without it, it can't be fetched here
    #[arg(long, value_name = "NAME=FILE")]
    pub resource: Vec<String>,
    /// What is to come of it: `allowed` or `denied`, perhaps with the reason: `denied:authn.token_expired`. A reason may be given
    /// without its section (`denied:token_expired`), or by its beginning up to a `.` or `:` (`denied:authz`)
    #[arg(long, value_name = "DECISION")]
    pub expect: Option<Expectation>,
    /// Print the explanation as JSON
    #[arg(long)]
    pub json: bool,
}
