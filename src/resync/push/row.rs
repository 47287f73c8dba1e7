//! What is being delivered to a portal's address: taken by one server at a time, kept while it is tried, given back.

use sea_orm::EntityTrait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{BUSY, FIRST_PAUSE, LAST_PAUSE, LEASE};
use crate::kernel::auth::{Report, Scope};
use crate::kernel::clock::Micros;
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::kernel::{backoff, bulk};
use crate::portals::Change;
use crate::resync::lease::{self, ClaimedItem, Renewed};
use crate::resync::outcome::{self, Answer, Outcome};
use crate::resync::tables::resync_pushes;

/// What a message holds, and what is known of its items.
#[derive(Serialize, Deserialize, Clone, Copy)]
pub(super) struct Pushed {
    pub(super) id: Uuid,
    pub(super) attempt: i32,
}

impl From<Pushed> for ClaimedItem {
    fn from(pushed: Pushed) -> Self {
        Self {
            id: pushed.id,
            attempt: pushed.attempt,
        }
    }
}

/// Takes the portal's delivery for this server, unless another one has it. A message whose items are others' by now is
/// dropped.
pub(super) async fn begin(
    env: &Env,
    scope: &Scope<Report>,
    url: &str,
) -> Result<Option<resync_pushes::Model>> {
    let Some(change) = Change::begin(env, scope).await? else {
        return Ok(None);
    };
    let stored = resync_pushes::Entity::find_by_id(scope.hub_id())
        .one(change.transaction())
        .await?;
    let mut row = stored.unwrap_or_else(|| resync_pushes::Model::none(scope.hub_id()));
    if row.url.as_deref() != Some(url) {
        (row.url, row.next_at) = (Some(url.to_owned()), 0);
        (row.attempt_count, row.last_error) = (0, None);
    }
    if row.next_at > change.now {
        return Ok(None);
    }
    row.next_at = change.now + BUSY;
    write(&change, &row).await?;
    change.commit().await?;
    if row.body.is_some() && !keep_leased(env, scope, &row, LEASE).await? {
        let begun = row.message_id.take();
        (row.body, row.item_ids) = (None, None);
        (row.attempt_count, row.last_error) = (0, None);
        save(env, scope, (&row, begun)).await?;
    }
    Ok(Some(row))
}

/// Keeps the items of a message leased to its address; answers whether any still is.
pub(super) async fn keep_leased(
    env: &Env,
    scope: &Scope<Report>,
    row: &resync_pushes::Model,
    lease: Micros,
) -> Result<bool> {
    let claimed: Vec<ClaimedItem> = row.items().into_iter().map(Into::into).collect();
    let kept = lease::renew(env, scope, &claimed, lease).await?;
    let is_kept = |renewed: &Renewed| matches!(renewed, Renewed::Until(_));
    Ok(kept.is_some_and(|kept| kept.iter().any(is_kept)))
}

async fn write(change: &Change, row: &resync_pushes::Model) -> Result<()> {
    bulk::upsert::<resync_pushes::Entity>(change.transaction(), [row]).await
}

/// Writes what became of a message, unless another server has begun another one meanwhile.
pub(super) async fn save(
    env: &Env,
    scope: &Scope<Report>,
    (row, begun): (&resync_pushes::Model, Option<Uuid>),
) -> Result<()> {
    let Some(change) = Change::begin(env, scope).await? else {
        return Ok(());
    };
    let stored = resync_pushes::Entity::find_by_id(scope.hub_id())
        .one(change.transaction())
        .await?;
    if stored.is_none_or(|stored| stored.message_id == begun) {
        write(&change, row).await?;
        change.commit().await?;
    }
    Ok(())
}

/// The pause behind a failed call.
pub(super) fn pause(attempt_count: i32, message_id: Option<Uuid>) -> Micros {
    let random = message_id.map_or(0, |id| id.as_bytes()[15]);
    backoff::pause(attempt_count, (FIRST_PAUSE, LAST_PAUSE), random)
}

pub(super) async fn give_back(
    env: &Env,
    scope: &Scope<Report>,
    row: &resync_pushes::Model,
) -> Result<()> {
    let returned = row.items().into_iter().map(|item| Answer {
        item: item.into(),
        outcome: Outcome::Returned,
    });
    outcome::report(env, scope, returned.collect()).await?;
    Ok(())
}

impl resync_pushes::Model {
    pub(super) fn none(hub_id: i64) -> Self {
        Self {
            hub_id,
            url: None,
            next_at: 0,
            message_id: None,
            body: None,
            item_ids: None,
            attempt_count: 0,
            last_error: None,
        }
    }

    pub(super) fn items(&self) -> Vec<Pushed> {
        let ids = self.item_ids.as_deref().unwrap_or("[]");
        serde_json::from_str(ids).unwrap_or_default()
    }
}
