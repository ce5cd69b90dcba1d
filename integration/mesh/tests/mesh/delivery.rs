//! The ways on which a module reaches a proxy.

use sluice_integration::{Reply, Result, module};
use sluice_mesh_test::{Mesh, Plugin, REGISTRY, Service, WORLD};

use crate::asserts::{CLIENT_READS, client_may_only_read, nothing_decides};

/// The version of the images, which is that of the workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The plugin of most scenarios: before Istio's own authentication, for what arrives at `inventory`.
fn plugin() -> Result<Plugin> {
    Ok(Plugin::new("sluice", CLIENT_READS)?.on("inventory").server().phase("AUTHN"))
}

pub(crate) fn from_the_proxys_own_file_system(mesh: &Mesh) -> Result<()> {
    nothing_decides(mesh)?;
    let applied = mesh.install(&plugin()?)?;
    client_may_only_read(mesh)?;
    applied.remove()?;
    nothing_decides(mesh)
}

pub(crate) fn by_http_with_its_sha256(mesh: &Mesh) -> Result<()> {
    let bytes = std::fs::read(module()?).map_err(|e| e.to_string())?;
    let sum = sha256(&bytes);
    let server = Service::start("modules", mesh.world(), 7000)?;
    server.answer(move |_| {
        Some(Reply { status: 200, headers: Vec::new(), body: bytes.clone(), after: std::time::Duration::ZERO })
    });
    let url = format!("http://{WORLD}:7000/sluice.wasm");
    let _applied = mesh.install(&plugin()?.url(&url).with("sha256", sum))?;
    client_may_only_read(mesh)?;
    let asked: Vec<String> = server.received().into_iter().map(|request| request.path).collect();
    assert_eq!(asked, ["/sluice.wasm"], "the agent of one workload asks once");
    Ok(())
}

pub(crate) fn from_a_registry_by_tag(mesh: &Mesh) -> Result<()> {
    mesh.registry().push_images()?;
    by_image(mesh, &format!("sluice:{VERSION}"))
}

pub(crate) fn from_a_registry_by_digest(mesh: &Mesh) -> Result<()> {
    let digest = mesh.registry().digest("sluice", VERSION)?;
    by_image(mesh, &format!("sluice@{digest}"))
}

pub(crate) fn in_the_compat_form(mesh: &Mesh) -> Result<()> {
    by_image(mesh, &format!("sluice:{VERSION}-compat"))
}

fn by_image(mesh: &Mesh, image: &str) -> Result<()> {
    let _applied = mesh.install(&plugin()?.url(&format!("oci://{REGISTRY}/sluice/{image}")))?;
    client_may_only_read(mesh)?;
    Ok(())
}

fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
