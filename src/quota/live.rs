//! The subscription `quotaUpdated`: one reader for each watched portal of a server, shared by all that watch it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_graphql::{Context, ID, Subscription};
use futures_util::{Stream, StreamExt};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::kernel::auth::Read;
use crate::kernel::call::Call;
use crate::kernel::env::Env;
use crate::kernel::error::{Error, Result};
use crate::kernel::panics::again;
use crate::kernel::streams::unfold;
use crate::kernel::wake::STATE_PAUSE;
use crate::portals::api::Portal;
use crate::portals::{scope_of, unknown_portal};
use crate::quota::api::Quota;
use crate::quota::store::{self, Facts};

/// How often is looked without a ring: minutes stop to count by themselves, and a ring can be lost.
const LOOK: Duration = Duration::from_secs(10);

type State = watch::Sender<Facts>;

/// The watched portals of a server.
pub struct QuotaWatch {
    env: Env,
    stopping: CancellationToken,
    open: TaskTracker,
    watched: Mutex<HashMap<i64, Weak<State>>>,
}

impl QuotaWatch {
    /// Watches nothing yet. What runs for it is tracked, and ends with the server.
    pub fn new(env: Env, stopping: CancellationToken, open: TaskTracker) -> Self {
        Self {
            env,
            stopping,
            open,
            watched: Mutex::default(),
        }
    }

    /// The state of a portal, which moves on for as long as anybody holds it.
    async fn state(&self, hub_id: i64) -> Result<Arc<State>> {
        // Before looking: what is committed from now on rings.
        let ring = self.env.wake.listen(hub_id);
        let facts = read(&self.env, hub_id).await?;
        let poisoned = |_| Error::Internal("the watched quotas were left in a change".into());
        let mut watched = self.watched.lock().map_err(poisoned)?;
        if let Some(state) = watched.get(&hub_id).and_then(Weak::upgrade) {
            return Ok(state);
        }
        watched.retain(|_, state| state.strong_count() > 0);
        let state = Arc::new(watch::channel(facts).0);
        watched.insert(hub_id, Arc::downgrade(&state));
        let (env, weak) = (self.env.clone(), Arc::downgrade(&state));
        let stopped = self.stopping.clone().cancelled_owned();
        self.open.spawn(async move {
            let follow = again(|| follow((env.clone(), hub_id), weak.clone(), ring.clone()));
            tokio::select! { () = stopped => {}, () = follow => {} }
        });
        Ok(state)
    }
}

async fn read(env: &Env, hub_id: i64) -> Result<Facts> {
    let facts = store::facts(&env.db.moving(), &[hub_id], env.clock.now()).await?;
    let missing = || Error::Internal("a portal without its quota".into());
    facts.into_iter().next().ok_or_else(missing)
}

async fn follow((env, hub_id): (Env, i64), state: Weak<State>, mut ring: watch::Receiver<u64>) {
    loop {
        ring.mark_unchanged();
        let Some(state) = state.upgrade() else { return };
        match read(&env, hub_id).await {
            Ok(facts) => {
                state.send_if_modified(|told| {
                    let is_new = facts.differs_from(told);
                    *told = facts;
                    is_new
                });
            }
            Err(error) => {
                // Logged where it is translated; the next look tries again.
                let _ = error.answer();
            }
        }
        drop(state);
        tokio::select! {
            changed = ring.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// What happens to calls.
#[derive(Default)]
pub struct QuotaSubscription;

#[Subscription]
impl QuotaSubscription {
    /// The portal's API calls: now, then whenever they change, a few times a second at most; the last state always.
    /// NOT_FOUND for an unknown portal. Needs the scope sync-health:read.
    async fn quota_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The portal. May be left out when the token names exactly one.")]
        hub_id: Option<ID>,
    ) -> Result<impl Stream<Item = Quota> + use<>> {
        let call = Call::of(ctx)?;
        let scope = scope_of::<Read>(call, hub_id.as_ref())?.ok_or_else(unknown_portal)?;
        let hub_id = scope.hub_id();
        let portal = Portal::load(call, scope)
            .await?
            .ok_or_else(unknown_portal)?;
        // The state is read too, by a connection of the same pool.
        call.snapshot.renew().await;
        let watch = ctx.data::<Arc<QuotaWatch>>();
        let watch = watch.map_err(|_| Error::Internal("a schema without its quotas".into()))?;
        let state = watch.state(hub_id).await?;
        let zone: Arc<str> = portal.row.portal.time_zone.as_str().into();
        let mut told = state.subscribe();
        told.mark_changed();
        let begin = (state, told, None::<Instant>);
        call.progress.begins();
        let states = unfold(begin, move |(state, mut told, last)| async move {
            told.changed().await.ok()?;
            if let Some(last) = last {
                tokio::time::sleep_until(last + STATE_PAUSE).await;
            }
            let facts = told.borrow_and_update().clone();
            Some((facts, (state, told, Some(Instant::now()))))
        });
        Ok(states.map(move |facts| Quota::of(facts, &zone)).boxed())
    }
}
