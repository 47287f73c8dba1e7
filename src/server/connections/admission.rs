//! Who is let in: so many connections in all and of one peer, and few that have not said who they are.
//!
//! A connection is unauthenticated until a token or a ticket that it brings was verified. Where those are too many, the
//! oldest one of the peer that has most of them makes room: whoever has something to say is known a moment later.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::pace::is_too_slow;
use crate::kernel::config::ConnectionConfig;
use crate::kernel::limits::{self, Limit};
use crate::kernel::metrics::Metrics;

/// The connections of a server.
pub(in crate::server) struct Admissions {
    config: ConnectionConfig,
    metrics: Arc<Metrics>,
    open: Mutex<Open>,
}

/// A connection that was let in; it counts until all that speaks on it has ended.
pub(in crate::server) struct Admission {
    number: u64,
    peer: IpAddr,
    admissions: Arc<Admissions>,
    is_known: AtomicBool,
    has_asked: AtomicBool,
    /// When it last asked for something, or began.
    asked_at: Mutex<Instant>,
    over: CancellationToken,
}

#[derive(Default)]
struct Open {
    count: usize,
    unauthenticated: usize,
    next: u64,
    peers: HashMap<IpAddr, Peer>,
    refusals: Refusals,
}

/// The connections of one peer.
#[derive(Default)]
struct Peer {
    count: usize,
    /// Oldest first.
    unauthenticated: BTreeMap<u64, CancellationToken>,
}

/// Those that the log has not told of.
#[derive(Default)]
struct Refusals {
    count: u64,
    told_at: Option<Instant>,
}

/// What whoever is refused reads, as far as it is still read.
fn refusal(limit: Limit, most: usize) -> String {
    let holder = match limit.name == limits::PEER_CONNECTIONS.name {
        true => "Your address",
        false => "This server",
    };
    let message = format!(
        "{holder} has {most} {} ({}). Come back in 5 seconds.",
        limit.unit, limit.name
    );
    let error = json!({ "message": message, "extensions": { "code": "UNAVAILABLE" } });
    let body = json!({ "errors": [error] }).to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nretry-after: 5\r\nconnection: close\r\n\r\n{body}"
    )
}

impl Admissions {
    pub(in crate::server) fn new(config: ConnectionConfig, metrics: Arc<Metrics>) -> Self {
        Self {
            config,
            metrics,
            open: Mutex::default(),
        }
    }

    /// Nothing in here panics; what a panic elsewhere left behind is still true.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a connection in, if there is room for it.
    pub(super) fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        stream: TcpStream,
    ) -> Option<(TcpStream, Arc<Admission>)> {
        let peer = network(address);
        let mut open = self.open();
        if let Some((limit, most)) = open.passed(&self.config, peer) {
            open.refusals.refused(limit);
            drop(open);
            self.metrics.refused_by(limit.name);
            // Nobody waits for the client to read it.
            let told = refusal(limit, most);
            let _ = stream
                .into_std()
                .and_then(|mut stream| stream.write(told.as_bytes()));
            return None;
        }
        let over = CancellationToken::new();
        let number = open.enter(peer, over.clone());
        if open.unauthenticated > self.config.unauthenticated {
            open.make_room();
            self.metrics
                .refused_by(limits::UNAUTHENTICATED_CONNECTIONS.name);
        }
        drop(open);
        self.metrics.connected(1);
        let admission = Admission {
            number,
            peer,
            admissions: self.clone(),
            is_known: AtomicBool::new(false),
            has_asked: AtomicBool::new(false),
            asked_at: Mutex::new(Instant::now()),
            over,
        };
        Some((stream, Arc::new(admission)))
    }
}

impl Open {
    /// The limit that one more of this peer would pass, and its value.
    fn passed(&self, config: &ConnectionConfig, peer: IpAddr) -> Option<(Limit, usize)> {
        let of_peer = self.peers.get(&peer).map_or(0, |peer| peer.count);
        match () {
            () if self.count >= config.most => Some((limits::CONNECTIONS, config.most)),
            () if of_peer >= config.of_peer => Some((limits::PEER_CONNECTIONS, config.of_peer)),
            () => None,
        }
    }

