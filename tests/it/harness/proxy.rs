//! A network between a server and its database that passes everything, swallows it, or is cut.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to what is sent, in both directions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Pass,
    /// Vanishes, for good: nobody is told, and connections stay open.
    Swallow,
    /// Connections are closed, new ones at once.
    Cut,
}

pub struct Proxy {
    target: Arc<watch::Sender<String>>,
    mode: Arc<watch::Sender<Mode>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// A way to the host and port of a URL; answers the URL that leads through it too.
    pub async fn to(database_url: &str) -> (Self, String) {
        let (_, rest) = database_url.split_once('@').expect("a user");
        let (target, database) = rest.split_once('/').expect("a database");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        let through = database_url.replace(target, &address);
        assert!(through.ends_with(database));
        let mode = Arc::new(watch::channel(Mode::Pass).0);
        let target = Arc::new(watch::channel(target.to_owned()).0);
        let (targets, modes) = (target.clone(), mode.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let target = targets.borrow().clone();
                tokio::spawn(carry(client, target, modes.subscribe()));
            }
        });
        let proxy = Self {
            target,
            mode,
            accepting,
        };
        (proxy, through)
    }

    /// Changes it. What was swallowed once stays silent: a connection that lost something is no good any more.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// New connections go to another host and port.
    pub fn lead_to(&self, address: &str) {
        self.target.send_replace(address.to_owned());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(client: TcpStream, target: String, mut mode: watch::Receiver<Mode>) {
    if *mode.borrow() == Mode::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(&target).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let there = copy(from_client, to_server, mode.clone());
    let back = copy(from_server, to_client, mode.clone());
    tokio::select! {
        _ = async { tokio::join!(there, back) } => {}
        _ = mode.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

/// Carries until either side ends; the end is passed on, unless what came before it was not.
async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mode: watch::Receiver<Mode>,
) {
    let (mut bytes, mut has_lost) = (vec![0; 16 * 1024], *mode.borrow() == Mode::Swallow);
    loop {
        let read = from.read(&mut bytes).await.unwrap_or(0);
        has_lost |= *mode.borrow() == Mode::Swallow;
        match read {
            // A side that is told nothing waits for ever.
            _ if has_lost && read == 0 => std::future::pending().await,
            _ if has_lost => {}
            0 => return,
            _ => {
                if to.write_all(&bytes[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}
