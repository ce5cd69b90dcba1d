//! An etcd and a kube-apiserver in front of it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sluice_integration::{Error, Process, Result, ports, tools};

use crate::certificates::Files;
use crate::namespace::Namespace;

/// A cold machine that does other work takes a while to read a program of 100 MB.
const START: Duration = Duration::from_secs(240);

/// A running API server on loopback; what it needs is ended and removed with it.
pub struct ApiServer {
    namespace: Namespace,
    port: u16,
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    // In the order in which they end: the server before its store, the store before its files.
    server: Process,
    _etcd: Process,
    directory: tempfile::TempDir,
}

impl ApiServer {
    /// Starts one that this process can reach.
    ///
    /// # Errors
    /// A program is missing or does not start: the end of its log says why.
    pub fn start() -> Result<Self> {
        Self::start_with(Namespace(None))
    }

    /// Starts one in the network namespace `name` (of `ip netns add`, with its loopback interface up), where it listens on that
    /// namespace's loopback. [`ApiServer::kubectl`] and all that is built on it run there too.
    ///
    /// # Errors
    /// As for [`ApiServer::start`]; or there is no such namespace.
    pub fn start_in(name: &str) -> Result<Self> {
        Self::start_with(Namespace(Some(name.to_owned())))
    }

    fn start_with(namespace: Namespace) -> Result<Self> {
        let kubectl = tools::find("kubectl")?;
        let directory = tempfile::tempdir()
            .map_err(|error| Error::Other(format!("can't make a temporary folder: {error}")))?;
        let home = directory.path();
        let (store_port, port) = (ports::free(), ports::free());
        let etcd = start_etcd(&namespace, home, store_port)?;
        let files = Files::make(home)?;
        let server = start_server(&namespace, home, &files, store_port, port)?;
        let kubeconfig = write_kubeconfig(home, &files, port)?;
        let mut this = Self { namespace, port, kubectl, kubeconfig, server, _etcd: etcd, directory };
        this.wait_ready()?;
        Ok(this)
    }

    /// The client configuration of an administrator; it names its certificates by absolute paths.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The port on 127.0.0.1 (of its network namespace) where it answers, by TLS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it answers: `https://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The folder with its logs (`kube-apiserver.stderr.log`, `etcd.stderr.log`) and its certificates (`ca.crt` and others).
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Runs kubectl as administrator; gives its standard output.
    ///
    /// # Errors
    /// It ends with anything but 0: its standard error says why.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments, "")
    }

    /// Applies documents server-side, any field that the server does not know being an error, and gives what kubectl printed.
    ///
    /// # Errors
    /// The server refuses one of them: it says which and why.
    pub fn apply(&self, yaml: &str) -> Result<String> {
        self.run(&["apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-"], yaml)
    }

    /// Deletes what the documents name, and waits until it is gone; what is gone already is fine.
    ///
    /// # Errors
    /// The server refuses.
    pub fn delete(&self, yaml: &str) -> Result<String> {
        self.run(&["delete", "--ignore-not-found", "--timeout=180s", "-f", "-"], yaml)
    }

    /// Creates a namespace, if there is none of this name.
    ///
    /// # Errors
    /// The server refuses.
    pub fn create_namespace(&self, name: &str) -> Result<()> {
        self.apply(&format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: \"{name}\" }}\n"))?;
        Ok(())
    }

    fn run(&self, arguments: &[&str], input: &str) -> Result<String> {
        run(self.kubectl_command()?.args(arguments), arguments, input)
    }

    fn kubectl_command(&self) -> Result<Command> {
        let mut command = self.namespace.command(&self.kubectl)?;
        // Discovery is cached below HOME: in a folder of this server's, so that no other server's answers are taken for its own.
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", self.directory.path());
        // A user's proxy has nothing to do with a server on loopback.
        for variable in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            command.env_remove(variable);
        }
        Ok(command)
    }

    fn wait_ready(&mut self) -> Result<()> {
        const READY: [&str; 3] = ["get", "--raw", "/readyz"];
        let mut ask = self.kubectl_command()?;
        ask.args(READY);
        self.server.wait_ready(START, || run(&mut ask, &READY, "").is_ok())?;
        // Objects of a namespace can't be made before it is there; the server makes its own a moment after it is ready.
        self.kubectl(&["wait", "--for=create", "--timeout=180s", "namespace/default"])?;
        Ok(())
    }
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "ApiServer on 127.0.0.1:{}", self.port)
    }
}

