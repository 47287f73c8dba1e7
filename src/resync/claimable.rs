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
}

/// What waits in these portals.
pub(super) async fn waiting(snapshot: &Snapshot, portals: &Portals) -> Result<Vec<Waiting>> {
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
        .from(resync_batches::Entity)
        .and_where(Expr::cust("waiting_count > 0"))
        .group_by_col(Column::HubId)
        .order_by_expr(longest_ago, Order::Asc)
        .to_owned();
    if let Portals::Named(hub_ids) = portals {
        let keys = Keys::numbers(hub_ids.iter().copied());
        select.and_where(keys.hold(snapshot.backend(), Column::HubId));
    }
    snapshot.all(&select).await
}

/// Which of these records have an unsettled item, by error and record.
pub(super) async fn items_of(
    change: &Change,
    records: &[RecordToTry],
) -> Result<HashSet<(Uuid, Uuid)>> {
    if records.is_empty() {
        return Ok(HashSet::new());
    }
    use resync_items::Column;
    let transaction = change.transaction();
    let backend = transaction.get_database_backend();
    let own = (Column::HubId, change.hub_id());
    let errors = Keys::uuids(records.iter().map(|record| record.error_id));
    let ids = Keys::uuids(records.iter().map(|record| record.record_id));
    let find = resync_items::Entity::find()
        .filter(errors.hold_in_portal(backend, own, Column::ErrorId))
        .filter(ids.hold(backend, Column::RecordId))
        .filter(Column::SettledAt.is_null());
    let rows = find.all(transaction).await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.error_id, row.record_id))
        .collect())
}
