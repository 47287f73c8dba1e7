//! Where a server listens, and when it stops.

use std::io::ErrorKind;

use tokio::net::TcpListener;
use tokio::signal::unix::{self, SignalKind};

/// Listens; in words why not.
pub async fn bind(listen: &str) -> Result<TcpListener, String> {
    TcpListener::bind(listen).await.map_err(|error| {
        let why = match error.kind() {
            ErrorKind::AddrInUse => "the port is taken".to_owned(),
            ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
            ErrorKind::PermissionDenied => "permission denied".to_owned(),
            ErrorKind::InvalidInput => {
                "an address and a port are needed, for example 127.0.0.1:8080".to_owned()
            }
            _ => error.to_string(),
        };
        format!("cannot listen on {listen} (--listen): {why}")
    })
}

/// Ends on SIGTERM, on Ctrl-C, and when the terminal is closed; not where that was to be survived (nohup).
pub async fn stop_signal() {
    tokio::select! {
        () = signal(SignalKind::interrupt()) => {}
        () = signal(SignalKind::terminate()) => {}
        () = signal(SignalKind::hangup()), if !ignores_hangup() => {}
    }
}

async fn signal(kind: SignalKind) {
    match unix::signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

/// Whether the process was started so that SIGHUP is ignored.
fn ignores_hangup() -> bool {
    let status = procfs::process::Process::myself().and_then(|own| own.status());
    status.is_ok_and(|status| status.sigign & 1 == 1)
}
