//! The ways on which a module reaches a proxy.

use std::time::Duration;

use serde_json::json;
use sluice_integration::{Reply, Result, module, wait_until};
use sluice_mesh_test::{Mesh, PASSWORD, PRIVATE_REGISTRY, Plugin, REGISTRY, Service, USER, WORLD};

use crate::asserts::{CLIENT_READS, client_may_only_read, nothing_decides, read, wait_for_status};
use crate::failures::{expect_line, the_agent_denies_all};

/// The version of the images, which is that of the workspace.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long a log may take to have what has happened.
const LOGGED: Duration = Duration::from_secs(30);

/// The plugin of most scenarios: before Istio's own authentication, for what arrives at `inventory`.
pub(crate) fn plugin() -> Result<Plugin> {
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
        Some(Reply { status: 200, headers: Vec::new(), body: bytes.clone(), after: Duration::ZERO })
    });
    let url = format!("http://{WORLD}:7000/sluice.wasm");
    let _applied = mesh.install(&plugin()?.url(&url).with("sha256", sum))?;
    client_may_only_read(mesh)?;
    let asked: Vec<String> = server.received().into_iter().map(|request| request.path).collect();
    assert_eq!(asked, ["/sluice.wasm"], "the agent of one workload asks once");
    Ok(())
}

pub(crate) fn from_a_registry_by_digest(mesh: &Mesh) -> Result<()> {
    mesh.registry().push_images()?;
    let digest = mesh.registry().digest("sluice", VERSION)?;
    manifest_and_blobs(mesh, &format!("sluice@{digest}"), &format!("/v2/sluice/sluice/manifests/{digest}"))
}

/// The agent asks what the tag is now, and fetches what it has not: a module that it has is not asked for again, and of one that is
/// known by its sum not even the manifest. Of an image, `sha256` is that of the manifest, not of the module.
pub(crate) fn from_a_registry_by_tag(mesh: &Mesh) -> Result<()> {
    mesh.registry().push_images()?;
    let tag = format!("/v2/sluice/sluice/manifests/{VERSION}");
    let image = plugin()?.url(&format!("oci://{REGISTRY}/sluice/sluice:{VERSION}"));
    pulls_of(mesh, &image, |pulled| pulled.first() == Some(&tag))?;

    mesh.wait_until_as_before()?;
    let again =
        plugin()?.url(&format!("oci://{REGISTRY}/sluice/sluice:{VERSION}")).with("imagePullPolicy", "Always");
    pulls_of(mesh, &again, |pulled| pulled == [tag.as_str()])?;

    mesh.wait_until_as_before()?;
    let digest = mesh.registry().digest("sluice", VERSION)?;
    let sum = digest.strip_prefix("sha256:").ok_or("a digest of another kind")?;
    let known = plugin()?.url(&format!("oci://{REGISTRY}/sluice/sluice:{VERSION}")).with("sha256", sum);
    pulls_of(mesh, &known, <[String]>::is_empty)?;
    Ok(())
}

pub(crate) fn in_the_compat_form(mesh: &Mesh) -> Result<()> {
    mesh.registry().push_images()?;
    let image = format!("sluice:{VERSION}-compat");
    manifest_and_blobs(mesh, &image, &format!("/v2/sluice/sluice/manifests/{VERSION}-compat"))
}

/// A registry that wants a password: `imagePullSecret` names a Secret beside the plugin, which istiod hands to the agents. Without
/// it nothing passes. When the Secret comes, istiod tells the agents: nobody has to touch the plugin. The realm has to look like
/// a URL, also where it is only a name (Basic): since a token's realm (Bearer) could lead an agent astray, Istio refuses others.
pub(crate) fn from_a_private_registry(mesh: &Mesh) -> Result<()> {
    mesh.registry().push_images()?;
    let image = plugin()?.url(&format!("oci://{PRIVATE_REGISTRY}/sluice/sluice:{VERSION}"));
    let named_otherwise = mesh.registry().private(mesh.world(), "images")?;
    let why = expect_line(mesh, "inventory", "rejected unsafe bearer realm");
    let refused = mesh.install(&image)?;
    why.wait()?;
    the_agent_denies_all(mesh)?;
    refused.remove()?;
    drop(named_otherwise);

    let _private = mesh.registry().private(mesh.world(), "http://images.example")?;
    let why = expect_line(mesh, "inventory", "UNAUTHORIZED");
    let _applied = mesh.install(&image)?;
    why.wait()?;
    the_agent_denies_all(mesh)?;

    let why = expect_line(mesh, "inventory", "missing image pulling secret");
    mesh.api().apply(&image.with("imagePullSecret", "registry").document())?;
    why.wait()?;
    the_agent_denies_all(mesh)?;

    let login =
        json!({ "auths": { PRIVATE_REGISTRY: { "username": USER, "password": PASSWORD } } }).to_string();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": { "name": "registry", "namespace": "shop" }, "stringData": { ".dockerconfigjson": login },
    });
    let _secret = mesh.apply(&secret.to_string())?;
    wait_for_status(mesh, "the module to be fetched", 200, || read(mesh))?;
    client_may_only_read(mesh)?;
    // The agent keeps it for itself.
    let inventory = mesh.workload("inventory");
    let dump = inventory.admin("/config_dump?resource=ecds_filters")?.text();
    assert!(dump.contains("sluice") && !dump.contains(PASSWORD), "{dump}");
    assert!(!inventory.log().contains(PASSWORD));
    Ok(())
}

/// The module of an image decides; the agent has asked for the manifest first, then for blobs.
fn manifest_and_blobs(mesh: &Mesh, image: &str, manifest: &str) -> Result<()> {
    pulls_of(mesh, &plugin()?.url(&format!("oci://{REGISTRY}/sluice/{image}")), |pulled| {
        pulled.first().is_some_and(|path| path == manifest)
            && pulled.iter().any(|path| path.contains("/blobs/"))
    })
}

/// A plugin's module decides, and what the agent has asked the registry for is as `wanted`. The registry logs a request after it
/// has answered.
fn pulls_of(mesh: &Mesh, plugin: &Plugin, wanted: impl Fn(&[String]) -> bool) -> Result<()> {
    let before = mesh.registry().pulls().len();
    let _applied = mesh.install(plugin)?;
    client_may_only_read(mesh)?;
    let mut pulled = Vec::new();
    let found = wait_until("the registry's log", LOGGED, || {
        // The first question is only whether the registry wants a token.
        let all = mesh.registry().pulls().into_iter().skip(before);
        pulled = all.filter(|path| path != "/v2/").collect();
        wanted(&pulled)
    });
    assert!(found.is_ok(), "{pulled:?}");
    Ok(())
}

fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
