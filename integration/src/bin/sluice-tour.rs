//! `sluice-tour`: the demo mesh on loopback, and a walk through every policy.

use clap::{Parser, Subcommand};
use sluice_integration::services::{self, Service};
use sluice_integration::tokens::TokenArguments;
use sluice_integration::{Mesh, Ports, Proxy, Result, interrupted, tour};

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
    Tour,
    /// Prints a token of the demo's issuer.
    Token(TokenArguments),
    /// Runs one of the demo's services, as `run` and `tour` do.
    Serve {
        /// `orders` or `inventory`.
        service: String,
        /// The version that it says it is.
        #[arg(long, default_value = "v1")]
        version: String,
        /// The port to listen on, on loopback.
        #[arg(long)]
        port: u16,
        /// The port of its sidecar's outbound listener.
        #[arg(long, default_value_t = 10012)]
        outbound: u16,
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
        Task::Tour => interrupted::or(|| tour::walk(&start()?)),
        Task::Token(arguments) => {
            println!("{}", arguments.mint()?);
            Ok(true)
        }
        Task::Serve { service, version, port, outbound } => {
            let service = Service::named(&service)
                .ok_or_else(|| format!("no such service: {service}; there are orders and inventory"))?;
            services::serve(service, &version, port, outbound)?;
            Ok(true)
        }
    }
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
