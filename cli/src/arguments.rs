//! What the command line says.

use crate::explain::address::{RequestUrl, spiffe_id};
use crate::explain::expectation::Expectation;
use crate::keys::{key_id, key_prefix, timestamp};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use time::OffsetDateTime;

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

/// What `keys` does.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key at random, and print it with its entry for a document
    New(NewKeyArguments),
    /// Read a key that there is already from standard input, and print its entry for a document
    Hash(HashKeyArguments),
    /// List the keys of a document, with their state
    List(ListKeysArguments),
}

/// What a key's entry says, besides its hash.
#[derive(Debug, Args)]
pub struct KeyArguments {
    /// The key's name, which logs may show; the principal
    #[arg(long, value_name = "NAME", value_parser = key_id)]
    pub id: String,
    /// Whose key it is: what limits and bills count by
    #[arg(long)]
    pub consumer: Option<String>,
    /// A role; may be repeated
    #[arg(long)]
    pub role: Vec<String>,
    /// A scope; may be repeated
    #[arg(long)]
    pub scope: Vec<String>,
    /// Before when it is refused, such as 2027-01-01T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    pub not_before: Option<OffsetDateTime>,
    /// From when on it is refused, such as 2028-01-01T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    pub expires: Option<OffsetDateTime>,
}

/// What `keys new` is told.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice keys new --id acme-2027 --consumer acme --expires 2028-01-01T00:00:00Z
  sluice keys new --id acme-2027 --prefix acme_live_
  sluice keys new --id acme-2027 --json | jq -r .key

The key has 256 random bits of the operating system. Only its SHA-256 belongs into the document.
To replace a key: list the new one beside the old one, both with the same `--consumer`, and take the old one out when its user has changed.
Exit status: 0 made, 2 the command line is wrong.")]
pub struct NewKeyArguments {
    /// What its entry says.
    #[command(flatten)]
    pub about: KeyArguments,
    /// How the key begins, so that a reader, or a scanner for secrets, sees what it is: letters, digits, `_`, `-`, `.`
    #[arg(long, default_value = "", hide_default_value = true, value_parser = key_prefix)]
    pub prefix: String,
    /// Print key and entry as JSON
    #[arg(long)]
    pub json: bool,
}

/// What `keys hash` is told.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice keys hash --id acme-2026 --consumer acme < key.txt
  pass show partners/acme | sluice keys hash --id acme-2026

The key is read from standard input, not from the command line, which other users of the machine can see. Its last line break is not part of it.
Exit status: 0 hashed, 2 the command line is wrong or the key is none.")]
pub struct HashKeyArguments {
    /// What its entry says.
    #[command(flatten)]
    pub about: KeyArguments,
    /// Print the entry as JSON
    #[arg(long)]
    pub json: bool,
}

/// What `keys list` is told.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice keys list policy.yaml
  sluice keys list policy.yaml --time 2027-12-31T00:00:00Z
  sluice keys list policy.yaml --json | jq -r '.[] | select(.state == \"expired\") | .id'

Exit status: 0 listed, 1 the document is wrong, 2 the command line is, or a file can't be read.")]
pub struct ListKeysArguments {
    /// The document, YAML or JSON; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The time at which their state is told, such as 2026-01-31T12:00:00Z; now, if not given
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    pub time: Option<OffsetDateTime>,
    /// Print the list as JSON
    #[arg(long)]
    pub json: bool,
}

/// The forms that `render` knows.
#[derive(Debug, Subcommand)]
pub enum RenderTarget {
    /// The HTTP filter for an Envoy's configuration, or the file from which Envoy takes it
    Envoy(RenderEnvoyArguments),
    /// Istio's WasmPlugin
    WasmPlugin(RenderWasmPluginArguments),
    /// Istio's EnvoyFilter, for what a WasmPlugin can't say
    EnvoyFilter(RenderEnvoyFilterArguments),
    /// The configuration of the rate-limit service that counts limits of `scope: fleet`
    RateLimitService(RenderRateLimitServiceArguments),
}

impl RenderTarget {
    /// As it is typed.
    pub fn name(&self) -> &'static str {
        match self {
            RenderTarget::Envoy(_) => "envoy",
            RenderTarget::WasmPlugin(_) => "wasm-plugin",
            RenderTarget::EnvoyFilter(_) => "envoy-filter",
            RenderTarget::RateLimitService(_) => "rate-limit-service",
        }
    }

    /// The document.
    pub fn file(&self) -> &Path {
        match self {
            RenderTarget::Envoy(arguments) => &arguments.file,
            RenderTarget::WasmPlugin(arguments) => &arguments.proxies.file,
            RenderTarget::EnvoyFilter(arguments) => &arguments.proxies.file,
            RenderTarget::RateLimitService(arguments) => &arguments.file,
        }
    }

    /// How it is written.
    pub fn format(&self) -> Format {
        match self {
            RenderTarget::Envoy(arguments) => arguments.format,
            RenderTarget::WasmPlugin(arguments) => arguments.proxies.format,
            RenderTarget::EnvoyFilter(arguments) => arguments.proxies.format,
            RenderTarget::RateLimitService(arguments) => arguments.format,
        }
    }

    /// Whether it is stored in a Kubernetes API server, which takes no more than so much.
    pub fn is_istio(&self) -> bool {
        matches!(self, RenderTarget::WasmPlugin(_) | RenderTarget::EnvoyFilter(_))
    }
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

  sluice render envoy policy.yaml --connection-manager
      fields of the connection manager around the filter: they remove, before any filter and any route, the headers that only
      the policy may write, also where a route disables the filter

