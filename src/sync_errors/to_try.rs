//! What a resync tries again: errors that match a filter, records that they still hold back; read inside a change, but for
//! what is only estimated.

use std::collections::HashMap;

use sea_orm::sea_query::{Expr, ExprTrait, Order, Query, Value};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement, StatementBuilder};
use uuid::Uuid;

use crate::classify::Record;
use crate::kernel::auth::{Right, Scope};
use crate::kernel::columns::columns;
use crate::kernel::db::Snapshot;
use crate::kernel::error::Result;
use crate::kernel::keys::Keys;
use crate::portals::Change;
use crate::sync_errors::SyncErrorStatus;
use crate::sync_errors::api::SyncErrorFilter;
use crate::sync_errors::list::{self, shown_columns};
use crate::sync_errors::tables::{affected_records, sync_errors};

/// An affected record to be tried again.
#[derive(Debug, Clone)]
pub struct RecordToTry {
    /// The error that holds it back.
    pub error_id: Uuid,
    /// Its key in the error.
    pub record_id: Uuid,
    /// Its side in HubSpot, where it has an id there.
    pub hubspot_record: Option<Record>,
    /// Its side in Salesforce, where it has an id there.
    pub salesforce_record: Option<Record>,
}

impl From<affected_records::Model> for RecordToTry {
    fn from(row: affected_records::Model) -> Self {
        let side = |object_type, record_id: Option<String>, name| {
            record_id.map(|id| Record {
                object_type,
                record_id: Some(id),
                name,
            })
        };
        Self {
            error_id: row.error_id,
            record_id: row.id,
            hubspot_record: side(
                row.hubspot_object_type,
                row.hubspot_record_id,
                row.hubspot_name,
            ),
            salesforce_record: side(
                row.salesforce_object_type,
                row.salesforce_record_id,
                row.salesforce_name,
            ),
        }
    }
}

/// The records of an error behind one and up to another.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// The error.
    pub error_id: Uuid,
    /// Only records behind this one.
    pub after: Uuid,
    /// Only records up to this one.
    pub until: Uuid,
}

/// How many OPEN errors match a filter, and how many records they hold back, at most so many of each counted.
pub async fn extent<R: Right>(
    snapshot: &Snapshot,
    scope: &Scope<R>,
    filter: &SyncErrorFilter,
    records_per_error: Option<i32>,
) -> Result<(i64, i64)> {
    #[derive(FromQueryResult)]
    struct Extent {
        errors: i64,
        records: i64,
    }
    let most = records_per_error.unwrap_or(i32::MAX);
    let count = "affected_record_count";
    let mut select = list::matching(scope, vec![SyncErrorStatus::Open], filter)?;
    select.expr_as(Expr::cust("COUNT(*)"), "errors").expr_as(
        Expr::cust(format!("CAST(COALESCE(SUM(CASE WHEN {count} > {most} THEN {most} ELSE {count} END), 0) AS BIGINT)")),
        "records",
    );
    let extents: Vec<Extent> = snapshot.all(&select).await?;
    Ok(extents
        .first()
        .map_or((0, 0), |extent| (extent.errors, extent.records)))
}

/// OPEN errors that match a filter, between two keys, oldest first.
pub async fn matching<R: Right>(
    change: &Change,
    scope: &Scope<R>,
    filter: &SyncErrorFilter,
    (after, until, limit): (Uuid, Uuid, usize),
) -> Result<Vec<Uuid>> {
    #[derive(FromQueryResult)]
    struct Key {
        id: Uuid,
    }
    use sync_errors::Column;
    let mut select = list::matching(scope, vec![SyncErrorStatus::Open], filter)?;
    select
        .column((sync_errors::Entity, Column::Id))
        .and_where(Expr::col((sync_errors::Entity, Column::Id)).gt(after))
        .and_where(Expr::col((sync_errors::Entity, Column::Id)).lt(until))
        .order_by((sync_errors::Entity, Column::Id), Order::Asc)
        .limit(limit as u64);
    let keys: Vec<Key> = all(change, &select).await?;
    Ok(keys.into_iter().map(|key| key.id).collect())
}

