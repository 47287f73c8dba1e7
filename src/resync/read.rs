//! What is shown of resyncs: batches, their results, and what concerns errors.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, Order, Query, SelectStatement};
use uuid::Uuid;

use crate::kernel::auth::{Read, Right, Scope};
use crate::kernel::clock::Micros;
use crate::kernel::columns::columns;
use crate::kernel::db::Snapshot;
use crate::kernel::error::Result;
use crate::kernel::keys::Keys;
use crate::kernel::page::Page;
use crate::portals::erasure::is_there;
use crate::resync::api::ResyncBatchStatus;
use crate::resync::tables::{resync_batches, resync_pushes, resync_results};
use crate::resync::{AUTOMATIC, Stage};

/// One batch.
pub(super) async fn batch<R: Right>(
    snapshot: &Snapshot,
    scope: &Scope<R>,
    id: Uuid,
) -> Result<Option<resync_batches::Model>> {
    use resync_batches::Column;
    let mut select = batches_of(scope);
    select
        .columns(columns::<resync_batches::Entity>())
        .and_where(Expr::col(Column::Id).eq(id))
        .and_where(is_there((resync_batches::Entity, Column::HubId)));
    snapshot.one(&select).await
}

fn batches_of<R: Right>(scope: &Scope<R>) -> SelectStatement {
    use resync_batches::Column;
    Query::select()
        .from(resync_batches::Entity)
        .and_where(Expr::col(Column::HubId).eq(scope.hub_id()))
        .and_where(Expr::col(Column::Id).ne(AUTOMATIC))
        .to_owned()
}

/// The batches in these states at an instant; any where none is named. No column is selected yet.
pub(super) fn batches(
    scope: &Scope<Read>,
    statuses: &[ResyncBatchStatus],
    now: Micros,
) -> SelectStatement {
    use resync_batches::Column;
    let is = |status: &ResyncBatchStatus| {
        let stage = |stage: Stage| Expr::col(Column::Status).eq(stage);
        let waits = Expr::col(Column::WaitingUntil).gt(now);
        match status {
            ResyncBatchStatus::Completed => stage(Stage::Completed),
            ResyncBatchStatus::Cancelled => stage(Stage::Cancelled),
            ResyncBatchStatus::WaitingForQuota => stage(Stage::Running).and(waits),
            ResyncBatchStatus::Running => stage(Stage::Running).and(
                Expr::col(Column::WaitingUntil)
                    .is_null()
                    .or(Expr::col(Column::WaitingUntil).lte(now)),
            ),
        }
    };
    let mut select = batches_of(scope);
    if let Some(any) = statuses.iter().map(is).reduce(|a, b| a.or(b)) {
        select.and_where(any);
    }
    select
}

/// A page of batches, newest first.
pub(super) async fn batches_page(
    snapshot: &Snapshot,
    mut select: SelectStatement,
    page: &Page,
) -> Result<Vec<resync_batches::Model>> {
    use resync_batches::Column;
    if let Some(cursor) = page.after {
        select.and_where(Expr::col(Column::Id).lt(cursor.id));
    }
    select
        .columns(columns::<resync_batches::Entity>())
        .order_by(Column::Id, Order::Desc)
        .limit(page.fetch_count());
    snapshot.all(&select).await
}

/// The results of a batch; no column is selected yet.
pub(super) fn results(scope: &Scope<Read>, batch_id: Uuid) -> SelectStatement {
    use resync_results::Column;
    Query::select()
        .from(resync_results::Entity)
        .and_where(Expr::col(Column::HubId).eq(scope.hub_id()))
        .and_where(Expr::col(Column::BatchId).eq(batch_id))
        .to_owned()
}

/// A page of results, in the order of their errors.
pub(super) async fn results_page(
    snapshot: &Snapshot,
    mut select: SelectStatement,
    page: &Page,
) -> Result<Vec<resync_results::Model>> {
    use resync_results::Column;
    if let Some(cursor) = page.after {
        select.and_where(Expr::col(Column::ErrorId).gt(cursor.id));
    }
    select
        .columns(columns::<resync_results::Entity>())
        .order_by(Column::ErrorId, Order::Asc)
        .limit(page.fetch_count());
    snapshot.all(&select).await
}

/// One result.
pub(super) async fn result(
    snapshot: &Snapshot,
    scope: &Scope<Read>,
    (batch_id, error_id): (Uuid, Uuid),
) -> Result<Option<resync_results::Model>> {
    let mut select = results(scope, batch_id);
    select
        .columns(columns::<resync_results::Entity>())
        .and_where(Expr::col(resync_results::Column::ErrorId).eq(error_id));
    snapshot.one(&select).await
}

/// What is known of the resyncs of an error.
#[derive(Debug, Clone, Default)]
pub struct OfError {
    /// The latest that was asked for.
    pub(super) latest: Option<resync_results::Model>,
    /// The automatic retries.
    pub(super) automatic: Option<resync_results::Model>,
}

/// What is known of the resyncs of errors, in one statement.
pub(super) async fn of_errors(
    snapshot: &Snapshot,
    scope: &Scope<Read>,
    error_ids: &[Uuid],
) -> Result<HashMap<Uuid, OfError>> {
    use resync_results::Column;
    let newest = "NOT EXISTS (SELECT 1 FROM resync_results AS n WHERE n.hub_id = resync_results.hub_id \
        AND n.error_id = resync_results.error_id AND n.batch_id > resync_results.batch_id)";
    let keys = Keys::uuids(error_ids.iter().copied());
    let own = (Column::HubId, scope.hub_id());
    let select = Query::select()
        .columns(columns::<resync_results::Entity>())
        .from(resync_results::Entity)
        .and_where(keys.hold_in_portal(snapshot.backend(), own, Column::ErrorId))
        .and_where(
            Expr::col(Column::BatchId)
                .eq(AUTOMATIC)
                .or(Expr::cust(newest)),
        )
        .to_owned();
    let rows: Vec<resync_results::Model> = snapshot.all(&select).await?;
    let mut known: HashMap<Uuid, OfError> = HashMap::new();
    for row in rows {
        let of_error = known.entry(row.error_id).or_default();
        match row.batch_id == AUTOMATIC {
            true => of_error.automatic = Some(row),
            false => of_error.latest = Some(row),
        }
    }
    Ok(known)
}

/// Whether an engine has ever claimed for the portal.
pub(super) async fn has_claimed(snapshot: &Snapshot, scope: &Scope<Read>) -> Result<bool> {
    use resync_batches::Column;
    let select = Query::select()
        .columns(columns::<resync_batches::Entity>())
        .from(resync_batches::Entity)
        .and_where(Expr::col(Column::HubId).eq(scope.hub_id()))
        .and_where(Expr::col(Column::Id).eq(AUTOMATIC))
        .to_owned();
    let row: Option<resync_batches::Model> = snapshot.one(&select).await?;
    Ok(row.is_some())
}

/// What is being delivered to the portal's address.
pub(super) async fn push(
    snapshot: &Snapshot,
    scope: &Scope<Read>,
) -> Result<Option<resync_pushes::Model>> {
    let select = Query::select()
        .columns(columns::<resync_pushes::Entity>())
        .from(resync_pushes::Entity)
        .and_where(Expr::col(resync_pushes::Column::HubId).eq(scope.hub_id()))
        .to_owned();
    snapshot.one(&select).await
}
