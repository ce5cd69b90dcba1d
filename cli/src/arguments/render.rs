//! What `sluice render` is told.

use clap::{Args, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};

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
