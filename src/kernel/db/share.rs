//! Who of the portals uses how many connections of a pool: at most a part, so that one portal's trouble stays its own.
//!
//! Whoever finds no place waits in the portal's own queue, first come, first served; so the queue for the connections
//! themselves holds a few of each portal, and it is each portal's turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connect::ACQUIRE_TIMEOUT;
use crate::kernel::error::{Error, Result};
use crate::kernel::limits::Limit;

/// The places of all portals in one pool.
#[derive(Debug, Clone)]
pub(super) struct Shares {
    places: usize,
    portals: Arc<Mutex<HashMap<i64, Weak<Semaphore>>>>,
}

/// One connection that a portal may use.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    /// Kept while somebody has or waits for a place.
    _semaphore: Arc<Semaphore>,
}

impl Shares {
    /// Each portal gets `percent` of the connections, and one at least.
    pub(super) fn new(connections: u32, percent: Limit) -> Self {
        let places = connections as usize * percent.value / 100;
        Self {
            places: places.max(1),
            portals: Arc::default(),
        }
    }

    /// Waits for a place of the portal.
    pub(super) async fn take(&self, hub_id: i64) -> Result<Place> {
        let semaphore = self.of(hub_id)?;
        let waiting = semaphore.clone().acquire_owned();
        let permit = tokio::time::timeout(ACQUIRE_TIMEOUT, waiting).await;
        let permit = permit.map_err(|_| Error::Busy)?;
        Ok(Place {
            _permit: permit.map_err(|error| Error::Internal(error.to_string()))?,
            _semaphore: semaphore,
        })
    }

    fn of(&self, hub_id: i64) -> Result<Arc<Semaphore>> {
        /// Portals that are remembered before those that nobody uses are forgotten.
        const REMEMBERED: usize = 1_024;
        let mut portals = self.portals.lock().map_err(|_| {
            Error::Internal("the shares of portals were left in the middle of a change".into())
        })?;
        if portals.len() > REMEMBERED {
            portals.retain(|_, semaphore| semaphore.strong_count() > 0);
        }
        if let Some(known) = portals.get(&hub_id).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let new = Arc::new(Semaphore::new(self.places));
        portals.insert(hub_id, Arc::downgrade(&new));
        Ok(new)
    }
}
