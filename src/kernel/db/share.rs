//! Who uses how many connections of a pool: a portal and a subject at most a part each, so that the trouble of one stays
//! its own.
//!
//! Whoever finds no place waits in the queue of the portal, or of the subject, first come, first served; so the queue for
//! the connections themselves holds a few of each, and it is each one's turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connect::ACQUIRE_TIMEOUT;
use crate::kernel::error::{Error, Result};
use crate::kernel::limits::Limit;

/// Who takes a place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Taker {
    /// By its Hub ID.
    Portal(i64),
    /// The subject of a token.
    Subject(Arc<str>),
}

/// The places of all of one kind in one pool.
#[derive(Debug, Clone)]
pub(super) struct Shares {
    places: usize,
    takers: Arc<Mutex<HashMap<Taker, Weak<Semaphore>>>>,
}

/// One connection that may be used.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    /// Kept while somebody has or waits for a place.
    _semaphore: Arc<Semaphore>,
}

impl Shares {
    /// Each one gets `percent` of the connections, and one at least.
    pub(super) fn new(connections: u32, percent: Limit) -> Self {
        let places = connections as usize * percent.value / 100;
        Self {
            places: places.max(1),
            takers: Arc::default(),
        }
    }

    /// Waits for a place.
    pub(super) async fn take(&self, taker: Taker) -> Result<Place> {
        let semaphore = self.of(taker)?;
        let waiting = semaphore.clone().acquire_owned();
        let permit = tokio::time::timeout(ACQUIRE_TIMEOUT, waiting).await;
        let permit = permit.map_err(|_| Error::Busy)?;
        Ok(Place {
            _permit: permit.map_err(|error| Error::Internal(error.to_string()))?,
            _semaphore: semaphore,
        })
    }

    fn of(&self, taker: Taker) -> Result<Arc<Semaphore>> {
        /// Takers that are remembered before those that use no place are forgotten.
        const REMEMBERED: usize = 1_024;
        let mut takers = self.takers.lock().map_err(|_| {
            Error::Internal("the shares were left in the middle of a change".into())
        })?;
        if takers.len() > REMEMBERED {
            takers.retain(|_, semaphore| semaphore.strong_count() > 0);
        }
        if let Some(known) = takers.get(&taker).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let new = Arc::new(Semaphore::new(self.places));
        takers.insert(taker, Arc::downgrade(&new));
        Ok(new)
    }
}