A document that `sluice check` would refuse is not rendered.
Exit status: 0 rendered, 1 the document is wrong, 2 the command line is, or a file can't be read.")]
pub struct RenderEnvoyArguments {
    /// The document, YAML or JSON; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the Envoy finds the module. If it is there on this machine too, it must fit the document
    #[arg(long, value_name = "FILE", required_unless_present = "connection_manager")]
    pub module: Option<PathBuf>,
    /// The name of the filter; filters of one name share a VM and their counters
    #[arg(long, default_value = "sluice")]
    pub name: String,
    /// Print a file for `path_config_source` (a DiscoveryResponse)
    #[arg(long)]
    pub ecds: bool,
    /// Print the fields of the connection manager that remove, before any filter and any route, the headers that only the policy may
    /// write, and that write what it reads of the connection
    #[arg(long, conflicts_with_all = ["ecds", "name"])]
    pub connection_manager: bool,
    /// YAML, with the document readable in it, or JSON
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    pub format: Format,
}

/// What `render rate-limit-service` is told.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sluice render rate-limit-service policy.yaml > config/sluice.yaml
      a file of the folder that envoyproxy/ratelimit reads (RUNTIME_ROOT/RUNTIME_SUBDIRECTORY/config)

That service needs no more of it than the domain: limits go with each request, and what is written here is what it would apply
otherwise. Other limits of a rule (`by`) are not in it.
Exit status: 0 rendered, 1 the document is wrong, 2 the command line is, or a file can't be read.")]
pub struct RenderRateLimitServiceArguments {
    /// The document, YAML or JSON; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The domain, where the document names several
    #[arg(long)]
    pub domain: Option<String>,
    /// YAML or JSON
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    pub format: Format,
}

/// Which proxies of a mesh are meant.
#[derive(Debug, Args)]
pub struct ProxyArguments {
    /// The document, YAML or JSON; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The name of the resource
    #[arg(long, default_value = "sluice")]
    pub name: String,
    /// The namespace of the resource and of the pods; in Istio's root namespace (istio-system) it is for pods of all namespaces.
    /// Without it, the namespace in which it is applied
    #[arg(long, short = 'n')]
    pub namespace: Option<String>,
    /// A label that the pods have; may be repeated, then they have all. Without it, all pods of the namespace
    #[arg(long, short = 'l', value_name = "KEY=VALUE")]
    pub selector: Vec<String>,
    /// The pods are gateways: those of the selector, or with a NAME those of this Gateway of the Gateway API. Without it, sidecars
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub gateway: Option<String>,
    /// YAML or JSON
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    pub format: Format,
}

/// Where the proxies of a mesh get the module.
#[derive(Debug, Args)]
pub struct ModuleArguments {
    /// The image with the module: oci://REGISTRY/NAME:TAG, or @sha256:DIGEST
    #[arg(long, value_name = "REFERENCE", conflicts_with = "url")]
    pub image: Option<String>,
    /// The module itself: https://…, http://… (both with --sha256), or file:///… within the proxy's container
    #[arg(long)]
    pub url: Option<String>,
    /// The SHA-256 of the module, or of the image
    #[arg(long, value_name = "HEX")]
    pub sha256: Option<String>,
    /// A copy of the module on this machine, which must fit the document
    #[arg(long, value_name = "FILE")]
    pub module: Option<PathBuf>,
}

/// What `render wasm-plugin` is told.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice render wasm-plugin policy.yaml -n shop -l app=orders --image oci://ghcr.io/sluice/sluice:0.1.0 | kubectl apply --server-side -f -
      for the sidecars of pods with this label: what reaches their service

  sluice render wasm-plugin policy.yaml -n istio-ingress -l istio=ingressgateway --gateway --image oci://…
      for gateways; with --gateway=NAME for those of a Gateway of the Gateway API

  sluice render wasm-plugin policy.yaml --name sluice --patch > patch.yaml
      the document alone, for `patches` of a kustomization whose WasmPlugin has the rest

