//! The subscriptions of this domain: a batch as it moves, and work for engines. Both read when the portal rings, and from
//! time to time.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, ID, Subscription};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::watch;

use crate::kernel::auth::{Portals, Read, Report, Scope};
use crate::kernel::call::Call;
use crate::kernel::error::{Error, Result};
use crate::kernel::global_id::{GlobalId, Kind};
use crate::kernel::scalars::count;
use crate::kernel::streams::try_unfold;
use crate::kernel::wake::{ANY_PORTAL, STATE_PAUSE};
use crate::portals::{exists, scope_of, unknown_portal};
use crate::resync::api::{ResyncBatch, ResyncWork};
use crate::resync::claimable::{self, Waiting};
use crate::resync::tables::resync_batches;
use crate::resync::{claim, read};

/// How often is looked without a ring: time alone ends leases, and a ring can be lost.
const LOOK: Duration = Duration::from_secs(5);

/// What happens to resyncs.
#[derive(Default)]
pub struct ResyncSubscription;

#[Subscription]
impl ResyncSubscription {
    /// A resync batch: now, then whenever it moves, a few times a second at most; completes with its last state when it
    /// has ended. NOT_FOUND for an unknown batch. Needs the scope sync-health:read.
    async fn resync_batch_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The batch's global id.")] id: ID,
    ) -> Result<impl Stream<Item = async_graphql::Result<ResyncBatch>> + use<>> {
        let call = shared(ctx)?;
        call.viewer.require::<Read>()?;
        let unknown = || {
            Error::NotFound(
                "No resync batch with this id exists in the portals that the token names.".into(),
            )
        };
        let decoded = GlobalId::decode(&id).filter(|id| id.kind == Kind::ResyncBatch);
        let decoded = decoded.ok_or_else(unknown)?;
        let scope = call
            .viewer
            .scope::<Read>(decoded.hub_id)?
            .ok_or_else(unknown)?;
        let batch_id = decoded.uuid().ok_or_else(unknown)?;
        // Before looking: what is committed from now on rings.
        let ring = call.env.wake.listen(decoded.hub_id);
        read::batch(&call.env.db.moving(), &scope, batch_id)
            .await?
            .ok_or_else(unknown)?;
        call.progress.begins();
        let watched = Watched {
            call,
            scope,
            batch_id,
            ring,
            told: None,
        };
        let states = try_unfold(Some(watched), |watched| async move {
            match watched {
                Some(watched) => watched.next().await,
                None => Ok(None),
            }
        });
        Ok(states
            .map(|state| state.map_err(|error: Error| error.into()))
            .boxed())
    }

    /// Tells engines that records wait to be claimed, portal by portal: at once what waits, then whenever that has changed,
    /// a few times a second at most. That nothing waits is not told.
    /// NOT_FOUND for an unknown portal. Needs the scope sync-health:report.
    async fn resync_work_available(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The portal; all that the token names when left out.")] hub_id: Option<ID>,
    ) -> Result<impl Stream<Item = async_graphql::Result<ResyncWork>> + use<>> {
        let call = shared(ctx)?;
        call.viewer.require::<Report>()?;
        let (portals, ring_of) = match &hub_id {
            None => (call.viewer.portals().clone(), ANY_PORTAL),
            Some(_) => {
                let scope =
                    scope_of::<Report>(&call, hub_id.as_ref())?.ok_or_else(unknown_portal)?;
                if !scope.is_named() && !exists(&call.env.db.moving(), &scope).await? {
                    return Err(unknown_portal());
                }
                (Portals::Named(vec![scope.hub_id()]), scope.hub_id())
            }
        };
        let looking = Looking {
            ring: call.env.wake.listen(ring_of),
            call: call.clone(),
            portals,
            told: Vec::new(),
            is_first: true,
        };
        call.progress.begins();
        let works = try_unfold(looking, |mut looking| async move {
            let works = looking.next().await?;
            Ok::<_, Error>(Some((works, looking)))
        });
        let works = works.flat_map(|works| {
            let works: Vec<async_graphql::Result<ResyncWork>> = match works {
                Ok(works) => works.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error.into())],
            };
            stream::iter(works)
        });
        Ok(works.boxed())
    }
}

fn shared(ctx: &Context<'_>) -> Result<Arc<Call>> {
    let missing = |_| Error::Internal("a subscription without its call".into());
    Ok(ctx.data::<Arc<Call>>().map_err(missing)?.clone())
}

/// Waits for a ring, or for the time to look anyway; not shorter than states may follow each other.
async fn wait(ring: &mut watch::Receiver<u64>) {
    tokio::time::sleep(STATE_PAUSE).await;
    tokio::select! {
        _ = ring.changed() => {}
        () = tokio::time::sleep(LOOK) => {}
    }
}

/// A batch that somebody watches.
struct Watched {
    call: Arc<Call>,
    scope: Scope<Read>,
    batch_id: uuid::Uuid,
    ring: watch::Receiver<u64>,
    /// What was told last, and whether it waited for calls then.
    told: Option<(resync_batches::Model, bool)>,
}

impl Watched {
    /// The next state, and who goes on watching; nobody behind the last one.
    async fn next(mut self) -> Result<Option<(ResyncBatch, Option<Self>)>> {
        loop {
            if self.told.is_some() {
                wait(&mut self.ring).await;
            }
            self.ring.mark_unchanged();
            let snapshot = self.call.env.db.moving();
            let Some(row) = read::batch(&snapshot, &self.scope, self.batch_id).await? else {
                return Ok(None);
            };
            let now = self.call.now();
            let waits = row.waiting_until.is_some_and(|until| until > now);
            let present = Some((row, waits));
            if self.told == present {
                continue;
            }
            self.told = present;
            let Some((row, _)) = self.told.clone() else {
                continue;
            };
            let state = ResyncBatch::new(self.scope.clone(), row.clone(), now);
            let is_last = row.finished_at.is_some();
            return Ok(Some((state, (!is_last).then_some(self))));
        }
    }
}

/// Somebody who looks for work.
struct Looking {
    call: Arc<Call>,
    portals: Portals,
    ring: watch::Receiver<u64>,
    /// What was told last.
    told: Vec<Waiting>,
    is_first: bool,
}

impl Looking {
    async fn next(&mut self) -> Result<Vec<ResyncWork>> {
        if std::mem::take(&mut self.is_first) {
            // Here and not before the stream is open: it may have to wait for a portal.
            claim::begin_retries(&self.call, &self.portals).await?;
        } else {
            wait(&mut self.ring).await;
        }
        self.ring.mark_unchanged();
        let snapshot = self.call.env.db.moving();
        let waiting = claimable::waiting(&snapshot, &self.portals, self.call.now()).await?;
        let before = std::mem::replace(&mut self.told, waiting);
        let changed = self.told.iter().filter(|portal| !before.contains(portal));
        let more = changed.map(|portal| ResyncWork {
            hub_id: ID(portal.hub_id.to_string()),
            waiting_count: count(portal.records),
        });
        let more = more.collect();
        Ok(more)
    }
}
