//! The records that errors affect: pages of one error, and the first ones of many errors in one statement.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::Lookahead;
use sea_orm::sea_query::{Expr, ExprTrait, LikeExpr, Order, Query, SelectStatement, Value};
use sea_orm::{DbBackend, Statement};
use uuid::Uuid;

use crate::kernel::auth::{Read, Right, Scope};
use crate::kernel::call::Call;
use crate::kernel::columns::columns;
use crate::kernel::db::Snapshot;
use crate::kernel::error::Result;
use crate::kernel::keys::Keys;
use crate::kernel::page::{self, TotalCount};
use crate::kernel::text::like_pattern;
use crate::sync_errors::api::SyncError;
use crate::sync_errors::list::shown_columns;
use crate::sync_errors::tables::{ByPosition, affected_records, latest_failures};

/// The order of their cursors: part of every cursor that was given out.
pub(super) const BY_ID: u8 = 20;

/// What was read ahead for one error.
#[derive(Debug, Default, Clone)]
pub(super) struct Prefetched {
    /// Its first affected records, as many as the request wants at most and one more.
    pub(super) records: Option<Vec<Arc<affected_records::Model>>>,
    /// Its latest failure as stored.
    pub(super) latest_failure: Option<String>,
}

/// Reads for all errors of a page what the request selects below them.
pub(super) async fn prefetch<'a>(
    call: &Call,
    scope: &Scope<Read>,
    selections: &[Lookahead<'_>],
    errors: impl Iterator<Item = &'a mut SyncError>,
) -> Result<()> {
    let size = selections.iter().filter_map(prefetched_size).max();
    let with_failure = selections
        .iter()
        .any(|selection| selection.field("latestFailure").exists());
    if size.is_none() && !with_failure {
        return Ok(());
    }
    let mut errors: Vec<&mut SyncError> = errors.collect();
    let ids: Vec<Uuid> = errors.iter().map(|error| error.row().id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    if let Some(size) = size {
        let mut by_error: HashMap<Uuid, Vec<Arc<affected_records::Model>>> = HashMap::new();
        for row in first_of_each(&call.snapshot, scope, &ids, size + 1).await? {
            by_error
                .entry(row.error_id)
                .or_default()
                .push(Arc::new(row));
        }
        for error in &mut errors {
            let mut records = by_error.remove(&error.row().id).unwrap_or_default();
            records.sort_unstable_by_key(|row| row.id);
            error.prefetched.records = Some(records);
        }
    }
    if with_failure {
        let mut failures: HashMap<Uuid, String> = latest_failures(&call.snapshot, scope, &ids)
            .await?
            .into_iter()
            .collect();
        for error in &mut errors {
            error.prefetched.latest_failure = failures.remove(&error.row().id);
        }
    }
    Ok(())
}

/// The largest `first` of the selected `affectedRecords` that start at the beginning.
fn prefetched_size(errors: &Lookahead<'_>) -> Option<usize> {
    let records = errors.field("affectedRecords");
    let size = |field: async_graphql::SelectionField<'_>| {
        let arguments = field.arguments().ok()?;
        let is_set = |name: &str| {
            arguments
                .iter()
                .any(|(argument, value)| argument == name && *value != async_graphql::Value::Null)
        };
        if is_set("after") || is_set("search") {
            return None;
        }
        let first = arguments
            .iter()
            .find(|(name, _)| name == "first")
            .and_then(|(_, value)| match value {
                async_graphql::Value::Number(number) => number
                    .as_i64()
                    .and_then(|number| i32::try_from(number).ok()),
                _ => None,
            });
        page::size("first", first).ok()
    };
    records
        .selection_fields()
        .into_iter()
        .filter_map(size)
        .max()
}

