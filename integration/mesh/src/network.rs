//! One bridge, and a network namespace for each workload.

use std::fs::File;
use std::future::Future;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use sluice_integration::{Answer, Error, Request, Result, tools};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::http::{self, HttpClient, send};
use crate::world::run;

/// The world's own address on the bridge: where workloads find istiod and the registry.
pub const WORLD: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// The bridge that joins the workloads, in the world that [`crate::world::enter`] made.
pub struct Network {
    next: AtomicU8,
}

/// A place with a network: the world, or the namespace of one workload.
///
/// What is spawned on it opens its sockets there, for the threads of its runtime have moved in.
pub struct Namespace {
    name: String,
    address: Ipv4Addr,
    handle: Option<File>,
    client: HttpClient,
    runtime: Runtime,
}

impl Network {
    /// Makes the bridge.
    pub fn create() -> Result<Self> {
        ip(&["link", "add", "mesh", "type", "bridge"])?;
        ip(&["address", "add", &format!("{WORLD}/24"), "dev", "mesh"])?;
        ip(&["link", "set", "mesh", "up"])?;
        Ok(Self { next: AtomicU8::new(10) })
    }

    /// The place of the test itself, istiod and the registry.
    pub fn world(&self) -> Result<Namespace> {
        Namespace::new("world", WORLD, None)
    }

    /// A new namespace with an address of its own, reached from all others by the bridge.
    pub fn namespace(&self, name: &str) -> Result<Namespace> {
        let address = Ipv4Addr::new(10, 77, 0, self.next.fetch_add(1, Ordering::Relaxed));
        ip(&["netns", "add", name])?;
        ip(&["link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name])?;
        ip(&["link", "set", name, "master", "mesh", "up"])?;
        let inside = |arguments: &[&str]| ip(&[&["-n", name], arguments].concat());
        inside(&["address", "add", &format!("{address}/24"), "dev", "eth0"])?;
        inside(&["link", "set", "eth0", "up"])?;
        inside(&["link", "set", "lo", "up"])?;
        // A service's address is no workload's: the sidecar takes such connections, but only if they have somewhere to go.
        inside(&["route", "add", "default", "via", &WORLD.to_string()])?;
        let path = Path::new("/run/netns").join(name);
        let handle = File::open(&path).map_err(|e| Error::file("can't open", &path, e))?;
        Namespace::new(name, address, Some(handle))
    }
}

impl Namespace {
    fn new(name: &str, address: Ipv4Addr, handle: Option<File>) -> Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).thread_name(name).enable_all();
        if let Some(descriptor) = handle.as_ref().map(AsRawFd::as_raw_fd) {
            builder.on_thread_start(move || {
                // A socket opened elsewhere would pass no sidecar, and a test could hold for the wrong reason.
                enter(descriptor).expect("a thread can move into a network namespace of ours");
            });
        }
        let runtime = builder.build().map_err(|e| Error::Other(format!("can't start a runtime: {e}")))?;
        Ok(Self { name: name.to_owned(), address, handle, client: http::client(), runtime })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address on the bridge.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// A command that will run here.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        if let Some(descriptor) = self.handle.as_ref().map(AsRawFd::as_raw_fd) {
            // SAFETY: setns is a system call, async-signal-safe; the descriptor outlives the command's start, since both are ours.
            unsafe {
                command.pre_exec(move || enter(descriptor));
            }
        }
        command
    }

    /// Runs a program here to its end.
    pub fn run(&self, program: &Path, arguments: &[&str]) -> Result<String> {
        run(self.command(program).args(arguments))
    }

    /// Starts a task whose sockets are this namespace's.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.runtime.spawn(task)
    }

    /// Runs a task here to its end.
    pub fn wait_for<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let running = self.runtime.spawn(task);
        self.runtime.block_on(running).map_err(|e| Error::Other(e.to_string()))?
    }

    /// Sends a request from here to an address, such as `10.96.0.7:8080`; the request's own `host` header is what is asked for.
    pub fn send(&self, to: &str, request: &Request) -> Result<Answer> {
        self.wait_for(send(self.client.clone(), to.to_owned(), request.clone()))
    }

    /// As [`Namespace::send`], without waiting for the answer.
    pub fn begin(&self, to: &str, request: &Request) -> JoinHandle<Result<Answer>> {
        self.runtime.spawn(send(self.client.clone(), to.to_owned(), request.clone()))
    }

    /// Sends all of them at once; the answers come in the same order.
    pub fn send_all(&self, to: &str, requests: &[Request]) -> Vec<Result<Answer>> {
        let tasks: Vec<_> = requests.iter().map(|request| self.begin(to, request)).collect();
        tasks
            .into_iter()
            .map(|task| self.runtime.block_on(task).unwrap_or_else(|e| Err(Error::Other(e.to_string()))))
            .collect()
    }

    /// What [`Namespace::send`] sends with, for a task that was spawned here.
    pub(crate) fn client(&self) -> HttpClient {
        self.client.clone()
    }
}

/// Moves this thread into a network namespace.
fn enter(descriptor: i32) -> std::io::Result<()> {
    // SAFETY: a plain system call on a descriptor that is open as long as its `Namespace`.
    if unsafe { libc::setns(descriptor, libc::CLONE_NEWNET) } == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

fn ip(arguments: &[&str]) -> Result<String> {
    run(Command::new(tools::find("ip")?).args(arguments))
}
