//! What Kubernetes does for a pod: its objects, and the files that are mounted into it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use sluice_integration::{Error, Result, document, module, repository_root};
use sluice_kubernetes_test::ApiServer;

use crate::network::Namespace;
use crate::plan::Plan;

/// The user that Istio's images run the proxy as, and that the iptables rules let pass.
pub(crate) const PROXY_USER: u32 = 1337;

/// The pod as a scheduler and a kubelet would leave it: with an address, and ready.
pub(crate) fn create(plan: &Plan, namespace: &Namespace, api: &ApiServer) -> Result<()> {
    let Plan { name, namespace: of, account, .. } = *plan;
    api.apply(
        &json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": account, "namespace": of } })
            .to_string(),
    )?;
    api.apply(
        &json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "namespace": of, "labels": plan.labels() },
            "spec": {
                "serviceAccountName": account, "nodeName": "this-machine",
                "containers": [{ "name": "service", "image": "none", "ports": [{ "containerPort": 8080 }] }],
            },
        })
        .to_string(),
    )?;
    let address = namespace.address().to_string();
    let status = json!({ "status": {
        "phase": "Running", "podIP": address, "podIPs": [{ "ip": address }],
        "conditions": [{ "type": "Ready", "status": "True" }],
    } });
    api.kubectl(&["patch", "pod", name, "-n", of, "--subresource=status", "-p", &status.to_string()])?;
    Ok(())
}

/// What Kubernetes would mount into the proxy's container, at paths below the working folder.
pub(crate) fn lay_out(plan: &Plan, api: &ApiServer, directory: &Path) -> Result<()> {
    for folder in ["var/run/secrets/tokens", "var/run/secrets/istio", "etc/istio/proxy", "data", "certs"] {
        let folder = directory.join(folder);
        std::fs::create_dir_all(&folder).map_err(|e| Error::file("can't create", &folder, e))?;
    }
    // Bound to the pod and for istiod's ears only, as the kubelet's projected volume has it.
    let token = api.kubectl(&[
        "create",
        "token",
        plan.account,
        "-n",
        plan.namespace,
        "--audience=istio-ca",
        "--duration=12h",
        "--bound-object-kind=Pod",
        "--bound-object-name",
        plan.name,
    ])?;
    let authority = api.kubectl(&[
        "get",
        "configmap",
        "istio-ca-root-cert",
        "-n",
        plan.namespace,
        "-o",
        r"jsonpath={.data.root-cert\.pem}",
    ])?;
    let write = |path: &str, text: &str| {
        let path = directory.join(path);
        std::fs::write(&path, text).map_err(|e| Error::file("can't write", &path, e))
    };
    write("var/run/secrets/tokens/istio-token", token.trim())?;
    write("var/run/secrets/istio/root-cert.pem", &authority)?;
    let tags = repository_root().join("envoy-configs/istio/stats-tags/config-map.yaml");
    let tags = std::fs::read_to_string(&tags).map_err(|e| Error::file("can't read", &tags, e))?;
    write(
        "custom_bootstrap.json",
        document::from_yaml(&tags)?["data"]["custom_bootstrap.json"].as_str().unwrap_or_default(),
    )?;
    // A module in the proxy's own file system, as an image of the proxy or a volume would bring it.
    let module = module()?;
    std::fs::copy(&module, directory.join("sluice.wasm"))
        .map_err(|e| Error::file("can't copy", &module, e))?;
    // Envoy opens /dev/stdout, which is this very file, by its name.
    for log in ["agent.stdout.log", "agent.stderr.log"] {
        write(log, "")?;
    }
    give_to_proxy(directory)
}

/// Makes a folder and all in it the proxy user's.
fn give_to_proxy(path: &Path) -> Result<()> {
    std::os::unix::fs::chown(path, Some(PROXY_USER), Some(PROXY_USER))
        .and_then(|()| {
            if path.is_dir() { std::fs::set_permissions(path, Permissions::from_mode(0o755)) } else { Ok(()) }
        })
        .map_err(|e| Error::file("can't give away", path, e))?;
    if path.is_dir() {
        for entry in std::fs::read_dir(path).map_err(|e| Error::file("can't read", path, e))?.flatten() {
            give_to_proxy(&entry.path())?;
        }
    }
    Ok(())
}
