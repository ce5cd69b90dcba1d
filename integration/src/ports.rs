//! Ports on loopback: free ones for tests, and who holds one that is taken.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr as InternetAddress};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket};

/// Below the kernel's range for outgoing connections (32768 and up), so that no client takes a port between our choosing it
/// and its owner's binding it.
const FIRST: u32 = 12_000;
const LAST: u32 = 32_000;

static NEXT: AtomicU32 = AtomicU32::new(0);
static RESERVED: Mutex<Vec<UnixDatagram>> = Mutex::new(Vec::new());

/// A port on which nothing listens, and which no other process that uses this function is given while this one lives.
///
/// Envoy binds its listeners with `SO_REUSEPORT`: two that are given the same port would share it without a word. The
/// reservation is an abstract Unix socket of the port's name, which the kernel removes with the process.
pub fn free() -> u16 {
    let start = std::process::id().wrapping_mul(61);
    for _ in FIRST..LAST {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + start.wrapping_add(step) % (LAST - FIRST);
        let Ok(port) = u16::try_from(port) else { continue };
        let Ok(name) = SocketAddr::from_abstract_name(format!("sluice-port-{port}")) else { continue };
        let Ok(reservation) = UnixDatagram::bind_addr(&name) else { continue };
        if is_free(port) {
            RESERVED.lock().expect("no thread panics while it reserves").push(reservation);
            return port;
        }
    }
    panic!("no free port between {FIRST} and {LAST} on loopback");
}

/// Whether nothing listens on that port of loopback.
///
/// The socket that finds out is bound, and never listens: another thread may fork just then, and the child holds a copy of all
/// our sockets until it is the program that it becomes. A copy of a listening one would keep the port from its owner.
pub fn is_free(port: u16) -> bool {
    let address = InternetAddress::from((Ipv4Addr::LOCALHOST, port));
    // With SO_REUSEADDR only a socket that listens is in the way.
    TcpSocket::new_v4().is_ok_and(|socket| socket.set_reuseaddr(true).is_ok() && socket.bind(address).is_ok())
}

/// Listens on that port of loopback, which was ours before: a child that was forked meanwhile may hold a copy of our former
/// listener, for a moment.
pub(crate) async fn listen_again(port: u16) -> std::io::Result<TcpListener> {
    let started = Instant::now();
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Err(e) if e.kind() == ErrorKind::AddrInUse && started.elapsed() < Duration::from_secs(30) => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            outcome => return outcome,
        }
    }
}

/// The process that listens on the port, such as `nginx (pid 71)`, if it can be seen.
pub fn holder(port: u16) -> Option<String> {
    let sockets = listening_inodes(port);
    let processes = std::fs::read_dir("/proc").ok()?;
    for process in processes.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().filter(|name| name.bytes().all(|b| b.is_ascii_digit())) else {
            continue;
        };
        let Ok(descriptors) = std::fs::read_dir(process.path().join("fd")) else { continue };
        for descriptor in descriptors.flatten() {
            let Ok(target) = std::fs::read_link(descriptor.path()) else { continue };
            if sockets.iter().any(|inode| target.to_str() == Some(&format!("socket:[{inode}]"))) {
                let command = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                return Some(format!("{} (pid {pid})", command.trim()));
            }
        }
    }
    None
}

/// The inodes of the sockets that listen on the port (`/proc/net/tcp`: state 0A is LISTEN; ports in hexadecimal).
fn listening_inodes(port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|table| table.lines().skip(1).map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let listens = fields.get(3) == Some(&"0A") && fields.get(1)?.ends_with(&suffix);
            listens.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;
    use crate::wait::wait_until;

    #[test]
    fn a_process_that_is_started_meanwhile_does_not_hold_the_port() {
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let mut command = Command::new("true");
                    // SAFETY: a sleep is async-signal-safe. It makes what is a moment long enough to be seen.
                    unsafe {
                        command.pre_exec(|| {
                            libc::usleep(2_000);
                            Ok(())
                        });
                    }
                    command.status().unwrap();
                }
            });
            let refused = (0..5_000).find_map(|_| {
                let port = free();
                RESERVED.lock().unwrap().pop();
                TcpListener::bind((Ipv4Addr::LOCALHOST, port)).err().map(|e| format!("port {port}: {e}"))
            });
            done.store(true, Ordering::Relaxed);
            assert_eq!(refused, None);
        });
    }

    #[test]
    fn a_free_port_can_be_bound_and_is_not_given_twice() {
        let (one, two) = (free(), free());
        assert_ne!(one, two);
        TcpListener::bind((Ipv4Addr::LOCALHOST, one)).unwrap();
    }

    #[test]
    fn the_holder_of_a_port_is_named() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        // For a moment a child that another test forks may hold a copy.
        let us = format!("(pid {})", std::process::id());
        let limit = Duration::from_secs(60);
        wait_until("us to be named", limit, || holder(port).is_some_and(|holder| holder.ends_with(&us)))
            .unwrap();
        drop(listener);
        wait_until("the port to be free", limit, || is_free(port)).unwrap();
    }
}
