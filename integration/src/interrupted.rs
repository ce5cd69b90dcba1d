//! Ctrl-C, SIGTERM and SIGHUP: everything that was started is ended before this process ends.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::process::kill_all;
use crate::{Error, Result, runtime};

static WAITING: OnceLock<Mutex<Vec<Sender<()>>>> = OnceLock::new();

/// Does `work`; on a signal, ends all child processes and this one at once, or lets [`wait`] return if that is where it is.
pub fn or<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let waiting = WAITING.get_or_init(Mutex::default);
    runtime::block_on(async {
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
            let mut signals = signal(kind).map_err(|e| Error::Other(format!("can't await signals: {e}")))?;
            runtime::spawn(async move {
                while signals.recv().await.is_some() {
                    let senders = std::mem::take(
                        &mut *waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
                    );
                    if senders.is_empty() {
                        kill_all();
                        // 128 + SIGINT, as shells report an interrupted command.
                        std::process::exit(130);
                    }
                    for sender in senders {
                        let _ = sender.send(());
                    }
                }
            });
        }
        Ok::<(), Error>(())
    })?;
    work()
}

/// Waits for a signal.
pub fn wait() {
    let (sender, signalled) = channel();
    WAITING
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .push(sender);
    while signalled.recv_timeout(Duration::from_secs(3600)) == Err(RecvTimeoutError::Timeout) {}
}
