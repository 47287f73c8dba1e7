//! How many are there: live connections, uploads and exports of this server, those of a portal and of a subject. Each
//! holds its seat until it ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::answer::Refusal;
use crate::kernel::config::LiveConfig;
use crate::kernel::error::Error;
use crate::kernel::limits::{self, Limit};
use crate::kernel::metrics::Metrics;

/// What a seat is taken for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// A WebSocket.
    Socket,
    /// A stream of events.
    Stream,
    /// A subscription to a portal.
    Portal(i64),
    /// A subscription of a subject to several portals, or to one that its token does not name.
    Subject(Arc<str>),
    /// An export that is being written.
    Export,
    /// One of a portal.
    PortalExport(i64),
    /// One of a subject.
    SubjectExport(Arc<str>),
    /// A body of failures that is being taken.
    Upload,
    /// One of a subject.
    SubjectUpload(Arc<str>),
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
        let count = |place| taken.get(place).copied().unwrap_or(0);
        let (limit, most) = self.most(&place);
        let count = match &place {
            Place::Socket | Place::Stream => count(&Place::Socket) + count(&Place::Stream),
            place => count(place),
        };
        if count >= most {
            return Err(full(place.holder(), limit, most));
        }
        *taken.entry(place.clone()).or_default() += 1;
        self.metrics.seated(place.kind(), 1);
        Ok(Seat {
            place,
            occupancy: self.clone(),
        })
    }

    /// How many there may be.
    fn most(&self, place: &Place) -> (Limit, usize) {
        let fixed = |limit: Limit| (limit, limit.value);
        match place {
            Place::Socket | Place::Stream => (limits::LIVE_CONNECTIONS, self.connections),
            Place::Portal(_) | Place::Subject(_) => {
                (limits::PORTAL_SUBSCRIPTIONS, self.portal_subscriptions)
            }
            Place::Export => fixed(limits::EXPORTS),
            Place::PortalExport(_) => fixed(limits::PORTAL_EXPORTS),
            Place::SubjectExport(_) => fixed(limits::SUBJECT_EXPORTS),
            Place::Upload => fixed(limits::UPLOADS),
            Place::SubjectUpload(_) => fixed(limits::SUBJECT_UPLOADS),
        }
    }
}

impl Place {
    /// Whose limit it is.
    fn holder(&self) -> &'static str {
        match self {
            Self::Socket | Self::Stream | Self::Export | Self::Upload => "server",
            Self::Portal(_) | Self::PortalExport(_) => "portal",
            Self::Subject(_) | Self::SubjectExport(_) | Self::SubjectUpload(_) => "token's subject",
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Socket => "websocket",
            Self::Stream => "sse",
            Self::Portal(_) | Self::Subject(_) => "subscription",
            Self::Export => "export",
            Self::PortalExport(_) => "portal_export",
            Self::SubjectExport(_) => "subject_export",
            Self::Upload => "upload",
            Self::SubjectUpload(_) => "subject_upload",
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

fn full(holder: &str, limit: Limit, most: usize) -> Refusal {
    let message = format!(
        "This {holder} has {most} {} ({}). End some, or come back in a minute.",
        limit.unit, limit.name
    );
    Refusal::from(Error::RateLimited(message)).by(limit)
}
