//! What can be claimed: whether a claim is worth the portal's lock, which portal has waited longest, what has an item.

use std::collections::HashSet;

use sea_orm::sea_query::{Alias, Expr, ExprTrait, Order, Query, SelectStatement};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter};
use uuid::Uuid;

use crate::kernel::auth::Portals;
use crate::kernel::clock::Micros;
use crate::kernel::db::Snapshot;
use crate::kernel::error::Result;
use crate::kernel::keys::Keys;
use crate::portals::Change;
use crate::portals::erasure::is_there;
use crate::resync::AUTOMATIC;
use crate::resync::tables::{resync_batches, resync_items};
use crate::sync_errors::to_try::RecordToTry;

#[derive(FromQueryResult)]
struct Found {
    found: i32,
}

/// Whether a claim has anything to do: records wait, leases have ended, or it is the portal's first.
pub(super) async fn may_be(snapshot: &Snapshot, hub_id: i64, now: Micros) -> Result<bool> {
    let batches = |condition: Expr| {
        Query::select()
            .expr_as(Expr::cust("1"), Alias::new("found"))
            .from(resync_batches::Entity)
            .and_where(Expr::col(resync_batches::Column::HubId).eq(hub_id))
            .and_where(condition)
            .limit(1)
            .to_owned()
    };
    let first = batches(Expr::col(resync_batches::Column::Id).eq(AUTOMATIC));
    if snapshot.one::<Found>(&first).await?.is_none() {
        return Ok(true);
    }
    let waiting = batches(Expr::cust("waiting_count > 0"));
    if snapshot.one::<Found>(&waiting).await?.is_some() {
        return Ok(true);
    }
    let expired = Query::select()
        .expr_as(Expr::cust("1"), Alias::new("found"))
        .from(resync_items::Entity)
        .and_where(Expr::col(resync_items::Column::HubId).eq(hub_id))
        .and_where(Expr::cust("settled_at IS NULL"))
        .and_where(Expr::col(resync_items::Column::LeaseExpiresAt).lte(now))
        .limit(1)
        .to_owned();
    Ok(snapshot
        .one::<Found>(&expired)
        .await?
        .is_some_and(|row| row.found == 1))
}

/// Records of portals that wait for an engine; the portal that was claimed from longest ago first.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub(super) struct Waiting {
    pub(super) hub_id: i64,
    pub(super) records: i64,
    /// When something was requested and claimed last: as many records may be others than before.
    requested_at: i64,
    claimed_at: i64,
    /// Batches that wait for calls.
    held: i64,
}

/// What waits in these portals.
pub(super) async fn waiting(
    snapshot: &Snapshot,
    portals: &Portals,
    now: Micros,
) -> Result<Vec<Waiting>> {
    use resync_batches::Column;
    let longest_ago = Expr::cust("MIN(resync_batches.claimed_at)");
    let mut select: SelectStatement = Query::select()
        .column(Column::HubId)
        .expr_as(
            Expr::cust("CAST(SUM(waiting_count) AS BIGINT)"),
            Alias::new("records"),
        )
        .expr_as(Expr::cust("MAX(requested_at)"), Alias::new("requested_at"))
        .expr_as(Expr::cust("MAX(claimed_at)"), Alias::new("claimed_at"))
        .expr_as(
            Expr::cust(format!(
                "CAST(SUM(CASE WHEN waiting_until > {now} THEN 1 ELSE 0 END) AS BIGINT)"
            )),
            Alias::new("held"),
        )
        .from(resync_batches::Entity)
        .and_where(Expr::cust("waiting_count > 0"))
        .and_where(is_there((resync_batches::Entity, Column::HubId)))
        .group_by_col(Column::HubId)
        .order_by_expr(longest_ago, Order::Asc)
        .to_owned();
    if let Portals::Named(hub_ids) = portals {
        let keys = Keys::numbers(hub_ids.iter().copied());
        select.and_where(keys.hold(snapshot.backend(), Column::HubId));
    }
    snapshot.all(&select).await
}

/// Portals that no engine has claimed for yet, a few at a time.
pub(super) async fn without_retries(snapshot: &Snapshot, portals: &Portals) -> Result<Vec<i64>> {
    #[derive(FromQueryResult)]
    struct Portal {
        hub_id: i64,
    }
    let has_begun = Query::select()
        .expr(Expr::cust("1"))
        .from(resync_batches::Entity)
        .and_where(Expr::cust("resync_batches.hub_id = portals.hub_id"))
        .and_where(Expr::col(resync_batches::Column::Id).eq(AUTOMATIC))
        .to_owned();
    let mut select = Query::select()
        .expr_as(Expr::cust("portals.hub_id"), Alias::new("hub_id"))
        .from(Alias::new("portals"))
        .and_where(Expr::not_exists(has_begun))
        .limit(20)
        .to_owned();
    if let Portals::Named(hub_ids) = portals {
        let keys = Keys::numbers(hub_ids.iter().copied());
        let own = (Alias::new("portals"), resync_batches::Column::HubId);
        select.and_where(keys.hold(snapshot.backend(), own));
    }
    let rows: Vec<Portal> = snapshot.all(&select).await?;
    Ok(rows.into_iter().map(|row| row.hub_id).collect())
}

/// Which of these records have an unsettled item, or were tried by this batch, by error and record. Automatic retries try
/// a record again and again.
pub(super) async fn items_of(
    change: &Change,
    batch_id: Uuid,
    records: &[RecordToTry],
) -> Result<HashSet<(Uuid, Uuid)>> {
    if records.is_empty() {
        return Ok(HashSet::new());
    }
    use resync_items::Column;
    let transaction = change.transaction();
    let backend = transaction.get_database_backend();
    let errors = || Keys::uuids(records.iter().map(|record| record.error_id));
    let ids = || Keys::uuids(records.iter().map(|record| record.record_id));
    let own = (Column::HubId, change.hub_id());
    let mut found = resync_items::Entity::find()
        .filter(errors().hold_in_portal(backend, own, Column::ErrorId))
        .filter(ids().hold(backend, Column::RecordId))
        .filter(Column::SettledAt.is_null())
        .all(transaction)
        .await?;
    if batch_id != AUTOMATIC {
        let tried = resync_items::Entity::find()
            .filter(Column::HubId.eq(change.hub_id()))
            .filter(Column::BatchId.eq(batch_id))
            .filter(errors().hold(backend, Column::ErrorId))
            .filter(ids().hold(backend, Column::RecordId));
        found.extend(tried.all(transaction).await?);
    }
    Ok(found
        .into_iter()
        .map(|row| (row.error_id, row.record_id))
        .collect())
}
