//! How many are there: live connections and exports of this server, subscriptions and exports of a portal. Each holds
//! its seat until it ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::answer::Refusal;
use crate::kernel::config::LiveConfig;
use crate::kernel::error::Error;
use crate::kernel::limits::{self, Limit};
use crate::kernel::metrics::Metrics;

/// What a seat is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// A WebSocket.
    Socket,
    /// A stream of events.
    Stream,
    /// A subscription to a portal; 0 for one that the token does not name.
    Portal(i64),
    /// An export that is being written.
    Export,
    /// One of a portal.
    PortalExport(i64),
}

/// The seats of a server.
pub(super) struct Occupancy {
    taken: Mutex<HashMap<Place, usize>>,
    connections: usize,
    portal_subscriptions: usize,
    metrics: Arc<Metrics>,
}

/// A seat, free again when it is dropped.
pub(super) struct Seat {
    place: Place,
    occupancy: Arc<Occupancy>,
}

impl Occupancy {
    pub(super) fn new(config: &LiveConfig, metrics: Arc<Metrics>) -> Self {
        Self {
            taken: Mutex::default(),
            connections: config.connections,
            portal_subscriptions: config.portal_subscriptions,
            metrics,
        }
    }

    /// Takes a seat, if one is left.
    pub(super) fn take(self: &Arc<Self>, place: Place) -> Result<Seat, Refusal> {
        let poisoned = |_| Error::Internal("the seats were left in the middle of a change".into());
        let mut taken = self.taken.lock().map_err(poisoned)?;
        let count = |place| taken.get(&place).copied().unwrap_or(0);
        let (limit, most, count) = match place {
            Place::Socket | Place::Stream => (
                limits::LIVE_CONNECTIONS,
                self.connections,
                count(Place::Socket) + count(Place::Stream),
            ),
            Place::Portal(_) => (
                limits::PORTAL_SUBSCRIPTIONS,
                self.portal_subscriptions,
                count(place),
            ),
            Place::Export => (limits::EXPORTS, limits::EXPORTS.value, count(place)),
            Place::PortalExport(_) => (
                limits::PORTAL_EXPORTS,
                limits::PORTAL_EXPORTS.value,
                count(place),
            ),
        };
        if count >= most {
            return Err(full(limit, most));
        }
        *taken.entry(place).or_default() += 1;
        self.metrics.seated(place.kind(), 1);
        Ok(Seat {
            place,
            occupancy: self.clone(),
        })
    }
}

impl Place {
    fn kind(self) -> &'static str {
        match self {
            Self::Socket => "websocket",
            Self::Stream => "sse",
            Self::Portal(_) => "subscription",
            Self::Export => "export",
            Self::PortalExport(_) => "portal_export",
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Ok(mut taken) = self.occupancy.taken.lock()
            && let Some(count) = taken.get_mut(&self.place)
        {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.place);
            }
        }
        self.occupancy.metrics.seated(self.place.kind(), -1);
    }
}

fn full(limit: Limit, most: usize) -> Refusal {
    let message = format!(
        "This server holds {most} {} ({}). End some, or come back later.",
        limit.unit, limit.name
    );
    Refusal::from(Error::RateLimited(message)).by(limit)
}