    fn enter(&mut self, peer: IpAddr, over: CancellationToken) -> u64 {
        let number = self.next;
        self.next += 1;
        self.count += 1;
        self.unauthenticated += 1;
        let peer = self.peers.entry(peer).or_default();
        peer.count += 1;
        peer.unauthenticated.insert(number, over);
        number
    }

    /// Ends one that has not said who it is.
    fn make_room(&mut self) {
        let peers = self.peers.values_mut();
        let most = peers.max_by_key(|peer| peer.unauthenticated.len());
        if let Some((_, over)) = most.and_then(|peer| peer.unauthenticated.pop_first()) {
            self.unauthenticated -= 1;
            over.cancel();
        }
    }

    fn authenticated(&mut self, peer: IpAddr, number: u64) {
        let peer = self.peers.get_mut(&peer);
        if peer.is_some_and(|peer| peer.unauthenticated.remove(&number).is_some()) {
            self.unauthenticated -= 1;
        }
    }

    fn leave(&mut self, address: IpAddr, number: u64) {
        self.authenticated(address, number);
        self.count -= 1;
        if let Some(peer) = self.peers.get_mut(&address) {
            peer.count -= 1;
            if peer.count == 0 {
                self.peers.remove(&address);
            }
        }
    }
}

impl Refusals {
    /// Tells of them once a minute, however many there are.
    fn refused(&mut self, limit: Limit) {
        const PAUSE: Duration = Duration::from_secs(60);
        self.count += 1;
        if self
            .told_at
            .is_none_or(|told_at| told_at.elapsed() >= PAUSE)
        {
            tracing::warn!(
                limit = limit.name,
                connections = self.count,
                "connections were refused (--connections, --peer-connections); this is told once a minute"
            );
            *self = Self {
                count: 0,
                told_at: Some(Instant::now()),
            };
        }
    }
}

impl Admission {
    pub(super) fn config(&self) -> &ConnectionConfig {
        &self.admissions.config
    }

    /// A request has come.
    pub(super) fn asks(&self) {
        self.has_asked.store(true, Ordering::Relaxed);
        let asked_at = self.asked_at.lock();
        *asked_at.unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Whether a whole head has come on it.
    pub(super) fn has_asked(&self) -> bool {
        self.has_asked.load(Ordering::Relaxed)
    }

    /// A token or a ticket that it brought was verified.
    pub(in crate::server) fn authenticated(&self) {
        if !self.is_known.swap(true, Ordering::Relaxed) {
            self.admissions.open().authenticated(self.peer, self.number);
        }
    }

    /// Waits until it has to make room for others.
    pub(in crate::server) async fn makes_room(&self) {
        self.over.cancelled().await;
    }

    /// Waits until it has to make room, or has not said in time who it is.
    pub(super) async fn is_over(&self) {
        loop {
            let asked_at = self.asked_at.lock();
            let asked_at = *asked_at.unwrap_or_else(PoisonError::into_inner);
            let until = asked_at + self.config().introduction;
            if self.is_known.load(Ordering::Relaxed) {
                return self.makes_room().await;
            }
            if until <= Instant::now() {
                return;
            }
            tokio::select! {
                () = self.makes_room() => return,
                () = sleep_until(until) => {}
            }
        }
    }

    /// Why it ended, where its client is to blame.
    pub(super) fn ended_by(&self, error: &hyper::Error) {
        if is_too_slow(error) {
            let limit = limits::STALL_SECONDS;
            self.admissions.metrics.refused_by(limit.name);
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.admissions.open().leave(self.peer, self.number);
        self.admissions.metrics.connected(-1);
    }
}

/// Who has one address of IPv6 has all of its network.
fn network(address: IpAddr) -> IpAddr {
    const NETWORK: u128 = !((1 << 64) - 1);
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
        address => address,
    }
}
