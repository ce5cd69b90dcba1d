//! `sluice-tour`: the demo mesh on loopback, and a walk through every policy.

use clap::{Parser, Subcommand};
use sluice_integration::services::{self, Service};
use sluice_integration::tokens::{Algorithm, Token};
use sluice_integration::{Mesh, Ports, Result};

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
    Token {
        /// The subject (`sub`).
        #[arg(long)]
        sub: String,
        /// The scopes, separated by spaces.
        #[arg(long)]
        scope: Option<String>,
        /// A role; may be given several times.
        #[arg(long)]
        role: Vec<String>,
        /// RS256, ES256, EdDSA or HS256.
        #[arg(long, default_value = "ES256")]
        algorithm: String,
        /// The audience (`aud`).
        #[arg(long)]
        audience: Option<String>,
        /// The time until it expires, in seconds; negative: it has expired.
        #[arg(long, default_value_t = 3600, allow_negative_numbers = true)]
        expires_in: i64,
        /// Any further claim, as name=value; the value is JSON, or else text. May be given several times.
        #[arg(long)]
        claim: Vec<String>,
    },
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
    if let Err(error) = perform(Command::parse().task) {
        eprintln!("sluice-tour: {error}");
        std::process::exit(1);
    }
}

fn perform(task: Task) -> Result<()> {
    match task {
        Task::Run | Task::Tour => {
            let mesh = Mesh::on(Ports::from_environment()?).progress(|step| println!("… {step}")).start()?;
            println!("{}", mesh.ports().edge);
            std::thread::sleep(std::time::Duration::from_secs(600));
            Ok(())
        }
        Task::Token { sub, scope, role, algorithm, audience, expires_in, claim } => {
            let algorithm = Algorithm::named(&algorithm).ok_or_else(|| {
                format!("no such algorithm: {algorithm}; there are RS256, ES256, EdDSA and HS256")
            })?;
            let mut token = Token::of(&sub).signed_with(algorithm).expires_in(expires_in);
            if let Some(scope) = scope {
                token = token.scope(&scope);
            }
            if !role.is_empty() {
                token = token.claim("roles", role);
            }
            if let Some(audience) = audience {
                token = token.claim("aud", audience);
            }
            for claim in claim {
                let (name, value) =
                    claim.split_once('=').ok_or_else(|| format!("a claim is name=value, not {claim:?}"))?;
                let value = serde_json::from_str(value).unwrap_or_else(|_| serde_json::Value::from(value));
                token = token.claim(name, value);
            }
            println!("{}", token.sign());
            Ok(())
        }
        Task::Serve { service, version, port, outbound } => {
            let service = Service::named(&service)
                .ok_or_else(|| format!("no such service: {service}; there are orders and inventory"))?;
            services::serve(service, &version, port, outbound)
        }
    }
}
