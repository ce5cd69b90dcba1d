//! `sluice-tour`: the demo mesh on loopback, and a walk through every policy.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use sluice_integration::services::{self, Service};
use sluice_integration::tokens::TokenArguments;
use sluice_integration::{Client, Error, Mesh, Ports, Proxy, Result, interrupted, tour};

/// The demo of Sluice: an edge Envoy, two services, a sidecar Envoy for each, all on loopback.
#[derive(Parser)]
#[command(name = "sluice-tour", version)]
struct Command {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Starts the demo, walks the tour, and serves until Ctrl-C.
    Run,
    /// Starts the demo, walks the tour, and ends: status 0 only if every step held.
    Tour {
        /// Starts nothing: walks the tour through the running demo of docker-compose.yml (its service `tour` calls this).
        #[arg(long)]
        compose: bool,
    },
    /// Prints a token of the demo's issuer.
    Token(TokenArguments),
    /// Runs one of the demo's services, as `run` and `tour` do.
    Serve {
        /// `orders`, `inventory` or `issuer`.
        service: String,
        /// The version that it says it is.
        #[arg(long, default_value = "v1")]
        version: String,
        /// The address to listen on.
        #[arg(long, default_value = "127.0.0.1")]
        address: IpAddr,
        /// The port to listen on.
        #[arg(long)]
        port: u16,
        /// Where its calls go: the outbound listener of its sidecar, as a port on loopback or as host:port.
        #[arg(long, default_value = "10012")]
        outbound: String,
        /// Ends when its network has gone, for a container that shares its sidecar's: see docker-compose.yml.
        #[arg(long)]
        leave_with_network: bool,
    },
    /// Writes certificates, the module and the filters' files, before the demo of docker-compose.yml starts.
    Prepare {
        /// The folder with a folder for each proxy.
        prepared: PathBuf,
        /// The folder of the policy documents, `edge.policy.yaml` and so on.
        #[arg(long)]
        policies: PathBuf,
        /// A folder with `sluice.wasm` and `sluice-bodies.wasm`; may be given several times: the first that has both is taken.
        #[arg(long = "modules", required = true)]
        modules: Vec<PathBuf>,
    },
    /// Asks http://host:port/path: status 0 only if the answer is good. The health check of containers without a shell.
    Healthy {
        /// What to ask.
        url: String,
    },
}

fn main() {
    match perform(Command::parse().task) {
        Ok(true) => {}
        Ok(false) => std::process::exit(1),
        Err(error) => {
            eprintln!("sluice-tour: {error}");
            std::process::exit(1);
        }
    }
}

/// Does the task; false if it was done and something did not hold.
fn perform(task: Task) -> Result<bool> {
    match task {
        Task::Run => interrupted::or(|| {
            let mesh = start()?;
            tour::walk(&mesh)?;
            print_addresses(&mesh);
            interrupted::wait();
            Ok(true)
        }),
        Task::Tour { compose: false } => interrupted::or(|| tour::walk(&start()?)),
        Task::Tour { compose: true } => interrupted::or(|| tour::walk_compose(&tour::Compose::around()?)),
        Task::Token(arguments) => {
            println!("{}", arguments.mint()?);
            Ok(true)
        }
        Task::Serve { service, version, address, port, outbound, leave_with_network } => {
            let service = Service::named(&service).ok_or_else(|| {
                format!("no such service: {service}; there are orders, inventory and issuer")
            })?;
            let outbound = client(&outbound)?;
            if leave_with_network {
                services::leave_with_network();
            }
            interrupted::or(|| services::serve(service, &version, SocketAddr::new(address, port), outbound))?;
            Ok(true)
        }
        Task::Prepare { prepared, policies, modules } => {
            let this =
                std::env::current_exe().map_err(|e| Error::Other(format!("can't find this program: {e}")))?;
            let command = this.with_file_name("sluice");
            services::Preparation { prepared, policies, modules, command }.perform()?;
            Ok(true)
        }
        Task::Healthy { url } => services::healthy(&url).map(|()| true),
    }
}

/// A client of `port` on loopback, or of `host:port`.
fn client(place: &str) -> Result<Client> {
    let (host, port) = place.rsplit_once(':').unwrap_or(("127.0.0.1", place));
    let port = port.parse().map_err(|_| format!("neither a port nor host:port: {place}"))?;
    Ok(Client::at(host, port))
}

fn start() -> Result<Mesh> {
    Mesh::on(Ports::from_environment()?).progress(|step| println!("… {step}")).start()
}

fn print_addresses(mesh: &Mesh) {
    let ports = mesh.ports();
    println!("\nServing until Ctrl-C:");
    println!("  edge               http://127.0.0.1:{}", ports.edge);
    for (proxy, admin) in [
        (Proxy::Edge, ports.edge_admin),
        (Proxy::Orders, ports.orders_admin),
        (Proxy::Inventory, ports.inventory_admin),
    ] {
        let envoy = mesh.envoy(proxy);
        println!("  {:<9} admin    http://127.0.0.1:{admin}   metrics: /stats/prometheus", proxy.name());
        println!("  {:<9} logs     {}", "", envoy.access_log_file().display());
        println!("  {:<9}          {}", "", envoy.log_file().display());
    }
}