/// The first `count` still affected records of each error, in one statement whatever the number of errors.
pub(super) async fn first_of_each(
    snapshot: &Snapshot,
    scope: &Scope<Read>,
    errors: &[Uuid],
    count: usize,
) -> Result<Vec<affected_records::Model>> {
    let backend = snapshot.backend();
    let keys = errors.iter().map(|id| Value::from(*id));
    let columns = shown_columns::<affected_records::Entity>("records");
    let count = Value::from(count as i64);
    let statement = match backend {
        DbBackend::Postgres => {
            let sql = format!(
                "SELECT records.* FROM UNNEST($1::uuid[]) AS errors (id) CROSS JOIN LATERAL \
                (SELECT {columns} FROM affected_records AS records WHERE hub_id = $2 AND error_id = errors.id AND cleared_at IS NULL \
                ORDER BY records.id LIMIT $3) AS records"
            );
            let array = Value::Array(
                sea_orm::sea_query::ArrayType::Uuid,
                Some(Box::new(keys.collect())),
            );
            Statement::from_sql_and_values(backend, sql, [array, scope.hub_id().into(), count])
        }
        _ => {
            let marks = vec!["(?)"; errors.len()].join(",");
            // CROSS keeps SQLite from reading all records of the portal and looking each one's error up.
            let sql = format!(
                "WITH errors (id) AS (VALUES {marks}) SELECT {columns} FROM errors CROSS JOIN affected_records AS records \
                WHERE records.hub_id = ? AND records.error_id = errors.id AND records.id IN \
                (SELECT id FROM affected_records WHERE hub_id = ? AND error_id = errors.id AND cleared_at IS NULL ORDER BY id LIMIT ?)"
            );
            let values = keys.chain([scope.hub_id().into(), scope.hub_id().into(), count]);
            Statement::from_sql_and_values(backend, sql, values)
        }
    };
    let rows: Vec<ByPosition<_>> = snapshot.all_raw(statement).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

fn of_error(scope: &Scope<Read>, error: Uuid, search: Option<&str>) -> SelectStatement {
    use affected_records::Column;
    let mut select = Query::select();
    select
        .from(affected_records::Entity)
        .and_where(Expr::col(Column::HubId).eq(scope.hub_id()))
        .and_where(Expr::col(Column::ErrorId).eq(error))
        .and_where(Expr::col(Column::ClearedAt).is_null());
    if let Some(search) = search {
        select.and_where(
            Expr::col(Column::SearchText).like(LikeExpr::new(like_pattern(search)).escape('\\')),
        );
    }
    select
}

/// A page of the still affected records of one error, in the order in which they first failed here.
pub(super) async fn of(
    snapshot: &Snapshot,
    scope: &Scope<Read>,
    (error, search): (Uuid, Option<&str>),
    (after, count): (Option<Uuid>, u64),
) -> Result<Vec<affected_records::Model>> {
    let mut select = of_error(scope, error, search);
    select.expr(Expr::cust(shown_columns::<affected_records::Entity>(
        "affected_records",
    )));
    if let Some(after) = after {
        select.and_where(Expr::col(affected_records::Column::Id).gt(after));
    }
    select
        .order_by(affected_records::Column::Id, Order::Asc)
        .limit(count);
    let rows: Vec<ByPosition<_>> = snapshot.all(&select).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// How many records a search finds, counted no further than the limit.
pub(super) async fn count(
    call: &Call,
    scope: &Scope<Read>,
    error: Uuid,
    search: &str,
) -> Result<TotalCount> {
    TotalCount::of(&call.snapshot, of_error(scope, error, Some(search))).await
}

/// One record of one error, while it is affected.
pub(super) async fn find(
    call: &Call,
    scope: &Scope<Read>,
    error: Uuid,
    id: Uuid,
) -> Result<Option<affected_records::Model>> {
    let mut select = of_error(scope, error, None);
    select
        .columns(columns::<affected_records::Entity>())
        .and_where(Expr::col(affected_records::Column::Id).eq(id));
    call.snapshot.one(&select).await
}

/// The latest failures of several errors as stored.
pub(super) async fn latest_failures<R: Right>(
    snapshot: &Snapshot,
    scope: &Scope<R>,
    errors: &[Uuid],
) -> Result<Vec<(Uuid, String)>> {
    let mut select = Query::select();
    select
        .columns(columns::<latest_failures::Entity>())
        .from(latest_failures::Entity)
        .and_where(Keys::uuids(errors.iter().copied()).hold_in_portal(
            snapshot.backend(),
            (latest_failures::Column::HubId, scope.hub_id()),
            latest_failures::Column::ErrorId,
        ));
    let rows: Vec<latest_failures::Model> = snapshot.all(&select).await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.error_id, row.failure))
        .collect())
}
