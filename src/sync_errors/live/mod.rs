//! What happens now: subscriptions as cursors that wait.
//!
//! One [`tail::Tail`] for each portal that somebody watches reads each new entry of the feed once and shares it with all
//! of the portal's subscribers in this process. A subscriber has a cursor; what lies behind the tail's window it reads
//! from the database, as a page of the feed is read. So nothing is lost by being slow, by a cut connection or by a
//! server that is started again: the cursor goes on where it stood, on any replica. Where the database turns out to have
//! another history, every subscriber hears CURSOR_EXPIRED: no position of the old one is looked for in the new one.

mod entry;
pub mod streams;
mod tail;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::kernel::auth::{Read, Scope};
use crate::kernel::env::Env;
use crate::kernel::error::{Error, Result};
use crate::kernel::panics::again;
use crate::portals;
use tail::Tail;

/// The watched portals of a server.
pub struct Live {
    env: Env,
    stopping: CancellationToken,
    open: TaskTracker,
    tails: Mutex<HashMap<i64, Weak<Tail>>>,
}

impl Live {
    /// Watches nothing yet. What runs for it is tracked, and ends with the server.
    pub fn new(env: Env, stopping: CancellationToken, open: TaskTracker) -> Self {
        Self {
            env,
            stopping,
            open,
            tails: Mutex::default(),
        }
    }

    /// The tail of a portal: the one that its other subscribers share, or a new one. `None` when the portal does not
    /// exist.
    async fn tail(&self, scope: &Scope<Read>) -> Result<Option<Arc<Tail>>> {
        let known = self.known(scope.hub_id())?;
        if known.is_some() {
            return Ok(known);
        }
        // Before looking: what is committed from now on rings.
        let ring = self.env.wake.listen(scope.hub_id());
        let Some(tail) = Tail::start(&self.env, scope).await? else {
            return Ok(None);
        };
        let (env, stopping) = (self.env.clone(), self.stopping.clone());
        let weak = Arc::downgrade(&tail);
        self.open.spawn(async move {
            let (stopping, ring) = (&stopping, &ring);
            again(|| tail::follow(weak.clone(), env.clone(), ring.clone(), stopping.clone())).await;
        });
        Ok(Some(self.share(scope.hub_id(), tail)?))
    }

    fn known(&self, hub_id: i64) -> Result<Option<Arc<Tail>>> {
        let tails = self.tails.lock().map_err(|_| poisoned())?;
        Ok(tails.get(&hub_id).and_then(Weak::upgrade))
    }

    /// Two subscribers may have started one at the same time: the first stays.
    fn share(&self, hub_id: i64, tail: Arc<Tail>) -> Result<Arc<Tail>> {
        let mut tails = self.tails.lock().map_err(|_| poisoned())?;
        tails.retain(|_, tail| tail.strong_count() > 0);
        if let Some(first) = tails.get(&hub_id).and_then(Weak::upgrade) {
            return Ok(first);
        }
        tails.insert(hub_id, Arc::downgrade(&tail));
        Ok(tail)
    }
}

impl Live {
    /// Looks after all watched portals from time to time, in one statement, and rings where a ring was lost; for ever.
    pub async fn look_around(&self) {
        const PAUSE: Duration = Duration::from_secs(1);
        loop {
            tokio::time::sleep(PAUSE).await;
            if let Err(error) = self.look().await {
                // Logged where it is translated; the next look tries again.
                let _ = error.answer();
            }
        }
    }

    async fn look(&self) -> Result<()> {
        let tails: Vec<Arc<Tail>> = {
            let tails = self.tails.lock().map_err(|_| poisoned())?;
            tails.values().filter_map(Weak::upgrade).collect()
        };
        if tails.is_empty() {
            return Ok(());
        }
        let scopes: Vec<_> = tails.iter().map(|tail| tail.scope().clone()).collect();
        let heads = portals::heads(&self.env.db.snapshot(), &scopes).await?;
        for tail in tails {
            let hub_id = tail.scope().hub_id();
            if !tail.has_read(heads.get(&hub_id)) {
                self.env.wake.ring(hub_id);
            }
        }
        Ok(())
    }
}

fn poisoned() -> Error {
    Error::Internal("the list of tails was left in the middle of a change".into())
}
