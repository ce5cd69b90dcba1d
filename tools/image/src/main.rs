//! `sluice-image`: makes the images of `dist/images` and pushes them. `make images` and `make push` run it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sluice_image::demo::{self, Programs};
use sluice_image::image::Image;
use sluice_image::layout::Layout;
use sluice_image::module::Module;
use sluice_image::provenance::Provenance;
use sluice_image::push::Push;
use sluice_image::{Error, Result};

/// The release, which all modules must be of.
const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// Builds and pushes the OCI images of the modules, without a container engine.
#[derive(Parser)]
#[command(name = "sluice-image", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes the images of all modules, each in both forms.
    Build(Places),
    /// Makes the image of the demo.
    Demo {
        #[command(flatten)]
        places: Places,
        /// The static `sluice-tour`.
        #[arg(long)]
        tour: PathBuf,
        /// The static `sluice`.
        #[arg(long)]
        command: PathBuf,
    },
    /// Pushes all images to a registry.
    Push {
        /// Where they are.
        #[arg(long, default_value = "dist/images")]
        images: PathBuf,
        /// The `crane` to push with.
        #[arg(long, default_value = "crane")]
        crane: PathBuf,
        /// Take a registry without TLS, or with a certificate that nobody vouches for.
        #[arg(long)]
        insecure: bool,
        /// Host, port and path: `registry.example.com:5000/team`.
        registry: String,
    },
}

#[derive(clap::Args)]
struct Places {
    /// Where the modules are.
    #[arg(long, default_value = "dist")]
    dist: PathBuf,
    /// Where the images go.
    #[arg(long, default_value = "dist/images")]
    out: PathBuf,
    /// The registry and path in the whole names that container engines give to images that they load.
    #[arg(long, default_value = "ghcr.io/sluice")]
    registry: String,
    /// The checkout, whose commit is written into the images.
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// The commit to write instead.
    #[arg(long)]
    revision: Option<String>,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Build(places) => {
            let provenance = places.provenance()?;
            for module in Module::all(&places.dist, RELEASE)? {
                let images = module.images(&provenance)?;
                let layout = Layout::of(&images, &places.whole_name(module.name()))?;
                layout.write(places.out()?, module.name())?;
                report(module.name(), &images);
            }
            Ok(())
        }
        Command::Demo { places, tour, command } => {
            let modules = Module::all(&places.dist, RELEASE)?;
            let programs = Programs { tour: &tour, command: &command };
            let images = [demo::image(programs, &modules, RELEASE, &places.provenance()?)?];
            let name = places.whole_name(demo::NAME);
            let layout = Layout::of(&images, &name)?.loadable_by_old_docker(&images, &name)?;
            layout.write(places.out()?, demo::NAME)?;
            report(demo::NAME, &images);
            Ok(())
        }
        Command::Push { images, crane, insecure, registry } => {
            Push { crane, registry, insecure }.all(&images, &mut std::io::stdout())
        }
    }
}

// === impl Places ===

impl Places {
    fn provenance(&self) -> Result<Provenance> {
        let epoch = std::env::var("SOURCE_DATE_EPOCH").ok();
        let found = Provenance::of_checkout(&self.root, epoch.as_deref())?;
        Ok(Provenance { revision: self.revision.clone().or(found.revision), ..found })
    }

    fn whole_name(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.trim_end_matches('/'))
    }

    fn out(&self) -> Result<&Path> {
        fs::create_dir_all(&self.out).map_err(Error::file("can't create", &self.out))?;
        Ok(&self.out)
    }
}

fn report(name: &str, images: &[Image]) {
    for image in images {
        println!("  {name}:{}  sha256:{}", image.tag, image.manifest.sha256());
    }
}
