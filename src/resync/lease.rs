//! Leases: an item is an engine's for a while, can be kept for longer, and returns when nobody answers.

use std::collections::HashMap;

use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use crate::classify::Record;
use crate::kernel::auth::{Report, Scope};
use crate::kernel::clock::Micros;
use crate::kernel::columns::columns;
use crate::kernel::db::Snapshot;
use crate::kernel::env::Env;
use crate::kernel::error::Result;
use crate::kernel::keys::Keys;
use crate::portals::Change;
use crate::quota::Room;
use crate::resync::board::Board;
use crate::resync::tables::{resync_items, resync_results};

/// A claim of an item, as its global id names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClaimedItem {
    pub(super) id: Uuid,
    pub(super) attempt: i32,
}

/// Loads the batches and results that items are counted in.
pub(super) async fn load_counts(
    change: &Change,
    board: &mut Board,
    items: &[resync_items::Model],
) -> Result<()> {
    let batches = Keys::uuids(items.iter().map(|item| item.batch_id));
    let backend = change.transaction().get_database_backend();
    let of_batches = batches.hold(backend, resync_results::Column::BatchId);
    let errors = items.iter().map(|item| item.error_id);
    board
        .load_results(change, errors, Condition::all().add(of_batches))
        .await?;
    let batches = items.iter().map(|item| item.batch_id);
    board.load_batches(change, batches).await
}

/// Items by their keys.
pub(super) async fn find(
    change: &Change,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<Vec<resync_items::Model>> {
    use resync_items::Column;
    let transaction = change.transaction();
    let backend = transaction.get_database_backend();
    let own = (Column::HubId, change.hub_id());
    let find = resync_items::Entity::find().filter(Keys::uuids(ids).hold_in_portal(
        backend,
        own,
        Column::Id,
    ));
    Ok(find.all(transaction).await?)
}

/// The records of an item on both sides.
pub(super) type Records = (Option<Record>, Option<Record>);

/// The records of items, which never change.
pub(super) async fn records(
    snapshot: &Snapshot,
    scope: &Scope<Report>,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Records>> {
    use resync_items::Column;
    let keys = Keys::uuids(ids.iter().copied());
    let own = (Column::HubId, scope.hub_id());
    let select = Query::select()
        .columns(columns::<resync_items::Entity>())
        .from(resync_items::Entity)
        .and_where(keys.hold_in_portal(snapshot.backend(), own, Column::Id))
        .to_owned();
    let rows: Vec<resync_items::Model> = snapshot.all(&select).await?;
    Ok(rows.iter().map(|row| (row.id, row.records())).collect())
}

/// Gives back what was leased for longer than the lease.
pub(super) async fn return_expired(change: &Change, board: &mut Board) -> Result<()> {
    use resync_items::Column;
    let expired = resync_items::Entity::find()
        .filter(Column::HubId.eq(change.hub_id()))
        .filter(Column::SettledAt.is_null())
        .filter(Column::LeaseExpiresAt.lte(change.now));
    let expired = expired.all(change.transaction()).await?;
    if expired.is_empty() {
        return Ok(());
    }
    load_counts(change, board, &expired).await?;
    for item in expired {
        board.give_back(item, change.now);
    }
    Ok(())
}

/// What became of a lease that was to be kept for longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewed {
    /// It is.
    Until(Micros),
    /// The item is not the engine's any more.
    Lost,
    /// There is no such item.
    NotFound,
}

/// Keeps items for longer, with the calls that were set aside for them. `None` when the portal does not exist.
pub(super) async fn renew(
    env: &Env,
    scope: &Scope<Report>,
    claimed: &[ClaimedItem],
    lease: Micros,
) -> Result<Option<Vec<Renewed>>> {
    let Some(mut change) = Change::begin(env, scope).await? else {
        return Ok(None);
    };
    let until = change.now + lease;
    let items = find(&change, claimed.iter().map(|item| item.id)).await?;
    let mut board = Board::default();
    let mut reservations = Vec::new();
    let mut kept = Vec::with_capacity(claimed.len());
    for claimed in claimed {
        let own = items.iter().find(|item| item.id == claimed.id);
        let own = own.filter(|item| {
            let is_leased = item.lease_expires_at.is_some_and(|at| at > change.now);
            item.settled_at.is_none() && item.attempt == claimed.attempt && is_leased
        });
        let Some(own) = own else {
            let is_known = items.iter().any(|item| item.id == claimed.id);
            kept.push(match is_known {
                true => Renewed::Lost,
                false => Renewed::NotFound,
            });
            continue;
        };
        let until = own.lease_expires_at.map_or(until, |at| at.max(until));
        reservations.extend(own.reservation_id);
        let item = resync_items::Model {
            lease_expires_at: Some(until),
            ..own.clone()
        };
        board.items.insert(item.id, item);
        kept.push(Renewed::Until(until));
    }
    Room::extend(&change, &reservations, until).await?;
    board.save_items(&mut change).await?;
    change.commit().await?;
    Ok(Some(kept))
}
