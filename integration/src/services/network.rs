//! A service that shares its sidecar's network namespace notices when that has gone.

use std::time::Duration;

/// How often one looks.
const PAUSE: Duration = Duration::from_millis(500);

/// For how many looks the network must be gone: by then the sidecar runs again, so that Docker, which tries only once, can start
/// the service in the sidecar's new namespace.
const LOOKS: u32 = 4;

/// Ends this process with status 75 (`EX_TEMPFAIL` of sysexits.h) when its network has gone.
///
/// A container that is started again gets a new network namespace, and those that shared the old one are left in it with a
/// loopback interface alone. Kubernetes has the pause container against that; with Docker the service must leave, so that its
/// restart policy puts it into the new namespace.
pub fn leave_with_network() {
    std::thread::spawn(|| {
        let mut seen = false;
        let mut missed = 0;
        loop {
            let interfaces = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
            if has_network(&interfaces) {
                (seen, missed) = (true, 0);
            } else if seen {
                missed += 1;
            }
            if missed >= LOOKS {
                eprintln!(
                    "sluice-tour: the network is gone, and with it the sidecar: leaving, to be started again"
                );
                std::process::exit(75);
            }
            std::thread::sleep(PAUSE);
        }
    });
}

/// Whether `/proc/net/dev` (proc(5)) lists an interface such as Docker gives to a container. (Loopback is always there, and so
/// are the kernel's own tunnels.)
fn has_network(interfaces: &str) -> bool {
    interfaces.lines().filter_map(|line| line.split_once(':')).any(|(name, _)| name.trim().starts_with("eth"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_alone_is_no_network() {
        let heading = "Inter-|   Receive\n face |bytes    packets\n";
        assert!(!has_network(&format!("{heading}    lo:  100 1\n  tunl0:  0 0\n")));
        assert!(has_network(&format!("{heading}    lo:  100 1\n  eth0:  7 1\n")));
    }
}
