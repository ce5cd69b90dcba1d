//! What Istio's containers do in a pod: redirect its traffic, and run the agent with its Envoy.

use std::ffi::CString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sluice_integration::{Error, Process, Result, envoy_binary, tokens, tools};

use crate::istiod::NAME;
use crate::network::{Namespace, WORLD};
use crate::plan::{Plan, Role};
use crate::pod::PROXY_USER;
use crate::registry::REGISTRY;

/// The one absolute path that the agent writes to: modules that it has fetched go to `data` below it.
const ISTIO_HOME: &str = "/var/lib/istio";

/// The variable of each proxy's environment that holds [`secret`].
pub const SECRET_VARIABLE: &str = "SLUICE_STAFF_SECRET";

/// The secret of the demo's HS256 tokens, Base64url as in a JWK.
pub fn secret() -> String {
    URL_SAFE_NO_PAD.encode(tokens::HS256_SECRET.trim())
}

/// What Istio's init container does: all TCP goes to the Envoy, but its own and that to its ports for health and metrics.
pub(crate) fn redirect(namespace: &Namespace) -> Result<()> {
    let user = PROXY_USER.to_string();
    namespace.run(
        &tools::find("pilot-agent")?,
        &[
            "istio-iptables",
            "-p",
            "15001",
            "-z",
            "15006",
            "-u",
            &user,
            "-g",
            &user,
            "-m",
            "REDIRECT",
            "-i",
            "*",
            "-b",
            "*",
            "-d",
            "15090,15021,15020",
        ],
    )?;
    Ok(())
}

/// Starts the agent, which starts its Envoy.
pub(crate) fn start(plan: &Plan, namespace: &Namespace, directory: &Path) -> Result<Process> {
    let directory = directory.canonicalize().map_err(|e| Error::file("can't find", directory, e))?;
    let mut command = namespace.command(Path::new(ISTIO_HOME).join("bin/pilot-agent"));
    let role = match plan.role {
        Role::Sidecar | Role::Certificates => "sidecar",
        Role::Gateway => "router",
    };
    command.args(["proxy", role, "--domain", &format!("{}.svc.cluster.local", plan.namespace)]);
    command.args(["--proxyLogLevel=warning,wasm:info", "--concurrency=1"]);
    command.env_clear();
    let address = namespace.address().to_string();
    let proxy_config = json!({
        "discoveryAddress": format!("{WORLD}:15012"),
        "binaryPath": format!("{ISTIO_HOME}/bin/envoy"),
        "proxyBootstrapTemplatePath": format!("{ISTIO_HOME}/bin/envoy_bootstrap.json"),
        // How long connections may stay on a listener that was replaced; Istio's default is 45 s.
        "drainDuration": "1s",
        "terminationDrainDuration": "1s",
    });
    command.envs([
        ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        // No questions to a cloud's metadata server.
        ("CLOUD_PLATFORM", "none"),
        ("INSTANCE_IP", &address),
        ("POD_NAME", plan.name),
        ("POD_NAMESPACE", plan.namespace),
        ("SERVICE_ACCOUNT", plan.account),
        // istiod is reached by its address here, not by the name in its certificate.
        ("ISTIOD_SAN", NAME),
        ("ISTIO_META_CLUSTER_ID", "Kubernetes"),
        ("ISTIO_METAJSON_LABELS", &plan.labels().to_string()),
        // A bootstrap extension of Istio's own Envoy.
        ("PEER_METADATA_DISCOVERY", "false"),
        ("PROXY_CONFIG", &proxy_config.to_string()),
        // As the annotation sidecar.istio.io/bootstrapOverride has it: labels for our metrics.
        ("ISTIO_BOOTSTRAP_OVERRIDE", &format!("{ISTIO_HOME}/custom_bootstrap.json")),
        // docker-registry speaks plain HTTP here.
        ("WASM_INSECURE_REGISTRIES", REGISTRY),
        // As a Secret comes into the container `istio-proxy`.
        (SECRET_VARIABLE, &secret()),
    ]);
    if plan.role == Role::Certificates {
        command.env("DISABLE_ENVOY", "true").env("OUTPUT_CERTS", format!("{ISTIO_HOME}/certs"));
    }
    become_proxy(&mut command, &directory)?;
    Process::start("agent", command, &directory)
}

/// Before the command starts: mounts of its own, in which the workload's folder is Istio's home and the programs are in it,
/// then the proxy's user.
fn become_proxy(command: &mut Command, directory: &Path) -> Result<()> {
    let text = |path: &Path| {
        CString::new(path.as_os_str().as_encoded_bytes())
            .map_err(|e| Error::Other(format!("{}: {e}", path.display())))
    };
    let home = Path::new(ISTIO_HOME);
    let programs = directory.join("bin");
    std::fs::create_dir_all(&programs).map_err(|e| Error::file("can't create", &programs, e))?;
    let mut binds = Vec::new();
    let template = tools::find("pilot-agent")?
        .ancestors()
        .nth(2)
        .map(|tools| tools.join("istio/envoy_bootstrap.json"))
        .filter(|file| file.is_file())
        .ok_or_else(|| Error::Missing {
            what: "Istio's bootstrap template (istio/envoy_bootstrap.json)".to_owned(),
            remedy: "run `tools/setup mesh`".to_owned(),
        })?;
    for (name, file) in [
        ("pilot-agent", tools::find("pilot-agent")?),
        ("envoy", envoy_binary()?),
        ("envoy_bootstrap.json", template),
    ] {
        let place = programs.join(name);
        std::fs::write(&place, "").map_err(|e| Error::file("can't write", &place, e))?;
        let file = file.canonicalize().map_err(|e| Error::file("can't find", &file, e))?;
        binds.push((text(&file)?, text(&home.join("bin").join(name))?));
    }
    let (source, target, parent) = (text(directory)?, text(home)?, text(Path::new("/var/lib"))?);
    let tmpfs = CString::from(c"tmpfs");
    // SAFETY: between fork and exec only system calls are made, on strings that were made before.
    unsafe {
        command.pre_exec(move || {
            let check = |outcome: libc::c_int| {
                if outcome == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
            };
            let bind = |from: &CString, to: &CString| {
                check(libc::mount(
                    from.as_ptr(),
                    to.as_ptr(),
                    std::ptr::null(),
                    libc::MS_BIND,
                    std::ptr::null(),
                ))
            };
            check(libc::unshare(libc::CLONE_NEWNS))?;
            // The machine may have no such folder, and is not to get one.
            check(libc::mount(tmpfs.as_ptr(), parent.as_ptr(), tmpfs.as_ptr(), 0, std::ptr::null()))?;
            check(libc::mkdir(target.as_ptr(), 0o755))?;
            bind(&source, &target)?;
            for (from, to) in &binds {
                bind(from, to)?;
            }
            check(libc::chdir(target.as_ptr()))?;
            check(libc::setgroups(0, std::ptr::null()))?;
            check(libc::setgid(PROXY_USER))?;
            check(libc::setuid(PROXY_USER))
        });
    }
    Ok(())
}