A document that `sluice check` would refuse is not rendered.
Exit status: 0 rendered, 1 the document is wrong, 2 the command line is, or a file can't be read.")]
pub struct RenderWasmPluginArguments {
    /// Which proxies.
    #[command(flatten)]
    pub proxies: ProxyArguments,
    /// Which module.
    #[command(flatten)]
    pub module: ModuleArguments,
    /// Where among Istio's filters: before RequestAuthentication, before AuthorizationPolicy, after it, or where Istio puts what says nothing
    #[arg(long, value_enum, default_value_t = Phase::Authn, ignore_case = true)]
    pub phase: Phase,
    /// The order among plugins of one phase: the higher first
    #[arg(long, allow_negative_numbers = true)]
    pub priority: Option<i32>,
    /// What happens when the module traps: it is started again (requests get 503 until then), all requests get 503 until the
    /// configuration changes, or requests pass without any policy
    #[arg(long, value_enum, default_value_t = FailStrategy::Reload, ignore_case = true)]
    pub fail_strategy: FailStrategy,
    /// When an image is pulled again
    #[arg(long, value_enum)]
    pub pull_policy: Option<PullPolicy>,
    /// The Secret (kubernetes.io/dockerconfigjson, in the same namespace) with the registry's password
    #[arg(long, value_name = "SECRET")]
    pub pull_secret: Option<String>,
    /// Print only name and document, as a patch for a WasmPlugin that has the rest
    #[arg(long, conflicts_with_all = ["image", "url", "sha256", "selector", "gateway", "pull_policy", "pull_secret", "phase", "priority", "fail_strategy"])]
    pub patch: bool,
}

/// What `render envoy-filter` is told.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sluice render envoy-filter policy.yaml -n shop -l app=orders --image oci://ghcr.io/sluice/sluice:0.1.0
      in place of a WasmPlugin: the module starts again 10 ms after a trap, not after a second

  sluice render envoy-filter policy.yaml -n istio-ingress -l istio=ingressgateway --gateway --beside-wasm-plugin --access-log
      beside a WasmPlugin: the header of `client.address.peerHeader` is overwritten, and decisions are in the access log

A document that `sluice check` would refuse is not rendered.
Exit status: 0 rendered, 1 the document is wrong, 2 the command line is, or a file can't be read.")]
pub struct RenderEnvoyFilterArguments {
    /// Which proxies.
    #[command(flatten)]
    pub proxies: ProxyArguments,
    /// Which module.
    #[command(flatten)]
    pub module: ModuleArguments,
    /// Before all other HTTP filters, or just before the router
    #[arg(long, value_enum, default_value_t = Position::First)]
    pub position: Position,
    /// How long after a trap the module is started again, in milliseconds; under 2 Envoy itself would end
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=60_000))]
    pub restart_interval: u32,
    /// Write a line of JSON for each request to standard output, with the decision
    #[arg(long)]
    pub access_log: bool,
    /// Leave module and document out: they come by a WasmPlugin
    #[arg(long, conflicts_with_all = ["image", "url", "sha256", "position", "restart_interval"])]
    pub beside_wasm_plugin: bool,
}

/// Where a WasmPlugin stands among Istio's filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Phase {
    /// Before RequestAuthentication.
    #[value(name = "AUTHN")]
    Authn,
    /// Between RequestAuthentication and AuthorizationPolicy.
    #[value(name = "AUTHZ")]
    Authz,
    /// After AuthorizationPolicy.
    #[value(name = "STATS")]
    Stats,
    /// After those of STATS.
    #[value(name = "unset")]
    Unset,
}

/// What happens when the module can't be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailStrategy {
    /// Started again; closed until then.
    #[value(name = "FAIL_RELOAD")]
    Reload,
    /// Closed until the configuration changes.
    #[value(name = "FAIL_CLOSE")]
    Close,
    /// Open.
    #[value(name = "FAIL_OPEN")]
    Open,
}

/// When an image is pulled again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PullPolicy {
    /// When there is none of this name.
    #[value(name = "IfNotPresent")]
    IfNotPresent,
    /// At each change of the resource.
    #[value(name = "Always")]
    Always,
}

/// Where an EnvoyFilter inserts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Position {
    /// Before all other HTTP filters.
    First,
    /// Just before the router.
    Last,
}

impl Phase {
    /// As Istio spells it.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Authn => "AUTHN",
            Phase::Authz => "AUTHZ",
            Phase::Stats => "STATS",
            Phase::Unset => "UNSPECIFIED_PHASE",
        }
    }
}

impl FailStrategy {
    /// As Istio spells it.
    pub fn name(self) -> &'static str {
        match self {
            FailStrategy::Reload => "FAIL_RELOAD",
            FailStrategy::Close => "FAIL_CLOSE",
            FailStrategy::Open => "FAIL_OPEN",
        }
    }
}

impl PullPolicy {
    /// As Istio spells it.
    pub fn name(self) -> &'static str {
        match self {
            PullPolicy::IfNotPresent => "IfNotPresent",
            PullPolicy::Always => "Always",
        }
    }
}

/// How configuration is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}
