//! A pod without a kubelet: its objects in the API server, its namespace, its agent with an Envoy.

use std::ffi::CString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_integration::{Answer, Error, Process, Request, Result, document, envoy_binary, module, repository_root, tools};
use sluice_kubernetes_test::ApiServer;

use crate::istiod::NAME;
use crate::network::{Namespace, Network, WORLD};

/// The user that Istio's images run the proxy as, and that the iptables rules let pass.
const PROXY_USER: u32 = 1337;

/// The one absolute path that the agent writes to: modules that it has fetched go to `data` below it.
const ISTIO_HOME: &str = "/var/lib/istio";

const START: Duration = Duration::from_secs(90);

/// The namespace of the services and their client.
pub const SHOP: &str = "shop";

/// The namespace of the gateway.
pub const INGRESS: &str = "istio-ingress";

/// What a proxy is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Beside a service: everything that the workload sends or gets passes it.
    Sidecar,
    /// On its own, at the mesh's border.
    Gateway,
    /// There is no proxy of Istio's: the agent only fetches certificates, into `certs` of the workload's folder.
    Certificates,
}

/// What a workload is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The name of the pod, and of the network namespace (15 characters at most).
    pub name: &'static str,
    /// Its namespace in Kubernetes.
    pub namespace: &'static str,
    /// Its service account, which its identity names.
    pub account: &'static str,
    /// The label `app`, which services and policies select by.
    pub app: &'static str,
    /// The label `version`.
    pub version: &'static str,
    /// What its proxy is there for.
    pub role: Role,
}

impl Plan {
    /// A service's workload in the namespace `shop`, with a sidecar and an account of the service's name.
    pub const fn sidecar(name: &'static str, app: &'static str, version: &'static str) -> Self {
        Self { name, namespace: SHOP, account: app, app, version, role: Role::Sidecar }
    }

    /// The labels of the pod. The one of Istio says that the workload takes mutual TLS, as injection would.
    fn labels(&self) -> Value {
        let mut labels =
            json!({ "app": self.app, "version": self.version, "security.istio.io/tlsMode": "istio" });
        if self.role == Role::Gateway {
            // What Istio's charts give to the gateway at the border.
            labels["istio"] = "ingressgateway".into();
        }
        labels
    }
}

/// A running workload.
pub struct Workload {
    plan: Plan,
    agent: Process,
    namespace: Namespace,
    directory: PathBuf,
}

impl Workload {
    /// Makes the pod and starts its agent, which starts its Envoy; [`Workload::wait_ready`] waits for both.
    pub fn start(plan: Plan, network: &Network, api: &ApiServer, directory: &Path) -> Result<Self> {
        let namespace = network.namespace(plan.name)?;
        let directory = directory.join(plan.name);
        create_pod(&plan, &namespace, api)?;
        lay_out(&plan, api, &directory)?;
        match plan.role {
            Role::Sidecar => redirect(&namespace)?,
            // A gateway listens on port 80, which container runtimes allow to anybody.
            Role::Gateway => namespace.wait_for(async {
                let setting = Path::new("/proc/sys/net/ipv4/ip_unprivileged_port_start");
                std::fs::write(setting, "0").map_err(|e| Error::file("can't write", setting, e))
            })?,
            Role::Certificates => {}
        }
        let agent = start_agent(&plan, &namespace, &directory)?;
        Ok(Self { plan, agent, namespace, directory })
    }

    /// Waits until the agent says that its Envoy has its configuration.
    pub fn wait_ready(&mut self, world: &Namespace) -> Result<()> {
        if self.plan.role == Role::Certificates {
            // The last of the files that it writes.
            let files = ["key.pem", "cert-chain.pem", "root-cert.pem"].map(|file| self.directory.join("certs").join(file));
            let written = || files.iter().all(|file| std::fs::metadata(file).is_ok_and(|file| file.len() > 0));
            return self.agent.wait_ready(START, written);
        }
        let status = format!("{}:15021", self.namespace.address());
        self.agent.wait_ready(START, || {
            world.send(&status, &Request::get("/healthz/ready")).is_ok_and(|answer| answer.status == 200)
        })
    }

    /// What it was meant to be.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where it runs.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its working folder, with its logs.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the agent and its Envoy have written: the agent's and Envoy's logs.
    pub fn log(&self) -> String {
        self.agent.stderr() + &self.agent.stdout()
    }

    /// Asks the Envoy's administration, which listens on the workload's loopback only.
    pub fn admin(&self, path: &str) -> Result<Answer> {
        self.namespace.send("127.0.0.1:15000", &Request::get(path))
    }

    /// Whether one of the listeners that serve has the WasmPlugin of that name, in the workload's namespace.
    pub fn has_plugin(&self, plugin: &str) -> bool {
        let Ok(dump) = self.admin("/config_dump?resource=dynamic_listeners").map(|answer| answer.json()) else {
            return false;
        };
        // One that still waits for its module is there as `warming_state`, beside the one that serves meanwhile.
        let listeners = dump["configs"].as_array().into_iter().flatten();
        let wanted = format!("/{}.{plugin}~", self.plan.namespace);
        listeners.into_iter().any(|listener| listener["active_state"].to_string().contains(&wanted))
    }

    /// Whether no listener waits to serve, and no connection is served by one that was replaced.
    pub fn is_settled(&self) -> bool {
        let stats = self.admin("/stats?filter=listener_manager.total_.*(draining|warming)").map(|answer| answer.text());
        stats.is_ok_and(|stats| stats.lines().count() > 0 && stats.lines().all(|line| line.ends_with(": 0")))
    }