/// The first records of several errors, in the order of the errors, each from its stretch.
pub async fn records(
    change: &Change,
    stretches: &[Stretch],
    limit: usize,
) -> Result<Vec<RecordToTry>> {
    if stretches.is_empty() {
        return Ok(Vec::new());
    }
    let backend = change.transaction().get_database_backend();
    let (hub_id, limit) = (Value::from(change.hub_id()), Value::from(limit as i64));
    let statement = match backend {
        DbBackend::Postgres => {
            let columns = shown_columns::<affected_records::Entity>("records");
            let sql = format!(
                "SELECT r.* FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[]) WITH ORDINALITY AS s (error_id, after, until, place) \
                CROSS JOIN LATERAL (SELECT {columns} FROM affected_records AS records WHERE hub_id = $4 AND error_id = s.error_id \
                AND id > s.after AND id <= s.until AND cleared_at IS NULL ORDER BY id LIMIT $5) AS r \
                ORDER BY s.place, r.id LIMIT $5"
            );
            let keys = |key: fn(&Stretch) -> Uuid| {
                let keys = stretches.iter().map(|stretch| Value::from(key(stretch)));
                let of_uuid = sea_orm::sea_query::ArrayType::Uuid;
                Value::Array(of_uuid, Some(Box::new(keys.collect())))
            };
            let values = [
                keys(|stretch| stretch.error_id),
                keys(|stretch| stretch.after),
                keys(|stretch| stretch.until),
                hub_id,
                limit,
            ];
            Statement::from_sql_and_values(backend, sql, values)
        }
        _ => {
            let columns = shown_columns::<affected_records::Entity>("r");
            let marks = vec!["(?, ?, ?, ?)"; stretches.len()].join(", ");
            // CROSS keeps SQLite from reading all records of the portal and looking each one's stretch up.
            let sql = format!(
                "WITH s (place, error_id, after, until) AS (VALUES {marks}) SELECT {columns} FROM s CROSS JOIN affected_records AS r \
                WHERE r.hub_id = ? AND r.error_id = s.error_id AND r.id IN (SELECT id FROM affected_records WHERE hub_id = ? \
                AND error_id = s.error_id AND id > s.after AND id <= s.until AND cleared_at IS NULL ORDER BY id LIMIT ?) \
                ORDER BY s.place, r.id LIMIT ?"
            );
            let stretches = stretches.iter().enumerate().flat_map(|(place, stretch)| {
                [
                    Value::from(place as i64),
                    Value::from(stretch.error_id),
                    Value::from(stretch.after),
                    Value::from(stretch.until),
                ]
            });
            let values = stretches.chain([hub_id.clone(), hub_id, limit.clone(), limit]);
            Statement::from_sql_and_values(backend, sql, values)
        }
    };
    let rows = change.transaction().query_all_raw(statement).await?;
    rows.iter()
        .map(|row| Ok(affected_records::Model::from_query_result(row, "")?.into()))
        .collect()
}

/// Those of these records that are still held back, by error and record.
pub async fn still_affected(
    change: &Change,
    records: &[(Uuid, Uuid)],
) -> Result<HashMap<(Uuid, Uuid), RecordToTry>> {
    use affected_records::Column;
    let backend = change.transaction().get_database_backend();
    let errors = Keys::uuids(records.iter().map(|(error, _)| *error));
    let ids = Keys::uuids(records.iter().map(|(_, record)| *record));
    let select = Query::select()
        .columns(columns::<affected_records::Entity>())
        .from(affected_records::Entity)
        .and_where(errors.hold_in_portal(
            backend,
            (Column::HubId, change.hub_id()),
            Column::ErrorId,
        ))
        .and_where(ids.hold(backend, Column::Id))
        .and_where(Expr::col(Column::ClearedAt).is_null())
        .to_owned();
    let rows: Vec<affected_records::Model> = all(change, &select).await?;
    Ok(rows
        .into_iter()
        .map(|row| ((row.error_id, row.id), row.into()))
        .collect())
}

/// The record of each error that is so many-th of those that it holds back; none for an error that has fewer.
pub async fn nth_records(
    change: &Change,
    error_ids: &[Uuid],
    number: i32,
) -> Result<HashMap<Uuid, Uuid>> {
    #[derive(FromQueryResult)]
    struct Nth {
        id: Uuid,
        record_id: Option<Uuid>,
    }
    use sync_errors::Column;
    let backend = change.transaction().get_database_backend();
    let offset = u64::try_from(number - 1).unwrap_or(0);
    let nth = format!(
        "(SELECT r.id FROM affected_records AS r WHERE r.hub_id = sync_errors.hub_id AND r.error_id = sync_errors.id \
        AND r.cleared_at IS NULL ORDER BY r.id LIMIT 1 OFFSET {offset})"
    );
    let select = Query::select()
        .column(Column::Id)
        .expr_as(Expr::cust(nth), "record_id")
        .from(sync_errors::Entity)
        .and_where(Keys::uuids(error_ids.iter().copied()).hold_in_portal(
            backend,
            (Column::HubId, change.hub_id()),
            Column::Id,
        ))
        .to_owned();
    let rows: Vec<Nth> = all(change, &select).await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| Some((row.id, row.record_id?)))
        .collect())
}

async fn all<M: FromQueryResult>(
    change: &Change,
    select: &sea_orm::sea_query::SelectStatement,
) -> Result<Vec<M>> {
    let transaction = change.transaction();
    let statement = StatementBuilder::build(select, &transaction.get_database_backend());
    let rows = transaction.query_all_raw(statement).await?;
    let read = rows.iter().map(|row| M::from_query_result(row, ""));
    Ok(read.collect::<std::result::Result<_, _>>()?)
}