fn start_etcd(namespace: &Namespace, home: &Path, port: u16) -> Result<Process> {
    let mut command = namespace.command(&tools::find("etcd")?)?;
    let client = format!("http://127.0.0.1:{port}");
    // The store has no peers; it insists on an address for them.
    let peer = format!("http://127.0.0.1:{}", ports::free());
    command
        .arg("--data-dir")
        .arg(home.join("etcd"))
        .args(["--name", "etcd", "--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("etcd={peer}"), "--logger", "zap", "--log-level", "warn"]);
    // Not waited for: the server asks until its store answers.
    Process::start("etcd", command, home)
}

fn start_server(
    namespace: &Namespace,
    home: &Path,
    files: &Files,
    store_port: u16,
    port: u16,
) -> Result<Process> {
    let mut command = namespace.command(&tools::find("kube-apiserver")?)?;
    let issuer = format!("https://127.0.0.1:{port}");
    command
        .args([format!("--etcd-servers=http://127.0.0.1:{store_port}"), format!("--secure-port={port}")])
        // Nobody but this machine; and no Endpoints of the service `kubernetes`, which may not be on loopback.
        .args([
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
        ])
        .args(["--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=RBAC"])
        // Would wait for accounts that only a controller makes.
        .arg("--disable-admission-plugins=ServiceAccount")
        .arg(format!("--service-account-issuer={issuer}"));
    for (option, file) in [
        ("--client-ca-file", &files.authority),
        ("--tls-cert-file", &files.server_certificate),
        ("--tls-private-key-file", &files.server_key),
        ("--service-account-signing-key-file", &files.accounts_key),
        ("--service-account-key-file", &files.accounts_public_key),
    ] {
        command.arg(option).arg(file);
    }
    // It would write certificates of its own below /var/run otherwise.
    command.arg("--cert-dir").arg(home);
    Process::start("kube-apiserver", command, home)
}

fn write_kubeconfig(home: &Path, files: &Files, port: u16) -> Result<PathBuf> {
    let path = home.join("kubeconfig");
    let quoted = |path: &Path| format!("{:?}", path.display().to_string());
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
         clusters:\n- name: test\n  cluster:\n    server: https://127.0.0.1:{port}\n    certificate-authority: {}\n\
         users:\n- name: admin\n  user:\n    client-certificate: {}\n    client-key: {}\n\
         contexts:\n- name: test\n  context:\n    cluster: test\n    user: admin\n",
        quoted(&files.authority),
        quoted(&files.admin_certificate),
        quoted(&files.admin_key),
    );
    std::fs::write(&path, text).map_err(|error| Error::file("can't write", &path, error))?;
    Ok(path)
}

/// Runs a command to its end, with `input` as standard input.
fn run(command: &mut Command, arguments: &[&str], input: &str) -> Result<String> {
    let said = format!("kubectl {}", arguments.join(" "));
    let failed = |error: std::io::Error| Error::Other(format!("{said}: {error}"));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let stdin = child.stdin.take();
    // From a thread of its own: kubectl may fill its output before it has read all.
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // One that ends without reading says why with its status.
            let _ = stdin.map(|mut stdin| stdin.write_all(input.as_bytes()));
        });
        child.wait_with_output()
    })
    .map_err(failed)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(Error::Other(format!("{said}: {}\n{}", output.status, text(&output.stderr).trim_end())))
}