    /// Its listeners, routes and clusters as istiod has made them, without what differs from push to push.
    pub fn configuration(&self) -> Result<Value> {
        let mut parts = Vec::new();
        for resource in ["dynamic_listeners", "dynamic_route_configs", "dynamic_active_clusters"] {
            let mut dump = self.admin(&format!("/config_dump?resource={resource}"))?.json();
            let mut entries = match dump.get_mut("configs").map(Value::take) {
                Some(Value::Array(entries)) => entries,
                _ => Vec::new(),
            };
            entries.iter_mut().for_each(forget_versions);
            // They come in the order of a hash table.
            entries.sort_by_cached_key(Value::to_string);
            parts.push(Value::Array(entries));
        }
        Ok(Value::Array(parts))
    }

    /// What Prometheus would be given: Envoy's listener for it.
    pub fn metrics(&self) -> Result<String> {
        Ok(self.namespace.send("127.0.0.1:15090", &Request::get("/stats/prometheus"))?.text())
    }
}

/// Removes what says when and as which push something came.
fn forget_versions(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !["last_updated", "version_info"].contains(&name.as_str()));
            fields.values_mut().for_each(forget_versions);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_versions),
        _ => {}
    }
}

/// The pod as a scheduler and a kubelet would leave it: with an address, and ready.
fn create_pod(plan: &Plan, namespace: &Namespace, api: &ApiServer) -> Result<()> {
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
fn lay_out(plan: &Plan, api: &ApiServer, directory: &Path) -> Result<()> {
    for folder in ["var/run/secrets/tokens", "var/run/secrets/istio", "etc/istio/proxy", "data", "certs"] {
        let folder = directory.join(folder);
        std::fs::create_dir_all(&folder).map_err(|e| Error::file("can't create", &folder, e))?;
    }
    // Bound to the pod and for istiod's ears only, as the kubelet's projected volume has it.
    let token = api.kubectl(&[
        "create", "token", plan.account, "-n", plan.namespace, "--audience=istio-ca", "--duration=12h", "--bound-object-kind=Pod",
        "--bound-object-name", plan.name,
    ])?;
    let authority = api.kubectl(&[
        "get", "configmap", "istio-ca-root-cert", "-n", plan.namespace, "-o", r"jsonpath={.data.root-cert\.pem}",
    ])?;
    let write = |path: &str, text: &str| {
        let path = directory.join(path);
        std::fs::write(&path, text).map_err(|e| Error::file("can't write", &path, e))
    };
    write("var/run/secrets/tokens/istio-token", token.trim())?;
    write("var/run/secrets/istio/root-cert.pem", &authority)?;
    let tags = repository_root().join("envoy-configs/istio/stats-tags/config-map.yaml");
    let tags = std::fs::read_to_string(&tags).map_err(|e| Error::file("can't read", &tags, e))?;
    write("custom_bootstrap.json", document::from_yaml(&tags)?["data"]["custom_bootstrap.json"].as_str().unwrap_or_default())?;
    // A module in the proxy's own file system, as an image of the proxy or a volume would bring it.
    let module = module()?;
    std::fs::copy(&module, directory.join("sluice.wasm")).map_err(|e| Error::file("can't copy", &module, e))?;
    // Envoy opens /dev/stdout, which is this very file, by its name.
    for log in ["agent.stdout.log", "agent.stderr.log"] {
        write(log, "")?;
    }
    give_to_proxy(directory)
}

/// Makes a folder and all in it the proxy user's.
fn give_to_proxy(path: &Path) -> Result<()> {
    std::os::unix::fs::chown(path, Some(PROXY_USER), Some(PROXY_USER))
        .and_then(|()| if path.is_dir() { std::fs::set_permissions(path, Permissions::from_mode(0o755)) } else { Ok(()) })
        .map_err(|e| Error::file("can't give away", path, e))?;
    if path.is_dir() {
        for entry in std::fs::read_dir(path).map_err(|e| Error::file("can't read", path, e))?.flatten() {
            give_to_proxy(&entry.path())?;
        }
    }
    Ok(())
}

/// What Istio's init container does: all TCP goes to the Envoy, but its own and that to its ports for health and metrics.
fn redirect(namespace: &Namespace) -> Result<()> {
    let user = PROXY_USER.to_string();
    namespace.run(
        &tools::find("pilot-agent")?,
        &[
            "istio-iptables", "-p", "15001", "-z", "15006", "-u", &user, "-g", &user, "-m", "REDIRECT", "-i", "*", "-b",
            "*", "-d", "15090,15021,15020",
        ],
    )?;
    Ok(())
}

fn start_agent(plan: &Plan, namespace: &Namespace, directory: &Path) -> Result<Process> {
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
        ("WASM_INSECURE_REGISTRIES", &format!("{WORLD}:5000")),
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
        CString::new(path.as_os_str().as_encoded_bytes()).map_err(|e| Error::Other(format!("{}: {e}", path.display())))
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
    for (name, file) in
        [("pilot-agent", tools::find("pilot-agent")?), ("envoy", envoy_binary()?), ("envoy_bootstrap.json", template)]
    {
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
                check(libc::mount(from.as_ptr(), to.as_ptr(), std::ptr::null(), libc::MS_BIND, std::ptr::null()))
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
